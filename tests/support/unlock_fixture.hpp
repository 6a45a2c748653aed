// SPDX-License-Identifier: MIT
// A lock word, a head and what lies around them, for tests of the unlock functions.
#ifndef DEADBOLT_TESTS_UNLOCK_FIXTURE_HPP
#define DEADBOLT_TESTS_UNLOCK_FIXTURE_HPP

#include <deadbolt/robust_futex.h>

#include <robust_list_view.hpp>
#include <shared_memory.hpp>

#include <cstring>
#include <gtest/gtest.h>

namespace deadbolt::testing {

// The local engine works with a list head that is not registered with the kernel. So the head
// lies among canaries here, which show every write beside the words.
struct unlock_words {
  static constexpr std::uint64_t canary = 0x5ca1ab1e0ddba11;

  std::uint64_t canary0 = canary;
  std::uint32_t lock = 0;
  std::uint32_t canary1 = static_cast<std::uint32_t>(canary);
  robust_list link{};
  robust_list_head head{.list = {&head.list}, .futex_offset = 0, .list_op_pending = nullptr};
  std::uint64_t canary2 = canary;
  std::uint32_t expected = 0;
  std::uint32_t canary3 = static_cast<std::uint32_t>(canary);
};

class unlock_fixture : public ::testing::Test {
protected:
  void SetUp() override {
    if (std::strcmp(deadbolt_engine(), "local") != 0) {
      GTEST_SKIP() << "these are the local engine's tests; this process has " << deadbolt_engine();
    }
    words->head.list_op_pending = entry();
  }

  [[nodiscard]] static std::uint32_t own_tid() { return static_cast<std::uint32_t>(gettid()); }
  [[nodiscard]] robust_list* entry() { return &words->link; }

  // The test may change the lock words; everything else must be as constructed.
  [[nodiscard]] bool nothing_else_written() {
    return words->canary0 == unlock_words::canary && words->canary2 == unlock_words::canary &&
           words->canary1 == static_cast<std::uint32_t>(unlock_words::canary) &&
           words->canary3 == static_cast<std::uint32_t>(unlock_words::canary) &&
           words->link.next == nullptr && words->head.list.next == &words->head.list &&
           words->head.futex_offset == 0;
  }

  shared<unlock_words> words;
};

} // namespace deadbolt::testing
#endif
