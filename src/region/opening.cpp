// SPDX-License-Identifier: MIT
// Opens, creates and replaces a region's file, and maps it.
#include <deadbolt/region.hpp>

#include <base/random.hpp>
#include <base/signals.hpp>
#include <errno.h>
#include <limits.h>
#include <region/home.hpp>
#include <region/open_region.hpp>
#include <region/process.hpp>
#include <region/region_file.hpp>
#include <region/slots.hpp>
#include <region/waiting.hpp>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

namespace deadbolt {

namespace regions {
namespace {

region refused(region_status status, int error = 0) noexcept {
  return region_access::make(nullptr, status, error);
}

// How long an open waits for another process that replaces the file, in steps of 1 ms.
constexpr int longest_replacement = 5000;
// How often an open starts over when other processes make, remove and replace the file.
constexpr int most_starts = 100;

void wait_a_millisecond() noexcept {
  const timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
  nanosleep(&time, nullptr);
}

// An open file description that no other process has, for the membership lock: not the one of the
// region's mapping, which a forked child inherits. Negative if the process cannot open one.
int second_description(int descriptor, const char* path) noexcept {
  const int made = base::open_file(base::descriptor_path{descriptor}.get(), O_RDWR | O_NOCTTY);
  // Without /proc. If the name leads to another file now, the lock is refused.
  return made >= 0 || path == nullptr ? made : base::open_file(path, O_RDWR | O_NOCTTY);
}

// Maps a file that this process has not mapped in this way yet, and fills the entry. With the
// process lock held.
region_status map_into(open_region& unused, int descriptor, bool read_only,
                       const fixed_header& header, int& error) noexcept {
  error = ENOMEM;
  // To where the data may grow: behind the file's end there are addresses and no memory.
  const std::uint64_t whole =
      header.data_offset +
      (header.largest_data_bytes + header.page_bytes - 1) / header.page_bytes * header.page_bytes;
  if (whole > SIZE_MAX) return region_status::system_error;
  const auto length = static_cast<std::size_t>(whole);
  void* base = mmap(nullptr, length, read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED,
                    descriptor, 0);
  if (base == MAP_FAILED) {
    error = errno;
    return region_status::system_error;
  }
  unused.length = length;
  unused.file = {descriptor, identity_of(descriptor)};
  unused.read_only = read_only;
  unused.members = header.members;
  unused.page_bytes = header.page_bytes;
  unused.slots_offset = header.slots_offset;
  unused.directory_offset = header.data_offset - directory_bytes;
  unused.data_offset = header.data_offset;
  unused.largest_data_bytes = header.largest_data_bytes;
  unused.seen_data_bytes.store(header.data_bytes, std::memory_order_relaxed);
  unused.spare_description = -1;
  unused.attaches_until_search = 0;
  unused.longest_sleep = first_sleep;
  unused.references = 1;
  // order: release; region_at() reads the rest only when it sees this.
  unused.base.store(static_cast<std::byte*>(base), std::memory_order_release);
  error = 0;
  return region_status::open;
}

// After a power cut, or in a copy, the header can be older than the parts of the file that it
// counts.
int correct_used_parts(open_region& region, const fixed_header& header, bool copied) noexcept {
  const used_parts used = find_used_parts(region.file.descriptor, header);
  // cp(1) leaves holes where pages were zero.
  if (copied) {
    if (const int error = allocate_used_parts(region.file.descriptor, header, used); error != 0)
      return error;
  }
  raise(region.header()->slots_used, used.slots);
  raise(region.header()->names_used, used.names);
  raise(region.header()->data_bytes, used.data_bytes);
  return 0;
}

// With the process lock held.
region_status map_new(process_state& process, open_region& unused, base::descriptor& file,
                      int own_description, const fixed_header& header, int& error) noexcept {
  if (const region_status status = map_into(unused, file.get(), false, header, error);
      status != region_status::open) {
    return status;
  }
  std::byte* base = unused.base.load(std::memory_order_relaxed);
  bool alone = false;
  // With membership locks, every look finds an owner that is gone, so that waiters need not look
  // often.
  const bool locked = take_membership_lock(process, unused.file, own_description, &alone);
  if (locked) unused.longest_sleep = usual_longest_sleep;
  static_cast<void>(file.release());
  const process_id own = process.id_in(unused.file.identity);
  // If no other process uses the file, what its table says of processes with membership locks is of
  // former users, of an earlier boot, or of the file that this one was copied from.
  const region_status home = compare_home(unused);
  error = 0;
  if (home != region_status::open) {
    error = correct_used_parts(unused, header, home == region_status::copied);
  }
  const bool unprovable = alone && home != region_status::open && has_unprovable_members(unused);
  if (error != 0 || unprovable) {
    unused.base.store(nullptr, std::memory_order_release);
    munmap(base, unused.length);
    base::close_file(unused.file.descriptor);
    drop_unused_membership_locks(process);
    return error != 0 ? region_status::system_error : home;
  }
  // Of two openers at the same time neither is alone. Each makes the marks and skips before it
  // attaches a member itself.
  if (alone || home != region_status::open) mark_dead_members(unused, own);
  if (home != region_status::open) skip_generations(unused, own);
  if (alone) store_home(unused);
  error = 0;
  return region_status::open;
}

// Takes the descriptors over. Without an own description it opens one, by the path if it must.
region map_file(base::descriptor& file, base::descriptor& own, const char* path,
                const fixed_header& header, bool read_only = false) noexcept {
  process_state* process = this_process();
  if (process == nullptr) return refused(region_status::system_error, ENOMEM);
  base::signals_blocked blocked;
  process_locked locked{*process};
  open_region* unused = nullptr;
  const base::file_identity identity = identity_of(file.get());
  for (open_region& entry : process_regions) {
    if (entry.base.load(std::memory_order_relaxed) == nullptr) {
      if (unused == nullptr) unused = &entry;
    } else if (entry.file.identity == identity && entry.read_only == read_only) {
      // One mapping a file: a thread must not be two members of one region.
      // The program may have closed the descriptor; then the new one may have its number.
      if (file.get() == entry.file.descriptor || !base::names(entry.file.descriptor, identity)) {
        // Other threads look by the descriptor without a lock: is_process_gone().
        __atomic_store_n(&entry.file.descriptor, file.release(), __ATOMIC_RELAXED);
      }
      ++entry.references;
      return region_access::make(&entry, region_status::open, 0);
    }
  }
  if (unused == nullptr) return refused(region_status::too_many);
  int error = 0;
  if (read_only) {
    const region_status status = map_into(*unused, file.get(), true, header, error);
    if (status != region_status::open) return refused(status, error);
    static_cast<void>(file.release());
    return region_access::make(unused, status, 0);
  }
  // With the process lock held, so that no fork leaves the description to a child as well: its
  // lock would outlive this process.
  if (!own) own = base::descriptor{second_description(file.get(), path)};
  const region_status status = map_new(*process, *unused, file, own.release(), header, error);
  return status == region_status::open ? region_access::make(unused, status, 0)
                                       : refused(status, error);
}

// A byte that no process locks for longer than a moment.
std::int64_t byte_for_a_trial() noexcept {
  return static_cast<std::int64_t>(2 * first_lock_byte |
                                   (base::random_number() & (first_lock_byte - 1)));
}

// Whether two descriptors of a file are of different open file descriptions: then each sees the
// other's locks.
bool have_own_descriptions(int one, int other) noexcept {
  const std::int64_t byte = byte_for_a_trial();
  if (base::try_lock_byte(one, byte) != 0) return false;
  const bool seen = base::look_for_lock(other, byte, 1) == base::lock_state::held;
  base::unlock_byte(one, byte);
  return seen;
}

region finish(const file_outcome& made, const char* path, const fixed_header& header) noexcept {
  if (made.status != region_status::open) return refused(made.status, made.error);
  base::descriptor file{made.descriptor};
  base::descriptor own;
  return map_file(file, own, path, header);
}

// Takes both descriptors over.
region open_file(int descriptor, base::descriptor& own, const char* path,
                 bool read_only = false) noexcept {
  base::descriptor file{descriptor};
  fixed_header header;
  int error = 0;
  const region_status status = judge_file(file.get(), header, error);
  if (status != region_status::open) return refused(status, error);
  return map_file(file, own, path, header, read_only);
}

// Whether another process is about to give the file's name to another file.
bool is_being_replaced(int descriptor) noexcept {
  return base::look_for_lock(descriptor, replacement_lock, 1) == base::lock_state::held;
}

region open_path(const char* path, bool checks_owner, bool read_only = false) noexcept {
  for (int starts = most_starts;;) {
    // Not blocked by a FIFO of that name.
    const int descriptor =
        base::open_file(path, (read_only ? O_RDONLY | O_NONBLOCK : O_RDWR) | O_NOCTTY);
    if (descriptor == -ENOENT) return refused(region_status::not_found);
    if (descriptor == -EISDIR) return refused(region_status::not_a_region);
    if (descriptor < 0) return refused(region_status::system_error, -descriptor);
    if (checks_owner && is_of_untrusted_owner(path, descriptor)) {
      base::close_file(descriptor);
      return refused(region_status::untrusted_owner);
    }
    const base::file_identity identity = identity_of(descriptor);
    base::descriptor own;
    region opened = open_file(descriptor, own, path, read_only);
    if (opened.status() != region_status::open) return opened;
    // order: the membership lock was taken; from here on no process replaces the file. If one
    // did before, the name leads to another file by now, or soon.
    int waits = longest_replacement;
    while (is_being_replaced(opened.descriptor()) && waits-- > 0) wait_a_millisecond();
    if (leads_to(path, identity)) return opened;
    if (--starts == 0) return refused(region_status::system_error, EAGAIN);
  }
}

region open_or_create(const char* path, const region_options& options) noexcept {
  // Other processes may create or remove the file in between, but not for ever.
  for (int starts = most_starts;;) {
    region opened = open_path(path, !options.any_owner);
    if (opened.status() != region_status::not_found) return opened;
    region made = region::create(path, options);
    if (made.status() != region_status::exists) return made;
    // It exists and cannot be found: a symbolic link that leads nowhere.
    if (--starts == 0) return refused(region_status::system_error, ENOENT);
  }
}

// Whether the file was a region once, cannot be opened as one any more, and is of a format that
// shows whether a process uses it.
bool is_unusable(int descriptor) noexcept {
  fixed_header header{};
  int error = 0;
  switch (judge_file(descriptor, header, error)) {
  case region_status::damaged:
  case region_status::truncated:
    return true;
  case region_status::unknown_version:
  case region_status::wrong_page_size:
    return header.version >= first_version_with_locks;
  default:
    return false;
  }
}

// Whether a process that uses the file can be seen by its membership lock.
bool shows_its_users(int descriptor, const char* path) noexcept {
  base::descriptor own{second_description(descriptor, path)};
  const std::int64_t byte = byte_for_a_trial();
  if (!own || base::try_lock_byte(own.get(), byte) != 0) return false;
  void* page = keep_lock(own, byte, descriptor);
  if (page != nullptr) munmap(page, static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  return page != nullptr;
}

// Puts a new region in the place of a file that is unusable and that no process uses. `open`:
// done, or there is nothing to replace any more.
region replace_unusable(const char* name, const region_options& options) noexcept {
  // The file and not a symbolic link that leads to it: it may have other names.
  struct stat status;
  char target[PATH_MAX];
  const bool is_link = lstat(name, &status) == 0 && S_ISLNK(status.st_mode);
  const char* path = is_link ? realpath(name, target) : name;
  if (path == nullptr) {
    return errno == ENOENT ? region_access::make(nullptr, region_status::open, 0)
                           : refused(region_status::system_error, errno);
  }
  base::descriptor old{base::open_file(path, O_RDWR | O_NOCTTY)};
  if (old.get() == -ENOENT) return region_access::make(nullptr, region_status::open, 0);
  if (old.get() < 0) return refused(region_status::system_error, -old.get());
  if (!options.any_owner && is_of_untrusted_owner(path, old.get())) {
    return refused(region_status::untrusted_owner);
  }
  if (base::try_lock_byte(old.get(), replacement_lock) != 0) {
    return refused(region_status::in_use);
  }
  // order: the replacement lock was taken; a process that opens the file now takes its
  // membership lock first and then finds the replacement lock or another file under the name.
  if (is_in_use(old.get()) || !shows_its_users(old.get(), path)) {
    return refused(region_status::in_use);
  }
  // Another process may have replaced it since it was judged.
  if (!leads_to(path, identity_of(old.get())) || !is_unusable(old.get())) {
    return region_access::make(nullptr, region_status::open, 0);
  }
  fixed_header header;
  const region made = finish(create_file(path, options, true, header), path, header);
  return region_access::make(nullptr, made.status(), made.error());
}

} // namespace
} // namespace regions

region region::create(const char* path, const region_options& options) noexcept {
  const base::cancellation_deferred deferred;
  regions::fixed_header header;
  return regions::finish(regions::create_file(path, options, false, header), path, header);
}

region region::create_anonymous(const char* name, const region_options& options) noexcept {
  const base::cancellation_deferred deferred;
  regions::fixed_header header;
  return regions::finish(regions::create_memfd(name, options, header), nullptr, header);
}

region region::open(const char* path) noexcept {
  const base::cancellation_deferred deferred;
  return regions::open_path(path, false);
}

region region::open_or_create(const char* path, const region_options& options) noexcept {
  const base::cancellation_deferred deferred;
  return regions::open_or_create(path, options);
}

region region::open_or_replace(const char* path, const region_options& options) noexcept {
  const base::cancellation_deferred deferred;
  for (int starts = regions::most_starts;;) {
    region opened = regions::open_or_create(path, options);
    switch (opened.status()) {
    case region_status::damaged:
    case region_status::truncated:
    case region_status::unknown_version:
    case region_status::wrong_page_size:
      break;
    default:
      return opened;
    }
    const region made = regions::replace_unusable(path, options);
    if (made.status() != region_status::open) {
      return regions::refused(made.status(), made.error());
    }
    // A file stays if its version does not show this library whether a process uses it.
    if (--starts == 0) return opened;
  }
}

region region::open_descriptor(int descriptor, int own_description) noexcept {
  const base::cancellation_deferred deferred;
  base::descriptor own{base::above_standard(own_description)};
  if (descriptor < 0) return regions::refused(region_status::system_error, EBADF);
  // A query does not report locks of its own open file description. If other processes made theirs
  // through this description, they would not see this process's membership lock and take it for
  // dead.
  if (own && !regions::have_own_descriptions(own.get(), descriptor)) own.reset();
  // By a description of the library's own, if the process may open one.
  int mapped = base::open_file(base::descriptor_path{descriptor}.get(), O_RDWR | O_NOCTTY);
  if (mapped < 0) mapped = base::duplicate(descriptor);
  if (mapped < 0) return regions::refused(region_status::system_error, -mapped);
  return regions::open_file(mapped, own, nullptr);
}

read_only_region read_only_region::open(const char* path) noexcept {
  const base::cancellation_deferred deferred;
  return read_only_region{regions::open_path(path, false, true)};
}

read_only_region read_only_region::open_descriptor(int descriptor) noexcept {
  const base::cancellation_deferred deferred;
  if (descriptor < 0) {
    return read_only_region{regions::refused(region_status::system_error, EBADF)};
  }
  const int own = base::duplicate(descriptor);
  if (own < 0) return read_only_region{regions::refused(region_status::system_error, -own)};
  base::descriptor none;
  return read_only_region{regions::open_file(own, none, nullptr, true)};
}

} // namespace deadbolt
