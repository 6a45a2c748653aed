// SPDX-License-Identifier: MIT
// Invalid lock words: null, misaligned, read-only, behind the end of a file. An unlock must abort
// with a clear message or fault at the word itself, and never write elsewhere.
#include <deadbolt/robust_futex.h>

#include <unlock_fixture.hpp>

#include <child_process.hpp>
#include <fault_catcher.hpp>

namespace deadbolt::testing {
namespace {

struct unlock_bad_words : unlock_fixture {
  // Runs unlock(word) in a child: it must fault at the word, with the rest as it was.
  template <class Unlock>
  void expect_fault(int signal, const std::uint32_t* word, Unlock unlock) {
    EXPECT_EQ(run_in_child([&] {
                expect_fault_at(signal, word, [this] {
                  return nothing_else_written() && words->head.list_op_pending == entry();
                });
                unlock();
                return 93; // no fault at all
              }),
              exited(0));
  }
};
using unlock_bad_words_death = unlock_bad_words;

std::string address_in_message(const void* address) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%zx", reinterpret_cast<std::size_t>(address));
  return text;
}

// One page with the word in it, made read-only. `value` is the word's content.
struct read_only_word {
  shared_pages pages;
  std::uint32_t* word = static_cast<std::uint32_t*>(pages.address()) + 5;
  explicit read_only_word(std::uint32_t value) {
    *word = value;
    mprotect(pages.address(), pages.length(), PROT_READ);
  }
};

TEST_F(unlock_bad_words_death, null_aborts_and_says_so) {
  EXPECT_DEATH(robust_futex_unlock(nullptr, &words->head),
               "deadbolt: robust_futex_unlock: .*0x0 is null");
  EXPECT_DEATH(robust_pi_futex_try_unlock(nullptr, &words->expected, &words->head),
               "deadbolt: robust_pi_futex_try_unlock: .*0x0 is null");
}

TEST_F(unlock_bad_words_death, misaligned_aborts_and_names_the_address) {
  for (std::size_t offset = 1; offset < 4; ++offset) {
    auto* word =
        reinterpret_cast<std::uint32_t*>(reinterpret_cast<std::uintptr_t>(&words->lock) + offset);
    const std::string named = address_in_message(word) + " is not a multiple of 4";
    EXPECT_DEATH(robust_futex_unlock(word, &words->head), named);
    EXPECT_DEATH(robust_pi_futex_try_unlock(word, &words->expected, &words->head), named);
  }
}

TEST_F(unlock_bad_words, null_head_faults_at_its_own_pending_slot) {
  const auto* slot = reinterpret_cast<const void*>(offsetof(robust_list_head, list_op_pending));
  for (const std::uint32_t waiters : {0u, static_cast<std::uint32_t>(FUTEX_WAITERS)}) {
    words->lock = own_tid() | waiters;
    EXPECT_EQ(run_in_child([&] {
                words->lock = own_tid() | waiters; // the child's own
                expect_fault_at(SIGSEGV, slot, [this] { return nothing_else_written(); });
                robust_futex_unlock(&words->lock, nullptr);
                return 93;
              }),
              exited(0));
  }
}

// The kernel's system call returns EFAULT, as for a bad word, although it has released the word.
// The unlock must not go on as if the caller still owned the word.
TEST_F(unlock_bad_words, read_only_head_faults_at_its_pending_slot) {
  for (const std::uint32_t waiters : {0u, static_cast<std::uint32_t>(FUTEX_WAITERS)}) {
    const shared_pages pages;
    auto* head = static_cast<robust_list_head*>(pages.address());
    head->list_op_pending = entry();
    mprotect(pages.address(), pages.length(), PROT_READ);
    EXPECT_EQ(run_in_child([&] {
                words->lock = own_tid() | waiters; // the child's own
                expect_fault_at(SIGSEGV, &head->list_op_pending,
                                [this] { return nothing_else_written(); });
                robust_futex_unlock(&words->lock, head);
                return 93;
              }),
              exited(0));
    EXPECT_EQ(words->lock, 0u);
  }
}

TEST_F(unlock_bad_words, read_only_faults_at_the_word) {
  const read_only_word plain{own_tid()};
  expect_fault(SIGSEGV, plain.word, [&] { robust_futex_unlock(plain.word, &words->head); });
  words->expected = own_tid();
  expect_fault(SIGSEGV, plain.word,
               [&] { robust_pi_futex_try_unlock(plain.word, &words->expected, &words->head); });
}

// The contended path first meets the kernel's refusal (EFAULT), then the fault.
TEST_F(unlock_bad_words, read_only_with_waiters_faults_at_the_word) {
  const read_only_word contended{own_tid() | FUTEX_WAITERS};
  expect_fault(SIGSEGV, contended.word, [&] { robust_futex_unlock(contended.word, &words->head); });
}

// Only the kernel can hand on a PI word with waiters. If it refuses, the caller must see that.
TEST_F(unlock_bad_words, read_only_pi_with_waiters_is_refused) {
  const read_only_word contended{own_tid() | FUTEX_WAITERS};
  words->expected = *contended.word;
  EXPECT_EQ(robust_pi_futex_try_unlock(contended.word, &words->expected, &words->head), 0);
  EXPECT_EQ(*contended.word, own_tid() | FUTEX_WAITERS);
  EXPECT_EQ(words->head.list_op_pending, entry());
  EXPECT_TRUE(nothing_else_written());
}

TEST_F(unlock_bad_words, truncated_file_faults_at_the_word) {
  const int file = memfd_create("unlock_bad_words", MFD_CLOEXEC);
  ASSERT_GE(file, 0);
  ASSERT_EQ(ftruncate(file, page_size), 0);
  void* mapped = mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  auto* word = static_cast<std::uint32_t*>(mapped) + 7;
  *word = own_tid();
  ASSERT_EQ(ftruncate(file, 0), 0);
  expect_fault(SIGBUS, word, [&] { robust_futex_unlock(word, &words->head); });
  words->expected = own_tid();
  expect_fault(SIGBUS, word,
               [&] { robust_pi_futex_try_unlock(word, &words->expected, &words->head); });
  munmap(mapped, page_size);
  close(file);
}

} // namespace
} // namespace deadbolt::testing
