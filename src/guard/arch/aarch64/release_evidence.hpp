// SPDX-License-Identifier: MIT
// By what registers a guard sees on aarch64 that a libc's exchange released the word.
//
// glibc makes its exchanges in small functions (__aarch64_swp4_rel for one) that all of its locks
// call; they choose LSE instructions or load and store exclusive. So a place inside such a function
// needs a proof that the exchange was of the word that list_op_pending names: the register that
// held its address.
#ifndef DEADBOLT_GUARD_ARCH_AARCH64_RELEASE_EVIDENCE_HPP
#define DEADBOLT_GUARD_ARCH_AARCH64_RELEASE_EVIDENCE_HPP

#include "guard/repair_rule.h"
#include "guard/unlock_windows/release_sample.hpp"

#include <cstdint>
#include <state_of.hpp>
#include <vector>

namespace deadbolt::guard {

// All samples of one instruction.
class release_evidence {
public:
  void add(const release_sample& sample) { samples_.push_back(sample); }

  // 0: the registers do not show whether the word was released.
  [[nodiscard]] std::uint32_t proof() const {
    bool seen_unreleased = false;
    bool shared = false;
    bool after_exchange = false;
    bool after_unlock_pi = false;
    std::uint32_t kind = 0;
    for (const release_sample& sample : samples_) {
      seen_unreleased = seen_unreleased || !sample.released;
      shared = shared || sample.in_callee;
      if (!sample.released) continue;
      after_exchange = after_exchange || sample.after == came_from::exchange;
      after_unlock_pi = after_unlock_pi || sample.after == came_from::unlock_pi;
      const std::uint32_t of_sample = kind_of(sample);
      kind = kind == 0 || kind == of_sample ? of_sample : no_kind;
    }
    const bool exchanged = kind != no_kind && proves(kind);
    // Behind an instruction that may fail a proof is needed even if no measurement saw it fail.
    if (after_exchange || shared) return exchanged ? kind : 0;
    if (!after_unlock_pi && !seen_unreleased) return DEADBOLT_CS_ALWAYS;
    if (exchanged) return kind;
    if (proves(DEADBOLT_CS_UNLOCK_PI)) return DEADBOLT_CS_UNLOCK_PI;
    return !after_unlock_pi && proves(DEADBOLT_WINDOW_NO_ERROR) ? DEADBOLT_WINDOW_NO_ERROR : 0;
  }

private:
  static constexpr std::uint32_t no_kind = ~std::uint32_t{0};

  // The status register proves something only directly behind the store: the next exclusive
  // overwrites it, and a compare-exchange that failed branches past its store and leaves it as it
  // was. Further on, the register with the value that was found is looked at instead.
  static std::uint32_t kind_of(const release_sample& sample) {
    const bool has_status =
        sample.after == came_from::exchange && sample.last.status != DEADBOLT_NO_REGISTER;
    if (sample.last.address == DEADBOLT_NO_REGISTER) return no_kind;
    return deadbolt_exchange_kind(sample.last.address,
                                  has_status ? sample.last.status : DEADBOLT_NO_REGISTER,
                                  has_status ? DEADBOLT_NO_REGISTER : sample.last.seen);
  }

  // Whether the rule finds the release in each sample with the word released, and in no other.
  [[nodiscard]] bool proves(std::uint32_t kind) const {
    for (const release_sample& sample : samples_) {
      const deadbolt_thread_state state = state_of(sample.at);
      const bool found = deadbolt_word_was_released(kind, &state) != 0 &&
                         (deadbolt_proof_is_about_the_word(kind) == 0 ||
                          deadbolt_exchange_was_of(kind, &state, sample.word, sample.tid) != 0);
      if (found != sample.released) return false;
    }
    return true;
  }

  std::vector<release_sample> samples_;
};

} // namespace deadbolt::guard
#endif
