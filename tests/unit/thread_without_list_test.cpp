// SPDX-License-Identifier: MIT
// Threads whose robust list is not the libc's cannot hold a robust lock: the abort
// says so, and names the lock.
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>

#include <gate.hpp>
#include <robust_list_view.hpp>
#include <shared_memory.hpp>

#include <array>
#include <csignal>
#include <gtest/gtest.h>
#include <sched.h>
#include <thread>

namespace deadbolt::testing {
namespace {

template <class Mutex>
struct thread_without_list_death : ::testing::Test {
  // The start of the message, for this lock.
  [[nodiscard]] std::string message(const char* rest) {
    char text[200];
    std::snprintf(text, sizeof text, "deadbolt: the mutex at 0x%zx: .*%s",
                  reinterpret_cast<std::size_t>(lock->native_handle()), rest);
    return text;
  }
  void lock_in_thread_with(robust_list_head* head) {
    std::thread{[&] {
      syscall(SYS_set_robust_list, head, sizeof *head);
      static_cast<void>(lock->lock().status());
    }}.join();
  }

  shared<Mutex> lock;
};
using mutexes = ::testing::Types<robust_mutex, robust_pi_mutex>;
TYPED_TEST_SUITE(thread_without_list_death, mutexes);

TYPED_TEST(thread_without_list_death, removed_list_aborts) {
  EXPECT_DEATH(this->lock_in_thread_with(nullptr),
               this->message("thread [0-9]+ has no robust list"));
}

TYPED_TEST(thread_without_list_death, list_of_another_layout_aborts) {
  static robust_list_head head{{&head.list}, -8, nullptr};
  EXPECT_DEATH(this->lock_in_thread_with(&head), this->message("futex_offset -8"));
}

TYPED_TEST(thread_without_list_death, trying_and_unlocking_abort_too) {
  const auto in_thread = [&](auto use) {
    std::thread{[&] {
      syscall(SYS_set_robust_list, nullptr, sizeof(robust_list_head));
      use();
    }}.join();
  };
  const std::string message = this->message("has no robust list");
  EXPECT_DEATH(in_thread([&] { static_cast<void>(this->lock->try_lock().status()); }), message);
  EXPECT_DEATH(in_thread([&] { static_cast<void>(this->lock->unlock()); }), message);
}

// A thread that clone() made without the libc, with thread-local storage of its own.
template <class Mutex>
int bare_thread(void* lock) {
  static_cast<void>(static_cast<Mutex*>(lock)->lock().status());
  return 0;
}
template <class Mutex>
void lock_in_bare_thread(Mutex& lock) {
  alignas(64) static std::array<std::byte, 1 << 16> storage;
  alignas(64) static std::array<std::byte, 1 << 16> stack;
  // The thread pointer's first word and its third are the pointer itself (x86-64 ABI).
  auto* thread_pointer = reinterpret_cast<void**>(storage.data() + storage.size() / 2);
  thread_pointer[0] = thread_pointer;
  thread_pointer[2] = thread_pointer;
  clone(bare_thread<Mutex>, stack.data() + stack.size(),
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
            CLONE_SETTLS,
        &lock, nullptr, thread_pointer);
  gate never;
  never.pass("the bare thread to end the process");
}

#if !defined(__SANITIZE_ADDRESS__) &&                                                              \
    !defined(__SANITIZE_THREAD__) // the sanitizers' run-times need their own thread-local storage
TYPED_TEST(thread_without_list_death, thread_that_the_libc_did_not_make_aborts) {
  EXPECT_DEATH(lock_in_bare_thread(*this->lock), this->message("has no robust list"));
}
#endif

} // namespace
} // namespace deadbolt::testing
