// SPDX-License-Identifier: MIT
// deadbolt run [--] COMMAND...
#include "cli/json_text.hpp"
#include "cli/subcommand.hpp"
#include "guard/ptrace/guarded_command.hpp"
#include "guard/unlock_windows/known_libcs.hpp"
#include "preload/finder.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace deadbolt::cli {
namespace {

struct run_options {
  std::vector<std::string> command;
  std::string json;
  std::vector<std::string> libcs;
  bool no_libc = false;
  bool wait = false;
  bool preload = false;
  bool verbose = false;
};

constexpr const char* run_description =
    "Run a command under the ptrace guard: each thread of its process tree that dies\n"
    "or takes a signal inside an unlock window is repaired. Options of run come\n"
    "before COMMAND.\n"
    "Exit status: the command's, 128+N if signal N killed it; 125 if the guard\n"
    "cannot work here, 126 if the command cannot be executed, 127 if it is not found.";

void print_summary(const guard::guard_counts& counts) {
  fmt::print(stderr,
             "deadbolt run: repaired {} at exit and {} at a signal, of {} threads and {} signals; "
             "{} wakes left to the kernel, {} refused\n",
             counts.repaired_at_exit, counts.repaired_at_signal, counts.threads, counts.signals,
             counts.left_to_kernel, counts.refused);
}

// False when the file cannot be written.
bool write_json(const std::string& path, const guard::guarded_result& result) {
  nlohmann::ordered_json json{{"status", result.status},
                              {"guard_was_killed", result.guard_was_killed}};
  if (result.counts) {
    const guard::guard_counts& counts = *result.counts;
    json["threads"] = counts.threads;
    json["signals"] = counts.signals;
    json["repaired_at_exit"] = counts.repaired_at_exit;
    json["repaired_at_signal"] = counts.repaired_at_signal;
    json["left_to_kernel"] = counts.left_to_kernel;
    json["refused"] = counts.refused;
  }
  if (path == "-") {
    std::cout << json_text(json) << std::endl;
    return static_cast<bool>(std::cout);
  }
  std::ofstream file(path);
  file << json_text(json) << std::endl;
  return static_cast<bool>(file);
}

guard::known_windows know_libcs(const run_options& options) {
  if (options.no_libc) return {};
  std::vector<std::string> paths = guard::installed_libcs();
  paths.insert(paths.end(), options.libcs.begin(), options.libcs.end());
  guard::known_windows known = guard::know_libcs(paths);
  // A libc that cannot be measured is reported only if it was asked for, or with --verbose: the
  // line would stand in the command's output.
  for (std::size_t i = 0; i < known.libcs.size(); ++i) {
    const bool is_asked_for = i >= paths.size() - options.libcs.size();
    const auto& libc = known.libcs[i];
    if (!libc.error.empty() && (is_asked_for || options.verbose))
      fmt::print(stderr, "deadbolt run: the locks of {} are not guarded: {}\n", libc.path,
                 libc.error);
  }
  return known;
}

int run(run_options& options) {
  std::vector<char*> arguments;
  arguments.reserve(options.command.size() + 1);
  for (std::string& argument : options.command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);

  const bool wait_for_tree = options.wait || options.verbose || !options.json.empty();
  const guard::known_windows known = know_libcs(options);
  if (options.preload) {
    const std::optional<std::string> library = preload::find_library();
    if (!library) {
      fmt::print(stderr, "deadbolt run: libdeadbolt-pthread.so is neither where it is installed "
                         "nor where it is built\n");
      return guard::status_guard_failed;
    }
    preload::put_before_children(*library);
  }
  const guard::guarded_result result =
      guard::run_guarded(arguments.data(), wait_for_tree, known.set);
  if (!result.error.empty()) fmt::print(stderr, "deadbolt run: {}\n", result.error);
  if (result.guard_was_killed)
    fmt::print(stderr, "deadbolt run: the guard was killed; the program went on without it\n");
  if (options.verbose && result.counts) print_summary(*result.counts);
  if (!options.json.empty() && !write_json(options.json, result)) {
    fmt::print(stderr, "deadbolt run: cannot write {}\n", options.json);
    return result.status == 0 ? guard::status_guard_failed : result.status;
  }
  return result.status;
}

} // namespace

void add_run(CLI::App& app, int& status) {
  auto options = std::make_shared<run_options>();
  CLI::App* sub = app.add_subcommand("run", run_description);
  sub->add_flag("--wait", options->wait,
                "Return when the last process of the tree is gone, not when COMMAND is");
  sub->add_flag("--preload", options->preload,
                "Put libdeadbolt-pthread.so in front of COMMAND's libc: pthread's robust mutexes "
                "are then released by the best engine of this machine");
  sub->add_flag("-v,--verbose", options->verbose, "Count the repairs on stderr; implies --wait");
  sub->add_option("--json", options->json, "Write the counts to FILE, - for stdout; implies --wait")
      ->type_name("FILE");
  sub->add_option("--libc", options->libcs,
                  "Guard the locks of this libc too, besides those of this machine's")
      ->type_name("FILE")
      ->allow_extra_args(false);
  sub->add_flag("--no-libc", options->no_libc, "Guard only this library's locks, no libc's");
  sub->add_option("COMMAND", options->command, "The command and its arguments")->required();
  // From the first word on that is not an option of `run`, everything belongs to the command.
  sub->positionals_at_end();
  sub->callback([options, &status] { status = run(*options); });
}

} // namespace deadbolt::cli
