// SPDX-License-Identifier: MIT
#include <base/file.hpp>

#include <cstddef>
#include <errno.h>

namespace deadbolt::base {

int above_standard(int descriptor) noexcept {
  if (descriptor < 0 || descriptor > STDERR_FILENO) return descriptor;
  const auto above = static_cast<int>(
      arch::raw_syscall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  close_file(descriptor);
  return above;
}

int open_file(const char* path, int flags, unsigned mode) noexcept {
  return above_standard(
      static_cast<int>(arch::raw_syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode)));
}

int duplicate(int descriptor) noexcept {
  return static_cast<int>(
      arch::raw_syscall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

descriptor_path::descriptor_path(int descriptor) noexcept {
  constexpr char prefix[] = "/proc/thread-self/fd/";
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

long allocate(int descriptor, std::uint64_t offset, std::uint64_t length) noexcept {
  // In parts: a signal that interrupts fallocate() then undoes one part, not the whole range.
  constexpr std::uint64_t most = std::uint64_t{16} << 20;
  while (length > 0) {
    const std::uint64_t part = length < most ? length : most;
    int error = fallocate(descriptor, 0, static_cast<off_t>(offset), static_cast<off_t>(part)) == 0
                    ? 0
                    : errno;
    if (error == EINTR) continue;
    if (error != 0) return -error;
    offset += part;
    length -= part;
  }
  return 0;
}

namespace {

// Open file description locks (Linux 3.15); musl names them only on request.
constexpr int get_description_lock = 36;
constexpr int set_description_lock = 37;
#if defined(SYS_fcntl64)
constexpr long fcntl_number = SYS_fcntl64;
#else
constexpr long fcntl_number = SYS_fcntl;
#endif

// The kernel's layout with 64-bit offsets, on either word size.
struct byte_range_lock {
  std::int16_t type;
  std::int16_t whence = SEEK_SET;
  std::int64_t start;
  std::int64_t length;
  std::int32_t pid = 0;
};

long lock_byte(int descriptor, std::int64_t offset, int type) noexcept {
  const byte_range_lock lock{.type = static_cast<std::int16_t>(type), .start = offset, .length = 1};
  return arch::raw_syscall(fcntl_number, descriptor, set_description_lock, &lock);
}

} // namespace

long try_lock_byte(int descriptor, std::int64_t offset) noexcept {
  return lock_byte(descriptor, offset, F_WRLCK);
}

void unlock_byte(int descriptor, std::int64_t offset) noexcept {
  lock_byte(descriptor, offset, F_UNLCK);
}

lock_state look_for_lock(int descriptor, std::int64_t offset, std::int64_t length) noexcept {
  byte_range_lock lock{.type = F_RDLCK, .start = offset, .length = length};
  if (arch::raw_syscall(fcntl_number, descriptor, get_description_lock, &lock) != 0) {
    return lock_state::unknown;
  }
  return lock.type == F_UNLCK ? lock_state::none : lock_state::held;
}

} // namespace deadbolt::base
