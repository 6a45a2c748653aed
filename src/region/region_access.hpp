// SPDX-License-Identifier: MIT
// What the library itself may do with a handle.
#ifndef DEADBOLT_REGION_REGION_ACCESS_HPP
#define DEADBOLT_REGION_REGION_ACCESS_HPP

#include <deadbolt/region.hpp>

namespace deadbolt {

struct region_access {
  static region make(detail::open_region* mapping, region_status status, int error) noexcept {
    return {mapping, status, error};
  }
  static void* begin_construct(region& in, const char* name, std::size_t size,
                               std::size_t alignment, detail::object_kind kind,
                               bool& fresh) noexcept {
    return in.begin_construct(name, size, alignment, kind, fresh);
  }
  static void end_construct(region& in, const char* name, bool made) noexcept {
    in.end_construct(name, made);
  }
};

} // namespace deadbolt
#endif
