// SPDX-License-Identifier: MIT
#include "disturbance.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

namespace bench {
namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

double cpu_time_of(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

} // namespace

cpu_times cpu_times_now() {
  // The first line of /proc/stat: "cpu", then ticks as user, nice, system, idle, iowait,
  // irq, softirq, steal. A file that cannot be read counts as an idle machine.
  std::ifstream file{"/proc/stat"};
  std::string word;
  file >> word;
  double ticks = 0;
  for (int column = 0; column < 8; ++column) {
    double value = 0;
    file >> value;
    const bool idle = column == 3 || column == 4;
    if (!idle) ticks += value;
  }
  return {ticks / static_cast<double>(sysconf(_SC_CLK_TCK)),
          cpu_time_of(RUSAGE_SELF) + cpu_time_of(RUSAGE_CHILDREN)};
}

double share_of_others(const cpu_times& before, const cpu_times& after, double seconds,
                       double cpus) {
  const double machine = seconds * cpus;
  const double others =
      (after.all_programs - before.all_programs) - (after.this_program - before.this_program);
  return machine > 0 ? std::clamp(others / machine, 0.0, 1.0) : 0.0;
}

double disturbance_meter::share() const {
  const cpu_times now = cpu_times_now();
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin_;
  return share_of_others(before_, now, wall.count(),
                         static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN)));
}

} // namespace bench
