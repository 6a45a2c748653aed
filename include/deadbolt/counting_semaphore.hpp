// SPDX-License-Identifier: MIT
// A semaphore in a region, whose permits come back when their holder dies.
#ifndef DEADBOLT_COUNTING_SEMAPHORE_HPP
#define DEADBOLT_COUNTING_SEMAPHORE_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_sanitizer.hpp>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>
#include <deadbolt/stop_flag.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace deadbolt::inline DEADBOLT_ABI {

namespace detail {
// The permits of one semaphore: `count` owner words.
[[gnu::visibility("default")]] lock_status acquire_permit(std::uint64_t* words, std::size_t count,
                                                          const wait_limits& limits) noexcept;
[[gnu::visibility("default")]] lock_status try_acquire_permit(std::uint64_t* words,
                                                              std::size_t count) noexcept;
[[gnu::visibility("default")]] unlock_status release_permit(std::uint64_t* words,
                                                            std::size_t count) noexcept;
[[gnu::visibility("default")]] void withhold_permits(std::uint64_t* words, std::size_t count,
                                                     std::size_t kept) noexcept;
} // namespace detail

// LeastMax permits of 8 bytes each; the constructor may make fewer of them available. Their
// number does not change after that: a permit is held by a thread, as a mutex is, and
// only its holder can release it. (If any thread could release, nothing would show whose
// death lost a permit.) A thread may hold several.
//
// Place it anywhere in an open region's data, as a mutex; zeroed memory is a semaphore with
// all LeastMax permits available. The rules of <deadbolt/mutex.hpp> for membership, signal
// handlers and vfork hold here.
//
// A killed holder's permits become available again. No later holder is told of the death,
// because a permit guards no data. The semaphore's memory may be reused the instant after the
// last release.
//
// A release wakes a waiter at once, and so does a holder's death, but for the exceptions in
// <deadbolt/mutex.hpp>, which also has the bounds. That is for up to 64 permits (63 if the waiter
// has a stop_flag). With more, a waiter watches so many at a time, and may notice 100 ms late that
// another permit was released or lost its holder. Where the kernel lacks futex_waitv (before 5.16)
// it may notice any release and any death that late.
template <std::ptrdiff_t LeastMax>
class counting_semaphore {
  static_assert(LeastMax > 0);

public:
  static constexpr std::uint32_t object_kind =
      4; // detail::object_kind, for region::find_or_construct

  constexpr counting_semaphore() noexcept = default;
  // Makes `permits` of the permits available (more than LeastMax: LeastMax; 0 or less: none, ever,
  // and acquire() returns deadlock).
  explicit counting_semaphore(std::ptrdiff_t permits) noexcept {
    detail::withhold_permits(words_, static_cast<std::size_t>(LeastMax),
                             permits < 0 ? 0 : static_cast<std::size_t>(permits));
  }
  ~counting_semaphore() = default;
  counting_semaphore(const counting_semaphore&) = delete;
  counting_semaphore& operator=(const counting_semaphore&) = delete;

  [[nodiscard]] static constexpr std::ptrdiff_t max() noexcept { return LeastMax; }

  // Results: acquired; deadlock (the caller itself holds every permit that there is);
  // cannot_attach.
  lock_result acquire() noexcept {
    return acquired(
        detail::acquire_permit(words_, static_cast<std::size_t>(LeastMax), detail::no_limits));
  }

  // Results: acquired, busy, cannot_attach.
  lock_result try_acquire() noexcept {
    return acquired(detail::try_acquire_permit(words_, static_cast<std::size_t>(LeastMax)));
  }

  // Results: those of acquire(), and timed_out. A time in the past tries once. Times as in
  // mutex.
  template <class Clock, class Duration>
  lock_result try_acquire_until(const std::chrono::time_point<Clock, Duration>& time) {
    return acquired(detail::lock_until(time, [this](detail::deadline d) noexcept {
      return detail::acquire_permit(words_, static_cast<std::size_t>(LeastMax), {.until = &d});
    }));
  }
  template <class Rep, class Period>
  lock_result try_acquire_for(const std::chrono::duration<Rep, Period>& duration) {
    return try_acquire_until(detail::steady_time_after(duration));
  }

  // Results: those of acquire(), and interrupted; see <deadbolt/stop_flag.hpp>.
  lock_result acquire_interruptible(const stop_flag* stop = nullptr) noexcept {
    return acquired(detail::acquire_permit(words_, static_cast<std::size_t>(LeastMax),
                                           {.interruptible = true, .stop = stop}));
  }
  template <class Clock, class Duration>
  lock_result acquire_interruptible_until(const std::chrono::time_point<Clock, Duration>& time,
                                          const stop_flag* stop = nullptr) {
    return acquired(detail::lock_interruptible_until(
        time, stop, [this](const detail::wait_limits& limits) noexcept {
          return detail::acquire_permit(words_, static_cast<std::size_t>(LeastMax), limits);
        }));
  }
  template <class Rep, class Period>
  lock_result acquire_interruptible_for(const std::chrono::duration<Rep, Period>& duration,
                                        const stop_flag* stop = nullptr) {
    return acquire_interruptible_until(detail::steady_time_after(duration), stop);
  }

  // Releases one of the permits that the calling thread holds. not_owner: it holds none.
  unlock_status release() noexcept {
    detail::thread_sanitizer_unlocks(words_);
    return detail::release_permit(words_, static_cast<std::size_t>(LeastMax));
  }

  // The owner words, LeastMax of them, for messages and tools.
  [[nodiscard]] const std::uint64_t* native_handle() const noexcept { return words_; }

private:
  lock_result acquired(lock_status status) noexcept {
    return {detail::thread_sanitizer_locked(words_, status), this};
  }

  alignas(8) std::uint64_t words_[static_cast<std::size_t>(LeastMax)] = {};
};

using binary_semaphore = counting_semaphore<1>;

static_assert(sizeof(counting_semaphore<3>) == 24);

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
