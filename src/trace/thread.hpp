// SPDX-License-Identifier: MIT
// One traced thread: what a tracer can ask of it while it is stopped, and what its stops mean.
//
// All calls must come from the thread that attached: ptrace ties a traced thread to one thread of
// its tracer. A call returns 0 or an errno value. ESRCH means that the thread is not stopped, most
// often because SIGKILL ended its stop; a tracer of several threads then goes on with the others.
#ifndef DEADBOLT_TRACE_THREAD_HPP
#define DEADBOLT_TRACE_THREAD_HPP

#include "trace/address.hpp"

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <registers.hpp>
#include <sys/types.h>
#include <utility>

namespace deadbolt::trace {

enum class stop_kind : std::uint8_t {
  ended,           // not a stop: the thread is gone, there is nothing to resume
  exiting,         // PTRACE_EVENT_EXIT: registers intact, robust list not yet walked
  signal_delivery, // about to take `signal`; no signal frame has been pushed
  group_stop,      // job control stopped the process, by `signal`
  notice,          // a seized thread's first stop, an interrupt, or the end of a group stop
  new_thread,      // fork, vfork or clone: the new thread is traced already
  executed,        // execve is done; the event message is the thread's former id
};

struct stop_event {
  pid_t tid = 0;
  stop_kind kind = stop_kind::ended;
  int signal = 0; // of signal_delivery and group_stop
  int status = 0; // as waitpid gave it

  // The end of a single step, a breakpoint, or the execve of a PTRACE_TRACEME child.
  [[nodiscard]] bool is_trap() const noexcept {
    return kind == stop_kind::signal_delivery && signal == SIGTRAP;
  }
  // With PTRACE_O_TRACESYSGOOD: the entry to a system call, or the return from it.
  [[nodiscard]] bool is_system_call() const noexcept {
    return kind == stop_kind::signal_delivery && signal == (SIGTRAP | 0x80);
  }
};

[[nodiscard]] stop_event classify_stop(pid_t tid, int wait_status) noexcept;

// Names a traced thread; owns nothing.
class traced_thread {
public:
  explicit traced_thread(pid_t tid = 0) noexcept : tid_(tid) {}
  [[nodiscard]] pid_t tid() const noexcept { return tid_; }

  [[nodiscard]] int get_registers(registers& out) const noexcept;
  [[nodiscard]] int set_registers(const registers& in) const noexcept;
  // Any alignment, any address; EIO or EFAULT where nothing is mapped.
  [[nodiscard]] int read(address from, void* to, std::size_t bytes) const noexcept;
  // The 4-byte word at a 4-byte aligned address.
  [[nodiscard]] int read_word(address from, std::uint32_t& out) const noexcept;
  // 8 bytes. A private page that the thread may not write, its code for one, is copied first.
  [[nodiscard]] int write(address to, std::uint64_t value) const noexcept;
  [[nodiscard]] int set_options(unsigned long options) const noexcept;
  // PTRACE_GETEVENTMSG: a new thread's id, an exit status, or a former thread id.
  [[nodiscard]] int event_message(unsigned long& out) const noexcept;

  // A signal other than 0 is delivered on the way.
  [[nodiscard]] int resume(int signal = 0) const noexcept;
  [[nodiscard]] int step(int signal = 0) const noexcept;
  // Runs to the entry of the next system call, or from there to its return.
  [[nodiscard]] int resume_to_system_call() const noexcept;
  // Leaves a group-stopped thread stopped, yet able to report what follows.
  [[nodiscard]] int listen() const noexcept;
  [[nodiscard]] int interrupt() const noexcept;
  [[nodiscard]] int detach(int signal = 0) const noexcept;

  // Waits for the thread's next stop or its end. 0 or an errno value.
  [[nodiscard]] int wait(stop_event& out) const noexcept;
  // wait() would return at once.
  [[nodiscard]] bool has_stopped() const noexcept;

private:
  pid_t tid_;
};

// A thread that this thread has seized and detaches from at the end. If it is not stopped then, the
// kernel detaches it when the tracer exits.
class seized_thread {
public:
  seized_thread() noexcept = default;
  seized_thread(seized_thread&& other) noexcept : tid_(std::exchange(other.tid_, 0)) {}
  seized_thread& operator=(seized_thread&& other) noexcept {
    if (this != &other) {
      detach();
      tid_ = std::exchange(other.tid_, 0);
    }
    return *this;
  }
  seized_thread(const seized_thread&) = delete;
  seized_thread& operator=(const seized_thread&) = delete;
  ~seized_thread() { detach(); }

  // PTRACE_SEIZE: does not stop the thread.
  [[nodiscard]] int seize(pid_t tid, unsigned long options) noexcept;
  [[nodiscard]] traced_thread get() const noexcept { return traced_thread(tid_); }
  // Tracing now ends with the thread.
  pid_t release() noexcept { return std::exchange(tid_, 0); }

private:
  void detach() noexcept;
  pid_t tid_ = 0;
};

} // namespace deadbolt::trace
#endif
