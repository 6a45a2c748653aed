// SPDX-License-Identifier: MIT
// The files under regions, and the headers in them.
#ifndef DEADBOLT_REGION_REGION_FILE_HPP
#define DEADBOLT_REGION_REGION_FILE_HPP

#include <base/file.hpp>
#include <deadbolt/region.hpp>
#include <region/format.hpp>
#include <region/open_region.hpp>

namespace deadbolt::regions {

// ---- headers ----

// Fills everything but the nonce and the checksum, for pages of this size. False when the
// options are out of range.
bool make_header(const region_options& options, std::uint32_t page_bytes,
                 fixed_header& header) noexcept;

// Judges a header by its contents and the length of its file. `open` when every field is as it
// has to be.
region_status judge_header(const fixed_header& header, std::uint64_t file_bytes) noexcept;

// ---- files ----

struct file_outcome {
  region_status status;
  int error;      // errno value; 0 unless system_error
  int descriptor; // the caller's to close; -1 unless open
};

// A complete region under `path`, or nothing there: other processes see it whole or not at
// all. `replaces`: it takes the place of what has the name.
file_outcome create_file(const char* path, const region_options& options, bool replaces,
                         fixed_header& header) noexcept;
file_outcome create_memfd(const char* name, const region_options& options,
                          fixed_header& header) noexcept;

// The parts of a file that are in use, and therefore have memory.
struct used_parts {
  std::uint32_t slots;
  std::uint32_t names;
  std::uint64_t data_bytes;
};
// Gives memory to the header, to these slots (a few at least) and names and to the data, so that a
// full file system is an error here and not a SIGBUS in a lock later. 0 or an errno value.
int allocate_used_parts(int descriptor, const fixed_header& header,
                        const used_parts& used) noexcept;
// What the file's header says is in use, or more if the rest of the file shows more: after a power
// cut, or in a copy of a file that was in use, a page of the header can be older than the parts
// that it counts.
used_parts find_used_parts(int descriptor, const fixed_header& header) noexcept;

// Bytes of data at the end of a file of `file_bytes` bytes.
constexpr std::uint64_t data_in_file(const fixed_header& header,
                                     std::uint64_t file_bytes) noexcept {
  return file_bytes < header.data_offset ? 0 : file_bytes - header.data_offset;
}
// 0 where the file cannot be looked at.
std::uint64_t length_of(int descriptor) noexcept;

// Judges an open file; `descriptor` stays the caller's.
region_status judge_file(int descriptor, fixed_header& header, int& error) noexcept;

// Whether the name leads to this file now. A name that leads nowhere does not.
bool leads_to(const char* path, const base::file_identity& file) noexcept;
base::file_identity identity_of(int descriptor) noexcept;

// Whether the file's owner is neither the caller nor the directory's owner nor root, in a directory
// where everybody may make files (sticky, as /tmp and /dev/shm).
bool is_of_untrusted_owner(const char* path, int descriptor) noexcept;

// Whether the file is where no process can have a membership lock, so that its users are not seen.
bool hides_its_users(int descriptor) noexcept;

// Whether a process uses the file: has a membership lock in it. Unknown counts as yes.
bool is_in_use(int descriptor) noexcept;

} // namespace deadbolt::regions
#endif
