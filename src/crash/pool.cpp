// SPDX-License-Identifier: MIT
#include "crash/pool.hpp"

#include "crash/failure.hpp"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

// While a trial waits for a stranded waiter its four or five processes sleep, so it does not count
// as a busy worker.
constexpr std::size_t most_trials = 64;

// A trial's result, in memory shared with the pool. The trial writes it before it sends the message
// that it is done; the pool reads it after that message.
struct record {
  bool is_judged;
  outcome result;
  std::uint32_t steps;
  trace::address instruction_pointer;
  char text[200]; // finding or failure
};

enum class progress : std::uint32_t { waits, done };
struct message {
  std::uint32_t task;
  progress what;
};

class record_table {
public:
  explicit record_table(std::size_t count)
      : length_{std::max<std::size_t>(count, 1) * sizeof(record)},
        base_{mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {
    if (base_ == MAP_FAILED) fail_with_errno("mmap of the results");
  }
  record_table(const record_table&) = delete;
  record_table& operator=(const record_table&) = delete;
  ~record_table() { munmap(base_, length_); }
  [[nodiscard]] record& operator[](std::size_t index) const noexcept {
    return static_cast<record*>(base_)[index];
  }

private:
  std::size_t length_;
  void* base_;
};

void keep_text(record& in, const std::string& text) noexcept {
  const std::size_t length = std::min(text.size(), sizeof in.text - 1);
  std::memcpy(in.text, text.data(), length);
  in.text[length] = '\0';
}

// The trial's own process.
void live(const task& task, std::uint32_t index, record& into, int messages_to, unsigned seconds) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  signal(SIGALRM, SIG_DFL);
  alarm(seconds);
  const auto tell = [&](progress what) {
    const message message{index, what};
    if (write(messages_to, &message, sizeof message) != sizeof message) _exit(1);
  };
  const auto run = [&](const path* known) {
    return task.attack->run({*task.target, *task.guard, task.operation, task.kill_at, task.recorded,
                             known, [&] { tell(progress::waits); }});
  };
  const auto run_any_way = [&] {
    try {
      return run(task.known);
    } catch (const other_path&) {
      return run(nullptr); // by single steps, whatever path it takes
    }
  };
  try {
    const verdict verdict = run_any_way();
    into.result = verdict.result;
    into.steps = verdict.steps;
    into.instruction_pointer = verdict.instruction_pointer;
    keep_text(into, verdict.finding);
    into.is_judged = true;
  } catch (const std::exception& error) {
    into.is_judged = false;
    keep_text(into, error.what());
  }
  tell(progress::done);
}

unsigned suitable_workers() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 2;
  // Only one process of a trial runs at a time, with short sleeps in between: two trials keep a CPU
  // busy.
  return static_cast<unsigned>(CPU_COUNT(&allowed)) * 2;
}

class pool {
public:
  pool(const std::vector<task>& tasks, const pool_options& options)
      : tasks_{tasks}, on_result_{options.on_result}, workers_{options.workers != 0
                                                                   ? options.workers
                                                                   : suitable_workers()},
        watchdog_seconds_{options.watchdog_seconds}, records_{tasks.size()},
        results_(tasks.size()) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail_with_errno("pipe");
    read_end_ = base::descriptor{ends[0]};
    write_end_ = base::descriptor{ends[1]};
  }
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool() {
    for (const auto& [pid, index] : trials_) trace::kill_and_reap(pid);
  }

  std::vector<result> run() {
    while (next_ < tasks_.size() || !trials_.empty()) {
      while (next_ < tasks_.size() && working_ < workers_ && trials_.size() < most_trials) start();
      listen();
      reap();
    }
    return std::move(results_);
  }

private:
  void start() {
    const auto index = static_cast<std::uint32_t>(next_++);
    const pid_t pid = trace::launch(
        [&] { live(tasks_[index], index, records_[index], write_end_.get(), watchdog_seconds_); });
    if (pid < 0) fail_with_errno("fork");
    trials_.emplace(pid, index);
    ++working_;
    states_[index] = state::works;
  }

  // Returns after the next message, or after 20 ms: a trial that is killed sends none.
  void listen() {
    pollfd ready{read_end_.get(), POLLIN, 0};
    if (poll(&ready, 1, 20) <= 0) return;
    message batch[64];
    const ssize_t length = read(read_end_.get(), batch, sizeof batch);
    for (ssize_t i = 0; i < length / static_cast<ssize_t>(sizeof(message)); ++i) {
      stop_counting(batch[i].task);
      if (batch[i].what == progress::done) states_[batch[i].task] = state::done;
    }
  }

  void reap() {
    int status = 0;
    for (auto trial = trials_.begin(); trial != trials_.end();) {
      const auto [pid, index] = *trial;
      if (waitpid(pid, &status, WNOHANG) != pid) {
        ++trial;
        continue;
      }
      trial = trials_.erase(trial);
      finish(index, status);
    }
  }

  void finish(std::uint32_t index, int status) {
    // The trial's last message may still be in the pipe, but its record is complete if it exited.
    stop_counting(index);
    states_[index] = state::done;
    const record& from = records_[index];
    result& into = results_[index];
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      into.failure = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM
                         ? fmt::format("not done after {} s", watchdog_seconds_)
                         : fmt::format("ended with wait status {:#x}", status);
    } else if (!from.is_judged) {
      into.failure = from.text;
    } else {
      into.judged = verdict{from.result, from.steps, from.instruction_pointer, from.text};
    }
    on_result_();
  }

  void stop_counting(std::uint32_t index) {
    if (states_[index] != state::works) return;
    states_[index] = state::waits;
    --working_;
  }

  enum class state : std::uint8_t { works, waits, done };

  const std::vector<task>& tasks_;
  const std::function<void()>& on_result_;
  unsigned workers_;
  unsigned watchdog_seconds_;
  record_table records_;
  std::vector<result> results_;
  base::descriptor read_end_;
  base::descriptor write_end_;
  std::map<pid_t, std::uint32_t> trials_;
  std::map<std::uint32_t, state> states_;
  std::size_t next_ = 0;
  unsigned working_ = 0;
};

} // namespace

std::vector<result> run_tasks(const std::vector<task>& tasks, const pool_options& options) {
  return pool{tasks, options}.run();
}

} // namespace deadbolt::crash
