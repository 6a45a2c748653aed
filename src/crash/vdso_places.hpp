// SPDX-License-Identifier: MIT
// Where this process has its vDSO. Victims are forks of it: it lies there in them too.
#ifndef DEADBOLT_CRASH_VDSO_PLACES_HPP
#define DEADBOLT_CRASH_VDSO_PLACES_HPP

#include <cstdint>

namespace deadbolt::crash {

[[nodiscard]] bool is_in_vdso(std::uint64_t address);

// The first instruction of its clock_gettime; 0 where there is none. It begins anew
// whenever the kernel wrote its data meanwhile, some hundred times a second: on a slow
// machine a stepped thread would never come out of it.
[[nodiscard]] std::uint64_t clock_in_vdso();

} // namespace deadbolt::crash
#endif
