// SPDX-License-Identifier: MIT
// A jump is redirected while threads run through it; the probe of the kernel's unlock.
#include "preload/patch.hpp"
#include "preload/waiters_probe.hpp"

#include <atomic>
#include <base/futex.hpp>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <vector>

namespace deadbolt::preload {
namespace {

// Two functions that return 1 and 2, and a jump to the first at a given place of its line.
class code_page {
public:
  static constexpr std::size_t size = 4096;

  explicit code_page(std::size_t jump_at) {
    memory_ = static_cast<unsigned char*>(
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::memcpy(one(), "\xb8\x01\x00\x00\x00\xc3", 6);
    std::memcpy(two(), "\xb8\x02\x00\x00\x00\xc3", 6);
    jump_ = memory_ + 256 + jump_at;
    *jump_ = 0xe9;
    const auto displacement = static_cast<std::int32_t>(one() - (jump_ + 5));
    std::memcpy(jump_ + 1, &displacement, sizeof displacement);
    mprotect(memory_, size, PROT_READ | PROT_EXEC);
  }
  code_page(const code_page&) = delete;
  code_page& operator=(const code_page&) = delete;
  ~code_page() { munmap(memory_, size); }

  [[nodiscard]] unsigned char* one() const { return memory_; }
  [[nodiscard]] unsigned char* two() const { return memory_ + 128; }
  [[nodiscard]] jump_site site() const { return {.address = jump_, .target = one()}; }
  [[nodiscard]] int call() const {
    return reinterpret_cast<int (*)()>(reinterpret_cast<std::uintptr_t>(jump_))();
  }

private:
  unsigned char* memory_;
  unsigned char* jump_;
};

TEST(patch_test, threads_in_the_jump_see_the_old_target_or_the_new) {
  for (std::size_t at = 0; at < 4; ++at) {
    const code_page code{at};
    std::atomic<bool> stop{false};
    std::atomic<int> running{0};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        ++running;
        while (!stop) {
          const int result = code.call();
          if (result != 1 && result != 2) ++wrong;
        }
      });
    }
    while (running != 2) std::this_thread::yield();
    EXPECT_STREQ(patch(code.site(), code.two()), nullptr);
    EXPECT_EQ(code.call(), 2);
    EXPECT_STREQ(patch(code.site(), code.one()), nullptr);
    EXPECT_EQ(code.call(), 1);
    stop = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
  }
}

TEST(patch_test, works_with_one_thread) {
  const code_page code{0};
  EXPECT_STREQ(patch(code.site(), code.two()), nullptr);
  EXPECT_EQ(code.call(), 2);
}

TEST(patch_test, refuses_what_is_not_one_aligned_store) {
  for (std::size_t at = 4; at < 8; ++at) {
    const code_page code{at};
    if (at == 7) {
      EXPECT_STREQ(check_patch(code.site(), code.two()), nullptr);
      continue;
    }
    EXPECT_NE(patch(code.site(), code.two()), nullptr);
    EXPECT_EQ(code.call(), 1);
  }
}

TEST(patch_test, refuses_a_destination_out_of_reach) {
  const code_page code{0};
  EXPECT_NE(patch(code.site(), reinterpret_cast<const void*>(std::uintptr_t{1} << 32)), nullptr);
  EXPECT_EQ(code.call(), 1);
}

int threads_of_this_process() {
  DIR* const tasks = opendir("/proc/self/task");
  int count = 0;
  while (const dirent* const entry = readdir(tasks)) count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

TEST(waiters_probe_test, sees_what_the_kernel_does_and_leaves_no_thread) {
  std::uint32_t word = 1;
  std::uint64_t pending = 1;
  const bool knows = base::futex_robust_unlock(&word, &pending) >= 0;
  const word_left left = probe_contended_unlock();
  EXPECT_EQ(left != word_left::unknown, knows);
  // The kernel says that a thread is gone before the last of it is.
  while (threads_of_this_process() != 1) std::this_thread::yield();
}

} // namespace
} // namespace deadbolt::preload
