// SPDX-License-Identifier: MIT
// Where libdeadbolt-pthread.so lies, and what it says of a process that has it.
#ifndef DEADBOLT_PRELOAD_FINDER_HPP
#define DEADBOLT_PRELOAD_FINDER_HPP

#include "preload/status.hpp"

#include <optional>
#include <string>
#include <sys/types.h>

namespace deadbolt::preload {

// Beside this command, as it was built or installed; nothing: it is not there.
[[nodiscard]] std::optional<std::string> find_library();

// Puts it in front of what LD_PRELOAD names already, for the programs that this process
// starts.
void put_before_children(const std::string& library);

enum class presence { loaded, absent, not_readable };
struct process_look {
  presence library = presence::absent;
  status said{}; // when loaded
};
// Looks into the memory of a running process.
[[nodiscard]] process_look look_at(pid_t pid);

} // namespace deadbolt::preload
#endif
