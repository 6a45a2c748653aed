// SPDX-License-Identifier: MIT
// wait_for_unlocks() waits for the unlocks of other threads on this memory and for no others, and
// never returns "quiescent" if it could not examine all threads.
#include <deadbolt/protection.hpp>
#include <deadbolt/quiescence.hpp>

#include <child_process.hpp>
#include <print_results.hpp>
#include <shared_memory.hpp>
#include <stopped_unlocker.hpp>

#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <pthread.h>
#include <sched.h>
#include <vector>

namespace deadbolt::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds short_time{5};
constexpr std::size_t size = sizeof(robust_mutex);

// A thread with a pending entry of our choice: `lock` is where its lock would begin.
class pending_thread {
public:
  explicit pending_thread(const void* lock)
      : thread_{[this, lock] {
          robust_list_head* head = own_head();
          head->list_op_pending = reinterpret_cast<robust_list*>(
              const_cast<char*>(static_cast<const char*>(lock)) - head->futex_offset);
          ready_.open();
          leave_.pass("the test to end a thread");
          head->list_op_pending = nullptr;
        }} {
    ready_.pass("a thread's pending entry");
  }
  ~pending_thread() { leave_.open(); }
  [[nodiscard]] pid_t tid() const noexcept { return thread_.tid(); }

private:
  gate ready_;
  gate leave_;
  known_thread thread_; // joined before the gates go
};

struct quiescence : ::testing::Test {
  shared<robust_mutex> mutex;

  [[nodiscard]] quiescence_result wait(nanoseconds timeout = short_time) {
    return wait_for_unlocks(&*mutex, size, timeout);
  }
};
using quiescence_death = quiescence;

TEST_F(quiescence, nobody_in_flight_is_quiescent) {
  const quiescence_result result = wait(nanoseconds{0});
  EXPECT_EQ(result.status, quiescence_status::quiescent);
  EXPECT_EQ(result.in_flight_count, 0U);
  EXPECT_EQ(result.error, 0);
}

TEST_F(quiescence, unlocker_in_its_window_is_waited_for_and_named) {
  stopped_unlocker unlocker{*mutex};
  ASSERT_EQ(mutex->owner(), 0) << "the word is released, the unlock is not over";
  const auto start = std::chrono::steady_clock::now();
  const quiescence_result late = wait();
  EXPECT_GE(std::chrono::steady_clock::now() - start, short_time);
  EXPECT_EQ(late.status, quiescence_status::timed_out);
  EXPECT_EQ(late.in_flight_count, 1U);
  EXPECT_EQ(late.in_flight[0], unlocker.tid());
  unlocker.go_on();
  EXPECT_EQ(wait(std::chrono::seconds{10}).status, quiescence_status::quiescent);
}

TEST_F(quiescence, wait_ends_when_the_unlocker_goes_on) {
  stopped_unlocker unlocker{*mutex};
  std::atomic<bool> over = false;
  gate waiting;
  known_thread destroyer{[&] {
    waiting.open();
    if (wait(std::chrono::seconds{20}).status == quiescence_status::quiescent) over = true;
  }};
  waiting.pass("the destroyer");
  EXPECT_FALSE(over);
  unlocker.go_on();
  destroyer.join();
  EXPECT_TRUE(over);
}

TEST_F(quiescence_death, destructor_aborts_and_names_who_is_in_flight) {
  const auto destroy = [] {
    const shared_pages pages;
    auto* doomed = new (pages.address()) robust_mutex;
    const stopped_unlocker unlocker{*doomed};
    std::fprintf(stderr, "unlocker %d\n", unlocker.tid());
    doomed->~robust_mutex();
  };
  EXPECT_DEATH(destroy(), "unlocker ([0-9]+)\ndeadbolt: robust_mutex destroyed at 0x[0-9a-f]+ "
                          "while in use by 1 thread.*: [0-9]+");
}

TEST_F(quiescence, unmap_leaves_the_memory_until_the_unlock_is_over) {
  void* memory =
      mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* lock = new (memory) robust_mutex;
  unsigned char resident;
  {
    stopped_unlocker unlocker{*lock};
    EXPECT_EQ(unmap(memory, page_size, short_time).status, quiescence_status::timed_out);
    EXPECT_EQ(mincore(memory, page_size, &resident), 0) << "unmapped under an unlock";
  }
  EXPECT_EQ(unmap(memory, page_size).status, quiescence_status::quiescent);
  EXPECT_EQ(mincore(memory, page_size, &resident), -1);
}

