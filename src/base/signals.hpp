// SPDX-License-Identifier: MIT
// Blocks every signal for a while, the libc's internal ones too.
#ifndef DEADBOLT_BASE_SIGNALS_HPP
#define DEADBOLT_BASE_SIGNALS_HPP

#include <cstdint>
#include <raw_syscall.hpp>
#include <signal.h>
#include <sys/syscall.h>

namespace deadbolt::base {

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

} // namespace deadbolt::base
#endif
