// SPDX-License-Identifier: MIT
#include "ending.hpp"
#include "storm.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fmt/core.h>
#include <new>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace deadbolt::storm {
namespace detail {

std::int64_t now() noexcept {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

namespace {

constexpr std::size_t line = 64;
// Rounds are short, because only the calm at a round's end shows threads that wait in vain.
constexpr std::int64_t round_length = 250'000'000;
constexpr std::int64_t most_times_longer = 20;
// The longest time until a process has ended that was killed or told to end. It is long because a
// guard has to examine each death, and because a process that registers for membarrier waits for
// the kernel's RCU, for seconds on a machine that has too much to do.
constexpr std::int64_t longest_end = 100'000'000'000;

std::size_t rounded(std::size_t size) {
  return (size + line - 1) / line * line;
}

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

class driver {
public:
  driver(const crash::subject& subject, const options& options, std::uint32_t permits)
      : options_{options}, subject_{subject}, permits_{permits}, schedule_{options} {
    if (permits == 0 || permits > most_permits) {
      throw std::runtime_error(fmt::format("permits must be from 1 to {}", most_permits));
    }
    if (options.processes == 0 || options.threads == 0 ||
        options.processes * options.threads > most_workers) {
      throw std::runtime_error(
          fmt::format("processes times threads must be from 1 to {}", most_workers));
    }
    void* const memory =
        mmap(nullptr, sizeof(control), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("memory for the storm's counters");
    control_ = new (memory) control{};
    lock_memory_ = static_cast<std::byte*>(subject.map_memory(lock_length()));
    if (lock_memory_ == nullptr) fail("memory for the locks");
    for (std::uint32_t i = 0; i < locks; ++i) subject.create(here().lock(i));
    processes_.resize(options.processes, -1);
  }
  driver(const driver&) = delete;
  driver& operator=(const driver&) = delete;
  ~driver() {
    for (const pid_t process : processes_) {
      if (process <= 0) continue;
      kill(process, SIGKILL);
      waitpid(process, nullptr, 0);
    }
    subject_.unmap_memory(lock_memory_, lock_length());
    munmap(control_, sizeof(control));
  }

  outcome run() {
    const std::int64_t end = now() + nanoseconds(options_.time);
    while (now() < end && !is_violated()) {
      round(std::min(end, now() + round_length));
      count();
    }
    // On a busy machine more rounds follow until enough has happened: see shortfall().
    const std::int64_t last_end = end + most_times_longer * nanoseconds(options_.time);
    while (now() < last_end && !is_violated() && !shortfall(outcome_, options_.time).empty()) {
      round(now() + round_length);
      count();
    }
    outcome_.longest_wait = std::chrono::nanoseconds(control_->longest_wait.load());
    outcome_.longest_rest = std::chrono::nanoseconds(control_->longest_rest.load());
    outcome_.violation = text_of_violation(*control_);
    if (outcome_.violation.empty()) outcome_.violation = seen_from_here_;
    return outcome_;
  }

private:
  void count() {
    outcome_.sections = control_->sections.load();
    outcome_.takeovers = control_->takeovers.load();
  }
  [[nodiscard]] stage here() const {
    return {subject_, *control_, lock_memory_, rounded(subject_.size()), permits_};
  }
  [[nodiscard]] std::size_t lock_length() const { return locks * rounded(subject_.size()); }
  static std::int64_t nanoseconds(std::chrono::duration<double> time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
  }
  [[nodiscard]] bool is_violated() const {
    return control_->found.load() != violation::none || !seen_from_here_.empty();
  }

  // Kills for a while, and then tells all live processes to stop. In this calm each of them must
  // end. Without the calm, a thread that waits in vain would be killed before the driver notices.
  void round(std::int64_t end) {
    control_->stop.store(false);
    for (std::uint32_t process = 0; process < options_.processes; ++process) spawn(process);
    std::int64_t next_kill = now();
    while (now() < end && !is_violated()) {
      const strike strike = schedule_.next();
      next_kill += strike.after.count();
      while (now() < next_kill && !is_violated()) sleep_until_or_look(next_kill);
      kill_by(strike);
      look_for_stranded();
    }
    control_->stop.store(true);
    if (!is_violated()) await_the_end();
    if (!is_violated()) seen_from_here_ = try_every_lock(here(), options_);
  }

  void spawn(std::uint32_t process) {
    for (std::uint32_t thread = 0; thread < options_.threads; ++thread) {
      worker& next = worker_of(process, thread);
      next.incarnation.store(0); // before `doomed` describes the next incarnation
      next.waiting_since.store(0);
      next.tid.store(0);
      next.doomed.store(false);
    }
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) work(here(), options_, process);
    processes_[process] = child;
  }
  worker& worker_of(std::uint32_t process, std::uint32_t thread) {
    return control_->workers[process * options_.threads + thread];
  }

  void sleep_until_or_look(std::int64_t until) {
    constexpr std::int64_t longest = 50'000'000;
    const std::int64_t left = until - now();
    if (left > 0) std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(left, longest)));
    look_for_stranded();
  }

  void kill_by(const strike& strike) {
    if (ended_by_itself(strike.process)) return;
    for (std::uint32_t thread = 0; thread < options_.threads; ++thread)
      worker_of(strike.process, thread).doomed.store(true);
    const way sent = send(strike);
    ++outcome_.kills[static_cast<std::size_t>(sent)];
    const int status = reap(strike.process);
    if (!is_violated() && !is_from(sent, status))
      seen_from_here_ = fmt::format("a process {}, sent {}", text_of(status), to_string(sent));
    spawn(strike.process);
  }
  // Returns the way of death that was really used: a thread that has not begun cannot be told to
  // end itself, and its process is killed by SIGKILL instead.
  way send(const strike& strike) {
    const pid_t victim = processes_[strike.process];
    switch (strike.how) {
    case way::sigkill:
      break;
    case way::sigsegv:
      kill(victim, SIGSEGV);
      return way::sigsegv;
    case way::exit_group:
      if (signal_thread(strike.process, strike.thread, exit_signal)) return way::exit_group;
      break;
    case way::exec:
      // The kernel does not mark the locks of a thread that is not the leader.
      if (signal_thread(strike.process, subject_.sees_death_by_itself() ? strike.thread : 0,
                        exec_signal))
        return way::exec;
      break;
    }
    kill(victim, SIGKILL);
    return way::sigkill;
  }
  // Sends to a thread, not to the process, where any thread might take the signal.
  bool signal_thread(std::uint32_t process, std::uint32_t thread, int signal) {
    const std::int32_t tid = worker_of(process, thread).tid.load();
    return tid != 0 && syscall(SYS_tgkill, processes_[process], tid, signal) == 0;
  }
  // Waits for the process's end; returns its wait status.
  int reap(std::uint32_t process) {
    int status = 0;
    const std::int64_t deadline = now() + longest_end;
    while (waitpid(processes_[process], &status, WNOHANG) == 0) {
      if (now() > deadline && seen_from_here_.empty()) {
        seen_from_here_ = fmt::format("process {} does not die", processes_[process]);
        kill(processes_[process], SIGKILL);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    processes_[process] = -1;
    return status;
  }
  // While the storm goes on, a process ends by itself only if it has found a violation.
  bool ended_by_itself(std::uint32_t process) {
    const pid_t pid = processes_[process];
    if (!has_ended(pid)) return false;
    const int status = reap(process);
    if (!is_violated())
      seen_from_here_ =
          fmt::format("process {} {}, and the storm had not killed it", pid, text_of(status));
    return true;
  }

  void look_for_stranded() {
    const std::int64_t time = now();
    if (time < next_look_) return;
    next_look_ = time + 100'000'000;
    for (std::uint32_t process = 0; process < options_.processes; ++process) {
      for (std::uint32_t thread = 0; thread < options_.threads; ++thread) {
        const worker& it = worker_of(process, thread);
        const std::int64_t since = it.waiting_since.load();
        const std::uint32_t lock = it.waiting_for.load();
        if (since == 0) continue;
        const std::int64_t waited = time - std::max(since, control_->data[lock].changed.load());
        if (waited < nanoseconds(options_.patience)) continue;
        seen_from_here_ = fmt::format("stranded: thread {} has waited for lock {} for {:.1f} s, "
                                      "and no thread entered or left",
                                      it.tid.load(), lock, static_cast<double>(waited) * 1e-9);
        return;
      }
    }
  }

  void await_the_end() {
    const std::int64_t deadline = now() + longest_end;
    for (pid_t& process : processes_) {
      int status = 0;
      while (waitpid(process, &status, WNOHANG) == 0) {
        look_for_stranded();
        if (is_violated()) return;
        if (now() > deadline) {
          seen_from_here_ = fmt::format("process {} does not end", process);
          return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      const pid_t ended = std::exchange(process, -1);
      if (is_violated() || is_from_calm(status)) continue;
      seen_from_here_ =
          fmt::format("process {} {} when it was told to stop", ended, text_of(status));
      return;
    }
  }

  const options& options_;
  const crash::subject& subject_;
  std::uint32_t permits_;
  schedule schedule_;
  control* control_ = nullptr;
  std::byte* lock_memory_ = nullptr;
  std::vector<pid_t> processes_;
  std::int64_t next_look_ = 0;
  std::string seen_from_here_;
  outcome outcome_;
};

} // namespace
} // namespace detail

outcome run(const crash::subject& subject, const options& options, std::uint32_t permits) {
  // No core files: writing one for each SIGSEGV would take most of the time.
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  return detail::driver{subject, options, permits}.run();
}

} // namespace deadbolt::storm
