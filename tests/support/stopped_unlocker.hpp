// SPDX-License-Identifier: MIT
// A thread that stands still inside its unlock window.
#ifndef DEADBOLT_TESTS_STOPPED_UNLOCKER_HPP
#define DEADBOLT_TESTS_STOPPED_UNLOCKER_HPP

#include <deadbolt/robust_mutex.hpp>

#include <futex_thread.hpp>
#include <gate.hpp>
#include <seccomp_filter.hpp>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>

namespace deadbolt::testing {

// Locks the mutex and unlocks it, in a thread whose sandbox refuses FUTEX_WAKE_OP on the lock's
// word and traps FUTEX_WAKE on it. The trap runs a signal handler between the word's release and
// the clear of list_op_pending; the handler waits until go_on(). There can be one such thread at a
// time.
class stopped_unlocker {
public:
  explicit stopped_unlocker(robust_mutex& mutex) {
    current = this;
    struct sigaction action {};
    action.sa_handler = [](int) {
      current->in_window_.open();
      current->go_on_.pass("the test to let the unlocker go on");
    };
    sigaction(SIGSYS, &action, nullptr);
    thread_.emplace([&mutex] {
      auto* word = const_cast<std::uint32_t*>(mutex.native_handle());
      if (mutex.lock().status() != lock_status::acquired ||
          !refuse_futex_operation(FUTEX_WAKE_OP, SECCOMP_RET_ERRNO | EPERM, word) ||
          !refuse_futex_operation(FUTEX_WAKE, SECCOMP_RET_TRAP, word)) {
        std::abort();
      }
      __atomic_fetch_or(word, FUTEX_WAITERS, __ATOMIC_RELAXED); // so that a wake is tried
      static_cast<void>(mutex.unlock());
    });
    in_window_.pass("the unlocker to reach its window");
  }
  ~stopped_unlocker() { go_on(); }
  stopped_unlocker(const stopped_unlocker&) = delete;
  stopped_unlocker& operator=(const stopped_unlocker&) = delete;

  [[nodiscard]] pid_t tid() const noexcept { return thread_->tid(); }
  void go_on() {
    if (!thread_) return;
    go_on_.open();
    thread_.reset();
  }

private:
  static inline stopped_unlocker* current = nullptr;
  gate in_window_;
  gate go_on_;
  std::optional<known_thread> thread_;
};

} // namespace deadbolt::testing
#endif
