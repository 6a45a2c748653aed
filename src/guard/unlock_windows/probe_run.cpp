// SPDX-License-Identifier: MIT
#include "guard/unlock_windows/probe_run.hpp"

#include "guard/repair_rule.h"
#include "guard/unlock_windows/probe_protocol.h"
#include "guard/unlock_windows/release_sample.hpp"
#include "guard/unlock_windows/sandbox.hpp"
#include "trace/process.hpp"
#include "trace/stepper.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <linux/futex.h>
#include <map>
#include <release_evidence.hpp>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

struct probe_scenario {
  const char* name;
  std::array<const char*, 4> arguments; // as probe_protocol.h has them
  // The tracer sets WAITERS in the word just before a compare-exchange that would release it, to
  // see the path that the code takes when that fails.
  bool late_waiter = false;
  // No waiter can be made to sleep before the operation, but waiters may sleep when it releases: a
  // wake is owed until the code has made the futex call, whatever the call finds.
  bool may_owe = false;
  unsigned releases = 1; // the steps end with the last one's window
};

// One instruction, before it is executed, with list_op_pending set.
struct probe_sample {
  std::uint64_t offset; // from where the libc is mapped
  std::array<std::uint8_t, DEADBOLT_WINDOW_CODE_SIZE> code;
  bool has_code; // false: its page has no 16 readable bytes before or behind
  bool owed;
  int depth; // of calls
  release_sample registers;
};

struct probe_result {
  std::vector<probe_sample> samples;
  std::size_t steps = 0;
  bool has_list = true;    // false: the libc puts such a mutex on no robust list
  std::size_t outside = 0; // released and pending, but not in the libc's code
  // The same, in a function that the releasing code has called to wake. Other locks' code calls it
  // too, in a signal handler perhaps that interrupted an operation whose lock is still held.
  std::size_t called = 0;
  std::string error; // empty: the operation was stepped to its end
};

constexpr std::size_t most_steps = 20'000;
constexpr std::size_t code_before = DEADBOLT_WINDOW_CODE_BEFORE;

std::string descriptor_path(int descriptor) {
  return "/proc/self/fd/" + std::to_string(descriptor);
}

[[noreturn]] void become_the_probe(const probe_files& files, const probe_scenario& scenario) {
  const std::string libc = descriptor_path(files.libc);
  const std::string probe = descriptor_path(files.probe);
  std::vector<const char*> arguments{"deadbolt-probe"};
  if (files.loader >= 0) arguments.insert(arguments.end(), {"--preload", libc.c_str()});
  arguments.push_back(probe.c_str());
  arguments.insert(arguments.end(), scenario.arguments.begin(), scenario.arguments.end());
  arguments.push_back(nullptr);
  // Symbols are bound at the start: no step looks one up.
  const char* const environment[] = {"LD_BIND_NOW=1", nullptr};

  ::setpgid(0, 0);
  const int null = ::open("/dev/null", O_RDWR);
  for (int standard = 0; null >= 0 && standard <= 2; ++standard) ::dup2(null, standard);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(100);
  if (enter_sandbox() != 0) ::_exit(101);
  ::syscall(SYS_execveat, files.loader >= 0 ? files.loader : files.libc, "",
            const_cast<char* const*>(arguments.data()), const_cast<char* const*>(environment),
            AT_EMPTY_PATH);
  ::_exit(102);
}

class probe_run {
public:
  probe_run(const probe_files& files, const probe_scenario& scenario)
      : scenario_(scenario), pid_(trace::launch([&] { become_the_probe(files, scenario); })),
        probe_(pid_) {}
  probe_run(const probe_run&) = delete;
  probe_run& operator=(const probe_run&) = delete;
  ~probe_run() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL); // the waiter too
    trace::kill_and_reap(pid_);
  }

  probe_result run() {
    if (pid_ < 0)
      fail("fork");
    else if (start() && (!has_waiter() || waiter_is_asleep()))
      step_to_the_clear();
    return std::move(result_);
  }

