// SPDX-License-Identifier: MIT
// Medians, and how far they can be trusted. No distribution is assumed: a busy
// machine makes long tails.
#ifndef DEADBOLT_BENCH_STATISTICS_HPP
#define DEADBOLT_BENCH_STATISTICS_HPP

#include <vector>

namespace bench {

// An estimated value, and the bounds of its 95 % confidence interval.
struct estimate {
  double value;
  double low;
  double high;
};

// Needs at least 6 samples to bound the median; with fewer the bounds are 0 and
// infinity.
estimate median_of(std::vector<double> samples);

// The middle half's width, relative to the median.
double spread_of(std::vector<double> samples);

// The bounds are the lowest numerator over the highest denominator, and the reverse.
estimate ratio_of(const estimate& numerator, const estimate& denominator);

} // namespace bench
#endif
