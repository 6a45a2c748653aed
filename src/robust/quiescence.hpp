// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_ROBUST_QUIESCENCE_HPP
#define DEADBOLT_ROBUST_QUIESCENCE_HPP

#include <deadbolt/quiescence.hpp>

namespace deadbolt::robust {

// Ends the process, naming the memory and the threads still using it.
[[noreturn]] void abort_in_flight(const char* what, const void* address,
                                  const quiescence_result& result) noexcept;

} // namespace deadbolt::robust
#endif
