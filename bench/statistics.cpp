// SPDX-License-Identifier: MIT
#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bench {
namespace {

double middle_of_sorted(const std::vector<double>& sorted) {
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

} // namespace

// Whatever the distribution, the number of samples below the true median is binomial with
// p = 1/2. So the median's bounds are the samples at the ranks at which that binomial
// distribution has 2.5 % left in each tail.
estimate median_of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t count = samples.size();
  std::size_t rank = 0;
  double tail = std::pow(0.5, static_cast<double>(count)); // P(none below)
  double term = tail;
  while (tail <= 0.025 && rank < count / 2) {
    ++rank;
    term *= static_cast<double>(count - rank + 1) / static_cast<double>(rank);
    tail += term;
  }
  if (rank == 0) return {middle_of_sorted(samples), 0, std::numeric_limits<double>::infinity()};
  return {middle_of_sorted(samples), samples[rank - 1], samples[count - rank]};
}

double spread_of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t count = samples.size();
  return (samples[count - 1 - count / 4] - samples[count / 4]) / middle_of_sorted(samples);
}

estimate ratio_of(const estimate& numerator, const estimate& denominator) {
  return {numerator.value / denominator.value, numerator.low / denominator.high,
          numerator.high / denominator.low};
}

} // namespace bench