private:
  bool fail(const std::string& what) {
    result_.error = std::string(scenario_.name) + ": " + what;
    return false;
  }
  [[nodiscard]] bool has_waiter() const { return waiter_ > 0; }

  // Records what the probe did instead of reaching its next trap. Returns false.
  bool fail_by(const trace::stop_event& stop) {
    if (stop.kind != trace::stop_kind::ended)
      return fail("the probe took signal " + std::to_string(stop.signal));
    const bool killed = WIFSIGNALED(stop.status);
    pid_ = -1;
    result_.has_list = killed || WEXITSTATUS(stop.status) != DEADBOLT_PROBE_NO_LIST;
    if (!result_.has_list) return false;
    return fail(killed ? "the probe was killed by signal " + std::to_string(WTERMSIG(stop.status))
                       : "the probe ended with status " + std::to_string(WEXITSTATUS(stop.status)));
  }

  // Before the steps: to the next SIGTRAP.
  bool await_trap() {
    trace::stop_event stop;
    for (;;) {
      if (probe_.thread().wait(stop) != 0) return fail("the probe was lost");
      if (stop.kind != trace::stop_kind::signal_delivery || stop.signal != SIGCHLD) break;
      // The owner that the probe let die.
      if (probe_.thread().resume() != 0) return fail("the probe was lost");
    }
    return stop.is_trap() || fail_by(stop);
  }

  bool start() {
    if (!await_trap()) return false; // its execve
    if (probe_.thread().set_options(PTRACE_O_EXITKILL) != 0) return fail("PTRACE_SETOPTIONS");
    if (probe_.thread().resume() != 0) return fail("the probe was lost");
    if (!await_trap()) return false;
    if (probe_.look_behind_breakpoint() != 0) return fail("the probe was lost");
    if (probe_.at().call_number() != DEADBOLT_PROBE_READY)
      return fail("the probe stopped where it should not");
    head_ = trace::address(probe_.at().argument_1());
    waiter_ = static_cast<pid_t>(probe_.at().argument_2());
    std::uint64_t newest = 0;
    if (probe_.thread().read(head_ + DEADBOLT_HEAD_FUTEX_OFFSET, &futex_offset_,
                             sizeof futex_offset_) != 0 ||
        probe_.thread().read(head_, &newest, sizeof newest) != 0)
      return fail("the robust list cannot be read");
    owned_ = newest != head_.value();
    if (owned_) word_ = trace::address(deadbolt_entry_word(newest, futex_offset_));
    if (!find_libc()) return fail("the libc is not mapped");
    return true;
  }

  bool find_libc() {
    std::ifstream maps("/proc/" + std::to_string(pid_) + "/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find(libc_copy_name) == std::string::npos) continue;
      char* rest = nullptr;
      const std::uint64_t begin = std::strtoull(line.c_str(), &rest, 16);
      const std::uint64_t end = *rest == '-' ? std::strtoull(rest + 1, nullptr, 16) : 0;
      if (libc_begin_ == 0) libc_begin_ = begin;
      libc_end_ = end;
    }
    return libc_begin_ != 0;
  }

  // The waiter sleeps only in lock, where the libc, or the kernel, sets WAITERS before.
  bool waiter_is_asleep() {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%d/stat", waiter_);
    for (int look = 0; look < 100'000; ++look) {
      std::uint32_t value = 0;
      if (probe_.thread().read_word(word_, value) != 0) return fail("the lock word cannot be read");
      std::ifstream file(path);
      std::string text;
      std::getline(file, text);
      const std::size_t name_end = text.rfind(')');
      const bool asleep = name_end != std::string::npos && text.compare(name_end, 3, ") S") == 0;
      if (asleep && (value & FUTEX_WAITERS) != 0) return true;
      const timespec pause{0, 50'000};
      ::nanosleep(&pause, nullptr);
    }
    return fail("the waiter does not go to sleep");
  }

  // A futex call on the lock word.
  [[nodiscard]] bool calls_futex(unsigned operation) const {
    const trace::registers& regs = probe_.at();
    return regs.call_number() == SYS_futex && regs.argument_1() == word_.value() &&
           (static_cast<unsigned>(regs.argument_2()) & static_cast<unsigned>(FUTEX_CMD_MASK)) ==
               operation;
  }

  // The last release is the one that the scenario is about.
  [[nodiscard]] bool may_owe() const {
    return scenario_.may_owe && releases_ + 1 == scenario_.releases;
  }

  void take_sample(bool released, came_from after) {
    const std::uint64_t ip = probe_.at().ip().value();
    if (ip < libc_begin_ || ip >= libc_end_) {
      if (released) ++result_.outside;
      return;
    }
    probe_sample sample{};
    sample.offset = ip - libc_begin_;
    sample.has_code = probe_.thread().read(trace::address(ip - code_before), sample.code.data(),
                                           sample.code.size()) == 0;
    sample.owed = released && (has_waiter() || may_owe()) && !woken_;
    sample.depth = depth_.value();
    sample.registers = {.at = probe_.at(),
                        .word = word_.value(),
                        .tid = static_cast<std::uint32_t>(pid_),
                        .released = released,
                        .after = after,
                        .last = last_exchange_};
    result_.samples.push_back(sample);
  }

  // list_op_pending was cleared. Functions that have returned by then may be others' too.
  void mark_callees() {
    for (; marked_ < result_.samples.size(); ++marked_) {
      probe_sample& sample = result_.samples[marked_];
      sample.registers.in_callee = sample.registers.released && sample.depth > depth_.value();
    }
  }

  void step_to_the_clear() {
    bool released = false;
    came_from before = came_from::elsewhere;
    while (result_.steps < most_steps) {
      std::uint64_t pending = 0;
      std::uint64_t code = 0;
      if (probe_.thread().read(head_ + DEADBOLT_HEAD_LIST_OP_PENDING, &pending, sizeof pending) !=
              0 ||
          probe_.thread().read(probe_.at().ip(), &code, sizeof code) != 0) {
        fail("the probe cannot be read");
        return;
      }
      if (pending == 0 && released) {
        mark_callees();
        if (++releases_ == scenario_.releases) return;
        released = owned_ = woken_ = false;
      }
      if (trace::is_breakpoint(code)) return; // the probe's second stop
      std::uint32_t value = 0;
      if (pending != 0) {
        word_ = trace::address(deadbolt_entry_word(pending, futex_offset_));
        if (probe_.thread().read_word(word_, value) != 0) {
          fail("the lock word cannot be read");
          return;
        }
        const bool mine = (value & DEADBOLT_WORD_TID_MASK) == static_cast<std::uint32_t>(pid_);
        owned_ = owned_ || mine;
        const bool just_now = owned_ && !mine && !released;
        released = owned_ && !mine;
        // A release by the kernel hands the lock on by itself.
        if (just_now && before == came_from::unlock_pi) woken_ = true;
        if (just_now) depth_.at_release(probe_.at());
        if (may_owe() && released && depth_.is_called(probe_.at()))
          ++result_.called;
        else
          take_sample(released, just_now ? before : came_from::elsewhere);
      }
      const bool wakes =
          calls_futex(FUTEX_WAKE) || calls_futex(FUTEX_WAKE_BITSET) || calls_futex(FUTEX_WAKE_OP);
      const bool is_call = trace::is_system_call(code);
      const bool unlocks_pi = is_call && calls_futex(FUTEX_UNLOCK_PI);
      const exchange next = find_exchange(probe_.at(), [this](std::uint64_t from) {
        std::uint64_t bytes = 0;
        return probe_.thread().read(trace::address(from), &bytes, sizeof bytes) == 0 ? bytes : 0;
      });
      if (scenario_.late_waiter && pending != 0 && !released &&
          may_fail_at(next, probe_.at(), word_) && !set_waiters(value))
        return;
      const trace::address from = probe_.at().ip();
      switch (probe_.step()) {
      case trace::stepper::result::trapped:
        break;
      case trace::stepper::result::stopped:
        fail_by(probe_.last_stop());
        return;
      default:
        fail("the probe was lost");
        return;
      }
      ++result_.steps;
      depth_.after_step(code, from != probe_.at().ip());
      if (next.is_one) last_exchange_ = next;
      const bool exchanged =
          next.is_one && (next.behind == 0 || next.behind == probe_.at().ip().value());
      before = unlocks_pi  ? came_from::unlock_pi
               : exchanged ? came_from::exchange
                           : came_from::elsewhere;
      if (is_call && wakes && (may_owe() || static_cast<std::int64_t>(probe_.at().result()) > 0))
        woken_ = true;
    }
    fail("no end after " + std::to_string(most_steps) + " instructions");
  }

  bool set_waiters(std::uint32_t value) {
    std::uint64_t both = 0; // ptrace writes 8 bytes
    if (probe_.thread().read(word_, &both, sizeof both) != 0)
      return fail("the lock word cannot be read");
    both = (both & ~std::uint64_t{0xffffffff}) | value | FUTEX_WAITERS;
    return probe_.thread().write(word_, both) == 0 || fail("the lock word cannot be written");
  }

  const probe_scenario& scenario_;
  pid_t pid_;
  trace::stepper probe_;
  trace::address head_;
  trace::address word_;
  call_depth depth_;
  exchange last_exchange_;
  std::uint64_t futex_offset_ = 0;
  std::uint64_t libc_begin_ = 0;
  std::uint64_t libc_end_ = 0;
  pid_t waiter_ = 0;
  bool owned_ = false;
  bool woken_ = false;
  unsigned releases_ = 0;  // that are over
  std::size_t marked_ = 0; // of the samples, by mark_callees()
  probe_result result_;
};

