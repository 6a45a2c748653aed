// SPDX-License-Identifier: MIT
#include "guard/ptrace/tracee.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

// The bare system call: glibc's wrapper turns a peek's result into a return
// value that cannot be told from an error.
int request(long what, pid_t tid, std::uint64_t address, std::uint64_t data) noexcept {
  return ::syscall(SYS_ptrace, what, tid, address, data) == -1 ? errno : 0;
}

template <class T>
int request_into(long what, pid_t tid, std::uint64_t address, T& out) noexcept {
  return ::syscall(SYS_ptrace, what, tid, address, &out) == -1 ? errno : 0;
}

} // namespace

int tracee::get_registers(registers& out) const noexcept {
  return request_into(PTRACE_GETREGS, tid_, 0, out.raw());
}

int tracee::read(tracee_address from, void* to, std::size_t bytes) const noexcept {
  // Aligned words, so that no peek runs across the end of a mapping that the
  // bytes asked for do not leave.
  auto* out = static_cast<unsigned char*>(to);
  std::uint64_t at = from.value();
  while (bytes != 0) {
    const std::uint64_t skip = at % sizeof(std::uint64_t);
    std::uint64_t word = 0;
    if (const int error = request_into(PTRACE_PEEKDATA, tid_, at - skip, word)) return error;
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

int tracee::read_word(tracee_address from, std::uint32_t& out) const noexcept {
  if (from.value() % sizeof out != 0) return EINVAL;
  return read(from, &out, sizeof out);
}

int tracee::write(tracee_address to, std::uint64_t value) const noexcept {
  return request(PTRACE_POKEDATA, tid_, to.value(), value);
}

int tracee::event_message(unsigned long& out) const noexcept {
  return request_into(PTRACE_GETEVENTMSG, tid_, 0, out);
}

int tracee::resume(int signal) const noexcept {
  return request(PTRACE_CONT, tid_, 0, static_cast<std::uint64_t>(signal));
}

int tracee::step(int signal) const noexcept {
  return request(PTRACE_SINGLESTEP, tid_, 0, static_cast<std::uint64_t>(signal));
}

int tracee::listen() const noexcept {
  return request(PTRACE_LISTEN, tid_, 0, 0);
}

int tracee::interrupt() const noexcept {
  return request(PTRACE_INTERRUPT, tid_, 0, 0);
}

int tracee::detach(int signal) const noexcept {
  return request(PTRACE_DETACH, tid_, 0, static_cast<std::uint64_t>(signal));
}

unsigned long guard_options() noexcept {
  return PTRACE_O_TRACEEXIT | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
         PTRACE_O_TRACEEXEC;
}

int seized_tracee::seize(pid_t tid, unsigned long options) noexcept {
  let_go();
  if (const int error = request(PTRACE_SEIZE, tid, 0, options)) return error;
  tid_ = tid;
  return 0;
}

void seized_tracee::let_go() noexcept {
  if (tid_ != 0) static_cast<void>(tracee(std::exchange(tid_, 0)).detach(0));
}

} // namespace deadbolt::guard
