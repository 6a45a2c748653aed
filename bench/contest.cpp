// SPDX-License-Identifier: MIT
#include "contest.hpp"

#include "rivals.hpp"

#include <algorithm>
#include <csignal>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace bench {
namespace {

// Far more than a contest takes; a child that hangs dies of SIGALRM.
constexpr unsigned watchdog_seconds = 30;

void prepare_barrier(pthread_barrier_t& barrier, int parties) {
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  require(pthread_barrier_init(&barrier, &attributes, static_cast<unsigned>(parties)) == 0,
          "pthread_barrier_init failed");
  pthread_barrierattr_destroy(&attributes);
}

} // namespace

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  require(sched_getaffinity(0, sizeof set, &set) == 0, "sched_getaffinity failed");
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

void allow(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
  require(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity failed");
}

contest_result run_contest(contest_stage& stage, int processes, std::chrono::nanoseconds duration,
                           const std::function<void(contender&)>& compete) {
  const std::vector<int> cpus = allowed_cpus();
  prepare_barrier(stage.start, processes + 1);
  stage.stop.store(false);
  std::vector<pid_t> children;
  for (int i = 0; i < processes; ++i) {
    const auto index = static_cast<std::size_t>(i);
    stage.contenders[index] = {};
    const pid_t child = fork();
    require(child >= 0, "fork failed");
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      alarm(watchdog_seconds);
      allow({cpus[index % cpus.size()]});
      pthread_barrier_wait(&stage.start);
      compete(stage.contenders[index]);
      _exit(0);
    }
    children.push_back(child);
  }

  pthread_barrier_wait(&stage.start);
  const std::uint64_t begin = nanoseconds_now();
  std::this_thread::sleep_for(duration);
  stage.stop.store(true);
  contest_result result{0, 0, UINT64_MAX, 0};
  for (const pid_t child : children) {
    int status = 0;
    require(waitpid(child, &status, 0) == child, "waitpid failed");
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a contender died");
  }
  result.seconds = static_cast<double>(nanoseconds_now() - begin) * 1e-9;
  pthread_barrier_destroy(&stage.start);

  for (int i = 0; i < processes; ++i) {
    const contender& one = stage.contenders[i];
    result.pairs += one.pairs;
    result.fewest_pairs = std::min(result.fewest_pairs, one.pairs);
    result.longest_gap = std::max(result.longest_gap, one.longest_gap);
  }
  return result;
}

void report(benchmark::State& state, const contest_result& result, int processes) {
  require(result.pairs > 0, "nobody got the lock");
  const auto pairs = static_cast<double>(result.pairs);
  state.SetIterationTime(result.seconds / pairs);
  state.counters["pairs_per_second"] = pairs / result.seconds;
  state.counters["smallest_share"] = static_cast<double>(result.fewest_pairs) * processes / pairs;
  state.counters["longest_gap_ms"] = static_cast<double>(result.longest_gap) * 1e-6;
}

} // namespace bench
