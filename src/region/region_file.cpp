// SPDX-License-Identifier: MIT
// A region's file is made without a name, or under one that no process takes for a region's, and
// gets its name by link(2) or rename(2) when it is complete: a creator that is killed leaves no
// half of a region behind.
#include <region/region_file.hpp>

#include <base/random.hpp>
#include <base/signals.hpp>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace deadbolt::regions {
namespace {

// Slots that get their memory at creation; the others when they are first taken.
constexpr std::uint32_t slots_with_memory = 8;

constexpr std::uint64_t whole_pages(std::uint64_t bytes, std::uint64_t page_bytes) noexcept {
  return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

} // namespace

// ---- headers ----

std::uint64_t checksum_of(const fixed_header& header) noexcept {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < offsetof(fixed_header, checksum); ++i) {
    hash = (hash ^ bytes[i]) * 0x100000001b3;
  }
  return hash;
}

namespace {

// Takes 64-bit sizes and no region_options: a 32-bit process also judges a 64-bit process's file.
bool make_header(std::uint64_t size, std::uint64_t largest, std::uint32_t members,
                 std::uint32_t page_bytes, fixed_header& header) noexcept {
  if (size == 0 || largest < size || largest > most_data_bytes || members == 0 ||
      members > most_members) {
    return false;
  }
  header = {};
  memcpy(header.magic, region_magic, sizeof region_magic);
  header.version = format_version;
  header.header_bytes = sizeof(fixed_header);
  header.members = members;
  header.page_bytes = page_bytes;
  header.slots_offset = whole_pages(sizeof(region_header), page_bytes);
  header.data_offset = header.slots_offset + std::uint64_t{members} * page_bytes + directory_bytes;
  header.data_bytes = size;
  header.largest_data_bytes = largest;
  header.total_bytes = header.data_offset + whole_pages(size, page_bytes);
  return true;
}

} // namespace

bool make_header(const region_options& options, std::uint32_t page_bytes,
                 fixed_header& header) noexcept {
  return make_header(options.size, options.largest != 0 ? options.largest : options.size,
                     options.members, page_bytes, header);
}

region_status judge_header(const fixed_header& header, std::uint64_t file_bytes) noexcept {
  if (memcmp(header.magic, region_magic, sizeof region_magic) != 0) {
    return region_status::not_a_region;
  }
  if (header.version != format_version) return region_status::unknown_version;
  if (header.checksum != checksum_of(header)) return region_status::damaged;
  // Every process can compute the checksum: the fields that it covers are checked, too.
  const std::uint32_t page = header.page_bytes;
  if (page < least_page_bytes || page > most_page_bytes || (page & (page - 1)) != 0 ||
      header.data_bytes > most_data_bytes || header.largest_data_bytes > most_data_bytes) {
    return region_status::damaged;
  }
  fixed_header right;
  if (!make_header(header.data_bytes, header.largest_data_bytes, header.members, page, right) ||
      right.data_bytes != header.data_bytes ||
      right.largest_data_bytes != header.largest_data_bytes ||
      header.header_bytes != right.header_bytes || header.slots_offset != right.slots_offset ||
      header.data_offset != right.data_offset || header.total_bytes != right.total_bytes) {
    return region_status::damaged;
  }
  if (file_bytes < header.total_bytes) return region_status::truncated;
  // A member maps the last page of its slot a second time: a page of this system must not be larger
  // than a slot.
  if (page < static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE))) {
    return region_status::wrong_page_size;
  }
  return region_status::open;
}

// ---- files ----

