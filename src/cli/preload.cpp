// SPDX-License-Identifier: MIT
// deadbolt preload
#include "cli/doctor/checks.hpp"
#include "cli/subcommand.hpp"
#include "preload/finder.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <memory>

namespace deadbolt::cli {
namespace {

constexpr const char* preload_description =
    "Say what libdeadbolt-pthread.so does for pthread's robust mutexes on this machine.\n"
    "  LD_PRELOAD=$(deadbolt preload --print) COMMAND   without a guard\n"
    "  deadbolt run --preload COMMAND                   under the ptrace guard\n"
    "Exit status: 0 if the level is hook, so that the unlock in pthread_cond_wait is the\n"
    "library's, too; 1 if not, or if the library is not there. The command prints the reason.";

int show_preload(bool print) {
  const std::optional<std::string> library = preload::find_library();
  if (!library) {
    fmt::print(stderr, "deadbolt preload: libdeadbolt-pthread.so is neither where it is installed "
                       "nor where it is built\n");
    return 1;
  }
  if (print) {
    fmt::print("{}\n", *library);
    return 0;
  }
  const doctor::finding found = doctor::judge_preload(doctor::gather_preload_facts());
  fmt::print("{}\n", found.what);
  if (!found.what_to_do.empty()) fmt::print("-> {}\n", found.what_to_do);
  return found.severity == doctor::level::ok ? 0 : 1;
}

} // namespace

void add_preload(CLI::App& app, int& status) {
  auto print = std::make_shared<bool>(false);
  CLI::App* sub = app.add_subcommand("preload", preload_description);
  sub->add_flag("--print", *print, "Print the library's path and nothing else");
  sub->callback([print, &status] { status = show_preload(*print); });
}

} // namespace deadbolt::cli
