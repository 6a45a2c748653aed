// SPDX-License-Identifier: MIT
// Writes whole tables into a directory, for the fuzzer to damage.
#include <guard/unlock_windows/table.hpp>

#include <fstream>

int main(int argc, char** argv) {
  using namespace deadbolt::guard;
  if (argc != 2) return 2;
  constexpr std::uint8_t kinds[] = {DEADBOLT_CS_ALWAYS, DEADBOLT_CS_ZF, DEADBOLT_WINDOW_NO_ERROR};
  window_table table{.build_id = "0123456789abcdef", .windows = {}};
  for (const std::uint8_t kind : kinds) {
    table.windows.push_back(
        {.offset = 0x8a2f4, .code = {kind}, .what = {kind, 1}, .name = "unlock+0x12"});
    std::ofstream file{argv[1] + ("/seed" + std::to_string(kind)), std::ios::binary};
    file << "# a comment\n" << format_window_table(table);
    if (!file) return 1;
  }
  return 0;
}
