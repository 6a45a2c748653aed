// SPDX-License-Identifier: MIT
#include "targets.hpp"

#include "crash/locks.hpp"

#include <string_view>

namespace deadbolt::storm {
namespace {

// Whether a storm's invariants fit this kind of lock: they need the other processes' way of
// locking to be exclusive.
//
// The rows that wait in pthread_cond_wait, and those whose victim runs with the preload
// library, are crash-test's alone: a storm's workers are forks of this program.
bool can_be_stormed(const crash::subject& subject) {
  const std::string_view name = subject.name();
  if (name.starts_with("glibc_preload") || name.starts_with("glibc_cond")) return false;
  return subject.shares() == crash::sharing::neither ||
         subject.shares() == crash::sharing::victims_way;
}

} // namespace

std::vector<target> all_targets() {
  static const crash::semaphore_subject<2> two{"counting_semaphore_2", "all permits are free", 2,
                                               0};
  static const crash::semaphore_subject<3> three{"counting_semaphore_3", "all permits are free", 3,
                                                 0};
  std::vector<target> all;
  for (const crash::subject* subject : crash::all_subjects())
    if (can_be_stormed(*subject)) all.push_back({subject, 1});
  all.push_back({&two, 2});
  all.push_back({&three, 3});
  return all;
}

} // namespace deadbolt::storm
