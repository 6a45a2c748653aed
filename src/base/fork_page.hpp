// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_BASE_FORK_PAGE_HPP
#define DEADBOLT_BASE_FORK_PAGE_HPP

#include <cstddef>

namespace deadbolt::base {

inline constexpr std::size_t fork_page_size = 4096;

// A private page that is zero at first, and zero again in every child of this process, also
// a child of a bare clone() (MADV_WIPEONFORK, Linux 4.14). `slot` keeps its address: the
// first call makes the page, the others return it. `made` is set for the call that made it.
// nullptr when there is no memory or the kernel lacks MADV_WIPEONFORK.
void* fork_page(void*& slot, bool& made) noexcept;

} // namespace deadbolt::base
#endif
