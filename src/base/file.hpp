// SPDX-License-Identifier: MIT
// Files. Results are -errno. No function changes errno but names() and allocate(), which call the
// libc; allocate() is a cancellation point, no other function is.
#ifndef DEADBOLT_BASE_FILE_HPP
#define DEADBOLT_BASE_FILE_HPP

#include <base/descriptor.hpp>
#include <cstdint>
#include <fcntl.h>
#include <raw_syscall.hpp>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::base {

// A file on this machine, whatever its name.
struct file_identity {
  std::uint64_t device;
  std::uint64_t inode;

  bool operator==(const file_identity&) const noexcept = default;
};

// The descriptor is 3 or above, even if a standard descriptor (0 to 2) is closed: the program
// would write its messages into the file.
int open_file(const char* path, int flags, unsigned mode = 0) noexcept;
// Moves a descriptor that the library has just been given to a number of 3 or above.
int above_standard(int descriptor) noexcept;
// Another descriptor of the same open file description.
int duplicate(int descriptor) noexcept;

// "/proc/thread-self/fd/N": the name of an open file, to open it anew or to link it. Not
// /proc/self, which names the main thread: that may have called pthread_exit().
class descriptor_path {
public:
  explicit descriptor_path(int descriptor) noexcept;
  [[nodiscard]] const char* get() const noexcept { return text_; }

private:
  char text_[40];
};

// Whether the descriptor is open and names this file. A program may close descriptors that are
// not its own, and their numbers then go to other files.
bool names(int descriptor, const file_identity& file) noexcept;

// Allocates the disk blocks of a range of the file. Keeps bytes that have been written. Goes on
// after a signal.
long allocate(int descriptor, std::uint64_t offset, std::uint64_t length) noexcept;

// Locks one byte exclusively for this open file description, or returns -EAGAIN. The kernel
// releases the lock when the description's last descriptor and last mapping are gone.
long try_lock_byte(int descriptor, std::int64_t offset) noexcept;
void unlock_byte(int descriptor, std::int64_t offset) noexcept;

// Whether another open file description has an exclusive lock in a range of bytes. Shared
// locks, which need no permission to write, do not count.
enum class lock_state : std::uint8_t { none, held, unknown };
lock_state look_for_lock(int descriptor, std::int64_t offset, std::int64_t length) noexcept;

} // namespace deadbolt::base
#endif
