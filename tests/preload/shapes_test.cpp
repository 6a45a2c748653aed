// SPDX-License-Identifier: MIT
// Whether the jumps of this machine's libc are found, and nothing else is taken for them.
#include "preload/shapes.hpp"

#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <utility>
#include <vector>

namespace deadbolt::preload {
namespace {

// The libc's code, copied: its branches are relative, and lead to places of the copy.
class copied_libc : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(find_libc(libc_));
    const code_range& code = libc_.code();
    bytes_.assign(code.begin, code.end);
    entries_ = {.mutex_lock = moved(libc_.find("pthread_mutex_lock")),
                .mutex_unlock = moved(libc_.find("pthread_mutex_unlock")),
                .cond_wait = moved(libc_.find("pthread_cond_wait"))};
  }

  [[nodiscard]] function moved(function original) const {
    return {.address = bytes_.data() + (original.address - libc_.code().begin),
            .size = original.size};
  }
  [[nodiscard]] const char* find(libc_sites& sites) const {
    return find_sites({.begin = bytes_.data(), .end = bytes_.data() + bytes_.size()}, entries_,
                      sites);
  }
  [[nodiscard]] std::size_t index_of(const unsigned char* address) const {
    return static_cast<std::size_t>(address - bytes_.data());
  }
  // How many bytes a function has up to and with the first branch of these opcodes.
  [[nodiscard]] std::size_t length_to(const function& entry, const std::string& opcodes) const {
    const std::string code{reinterpret_cast<const char*>(entry.address), 32};
    const std::size_t start = code.starts_with("\xf3\x0f\x1e\xfa") ? 4 : 0; // endbr64
    const std::size_t branch = code.find_first_of(opcodes, start);
    EXPECT_NE(branch, std::string::npos);
    return branch == std::string::npos ? 0 : branch + 1;
  }

  loaded_object libc_;
  std::vector<unsigned char> bytes_;
  libc_entries entries_{};
};

TEST_F(copied_libc, has_three_jumps_of_known_shapes) {
  libc_sites sites;
  ASSERT_STREQ(find(sites), nullptr);
  for (const jump_site& site : {sites.lock, sites.cond_lock, sites.unlock}) {
    EXPECT_EQ(*site.address, 0xe9);
    EXPECT_NE(site.target, nullptr);
  }
  EXPECT_NE(sites.lock.target, sites.cond_lock.target);
  EXPECT_NE(sites.lock.target, sites.unlock.target);
  EXPECT_NE(sites.cond_lock.target, sites.unlock.target);
}

TEST_F(copied_libc, is_not_known_when_a_byte_of_the_way_to_a_jump_is_another) {
  // lock: jne, short or near; unlock: jmp.
  for (const auto& [entry, opcodes] :
       {std::pair{entries_.mutex_lock, "\x75\x0f"}, std::pair{entries_.mutex_unlock, "\xe9"}}) {
    const std::size_t length = length_to(entry, opcodes);
    EXPECT_GE(length, 6u);
    for (std::size_t i = 0; i < length; ++i) {
      unsigned char& byte = bytes_[index_of(entry.address) + i];
      byte ^= 0x5a;
      libc_sites sites;
      EXPECT_NE(find(sites), nullptr) << "byte " << i;
      byte ^= 0x5a;
    }
  }
}

TEST_F(copied_libc, is_not_known_when_a_jump_is_something_else) {
  libc_sites found;
  ASSERT_STREQ(find(found), nullptr);
  for (const jump_site& site : {found.lock, found.cond_lock, found.unlock}) {
    *site.address = 0xe8; // a call
    libc_sites sites;
    EXPECT_NE(find(sites), nullptr);
    *site.address = 0xe9;
  }
}

TEST_F(copied_libc, is_not_known_when_a_function_leads_out_of_it) {
  libc_sites found;
  ASSERT_STREQ(find(found), nullptr);
  found.unlock.address[4] ^= 0x40; // the displacement's highest byte
  libc_sites sites;
  EXPECT_NE(find(sites), nullptr);
}

TEST_F(copied_libc, is_read_within_its_bounds_wherever_it_ends) {
  const std::size_t end = index_of(entries_.mutex_unlock.address) + 16;
  for (std::size_t size = end - 64; size < end; ++size) {
    // The last byte lies in front of a page that cannot be read.
    constexpr std::size_t page = 4096;
    const std::size_t pages = (size + page - 1) / page * page;
    void* const memory =
        mmap(nullptr, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    mprotect(static_cast<char*>(memory) + pages, page, PROT_NONE);
    auto* const begin = static_cast<unsigned char*>(memory) + (pages - size);
    std::copy(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(size), begin);
    const auto at = [&](const function& of) {
      return function{.address = begin + index_of(of.address), .size = of.size};
    };
    libc_sites sites;
    static_cast<void>(find_sites({.begin = begin, .end = begin + size},
                                 {.mutex_lock = at(entries_.mutex_lock),
                                  .mutex_unlock = at(entries_.mutex_unlock),
                                  .cond_wait = at(entries_.cond_wait)},
                                 sites));
    munmap(memory, pages + page);
  }
}

TEST(loaded_object_test, finds_what_the_loader_finds) {
  loaded_object libc;
  ASSERT_TRUE(find_libc(libc));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(libc.find("pthread_mutex_lock").address),
            reinterpret_cast<std::uintptr_t>(&pthread_mutex_lock));
  // Of two versions the one that new programs are bound to.
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(libc.find("pthread_cond_wait").address),
            reinterpret_cast<std::uintptr_t>(&pthread_cond_wait));
  EXPECT_FALSE(libc.find("no_such_function"));
}

} // namespace
} // namespace deadbolt::preload
