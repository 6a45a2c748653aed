// SPDX-License-Identifier: MIT
// This machine's glibc on aarch64, with a thread killed at each instruction of its unlock, also
// between a load and a store exclusive, and the ptrace guard with the windows that were measured. A
// released word is used again at once, for a value that reads as the dead thread's own lock: the
// kernel must not write there. A word that was not released must be marked: otherwise the lock is
// lost. Windows that are wrong in one respect must be caught.
#include "guard/ptrace/stop_handler.hpp"
#include "guard/unlock_windows/elf_file.hpp"
#include "guard/unlock_windows/known_libcs.hpp"
#include "guard/unlock_windows/measure.hpp"

#include <shared_memory.hpp>
#include <single_step.hpp>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <exchange.hpp>
#include <functional>
#include <gtest/gtest.h>
#include <iostream>
#include <libc_paths.hpp>
#include <linux/futex.h>
#include <pthread.h>
#include <span>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::testing {
namespace {

constexpr std::uint32_t waiters = FUTEX_WAITERS;

struct mutexes {
  pthread_mutex_t lock; // robust
  pthread_mutex_t plain;
};
// A signal handler has no argument.
mutexes* handlers_own = nullptr;

void init(pthread_mutex_t& mutex, int robust, int protocol) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, robust);
  pthread_mutexattr_setprotocol(&attributes, protocol);
  pthread_mutex_init(&mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

std::uint32_t word_of(const pthread_mutex_t& mutex) {
  return static_cast<std::uint32_t>(__atomic_load_n(&mutex.__data.__lock, __ATOMIC_RELAXED));
}
void set_word(pthread_mutex_t& mutex, std::uint32_t value) {
  __atomic_store_n(&mutex.__data.__lock, static_cast<int>(value), __ATOMIC_RELAXED);
}

struct unlock_path {
  const char* name;
  int protocol;
  std::uint32_t flags = 0;  // beside the TID in the word, from the start
  bool late_waiter = false; // sets WAITERS in front of a compare-exchange, which then fails
};
constexpr unlock_path plain_path{"robust", PTHREAD_PRIO_NONE};
constexpr unlock_path late_path{"robust PI, a late waiter", PTHREAD_PRIO_INHERIT, 0, true};
constexpr unlock_path all_paths[] = {plain_path,
                                     {"robust, WAITERS", PTHREAD_PRIO_NONE, waiters},
                                     {"robust PI", PTHREAD_PRIO_INHERIT},
                                     {"robust PI, WAITERS", PTHREAD_PRIO_INHERIT, waiters},
                                     late_path};

std::uint64_t begin_of_unlock() {
  void* const found = dlsym(RTLD_DEFAULT, "pthread_mutex_unlock");
  if (found == nullptr) std::abort();
  return reinterpret_cast<std::uint64_t>(found);
}

// One child, stopped at the first instruction of its unlock.
class victim {
public:
  victim(mutexes& memory, const unlock_path& path) : memory_{memory}, path_{path} {
    init(memory.lock, PTHREAD_MUTEX_ROBUST, path.protocol);
    init(memory.plain, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
    pid_ = fork();
    if (pid_ == 0) live();
    if (next_stop(pid_) != SIGSTOP) std::abort();
    ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL);
    if (run_to_any(pid_, {begin_of_unlock()}) != SIGTRAP) std::abort();
    held_ = word_of(memory.lock) | path.flags;
    set_word(memory.lock, held_);
  }
  victim(const victim&) = delete;
  victim& operator=(const victim&) = delete;
  ~victim() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    while (next_stop(pid_) >= 0) ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
  }

  [[nodiscard]] bool released() const {
    return (word_of(memory_.lock) & FUTEX_TID_MASK) != static_cast<std::uint32_t>(pid_);
  }
  [[nodiscard]] bool is_pending() const {
    robust_list_head* head = nullptr;
    std::size_t size = 0;
    if (syscall(SYS_get_robust_list, pid_, &head, &size) != 0) std::abort();
    return peek(pid_, reinterpret_cast<std::uint64_t>(&head->list_op_pending)) != 0;
  }
  // False when it did not come so far.
  bool step(std::uint32_t count) {
    for (; count > 0; --count) {
      if (path_.late_waiter && !released() && is_pending() && next_exchange().compares)
        set_word(memory_.lock, held_ | waiters);
      if (single_step(pid_) != SIGTRAP) return false;
    }
    return true;
  }
  [[nodiscard]] guard::exchange next_exchange() const {
    trace::registers at;
    if (at.load(pid_) != 0) std::abort();
    return guard::find_exchange(at, [this](std::uint64_t from) { return peek(pid_, from); });
  }
  [[nodiscard]] unsigned sequence() const { return sequence_at_stop(pid_).length; }
  bool step_inside(unsigned n) { return testing::step_inside(pid_, n); }
  // Interrupts it: the handler unlocks a mutex that is not robust. Stops behind the exchange that
  // releases that mutex.
  bool unlock_another_in_a_handler() {
    if (::kill(pid_, SIGUSR1) != 0) return false;
    ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    if (next_stop(pid_) != SIGUSR1) return false;
    ptrace(PTRACE_SINGLESTEP, pid_, nullptr, SIGUSR1);
    for (int steps = 0; next_stop(pid_) == SIGTRAP && steps < 1000; ++steps) {
      if (word_of(memory_.plain) == 0) return true;
      if (sequence() != 0) {
        if (single_step(pid_) != SIGTRAP) return false;
        if (word_of(memory_.plain) == 0) return true;
      }
      ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    }
    return false;
  }

  // Kills it here. Adds to the counts what the kernel did to the word.
  void kill(const guard::window_set& windows, std::uint32_t& corrupted, std::uint32_t& lost) {
    const auto reused = static_cast<std::uint32_t>(pid_);
    const bool was_released = released();
    if (was_released) set_word(memory_.lock, reused);
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, __WALL) == pid_ && WIFSTOPPED(status)) {
      if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8)))
        static_cast<void>(guard::repair_thread(pid_, windows));
      ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    }
    pid_ = 0;
    if (was_released && word_of(memory_.lock) != reused) ++corrupted;
    if (!was_released && (word_of(memory_.lock) & FUTEX_OWNER_DIED) == 0) ++lost;
  }

