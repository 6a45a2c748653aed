// SPDX-License-Identifier: MIT
#include <region/lock_use.hpp>

#include <region/slots.hpp>

namespace deadbolt::regions {
namespace {

bool is_owned(const std::uint64_t& at) noexcept {
  const std::uint64_t word = __atomic_load_n(&at, __ATOMIC_ACQUIRE);
  return !is_free(word) && !is_not_recoverable(word);
}

bool is_read(const open_region& region, const void* lock) noexcept {
  const auto name = static_cast<std::uint64_t>(static_cast<const std::byte*>(lock) -
                                               region.base.load(std::memory_order_relaxed));
  const std::uint32_t used = region.slots_used();
  for (std::uint32_t number = 0; number < used; ++number) {
    member_slot& slot = *region.slot(number);
    std::uint64_t seen = 0;
    if (find_hold(slot, name, seen) == nullptr) continue;
    const std::atomic<std::uint32_t>* life =
        liveness_word(&slot, slot.kind.load(std::memory_order_acquire));
    if (life != nullptr && is_alive(life->load(std::memory_order_acquire))) return true;
  }
  return false;
}

} // namespace

bool is_in_use(const open_region& region, const void* object, std::size_t size,
               detail::object_kind kind) noexcept {
  if (size < (kind == detail::object_kind::condition_variable ? 4 : 8)) return false;
  const auto* words = static_cast<const std::uint64_t*>(object);
  switch (kind) {
  case detail::object_kind::mutex:
    return is_owned(words[0]);
  case detail::object_kind::shared_mutex:
    return is_owned(words[0]) || is_read(region, object);
  case detail::object_kind::condition_variable:
    return (__atomic_load_n(static_cast<const std::uint32_t*>(object), __ATOMIC_ACQUIRE) & 1) != 0;
  case detail::object_kind::counting_semaphore:
    for (std::size_t i = 0; i < size / sizeof *words; ++i) {
      if (is_owned(words[i])) return true;
    }
    return false;
  case detail::object_kind::other:
    break;
  }
  return false;
}

} // namespace deadbolt::regions
