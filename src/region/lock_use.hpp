// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_REGION_LOCK_USE_HPP
#define DEADBOLT_REGION_LOCK_USE_HPP

#include <cstddef>
#include <deadbolt/region.hpp>
#include <region/open_region.hpp>

namespace deadbolt::regions {

// Whether the object, if it is a lock of the library's own, is held, or had an owner that died and
// no next owner yet; a condition variable, whether a thread may be asleep on it. An object of
// another kind is never in use.
bool is_in_use(const open_region& region, const void* object, std::size_t size,
               detail::object_kind kind) noexcept;

} // namespace deadbolt::regions
#endif
