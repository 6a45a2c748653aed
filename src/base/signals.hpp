// SPDX-License-Identifier: MIT
// What must not interrupt a thread for a while: signals, and pthread_cancel().
#ifndef DEADBOLT_BASE_SIGNALS_HPP
#define DEADBOLT_BASE_SIGNALS_HPP

#include <cstdint>
#include <pthread.h>
#include <raw_syscall.hpp>
#include <signal.h>
#include <sys/syscall.h>

namespace deadbolt::base {

// The libc's internal signals too.
class signals_blocked {
public:
  signals_blocked() noexcept {
    const std::uint64_t all = ~std::uint64_t{0};
    arch::raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, sizeof before_);
  }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;
  ~signals_blocked() {
    arch::raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof before_);
  }

private:
  std::uint64_t before_ = 0;
};

// A cancellation that comes or is pending acts later: the libc's functions that are cancellation
// points would leave the library's functions without running destructors, with locks held and
// signals blocked. Make it the first object of a function that calls such functions: when it is
// gone a thread of the type PTHREAD_CANCEL_ASYNCHRONOUS may end at once.
class cancellation_deferred {
public:
  cancellation_deferred() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  cancellation_deferred(const cancellation_deferred&) = delete;
  cancellation_deferred& operator=(const cancellation_deferred&) = delete;
  ~cancellation_deferred() { pthread_setcancelstate(before_, nullptr); }

private:
  int before_ = 0;
};

} // namespace deadbolt::base
#endif
