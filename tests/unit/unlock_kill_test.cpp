// SPDX-License-Identifier: MIT
// The local engine's unlock blocks, with the thread killed at each of their instructions, and the
// repair rule as the guard. A released word is used again at once, for a value that reads as the
// dead thread's own lock: the kernel must not write there. A word that was not released must be
// marked: otherwise the lock is lost.
#include <deadbolt/robust_futex.h>
#include <guard/repair_rule.h>

#include <robust_list_view.hpp>
#include <seccomp_filter.hpp>
#include <shared_memory.hpp>
#include <single_step.hpp>

#include <cerrno>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <iostream>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::testing {
namespace {

struct lock_words {
  robust_list link{};
  std::uint32_t lock = 0;
  std::uint32_t expected = 0;
  robust_list_head head{};
};

// What repairs a thread that dies.
enum class protection {
  none,
  rule,                   // the repair rule
  mutant_place_is_proof,  // takes every instruction pointer in a window for a proof
  mutant_place_is_behind, // takes only those behind a window's first instruction for one
};

struct kill_counts {
  std::uint32_t points = 0;
  std::uint32_t inner = 0; // of these, inside or right behind a failed store exclusive
  std::uint32_t corrupted = 0;
  std::uint32_t lost = 0;
};

struct unlock_path {
  const char* name;
  std::uint32_t word; // beside the TID
  bool pi;
  int refused = -1; // a futex operation, by a filter
};

// One child, stopped at the first instruction of its unlock.
class victim {
public:
  victim(lock_words& words, const unlock_path& path) : words_{words}, pid_{fork()} {
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      alarm(300);
      const auto tid = static_cast<std::uint32_t>(gettid());
      words.lock = tid | path.word;
      words.expected = words.lock;
      words.head.list.next = &words.head.list;
      words.head.futex_offset = reinterpret_cast<std::intptr_t>(&words.lock) -
                                reinterpret_cast<std::intptr_t>(&words.link);
      words.head.list_op_pending = reinterpret_cast<robust_list*>(
          reinterpret_cast<std::uintptr_t>(&words.link) | (path.pi ? 1U : 0U));
      if (syscall(SYS_set_robust_list, &words.head, sizeof words.head) != 0 ||
          (path.refused >= 0 && !refuse_futex_operation(path.refused, SECCOMP_RET_ERRNO | EPERM))) {
        _exit(1);
      }
      ptrace(PTRACE_TRACEME);
      raise(SIGSTOP);
      if (path.pi) {
        robust_pi_futex_try_unlock(&words.lock, &words.expected, &words.head);
      } else {
        robust_futex_unlock(&words.lock, &words.head);
      }
      raise(SIGSTOP);
      _exit(0);
    }
    if (next_stop(pid_) != SIGSTOP) std::abort();
    ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL);
    held_ = words_.lock;
    const auto begin = path.pi ? reinterpret_cast<std::uint64_t>(&robust_pi_futex_try_unlock)
                               : reinterpret_cast<std::uint64_t>(&robust_futex_unlock);
    if (run_to_any(pid_, {begin}) != SIGTRAP) std::abort();
  }
  victim(const victim&) = delete;
  victim& operator=(const victim&) = delete;
  ~victim() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    while (next_stop(pid_) >= 0) ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
  }

  // The word is released and nothing is pending: the kernel has nothing left to do.
  [[nodiscard]] bool has_unlocked() const {
    return words_.lock != held_ && words_.head.list_op_pending == nullptr;
  }
  // False when the operation is over.
  bool step(std::uint32_t count) {
    for (; count > 0; --count) {
      if (single_step(pid_) != SIGTRAP) return false;
    }
    return true;
  }
  // Instructions of the sequence of exclusives that starts here, 0 if none does.
  [[nodiscard]] unsigned sequence() const { return sequence_at_stop(pid_).length; }
  // At the start of such a sequence: goes to its n-th instruction, or behind it.
  bool step_inside(unsigned n) { return testing::step_inside(pid_, n); }

  // Kills it here and counts what the kernel did to the word.
  void kill(protection guard, kill_counts& counts) {
    const bool released = words_.lock != held_;
    const auto reused = static_cast<std::uint32_t>(pid_);
    if (released) words_.lock = reused;
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, __WALL) == pid_ && WIFSTOPPED(status)) {
      if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8))) repair(guard);
      ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    }
    pid_ = 0;
    ++counts.points;
    if (released && words_.lock != reused) ++counts.corrupted;
    if (!released && (words_.lock & FUTEX_OWNER_DIED) == 0) ++counts.lost;
  }

