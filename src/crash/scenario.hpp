// SPDX-License-Identifier: MIT
// How crash-test attacks: what the trial does around a victim, and how what is left
// is judged.
#ifndef DEADBOLT_CRASH_SCENARIO_HPP
#define DEADBOLT_CRASH_SCENARIO_HPP

#include "crash/guard_driver.hpp"
#include "crash/path.hpp"
#include "crash/subject.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace deadbolt::crash {

// Each kill point has one outcome; where several would fit, the worst.
enum class outcome : std::uint8_t {
  owner_died, // it held the lock, and the next owner is told so
  intact,     // it did not hold the lock, and all is as it would be without its death
  corrupted,  // its death wrote to memory that was not, or no longer, its lock
  lost,       // it held a lock, and nobody gets it or is told
  stranded,   // a live waiter does not get a lock that is free or whose owner is dead
};
inline constexpr std::size_t outcomes = 5;

struct verdict {
  outcome result;
  // Instructions that the victim made inside the operation.
  std::uint32_t steps;
  // Where it stood.
  std::uint64_t instruction_pointer;
  // What was found; empty when all is well.
  std::string finding;
};

// One kill point's surroundings. A process of its own runs each.
struct point {
  const subject& target;
  const guard_driver& guard;
  std::size_t operation; // index into scenario::operations()
  std::uint32_t kill_at; // instructions of the operation before the death
  // For victim::advance(): where the path of this operation is kept, or known from.
  path* recorded;
  const path* known;
  // Called before a wait that only a stranded waiter makes long: it costs time, but
  // no processor.
  std::function<void()> about_to_wait;
};

// How long a live waiter may take. Without the kernel's help ours looks again after
// 100 ms; the rest is for a busy machine.
inline constexpr std::chrono::milliseconds waiter_patience{1500};

class scenario {
public:
  scenario() = default;
  scenario(const scenario&) = delete;
  scenario& operator=(const scenario&) = delete;
  virtual ~scenario() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  // `--scenario` takes the name, or the family's, which means all of it.
  [[nodiscard]] virtual std::string_view family() const { return name(); }
  [[nodiscard]] virtual std::string_view summary() const = 0;
  // What the victim is killed in, each from its first instruction to its last.
  [[nodiscard]] virtual std::span<const std::string_view> operations() const = 0;
  // Not empty: a limit of every kernel that this scenario shows. Its `lost` and
  // `stranded` then do not count against a subject that has the kernel's mark alone.
  [[nodiscard]] virtual std::string_view kernel_limit() const { return {}; }

  // Throws failure when the point could not be judged.
  [[nodiscard]] virtual verdict run(const point& at) const = 0;
};

[[nodiscard]] inline bool is_limited(const scenario& attack, const subject& target) {
  return !attack.kernel_limit().empty() && !target.sees_death_by_itself();
}

} // namespace deadbolt::crash
#endif
