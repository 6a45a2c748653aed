// SPDX-License-Identifier: MIT
#include "crash/scenarios/judge.hpp"

#include <fmt/format.h>

namespace deadbolt::crash {
namespace {

std::string release(const strings& holder, void* lock, grant answer) {
  if (answer == grant::owner_died) holder.make(deed::mark_consistent, lock);
  if (holder.make(deed::unlock, lock) == grant::acquired) return {};
  return "unlock says that its caller is not the owner";
}

} // namespace

std::string find_damage(const void* memory, std::size_t length, pid_t tid) {
  const auto* const words = static_cast<const volatile std::uint32_t*>(memory);
  for (std::size_t i = 0; i < length / sizeof(std::uint32_t); ++i) {
    const std::uint32_t value = words[i];
    if (value != static_cast<std::uint32_t>(tid))
      return fmt::format("data {:#010x} became {:#010x} at byte {}", tid, value, i * sizeof value);
  }
  return {};
}

std::string find_lost_or_released(const strings& prober, void* lock, grant& told) {
  told = prober.make(deed::try_lock, lock);
  if (!held(told))
    return fmt::format("its owner is dead, and the next one is told \"{}\"", to_string(told));
  const std::string trouble = release_and_take_again(prober, prober, lock, told);
  return trouble.empty() ? trouble : fmt::format("after {} {}", to_string(told), trouble);
}

std::string find_lost(const strings& prober, void* lock, grant right) {
  grant told{};
  std::string trouble = find_lost_or_released(prober, lock, told);
  if (trouble.empty() && told != right)
    return fmt::format("its owner is dead, and the next one is told \"{}\"", to_string(told));
  return trouble;
}

std::string take_and_release(const strings& actor, void* lock) {
  const grant answer = actor.make(deed::try_lock, lock);
  if (!held(answer)) return fmt::format("it is \"{}\"", to_string(answer));
  return release(actor, lock, answer);
}

std::string release_and_take_again(const strings& holder, const strings& next, void* lock,
                                   grant answer) {
  if (std::string trouble = release(holder, lock, answer); !trouble.empty()) return trouble;
  const grant again = next.make(deed::try_lock, lock);
  if (again != grant::acquired)
    return fmt::format("a lock that was made consistent and released is \"{}\"", to_string(again));
  return release(next, lock, again);
}

} // namespace deadbolt::crash
