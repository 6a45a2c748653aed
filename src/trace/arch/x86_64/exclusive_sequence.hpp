// SPDX-License-Identifier: MIT
// x86-64 has no load and store exclusive: every instruction can be single-stepped.
#ifndef DEADBOLT_TRACE_ARCH_X86_64_EXCLUSIVE_SEQUENCE_HPP
#define DEADBOLT_TRACE_ARCH_X86_64_EXCLUSIVE_SEQUENCE_HPP

#include <cstdint>

namespace deadbolt::trace {

struct exclusive_sequence {
  std::uint64_t exits[1]{};
  unsigned exit_count = 0;
  unsigned length = 0;
};

template <class Read>
exclusive_sequence find_exclusive_sequence(std::uint64_t /*ip*/, Read&& /*read*/) {
  return {};
}

} // namespace deadbolt::trace
#endif
