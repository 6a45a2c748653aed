// SPDX-License-Identifier: MIT
// The paths that need nobody else. The protocol is models/region_shared_mutex.pml.
#include <deadbolt/shared_mutex.hpp>

#include <region/attachment.hpp>
#include <region/shared_mutex_wait.hpp>

namespace deadbolt {
namespace {

static_assert(shared_mutex::most_shared_holds == regions::most_holds);

using regions::attachment;
using regions::patience;

lock_status lock_exclusive(detail::shared_mutex_words& words, const patience& patience) noexcept {
  const attachment& self = *regions::this_thread.current;
  if (self.covers(&words) && !regions::holds_shared(self, &words)) [[likely]] {
    std::uint64_t expected = 0;
    // order: acquire, pairs with the last owner's unlock; release, so that who reads this
    // id finds the liveness word that was published before; and before the look at readers.
    // death order: the one word, and `state`: who follows knows whether data was touched.
    if (__atomic_compare_exchange_n(&words.writer, &expected, self.id, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED)) [[likely]] {
      if (__atomic_load_n(&words.readers, __ATOMIC_SEQ_CST) != 0) {
        return regions::settle_exclusive(words, self, patience);
      }
      __atomic_store_n(&words.state, regions::state_writes, __ATOMIC_RELAXED);
      return lock_status::acquired;
    }
  }
  return regions::lock_exclusive_slow(words, patience);
}

lock_status lock_shared_by(detail::shared_mutex_words& words, const patience& patience) noexcept {
  const attachment& self = *regions::this_thread.current;
  if (self.covers(&words)) [[likely]] {
    // try_enter_shared() for who has been here before and holds nothing else.
    const std::uint32_t group = std::uint32_t{1} << self.slot_number % regions::slot_groups;
    regions::hold_entry* entry = nullptr;
    if (regions::is_free(__atomic_load_n(&words.writer, __ATOMIC_RELAXED)) &&
        (__atomic_load_n(&words.readers, __ATOMIC_SEQ_CST) & group) != 0 &&
        regions::announce_only_hold(self, regions::hold_name(self, &words), entry)) [[likely]] {
      // order: as there.
      if (regions::is_free(__atomic_load_n(&words.writer, __ATOMIC_SEQ_CST))) [[likely]]
        return lock_status::acquired;
      regions::withdraw(*entry);
    } else if (regions::try_enter_shared(words, self) == regions::shared_entry::in) {
      return lock_status::acquired;
    }
  }
  return regions::lock_shared_slow(words, patience);
}

const attachment* own_attachment(const void* lock) noexcept {
  const attachment* self = regions::this_thread.current;
  return self->covers(lock) ? self : regions::find_attachment(lock);
}

unlock_status release_exclusive(detail::shared_mutex_words& words, std::uint64_t seen) noexcept {
  const bool whole = (seen & regions::word_inconsistent) == 0;
  // death order: a death from here on is not told, before the word is free and after. If the
  // data is not whole, the state stays: the word says the rest.
  if (whole) __atomic_store_n(&words.state, regions::state_outside, __ATOMIC_RELAXED);
  regions::release_writer_word(words, whole);
  return unlock_status::released;
}

} // namespace

lock_status shared_mutex::acquire() noexcept {
  return lock_exclusive(words_, {true, nullptr});
}
lock_status shared_mutex::try_acquire() noexcept {
  return lock_exclusive(words_, {false, nullptr});
}
lock_status shared_mutex::acquire_until(detail::deadline deadline) noexcept {
  return lock_exclusive(words_, {true, &deadline});
}
lock_status shared_mutex::acquire_shared() noexcept {
  return lock_shared_by(words_, {true, nullptr});
}
lock_status shared_mutex::try_acquire_shared() noexcept {
  return lock_shared_by(words_, {false, nullptr});
}
lock_status shared_mutex::acquire_shared_until(detail::deadline deadline) noexcept {
  return lock_shared_by(words_, {true, &deadline});
}

unlock_status shared_mutex::release() noexcept {
  const attachment* self = own_attachment(this);
  const std::uint64_t seen = __atomic_load_n(&words_.writer, __ATOMIC_RELAXED);
  if (self == nullptr || regions::id_of(seen) != self->id) return unlock_status::not_owner;
  return release_exclusive(words_, seen);
}

unlock_status shared_mutex::release_shared() noexcept {
  const attachment* self = own_attachment(this);
  if (self == nullptr) return unlock_status::not_owner;
  const std::uint64_t name = regions::hold_name(*self, this);
  if (regions::withdraw_only_hold(*self, name)) [[likely]]
    return unlock_status::released;
  std::uint64_t hold = 0;
  regions::hold_entry* entry = regions::find_hold(*self->shared_slot, name, hold);
  if (entry != nullptr) {
    regions::withdraw(*entry);
    return unlock_status::released;
  }
  // A reader that was told owner_died has the lock alone.
  const std::uint64_t seen = __atomic_load_n(&words_.writer, __ATOMIC_RELAXED);
  if (regions::id_of(seen) != self->id ||
      __atomic_load_n(&words_.state, __ATOMIC_RELAXED) != regions::state_reads_alone) {
    return unlock_status::not_owner;
  }
  return release_exclusive(words_, seen);
}

bool shared_mutex::mark_writer_consistent() noexcept {
  const attachment* self = own_attachment(this);
  const std::uint64_t seen = __atomic_load_n(&words_.writer, __ATOMIC_RELAXED);
  if (self == nullptr || regions::id_of(seen) != self->id ||
      (seen & regions::word_inconsistent) == 0) {
    return false;
  }
  __atomic_fetch_and(&words_.writer, ~regions::word_inconsistent, __ATOMIC_RELAXED);
  return true;
}

} // namespace deadbolt
