// SPDX-License-Identifier: MIT
// The attached BPF guard, seen through its pins in the BPF file system. Uses the system call; needs
// no libbpf.
#ifndef DEADBOLT_GUARD_BPF_PINS_HPP
#define DEADBOLT_GUARD_BPF_PINS_HPP

#include "guard/bpf/shared.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace deadbolt::guard {

inline constexpr const char* bpf_file_system = "/sys/fs/bpf";
inline constexpr const char* bpf_directory = "/sys/fs/bpf/deadbolt";
inline constexpr const char* bpf_link_pin = "/sys/fs/bpf/deadbolt/link";
inline constexpr const char* bpf_counters_pin = "/sys/fs/bpf/deadbolt/counters";

struct bpf_counts {
  std::array<std::uint64_t, DEADBOLT_BPF_COUNTERS> values{};
  [[nodiscard]] std::uint64_t operator[](deadbolt_bpf_counter which) const noexcept {
    return values[static_cast<std::size_t>(which)];
  }
};
// The counter's JSON key: "signals", "block_clears" and so on.
[[nodiscard]] std::string_view name_of(deadbolt_bpf_counter which) noexcept;

// The attached guard's counts. None, and the reason, if no guard is attached (error_number is
// ENOENT) or the caller may not read them (EPERM, EACCES).
struct bpf_look {
  std::optional<bpf_counts> counts;
  int error_number = 0;
  std::string error;
};
[[nodiscard]] bpf_look look_at_bpf_guard();

// Removes the pins, and with them the guard. 0, ENOENT if there is none, or another errno value.
[[nodiscard]] int detach_bpf_guard() noexcept;

} // namespace deadbolt::guard
#endif
