// SPDX-License-Identifier: MIT
// Memory that a test shares with its children.
#ifndef DEADBOLT_TESTS_SHARED_MEMORY_HPP
#define DEADBOLT_TESTS_SHARED_MEMORY_HPP

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <sys/mman.h>
#include <utility>

namespace deadbolt::testing {

inline constexpr std::size_t page_size = 4096;

// Whole pages of shared memory. The destructor unmaps them in this process.
class shared_pages {
public:
  explicit shared_pages(std::size_t length = page_size) noexcept
      : length_{(length + page_size - 1) / page_size * page_size},
        address_{
            mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {
    if (address_ == MAP_FAILED) {
      std::perror("mmap");
      std::abort();
    }
  }
  shared_pages(const shared_pages&) = delete;
  shared_pages& operator=(const shared_pages&) = delete;
  ~shared_pages() { munmap(address_, length_); }

  [[nodiscard]] void* address() const noexcept { return address_; }
  [[nodiscard]] std::size_t length() const noexcept { return length_; }

private:
  std::size_t length_;
  void* address_;
};

// One T in pages of its own. Its destructor runs only in the process that made it.
template <class T>
class shared {
public:
  template <class... Arguments>
  explicit shared(Arguments&&... arguments)
      : value_{new (pages_.address()) T(std::forward<Arguments>(arguments)...)} {}
  shared(const shared&) = delete;
  shared& operator=(const shared&) = delete;
  ~shared() { value_->~T(); }

  T& operator*() noexcept { return *value_; }
  T* operator->() noexcept { return value_; }
  [[nodiscard]] const void* address() const noexcept { return value_; }

private:
  shared_pages pages_{sizeof(T)};
  T* value_;
};

} // namespace deadbolt::testing
#endif
