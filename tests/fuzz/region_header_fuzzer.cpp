// SPDX-License-Identifier: MIT
// libFuzzer's entry: reads any bytes as a region's header. If the header is accepted, the region's
// parts must lie inside the file, in order.
#include <region/region_file.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

using namespace deadbolt::regions;

void require(bool fine) {
  if (!fine) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fixed_header header;
  std::uint64_t file_bytes = 0;
  std::uint8_t help = 0;
  if (size < sizeof header + sizeof file_bytes + sizeof help) return 0;
  std::memcpy(&header, data, sizeof header);
  std::memcpy(&file_bytes, data + sizeof header, sizeof file_bytes);
  help = data[sizeof header + sizeof file_bytes];
  // The fuzzer corrects the checksum, as an untrusted peer could.
  if ((help & 1) != 0) header.checksum = checksum_of(header);
  if ((help & 2) != 0) std::memcpy(header.magic, region_magic, sizeof region_magic);
  if ((help & 4) != 0) header.version = format_version;

  const deadbolt::region_status status = judge_header(header, file_bytes);
  if (status != deadbolt::region_status::open) return 0;
  require(header.members >= 1 && header.members <= most_members);
  require(header.page_bytes >= sizeof(member_slot));
  require(header.slots_offset >= sizeof(region_header));
  require(header.data_offset - header.slots_offset ==
          std::uint64_t{header.members} * header.page_bytes + directory_bytes);
  require(header.largest_data_bytes >= header.data_bytes &&
          header.largest_data_bytes <= most_data_bytes);
  require(header.data_bytes >= 1 && header.data_bytes <= file_bytes);
  require(header.data_offset <= file_bytes - header.data_bytes);
  require(header.total_bytes <= file_bytes);
  return 0;
}
