// SPDX-License-Identifier: MIT
// A readers-writer lock in a region: it survives the death of readers and writers, and
// its memory may be reused the instant after the last unlock.
#ifndef DEADBOLT_SHARED_MUTEX_HPP
#define DEADBOLT_SHARED_MUTEX_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/lockable.hpp>
#include <deadbolt/lock_owner.hpp>
#include <deadbolt/stop_flag.hpp>

#include <cstdint>

namespace deadbolt::inline DEADBOLT_ABI {

// Who comes first. Under writers_first and readers_first a thread that has waited for 10 ms comes
// before those that have waited for less, so that none starves; but while such a thread wakes up,
// readers that come may still enter before it.
enum class shared_mutex_policy : std::uint8_t {
  // While a writer waits for the readers that are inside, new readers wait. When a writer unlocks,
  // the readers and the writers that wait for it have equal chances.
  writers_first = 0,
  // New readers enter while a writer waits for readers that are inside, until the writer has waited
  // for 10 ms.
  readers_first = 1,
  // As writers_first, but a thread that comes does not pass one that sleeps. This is not the order
  // of arrival: a thread that was woken and must sleep again becomes the last (docs/region.md has
  // figures). The lock stays unused from an unlock until the thread that it woke runs; under the
  // other policies a thread that is running takes it meanwhile.
  fair = 2,
};

[[nodiscard, gnu::visibility("default")]] const char*
to_string(shared_mutex_policy policy) noexcept;

namespace detail {
// The lock's 16 bytes; bits: src/region/format.hpp, docs/region.md.
struct shared_mutex_words {
  alignas(8) std::uint64_t writer = 0; // as a mutex's word
  std::uint32_t readers = 0;           // in which slots to look for readers: never cleared
  std::uint8_t state = 0;              // what the writer word's owner does
  std::uint8_t policy = 0;             // shared_mutex_policy: never changed
  std::uint16_t unused = 0;
};

constexpr bool is_valid(shared_mutex_policy policy) noexcept {
  return policy <= shared_mutex_policy::fair;
}

// An untrusted peer may have written any number.
inline shared_mutex_policy policy_of(const shared_mutex_words& words) noexcept {
  const auto policy =
      static_cast<shared_mutex_policy>(__atomic_load_n(&words.policy, __ATOMIC_RELAXED));
  return is_valid(policy) ? policy : shared_mutex_policy::writers_first;
}
} // namespace detail

// One writer, or any number of readers. Place it as a mutex: anywhere in an open region's
// data; zeroed memory is an unlocked lock. What <deadbolt/mutex.hpp> says of membership, signal
// handlers and vfork holds here, too.
//
// A killed reader's hold ends with it, and the next owner is not told: a reader cannot leave data
// half-written. The same holds for a thread that dies while it waits, and for a writer that dies
// while it waits for the last readers. After a writer that died with the lock, the next owner,
// reader or writer, is told owner_died, and holds the lock alone until it unlocks, also after
// mark_consistent(). A reader does so by unlock_shared(); unlock() has the same effect.
//
// Who comes first is a property of the lock, in shared memory: the shared_mutex_policy that it is
// constructed with. By default new readers wait for a writer that waits, so that readers cannot
// starve writers. Nor can writers that follow each other closely starve another thread: once it has
// waited for 10 ms it comes before threads that have waited for less, as with a mutex.
//
// find_or_construct<shared_mutex>(name, policy) returns nullptr if there is one of another policy
// (construct_status::other_policy), or if `policy` is none of the three (invalid_policy); without a
// policy it finds every shared_mutex.
//
// The exclusive forms (lock(), try_lock(), ...) and the shared ones (lock_shared(), ...) are
// those of <deadbolt/detail/lockable.hpp>; the interruptible forms of both are those of
// <deadbolt/stop_flag.hpp>.
class [[gnu::visibility("default")]] DEADBOLT_CAPABILITY("shared_mutex") shared_mutex
    : public detail::shared_lockable<shared_mutex>,
      public detail::interruptible_shared_lockable<shared_mutex> {
public:
  static constexpr std::uint32_t object_kind =
      2; // detail::object_kind, for region::find_or_construct
  // Shared holds that a thread may have in one region at a time.
  static constexpr std::uint32_t most_shared_holds = 256;

  constexpr shared_mutex() noexcept = default;
  constexpr explicit shared_mutex(shared_mutex_policy policy) noexcept
      : words_{.policy = static_cast<std::uint8_t>(policy)} {}
  ~shared_mutex() = default; // unlock writes nothing after the release: nothing to wait for
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  // Declares the data whole again after owner_died. Does nothing and returns false
  // unless the caller holds the lock alone and was told owner_died.
  bool mark_consistent() noexcept {
    detail::thread_sanitizer_unlocks(this); // all later holders see a reader's repair, too
    return mark_writer_consistent();
  }

  // The thread that writes, waits for the last readers so that it can write, or reads alone because
  // it was told owner_died; for a moment also a reader that had to wait. For diagnosis.
  [[nodiscard]] lock_owner owner() const noexcept {
    return detail::owner_of(&words_.writer);
  }

  [[nodiscard]] shared_mutex_policy policy() const noexcept {
    return detail::policy_of(words_);
  }

  // Whether the number is one of the policies.
  [[nodiscard]] static constexpr bool is_valid(shared_mutex_policy policy) noexcept {
    return detail::is_valid(policy);
  }

  // The writer word, for messages and tools; its low half is the futex.
  [[nodiscard]] const std::uint64_t* native_handle() const noexcept {
    return &words_.writer;
  }

private:
  friend struct wait_access;
  friend detail::lockable<shared_mutex>;
  friend detail::shared_lockable<shared_mutex>;
  friend detail::interruptible_lockable<shared_mutex>;
  friend detail::interruptible_shared_lockable<shared_mutex>;
  lock_status acquire() noexcept;
  lock_status try_acquire() noexcept;
  lock_status acquire_until(detail::deadline deadline) noexcept;
  lock_status acquire_within(const detail::wait_limits& limits) noexcept;
  lock_status acquire_shared() noexcept;
  lock_status try_acquire_shared() noexcept;
  lock_status acquire_shared_until(detail::deadline deadline) noexcept;
  lock_status acquire_shared_within(const detail::wait_limits& limits) noexcept;
  unlock_status release() noexcept;
  unlock_status release_shared() noexcept;
  bool mark_writer_consistent() noexcept;

  void* readers_address() noexcept {
    return &words_.readers;
  }

  detail::shared_mutex_words words_;
};

static_assert(sizeof(shared_mutex) == 16 && alignof(shared_mutex) == 8);

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
