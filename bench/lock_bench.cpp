// SPDX-License-Identifier: MIT
// Measures our locks beside others. All of them take turns, in random order, in
// one run, so that what disturbs the machine disturbs them all.
//
//   lock_bench [Google Benchmark's options]
//
// The raw figures go to lock_bench.json beside the program, or to the file given
// by --benchmark_out; medians and ratios to lock_bench.tsv beside the program. Exit status: 0, also
// when an aim is missed; 1 when the spread was too wide to judge an aim; 2 for bad usage.
#include "benchmarks.hpp"
#include "ratio_table.hpp"

#include <benchmark/benchmark.h>
#include <cstdio>
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/robust_futex.h>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <pthread.h>
#include <semaphore.h>
#include <string>
#include <vector>

namespace {

struct size_of {
  const char* name;
  std::size_t bytes;
};
constexpr size_of sizes[] = {
    {"pthread_mutex_t", sizeof(pthread_mutex_t)},
    {"robust_mutex", sizeof(deadbolt::robust_mutex)},
    {"robust_pi_mutex", sizeof(deadbolt::robust_pi_mutex)},
    {"mutex", sizeof(deadbolt::mutex)},
    {"pthread_rwlock_t", sizeof(pthread_rwlock_t)},
    {"shared_mutex", sizeof(deadbolt::shared_mutex)},
    {"pthread_cond_t", sizeof(pthread_cond_t)},
    {"condition_variable", sizeof(deadbolt::condition_variable)},
    {"sem_t", sizeof(sem_t)},
    {"binary_semaphore", sizeof(deadbolt::binary_semaphore)},
};

// An odd number, so that a median is one of the samples.
std::vector<std::string> default_arguments(const std::string& program) {
  return {program, "--benchmark_enable_random_interleaving=true", "--benchmark_repetitions=25",
          "--benchmark_min_time=0.02", "--benchmark_out=" + program + ".json"};
}

} // namespace

int main(int argc, char** argv) {
  // The default options come first: the last of two equal options counts.
  std::vector<std::string> arguments = default_arguments(argv[0]);
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  std::vector<char*> pointers;
  pointers.reserve(arguments.size());
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;

  bench::register_uncontended();
  bench::register_contended();
  bench::register_musl();
  bench::register_semaphores();
  bench::register_readers_writers();
  bench::register_takeover();
  bench::register_ping_pong();
  bench::register_membership();
  bench::register_waits();
  benchmark::AddCustomContext("engine", deadbolt_engine());
  std::printf("engine %s; uncontended: CPU time of one thread; contended: processes pinned to CPUs "
              "in turn\nbytes:",
              deadbolt_engine());
  for (const auto& [name, bytes] : sizes) std::printf(" %s %zu", name, bytes);
  std::printf("; a region's member 4096\n");
  bench::ratio_table table;
  benchmark::RunSpecifiedBenchmarks(&table);
  benchmark::Shutdown();
  table.write_medians(std::string{argv[0]} + ".tsv");
  return table.all_decided() ? 0 : 1;
}
