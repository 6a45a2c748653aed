// SPDX-License-Identifier: MIT
// Steps a traced child by one instruction, or by one sequence of a load and a store exclusive.
#ifndef DEADBOLT_TESTS_SINGLE_STEP_HPP
#define DEADBOLT_TESTS_SINGLE_STEP_HPP

#include <stepping.hpp>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <vector>

namespace deadbolt::testing {

// The signal that the child stopped with, -1 if it did not stop.
inline int next_stop(pid_t child) noexcept {
  int status = 0;
  return waitpid(child, &status, __WALL) == child && WIFSTOPPED(status) ? WSTOPSIG(status) : -1;
}

inline std::uint64_t peek(pid_t child, std::uint64_t address) noexcept {
  return static_cast<std::uint64_t>(ptrace(PTRACE_PEEKDATA, child, address, nullptr));
}

struct code_of {
  pid_t child;
  std::uint32_t operator()(std::uint64_t place) const noexcept {
    return static_cast<std::uint32_t>(peek(child, place));
  }
};

inline trace::exclusive_sequence sequence_at_stop(pid_t child) {
  return trace::find_exclusive_sequence(arch::instruction_pointer(child), code_of{child});
}

// Runs to the first of some places, by breakpoints that are gone afterwards. Returns the signal of
// the stop: SIGTRAP at one of the places.
inline int run_to_any(pid_t child, const std::vector<std::uint64_t>& places) {
  std::vector<std::uint64_t> codes;
  for (const std::uint64_t place : places) {
    codes.push_back(peek(child, place));
    ptrace(PTRACE_POKETEXT, child, place, arch::with_breakpoint(codes.back()));
  }
  ptrace(PTRACE_CONT, child, nullptr, nullptr);
  const int signal = next_stop(child);
  // The last first: the 8 bytes that were read at one place can hold another's breakpoint.
  for (std::size_t i = places.size(); i-- > 0;) {
    ptrace(PTRACE_POKETEXT, child, places[i], codes[i]);
  }
  if (signal == SIGTRAP) {
    arch::set_instruction_pointer(child, arch::instruction_pointer(child) - arch::breakpoint_size);
  }
  return signal;
}

// Returns the signal of the stop: SIGTRAP after the instruction or the sequence.
inline int single_step(pid_t child) {
  const trace::exclusive_sequence sequence = sequence_at_stop(child);
  if (sequence.exit_count != 0) {
    return run_to_any(child, {sequence.exits, sequence.exits + sequence.exit_count});
  }
  ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr);
  return next_stop(child);
}

// At the start of a sequence of a load and a store exclusive: goes to its n-th instruction; for its
// length, to behind the store, which fails because of the stop in front of it. False if the
// sequence was left before.
inline bool step_inside(pid_t child, unsigned n) {
  const trace::exclusive_sequence sequence = sequence_at_stop(child);
  const std::uint64_t start = arch::instruction_pointer(child);
  const unsigned stop = n < sequence.length ? n : sequence.length - 1;
  std::vector<std::uint64_t> places(sequence.exits, sequence.exits + sequence.exit_count);
  places.push_back(start + std::uint64_t{stop} * 4);
  if (run_to_any(child, places) != SIGTRAP || arch::instruction_pointer(child) != places.back())
    return false;
  if (n < sequence.length) return true;
  ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr);
  return next_stop(child) == SIGTRAP;
}

} // namespace deadbolt::testing
#endif
