// SPDX-License-Identifier: MIT
// Where a region's file was last used: on which boot, on which device, as which inode.
#ifndef DEADBOLT_REGION_HOME_HPP
#define DEADBOLT_REGION_HOME_HPP

#include <region/open_region.hpp>

namespace deadbolt::regions {

// Whether the file was last used on another boot or as another file (a copy), as far as can be
// known: former_boot, copied, or open.
region_status compare_home(const open_region& region) noexcept;
void store_home(open_region& region) noexcept;

} // namespace deadbolt::regions
#endif
