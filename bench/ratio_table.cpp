// SPDX-License-Identifier: MIT
#include "ratio_table.hpp"

#include "benchmarks.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>

namespace bench {
namespace {

constexpr const char* reference = "glibc_robust";
// The references of groups that do not measure glibc_robust.
constexpr const char* other_references[] = {"glibc_rwlock", "glibc_semaphore", "thread"};
constexpr const char* one_floor = "one_rmw_floor";
constexpr const char* two_floor = "two_rmw_floor";

// A ratio that is less certain than this is not printed.
constexpr double widest_interval = 0.25;

// An aim that lies between two bounds is undecided if they are further apart than this, relative
// to the aim. Contests of many processes on few CPUs get no closer, however long they last.
constexpr double aim_width = 0.12;

// An upper bound on a ratio of times; a throughput of 1.5 is a time of 1 / 1.5.
struct aim {
  const char* group;
  const char* rival;
  const char* to;
  double at_most;
};
constexpr aim aims[] = {
    {uncontended_group, "robust_mutex", reference, 0.80},
    {uncontended_group, "robust_mutex", two_floor, 1.15},
    {uncontended_group, "robust_pi_mutex", "glibc_robust_pi", 0.80},
    {uncontended_group, "robust_pi_mutex", "glibc_pi", 0.80},
    {uncontended_group, "mutex", reference, 0.72},
    {uncontended_group, "mutex", one_floor, 1.15},
    {uncontended_group, "mutex", "glibc_normal", 1},
    {uncontended_group, "shared_mutex_read", "glibc_rwlock_read", 1},
    {uncontended_group, "shared_mutex_write", "glibc_rwlock_write", 1},
    {uncontended_group, "counting_semaphore", "glibc_semaphore", 1},
    {"contended/procs:2/section:short", "robust_mutex", reference, 1 / 1.5},
    {"contended/procs:2/section:short", "mutex", reference, 1 / 1.5},
    {"contended/procs:2/section:long", "robust_mutex", reference, 1 / 1.5},
    {"contended/procs:2/section:long", "mutex", reference, 1 / 1.5},
    {"contended/procs:8/section:short", "robust_mutex", reference, 1 / 1.5},
    {"contended/procs:8/section:short", "mutex", reference, 1 / 1.5},
    {"contended/procs:8/section:long", "robust_mutex", reference, 1 / 1.5},
    {"contended/procs:8/section:long", "mutex", reference, 1 / 1.5},
    {"readers_writers/procs:2/writes:0%", "shared_mutex", "glibc_rwlock", 1},
    {"readers_writers/procs:2/writes:1%", "shared_mutex", "glibc_rwlock", 1},
    {"readers_writers/procs:2/writes:10%", "shared_mutex", "glibc_rwlock", 1},
    {"readers_writers/procs:8/writes:0%", "shared_mutex", "glibc_rwlock", 1},
    {"readers_writers/procs:8/writes:1%", "shared_mutex", "glibc_rwlock", 1},
    {"readers_writers/procs:8/writes:10%", "shared_mutex", "glibc_rwlock", 1.1},
};

bool is_undecided(const estimate& ratio) {
  return ratio.high - ratio.low > widest_interval * ratio.value;
}

void print_ratio(const estimate& ratio) {
  if (is_undecided(ratio)) {
    std::printf("  %21s", "too uncertain");
  } else {
    std::printf("  %5.2f (%5.2f to %5.2f)", ratio.value, ratio.low, ratio.high);
  }
}

// `Rows` is ratio_table's group.
template <class Rows>
bool has_counter(const Rows& rows, const char* name) {
  return std::any_of(rows.begin(), rows.end(),
                     [name](const auto& each) { return each.second.counters.contains(name); });
}

double median_counter(const std::map<std::string, std::vector<double>>& counters,
                      const char* name) {
  return median_of(counters.at(name)).value;
}

} // namespace

bool ratio_table::ReportContext(const Context& context) {
  std::printf("%d CPUs", context.cpu_info.num_cpus);
  for (const double load : context.cpu_info.load_avg) std::printf(", load %.2f", load);
  std::printf("\n");
  std::fflush(stdout);
  return true;
}

void ratio_table::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (run.run_type != Run::RT_Iteration) continue;
    const std::string& name = run.run_name.function_name;
    const std::size_t slash = name.rfind('/');
    row& its_row = groups_[name.substr(0, slash)][run.family_index];
    its_row.rival = name.substr(slash + 1);
    if (run.counters.at(disturbance_counter).value > most_disturbance) {
      ++its_row.disturbed;
      continue;
    }
    // Benchmarks with further counters measure wall time.
    const bool wall_time = run.counters.size() > 1;
    its_row.nanoseconds.push_back(wall_time ? run.GetAdjustedRealTime() : run.GetAdjustedCPUTime());
    for (const auto& [counter, value] : run.counters)
      its_row.counters[counter].push_back(value.value);
  }
}

void ratio_table::Finalize() {
  for (const auto& [name, rows] : groups_) print(name, rows);
  std::printf("\n");
  unsigned discarded = 0;
  std::size_t kept = 0;
  for (const auto& [name, rows] : groups_) {
    for (const auto& [family, each] : rows) {
      discarded += each.disturbed;
      kept += each.nanoseconds.size();
    }
  }
  std::printf("discarded: %u of %zu samples, during which other programs used more than %.0f%% of "
              "the machine\n",
              discarded, kept + discarded, 100 * most_disturbance);
  for (const auto& [name, rows] : groups_) judge(name, rows);
}

