// SPDX-License-Identifier: MIT
// musl's mutexes, measured by a program of their own that takes its turn among the others.
#include "benchmarks.hpp"
#include "rivals.hpp"

#include <benchmark/benchmark.h>
#include <cstdio>
#include <string>

namespace bench {

#ifdef DEADBOLT_MUSL_RIVAL
namespace {

void run_program(benchmark::State& state, const char* kind) {
  const std::string command = std::string{DEADBOLT_MUSL_RIVAL} + " " + kind + " 20";
  for ([[maybe_unused]] auto _ : state) {
    std::FILE* output = popen(command.c_str(), "r");
    require(output != nullptr, "musl_rival was not started");
    double nanoseconds = 0;
    const int read = std::fscanf(output, "%lf", &nanoseconds);
    require(pclose(output) == 0 && read == 1 && nanoseconds > 0, "musl_rival failed");
    state.SetIterationTime(nanoseconds * 1e-9);
    state.counters["of_another_process"] = 1; // its time is the one set, not this one's
  }
}

} // namespace

void register_musl() {
  for (const char* kind : {"normal", "robust"}) {
    benchmark::RegisterBenchmark((std::string{uncontended_group} + "/musl_" + kind).c_str(),
                                 [kind](benchmark::State& state) { run_program(state, kind); })
        ->Iterations(1)
        ->UseManualTime();
  }
}
#else
void register_musl() {
  std::puts("without musl: there is no musl-gcc (musl-tools)");
}
#endif

} // namespace bench