namespace {

// File systems on which another machine's members would be invisible. Magic numbers
// from statfs(2).
bool is_shared_between_machines(int descriptor) noexcept {
  constexpr std::uint32_t magics[] = {
      0x6969,     // NFS
      0x517b,     // SMB
      0xff534d42, // CIFS
      0xfe534d42, // SMB2
      0x00c36400, // Ceph
      0x5346414f, // AFS
      0x6b414653, // kAFS
      0x01021997, // 9P
      0x65735546, // FUSE
      0x73757245, // Coda
      0x7461636f, // OCFS2
      0x01161970, // GFS2
      0x0bd00bd0, // Lustre
      0x47504653, // GPFS
      0x786f4256, // VirtualBox shared folders
  };
  struct statfs status;
  if (fstatfs(descriptor, &status) != 0) return false;
  for (const std::uint32_t magic : magics) {
    if (static_cast<std::uint32_t>(status.f_type) == magic) return true;
  }
  return false;
}

file_outcome failed(int error) noexcept {
  return {region_status::system_error, error, -1};
}

// Length, memory and header of a new file; 0 or an errno value.
int fill(int descriptor, fixed_header& header) noexcept {
  for (std::size_t at = 0; at < sizeof header.nonce; at += sizeof(std::uint64_t)) {
    const std::uint64_t random = base::random_number();
    memcpy(header.nonce + at, &random, sizeof random);
  }
  header.checksum = checksum_of(header);
  // Some kernels give up an allocation when a signal is pending, and start over for ever under
  // a fast timer.
  base::signals_blocked blocked;
  if (ftruncate(descriptor, static_cast<off_t>(header.total_bytes)) != 0) return errno;
  if (const int error = allocate_used_parts(descriptor, header, {0, 0, header.data_bytes});
      error != 0)
    return error;
  constexpr off_t grown = offsetof(region_header, data_bytes);
  if (pwrite(descriptor, &header, sizeof header, 0) != sizeof header ||
      pwrite(descriptor, &header.data_bytes, sizeof header.data_bytes, grown) !=
          sizeof header.data_bytes) {
    return errno ? errno : EIO;
  }
  return 0;
}

// The directory that `path` is in.
bool directory_of(const char* path, char (&directory)[PATH_MAX]) noexcept {
  const char* slash = strrchr(path, '/');
  if (slash == nullptr) {
    strcpy(directory, ".");
    return true;
  }
  const auto length = static_cast<std::size_t>(slash - path);
  if (length >= sizeof directory) return false;
  memcpy(directory, path, length);
  directory[length] = 0;
  if (length == 0) strcpy(directory, "/");
  return true;
}

// Beside `path`, a name that no other process takes for a region's: PATH.0123456789abcdef.new.
bool temporary_name(const char* path, char (&name)[PATH_MAX]) noexcept {
  const int length = snprintf(name, sizeof name, "%s.%016llx.new", path,
                              static_cast<unsigned long long>(base::random_number()));
  return length > 0 && static_cast<std::size_t>(length) < sizeof name;
}

bool is_temporary_name(const char* name, const char* of) noexcept {
  const std::size_t length = strlen(of);
  if (strncmp(name, of, length) != 0 || name[length] != '.') return false;
  const char* digits = name + length + 1;
  return strspn(digits, "0123456789abcdef") == 16 && strcmp(digits + 16, ".new") == 0;
}

// A new file under a temporary name, with the creation lock; or -errno. Some other error than
// EAGAIN means that there are no such locks here: then no process removes the file either.
int create_temporary(const char* path, char (&name)[PATH_MAX]) noexcept {
  for (int tries = 100; tries > 0; --tries) {
    if (!temporary_name(path, name)) return -ENAMETOOLONG;
    base::descriptor file{base::open_file(name, O_RDWR | O_CREAT | O_EXCL, 0600)};
    if (!file) return file.get();
    // order: a process that removes the file has this lock, too, so one of the two sees the other.
    if (base::try_lock_byte(file.get(), creation_lock) != -EAGAIN &&
        leads_to(name, identity_of(file.get()))) {
      return file.release();
    }
  }
  return -EAGAIN;
}

// Removes the files under temporary names of `path` whose creators were killed: those on which no
// process has the creation lock.
void remove_abandoned(const char* path) noexcept {
  char directory[PATH_MAX];
  if (!directory_of(path, directory)) return;
  const char* slash = strrchr(path, '/');
  const char* own_name = slash == nullptr ? path : slash + 1;
  base::descriptor opened{base::open_file(directory, O_RDONLY | O_DIRECTORY)};
  DIR* entries = opened ? fdopendir(opened.get()) : nullptr;
  if (entries == nullptr) return;
  static_cast<void>(opened.release()); // closedir() closes it
  while (const dirent* entry = readdir(entries)) {
    if (!is_temporary_name(entry->d_name, own_name)) continue;
    char name[PATH_MAX];
    const int length =
        snprintf(name, sizeof name, "%.*s%s",
                 static_cast<int>(slash == nullptr ? 0 : slash + 1 - path), path, entry->d_name);
    if (length < 0 || static_cast<std::size_t>(length) >= sizeof name) continue;
    const base::descriptor file{base::open_file(name, O_RDWR | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK)};
    if (file && base::try_lock_byte(file.get(), creation_lock) == 0 &&
        leads_to(name, identity_of(file.get()))) {
      unlink(name);
    }
  }
  closedir(entries);
}

long link_unnamed(int descriptor, const char* path) noexcept {
  const base::descriptor_path unnamed{descriptor};
  return linkat(AT_FDCWD, unnamed.get(), AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

// `temporary` has a name if it is not empty, and has none afterwards.
long give_name(int descriptor, const char* path, char (&temporary)[PATH_MAX],
               bool replaces) noexcept {
  if (!replaces) {
    if (temporary[0] == 0) return link_unnamed(descriptor, path);
    const long result = linkat(AT_FDCWD, temporary, AT_FDCWD, path, 0) == 0 ? 0 : -errno;
    unlink(temporary);
    return result;
  }
  if (temporary[0] == 0) {
    if (!temporary_name(path, temporary)) return -ENAMETOOLONG;
    // No other process has the file open yet: the lock is there before the name is.
    base::try_lock_byte(descriptor, creation_lock);
    const long result = link_unnamed(descriptor, temporary);
    if (result != 0) return result;
  }
  if (rename(temporary, path) == 0) return 0;
  const long result = -errno;
  unlink(temporary);
  return result;
}

} // namespace

int allocate_used_parts(int descriptor, const fixed_header& header,
                        const used_parts& used) noexcept {
  std::uint32_t slots = used.slots > slots_with_memory ? used.slots : slots_with_memory;
  if (slots > header.members) slots = header.members;
  long error =
      base::allocate(descriptor, 0, header.slots_offset + std::uint64_t{slots} * header.page_bytes);
  if (error == 0 && used.names > named_objects_in_header) {
    error = base::allocate(descriptor, header.data_offset - directory_bytes,
                           (used.names - named_objects_in_header) * sizeof(named_object));
  }
  const std::uint64_t data = whole_pages(used.data_bytes, header.page_bytes);
  if (error == 0) error = base::allocate(descriptor, header.data_offset, data);
  if (error != -EOPNOTSUPP) return static_cast<int>(-error);
  // A file system without fallocate(2): the libc writes to each block.
  return posix_fallocate(descriptor, 0, static_cast<off_t>(header.data_offset + data));
}

used_parts find_used_parts(int descriptor, const fixed_header& header) noexcept {
  used_parts found{0, 0, header.data_bytes};
  const auto read_at = [&](auto& value, std::uint64_t offset) {
    return pread(descriptor, &value, sizeof value, static_cast<off_t>(offset)) == sizeof value;
  };
  read_at(found.slots, offsetof(region_header, slots_used));
  if (found.slots > header.members) found.slots = header.members;
  for (std::uint32_t number = header.members; number > found.slots; --number) {
    // Every member has stored its process's number, and a slot that is claimed has a claim.
    std::uint64_t words[sizeof(member_slot) / 64] = {};
    read_at(words, header.slots_offset + std::uint64_t{number} * header.page_bytes - slot_bytes);
    std::uint64_t any = 0;
    for (const std::uint64_t word : words) any |= word;
    if (any != 0) found.slots = number;
  }
  read_at(found.names, offsetof(region_header, names_used));
  if (found.names > named_objects) found.names = named_objects;
  // From the last part of the directory to the first.
  struct part {
    named_object objects[64];
  };
  for (std::uint32_t end = named_objects; end > found.names;) {
    const bool is_header = end <= named_objects_in_header;
    const std::uint32_t begin = is_header ? 0 : end - 64;
    part there{};
    read_at(there, is_header ? offsetof(region_header, objects)
                             : header.data_offset - directory_bytes +
                                   (begin - named_objects_in_header) * sizeof(named_object));
    for (std::uint32_t number = begin; number < end; ++number) {
      if (there.objects[number - begin].state != 0 && number >= found.names) {
        found.names = number + 1;
      }
    }
    end = begin;
  }
  std::uint64_t said = 0;
  read_at(said, offsetof(region_header, data_bytes));
  if (said > found.data_bytes && said <= header.largest_data_bytes) found.data_bytes = said;
  std::uint64_t there = data_in_file(header, length_of(descriptor));
  if (there > header.largest_data_bytes) there = header.largest_data_bytes;
  if (there > whole_pages(found.data_bytes, header.page_bytes)) found.data_bytes = there;
  return found;
}

file_outcome create_file(const char* path, const region_options& options, bool replaces,
                         fixed_header& header) noexcept {
  if (!make_header(options, static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE)), header)) {
    return {region_status::invalid_options, 0, -1};
  }
  // Before anything is allocated: a dangling symbolic link exists, too.
  struct stat present;
  if (!replaces && lstat(path, &present) == 0) return {region_status::exists, 0, -1};
  char directory[PATH_MAX];
  if (!directory_of(path, directory)) return failed(ENAMETOOLONG);
  char temporary[PATH_MAX];
  temporary[0] = 0;
  // Nobody else may open it before it is complete. A file without a name gets one by /proc.
  int descriptor = access("/proc/thread-self/fd", X_OK) == 0
                       ? base::open_file(directory, O_TMPFILE | O_RDWR, 0600)
                       : -EOPNOTSUPP;
  const bool can_be_unnamed =
      descriptor != -EOPNOTSUPP && descriptor != -EISDIR && descriptor != -EINVAL;
  if (replaces || !can_be_unnamed) remove_abandoned(path);
  if (!can_be_unnamed) descriptor = create_temporary(path, temporary);
  base::descriptor file{descriptor};
  if (file.get() < 0) return failed(-file.get());
  file_outcome outcome{region_status::open, 0, -1};
  if (is_shared_between_machines(file.get())) {
    outcome.status = region_status::network_filesystem;
  } else if (const int error = fill(file.get(), header); error != 0) {
    outcome = failed(error);
  } else if (fchmod(file.get(), options.mode & 0777) != 0) {
    // Not by the mode of open(), which the umask changes.
    outcome = failed(errno);
  } else {
    const long named = give_name(file.get(), path, temporary, replaces);
    if (named == -EEXIST) {
      outcome.status = region_status::exists;
    } else if (named != 0) {
      outcome = failed(static_cast<int>(-named));
    }
    temporary[0] = 0;
  }
  if (temporary[0] != 0) unlink(temporary);
  base::unlock_byte(file.get(), creation_lock);
  if (outcome.status == region_status::open) outcome.descriptor = file.release();
  return outcome;
}

