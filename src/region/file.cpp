// SPDX-License-Identifier: MIT
// A region's file is made without a name, or under one that nobody opens, and gets
// its name by link(2) when it is complete: a creator that is killed leaves no
// half of a region behind.
#include <region/file.hpp>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace deadbolt::regions {
namespace {

constexpr std::uint64_t slots_offset = sizeof(region_header);

constexpr std::uint64_t data_offset_for(std::uint32_t members) noexcept {
  return slots_offset + std::uint64_t{members} * page_bytes;
}

constexpr std::uint64_t whole_pages(std::uint64_t bytes) noexcept {
  return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

int hex_digit(char character) noexcept {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  return -1;
}

} // namespace

std::uint64_t checksum_of(const fixed_header& header) noexcept {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < offsetof(fixed_header, checksum); ++i) {
    hash = (hash ^ bytes[i]) * 0x100000001b3;
  }
  return hash;
}

bool make_header(const region_options& options, fixed_header& header) noexcept {
  if (options.size == 0 || options.size > most_data_bytes || options.members == 0 ||
      options.members > most_members) {
    return false;
  }
  header = {};
  memcpy(header.magic, region_magic, sizeof region_magic);
  header.version = format_version;
  header.header_bytes = sizeof(fixed_header);
  header.members = options.members;
  header.page_bytes = page_bytes;
  header.slots_offset = slots_offset;
  header.data_offset = data_offset_for(options.members);
  header.data_bytes = options.size;
  header.total_bytes = header.data_offset + whole_pages(options.size);
  return true;
}

bool read_random(unsigned char (&bytes)[16]) noexcept {
  const base::file source{base::open_file("/dev/urandom", O_RDONLY)};
  return source.get() >= 0 && read(source.get(), bytes, sizeof bytes) == sizeof bytes;
}

bool read_boot_id(unsigned char (&id)[16]) noexcept {
  const base::file source{base::open_file("/proc/sys/kernel/random/boot_id", O_RDONLY)};
  char text[36];
  if (source.get() < 0 || read(source.get(), text, sizeof text) != sizeof text) return false;
  std::size_t digits = 0;
  for (const char character : text) {
    if (character == '-') continue;
    const int value = hex_digit(character);
    if (value < 0 || digits == 32) return false;
    unsigned char& byte = id[digits / 2];
    byte = static_cast<unsigned char>(digits % 2 == 0 ? value << 4 : byte | value);
    ++digits;
  }
  return digits == 32;
}

region_status judge_header(const fixed_header& header, std::uint64_t file_bytes,
                           std::uint64_t device, std::uint64_t inode,
                           const unsigned char (&boot_id)[16]) noexcept {
  if (memcmp(header.magic, region_magic, sizeof region_magic) != 0) {
    return region_status::not_a_region;
  }
  if (header.version != format_version) return region_status::unknown_version;
  if (header.checksum != checksum_of(header)) return region_status::damaged;
  // The checksum is no secret: what it covers is checked all the same.
  if (header.header_bytes != sizeof(fixed_header) || header.page_bytes != page_bytes ||
      header.members == 0 || header.members > most_members || header.slots_offset != slots_offset ||
      header.data_offset != data_offset_for(header.members) || header.data_bytes == 0 ||
      header.data_bytes > most_data_bytes ||
      header.total_bytes != header.data_offset + whole_pages(header.data_bytes)) {
    return region_status::damaged;
  }
  if (file_bytes < header.total_bytes) return region_status::truncated;
  if (memcmp(header.boot_id, boot_id, sizeof boot_id) != 0) return region_status::former_boot;
  if (header.device != device || header.inode != inode) return region_status::copied;
  return region_status::open;
}

namespace {

// Filesystems on which another machine's members would be invisible. Magic numbers
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

// Blocks and header of a new file; 0 or an errno value.
int fill(int descriptor, fixed_header& header) noexcept {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return errno;
  header.device = status.st_dev;
  header.inode = status.st_ino;
  if (!read_boot_id(header.boot_id) || !read_random(header.nonce)) return ENOENT;
  header.checksum = checksum_of(header);
  // Blocks now: a full filesystem is an error here, not a SIGBUS in a lock later.
  const int error = posix_fallocate(descriptor, 0, static_cast<off_t>(header.total_bytes));
  if (error != 0) return error;
  if (pwrite(descriptor, &header, sizeof header, 0) != sizeof header) return errno ? errno : EIO;
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

// Where O_TMPFILE is not to be had: a name that nobody else takes for a region's.
bool temporary_name(const char* path, char (&name)[PATH_MAX]) noexcept {
  unsigned char random[16];
  if (!read_random(random)) return false;
  std::uint64_t value = 0;
  memcpy(&value, random, sizeof value);
  const int length =
      snprintf(name, sizeof name, "%s.%016llx.new", path, static_cast<unsigned long long>(value));
  return length > 0 && static_cast<std::size_t>(length) < sizeof name;
}

} // namespace

file_outcome create_file(const char* path, const region_options& options,
                         fixed_header& header) noexcept {
  if (!make_header(options, header)) return {region_status::invalid_options, 0, -1};
  char name[PATH_MAX];
  if (!directory_of(path, name)) return failed(ENAMETOOLONG);
  const unsigned mode = options.mode & 0777;
  int descriptor = base::open_file(name, O_TMPFILE | O_RDWR, mode);
  const bool named = descriptor == -EOPNOTSUPP || descriptor == -EISDIR || descriptor == -EINVAL;
  if (named) {
    if (!temporary_name(path, name)) return failed(ENAMETOOLONG);
    descriptor = base::open_file(name, O_RDWR | O_CREAT | O_EXCL, mode);
  }
  base::file file{descriptor};
  if (file.get() < 0) return failed(-file.get());
  file_outcome outcome{region_status::open, 0, -1};
  if (is_shared_between_machines(file.get())) {
    outcome.status = region_status::network_filesystem;
  } else if (const int error = fill(file.get(), header); error != 0) {
    outcome = failed(error);
  } else {
    const base::descriptor_path unnamed{file.get()};
    const int linked = named ? linkat(AT_FDCWD, name, AT_FDCWD, path, 0)
                             : linkat(AT_FDCWD, unnamed.get(), AT_FDCWD, path, AT_SYMLINK_FOLLOW);
    if (linked != 0) {
      outcome = errno == EEXIST ? file_outcome{region_status::exists, 0, -1} : failed(errno);
    }
  }
  if (named) unlink(name);
  if (outcome.status == region_status::open) outcome.descriptor = file.release();
  return outcome;
}

file_outcome create_memfd(const char* name, const region_options& options,
                          fixed_header& header) noexcept {
  if (!make_header(options, header)) return {region_status::invalid_options, 0, -1};
  base::file file{
      static_cast<int>(arch::raw_syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING))};
  if (file.get() < 0) return failed(-file.get());
  if (const int error = fill(file.get(), header); error != 0) return failed(error);
  constexpr int add_seals = 1033;                  // F_ADD_SEALS
  constexpr int no_other_length = 0x1 | 0x2 | 0x4; // SEAL, SHRINK, GROW
  if (fcntl(file.get(), add_seals, no_other_length) != 0) return failed(errno);
  return {region_status::open, 0, file.release()};
}

region_status judge_file(int descriptor, fixed_header& header, int& error) noexcept {
  struct stat status;
  unsigned char boot_id[16];
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
  if (!read_boot_id(boot_id)) {
    error = ENOENT;
    return region_status::system_error;
  }
  return judge_header(header, static_cast<std::uint64_t>(status.st_size), status.st_dev,
                      status.st_ino, boot_id);
}

} // namespace deadbolt::regions
