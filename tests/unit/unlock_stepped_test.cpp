// SPDX-License-Identifier: MIT
// Unlocks executed one instruction at a time. After each, a guard's view (the block
// at the instruction pointer, the registers) must agree with the memory: the rule
// demands a repair exactly while the word is released and list_op_pending still set.
#include <deadbolt/robust_futex.h>
#include <guard/repair_rule.h>

#include <unlock_fixture.hpp>

#include <child_process.hpp>
#include <seccomp_filter.hpp>
#include <single_step.hpp>

#include <cerrno>
#include <functional>
#include <sys/ptrace.h>

namespace deadbolt::testing {
namespace {

struct step_counts {
  int in_window = 0;
  int owed = 0;
};

class unlock_stepped : public unlock_fixture {
protected:
  // Runs body() in a child, stepped from its raise() to its end.
  step_counts step(std::uint32_t word, const std::function<void()>& body) {
    constexpr int most_steps = 200'000;
    step_counts counts;
    child_process child{[&] {
      words->lock = (word & ~std::uint32_t{FUTEX_TID_MASK}) | own_tid();
      held_ = words->lock;
      ptrace(PTRACE_TRACEME);
      raise(SIGSTOP);
      body();
      raise(SIGSTOP);
    }};
    EXPECT_EQ(next_stop(child.pid()), SIGSTOP);
    held_ = words->lock;
    for (int i = 0; i < most_steps; ++i) {
      const int signal = single_step(child.pid());
      if (signal == SIGSTOP) return counts;
      if (signal != SIGTRAP) {
        ADD_FAILURE() << "the child stopped with signal " << signal;
        return counts;
      }
      look(child.pid(), counts);
      if (HasFailure()) return counts;
    }
    ADD_FAILURE() << "no end after " << most_steps << " steps";
    return counts;
  }

private:
  void look(pid_t child, step_counts& counts) {
    const deadbolt_thread_state thread = arch::thread_state(child);
    // The child is a fork, so the code that it executes is at the same address here.
    deadbolt_critical_section block{};
    if (reads_like_a_block(thread.ip)) {
      std::memcpy(&block, reinterpret_cast<const void*>(deadbolt_block_address(thread.ip)),
                  sizeof block);
    }
    const deadbolt_repair told = deadbolt_repair_rule(&block, &thread);
    const bool pending = words->head.list_op_pending != nullptr;
    const bool in_window = pending && words->lock != held_;
    EXPECT_EQ(told != DEADBOLT_REPAIR_NONE, in_window) << "ip " << std::hex << thread.ip;
    EXPECT_TRUE(!pending || words->head.list_op_pending == entry())
        << "the local engine must never mark list_op_pending";
    counts.in_window += in_window ? 1 : 0;
    counts.owed += told == DEADBOLT_REPAIR_CLEAR_IF_WORD_IS_MINE ? 1 : 0;
  }

  // Whether the 128 bytes around `ip` can be read here: the vDSO's and libc's can.
  static bool reads_like_a_block(std::uintptr_t ip) {
    unsigned char resident;
    return mincore(reinterpret_cast<void*>(ip & ~(page_size - 1)), page_size, &resident) == 0;
  }

  std::uint32_t held_ = 0;
};

TEST_F(unlock_stepped, uncontended_window_is_what_its_block_says) {
  const step_counts counts = step(0, [this] { robust_futex_unlock(&words->lock, &words->head); });
  EXPECT_GE(counts.in_window, 2);
  EXPECT_LE(counts.in_window, 3);
  EXPECT_EQ(counts.owed, 0);
}

TEST_F(unlock_stepped, contended_window_is_what_its_block_says) {
  const step_counts counts =
      step(FUTEX_WAITERS, [this] { robust_futex_unlock(&words->lock, &words->head); });
  EXPECT_GE(counts.in_window, 3);
  EXPECT_EQ(counts.owed, 0) << "FUTEX_WAKE_OP releases and wakes in one";
}

TEST_F(unlock_stepped, refused_system_call_leaves_the_word_owned_until_the_exchange) {
  for (const std::uint32_t action :
       {std::uint32_t{SECCOMP_RET_ERRNO | EPERM}, std::uint32_t{SECCOMP_RET_ERRNO | ENOSYS},
        std::uint32_t{SECCOMP_RET_ERRNO | EFAULT}}) {
    words->head.list_op_pending = entry();
    const step_counts counts = step(FUTEX_WAITERS, [&] {
      CHILD_EXPECT(refuse_futex_operation(FUTEX_WAKE_OP, action));
      robust_futex_unlock(&words->lock, &words->head);
    });
    EXPECT_GT(counts.owed, 0);
    EXPECT_GT(counts.in_window, counts.owed);
  }
}

TEST_F(unlock_stepped, pi_windows_are_what_their_blocks_say) {
  const auto unlock = [this] {
    words->expected = words->lock;
    robust_pi_futex_try_unlock(&words->lock, &words->expected, &words->head);
  };
  EXPECT_GE(step(0, unlock).in_window, 2);
  words->head.list_op_pending = entry();
  EXPECT_GE(step(FUTEX_WAITERS, unlock).in_window, 3);
}

TEST_F(unlock_stepped, refused_pi_unlock_is_never_in_a_window) {
  const step_counts counts = step(FUTEX_WAITERS, [this] {
    CHILD_EXPECT(refuse_futex_operation(FUTEX_UNLOCK_PI, SECCOMP_RET_ERRNO | EPERM));
    words->expected = words->lock;
    robust_pi_futex_try_unlock(&words->lock, &words->expected, &words->head);
  });
  EXPECT_EQ(counts.in_window, 0);
  EXPECT_EQ(words->head.list_op_pending, entry());
}

} // namespace
} // namespace deadbolt::testing
