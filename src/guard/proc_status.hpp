// SPDX-License-Identifier: MIT
// /proc/ID/status, read once.
#ifndef DEADBOLT_GUARD_PROC_STATUS_HPP
#define DEADBOLT_GUARD_PROC_STATUS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <sys/types.h>

namespace deadbolt::guard {

class proc_status {
public:
  // Empty if there is no such thread or no /proc.
  [[nodiscard]] static proc_status of(pid_t tid) noexcept;
  [[nodiscard]] static proc_status of_self() noexcept;
  // From the text of such a file; the text beyond 16 KiB is cut off.
  [[nodiscard]] static proc_status from_text(std::string_view text) noexcept;

  // The rest of the line that starts with the key. The key includes the colon.
  [[nodiscard]] std::optional<std::string_view> value(std::string_view key) const noexcept;
  // The last decimal number on that line.
  [[nodiscard]] std::optional<long> last_number(std::string_view key) const noexcept;
  // The line's value as a hexadecimal mask (capabilities, signal sets).
  [[nodiscard]] std::optional<std::uint64_t> mask(std::string_view key) const noexcept;

private:
  void read(const char* path) noexcept;
  std::array<char, 16384> text_{};
  std::size_t size_ = 0;
};

} // namespace deadbolt::guard
#endif
