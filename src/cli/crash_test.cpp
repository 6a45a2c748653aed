// SPDX-License-Identifier: MIT
// deadbolt crash-test
#include "cli/json_text.hpp"
#include "cli/subcommand.hpp"
#include "crash/campaign.hpp"
#include "crash/demonstration.hpp"
#include "crash/failure.hpp"
#include "crash/locks.hpp"
#include "crash/report.hpp"
#include "guard/bpf/pins.hpp"
#include "guard/ptrace/permission.hpp"
#include "robust/engine.hpp"
#include "trace/process.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vector>

namespace deadbolt::cli {
namespace {

constexpr int status_clean = 0;
constexpr int status_not_clean = 1;
constexpr int status_bad_usage = 2;

constexpr const char* engine_variable = "DEADBOLT_ENGINE";

struct crash_test_options {
  std::vector<std::string> subjects;
  std::vector<std::string> scenarios;
  std::vector<std::string> guards;
  std::string engine;
  std::string json;
  std::string table;
  unsigned jobs = 0;
  bool list = false;
  bool verbose = false;
};

constexpr const char* crash_test_description =
    "Kill a process at every instruction of a lock operation and judge the result.\n"
    "With no option: every subject and scenario, without a guard and under the ptrace\n"
    "guard; first, one death is shown in bytes.\n"
    "Exit status: 0 if every protected row of ours is clean, 1 if not, or if it cannot\n"
    "work here, 2 for bad usage.";

// Those of `all` that `wanted` names by name or family; all if it names none. An unknown name is
// reported on stderr and makes the result empty.
template <class Thing, class Names>
std::vector<const Thing*> select(std::span<const Thing* const> all,
                                 const std::vector<std::string>& wanted, const char* kind,
                                 const Names& is_called) {
  for (const std::string& name : wanted) {
    const auto matches = [&](const Thing* thing) { return is_called(*thing, name); };
    if (std::any_of(all.begin(), all.end(), matches)) continue;
    std::string known;
    for (const Thing* const thing : all) known += fmt::format(" {}", thing->name());
    fmt::print(stderr, "deadbolt crash-test: no {} is called {}; there are:{}\n", kind, name,
               known);
    return {};
  }
  std::vector<const Thing*> chosen;
  for (const Thing* const thing : all) {
    const bool is_wanted =
        wanted.empty() || std::any_of(wanted.begin(), wanted.end(), [&](const std::string& name) {
          return is_called(*thing, name);
        });
    if (is_wanted) chosen.push_back(thing);
  }
  return chosen;
}

bool is_named(const crash::subject& subject, const std::string& name) {
  return subject.name() == name;
}
bool is_named(const crash::guard_driver& guard, const std::string& name) {
  return guard.name() == name;
}
bool is_named(const crash::scenario& scenario, const std::string& name) {
  return scenario.name() == name || scenario.family() == name;
}

void print_list() {
  const auto print = [](const auto& thing) {
    fmt::print("  {:<18} {}{}\n", thing.name(), thing.summary(),
               thing.by_name_only() ? " (only by name)" : "");
  };
  fmt::print("subjects:\n");
  for (const auto* const subject : crash::all_subjects()) print(*subject);
  fmt::print("scenarios:\n");
  for (const auto* const scenario : crash::all_scenarios()) print(*scenario);
  fmt::print("guards:\n");
  for (const auto* const guard : crash::all_guards()) {
    const std::string refusal = guard->unavailable();
    fmt::print("  {:<18} {}\n", guard->name(), refusal.empty() ? "available" : refusal);
  }
  fmt::print("engines:\n");
  for (const char* const* name = robust::engine_names; *name != nullptr; ++name)
    fmt::print("  {:<18} {}\n", *name,
               robust::engine_is_available(*name) ? "available" : "not here");
}

// This process's arguments, as it was given them.
std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline");
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');)
    arguments.push_back(std::move(argument));
  return arguments;
}

// The library chooses its engine when it is loaded. To use another one, the command starts itself
// again with the name in the environment. Returns only if that is not needed or not possible.
int use_engine(const std::string& name) {
  if (name.empty() || name == robust::this_engine().name) return status_clean;
  const bool is_known = std::any_of(robust::engine_names, std::end(robust::engine_names) - 1,
                                    [&](const char* known) { return name == known; });
  if (!is_known || !robust::engine_is_available(name.c_str())) {
    fmt::print(stderr, "deadbolt crash-test: the engine {} is not {} (--list shows them)\n", name,
               is_known ? "offered by this kernel" : "known");
    return status_bad_usage;
  }
  setenv(engine_variable, name.c_str(), 1);
  std::vector<std::string> arguments = own_arguments();
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv("/proc/self/exe", pointers.data());
  fmt::print(stderr, "deadbolt crash-test: cannot start again with {}={}: {}\n", engine_variable,
             name, std::strerror(errno));
  return status_bad_usage;
}

// The width of the terminal on stdout; 0 if stdout is none.
unsigned terminal_columns() {
  winsize size{};
  if (isatty(STDOUT_FILENO) != 1) return 0;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80;
}

bool has_variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool terminal_is_dumb() {
  const char* const kind = std::getenv("TERM");
  return kind == nullptr || std::strcmp(kind, "dumb") == 0;
}

// How to write text on stdout. In a file or a log: 80 columns, no colours.
crash::text_style style_of_stdout() {
  const unsigned columns = terminal_columns();
  crash::text_style style;
  if (columns != 0) style.columns = columns;
  style.colours = columns != 0 && !has_variable("NO_COLOR") && !terminal_is_dumb();
  return style;
}

class progress_bar {
public:
  explicit progress_bar(unsigned columns) : columns_{columns} {}
  progress_bar(const progress_bar&) = delete;
  progress_bar& operator=(const progress_bar&) = delete;
  ~progress_bar() {
    if (drawn_) fmt::print(stderr, "\r\x1b[K");
  }

