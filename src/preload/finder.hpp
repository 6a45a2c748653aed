// SPDX-License-Identifier: MIT
// Finds libdeadbolt-pthread.so beside this command, and reads its status from a running process.
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
