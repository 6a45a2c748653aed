// SPDX-License-Identifier: MIT
// Redirecting a jump of the libc while other threads may run through it.
#ifndef DEADBOLT_PRELOAD_PATCH_HPP
#define DEADBOLT_PRELOAD_PATCH_HPP

#include "preload/shapes.hpp"

namespace deadbolt::preload {

// nullptr when the jump at `site` can be made to go to `destination` with one aligned store;
// else why not. Writes nothing.
[[nodiscard]] const char* check_patch(const jump_site& site, const void* destination) noexcept;

// Makes it go there. nullptr when done; else why not, and then nothing was written.
[[nodiscard]] const char* patch(const jump_site& site, const void* destination) noexcept;

} // namespace deadbolt::preload
#endif
