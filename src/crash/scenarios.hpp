// SPDX-License-Identifier: MIT
// How crash-test attacks: what happens around a victim, and how the result is judged. A new
// scenario is a class, or an entry of the table of deaths in unlock, and an entry in
// all_scenarios().
#ifndef DEADBOLT_CRASH_SCENARIOS_HPP
#define DEADBOLT_CRASH_SCENARIOS_HPP

#include "crash/guards.hpp"
#include "crash/helper_process.hpp"
#include "crash/subject.hpp"
#include "crash/victim.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace deadbolt::crash {

// Each kill point has one outcome; where several fit, the worst.
enum class outcome : std::uint8_t {
  owner_died, // the victim held the lock, and the next owner is told so
  intact,     // it did not hold the lock, and everything is as without its death
  corrupted,  // its death wrote to memory that was not, or no longer, its lock
  lost,       // it held a lock that no thread can take, or whose next owner is not told
  stranded,   // a live waiter does not get a lock that is free or whose owner is dead
};
inline constexpr std::size_t outcomes = 5;
[[nodiscard]] std::string_view to_string(outcome outcome) noexcept;

struct verdict {
  outcome result;
  // Instructions that the victim executed inside the operation.
  std::uint32_t steps;
  // Where it was killed.
  trace::address instruction_pointer;
  // What was found; empty when all is well.
  std::string finding;
};

// One kill point. A process of its own runs each.
struct point {
  const subject& target;
  const guard_driver& guard;
  std::size_t operation; // index into scenario::operations()
  std::uint32_t kill_at; // instructions of the operation before the death
  // For victim::advance(): where to record this operation's path, or the path it is known to take.
  path* recorded;
  const path* known;
  // Called before a wait that is long only for a stranded waiter: it takes time, but no processor.
  std::function<void()> about_to_wait;
};

// How long a live waiter may take. Without the kernel's help this library's waiters look again
// after 100 ms; the rest is for a busy machine.
inline constexpr std::chrono::milliseconds waiter_patience{1500};

class scenario {
public:
  scenario() = default;
  scenario(const scenario&) = delete;
  scenario& operator=(const scenario&) = delete;
  virtual ~scenario() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  // `--scenario` takes the name, or the family's name for all of the family.
  [[nodiscard]] virtual std::string_view family() const { return name(); }
  [[nodiscard]] virtual std::string_view summary() const = 0;
  // The operations in which the victim is killed, each from its first instruction to its last.
  [[nodiscard]] virtual std::span<const std::string_view> operations() const = 0;
  // Not empty: a limit of every kernel that this scenario shows. `lost` and `stranded` then do not
  // count against a subject that relies on the kernel's mark alone.
  [[nodiscard]] virtual std::string_view kernel_limit() const { return {}; }
  // It judges what comes of the victim's waiters: not for a lock that has none.
  [[nodiscard]] virtual bool judges_waiters() const { return false; }
  // A variant of another scenario: used only when it is asked for by name.
  [[nodiscard]] virtual bool by_name_only() const { return false; }

  // Throws failure when the point could not be judged.
  [[nodiscard]] virtual verdict run(const point& at) const = 0;
};

// In the order of the table.
[[nodiscard]] std::span<const scenario* const> all_scenarios();

[[nodiscard]] inline bool is_limited(const scenario& attack, const subject& target) {
  return !attack.kernel_limit().empty() && !target.sees_death_by_itself();
}

// A file of `length` bytes in memory, mapped here. A victim that is forked later inherits the
// descriptor and can map the file over a lock.
class mapped_file {
public:
  explicit mapped_file(std::size_t length);
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file();

  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }
  [[nodiscard]] void* memory() const noexcept { return memory_; }

private:
  std::size_t length_;
  base::descriptor file_;
  void* memory_;
};

// Fills whole pages with one TID, again and again: to the kernel this data looks like a lock word
// of that thread, wherever the lock word was.
void fill_with_tid(void* memory, std::size_t length, pid_t tid) noexcept;
// How the memory differs from what fill_with_tid() wrote; empty if it does not.
[[nodiscard]] std::string find_damage(const void* memory, std::size_t length, pid_t tid);
// Takes a released lock, makes it consistent if its last owner died, and releases it. Returns what
// went wrong, or nothing.
[[nodiscard]] std::string take_and_release(const channel& helper, void* lock);

} // namespace deadbolt::crash
#endif
