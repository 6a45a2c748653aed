// SPDX-License-Identifier: MIT
// Runs a command with a guard over its whole process tree.
//
//   this process: the command's parent, stands in for it: signals, stops, status
//     |- guard:   traces; in a session of its own
//     `- command: a plain child, in our process group
//
// Three processes and not two, because the stand-in must stop when the command is
// stopped, and a tracer that stops takes the whole tree with it.
#ifndef DEADBOLT_GUARD_PTRACE_GUARDED_COMMAND_HPP
#define DEADBOLT_GUARD_PTRACE_GUARDED_COMMAND_HPP

#include "guard/ptrace/stop_handler.hpp"

#include <optional>
#include <string>

namespace deadbolt::guard {

// Exit statuses of our own, as env(1) and timeout(1) have them.
inline constexpr int status_guard_failed = 125;
inline constexpr int status_cannot_execute = 126;
inline constexpr int status_not_found = 127;

struct guarded_result {
  int status = 0;                     // the command's; 128+signal for death by one
  std::string error;                  // set when the command was not run
  bool guard_was_killed = false;      // before the command ended, or before the tree did
  std::optional<guard_counts> counts; // when the tree is gone and the guard lived to tell
};

// arguments: as for execvp, null-terminated. wait_for_tree: return when the last
// process of the tree is gone, with the counts, and not when the command is; the
// guard stays with what the command leaves behind in either case. libcs: the windows
// that are repaired besides the blocks that describe themselves.
[[nodiscard]] guarded_result run_guarded(char* const* arguments, bool wait_for_tree,
                                         const window_set& libcs);

} // namespace deadbolt::guard
#endif
