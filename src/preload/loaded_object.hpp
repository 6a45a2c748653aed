// SPDX-License-Identifier: MIT
// The programs and libraries that the loader has mapped, and the functions that they export.
//
// dlsym() would do, but it is in another library, under another symbol version, before glibc
// 2.34: one build of this library is to be loaded by 2.31 and by 2.44.
#ifndef DEADBOLT_PRELOAD_LOADED_OBJECT_HPP
#define DEADBOLT_PRELOAD_LOADED_OBJECT_HPP

#include <cstddef>
#include <cstdint>

struct dl_phdr_info;

namespace deadbolt::preload {

// Bytes that may be read, and were linked to be executed.
struct code_range {
  const unsigned char* begin = nullptr;
  const unsigned char* end = nullptr;

  [[nodiscard]] bool contains(const unsigned char* at, std::size_t length) const noexcept {
    return at >= begin && at <= end && static_cast<std::size_t>(end - at) >= length;
  }
};

struct function {
  const unsigned char* address = nullptr;
  std::size_t size = 0;

  explicit operator bool() const noexcept { return address != nullptr; }
};

class loaded_object {
public:
  loaded_object() noexcept = default;
  explicit loaded_object(const dl_phdr_info& info) noexcept;

  // The function's default version, or the only one; nothing if the object exports none.
  [[nodiscard]] function find(const char* name) const noexcept;
  [[nodiscard]] bool is_named(const char* soname) const noexcept;
  [[nodiscard]] const code_range& code() const noexcept { return code_; }
  [[nodiscard]] bool contains(const void* address) const noexcept;

private:
  std::uintptr_t base_ = 0;
  std::uintptr_t begin_ = 0;
  std::uintptr_t end_ = 0;
  code_range code_{};
  const void* symbols_ = nullptr;
  const char* strings_ = nullptr;
  const std::uint32_t* hash_ = nullptr;
  const std::uint16_t* versions_ = nullptr;
  std::uint64_t soname_ = 0;
};

// The first function of that name in the objects that were loaded after this library, in
// the order in which the loader searches them: what a call would reach without us.
[[nodiscard]] function find_next_function(const char* name) noexcept;

// The object whose mutex functions the process runs: libc.so.6, or libpthread.so.0 before
// glibc 2.34. False: there is none.
[[nodiscard]] bool find_libc(loaded_object& libc) noexcept;

} // namespace deadbolt::preload
#endif
