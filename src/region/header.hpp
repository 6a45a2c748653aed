// SPDX-License-Identifier: MIT
// Making a region's header, and judging one that a file brings.
#ifndef DEADBOLT_REGION_HEADER_HPP
#define DEADBOLT_REGION_HEADER_HPP

#include <deadbolt/region.hpp>
#include <region/format.hpp>

namespace deadbolt::regions {

// Fills everything but device, inode and checksum. False when the options are out of
// range.
bool make_header(const region_options& options, fixed_header& header) noexcept;

// The running boot's id, and random bytes; false when the kernel will not say.
bool read_boot_id(unsigned char (&id)[16]) noexcept;
bool read_random(unsigned char (&bytes)[16]) noexcept;

// What a header says of itself, where it was found, and how long its file is.
// `open` when every field is as it has to be.
region_status judge_header(const fixed_header& header, std::uint64_t file_bytes,
                           std::uint64_t device, std::uint64_t inode,
                           const unsigned char (&boot_id)[16]) noexcept;

} // namespace deadbolt::regions
#endif
