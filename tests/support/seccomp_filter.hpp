// SPDX-License-Identifier: MIT
// Sandboxes that refuse one futex operation, or one system call.
#ifndef DEADBOLT_TESTS_SECCOMP_FILTER_HPP
#define DEADBOLT_TESTS_SECCOMP_FILTER_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace deadbolt::testing {

// `action` is the filter's result: SECCOMP_RET_ERRNO | errno, SECCOMP_RET_TRAP, ...
// Installs the filter for the calling thread and the threads that it creates from now on. With a
// `word` it refuses the operation on that futex word alone. A test that goes on in the same process
// must name the word: the C library and ThreadSanitizer wake threads of their own, and a wake that
// the filter swallows leaves such a thread asleep for ever.
inline bool refuse_futex_operation(int operation, std::uint32_t action,
                                   const void* word = nullptr) noexcept {
  constexpr auto number = static_cast<std::uint32_t>(offsetof(seccomp_data, nr));
  constexpr auto first_argument = static_cast<std::uint32_t>(offsetof(seccomp_data, args));
  constexpr auto second_argument = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8);
  constexpr auto command_mask = static_cast<std::uint32_t>(FUTEX_CMD_MASK);
  const auto address = reinterpret_cast<std::uint64_t>(word);
  const auto low = static_cast<std::uint32_t>(address);
  const auto high = static_cast<std::uint32_t>(address >> 32);
  const auto to_allow = [word](std::uint8_t distance) {
    return word == nullptr ? std::uint8_t{0} : distance;
  };
  std::array<sock_filter, 11> code{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 8),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, second_argument),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, command_mask),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(operation), 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first_argument), // little-endian: the low half is first
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low, 0, to_allow(3)),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, first_argument + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, to_allow(1)),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{.len = code.size(), .filter = code.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

inline bool refuse_system_call(long refused, std::uint32_t action) noexcept {
  constexpr auto number = static_cast<std::uint32_t>(offsetof(seccomp_data, nr));
  std::array<sock_filter, 4> code{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(refused), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{.len = code.size(), .filter = code.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

} // namespace deadbolt::testing
#endif
