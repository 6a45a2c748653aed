// SPDX-License-Identifier: MIT
// What `deadbolt windows` reads from a libc's file. The file is not trusted (it may be a
// container's): every number in it is checked against the file's size.
#ifndef DEADBOLT_GUARD_UNLOCK_WINDOWS_ELF_FILE_HPP
#define DEADBOLT_GUARD_UNLOCK_WINDOWS_ELF_FILE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deadbolt::guard {

class elf_file {
public:
  // The bytes of a file.
  explicit elf_file(std::string bytes) : bytes_(std::move(bytes)) {}

  // A shared object (or position-independent program) for this architecture.
  [[nodiscard]] bool is_native_object() const noexcept;
  // From the note NT_GNU_BUILD_ID, in lower-case hexadecimal digits; empty if there is none.
  [[nodiscard]] std::string build_id() const;
  // The path of its loader. glibc's libc.so.6 names one; musl's libc is a loader itself: empty.
  [[nodiscard]] std::string interpreter() const;
  [[nodiscard]] bool defines_function(std::string_view name) const;
  // "symbol+0x12" of the exported function that holds the offset; else "+0x8a012".
  [[nodiscard]] std::string name_of(std::uint64_t offset) const;
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

private:
  struct function {
    std::string_view name;
    std::uint64_t offset;
    std::uint64_t size;
  };

  template <class T>
  [[nodiscard]] std::optional<T> at(std::uint64_t offset) const noexcept {
    T value;
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof value) return std::nullopt;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  [[nodiscard]] std::string_view part(std::uint64_t offset, std::uint64_t size) const noexcept;
  [[nodiscard]] std::string_view text_at(std::string_view strings,
                                         std::uint64_t offset) const noexcept;
  // The contents of each segment of that type.
  [[nodiscard]] std::vector<std::string_view> segments(std::uint32_t type) const;
  [[nodiscard]] std::vector<function> functions() const;

  std::string bytes_;
};

// The contents of a regular file of up to `most` bytes; otherwise nothing, and the reason in
// `error`.
[[nodiscard]] std::optional<std::string> read_whole_file(const std::string& path, std::size_t most,
                                                         std::string& error);

} // namespace deadbolt::guard
#endif