constexpr probe_scenario scenarios[] = {
    {.name = "robust", .arguments = {"n", "-", "s", "u"}},
    {.name = "robust, private to the process", .arguments = {"n", "-", "p", "u"}},
    {.name = "robust, a waiter", .arguments = {"n", "-", "s", "w"}},
    {.name = "robust recursive", .arguments = {"r", "-", "s", "u"}},
    {.name = "robust recursive, a waiter", .arguments = {"r", "-", "s", "w"}},
    {.name = "robust errorcheck", .arguments = {"e", "-", "s", "u"}},
    {.name = "robust errorcheck, a waiter", .arguments = {"e", "-", "s", "w"}},
    {.name = "robust, in cond_wait", .arguments = {"n", "-", "s", "c"}},
    {.name = "robust, in cond_wait, a waiter", .arguments = {"n", "-", "s", "d"}},
    {.name = "robust PI", .arguments = {"n", "i", "s", "u"}},
    {.name = "robust PI, a late waiter", .arguments = {"n", "i", "s", "u"}, .late_waiter = true},
    {.name = "robust PI, a waiter", .arguments = {"n", "i", "s", "w"}},
    {.name = "robust PI recursive", .arguments = {"r", "i", "s", "u"}},
    {.name = "robust PI recursive, a waiter", .arguments = {"r", "i", "s", "w"}},
    {.name = "robust PI errorcheck", .arguments = {"e", "i", "s", "u"}},
    {.name = "robust PI errorcheck, a waiter", .arguments = {"e", "i", "s", "w"}},
    {.name = "robust PI, in cond_wait", .arguments = {"n", "i", "s", "c"}},
    {.name = "robust PI, in cond_wait, a waiter", .arguments = {"n", "i", "s", "d"}},
    // glibc takes such a mutex, looks, and releases it.
    {.name = "lock, not recoverable", .arguments = {"n", "-", "s", "x"}, .may_owe = true},
    {.name = "recursive lock, not recoverable", .arguments = {"r", "-", "s", "x"}, .may_owe = true},
    {.name = "errorcheck lock, not recoverable",
     .arguments = {"e", "-", "s", "x"},
     .may_owe = true},
    {.name = "timedlock, not recoverable", .arguments = {"n", "-", "s", "t"}, .may_owe = true},
    {.name = "way back of cond_wait, not recoverable",
     .arguments = {"n", "-", "s", "y"},
     .may_owe = true,
     .releases = 2},
    {.name = "PI lock, not recoverable", .arguments = {"n", "i", "s", "x"}, .may_owe = true},
    {.name = "PI recursive lock, not recoverable",
     .arguments = {"r", "i", "s", "x"},
     .may_owe = true},
    {.name = "PI errorcheck lock, not recoverable",
     .arguments = {"e", "i", "s", "x"},
     .may_owe = true},
    {.name = "PI timedlock, not recoverable", .arguments = {"n", "i", "s", "t"}, .may_owe = true},
    {.name = "PI way back of cond_wait, not recoverable",
     .arguments = {"n", "i", "s", "y"},
     .may_owe = true,
     .releases = 2},
    // These have no window: they show which instructions are passed before a release too.
    {.name = "lock", .arguments = {"n", "-", "s", "l"}},
    {.name = "lock after a death", .arguments = {"n", "-", "s", "o"}},
    {.name = "PI lock", .arguments = {"n", "i", "s", "l"}},
    {.name = "PI lock after a death", .arguments = {"n", "i", "s", "o"}},
};

