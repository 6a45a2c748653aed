// SPDX-License-Identifier: MIT
// libFuzzer's entry: reads any bytes as a table of libc windows. A table that is accepted must be
// written as the same bytes.
#include <guard/unlock_windows/table.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deadbolt::guard;
  std::string error;
  const auto table = parse_window_table({reinterpret_cast<const char*>(data), size}, error);
  if (!table) {
    if (error.empty()) std::abort();
    return 0;
  }
  if (!is_build_id(table->build_id) || table->windows.size() > max_windows) std::abort();
  const auto again = parse_window_table(format_window_table(*table), error);
  if (!again || format_window_table(*again) != format_window_table(*table)) std::abort();
  return 0;
}