file_outcome create_memfd(const char* name, const region_options& options,
                          fixed_header& header) noexcept {
  if (!make_header(options, static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE)), header)) {
    return {region_status::invalid_options, 0, -1};
  }
  base::descriptor file{base::above_standard(static_cast<int>(
      arch::raw_syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING)))};
  if (file.get() < 0) return failed(-file.get());
  if (const int error = fill(file.get(), header); error != 0) return failed(error);
  constexpr int add_seals = 1033; // F_ADD_SEALS
  const int grows = header.largest_data_bytes > header.data_bytes ? 0 : 0x4;
  const int no_other_length = 0x1 | 0x2 | grows; // SEAL, SHRINK, GROW
  if (fcntl(file.get(), add_seals, no_other_length) != 0) return failed(errno);
  return {region_status::open, 0, file.release()};
}

region_status judge_file(int descriptor, fixed_header& header, int& error) noexcept {
  struct stat status;
  error = 0;
  if (fstat(descriptor, &status) != 0) {
    error = errno;
    return region_status::system_error;
  }
  if (!S_ISREG(status.st_mode)) return region_status::not_a_region;
  if (is_shared_between_machines(descriptor)) return region_status::network_filesystem;
  const ssize_t got = pread(descriptor, &header, sizeof header, 0);
  if (got < 0) {
    error = errno;
    return region_status::system_error;
  }
  if (static_cast<std::size_t>(got) < sizeof header) {
    const bool begun = got >= static_cast<ssize_t>(sizeof region_magic) &&
                       memcmp(header.magic, region_magic, sizeof region_magic) == 0;
    return begun ? region_status::truncated : region_status::not_a_region;
  }
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  const region_status judged = judge_header(header, file_bytes);
  if (judged != region_status::open) return judged;
  std::uint64_t data_bytes = 0;
  if (pread(descriptor, &data_bytes, sizeof data_bytes, offsetof(region_header, data_bytes)) !=
      sizeof data_bytes) {
    error = errno;
    return region_status::system_error;
  }
  if (data_bytes > header.largest_data_bytes) return region_status::damaged;
  // The length is looked at again: the region may grow meanwhile, and the file grows before the
  // header says so.
  return data_in_file(header, length_of(descriptor)) < data_bytes ? region_status::truncated
                                                                  : region_status::open;
}