// What all samples of one instruction show.
struct place {
  std::array<std::uint8_t, DEADBOLT_WINDOW_CODE_SIZE> code{};
  bool has_code = false;
  bool in_window = false;
  bool owed = false;
  release_evidence evidence;

  void add(const probe_sample& sample) {
    code = sample.code;
    has_code = sample.has_code;
    in_window = in_window || sample.registers.released;
    owed = owed || sample.owed;
    evidence.add(sample.registers);
  }
};

std::string count_of(const probe_scenario& scenario, const probe_result& result) {
  if (!result.has_list) return std::string(scenario.name) + ": not on a robust list";
  std::size_t in_window = 0;
  std::size_t owed = 0;
  for (const probe_sample& sample : result.samples) {
    if (sample.registers.released) ++in_window;
    if (sample.owed) ++owed;
  }
  std::string text = std::string(scenario.name) + ": " + std::to_string(in_window) + " of " +
                     std::to_string(result.steps) + " instructions";
  if (owed != 0) text += ", a wake owed at " + std::to_string(owed);
  if (result.called != 0)
    text += "; " + std::to_string(result.called) +
            " more in functions that others call, not in the table";
  if (result.outside != 0)
    text += "; " + std::to_string(result.outside) + " more outside the libc, not in the table";
  return text;
}

} // namespace

