// SPDX-License-Identifier: MIT
// What the preload library has found and done in its process. `deadbolt doctor --pid` finds
// it from outside, by its magic in the library's data.
#ifndef DEADBOLT_PRELOAD_STATUS_HPP
#define DEADBOLT_PRELOAD_STATUS_HPP

#include <cstdint>

namespace deadbolt::preload {

enum class level : std::uint32_t {
  loading = 0,
  none = 1,      // every call goes to the libc
  interpose = 2, // the program's calls are handled, the libc's own not
  hook = 3,      // both
};

[[nodiscard]] constexpr const char* to_string(level level) noexcept {
  switch (level) {
  case level::loading:
    break;
  case level::none:
    return "none";
  case level::interpose:
    return "interpose";
  case level::hook:
    return "hook";
  }
  return "loading";
}

// Texts end with 0.
struct status {
  static constexpr char expected_magic[] = "deadbolt-preload";

  char magic[16];
  std::uint32_t size; // of this structure
  enum level level;
  std::uint32_t protected_by_kernel;
  char engine[20];
  char libc_version[16];
  char reason[160]; // why the level is not hook, or the engine not the kernel's best
};
static_assert(sizeof status::magic + 1 == sizeof status::expected_magic);

} // namespace deadbolt::preload
#endif