TEST_F(quiescence, unmap_says_when_munmap_refuses) {
  const quiescence_result result = unmap(reinterpret_cast<void*>(0x1001), page_size);
  EXPECT_EQ(result.status, quiescence_status::unavailable);
  EXPECT_EQ(result.error, EINVAL);
}

TEST_F(quiescence, caller_does_not_wait_for_itself) {
  robust_list_head* head = own_head();
  head->list_op_pending =
      reinterpret_cast<robust_list*>(reinterpret_cast<char*>(&*mutex) - head->futex_offset);
  const quiescence_result result = wait(std::chrono::seconds{10});
  head->list_op_pending = nullptr;
  EXPECT_EQ(result.status, quiescence_status::quiescent);
}

TEST_F(quiescence, pending_cancellation_does_not_interrupt_the_look) {
  struct looks {
    quiescence_result at_memory;
    protection_kind protection;
    int cancel_state = -1;
  } seen{};
  pthread_t thread;
  void* (*const look)(void*) = [](void* argument) -> void* {
    looks& told = *static_cast<looks*>(argument);
    pthread_cancel(pthread_self());
    told.at_memory = wait_for_unlocks(&told, sizeof told);
    told.protection = protection();
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &told.cancel_state);
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, nullptr, look, &seen), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  EXPECT_EQ(seen.cancel_state, PTHREAD_CANCEL_ENABLE) << "the thread was cancelled in a look";
  EXPECT_EQ(seen.at_memory.status, quiescence_status::quiescent);
}

TEST_F(quiescence, pending_entries_elsewhere_do_not_matter) {
  const auto* bytes = reinterpret_cast<const char*>(&*mutex);
  const pending_thread before{bytes - size};
  const pending_thread after{bytes + size};
  EXPECT_EQ(wait(std::chrono::seconds{10}).status, quiescence_status::quiescent);
  const pending_thread on_it{bytes};
  const quiescence_result result = wait();
  EXPECT_EQ(result.status, quiescence_status::timed_out);
  EXPECT_EQ(result.in_flight_count, 1U);
  EXPECT_EQ(result.in_flight[0], on_it.tid());
}

TEST_F(quiescence, locks_that_straddle_the_ends_count) {
  const shared_pages pages{2 * page_size};
  const auto* second_page = static_cast<const char*>(pages.address()) + page_size;
  const pending_thread straddles{second_page - size / 2};
  EXPECT_EQ(wait_for_unlocks(pages.address(), page_size, nanoseconds{0}).in_flight_count, 1U);
  EXPECT_EQ(wait_for_unlocks(second_page, page_size, nanoseconds{0}).in_flight_count, 1U);
}

TEST_F(quiescence, more_than_can_be_named_are_counted) {
  std::vector<std::unique_ptr<pending_thread>> threads;
  constexpr std::uint32_t count = quiescence_result::max_reported + 3;
  threads.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    threads.push_back(std::make_unique<pending_thread>(&*mutex));
  }
  const quiescence_result result = wait();
  EXPECT_EQ(result.status, quiescence_status::timed_out);
  EXPECT_EQ(result.in_flight_count, count);
}

// A thread that waits for a lock has an operation pending on it: ours or pthread's.
TEST_F(quiescence, waiters_of_pthread_robust_mutexes_are_seen) {
  shared<pthread_mutex_t> lock;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&*lock, &attributes);
  ASSERT_EQ(pthread_mutex_lock(&*lock), 0);
  known_thread waiter{[&] {
    if (pthread_mutex_lock(&*lock) == 0) pthread_mutex_unlock(&*lock);
  }};
  waiter.await_sleeping_on(&*lock);
  const quiescence_result result = wait_for_unlocks(&*lock, sizeof *lock, short_time);
  EXPECT_EQ(result.status, quiescence_status::timed_out);
  EXPECT_EQ(result.in_flight[0], waiter.tid());
  pthread_mutex_unlock(&*lock);
  waiter.join();
  EXPECT_EQ(wait_for_unlocks(&*lock, sizeof *lock).status, quiescence_status::quiescent);
}

} // namespace
} // namespace deadbolt::testing
