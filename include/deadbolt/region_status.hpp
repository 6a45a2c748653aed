// SPDX-License-Identifier: MIT
// What the functions of deadbolt/region.hpp report.
#ifndef DEADBOLT_REGION_STATUS_HPP
#define DEADBOLT_REGION_STATUS_HPP

#include <deadbolt/detail/abi.hpp>

#include <cstdint>

namespace deadbolt::inline DEADBOLT_ABI {

enum class region_status : std::uint32_t {
  open,               // usable
  closed,             // default-constructed, moved from or closed
  exists,             // create: there is a file of that name
  not_found,          // open: there is none
  not_a_region,       // another kind of file, or an empty one
  unknown_version,    // made by a newer or older format
  damaged,            // the header contradicts itself
  truncated,          // shorter than its header says
  former_boot,        // last used on another boot, and its table has a member without a membership
                      // lock, of which nobody can tell whether it is dead: see open()
  copied,             // a copy of another file, and its table has such a member
  network_filesystem, // members on other machines could not be seen
  too_many,           // more than region::most_open regions in this process
  invalid_options,    // a size of 0 or too large, `largest` too large or below the size, or members
                      // out of range
  system_error,       // error() is the errno value of the call that failed
  in_use,             // open_or_replace: cannot be opened, and a process uses or replaces it, or
                      // nobody can see whether one does (overlayfs)
  untrusted_owner,    // a file of another user in a directory such as /tmp: see any_owner
  wrong_page_size,    // made on a system whose pages are smaller than those of this one
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(region_status status) noexcept;

enum class attach_status : std::uint32_t {
  attached,         // the calling thread is a member, now or already
  table_full,       // as many threads are members as the region can have (region_options::members)
  interrupted_libc, // called in a signal handler, in the middle of the thread's operation on a
                    // robust mutex. A handler must not attach at all: not every case is noticed
  descriptor_lost,  // the program closed the region's descriptor; without it a kernel before 5.14
                    // cannot give memory to a slot that is used for the first time
  no_robust_list,   // the thread has no robust list, by which the kernel would mark its death; or
                    // another library has registered one with a futex_offset of its own
  not_open,         // the region is closed
  system_error,     // errno says which: ENOMEM, or ENOSPC: the file system is full
  read_only,        // the lock is in a read_only_region
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(attach_status status) noexcept;

// Why the calling thread's last attach failed: after lock_status::cannot_attach, or where
// find_or_construct() returned nullptr.
struct attach_failure {
  attach_status status; // `attached`: the last attach succeeded, or there was none
  int error;            // an errno value if the status is system_error, else without meaning
};
[[nodiscard, gnu::visibility("default")]] attach_failure last_attach_failure() noexcept;

// The outcome of the calling thread's last find_or_construct() or find().
enum class construct_status : std::uint32_t {
  found,
  constructed,
  not_open,          // the region is closed
  invalid_name,      // empty or longer than 39 bytes, or an alignment above 4096
  other_kind,        // an object of that name has another size or kind, or is less aligned
  no_room,           // the data has no room for it
  too_many_names,    // region::most_names names are taken
  being_constructed, // called by a constructor or destructor that this region runs: construct the
                     // parts first, or make them data members of T
  cannot_attach,     // last_attach_failure() has the reason
  damaged,           // a process wrote over the directory of names
  not_found,         // find(): there is no object of that name, or it is not complete
  system_error,      // errno says which: ENOSPC, the file system has no memory for more names
  other_policy,      // the shared_mutex of that name has another policy than the one asked for
  invalid_policy,    // the policy asked for is none of shared_mutex_policy
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(construct_status status) noexcept;
[[nodiscard, gnu::visibility("default")]] construct_status last_construct_status() noexcept;

// The outcome of destroy().
enum class destroy_status : std::uint32_t {
  destroyed,  // the name and the bytes are free for other objects
  not_open,   // the region is closed
  not_found,  // there is no object of that name
  other_kind, // the object has another size or kind, or is less aligned, and stays
  in_use,     // it stays: a lock that is held, or whose next owner has yet to be told owner_died,
              // or a condition variable that a thread may be asleep on
  being_constructed, // called by a constructor or destructor that this region runs
  cannot_attach,     // last_attach_failure() has the reason
  damaged,           // a process wrote over the directory of names
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(destroy_status status) noexcept;

// The outcome of grow().
enum class grow_status : std::uint32_t {
  grown,             // the data has the size that was asked for, or more
  not_open,          // the region is closed
  too_large,         // more than region_options::largest
  being_constructed, // called by a constructor or destructor that this region runs
  cannot_attach,     // last_attach_failure() has the reason
  descriptor_lost,   // the program closed the region's descriptor: open the region again
  damaged,           // a process wrote over the header
  system_error,      // errno says which: ENOSPC, the file system is full
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(grow_status status) noexcept;

} // namespace deadbolt::inline DEADBOLT_ABI

#endif