private:
  void repair(protection guard) {
    if (guard == protection::none) return;
    const deadbolt_thread_state thread = arch::thread_state(pid_);
    deadbolt_critical_section block{};
    // By words: the code need not be mapped here at the same place.
    const std::uint64_t at = deadbolt_block_address(thread.ip);
    for (std::size_t i = 0; i < sizeof block; i += 8) {
      const std::uint64_t bytes = peek(pid_, at + i);
      std::memcpy(reinterpret_cast<char*>(&block) + i, &bytes, sizeof bytes);
    }
    deadbolt_repair told = deadbolt_repair_rule(&block, &thread);
    if (guard != protection::rule && deadbolt_block_is_well_formed(&block)) {
      const std::uint64_t offset = thread.ip - at;
      const bool first = offset == block.window_begin;
      const bool in = offset >= block.window_begin && offset < block.window_end;
      if (guard == protection::mutant_place_is_proof && in) told = DEADBOLT_REPAIR_CLEAR;
      if (guard == protection::mutant_place_is_behind && first) told = DEADBOLT_REPAIR_NONE;
    }
    const bool is_mine = (words_.lock & DEADBOLT_WORD_TID_MASK) == static_cast<std::uint32_t>(pid_);
    if (told == DEADBOLT_REPAIR_CLEAR ||
        (told == DEADBOLT_REPAIR_CLEAR_IF_WORD_IS_MINE && is_mine)) {
      words_.head.list_op_pending = nullptr; // shared with the child
    }
  }

  lock_words& words_;
  pid_t pid_;
  std::uint32_t held_ = 0;
};

class unlock_kill_at_places : public ::testing::Test {
protected:
  void SetUp() override {
    if (std::strcmp(deadbolt_engine(), "local") != 0) {
      GTEST_SKIP() << "these are the local engine's tests; this process has " << deadbolt_engine();
    }
  }

  kill_counts kill_everywhere(protection guard, const unlock_path& path) {
    kill_counts counts;
    for (std::uint32_t count = 0;; ++count) {
      victim here{*words_, path};
      if (!here.step(count)) break;
      const unsigned sequence = here.sequence();
      const bool last = here.has_unlocked();
      here.kill(guard, counts);
      if (last) break;
      for (unsigned inner = 1; inner <= sequence; ++inner) {
        victim inside{*words_, path};
        if (!inside.step(count) || !inside.step_inside(inner)) break;
        inside.kill(guard, counts);
        ++counts.inner;
      }
    }
    std::cout << path.name << ": " << counts.points << " kill points, " << counts.inner
              << " of them inside load and store exclusive, " << counts.corrupted << " corrupted, "
              << counts.lost << " lost\n";
    return counts;
  }

private:
  shared<lock_words> words_;
};

class unlock_kill : public unlock_kill_at_places,
                    public ::testing::WithParamInterface<unlock_path> {
protected:
  kill_counts kill_everywhere(protection guard) {
    return unlock_kill_at_places::kill_everywhere(guard, GetParam());
  }
};

TEST_P(unlock_kill, rule_leaves_nothing_corrupted_and_nothing_lost) {
  const kill_counts counts = kill_everywhere(protection::rule);
  EXPECT_GT(counts.points, 10U);
  EXPECT_EQ(counts.corrupted, 0U);
  EXPECT_EQ(counts.lost, 0U);
}

TEST_P(unlock_kill, unguarded_thread_corrupts_reused_memory) {
  const kill_counts counts = kill_everywhere(protection::none);
  EXPECT_GT(counts.corrupted, 0U);
  EXPECT_EQ(counts.lost, 0U);
}

// A window's first instruction stands right behind the one that releases.
TEST_P(unlock_kill, mutant_with_a_later_window_corrupts) {
  EXPECT_GT(kill_everywhere(protection::mutant_place_is_behind).corrupted, 0U);
}

INSTANTIATE_TEST_SUITE_P(local_engine, unlock_kill,
                         ::testing::Values(unlock_path{"uncontended", 0, false},
                                           unlock_path{"contended", FUTEX_WAITERS, false},
                                           unlock_path{"refused", FUTEX_WAITERS, false,
                                                       FUTEX_WAKE_OP},
                                           unlock_path{"pi_uncontended", 0, true},
                                           unlock_path{"pi_contended", FUTEX_WAITERS, true}),
                         [](const auto& test) { return std::string{test.param.name}; });

class unlock_kill_mutant : public unlock_kill {};

// In these the window holds instructions at which nothing was released: the exchange saw another
// value, the store exclusive failed, or the system call was refused.
TEST_P(unlock_kill_mutant, that_takes_the_place_for_proof_loses_the_lock) {
  EXPECT_GT(kill_everywhere(protection::mutant_place_is_proof).lost, 0U);
}

// Behind a compare-exchange that saw a waiter's bit a thread is in the window with the word still
// held. A store exclusive is not reached with that bit; a thread is in the window with the word
// still held when the store failed, which is among the uncontended kill points.
TEST_F(unlock_kill_at_places, mutant_that_takes_the_place_for_proof_loses_the_lock) {
  std::uint32_t lost = 0;
  for (const unlock_path& path :
       {unlock_path{"uncontended", 0, false}, unlock_path{"contended", FUTEX_WAITERS, false}}) {
    lost += kill_everywhere(protection::mutant_place_is_proof, path).lost;
  }
  EXPECT_GT(lost, 0U);
}

INSTANTIATE_TEST_SUITE_P(
    local_engine, unlock_kill_mutant,
    ::testing::Values(unlock_path{"refused", FUTEX_WAITERS, false, FUTEX_WAKE_OP},
                      unlock_path{"pi_refused", FUTEX_WAITERS, true, FUTEX_UNLOCK_PI}),
    [](const auto& test) { return std::string{test.param.name}; });

} // namespace
} // namespace deadbolt::testing
