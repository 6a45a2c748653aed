// SPDX-License-Identifier: MIT
// Files without errno and without cancellation points. Results are -errno.
#ifndef DEADBOLT_BASE_FILE_HPP
#define DEADBOLT_BASE_FILE_HPP

#include <cstdint>
#include <fcntl.h>
#include <raw_syscall.hpp>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::base {

inline int open_file(const char* path, int flags, unsigned mode = 0) noexcept {
  return static_cast<int>(arch::raw_syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode));
}

inline void close_file(int descriptor) noexcept {
  arch::raw_syscall(SYS_close, descriptor);
}

// A descriptor that closes itself.
class file {
public:
  explicit file(int descriptor) noexcept : descriptor_{descriptor} {}
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  ~file() {
    if (descriptor_ >= 0) close_file(descriptor_);
  }
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] int release() noexcept {
    const int descriptor = descriptor_;
    descriptor_ = -1;
    return descriptor;
  }

private:
  int descriptor_;
};

// "/proc/self/fd/N": the name of an open file, to open it anew or to link it.
class descriptor_path {
public:
  explicit descriptor_path(int descriptor) noexcept;
  [[nodiscard]] const char* get() const noexcept { return text_; }

private:
  char text_[32];
};

// Locks one byte for this open file description, exclusively, or says -EAGAIN.
// The kernel lets go when the description's last descriptor is closed, by death too.
long try_lock_byte(int descriptor, std::int64_t offset) noexcept;
void unlock_byte(int descriptor, std::int64_t offset) noexcept;

} // namespace deadbolt::base
#endif
