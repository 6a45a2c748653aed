// SPDX-License-Identifier: MIT
// Writes whole headers into a directory, for the fuzzer to damage.
#include <region/region_file.hpp>

#include <fstream>
#include <string>

int main(int argc, char** argv) {
  using namespace deadbolt::regions;
  if (argc != 2) return 2;
  int number = 0;
  for (const std::uint32_t members : {1U, 1024U, most_members}) {
    fixed_header header;
    const std::uint32_t page_bytes = members == 1024U ? 65536U : 4096U;
    if (!make_header({.size = 4096, .members = members, .largest = 4096UL * members}, page_bytes,
                     header))
      return 1;
    header.checksum = checksum_of(header);
    const std::uint64_t file_bytes = header.total_bytes;
    std::ofstream file{argv[1] + ("/seed" + std::to_string(number++)), std::ios::binary};
    file.write(reinterpret_cast<const char*>(&header), sizeof header);
    file.write(reinterpret_cast<const char*>(&file_bytes), sizeof file_bytes);
    file.put(7);
    if (!file) return 1;
  }
  return 0;
}
