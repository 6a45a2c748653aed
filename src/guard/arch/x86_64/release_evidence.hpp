// SPDX-License-Identifier: MIT
// By what registers a guard sees on x86-64 that a libc's compare-exchange or system call released
// the word.
#ifndef DEADBOLT_GUARD_ARCH_X86_64_RELEASE_EVIDENCE_HPP
#define DEADBOLT_GUARD_ARCH_X86_64_RELEASE_EVIDENCE_HPP

#include "guard/repair_rule.h"
#include "guard/unlock_windows/release_sample.hpp"

#include <cstdint>

namespace deadbolt::guard {

// All samples of one instruction.
class release_evidence {
public:
  void add(const release_sample& sample) {
    const bool zero_flag = (sample.at.flags() & DEADBOLT_FLAGS_ZF) != 0;
    const bool zero_result = sample.at.result() == 0;
    const bool error_result = sample.at.result() >= std::uint64_t{0} - DEADBOLT_LAST_ERROR;
    seen_unreleased_ = seen_unreleased_ || !sample.released;
    after_compare_exchange_ =
        after_compare_exchange_ || (sample.released && sample.after == came_from::exchange);
    after_unlock_pi_ =
        after_unlock_pi_ || (sample.released && sample.after == came_from::unlock_pi);
    zf_proves_ = zf_proves_ && zero_flag == sample.released;
    rax_proves_ = rax_proves_ && zero_result == sample.released;
    no_error_proves_ = no_error_proves_ && error_result != sample.released;
  }

  // 0: the registers do not show whether the word was released.
  [[nodiscard]] std::uint32_t proof() const {
    // After an instruction that may fail, a proof is needed even if no measurement saw it fail.
    if (after_compare_exchange_) return zf_proves_ ? DEADBOLT_CS_ZF : 0;
    if (!after_unlock_pi_ && !seen_unreleased_) return DEADBOLT_CS_ALWAYS;
    if (rax_proves_) return DEADBOLT_CS_UNLOCK_PI;
    if (!after_unlock_pi_ && zf_proves_) return DEADBOLT_CS_ZF;
    return no_error_proves_ ? DEADBOLT_WINDOW_NO_ERROR : 0;
  }

private:
  bool after_compare_exchange_ = false;
  bool after_unlock_pi_ = false;
  // Whether the register differs between the samples with the word released and the others.
  bool zf_proves_ = true;
  bool rax_proves_ = true;
  bool no_error_proves_ = true;
  bool seen_unreleased_ = false;
};

} // namespace deadbolt::guard
#endif
