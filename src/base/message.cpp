// SPDX-License-Identifier: MIT
#include <base/message.hpp>

#include <errno.h>
#include <raw_syscall.hpp>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::base {

message& message::text(const char* string) noexcept {
  // One byte is kept for the newline.
  while (*string != '\0' && length_ + 1 < sizeof buffer_) buffer_[length_++] = *string++;
  return *this;
}

message& message::number(std::int64_t value) noexcept {
  char digits[24];
  char* first = digits + sizeof digits;
  *--first = '\0';
  auto left = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  do {
    *--first = static_cast<char>('0' + left % 10);
    left /= 10;
  } while (left != 0);
  if (value < 0) *--first = '-';
  return text(first);
}

message& message::hex(std::uint64_t value) noexcept {
  char digits[24];
  char* first = digits + sizeof digits;
  *--first = '\0';
  do {
    *--first = "0123456789abcdef"[value % 16];
    value /= 16;
  } while (value != 0);
  return text("0x").text(first);
}

void message::write() noexcept {
  buffer_[length_++] = '\n';
  std::size_t written = 0;
  while (written < length_) {
    const long count =
        arch::raw_syscall(SYS_write, STDERR_FILENO, buffer_ + written, length_ - written);
    if (count == -EINTR) continue;
    if (count <= 0) return; // stderr is closed or full, or no process reads the pipe any more
    written += static_cast<std::size_t>(count);
  }
}

void message::abort() noexcept {
  write();
  ::abort();
}

void message::exit(int status) noexcept {
  write();
  ::_exit(status);
}

} // namespace deadbolt::base
