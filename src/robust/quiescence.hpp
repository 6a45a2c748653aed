// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_ROBUST_QUIESCENCE_HPP
#define DEADBOLT_ROBUST_QUIESCENCE_HPP

#include <deadbolt/quiescence.hpp>

namespace deadbolt::robust {

// For destructors: waits until no thread of this process is inside a lock or unlock of the lock at
// `address`. Aborts and names the threads if that takes longer than a second. Does not wait where
// the threads cannot be examined (no /proc).
void await_destruction(const char* what, const void* address, std::size_t size) noexcept;

} // namespace deadbolt::robust
#endif