std::uint64_t length_of(int descriptor) noexcept {
  struct stat status;
  return fstat(descriptor, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

base::file_identity identity_of(int descriptor) noexcept {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return {};
  return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)};
}

bool leads_to(const char* path, const base::file_identity& file) noexcept {
  struct stat status;
  return stat(path, &status) == 0 && static_cast<std::uint64_t>(status.st_dev) == file.device &&
         static_cast<std::uint64_t>(status.st_ino) == file.inode;
}

bool is_of_untrusted_owner(const char* path, int descriptor) noexcept {
  char directory[PATH_MAX];
  struct stat file;
  struct stat place;
  if (fstat(descriptor, &file) != 0 || file.st_uid == geteuid() || file.st_uid == 0) return false;
  if (!directory_of(path, directory) || stat(directory, &place) != 0) return true;
  constexpr mode_t anybody_writes = S_IWGRP | S_IWOTH;
  return file.st_uid != place.st_uid && (place.st_mode & S_ISVTX) != 0 &&
         (place.st_mode & anybody_writes) != 0;
}

bool hides_its_users(int descriptor) noexcept {
  constexpr std::uint32_t overlayfs = 0x794c7630;
  struct statfs status;
  return fstatfs(descriptor, &status) == 0 &&
         static_cast<std::uint32_t>(status.f_type) == overlayfs;
}

bool is_in_use(int descriptor) noexcept {
  return base::look_for_lock(descriptor, static_cast<std::int64_t>(first_lock_byte),
                             static_cast<std::int64_t>(first_lock_byte)) != base::lock_state::none;
}

} // namespace deadbolt::regions
