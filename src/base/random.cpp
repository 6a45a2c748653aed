// SPDX-License-Identifier: MIT
#include <base/random.hpp>

#include <base/clock.hpp>
#include <raw_syscall.hpp>
#include <sys/syscall.h>

namespace deadbolt::base {

std::uint64_t random_number() noexcept {
  std::uint64_t value = 0;
  constexpr int do_not_block = 1; // GRND_NONBLOCK
  if (arch::raw_syscall(SYS_getrandom, &value, sizeof value, do_not_block) == sizeof value) {
    return value;
  }
  static constinit std::uint64_t calls = 0;
  const std::uint64_t parts[] = {
      static_cast<std::uint64_t>(now(true)),
      static_cast<std::uint64_t>(now()),
      static_cast<std::uint64_t>(arch::raw_syscall(SYS_gettid)),
      reinterpret_cast<std::uintptr_t>(&value),
      __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED),
  };
  for (const std::uint64_t part : parts) {
    value = (value ^ part) * 0x9e3779b97f4a7c15;
    value ^= value >> 29;
  }
  return value;
}

} // namespace deadbolt::base
