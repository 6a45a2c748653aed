// SPDX-License-Identifier: MIT
// A process, or a thread of the victim's process, that does to locks what it is told.
#ifndef DEADBOLT_CRASH_HELPER_PROCESS_HPP
#define DEADBOLT_CRASH_HELPER_PROCESS_HPP

#include "crash/subject.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <sys/types.h>

namespace deadbolt::crash {

enum class deed : std::uint8_t {
  lock,
  try_lock,
  mark_consistent,
  unlock,
  destroy,
  map_over,   // maps `descriptor` over the lock's pages with MAP_FIXED
  exit_group, // ends the whole process; no reply
  execve,     // becomes the quiet program; no reply
};

struct order {
  deed what;
  void* lock;
  std::size_t length; // map_over
  int descriptor;     // map_over, execve
};

// The two ends of a helper_process's strings.
class strings {
public:
  strings();
  strings(const strings&) = delete;
  strings& operator=(const strings&) = delete;
  ~strings();

  // The controller's end. A helper_process has one order at a time.
  void send(const order& order) const;
  [[nodiscard]] std::optional<grant> reply(std::chrono::milliseconds patience) const;
  [[nodiscard]] bool reply_is_there() const noexcept;
  // An order that does not wait, and its reply. No reply is thrown: the helper_process, or the
  // subject in it, broke down.
  grant make(deed what, void* lock) const;

  // The helper_process's end: obeys until it is killed.
  [[noreturn]] void obey(const subject& subject) const;

private:
  int controller_;
  int helper_;
};

// A process on strings, killed when the object goes.
class helper_process {
public:
  explicit helper_process(const subject& subject);
  helper_process(const helper_process&) = delete;
  helper_process& operator=(const helper_process&) = delete;
  ~helper_process() { kill(); }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] const strings& on() const noexcept { return strings_; }
  // Returns when the helper_process sleeps in a lock operation, or has finished it.
  void await_sleep() const;
  // As strings::reply(); but time for which it was ready to run and the machine was busy does
  // not count.
  [[nodiscard]] std::optional<grant> reply(std::chrono::milliseconds patience) const;
  // Kills and reaps it.
  void kill() noexcept;

private:
  strings strings_;
  pid_t pid_;
};

} // namespace deadbolt::crash
#endif
