// SPDX-License-Identifier: MIT
// Runs a command with a guard over its whole process tree.
//
//   parent:       this process: passes on signals, stops and the exit status
//     |- guard:   traces; in a session of its own
//     `- command: a plain child, in the parent's process group
//
// The parent must stop when the command is stopped. A tracer must not, because every tracee would
// stop at its next event: hence a process of its own for the guard.
#ifndef DEADBOLT_GUARD_PTRACE_GUARDED_COMMAND_HPP
#define DEADBOLT_GUARD_PTRACE_GUARDED_COMMAND_HPP

#include "guard/ptrace/stop_handler.hpp"

#include <optional>
#include <string>

namespace deadbolt::guard {

// Exit statuses of `deadbolt run` itself, as env(1) and timeout(1) have them.
inline constexpr int status_guard_failed = 125;
inline constexpr int status_cannot_execute = 126;
inline constexpr int status_not_found = 127;

struct guarded_result {
  int status = 0;                     // the command's; 128+signal for death by one
  std::string error;                  // set when the command was not run
  bool guard_was_killed = false;      // before the command ended, or before the tree did
  std::optional<guard_counts> counts; // when the whole tree has ended and the guard was not killed
};

// arguments: as for execvp, null-terminated. wait_for_tree: return, with the counts, when the last
// process of the tree has ended, and not when the command has. Processes that the command leaves
// behind stay guarded in either case. libcs: the windows that are repaired besides those of
// critical sections, which describe themselves.
[[nodiscard]] guarded_result run_guarded(char* const* arguments, bool wait_for_tree,
                                         const window_set& libcs);

} // namespace deadbolt::guard
#endif
