// SPDX-License-Identifier: MIT
// A robust mutex from the library's own parts, and its mutants.
#ifndef DEADBOLT_TESTS_CRASH_MUTANT_MUTEX_HPP
#define DEADBOLT_TESTS_CRASH_MUTANT_MUTEX_HPP

#include "crash/subject.hpp"

namespace deadbolt::crash {

// Each mutant differs from the healthy one in one thing, in unlock unless it says so.
enum class fault : std::uint8_t {
  none,
  never_clears,          // list_op_pending keeps its entry after unlock
  clears_before_release, // ... and is empty while the word is still owned
  never_wakes,           // and, as for the next, lock sleeps until it is woken
  sleeps_unbounded,      // lock sleeps until it is woken: a wake that died is not noticed
  unlinks_after_release, // the node is still on the list when the word is free
  tears_the_list,        // unlinks the node and all that were linked before it
  forgets_owner_death,   // lock does not tell its caller
  crashes,               // aborts instead of releasing
  never_returns,
};

class mutant_mutex final : public subject {
public:
  constexpr mutant_mutex(std::string_view name, fault fault)
      : subject{{.name = name, .summary = "a test's mutex", .engine = "local"}}, fault_{fault} {}

  [[nodiscard]] std::size_t size() const override;
  void create(void* lock) const override;
  void destroy(void* lock) const override;
  grant lock(void* lock) const override;
  grant try_lock(void* lock) const override;
  bool unlock(void* lock) const override;
  void mark_consistent(void* lock) const override;
  void enter_thread(void* scratch) const override;
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override;

private:
  [[nodiscard]] grant take(void* lock, bool may_wait) const;

  fault fault_;
};

} // namespace deadbolt::crash
#endif