const ratio_table::row* ratio_table::find(const group& rows, const char* rival) {
  for (const auto& [family, row] : rows) {
    if (row.rival == rival) return &row;
  }
  return nullptr;
}

const ratio_table::row* ratio_table::reference_of(const group& rows) {
  const row* found = find(rows, reference);
  for (const char* other : other_references) {
    if (found == nullptr) found = find(rows, other);
  }
  return found;
}

estimate ratio_table::ratio_to(const row& ours, const row& theirs) {
  if (ours.nanoseconds.empty() || theirs.nanoseconds.empty()) {
    return {0, 0, std::numeric_limits<double>::infinity()};
  }
  const auto paired = ours.counters.find(paired_ratio);
  if (paired != ours.counters.end() && theirs.rival == reference) return median_of(paired->second);
  return ratio_of(median_of(ours.nanoseconds), median_of(theirs.nanoseconds));
}

void ratio_table::print(const std::string& name, const group& rows) {
  // The rows with which each row is compared: one column each.
  std::vector<const row*> references;
  for (const row* to : {reference_of(rows), find(rows, one_floor), find(rows, two_floor)}) {
    if (to != nullptr) references.push_back(to);
  }
  const bool kills = has_counter(rows, "p99_us");
  const bool waits = has_counter(rows, "fewest_pairs");
  std::printf("\n%-32s %10s %7s", name.c_str(),
              waits                                      ? "worst, ns"
              : kills || find(rows, "thread") != nullptr ? "ns"
                                                         : "ns/pair",
              "spread");
  for (const row* to : references) std::printf("  time / %-14s", to->rival.c_str());
  if (kills) {
    std::printf("  %12s", "p99");
    if (waits) std::printf("  %10s %8s", "pairs/s", "fewest");
  } else if (has_counter(rows, "pairs_per_second")) {
    std::printf("  %12s %8s %12s", "pairs/s", "least", "longest gap");
  }
  std::printf("\n");
  for (const auto& [family, row] : rows) {
    if (row.nanoseconds.empty()) {
      std::printf("  %-30s other programs ran during all %u samples\n", row.rival.c_str(),
                  row.disturbed);
      continue;
    }
    const estimate time = median_of(row.nanoseconds);
    std::printf("  %-30s %10.2f %6.1f%%", row.rival.c_str(), time.value,
                100 * spread_of(row.nanoseconds));
    for (const auto* to : references) print_ratio(ratio_to(row, *to));
    if (kills) {
      std::printf("  %9.0f us", median_counter(row.counters, "p99_us"));
      if (waits) {
        std::printf("  %10.0f %8.0f", median_counter(row.counters, "throughput"),
                    median_counter(row.counters, "fewest_pairs"));
      }
    } else if (row.counters.contains("pairs_per_second")) {
      std::printf("  %12.0f %7.0f%% %9.2f ms", median_counter(row.counters, "pairs_per_second"),
                  100 * median_counter(row.counters, "smallest_share"),
                  median_counter(row.counters, "longest_gap_ms"));
    }
    std::printf("\n");
  }
}

void ratio_table::write_medians(const std::string& path) const {
  std::ofstream file{path};
  file << "# group\trival\tns\tratio\tlow\thigh\n";
  for (const auto& [name, rows] : groups_) {
    const row* to = reference_of(rows);
    for (const auto& [family, its] : rows) {
      const estimate time =
          its.nanoseconds.empty() ? estimate{0, 0, 0} : median_of(its.nanoseconds);
      file << name << '\t' << its.rival << '\t' << time.value;
      if (to == nullptr) {
        file << "\t-\t-\t-\n";
        continue;
      }
      const estimate ratio = ratio_to(its, *to);
      if (is_undecided(ratio)) {
        file << "\tundecided";
      } else {
        file << '\t' << ratio.value;
      }
      file << '\t' << ratio.low << '\t' << ratio.high << '\n';
    }
  }
  if (!file) std::fprintf(stderr, "lock_bench: %s was not written\n", path.c_str());
}

void ratio_table::judge(const std::string& name, const group& rows) {
  for (const aim& aim : aims) {
    if (name != aim.group) continue;
    const row* ours = find(rows, aim.rival);
    const row* theirs = find(rows, aim.to);
    if (ours == nullptr || theirs == nullptr) continue;
    const estimate ratio = ratio_to(*ours, *theirs);
    const char* verdict = "undecided: the spread is too wide, measure again on an idle machine";
    if (ratio.high <= aim.at_most) {
      verdict = "met";
    } else if (ratio.low > aim.at_most) {
      verdict = "missed";
    } else if (ratio.high - ratio.low <= aim_width * aim.at_most) {
      verdict = "neither met nor missed: it lies on the aim";
    } else {
      all_decided_ = false;
    }
    std::printf("aim: %s/%s takes at most %.2f of %s: %.2f (%.2f to %.2f): %s\n", aim.group,
                aim.rival, aim.at_most, aim.to, ratio.value, ratio.low, ratio.high, verdict);
  }
}

} // namespace bench