private:
  [[noreturn]] void live() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(300);
    handlers_own = &memory_;
    signal(SIGUSR1, [](int) { pthread_mutex_unlock(&handlers_own->plain); });
    if (pthread_mutex_lock(&memory_.plain) != 0 || pthread_mutex_lock(&memory_.lock) != 0) _exit(1);
    ptrace(PTRACE_TRACEME);
    raise(SIGSTOP);
    pthread_mutex_unlock(&memory_.lock);
    raise(SIGSTOP);
    _exit(0);
  }

  mutexes& memory_;
  const unlock_path& path_;
  pid_t pid_ = -1;
  std::uint32_t held_ = 0;
};

// What is wrong with the windows.
using change = std::function<void(guard::libc_window&)>;

class libc_kill : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    const std::vector<std::string> libcs = guard::installed_libcs();
    std::string error = "no libc at the usual paths";
    if (!libcs.empty()) measured() = guard::measure_windows(libcs.front(), error);
    ASSERT_TRUE(measured()) << error;
    bytes() = guard::read_whole_file(libcs.front(), std::size_t{64} << 20, error).value_or("");
  }
  static std::optional<guard::measurement>& measured() {
    static std::optional<guard::measurement> found;
    return found;
  }
  static std::string& bytes() {
    static std::string read;
    return read;
  }
  static guard::window_set windows(const change& wrong = {}) {
    guard::window_table table = measured()->table;
    for (guard::libc_window& window : table.windows)
      if (wrong) wrong(window);
    guard::window_set set;
    set.add(table);
    return set;
  }
  // The same proof for the place so many bytes on. The code of a libc lies in its file where it
  // lies in memory.
  static void move(guard::libc_window& window, int by) {
    window.offset += static_cast<std::uint64_t>(by);
    const std::uint64_t from = window.offset - DEADBOLT_WINDOW_CODE_BEFORE;
    if (from + window.code.size() > bytes().size()) std::abort();
    std::memcpy(window.code.data(), bytes().data() + from, window.code.size());
  }
  // Replaces the register of a proof by none.
  static void drop(guard::libc_window& window, bool address, bool status, bool seen) {
    const std::uint32_t kind = window.what.kind;
    if (deadbolt_proof_is_about_the_word(kind) == 0) return;
    constexpr std::uint32_t none = DEADBOLT_NO_REGISTER;
    window.what.kind = deadbolt_exchange_kind(address ? none : DEADBOLT_EXCHANGE_ADDRESS(kind),
                                              status ? none : DEADBOLT_EXCHANGE_STATUS(kind),
                                              seen ? none : DEADBOLT_EXCHANGE_SEEN(kind));
  }

  struct counts {
    std::uint32_t points = 0;
    std::uint32_t inner = 0; // of these, inside or right behind a failed store exclusive
    std::uint32_t corrupted = 0;
    std::uint32_t lost = 0;
  };
  counts kill_everywhere(const guard::window_set& windows,
                         std::span<const unlock_path> paths = all_paths) {
    counts all;
    for (const unlock_path& path : paths) {
      const counts before = all;
      for (std::uint32_t count = 0;; ++count, ++all.points) {
        victim here{*memory_, path};
        if (!here.step(count)) break;
        const unsigned sequence = here.sequence();
        const bool last = here.released() && !here.is_pending();
        here.kill(windows, all.corrupted, all.lost);
        if (last) break;
        for (unsigned inner = 1; inner <= sequence; ++inner, ++all.inner) {
          victim inside{*memory_, path};
          if (!inside.step(count) || !inside.step_inside(inner)) break;
          inside.kill(windows, all.corrupted, all.lost);
        }
      }
      std::cout << path.name << ": " << all.points + all.inner - before.points - before.inner
                << " kill points, " << all.inner - before.inner
                << " of them inside load and store exclusive, " << all.corrupted - before.corrupted
                << " corrupted, " << all.lost - before.lost << " lost\n";
    }
    return all;
  }

  // The lock is still held, and its entry pending, when a handler unlocks another mutex.
  counts kill_in_a_handler(const guard::window_set& windows) {
    counts all;
    for (std::uint32_t count = 0;; ++count) {
      victim here{*memory_, plain_path};
      if (!here.step(count) || here.released()) return all;
      if (!here.is_pending()) continue;
      EXPECT_TRUE(here.unlock_another_in_a_handler());
      here.kill(windows, all.corrupted, all.lost);
      ++all.points;
    }
  }

  // LL/SC: without LSE glibc makes its exchanges by a load and a store exclusive.
  static bool has_exclusives() { return std::strcmp(guard::processor_variant(), ".llsc") == 0; }

  shared<mutexes> memory_;
};

