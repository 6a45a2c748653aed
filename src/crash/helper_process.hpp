// SPDX-License-Identifier: MIT
// Helper processes: they do to locks what the trial tells them, one request at a time.
#ifndef DEADBOLT_CRASH_HELPER_PROCESS_HPP
#define DEADBOLT_CRASH_HELPER_PROCESS_HPP

#include "crash/subject.hpp"
#include "trace/process.hpp"

#include <base/descriptor.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <sys/types.h>

namespace deadbolt::crash {

enum class action : std::uint8_t {
  lock,
  try_lock,
  mark_consistent,
  unlock,
  destroy,
  map_over,   // maps `descriptor` over the lock's pages with MAP_FIXED
  exit_group, // ends the whole process; no reply
  execve,     // executes the quiet program; no reply
};

struct request {
  action what;
  void* lock;
  std::size_t length = 0; // map_over
  int descriptor = -1;    // map_over, execve
};

// Carries requests from the trial to a helper, and replies back. The helper is a process or a
// thread that is made after the channel.
class channel {
public:
  channel();

  // The trial's end. Each request but the two without a reply is followed by its reply.
  void send(const request& request) const;
  [[nodiscard]] std::optional<grant> reply(std::chrono::milliseconds patience) const;
  [[nodiscard]] bool has_reply() const noexcept;
  // A request whose action does not wait, and its reply. Throws when none comes: the helper, or the
  // subject in it, broke down.
  grant call(action what, void* lock) const;

  // The helper's end: carries requests out until it is killed.
  [[noreturn]] void serve(const subject& subject) const;

private:
  base::descriptor trial_;
  base::descriptor helper_;
};

class helper_process {
public:
  // `apart`: in a PID namespace of its own, which needs CAP_SYS_ADMIN.
  explicit helper_process(const subject& subject, bool apart = false);

  [[nodiscard]] pid_t pid() const noexcept { return process_.pid(); }
  [[nodiscard]] const class channel& channel() const noexcept { return channel_; }
  // Returns when the process sleeps in a lock operation, or has finished it.
  void await_sleep() const;
  // As channel::reply(), but time in which the process was ready to run and had no processor does
  // not count.
  [[nodiscard]] std::optional<grant> reply(std::chrono::milliseconds patience) const;

private:
  class channel channel_;
  trace::child_process process_;
};

} // namespace deadbolt::crash
#endif
