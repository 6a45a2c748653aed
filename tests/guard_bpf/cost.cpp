// SPDX-License-Identifier: MIT
#include "cost.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <pthread.h>

namespace guard_test {
namespace {

constexpr int runs = 15;

void ignore(int) {}

template <class F>
double best_of_runs(int count, const F& once) {
  double best = 0;
  for (int run = 0; run < runs; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) once();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    best = run == 0 ? took.count() / count : std::min(best, took.count() / count);
  }
  return best;
}

} // namespace

double signal_cost() {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = ignore;
  ::sigaction(SIGUSR1, &action, &before);
  const double cost = best_of_runs(2000, [] { ::raise(SIGUSR1); });
  ::sigaction(SIGUSR1, &before, nullptr);
  return cost;
}

double lock_cost() {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_t mutex;
  pthread_mutex_init(&mutex, &attributes);
  const double cost = best_of_runs(20'000, [&mutex] {
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
  });
  pthread_mutex_destroy(&mutex);
  return cost;
}

} // namespace guard_test
