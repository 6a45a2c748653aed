// SPDX-License-Identifier: MIT
// Seccomp filters refuse the futex operation that an unlock needs. The unlock must still release
// the word and wake its waiter, or leave the word owned and return that.
#include <deadbolt/robust_futex.h>

#include <unlock_fixture.hpp>

#include <child_process.hpp>
#include <futex_thread.hpp>
#include <seccomp_filter.hpp>

#include <cerrno>

namespace deadbolt::testing {
namespace {

using unlock_in_sandbox = unlock_fixture;

void skip_system_call_on_sigsys() {
  struct sigaction action {};
  action.sa_handler = [](int) {}; // rax keeps what the kernel rolled back: the call's number
  sigaction(SIGSYS, &action, nullptr);
}

// Unlocks a word that a thread sleeps on. Runs in a child, with which the filter ends.
ending unlock_contended_under_filter(unlock_words& words, std::uint32_t action) {
  return run_in_child([&] {
    const auto own = static_cast<std::uint32_t>(gettid());
    words.lock = own | FUTEX_WAITERS;
    std::atomic<bool> woken = false;
    known_thread waiter{[&] {
      if (futex(&words.lock, FUTEX_WAIT, own | FUTEX_WAITERS) == 0) woken = true;
    }};
    waiter.await_sleeping_on(&words.lock);
    skip_system_call_on_sigsys();
    CHILD_EXPECT(refuse_futex_operation(FUTEX_WAKE_OP, action));
    CHILD_EXPECT(robust_futex_unlock(&words.lock, &words.head) == own);
    CHILD_EXPECT(words.lock == 0);
    CHILD_EXPECT(words.head.list_op_pending == nullptr);
    waiter.join();
    CHILD_EXPECT(woken);
  });
}

TEST_F(unlock_in_sandbox, refusal_by_errno_is_released_by_exchange_and_wake) {
  for (const int refusal : {EPERM, ENOSYS, EACCES, EINTR, EAGAIN, EFAULT}) {
    words->head.list_op_pending = entry();
    EXPECT_EQ(unlock_contended_under_filter(*words, SECCOMP_RET_ERRNO |
                                                        static_cast<std::uint32_t>(refusal)),
              exited(0))
        << "errno " << refusal;
    EXPECT_TRUE(nothing_else_written());
  }
}

TEST_F(unlock_in_sandbox, skip_by_trap_is_released_by_exchange_and_wake) {
  EXPECT_EQ(unlock_contended_under_filter(*words, SECCOMP_RET_TRAP), exited(0));
  EXPECT_TRUE(nothing_else_written());
}

// The filter kills the thread in the system call: the victim still owns the word, and the kernel
// marks it.
TEST_F(unlock_in_sandbox, kill_by_filter_leaves_the_word_owned) {
  for (const std::uint32_t action : {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD}) {
#if defined(__SANITIZE_THREAD__) // ThreadSanitizer's own thread keeps the process alive
    if (action == SECCOMP_RET_KILL_THREAD) continue;
#endif
    EXPECT_EQ(run_in_child([&] {
                robust_list_head* head = own_head();
                CHILD_EXPECT(head != nullptr);
                words->lock = own_tid() | FUTEX_WAITERS;
                head->list_op_pending = reinterpret_cast<robust_list*>(
                    reinterpret_cast<char*>(&words->lock) - head->futex_offset);
                CHILD_EXPECT(refuse_futex_operation(FUTEX_WAKE_OP, action));
                robust_futex_unlock(&words->lock, head);
              }),
              killed_by(SIGSYS));
    EXPECT_EQ(words->lock, FUTEX_OWNER_DIED | FUTEX_WAITERS);
    EXPECT_TRUE(nothing_else_written());
  }
}

TEST_F(unlock_in_sandbox, refused_wake_too_still_releases_the_word) {
  EXPECT_EQ(run_in_child([&] {
              words->lock = own_tid() | FUTEX_WAITERS;
              CHILD_EXPECT(refuse_futex_operation(FUTEX_WAKE_OP, SECCOMP_RET_ERRNO | EPERM));
              CHILD_EXPECT(refuse_futex_operation(FUTEX_WAKE, SECCOMP_RET_ERRNO | EPERM));
              CHILD_EXPECT(robust_futex_unlock(&words->lock, &words->head) == own_tid());
              CHILD_EXPECT(words->lock == 0);
              CHILD_EXPECT(words->head.list_op_pending == nullptr);
            }),
            exited(0));
  EXPECT_TRUE(nothing_else_written());
}

TEST_F(unlock_in_sandbox, refused_pi_unlock_leaves_the_word_owned_and_says_so) {
  for (const std::uint32_t action :
       {std::uint32_t{SECCOMP_RET_ERRNO | EPERM}, std::uint32_t{SECCOMP_RET_ERRNO | ENOSYS},
        std::uint32_t{SECCOMP_RET_TRAP}}) {
    EXPECT_EQ(run_in_child([&] {
                const std::uint32_t held = own_tid() | FUTEX_WAITERS;
                words->lock = words->expected = held;
                skip_system_call_on_sigsys();
                CHILD_EXPECT(refuse_futex_operation(FUTEX_UNLOCK_PI, action));
                CHILD_EXPECT(
                    robust_pi_futex_try_unlock(&words->lock, &words->expected, &words->head) == 0);
                CHILD_EXPECT(words->lock == held && words->expected == held);
                CHILD_EXPECT(words->head.list_op_pending == entry());
              }),
              exited(0));
    EXPECT_TRUE(nothing_else_written());
  }
}

} // namespace
} // namespace deadbolt::testing
