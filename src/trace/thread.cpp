// SPDX-License-Identifier: MIT
#include "trace/thread.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::trace {
namespace {

bool stops_a_process(int signal) noexcept {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

// The bare system call: glibc's wrapper returns a peeked word as its result, which cannot be told
// from an error.
int request(long what, pid_t tid, std::uint64_t at, std::uint64_t data) noexcept {
  return ::syscall(SYS_ptrace, what, tid, at, data) == -1 ? errno : 0;
}

template <class T>
int request_with(long what, pid_t tid, std::uint64_t at, T& data) noexcept {
  return ::syscall(SYS_ptrace, what, tid, at, &data) == -1 ? errno : 0;
}

} // namespace

stop_event classify_stop(pid_t tid, int wait_status) noexcept {
  stop_event event{.tid = tid, .status = wait_status};
  if (!WIFSTOPPED(wait_status)) return event;
  const int signal = WSTOPSIG(wait_status);
  switch (wait_status >> 16) {
  case 0:
    event.kind = stop_kind::signal_delivery;
    event.signal = signal;
    return event;
  case PTRACE_EVENT_EXIT:
    event.kind = stop_kind::exiting;
    return event;
  case PTRACE_EVENT_FORK:
  case PTRACE_EVENT_VFORK:
  case PTRACE_EVENT_CLONE:
    event.kind = stop_kind::new_thread;
    return event;
  case PTRACE_EVENT_EXEC:
    event.kind = stop_kind::executed;
    return event;
  case PTRACE_EVENT_STOP:
    if (stops_a_process(signal)) {
      event.kind = stop_kind::group_stop;
      event.signal = signal;
      return event;
    }
    [[fallthrough]];
  default:
    event.kind = stop_kind::notice;
    return event;
  }
}

int traced_thread::get_registers(registers& out) const noexcept {
  return out.load(tid_);
}

int traced_thread::set_registers(const registers& in) const noexcept {
  return in.store(tid_);
}

int traced_thread::read(address from, void* to, std::size_t bytes) const noexcept {
  // Aligned words: no peek crosses the end of a mapping that holds all the bytes asked for.
  auto* out = static_cast<unsigned char*>(to);
  std::uint64_t at = from.value();
  while (bytes != 0) {
    const std::uint64_t skip = at % sizeof(std::uint64_t);
    std::uint64_t word = 0;
    if (const int error = request_with(PTRACE_PEEKDATA, tid_, at - skip, word)) return error;
    const std::size_t taken = std::min<std::size_t>(bytes, sizeof word - skip);
    unsigned char raw[sizeof word];
    std::memcpy(raw, &word, sizeof word);
    std::memcpy(out, raw + skip, taken);
    out += taken;
    at += taken;
    bytes -= taken;
  }
  return 0;
}

int traced_thread::read_word(address from, std::uint32_t& out) const noexcept {
  if (from.value() % sizeof out != 0) return EINVAL;
  return read(from, &out, sizeof out);
}

int traced_thread::write(address to, std::uint64_t value) const noexcept {
  return request(PTRACE_POKEDATA, tid_, to.value(), value);
}

int traced_thread::set_options(unsigned long options) const noexcept {
  return request(PTRACE_SETOPTIONS, tid_, 0, options);
}

int traced_thread::event_message(unsigned long& out) const noexcept {
  return request_with(PTRACE_GETEVENTMSG, tid_, 0, out);
}

int traced_thread::resume(int signal) const noexcept {
  return request(PTRACE_CONT, tid_, 0, static_cast<std::uint64_t>(signal));
}

int traced_thread::step(int signal) const noexcept {
  return request(PTRACE_SINGLESTEP, tid_, 0, static_cast<std::uint64_t>(signal));
}

int traced_thread::resume_to_system_call() const noexcept {
  return request(PTRACE_SYSCALL, tid_, 0, 0);
}

int traced_thread::listen() const noexcept {
  return request(PTRACE_LISTEN, tid_, 0, 0);
}

int traced_thread::interrupt() const noexcept {
  return request(PTRACE_INTERRUPT, tid_, 0, 0);
}

int traced_thread::detach(int signal) const noexcept {
  return request(PTRACE_DETACH, tid_, 0, static_cast<std::uint64_t>(signal));
}

int traced_thread::wait(stop_event& out) const noexcept {
  int status = 0;
  while (::waitpid(tid_, &status, __WALL) < 0)
    if (errno != EINTR) return errno;
  out = classify_stop(tid_, status);
  return 0;
}

bool traced_thread::has_stopped() const noexcept {
  siginfo_t stop{};
  ::waitid(P_PID, static_cast<id_t>(tid_), &stop, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL);
  return stop.si_pid != 0;
}

int seized_thread::seize(pid_t tid, unsigned long options) noexcept {
  detach();
  if (const int error = request(PTRACE_SEIZE, tid, 0, options)) return error;
  tid_ = tid;
  return 0;
}

void seized_thread::detach() noexcept {
  if (tid_ != 0) static_cast<void>(traced_thread(std::exchange(tid_, 0)).detach());
}

} // namespace deadbolt::trace
