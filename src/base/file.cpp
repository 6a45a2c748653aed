// SPDX-License-Identifier: MIT
#include <base/file.hpp>

#include <cstddef>

namespace deadbolt::base {

descriptor_path::descriptor_path(int descriptor) noexcept {
  constexpr char prefix[] = "/proc/self/fd/";
  std::size_t length = 0;
  for (; prefix[length] != 0; ++length) text_[length] = prefix[length];
  char digits[12];
  std::size_t count = 0;
  auto left = static_cast<unsigned>(descriptor < 0 ? 0 : descriptor);
  do {
    digits[count++] = static_cast<char>('0' + left % 10);
    left /= 10;
  } while (left != 0);
  while (count != 0) text_[length++] = digits[--count];
  text_[length] = 0;
}

namespace {

// Open file description locks (Linux 3.15); musl names them only on request.
constexpr int set_description_lock = 37;
#if defined(SYS_fcntl64)
constexpr long fcntl_number = SYS_fcntl64;
#else
constexpr long fcntl_number = SYS_fcntl;
#endif

long lock_byte(int descriptor, std::int64_t offset, int type) noexcept {
  // The kernel's layout with 64-bit offsets, on either word size.
  struct {
    std::int16_t type;
    std::int16_t whence;
    std::int64_t start;
    std::int64_t length;
    std::int32_t pid;
  } lock{static_cast<std::int16_t>(type), SEEK_SET, offset, 1, 0};
  return arch::raw_syscall(fcntl_number, descriptor, set_description_lock, &lock);
}

} // namespace

long try_lock_byte(int descriptor, std::int64_t offset) noexcept {
  return lock_byte(descriptor, offset, F_WRLCK);
}

void unlock_byte(int descriptor, std::int64_t offset) noexcept {
  lock_byte(descriptor, offset, F_UNLCK);
}

} // namespace deadbolt::base
