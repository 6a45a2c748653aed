// SPDX-License-Identifier: MIT
// Processes and threads on one set of locks, killed at random. Where crash-test kills
// at every instruction of one operation, a storm kills anywhere in all of them at once.
#ifndef DEADBOLT_TESTS_STORM_STORM_HPP
#define DEADBOLT_TESTS_STORM_STORM_HPP

#include "crash/subject.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace deadbolt::storm {

enum class way : std::uint8_t { sigkill, sigsegv, exit_group, exec };
inline constexpr std::array ways{way::sigkill, way::sigsegv, way::exit_group, way::exec};
std::string_view to_string(way way) noexcept;

struct options {
  std::uint32_t processes = 4;
  std::uint32_t threads = 2; // of each process
  std::uint64_t seed = 0;    // the same seed makes the same schedule of kills
  // The storm goes on for longer if too little has happened by then: see shortfall().
  std::chrono::duration<double> time{10};
  std::chrono::microseconds between_kills{2000}; // on average
  // A live thread that waits longer than this for a lock that no thread enters or leaves meanwhile
  // is stranded. The locks promise 100 ms; the rest is for a busy machine.
  std::chrono::duration<double> patience{4};
};

// One kill.
struct strike {
  std::chrono::nanoseconds after; // time since the previous kill
  std::uint32_t process;
  std::uint32_t thread; // which thread is signalled, where that matters
  way how;
  friend bool operator==(const strike&, const strike&) = default;
};

// The sequence of kills. It depends on the options alone, so that their seed replays it.
class schedule {
public:
  explicit schedule(const options& options) : options_{options}, random_{options.seed} {}
  strike next();

private:
  options options_;
  std::mt19937_64 random_;
};

struct outcome {
  std::array<std::uint64_t, ways.size()> kills{};
  std::uint64_t sections = 0; // critical sections, each with its invariants checked
  std::uint64_t takeovers = 0;
  // The longest time that a thread waited, and the longest part of a wait in which no thread
  // entered or left the lock. Only waits that ended with the lock count.
  std::chrono::nanoseconds longest_wait{0};
  std::chrono::nanoseconds longest_rest{0};
  std::string violation; // empty: none
  [[nodiscard]] std::uint64_t all_kills() const;
};

// Says what happened too seldom in that time for the storm to prove anything; empty if nothing did.
[[nodiscard]] std::string shortfall(const outcome& outcome, std::chrono::duration<double> time);

// Runs a storm on locks of this kind, each of which admits `permits` threads at once. Ends early at
// the first violation.
outcome run(const crash::subject& subject, const options& options, std::uint32_t permits = 1);

namespace detail {

constexpr std::uint32_t most_workers = 64; // processes x threads
constexpr std::uint32_t locks = 4;
constexpr std::uint32_t most_permits = 4;

// Records one of the threads that a lock admits.
struct place {
  std::atomic<std::uint64_t> owner; // the thread inside, or one that was killed there; 0: none
  // Only for a lock that admits one thread.
  std::uint64_t before; // counts sections begun,
  std::uint64_t after;  // and ended
};

// What one lock guards.
struct alignas(64) guarded {
  place places[most_permits];        // one for each permit of the lock
  std::atomic<std::uint64_t> claims; // counts the searches for a place; incremented before each
  std::atomic<std::int64_t> changed; // when a thread last entered or left
};

// A thread as the watchdog sees it.
struct alignas(64) worker {
  std::atomic<std::int64_t> waiting_since; // nanoseconds; 0: not waiting
  std::atomic<std::uint32_t> waiting_for;  // lock
  std::atomic<std::int32_t> tid;           // 0 until the thread runs
  std::atomic<std::uint64_t> incarnation;  // as in place::owner
  std::atomic<bool> doomed;                // set before it is killed
};

enum class violation : std::uint32_t {
  none,
  never_left,     // the lock was granted as if free, but its last owner, alive or dead, is inside
  two_inside,     // another thread changed the data meanwhile
  refused,        // an operation failed that cannot fail
  unlock_refused, // the owner was told not_owner
  one_too_many,   // more threads were admitted than there are permits
};

// In memory that all processes share; contains no lock.
struct control {
  std::atomic<bool> stop;
  std::atomic<std::uint64_t> incarnations;
  std::atomic<std::uint64_t> sections;
  std::atomic<std::uint64_t> takeovers;
  std::atomic<std::int64_t> longest_wait; // as in outcome
  std::atomic<std::int64_t> longest_rest;
  std::atomic<violation> found;
  std::atomic<std::uint32_t> found_lock;
  std::atomic<std::uint32_t> found_detail; // a crash::grant
  guarded data[locks];
  worker workers[most_workers];
};

// Empty if no violation was found.
[[nodiscard]] std::string text_of_violation(const control& control);

// The part of a storm that its processes share.
struct stage {
  const crash::subject& subject;
  control& shared;
  std::byte* lock_memory;
  std::size_t lock_stride;
  std::uint32_t permits;

  [[nodiscard]] void* lock(std::uint32_t number) const {
    return lock_memory + number * lock_stride;
  }
  // Fewer locks if each admits several threads, so that all permits are taken at times.
  [[nodiscard]] std::uint32_t used_locks() const { return std::max(1u, locks / permits); }
};

// A process of the storm; never returns.
[[noreturn]] void work(const stage& stage, const options& options, std::uint32_t process);

// After all processes are gone: checks that each lock, with all its permits, can be acquired.
// Empty if so.
[[nodiscard]] std::string try_every_lock(const stage& stage, const options& options);

// Signals by which the driver has a process end itself, wherever it is.
inline constexpr int exit_signal = 10; // SIGUSR1
inline constexpr int exec_signal = 12; // SIGUSR2

std::int64_t now() noexcept; // CLOCK_MONOTONIC, nanoseconds

} // namespace detail
} // namespace deadbolt::storm
#endif
