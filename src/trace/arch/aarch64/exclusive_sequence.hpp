// SPDX-License-Identifier: MIT
// Loops of a load and a store exclusive, which a tracer cannot single-step: each stop clears the
// processor's exclusive monitor, so the store fails and the loop starts again, for ever. A tracer
// runs from the load to the sequence's exits in one go instead.
#ifndef DEADBOLT_TRACE_ARCH_AARCH64_EXCLUSIVE_SEQUENCE_HPP
#define DEADBOLT_TRACE_ARCH_AARCH64_EXCLUSIVE_SEQUENCE_HPP

#include <cstdint>

namespace deadbolt::trace {

struct exclusive_sequence {
  static constexpr unsigned most_exits = 5;
  std::uint64_t exits[most_exits]{}; // where control can be when it is over
  unsigned exit_count = 0;           // 0: no such sequence starts here
  // In instructions, from the load up to and with the store; 0 if they are not in one row.
  unsigned length = 0;
  std::uint64_t store = 0;
};

namespace detail {

// LDXR, STXR, their acquire and release forms and their pairs; not CAS, CASP, LDAR and STLR, which
// share the encoding's class.
constexpr bool is_exclusive(std::uint32_t code) noexcept {
  return (code & 0x3fa00000) == 0x08000000 || (code & 0xbfa00000) == 0x88200000;
}
constexpr bool is_load(std::uint32_t code) noexcept {
  return (code & (1U << 22)) != 0;
}
constexpr bool is_store(std::uint32_t code) noexcept {
  return is_exclusive(code) && !is_load(code);
}

// How far a conditional branch goes, in bytes; 0 for any other instruction.
constexpr std::int64_t branch_offset(std::uint32_t code) noexcept {
  const bool is_conditional = (code & 0xff000010) == 0x54000000; // b.cond
  const bool is_compare = (code & 0x7e000000) == 0x34000000;     // cbz, cbnz
  const bool is_test = (code & 0x7e000000) == 0x36000000;        // tbz, tbnz
  if (!is_conditional && !is_compare && !is_test) return 0;
  const unsigned bits = is_test ? 14 : 19; // from bit 5 on, signed, in instructions
  const std::int64_t sign = std::int64_t{1} << (bits - 1);
  const std::int64_t field = (code >> 5) & ((1U << bits) - 1);
  return ((field ^ sign) - sign) * 4;
}

} // namespace detail

// read(address) returns the instruction there. The store is behind the load, or where a branch
// leads: in musl's loops it stands in front of the load.
template <class Read>
exclusive_sequence find_exclusive_sequence(std::uint64_t ip, Read&& read) {
  constexpr unsigned longest = 16;
  const std::uint32_t first = read(ip);
  if (!detail::is_exclusive(first) || !detail::is_load(first)) return {};
  exclusive_sequence found;
  const auto leaves_at = [&found](std::uint64_t place) {
    if (found.exit_count < exclusive_sequence::most_exits) found.exits[found.exit_count++] = place;
  };
  std::uint64_t targets[exclusive_sequence::most_exits];
  unsigned target_count = 0;
  for (unsigned i = 1; i < longest; ++i) {
    const std::uint64_t place = ip + std::uint64_t{i} * 4;
    const std::uint32_t code = read(place);
    if (detail::is_exclusive(code) && detail::is_load(code)) return {};
    if (detail::is_exclusive(code)) {
      found.length = i + 1;
      found.store = place;
      leaves_at(place + 4);
      for (unsigned t = 0; t < target_count; ++t) {
        if (targets[t] < ip || targets[t] > place) leaves_at(targets[t]);
      }
      return found;
    }
    const std::int64_t offset = detail::branch_offset(code);
    if (offset == 0) continue;
    // One place is kept for the way past the store, and one for the way past this branch.
    if (target_count + 2 == exclusive_sequence::most_exits) return {};
    const std::uint64_t target = place + static_cast<std::uint64_t>(offset);
    if (target < ip && detail::is_store(read(target))) {
      found.store = target;
      leaves_at(target + 4);
      leaves_at(place + 4);
      for (unsigned t = 0; t < target_count; ++t) leaves_at(targets[t]);
      return found;
    }
    targets[target_count++] = target;
  }
  return {};
}

} // namespace deadbolt::trace
#endif
