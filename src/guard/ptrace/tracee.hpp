// SPDX-License-Identifier: MIT
// One traced thread: what a tracer may ask of it while it is stopped.
//
// All calls must come from the thread that seized it: ptrace ties a tracee to
// one thread of its tracer. Each returns 0 or an errno value; ESRCH means that
// the thread is not stopped, most often because SIGKILL took it out of its
// stop, and is never a reason to give up on the others.
#ifndef DEADBOLT_GUARD_PTRACE_TRACEE_HPP
#define DEADBOLT_GUARD_PTRACE_TRACEE_HPP

#include "guard/ptrace/tracee_address.hpp"
#include "guard/repair_rule.h"

#include <cstddef>
#include <cstdint>
#include <sys/types.h>
#include <sys/user.h>
#include <utility>

namespace deadbolt::guard {

class registers {
public:
  [[nodiscard]] deadbolt_thread_state state() const noexcept {
    return {.ip = raw_.rip, .rax = raw_.rax, .flags = raw_.eflags, .cs = raw_.cs};
  }
  [[nodiscard]] tracee_address ip() const noexcept { return tracee_address(raw_.rip); }
  [[nodiscard]] const user_regs_struct& raw() const noexcept { return raw_; }
  [[nodiscard]] user_regs_struct& raw() noexcept { return raw_; }

private:
  user_regs_struct raw_{};
};

// Names a stopped tracee; owns nothing.
class tracee {
public:
  explicit tracee(pid_t tid) noexcept : tid_(tid) {}
  [[nodiscard]] pid_t tid() const noexcept { return tid_; }

  [[nodiscard]] int get_registers(registers& out) const noexcept;
  // Any alignment, any address; EIO or EFAULT where nothing is mapped.
  [[nodiscard]] int read(tracee_address from, void* to, std::size_t bytes) const noexcept;
  // The 4-byte word at a 4-byte aligned address.
  [[nodiscard]] int read_word(tracee_address from, std::uint32_t& out) const noexcept;
  [[nodiscard]] int write(tracee_address to, std::uint64_t value) const noexcept;
  // PTRACE_GETEVENTMSG: a new thread's id, an exit status, or a former thread id.
  [[nodiscard]] int event_message(unsigned long& out) const noexcept;

  [[nodiscard]] int resume(int signal) const noexcept;
  [[nodiscard]] int step(int signal) const noexcept;
  // Leaves a group-stopped thread stopped, yet able to report what follows.
  [[nodiscard]] int listen() const noexcept;
  [[nodiscard]] int interrupt() const noexcept;
  [[nodiscard]] int detach(int signal) const noexcept;

private:
  pid_t tid_;
};

// The stops a guard lives on. PTRACE_O_EXITKILL is left out on purpose: when the
// guard is killed its tracees go on.
[[nodiscard]] unsigned long guard_options() noexcept;

// A thread that this thread has seized and lets go again. Letting go of a thread
// that is not stopped is left to the kernel, which does it when the tracer exits.
class seized_tracee {
public:
  seized_tracee() noexcept = default;
  seized_tracee(seized_tracee&& other) noexcept : tid_(std::exchange(other.tid_, 0)) {}
  seized_tracee& operator=(seized_tracee&& other) noexcept {
    if (this != &other) {
      let_go();
      tid_ = std::exchange(other.tid_, 0);
    }
    return *this;
  }
  seized_tracee(const seized_tracee&) = delete;
  seized_tracee& operator=(const seized_tracee&) = delete;
  ~seized_tracee() { let_go(); }

  [[nodiscard]] int seize(pid_t tid, unsigned long options) noexcept;
  [[nodiscard]] tracee get() const noexcept { return tracee(tid_); }
  // The thread's own end is now the end of the tracing.
  pid_t release() noexcept { return std::exchange(tid_, 0); }

private:
  void let_go() noexcept;
  pid_t tid_ = 0;
};

} // namespace deadbolt::guard
#endif
