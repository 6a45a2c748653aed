// SPDX-License-Identifier: MIT
// The files under regions.
#ifndef DEADBOLT_REGION_REGION_FILE_HPP
#define DEADBOLT_REGION_REGION_FILE_HPP

#include <base/file.hpp>
#include <deadbolt/region.hpp>
#include <region/header.hpp>

namespace deadbolt::regions {

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
