// SPDX-License-Identifier: MIT
// deadbolt windows [LIBC]
#include "cli/subcommand.hpp"
#include "guard/unlock_windows/known_libcs.hpp"
#include "guard/unlock_windows/measure.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace deadbolt::cli {
namespace {

struct windows_options {
  std::string libc;
  std::string directory;
  bool dry_run = false;
};

constexpr const char* windows_description =
    "Find the unlock windows of a libc (the instructions at which it has released a\n"
    "robust lock and list_op_pending still names the lock), by stepping through its\n"
    "unlock functions, and store them for the guards. LIBC is the path of a libc's shared object "
    "(default: those of this\n"
    "machine). It is run in a sandbox, never as root.\n"
    "Exit status: 0 if every libc was measured, 1 if not, 2 for bad usage.";

void print(const std::string& path, const guard::measurement& found) {
  fmt::print("{}\nbuild-id {}\n\n", path, found.table.build_id);
  fmt::print("{:<10} {:<6} {:<9} {:<34} {}\n", "offset", "wake", "proof", "instruction", "bytes");
  for (const guard::libc_window& window : found.table.windows) {
    std::string bytes;
    for (std::size_t i = DEADBOLT_WINDOW_CODE_BEFORE; i < window.code.size(); ++i)
      bytes += fmt::format("{:02x}", window.code[i]);
    fmt::print("{:#010x} {:<6} {:<9} {:<34} {}\n", window.offset,
               window.what.owed != 0 ? "owed" : "-", guard::proof_name(window.what.kind),
               window.name, bytes);
  }
  fmt::print("\n");
  for (const std::string& note : found.notes) fmt::print("{}\n", note);
}

bool measure(const std::string& libc, const windows_options& options) {
  std::string error;
  const auto found = guard::measure_windows(libc, error);
  if (!found) {
    fmt::print(stderr, "deadbolt windows: {}\n", error);
    return false;
  }
  print(libc, *found);
  if (options.dry_run) return true;
  const std::string directory =
      options.directory.empty() ? guard::window_cache_directory() : options.directory;
  if (!guard::store_window_table(directory, found->table)) {
    fmt::print(stderr, "deadbolt windows: cannot write {}/{}: {}\n", directory,
               guard::window_table_file(found->table.build_id), std::strerror(errno));
    return false;
  }
  fmt::print("kept as {}/{}\n\n", directory, guard::window_table_file(found->table.build_id));
  return true;
}

int windows(const windows_options& options) {
  std::vector<std::string> libcs{options.libc};
  if (options.libc.empty()) libcs = guard::installed_libcs();
  bool all = !libcs.empty();
  for (const std::string& libc : libcs) all = measure(libc, options) && all;
  return all ? 0 : 1;
}

} // namespace

void add_windows(CLI::App& app, int& status) {
  auto options = std::make_shared<windows_options>();
  CLI::App* sub = app.add_subcommand("windows", windows_description);
  sub->add_option("LIBC", options->libc, "A libc's shared object")->check(CLI::ExistingFile);
  sub->add_option("--keep-in", options->directory, "Keep the table in DIR, not with the others")
      ->type_name("DIR");
  sub->add_flag("--dry-run", options->dry_run, "Only show it");
  sub->callback([options, &status] { status = windows(*options); });
}

} // namespace deadbolt::cli
