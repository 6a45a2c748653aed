// SPDX-License-Identifier: MIT
// The window tables of the libcs of this machine: measured once, then stored.
//
// They are stored in /var/cache/deadbolt/windows if the caller is root, else in
// $XDG_CACHE_HOME/deadbolt/windows or ~/.cache/deadbolt/windows, one BUILD-ID.windows
// each; on aarch64 BUILD-ID.lse.windows or BUILD-ID.llsc.windows, by the processor. A file or
// directory that another user could have written is not used.
#ifndef DEADBOLT_GUARD_UNLOCK_WINDOWS_KNOWN_LIBCS_HPP
#define DEADBOLT_GUARD_UNLOCK_WINDOWS_KNOWN_LIBCS_HPP

#include "guard/unlock_windows/table.hpp"

#include <optional>
#include <string>
#include <vector>

namespace deadbolt::guard {

// The libcs at the usual paths, each file once.
[[nodiscard]] std::vector<std::string> installed_libcs();

// Empty if there is none (no home directory).
[[nodiscard]] std::string window_cache_directory();
// The name of a table's file in it.
[[nodiscard]] std::string window_table_file(const std::string& build_id);
[[nodiscard]] std::optional<window_table> load_window_table(const std::string& directory,
                                                            const std::string& build_id);
// False, with errno, when it could not be written.
bool store_window_table(const std::string& directory, const window_table& table);

struct known_windows {
  window_set set;
  struct libc {
    std::string path;
    std::string build_id;
    std::size_t windows = 0;
    bool measured = false; // in this call; otherwise read from the cache
    std::string error;     // why it has no windows
  };
  std::vector<libc> libcs;
};

// Reads each libc's table from the cache, or measures it and stores it there.
[[nodiscard]] known_windows know_libcs(const std::vector<std::string>& paths);

} // namespace deadbolt::guard
#endif
