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
#include <deadbolt/robust_futex.h>
#include <deadbolt/robust_mutex.hpp>
#include <string>
#include <vector>

namespace {

// An odd number, so that a median is one of the samples.
std::vector<std::string> default_arguments(const std::string& program) {
  return {program, "--benchmark_enable_random_interleaving=true", "--benchmark_repetitions=25",
          "--benchmark_min_time=0.02", "--benchmark_out=" + program + ".json"};
}

} // namespace

int main(int argc, char** argv) {
  // Ours first: of two options the last one counts.
  std::vector<std::string> arguments = default_arguments(argv[0]);
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  std::vector<char*> pointers;
  pointers.reserve(arguments.size());
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;

  bench::register_uncontended();
  bench::register_musl();
  bench::register_contended();
  bench::register_readers_writers();
  bench::register_takeover();
  benchmark::AddCustomContext("engine", deadbolt_engine());
  std::printf("engine %s; a robust_mutex takes %zu bytes, a pthread_mutex_t %zu\n"
              "uncontended: CPU time of one thread; contended: processes pinned to CPUs in turn\n",
              deadbolt_engine(), sizeof(deadbolt::robust_mutex), sizeof(pthread_mutex_t));
  bench::ratio_table table;
  benchmark::RunSpecifiedBenchmarks(&table);
  benchmark::Shutdown();
  table.write_medians(std::string{argv[0]} + ".tsv");
  return table.all_decided() ? 0 : 1;
}