stepped step_through_libc(const probe_files& files, const elf_file& libc) {
  stepped out;
  out.table.build_id = libc.build_id();
  std::map<std::uint64_t, place> places;
  for (const probe_scenario& scenario : scenarios) {
    const probe_result result = probe_run(files, scenario).run();
    if (!result.error.empty()) {
      out.error = result.error;
      return out;
    }
    out.notes.push_back(count_of(scenario, result));
    for (const probe_sample& sample : result.samples) places[sample.offset].add(sample);
  }
  for (const auto& [offset, place] : places) {
    if (!place.in_window) continue;
    std::string name = libc.name_of(offset).substr(0, max_name_bytes);
    std::ranges::replace_if(
        name, [](char c) { return c <= ' ' || c >= '\x7f'; }, '?');
    const std::uint32_t proof = place.evidence.proof();
    if (proof == 0 || !place.has_code) {
      out.notes.push_back(name + " is left out: " +
                          (place.has_code ? "the registers do not say whether the word was released"
                                          : "its surroundings cannot be read"));
      continue;
    }
    out.table.windows.push_back(
        {offset,
         place.code,
         {.kind = proof, .owed = static_cast<std::uint8_t>(place.owed ? 1 : 0)},
         std::move(name)});
  }
  if (out.table.windows.empty()) out.error = "no window was found";
  if (out.table.windows.size() > max_windows) out.error = "too many windows were found";
  return out;
}

} // namespace deadbolt::guard