  void update(std::size_t done, std::size_t total) {
    using namespace std::chrono;
    const auto now = steady_clock::now();
    if (columns_ == 0 || (done != total && now - last_ < milliseconds{100})) return;
    last_ = now;
    drawn_ = true;
    const std::string count = fmt::format("{} of {} kill points", done, total);
    // Brackets, a space, and the last column, which stays empty: a full line would scroll.
    const std::size_t used = count.size() + 4;
    const std::size_t width = columns_ > used ? std::min<std::size_t>(40, columns_ - used) : 0;
    if (width < 8) {
      fmt::print(stderr, "\r{}", count.substr(0, columns_ - 1));
      return;
    }
    const std::size_t filled = width * done / total;
    fmt::print(stderr, "\r[{:#<{}}{:<{}}] {}", "", filled, "", width - filled, count);
  }

private:
  unsigned columns_; // 0: no bar
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

// A file, "-" for stdout, or nothing. Opened before the run: a path that cannot be written costs no
// time.
class output {
public:
  explicit output(const std::string& path) : path_{path} {
    if (path == "-")
      stream_ = &std::cout;
    else if (!path.empty())
      file_.open(path);
  }
  output(const output&) = delete;
  output& operator=(const output&) = delete;
  ~output() = default;

  [[nodiscard]] bool takes_stdout() const { return stream_ == &std::cout; }
  // Reports on stderr if it does not.
  [[nodiscard]] bool works() const {
    if (path_.empty() || *stream_) return true;
    fmt::print(stderr, "deadbolt crash-test: cannot write {}\n", path_);
    return false;
  }
  void write(const std::string& text) {
    if (!path_.empty()) *stream_ << text << std::flush;
  }

private:
  std::string path_;
  std::ofstream file_;
  std::ostream* stream_ = &file_;
};

// What is wrong with a lock that is not protected, and with one that is, in one death each.
void print_demonstration(const crash::text_style& style) {
  constexpr std::array titles{std::pair{"glibc", "glibc's robust mutex"},
                              std::pair{"mutex", "deadbolt::mutex"}};
  std::vector<crash::demonstration> shown;
  try {
    for (const auto& [name, title] : titles)
      for (const auto* const subject : crash::all_subjects())
        if (subject->name() == name) shown.push_back(crash::demonstrate(title, *subject));
  } catch (const crash::failure& error) {
    fmt::print(stderr, "deadbolt crash-test: one death cannot be shown here: {}\n", error.what());
    return;
  }
  fmt::print("{}", crash::text_of(shown, style));
  std::fflush(stdout);
}

int crash_test(const crash_test_options& options) {
  if (const int status = use_engine(options.engine); status != status_clean) return status;
  if (options.list) {
    print_list();
    return status_clean;
  }
  const auto called = [](const auto& thing, const std::string& name) {
    return is_named(thing, name);
  };
  crash::campaign_plan plan;
  plan.subjects = select(crash::all_subjects(), options.subjects, "subject", called);
  if (options.subjects.empty()) // variants would double the time
    std::erase_if(plan.subjects, [](const auto* subject) { return subject->by_name_only(); });
  plan.scenarios = select(crash::all_scenarios(), options.scenarios, "scenario", called);
  if (options.scenarios.empty())
    std::erase_if(plan.scenarios, [](const auto* scenario) { return scenario->by_name_only(); });
  plan.guards = select(crash::all_guards(), options.guards, "guard", called);
  if (options.guards.empty()) {
    std::erase_if(plan.guards, [](const auto* guard) { return guard->watches_everything(); });
    plan.guards_the_protected = false; // only when it is asked for
  }
  if (plan.guards.size() > 1 && std::ranges::any_of(plan.guards, [](const auto* guard) {
        return guard->watches_everything();
      })) {
    fmt::print(stderr, "deadbolt crash-test: the BPF guard watches the whole machine, the rows of "
                       "other guards too: ask for it alone\n");
    return status_bad_usage;
  }
  if (plan.subjects.empty() || plan.scenarios.empty() || plan.guards.empty())
    return status_bad_usage;
  for (const auto* const guard : plan.guards) {
    if (const std::string refusal = guard->unavailable(); !refusal.empty()) {
      fmt::print(stderr, "deadbolt crash-test: the guard {} cannot be used here: {}\n",
                 guard->name(), refusal);
      return status_not_clean;
    }
  }
  // Also without a guard victims are stepped.
  if (const auto refusal = guard::find_ptrace_refusal()) {
    fmt::print(stderr, "deadbolt crash-test: victims cannot be traced here: {}\n", *refusal);
    return status_not_clean;
  }
  if (const std::string refusal = trace::find_proc_refusal(); !refusal.empty()) {
    fmt::print(stderr, "deadbolt crash-test: {}\n", refusal);
    return status_not_clean;
  }
  if (!plan.guards.front()->watches_everything() && guard::look_at_bpf_guard().counts)
    fmt::print(stderr, "deadbolt crash-test: a BPF guard is attached, and guards the rows "
                       "without a guard too\n");
  plan.workers = options.jobs;
  output json{options.json};
  output table{options.table};
  if (!json.works() || !table.works()) return status_bad_usage;
  const bool prints = !json.takes_stdout() && !table.takes_stdout();
  const crash::text_style style = style_of_stdout();
  const bool runs_all =
      options.subjects.empty() && options.scenarios.empty() && options.guards.empty();
  if (prints && runs_all) print_demonstration(style);

  std::vector<crash::row> rows;
  {
    const bool shows_bar = isatty(STDERR_FILENO) == 1 && !terminal_is_dumb();
    progress_bar bar{shows_bar ? terminal_columns() : 0};
    plan.on_progress = [&bar](std::size_t done, std::size_t total) { bar.update(done, total); };
    rows = crash::run_campaign(plan);
  }
  if (rows.empty()) {
    fmt::print(stderr, "deadbolt crash-test: none of these subjects has the waiters that these "
                       "scenarios judge: nothing was attacked\n");
    return status_bad_usage;
  }
  if (prints && options.verbose)
    fmt::print("{}", crash::table_of(rows, true, style.colours));
  else if (prints)
    fmt::print("{}", crash::summary_of(rows, style));
  table.write(crash::table_of(rows, options.verbose));
  json.write(json_text(crash::json_of(rows), 2) + '\n');
  if (!json.works() || !table.works()) return status_bad_usage;
  return crash::all_clean(rows) ? status_clean : status_not_clean;
}

} // namespace

void add_crash_test(CLI::App& app, int& status) {
  auto options = std::make_shared<crash_test_options>();
  CLI::App* sub = app.add_subcommand("crash-test", crash_test_description);
  sub->add_option("--subject", options->subjects, "A kind of lock; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  sub->add_option("--scenario", options->scenarios, "A way to attack; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  sub->add_option("--guard", options->guards, "none, ptrace or bpf; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  sub->add_option("--engine", options->engine,
                  "How our mutexes unlock, instead of the best way here")
      ->type_name("NAME");
  sub->add_option("--json", options->json,
                  "Write the results to FILE; - for stdout, instead of the summary")
      ->type_name("FILE");
  sub->add_option("--table", options->table,
                  "Write the table of all rows to FILE; - for stdout, instead of the summary")
      ->type_name("FILE");
  sub->add_option("-j,--jobs", options->jobs, "Trials at work at a time")
      ->type_name("N")
      ->check(CLI::Range(1u, 64u));
  sub->add_flag("-v,--verbose", options->verbose,
                "Show all rows, and everything that was found, by instruction");
  sub->add_flag("--list", options->list, "Show the subjects, scenarios, guards and engines");
  sub->callback([options, &status] { status = crash_test(*options); });
}

} // namespace deadbolt::cli
