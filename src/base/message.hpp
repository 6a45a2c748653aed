// SPDX-License-Identifier: MIT
// Builds and writes the message of a process that cannot go on; allocates nothing and takes no
// lock.
#ifndef DEADBOLT_BASE_MESSAGE_HPP
#define DEADBOLT_BASE_MESSAGE_HPP

#include <cstddef>
#include <cstdint>

namespace deadbolt::base {

// One line on stderr, built on the stack. A text that is too long is cut.
class message {
public:
  message() noexcept { text("deadbolt: "); }
  message& text(const char* string) noexcept;
  message& number(std::int64_t value) noexcept;
  message& hex(std::uint64_t value) noexcept;
  message& pointer(const void* value) noexcept {
    return hex(reinterpret_cast<std::uintptr_t>(value));
  }
  void write() noexcept;
  // Writes, then ends the process with SIGABRT.
  [[noreturn]] void abort() noexcept;
  // Writes, then ends the process with this status.
  [[noreturn]] void exit(int status) noexcept;

private:
  char buffer_[512];
  std::size_t length_ = 0;
};

} // namespace deadbolt::base
#endif
