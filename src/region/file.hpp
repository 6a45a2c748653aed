// SPDX-License-Identifier: MIT
// The files under regions, and the headers in them.
#ifndef DEADBOLT_REGION_FILE_HPP
#define DEADBOLT_REGION_FILE_HPP

#include <base/file.hpp>
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

struct file_outcome {
  region_status status;
  int error;      // errno value; 0 unless system_error
  int descriptor; // the caller's to close; -1 unless open
};

// A complete region under `path`, or nothing there. Other processes see it whole or
// not at all.
file_outcome create_file(const char* path, const region_options& options,
                         fixed_header& header) noexcept;
file_outcome create_memfd(const char* name, const region_options& options,
                          fixed_header& header) noexcept;

// Judges an open file; `descriptor` stays the caller's.
region_status judge_file(int descriptor, fixed_header& header, int& error) noexcept;

} // namespace deadbolt::regions
#endif
