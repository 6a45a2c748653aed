// SPDX-License-Identifier: MIT
// What every lock that lies in a region has in common for crash-test.
#ifndef DEADBOLT_CRASH_SUBJECTS_REGION_SUBJECT_HPP
#define DEADBOLT_CRASH_SUBJECTS_REGION_SUBJECT_HPP

#include "crash/subject.hpp"

namespace deadbolt::crash {

class region_subject : public subject {
public:
  [[nodiscard]] bool ours() const override { return true; }
  [[nodiscard]] std::string_view engine() const override { return "region"; }
  [[nodiscard]] bool protected_by_itself() const override { return true; }
  [[nodiscard]] bool sees_death_by_itself() const override { return true; }
  [[nodiscard]] void* map_memory(std::size_t length) const override;
  void unmap_memory(void* memory, std::size_t length) const override;
};

// Of whose owner's death nobody is told.
class untold_region_subject : public region_subject {
public:
  void mark_consistent(void* /*lock*/) const override {}
  [[nodiscard]] bool tells() const override { return false; }
  [[nodiscard]] grant heir_is_told(const void* /*lock*/) const override { return grant::acquired; }
};

// An owner word in a region names a slot; whether that is this thread's.
[[nodiscard]] bool owns_word(const std::uint64_t* at, pid_t tid);

} // namespace deadbolt::crash
#endif
