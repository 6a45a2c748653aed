// SPDX-License-Identifier: MIT
// One run of the probe, from its start to the clear that ends the window.
#ifndef DEADBOLT_GUARD_WINDOWS_PROBE_RUN_HPP
#define DEADBOLT_GUARD_WINDOWS_PROBE_RUN_HPP

#include "guard/ptrace/tracee.hpp"
#include "guard/windows/stepper.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace deadbolt::guard {

struct probe_scenario {
  const char* name;
  std::array<const char*, 4> arguments; // as probe_protocol.h has them
  // WAITERS is set in the word just before a compare-exchange that would release it:
  // the way that the code goes when that fails.
  bool late_waiter = false;
};

// What came before the instruction at which a sample was taken.
enum class came_from : std::uint8_t { elsewhere, compare_exchange, unlock_pi };

// One instruction, before it is executed, with list_op_pending set.
struct probe_sample {
  std::uint64_t offset; // from where the libc is mapped
  std::array<std::uint8_t, DEADBOLT_WINDOW_CODE_SIZE> code;
  bool has_code; // false: its page has no 16 readable bytes before or behind
  bool released;
  bool owed;
  bool zero_flag;
  bool zero_result;  // rax is 0
  bool error_result; // rax is what a system call that failed returns
  came_from after;   // the release, when it was the step before
};

struct probe_result {
  std::vector<probe_sample> samples;
  std::size_t steps = 0;
  bool has_list = true;    // false: the libc puts such a mutex on no robust list
  std::size_t outside = 0; // released and pending, but not in the libc's code
  std::string error;       // empty: the operation was stepped to its end
};

[[nodiscard]] probe_result run_probe(const probe_files& files, const probe_scenario& scenario);

} // namespace deadbolt::guard
#endif
