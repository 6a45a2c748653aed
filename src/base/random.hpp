// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_BASE_RANDOM_HPP
#define DEADBOLT_BASE_RANDOM_HPP

#include <cstdint>

namespace deadbolt::base {

// A random number, from the kernel; where it gives none (a sandbox), made of clocks, thread and
// addresses. Needs no descriptor and no /dev.
std::uint64_t random_number() noexcept;

} // namespace deadbolt::base
#endif
