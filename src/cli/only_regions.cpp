// SPDX-License-Identifier: MIT
// The subcommands that need unlock blocks and a stepper, on an architecture that has neither: they
// say so, whatever their arguments are.
#include "cli/subcommand.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <sys/utsname.h>
#include <vector>

namespace deadbolt::cli {
namespace {

constexpr int not_there = 2;

void refuse(CLI::App& app, int& status, const char* name) {
  CLI::App* sub = app.add_subcommand(name, "Not there on this architecture");
  sub->set_help_flag();
  sub->allow_extras();
  // Also what follows "--", which would be the command's own otherwise.
  const auto ignored = std::make_shared<std::vector<std::string>>();
  sub->add_option("arguments", *ignored);
  sub->callback([name, &status, ignored] {
    utsname machine{};
    ::uname(&machine);
    std::fprintf(stderr,
                 "deadbolt %s: not there on %s. It needs code that is written for x86-64 and "
                 "aarch64 only: the unlock of robust_mutex and what steps through it. The locks in "
                 "regions work here, need no guard, and `deadbolt inspect` shows them.\n",
                 name, machine.machine);
    status = not_there;
  });
}

} // namespace

void add_crash_test(CLI::App& app, int& status) {
  refuse(app, status, "crash-test");
}
void add_doctor(CLI::App& app, int& status) {
  refuse(app, status, "doctor");
}
void add_guard(CLI::App& app, int& status) {
  refuse(app, status, "guard");
}
void add_preload(CLI::App& app, int& status) {
  refuse(app, status, "preload");
}
void add_run(CLI::App& app, int& status) {
  refuse(app, status, "run");
}
void add_windows(CLI::App& app, int& status) {
  refuse(app, status, "windows");
}

} // namespace deadbolt::cli
