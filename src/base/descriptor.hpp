// SPDX-License-Identifier: MIT
// A file descriptor with one owner, which closes it.
#ifndef DEADBOLT_BASE_DESCRIPTOR_HPP
#define DEADBOLT_BASE_DESCRIPTOR_HPP

#include <raw_syscall.hpp>
#include <sys/syscall.h>
#include <utility>

namespace deadbolt::base {

// Leaves errno alone and is no cancellation point.
inline void close_file(int descriptor) noexcept {
  arch::raw_syscall(SYS_close, descriptor);
}

class descriptor {
public:
  descriptor() noexcept = default;
  explicit descriptor(int number) noexcept : number_{number} {}
  descriptor(descriptor&& other) noexcept : number_{other.release()} {}
  descriptor& operator=(descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = other.release();
    }
    return *this;
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() { reset(); }

  [[nodiscard]] int get() const noexcept { return number_; }
  [[nodiscard]] explicit operator bool() const noexcept { return number_ >= 0; }
  // The caller owns it from now on.
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }
  void reset() noexcept {
    if (number_ >= 0) close_file(release());
  }

private:
  int number_ = -1;
};

} // namespace deadbolt::base
#endif
