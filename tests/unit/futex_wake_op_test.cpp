// SPDX-License-Identifier: MIT
// What this kernel's FUTEX_WAKE_OP on one address does and answers: the table that
// the contended block and the repair rule share.
#include <deadbolt/critical_section.h>

#include <child_process.hpp>
#include <futex_thread.hpp>
#include <seccomp_filter.hpp>
#include <shared_memory.hpp>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

namespace deadbolt::testing {
namespace {

constexpr std::uint32_t held = 0x1234 | FUTEX_WAITERS;
constexpr std::uint32_t set_zero = 0; // wakes more waiters if the old value was 0
constexpr std::uint32_t set_zero_compare_true = FUTEX_OP_CMP_NE << 24; // wakes more if it was not
constexpr std::uint32_t set_waiters =
    static_cast<std::uint32_t>(FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT) << 28 | 31U << 12;

long release(std::uint32_t* word, std::uint32_t operation = set_zero) {
  return futex(word, FUTEX_WAKE_OP, 1, nullptr, word, operation);
}

class futex_wake_op : public ::testing::Test {
protected:
  std::uint32_t& word() { return *word_; }
  // Starts threads that sleep on the word; the test's end wakes those that still sleep.
  void put_to_sleep(int count) {
    for (int i = 0; i < count; ++i) {
      sleepers_.push_back(std::make_unique<known_thread>([this] {
        while (futex(&word(), FUTEX_WAIT, held) == -EINTR) {
        }
      }));
      sleepers_.back()->await_sleeping_on(&word());
    }
  }
  int still_asleep() {
    const long count = futex(&word(), FUTEX_WAKE, INT32_MAX);
    for (const auto& sleeper : sleepers_) sleeper->join();
    sleepers_.clear();
    return static_cast<int>(count);
  }
  void TearDown() override { static_cast<void>(still_asleep()); }

private:
  shared<std::uint32_t> word_{held};
  std::vector<std::unique_ptr<known_thread>> sleepers_;
};

TEST_F(futex_wake_op, without_waiters_answers_0_and_writes) {
  EXPECT_EQ(release(&word()), 0);
  EXPECT_EQ(word(), 0U);
}

TEST_F(futex_wake_op, with_waiters_answers_1_writes_and_wakes_one) {
  put_to_sleep(3);
  EXPECT_EQ(release(&word()), DEADBOLT_CS_WAKE_OP_MAX_WOKEN);
  EXPECT_EQ(word(), 0U);
  EXPECT_EQ(still_asleep(), 2);
}

TEST_F(futex_wake_op, true_comparison_wakes_one_more) {
  put_to_sleep(3);
  EXPECT_EQ(release(&word(), set_zero_compare_true), 2);
  EXPECT_EQ(still_asleep(), 1);
}

TEST_F(futex_wake_op, set_with_shift_31_leaves_waiters) {
  put_to_sleep(2);
  EXPECT_EQ(release(&word(), set_waiters), 1);
  EXPECT_EQ(word(), FUTEX_WAITERS);
  EXPECT_EQ(still_asleep(), 1);
}

// Runs in a child, which ends while the waiter is still asleep.
TEST_F(futex_wake_op, pi_waiter_first_answers_einval_after_the_write) {
  EXPECT_EQ(run_in_child([&] {
              std::uint32_t& lock = word();
              lock = static_cast<std::uint32_t>(gettid());
              static_cast<void>(new known_thread{[&] { futex(&lock, FUTEX_LOCK_PI, 0); }});
              await("WAITERS", [&] {
                return __atomic_load_n(&lock, __ATOMIC_RELAXED) ==
                       (static_cast<std::uint32_t>(gettid()) | FUTEX_WAITERS);
              });
              // The waiter is queued a moment after it has set WAITERS.
              await("the kernel to find a PI waiter",
                    [&] { return release(&lock) == DEADBOLT_CS_WAKE_OP_PI_WAITER; });
              CHILD_EXPECT(lock == 0);
            }),
            exited(0));
}

TEST_F(futex_wake_op, read_only_word_answers_efault_and_stays) {
  const shared_pages pages;
  auto* lock = static_cast<std::uint32_t*>(pages.address());
  *lock = held;
  ASSERT_EQ(mprotect(pages.address(), pages.length(), PROT_READ), 0);
  EXPECT_EQ(release(lock), -EFAULT);
  EXPECT_EQ(*lock, held);
}

TEST_F(futex_wake_op, misaligned_word_answers_einval_without_a_write) {
  const shared_pages pages;
  auto* bytes = static_cast<unsigned char*>(pages.address());
  std::memset(bytes, 0x5a, 16);
  EXPECT_EQ(release(reinterpret_cast<std::uint32_t*>(bytes + 2)), -EINVAL);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(bytes[i], 0x5a);
}

TEST_F(futex_wake_op, filter_leaves_the_word_whatever_it_answers) {
  for (const int error : {EPERM, ENOSYS, EINTR}) {
    EXPECT_EQ(run_in_child([&] {
                CHILD_EXPECT(refuse_futex_operation(
                    FUTEX_WAKE_OP, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)));
                CHILD_EXPECT(release(&word()) == -error);
              }),
              exited(0));
    EXPECT_EQ(word(), held);
  }
}

// The kernel rolls rax back to the call's number.
TEST_F(futex_wake_op, trap_leaves_the_word_and_answers_the_calls_number) {
  EXPECT_EQ(run_in_child([&] {
              struct sigaction action {};
              action.sa_handler = [](int) {};
              sigaction(SIGSYS, &action, nullptr);
              CHILD_EXPECT(refuse_futex_operation(FUTEX_WAKE_OP, SECCOMP_RET_TRAP));
              CHILD_EXPECT(release(&word()) == SYS_futex);
            }),
            exited(0));
  EXPECT_EQ(word(), held);
}

} // namespace
} // namespace deadbolt::testing