TEST_F(libc_kill, right_windows_leave_nothing_corrupted_and_nothing_lost) {
  const counts found = kill_everywhere(windows());
  EXPECT_GT(found.points, 200U);
  EXPECT_EQ(found.inner > 0, has_exclusives());
  EXPECT_EQ(found.corrupted, 0U);
  EXPECT_EQ(found.lost, 0U);
}

TEST_F(libc_kill, unguarded_unlock_corrupts_reused_memory) {
  const counts found = kill_everywhere({});
  EXPECT_GT(found.corrupted, 0U);
  EXPECT_EQ(found.lost, 0U);
}

TEST_F(libc_kill, windows_one_instruction_late_corrupt) {
  EXPECT_GT(
      kill_everywhere(windows([](auto& window) { move(window, 4); }), {&plain_path, 1}).corrupted,
      0U);
}

// Their registers would still tell: at the exchange the word's address is in its register already.
TEST_F(libc_kill, windows_one_instruction_early_lose_the_lock) {
  const auto wrong = [](guard::libc_window& window) {
    move(window, -4);
    drop(window, false, true, true);
  };
  EXPECT_GT(kill_everywhere(windows(wrong), {&plain_path, 1}).lost, 0U);
}

TEST_F(libc_kill, proofs_without_the_status_lose_the_lock_behind_a_failed_store) {
  if (!has_exclusives()) GTEST_SKIP() << "this processor has LSE: there is no store exclusive";
  const auto wrong = [](auto& window) { drop(window, false, true, false); };
  EXPECT_GT(kill_everywhere(windows(wrong), {&plain_path, 1}).lost, 0U);
}

TEST_F(libc_kill, proofs_without_the_value_seen_lose_the_lock_when_a_waiter_comes_late) {
  const auto wrong = [](auto& window) { drop(window, false, false, true); };
  EXPECT_GT(kill_everywhere(windows(wrong), {&late_path, 1}).lost, 0U);
}

TEST_F(libc_kill, right_windows_are_not_about_another_mutex_in_a_handler) {
  const counts found = kill_in_a_handler(windows());
  EXPECT_GT(found.points, 5U);
  EXPECT_EQ(found.corrupted, 0U);
  EXPECT_EQ(found.lost, 0U);
}

TEST_F(libc_kill, proofs_without_the_address_lose_the_lock_when_a_handler_unlocks_another) {
  const auto wrong = [](auto& window) { drop(window, true, false, false); };
  EXPECT_GT(kill_in_a_handler(windows(wrong)).lost, 0U);
}

} // namespace
} // namespace deadbolt::testing
