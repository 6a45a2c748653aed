// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_CRASH_DESCRIPTOR_HPP
#define DEADBOLT_CRASH_DESCRIPTOR_HPP

#include <unistd.h>

namespace deadbolt::crash {

// Owns a file descriptor.
class descriptor {
public:
  explicit descriptor(int number) noexcept : number_{number} {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (number_ >= 0) close(number_);
  }

  [[nodiscard]] int number() const noexcept { return number_; }

private:
  int number_;
};

} // namespace deadbolt::crash
#endif
