// SPDX-License-Identifier: MIT
// deadbolt inspect
#include "cli/inspect/region_json.hpp"
#include "cli/inspect/region_view.hpp"
#include "cli/json_text.hpp"
#include "cli/printable_text.hpp"
#include "cli/subcommand.hpp"

#include <CLI/CLI.hpp>
#include <fmt/chrono.h>
#include <fmt/core.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <thread>
#include <unistd.h>

namespace deadbolt::cli {
namespace {

constexpr const char* inspect_description =
    "Show a region's members and the owners of its locks. The file is only read, so a\n"
    "stuck program can be looked at without harm; what is shown may be a moment old.\n"
    "Locks are those that region::find_or_construct named, those at an offset that --lock gives,\n"
    "and every other word that names a member: that is a mutex inside some struct, or a\n"
    "number of the program's that looks like one.\n"
    "Exit status: 0, or 1 if the file is no region that can be used.";

struct inspect_options {
  std::string path;
  std::vector<std::uint64_t> locks;
  bool json = false;
  bool watch = false;
  double interval = 1; // seconds
  unsigned count = 0;
};

std::string time_of(std::int64_t since) {
  const std::time_t seconds = since / 1'000'000'000;
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(seconds));
}

std::string name_of(const inspect::member& member) {
  return fmt::format("pid {} tid {}{}", member.pid, member.tid,
                     member.other_namespace ? " (of another PID namespace)" : "");
}

std::string name_of(const inspect::owner& owner) {
  if (!owner.is) {
    return fmt::format("slot {}, whose member of then (generation {}) is gone", owner.slot,
                       owner.generation);
  }
  return fmt::format("slot {}, {}, {}", owner.slot, name_of(*owner.is), to_string(owner.is->state));
}

std::string name_of(const inspect::lock& lock) {
  return lock.name.empty() ? fmt::format("at {}", lock.offset) : printable(lock.name);
}

std::string sentence_about(const inspect::lock& lock) {
  std::string text = to_string(lock.state);
  if (lock.permits != 0)
    text = fmt::format("{} of {} permits held", lock.shared_by.size(), lock.permits);
  if (lock.held_by) text += " by " + name_of(*lock.held_by);
  for (const inspect::owner& by : lock.shared_by)
    text += (&by == lock.shared_by.data() && !lock.held_by ? " by " : " and by ") + name_of(by);
  if (lock.state == inspect::lock_state::abandoned) text += "; the next to lock it takes it over";
  if (lock.inconsistent) text += "; its data is not yet marked consistent";
  if (lock.has_waiters) text += "; waiters";
  if (lock.policy != nullptr) text += fmt::format("; {}", lock.policy);
  return text;
}

void print_text(const inspect_options& wanted, const inspect::view& seen) {
  fmt::print("{}: {} bytes of data{}, {} of {} slots in use\n", printable(wanted.path),
             seen.data_bytes,
             seen.largest_data_bytes > seen.data_bytes
                 ? fmt::format(" (which can grow to {})", seen.largest_data_bytes)
                 : "",
             seen.members.size(), seen.slots);
  if (!seen.members.empty()) {
    fmt::print("\n{:>6}  {:<9}  {:>8}  {:>8}  {}\n", "slot", "state", "pid", "tid", "since");
    for (const inspect::member& member : seen.members) {
      fmt::print("{:>6}  {:<9}  {:>8}  {:>8}  {}{}\n", member.slot, to_string(member.state),
                 member.pid, member.tid, time_of(member.since),
                 member.other_namespace ? "  another PID namespace" : "");
    }
  }
  if (!seen.locks.empty()) {
    fmt::print("\n{:<24}  {:<18}  {}\n", "lock", "kind", "state");
    for (const inspect::lock& lock : seen.locks) {
      fmt::print("{:<24}  {:<18}  {}\n", name_of(lock), lock.kind, sentence_about(lock));
    }
  }
  if (!seen.objects.empty()) {
    fmt::print("\n{:<24}  {:<18}  {:>10}  {:>10}\n", "object", "kind", "offset", "bytes");
    for (const inspect::object& object : seen.objects) {
      fmt::print("{:<24}  {:<18}  {:>10}  {:>10}{}{}\n", printable(object.name), object.kind,
                 object.offset, object.size, object.complete ? "" : "  under construction",
                 object.has_waiters ? "  waiters" : "");
    }
  }
  if (!seen.whole_data_searched) {
    fmt::print("\nOnly the first part of the data was searched for words that name a member; "
               "--lock OFFSET shows a mutex further on.\n");
  }
}

int look(const inspect_options& wanted) {
  const inspect::region_file file{wanted.path};
  if (file.error()) {
    fmt::print(stderr, "deadbolt inspect: {}\n", file.error()->what);
    return 1;
  }
  const bool clear = wanted.watch && !wanted.json && ::isatty(STDOUT_FILENO) == 1;
  for (unsigned looks = 1;; ++looks) {
    const inspect::view seen = file.look(wanted.locks);
    if (clear) fmt::print("\033[H\033[2J"); // home, and nothing on the screen
    if (wanted.json) {
      fmt::print("{}\n", json_text(inspect::json_of(wanted.path, seen), wanted.watch ? -1 : 2));
    } else {
      print_text(wanted, seen);
    }
    std::fflush(stdout);
    if (!wanted.watch || looks == wanted.count) return 0;
    std::this_thread::sleep_for(std::chrono::duration<double>(wanted.interval));
  }
}

} // namespace

void add_inspect(CLI::App& app, int& status) {
  auto wanted = std::make_shared<inspect_options>();
  CLI::App* sub = app.add_subcommand("inspect", inspect_description);
  sub->add_option("file", wanted->path, "The region's file, or /proc/PID/fd/N of a memfd")
      ->required();
  sub->add_option("--lock", wanted->locks, "Show the mutex at this offset of the data (repeatable)")
      ->type_name("OFFSET");
  sub->add_flag("--json", wanted->json, "Print JSON; with --watch, a line a look");
  CLI::Option* watch = sub->add_flag("--watch", wanted->watch, "Look again and again");
  sub->add_option("--interval", wanted->interval, "Time between two looks (default 1)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.01, 86400.0))
      ->check([](const std::string& text) {
        return text.find_first_not_of("0123456789.") == std::string::npos ? "" : "not a number";
      })
      ->needs(watch);
  sub->add_option("--count", wanted->count, "End after so many looks")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->needs(watch);
  sub->callback([wanted, &status] {
    try {
      status = look(*wanted);
    } catch (const std::runtime_error& error) {
      fmt::print(stderr, "deadbolt inspect: {}\n", error.what());
      status = 1;
    }
  });
}

} // namespace deadbolt::cli
