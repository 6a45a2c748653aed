// SPDX-License-Identifier: MIT
// Which instructions `deadbolt windows` must recognise while it steps through a libc on aarch64:
// those that can release a lock word, and calls and returns.
#ifndef DEADBOLT_GUARD_ARCH_AARCH64_EXCHANGE_HPP
#define DEADBOLT_GUARD_ARCH_AARCH64_EXCHANGE_HPP

#include "guard/repair_rule.h"
#include "trace/address.hpp"

#include <cstdint>
#include <exclusive_sequence.hpp>
#include <registers.hpp>

namespace deadbolt::guard {

// The instruction, or the sequence of a load and a store exclusive, that the next step executes, if
// it is an atomic one. Registers: DEADBOLT_NO_REGISTER where there is none.
struct exchange {
  bool is_one = false;
  bool compares = false;
  std::uint32_t address = DEADBOLT_NO_REGISTER;
  std::uint32_t status = DEADBOLT_NO_REGISTER; // of the store exclusive
  std::uint32_t seen = DEADBOLT_NO_REGISTER;   // where a compare-exchange leaves what it found
  std::uint64_t behind = 0;                    // the instruction behind it
};

// read(address) returns 8 bytes of the code there.
template <class Read>
exchange find_exchange(const trace::registers& at, Read&& read) {
  const auto instruction = [&read](std::uint64_t from) {
    return static_cast<std::uint32_t>(read(from));
  };
  const auto field = [](std::uint32_t code, unsigned from) { return code >> from & 31; };
  constexpr std::uint32_t of_a_word = 2; // the operand's size, in the two highest bits
  const std::uint64_t ip = at.ip().value();
  const std::uint32_t code = instruction(ip);
  exchange found{.behind = ip + 4};
  if ((code & 0x3fa07c00) == 0x08a07c00) { // cas, casa, casl, casal
    found.is_one = found.compares = true;
    if (code >> 30 == of_a_word) {
      found.address = field(code, 5);
      found.seen = field(code, 16);
    }
    return found;
  }
  if ((code & 0x3f200c00) == 0x38200000) { // swp, ldadd, ldclr and their like
    found.is_one = true;
    if (code >> 30 == of_a_word) found.address = field(code, 5);
    return found;
  }
  const trace::exclusive_sequence sequence = trace::find_exclusive_sequence(ip, instruction);
  if (sequence.exit_count == 0) return found;
  found.behind = sequence.store + 4;
  const std::uint32_t store = instruction(sequence.store);
  found.is_one = true;
  found.compares = sequence.exit_count > 1;
  if (store >> 30 == of_a_word) {
    found.address = field(store, 5);
    found.status = field(store, 16);
    if (found.compares) found.seen = field(code, 0);
  }
  return found;
}

// The exchange is a compare-exchange of the word at that address.
inline bool may_fail_at(const exchange& next, const trace::registers& at, trace::address word) {
  return next.compares && next.address != DEADBOLT_NO_REGISTER &&
         at.raw().regs[next.address] == word.value();
}

// Counts calls and returns: a leaf function leaves no trace on the stack.
class call_depth {
public:
  // `code` is the instruction that was stepped. It has not moved the thread if the kernel reported
  // another stop behind a system call, and executed nothing.
  void after_step(std::uint64_t code, bool moved) noexcept {
    if (!moved) return;
    const bool calls = (code & 0xfc000000) == 0x94000000 || (code & 0xfefff000) == 0xd63f0000;
    const bool returns = (code & 0xfefff000) == 0xd65f0000;
    if (calls) ++depth_;
    if (returns) --depth_;
    if (depth_ < at_release_) at_release_ = depth_;
  }
  void at_release(const trace::registers& /*at*/) noexcept { at_release_ = depth_; }
  // In a function that was called since the release.
  [[nodiscard]] bool is_called(const trace::registers& /*at*/) const noexcept {
    return depth_ > at_release_;
  }
  [[nodiscard]] int value() const noexcept { return depth_; }

private:
  int depth_ = 0;
  int at_release_ = 0;
};

} // namespace deadbolt::guard
#endif
