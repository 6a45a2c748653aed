// SPDX-License-Identifier: MIT
#include <region/header.hpp>

#include <base/file.hpp>
#include <string.h>

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

} // namespace deadbolt::regions
