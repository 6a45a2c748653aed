// SPDX-License-Identifier: MIT
// Where control can be after an instruction of RV64GC. Linux cannot single-step RISC-V, so a
// tracer sets breakpoints at all of these places.
#ifndef DEADBOLT_TESTS_ARCH_RISCV64_INSTRUCTIONS_HPP
#define DEADBOLT_TESTS_ARCH_RISCV64_INSTRUCTIONS_HPP

#include <cstdint>
#include <vector>

namespace deadbolt::testing::arch {

constexpr bool is_compressed(std::uint32_t code) noexcept {
  return (code & 3) != 3;
}
constexpr unsigned instruction_size(std::uint32_t code) noexcept {
  return is_compressed(code) ? 2 : 4;
}

// Bits `first` to `last` of an instruction, moved to bit `to` of an offset.
constexpr std::uint64_t bits(std::uint32_t code, unsigned first, unsigned last, unsigned to) {
  return std::uint64_t{(code >> first) & ((1U << (last - first + 1)) - 1)} << to;
}
// The two's complement number of which `sign` is the highest bit.
constexpr std::uint64_t with_sign(std::uint64_t offset, unsigned sign) noexcept {
  const std::uint64_t bit = std::uint64_t{1} << sign;
  return (offset ^ bit) - bit;
}

struct jump {
  enum class kind { none, always, perhaps, to_register } what = kind::none;
  std::uint64_t offset = 0;     // from this instruction, or from the register's value
  unsigned register_number = 0; // 1 to 31
};

constexpr jump compressed_jump_of(std::uint32_t code) noexcept {
  const unsigned quadrant = code & 3;
  const unsigned function = (code >> 13) & 7;
  if (quadrant == 1 && function == 5) { // c.j
    return {jump::kind::always,
            with_sign(bits(code, 12, 12, 11) | bits(code, 11, 11, 4) | bits(code, 9, 10, 8) |
                          bits(code, 8, 8, 10) | bits(code, 7, 7, 6) | bits(code, 6, 6, 7) |
                          bits(code, 3, 5, 1) | bits(code, 2, 2, 5),
                      11)};
  }
  if (quadrant == 1 && function >= 6) { // c.beqz, c.bnez
    return {jump::kind::perhaps,
            with_sign(bits(code, 12, 12, 8) | bits(code, 10, 11, 3) | bits(code, 5, 6, 6) |
                          bits(code, 3, 4, 1) | bits(code, 2, 2, 5),
                      8)};
  }
  const unsigned from = (code >> 7) & 31;
  const unsigned second = (code >> 2) & 31;
  if (quadrant == 2 && function == 4 && second == 0 && from != 0) { // c.jr, c.jalr
    return {jump::kind::to_register, 0, from};
  }
  return {};
}

constexpr jump jump_of(std::uint32_t code) noexcept {
  if (is_compressed(code)) return compressed_jump_of(code);
  switch (code & 0x7f) {
  case 0x63: // beq, bne, blt ...
    return {jump::kind::perhaps, with_sign(bits(code, 31, 31, 12) | bits(code, 7, 7, 11) |
                                               bits(code, 25, 30, 5) | bits(code, 8, 11, 1),
                                           12)};
  case 0x6f: // jal
    return {jump::kind::always, with_sign(bits(code, 31, 31, 20) | bits(code, 12, 19, 12) |
                                              bits(code, 20, 20, 11) | bits(code, 21, 30, 1),
                                          20)};
  case 0x67: // jalr
    return {jump::kind::to_register, with_sign(bits(code, 20, 31, 0), 11), (code >> 15) & 31};
  default:
    return {};
  }
}

constexpr bool is_load_reserved(std::uint32_t code) noexcept {
  return (code & 0xf800007f) == 0x1000002f;
}
constexpr bool is_store_conditional(std::uint32_t code) noexcept {
  return (code & 0xf800007f) == 0x1800002f;
}

struct next_places {
  std::vector<std::uint64_t> places;
  unsigned length = 1; // in instructions: a load reserved up to and with its store conditional
};

// Everything up to the store conditional of a load reserved is one step: a stop in between makes
// the store fail. read(address) returns the instruction there, value(number) a register's value.
template <class Read, class Value>
next_places places_after(std::uint64_t ip, Read&& read, Value&& value) {
  const std::uint32_t first = read(ip);
  const std::uint64_t behind = ip + instruction_size(first);
  if (is_load_reserved(first)) {
    constexpr unsigned longest = 16;
    next_places found;
    std::vector<std::uint64_t> targets;
    std::uint64_t place = behind;
    bool all_of_one_size = true;
    for (unsigned i = 1; i < longest; ++i) {
      const std::uint32_t code = read(place);
      const jump way = jump_of(code);
      if (is_load_reserved(code) || way.what == jump::kind::always ||
          way.what == jump::kind::to_register) {
        break;
      }
      if (way.what == jump::kind::perhaps) targets.push_back(place + way.offset);
      all_of_one_size = all_of_one_size && !is_compressed(code);
      place += instruction_size(code);
      if (!is_store_conditional(code)) continue;
      found.places.push_back(place);
      for (const std::uint64_t target : targets) {
        if (target < ip || target >= place) found.places.push_back(target);
      }
      // Callers count in instructions of 4 bytes.
      found.length = all_of_one_size ? i + 1 : 1;
      return found;
    }
  }
  const jump way = jump_of(first);
  switch (way.what) {
  case jump::kind::none:
    return {{behind}};
  case jump::kind::always:
    return {{ip + way.offset}};
  case jump::kind::perhaps:
    return {{behind, ip + way.offset}};
  case jump::kind::to_register:
    return {{(value(way.register_number) + way.offset) & ~std::uint64_t{1}}};
  }
  return {};
}

} // namespace deadbolt::testing::arch
#endif
