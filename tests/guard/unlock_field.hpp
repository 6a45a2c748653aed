// SPDX-License-Identifier: MIT
// An array of lock words that the victim locks and unlocks, again and again.
#ifndef DEADBOLT_TESTS_GUARD_UNLOCK_FIELD_HPP
#define DEADBOLT_TESTS_GUARD_UNLOCK_FIELD_HPP

#include <array>
#include <atomic>
#include <cstdint>

namespace guard_test {

struct unlock_field {
  static constexpr std::uint32_t size = 64;
  std::atomic<std::uint32_t> tid;
  std::atomic<std::uint32_t> locked; // so many times; the last one was word locked - 1
  std::array<std::atomic<std::uint32_t>, size> words;

  [[nodiscard]] std::atomic<std::uint32_t>& word(std::uint32_t round) {
    return words[round % size];
  }
};

} // namespace guard_test
#endif
