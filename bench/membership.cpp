// SPDX-License-Identifier: MIT
// The cost for a thread to become a member of a region and to cease to be one, compared with the
// cost of creating and joining a thread.
#include "benchmarks.hpp"
#include "rivals.hpp"

#include <benchmark/benchmark.h>
#include <deadbolt/region.hpp>
#include <thread>

namespace bench {
namespace {

deadbolt::region make_region() {
  deadbolt::region made =
      deadbolt::region::create_anonymous("lock_bench", {.size = 4096, .members = 64});
  require(static_cast<bool>(made), "a region was not made");
  return made;
}

void attach(deadbolt::region& region) {
  require(region.attach() == deadbolt::attach_status::attached, "attach failed");
}

void attach_and_detach(benchmark::State& state) {
  deadbolt::region region = make_region();
  for ([[maybe_unused]] auto _ : state) {
    attach(region);
    require(region.detach(), "detach failed");
  }
}

void thread_alone(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) std::thread{[] {}}.join();
}

// The thread is detached from the region when it exits.
void thread_attached(benchmark::State& state) {
  deadbolt::region region = make_region();
  for ([[maybe_unused]] auto _ : state) std::thread{[&] { attach(region); }}.join();
}

void add(const char* name, void (*body)(benchmark::State&)) {
  // Includes the CPU time of the created threads.
  add_benchmark(name, body)->MeasureProcessCPUTime();
}

} // namespace

void register_membership() {
  add("membership/thread", thread_alone);
  add("membership/thread_that_attaches", thread_attached);
  add("membership/attach_and_detach", attach_and_detach);
}

} // namespace bench
