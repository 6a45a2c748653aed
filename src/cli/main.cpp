// SPDX-License-Identifier: MIT
#include "cli/subcommand.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  try {
    CLI::App app("Robust locks in shared memory that survive the death of their owner.");
    app.name("deadbolt");
    // A command line without a subcommand is refused below: with a minimum of 1 here, CLI11 would
    // report an unknown subcommand as a missing one.
    app.require_subcommand(0, 1);
    app.set_version_flag("--version", DEADBOLT_VERSION);

    int status = 0;
    deadbolt::cli::add_crash_test(app, status);
    deadbolt::cli::add_doctor(app, status);
    deadbolt::cli::add_guard(app, status);
    deadbolt::cli::add_inspect(app, status);
    deadbolt::cli::add_preload(app, status);
    deadbolt::cli::add_run(app, status);
    deadbolt::cli::add_windows(app, status);
    try {
      app.parse(argc, argv);
      if (app.get_subcommands().empty()) throw CLI::RequiredError::Subcommand(1);
    } catch (const CLI::ParseError& error) {
      // CLI11 has a status for each kind of mistake; this command has one: bad usage.
      return app.exit(error) == 0 ? 0 : 2;
    }
    // Report write errors such as ENOSPC.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      std::fputs("deadbolt: standard output could not be written\n", stderr);
      return 2;
    }
    return status;
  } catch (const std::exception& error) {
    std::fputs("deadbolt: ", stderr);
    std::fputs(error.what(), stderr);
    std::fputs("\n", stderr);
    return 2;
  }
}
