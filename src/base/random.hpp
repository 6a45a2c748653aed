// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_BASE_RANDOM_HPP
#define DEADBOLT_BASE_RANDOM_HPP

#include <cstdint>

namespace deadbolt::base {

// A random number from the kernel. If getrandom() fails, as in a sandbox, the number is mixed
// from clocks, the TID and addresses. Needs no descriptor and no /dev.
std::uint64_t random_number() noexcept;

} // namespace deadbolt::base
#endif
