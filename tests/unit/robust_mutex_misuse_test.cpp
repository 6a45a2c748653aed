// SPDX-License-Identifier: MIT
// Misuse of a robust_mutex must have a defined result, a fault at the word, or an abort that names
// the mutex.
#include <deadbolt/robust_futex.h>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>

#include <dead_owner.hpp>
#include <fault_catcher.hpp>
#include <futex_thread.hpp>
#include <print_results.hpp>
#include <shared_memory.hpp>

#include <cstring>
#include <gtest/gtest.h>

namespace deadbolt::testing {
namespace {

template <class Mutex>
struct robust_mutex_misuse : ::testing::Test {};
template <class Mutex>
using robust_mutex_misuse_death = robust_mutex_misuse<Mutex>;
using mutexes = ::testing::Types<robust_mutex, robust_pi_mutex>;
TYPED_TEST_SUITE(robust_mutex_misuse, mutexes);
TYPED_TEST_SUITE(robust_mutex_misuse_death, mutexes);

// Hides the address from the compiler, which could otherwise assume that it is not null.
template <class Mutex>
Mutex& at(const void* address) {
  const volatile auto hidden = reinterpret_cast<std::uintptr_t>(address);
  return *reinterpret_cast<Mutex*>(hidden);
}

// The sanitizers' run-times would end these programs before the library does.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TYPED_TEST(robust_mutex_misuse_death, null_aborts_and_says_so) {
  constexpr const char* message = "deadbolt: a mutex cannot be at 0x0: the pointer is null";
  EXPECT_DEATH(static_cast<void>(at<TypeParam>(nullptr).lock().status()), message);
  EXPECT_DEATH(static_cast<void>(at<TypeParam>(nullptr).try_lock().status()), message);
  EXPECT_DEATH(static_cast<void>(at<TypeParam>(nullptr).unlock()), message);
}

TYPED_TEST(robust_mutex_misuse_death, misaligned_aborts_and_names_the_address) {
  const shared_pages pages;
  const auto base = reinterpret_cast<std::uintptr_t>(pages.address());
  for (const unsigned offset : {1U, 2U, 4U, 7U}) {
    char message[80];
    std::snprintf(message, sizeof message, "a mutex cannot be at 0x%zx: it must be aligned to 8",
                  base + offset);
    auto& mutex = at<TypeParam>(reinterpret_cast<void*>(base + offset));
    EXPECT_DEATH(static_cast<void>(mutex.lock().status()), message);
    EXPECT_DEATH(static_cast<void>(mutex.try_lock().status()), message);
    EXPECT_DEATH(static_cast<void>(mutex.unlock()), message);
  }
}
#endif

// A held word changes like this only if other code overwrites it, or constructs a new mutex there.
// The unlock must not release the new value.
TEST(robust_mutex_overwritten_death, unlock_aborts_and_leaves_the_word) {
  if (std::strcmp(deadbolt_engine(), "local") != 0) {
    GTEST_SKIP() << "the kernel's unlock does not compare: engine " << deadbolt_engine();
  }
  const shared_pages pages;
  auto* mutex = new (pages.address()) robust_mutex;
  auto* word = const_cast<std::uint32_t*>(mutex->native_handle());
  constexpr std::uint32_t foreign = 0x12345;
  EXPECT_DEATH(
      {
        static_cast<void>(mutex->lock().status());
        __atomic_store_n(word, foreign, __ATOMIC_RELAXED);
        static_cast<void>(mutex->unlock());
      },
      "it holds 0x12345 where its owner left 0x[0-9a-f]+: it was overwritten");
  EXPECT_EQ(__atomic_load_n(word, __ATOMIC_RELAXED), foreign);
}

TYPED_TEST(robust_mutex_misuse, read_only_memory_faults_at_the_word) {
  shared_pages pages;
  auto* mutex = new (pages.address()) TypeParam;
  ASSERT_EQ(mprotect(pages.address(), pages.length(), PROT_READ), 0);
  const auto expect_fault = [&](auto&& use) {
    EXPECT_EQ(run_in_child([&] {
                expect_fault_at(SIGSEGV, mutex->native_handle(), [] { return true; });
                use();
                return 93;
              }),
              exited(0));
  };
  expect_fault([&] { static_cast<void>(mutex->lock().status()); });
  expect_fault([&] { static_cast<void>(mutex->try_lock().status()); });
  EXPECT_EQ(mutex->unlock(), unlock_status::not_owner) << "nothing to write";
}

// Another process truncates the file that the lock lies in.
TYPED_TEST(robust_mutex_misuse, truncated_file_faults_in_the_mutex) {
  const int file = memfd_create("robust_mutex_misuse", MFD_CLOEXEC);
  ASSERT_GE(file, 0);
  ASSERT_EQ(ftruncate(file, page_size), 0);
  void* mapped = mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  auto* mutex = new (mapped) TypeParam;
  for (const bool held : {false, true}) {
    EXPECT_EQ(run_in_child([&] {
                if (held) static_cast<void>(mutex->lock().status());
                CHILD_EXPECT(run_in_child([&] { return ftruncate(file, 0); }) == exited(0));
                expect_fault_in(SIGBUS, mutex, sizeof *mutex, [] { return true; });
                if (held) static_cast<void>(mutex->unlock());
                static_cast<void>(mutex->lock().status());
                return 93;
              }),
              exited(0));
    ASSERT_EQ(ftruncate(file, page_size), 0);
    new (mapped) TypeParam;
  }
  munmap(mapped, page_size);
  close(file);
}

// The memory of a held mutex is reused for data: an unlock would corrupt that data.
TYPED_TEST(robust_mutex_misuse_death, overwritten_while_held_aborts_and_names_the_word) {
  const shared_pages pages;
  const auto overwrite = [&pages] {
    auto* mutex = new (pages.address()) TypeParam;
    static_cast<void>(mutex->lock().status());
    __atomic_store_n(static_cast<std::uint32_t*>(pages.address()), 0x12345678U, __ATOMIC_RELAXED);
    static_cast<void>(mutex->unlock());
  };
  EXPECT_DEATH(overwrite(), "deadbolt: .*lock word at 0x[0-9a-f]+.*0x12345678");
  EXPECT_EQ(*static_cast<std::uint32_t*>(pages.address()), 0x12345678U);
}

// A waiter whose file is truncated while it sleeps: its next look faults.
TEST(robust_mutex_misuse_waiter, truncated_file_faults_a_sleeping_waiter_at_the_word) {
  const int file = memfd_create("robust_mutex_misuse", MFD_CLOEXEC);
  ASSERT_GE(file, 0);
  ASSERT_EQ(ftruncate(file, page_size), 0);
  void* mapped = mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  auto* mutex = new (mapped) robust_mutex;
  ASSERT_EQ(mutex->lock(), lock_status::acquired);
  child_process waiter{[&] {
    expect_fault_at(SIGBUS, mutex->native_handle(), [] { return true; });
    static_cast<void>(mutex->lock().status());
    return 93;
  }};
  await_sleeping(waiter.pid(), waiter.pid(), mutex->native_handle());
  // Take our node off the list before its memory goes.
  own_head()->list.next = &own_head()->list;
  ASSERT_EQ(ftruncate(file, 0), 0);
  EXPECT_EQ(waiter.wait(), exited(0));
  munmap(mapped, page_size);
  close(file);
}

} // namespace
} // namespace deadbolt::testing
