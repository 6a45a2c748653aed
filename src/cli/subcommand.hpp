// SPDX-License-Identifier: MIT
// One file a subcommand, one function a file. Each adds its subcommand to the
// command line and stores its exit status when it has run.
#ifndef DEADBOLT_CLI_SUBCOMMAND_HPP
#define DEADBOLT_CLI_SUBCOMMAND_HPP

namespace CLI { // NOLINT(readability-identifier-naming): CLI11's
class App;
}

namespace deadbolt::cli {

void add_crash_test(CLI::App& app, int& status);
void add_doctor(CLI::App& app, int& status);
void add_guard(CLI::App& app, int& status);
void add_inspect(CLI::App& app, int& status);
void add_preload(CLI::App& app, int& status);
void add_run(CLI::App& app, int& status);
void add_windows(CLI::App& app, int& status);

} // namespace deadbolt::cli
#endif
