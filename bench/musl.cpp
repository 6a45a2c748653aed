// SPDX-License-Identifier: MIT
// musl's mutexes, measured by a program of their own that takes its turn among the others.
#include "benchmarks.hpp"
#include "contended.hpp"
#include "contest.hpp"
#include "rivals.hpp"
#include "waits.hpp"

#include <benchmark/benchmark.h>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <utility>

namespace bench {

#ifdef DEADBOLT_MUSL_RIVAL
namespace {

// Runs musl_rival with these arguments and reads the numbers that it prints.
template <class... Numbers>
void run_program(const std::string& arguments, const char* format, Numbers*... numbers) {
  const std::string command = std::string{DEADBOLT_MUSL_RIVAL} + " " + arguments;
  std::FILE* output = popen(command.c_str(), "r");
  require(output != nullptr, "musl_rival was not started");
  const int read = std::fscanf(output, format, numbers...);
  require(pclose(output) == 0 && read == sizeof...(numbers), "musl_rival failed");
}

void lock_and_unlock(benchmark::State& state, const std::string& kind) {
  while (state.KeepRunning()) {
    double nanoseconds = 0;
    run_program(kind + " 20", "%lf", &nanoseconds);
    require(nanoseconds > 0, "musl_rival failed");
    state.SetIterationTime(nanoseconds * 1e-9);
    state.counters["of_another_process"] = 1; // SetIterationTime() has its time
  }
}

void compete(benchmark::State& state, const std::string& kind, int processes, int steps) {
  while (state.KeepRunning()) {
    contest_result result{};
    run_program(kind + " " + std::to_string(contest_time.count()) + " " +
                    std::to_string(processes) + " " + std::to_string(steps),
                "%lf %" SCNu64 " %" SCNu64 " %" SCNu64, &result.seconds, &result.pairs,
                &result.fewest_pairs, &result.longest_gap);
    report(state, result, processes);
  }
}

void wait_in_turn(benchmark::State& state, const std::string& kind, int processes,
                  std::chrono::nanoseconds section) {
  while (state.KeepRunning()) {
    waits seen{};
    run_program(kind + " " + std::to_string(time_of_a_wait_sample.count()) + " " +
                    std::to_string(processes) + " waits " + std::to_string(section.count()),
                "%lf %lf %lf %lf", &seen.longest_ns, &seen.p99_ns, &seen.pairs_per_second,
                &seen.fewest_pairs);
    report(state, seen);
  }
}

template <class Body>
benchmark::internal::Benchmark* add(const std::string& name, Body&& body) {
  return add_benchmark(name, std::forward<Body>(body))->Iterations(1)->UseManualTime();
}

} // namespace

void register_musl() {
  for (const std::string kind : {"normal", "robust"}) {
    const std::string rival = "musl_" + kind;
    add(std::string{uncontended_group} + "/" + rival,
        [kind](benchmark::State& state) { lock_and_unlock(state, kind); });
    for (const section_length& length : section_lengths) {
      for (const int processes : numbers_of_processes) {
        const int steps = length.steps;
        add(contended_name(processes, length, rival.c_str()),
            [=](benchmark::State& state) { compete(state, kind, processes, steps); });
      }
    }
    for (const wait_section& section : wait_sections) {
      for (const int processes : waiting_processes) {
        add(waits_name(processes, section, rival.c_str()), [kind, processes,
                                                            length = section.length](
                                                               benchmark::State& state) {
          wait_in_turn(state, kind, processes, length);
        })->Repetitions(wait_samples);
      }
    }
  }
}
#else
void register_musl() {
  std::puts("without musl: there is no musl-gcc (musl-tools)");
}
#endif

} // namespace bench
