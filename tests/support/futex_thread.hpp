// SPDX-License-Identifier: MIT
// Threads that sleep on a futex, and a way to find out that they are asleep.
#ifndef DEADBOLT_TESTS_FUTEX_THREAD_HPP
#define DEADBOLT_TESTS_FUTEX_THREAD_HPP

#include <robust_list_view.hpp>
#include <watchdog.hpp>

#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <linux/futex.h>
#include <string>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace deadbolt::testing {

// futex(2); returns the kernel's result: -errno on failure.
inline long futex(const void* word, int operation, std::uint32_t value,
                  const void* timeout = nullptr, const void* word2 = nullptr,
                  std::uint32_t value3 = 0) noexcept {
  const long result = syscall(SYS_futex, word, operation, value, timeout, word2, value3);
  return result < 0 ? -errno : result;
}

// Whether thread `tid` of process `pid` is asleep in a futex call on `word` (an
// address of that process).
inline bool sleeps_on(pid_t pid, pid_t tid, const void* word) {
  const std::string task = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid);
  std::FILE* file = std::fopen((task + "/syscall").c_str(), "r");
  if (file == nullptr) return false;
  // "NUMBER ARGUMENT0 ..." for a thread that waits inside the call, "running" otherwise.
  long number = -1;
  std::uintptr_t argument = 0;
  const bool read = std::fscanf(file, "%ld 0x%" SCNxPTR, &number, &argument) == 2;
  std::fclose(file);
  return read && number == SYS_futex && argument == reinterpret_cast<std::uintptr_t>(word);
}

inline void await_sleeping(pid_t pid, pid_t tid, const void* word) {
  await("a thread to sleep on a futex", [&] { return sleeps_on(pid, tid, word); });
}

// A thread of this process whose TID is known when the constructor returns.
class known_thread {
public:
  template <class Body>
  explicit known_thread(Body body)
      : thread_{[this, run = std::move(body)]() mutable {
          tid_.store(gettid(), std::memory_order_release);
          run();
        }} {
    await("a thread's TID", [this] { return tid() != 0; });
  }
  known_thread(const known_thread&) = delete;
  known_thread& operator=(const known_thread&) = delete;
  ~known_thread() {
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] pid_t tid() const noexcept { return tid_.load(std::memory_order_acquire); }
  void join() { thread_.join(); }
  void await_sleeping_on(const void* word) const { await_sleeping(getpid(), tid(), word); }

private:
  std::atomic<pid_t> tid_{0};
  std::thread thread_;
};

} // namespace deadbolt::testing
#endif
