// SPDX-License-Identifier: MIT
// Prints medians, spreads and ratios instead of one line a run, and judges the
// aims.
#ifndef DEADBOLT_BENCH_RATIO_TABLE_HPP
#define DEADBOLT_BENCH_RATIO_TABLE_HPP

#include "statistics.hpp"

#include <benchmark/benchmark.h>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bench {

class ratio_table : public benchmark::BenchmarkReporter {
public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;

  // A line a rival: group, rival, median in ns, ratio to the group's reference, and the
  // ratio's bounds; tabs in between. "-" where there is no reference, "undecided" for a
  // ratio that the table does not print either.
  void write_medians(const std::string& path) const;

  // Whether every aim whose benchmarks ran could be judged, met or not.
  [[nodiscard]] bool all_decided() const { return all_decided_; }

private:
  struct row {
    std::string rival;
    std::vector<double> nanoseconds; // a sample for each repetition that was not disturbed
    unsigned disturbed = 0;          // samples discarded because other programs ran
    std::map<std::string, std::vector<double>> counters;
  };
  // Rows in the order of registration.
  using group = std::map<std::int64_t, row>;

  static const row* find(const group& rows, const char* rival);
  static const row* reference_of(const group& rows);
  static estimate ratio_to(const row& ours, const row& theirs);
  static void print(const std::string& name, const group& rows);
  void judge(const std::string& name, const group& rows);

  std::map<std::string, group> groups_;
  bool all_decided_ = true;
};

} // namespace bench
#endif
