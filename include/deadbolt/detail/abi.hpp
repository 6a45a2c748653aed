// SPDX-License-Identifier: MIT
// The inline namespace of everything that deadbolt declares for C++: a part of each symbol's
// name, so that a program that was built with another ABI's headers does not link, or start,
// with this library. Before 1.0 every minor version has an ABI of its own.
#ifndef DEADBOLT_DETAIL_ABI_HPP
#define DEADBOLT_DETAIL_ABI_HPP

#define DEADBOLT_ABI v0_1

#endif
