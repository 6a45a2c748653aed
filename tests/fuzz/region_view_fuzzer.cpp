// SPDX-License-Identifier: MIT
// libFuzzer's entry: `inspect` and `doctor --region` read a region's file, which every user of the
// region may have overwritten. The input is a series of patches to a valid region: to its named
// objects, its slots with their holds, and its words.
#include <cli/doctor/checks.hpp>
#include <cli/inspect/region_json.hpp>
#include <cli/inspect/region_view.hpp>
#include <cli/json_text.hpp>
#include <region/format.hpp>
#include <region/region_file.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace deadbolt;

void require(bool fine) {
  if (!fine) std::abort();
}

struct whole_region {
  int descriptor = -1;
  std::string path;
  std::vector<char> bytes;

  whole_region() {
    regions::fixed_header header{};
    const regions::file_outcome made =
        regions::create_memfd("fuzz", {.size = 4096, .members = 3, .largest = 65536}, header);
    require(made.status == region_status::open);
    descriptor = made.descriptor;
    path = "/proc/self/fd/" + std::to_string(descriptor);
    bytes.resize(header.total_bytes);
    require(pread(descriptor, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    reinterpret_cast<regions::region_header*>(bytes.data())->slots_used = 3;
    reinterpret_cast<regions::region_header*>(bytes.data())->names_used = 128;
    // This thread is a live member whose robust list can be read.
    auto* slot = reinterpret_cast<regions::member_slot*>(bytes.data() + header.slots_offset);
    slot->pid = static_cast<std::uint32_t>(getpid());
    slot->tid = static_cast<std::uint32_t>(gettid());
    slot->tail[0] = static_cast<std::uint32_t>(gettid()) | FUTEX_WAITERS;
  }
};

// Each patch: where (2 bytes), how long (1), what.
std::vector<char> patched(const std::vector<char>& whole, const std::uint8_t* data,
                          std::size_t size) {
  std::vector<char> made = whole;
  constexpr std::size_t first = sizeof(regions::fixed_header); // the rest has its own fuzzer
  while (size > 4) {
    const std::size_t at = first + (data[0] | data[1] << 8 | data[2] << 16) % (made.size() - first);
    const std::size_t length = std::min({std::size_t{data[3]}, size - 4, made.size() - at});
    std::memcpy(made.data() + at, data + 4, length);
    data += 4 + length;
    size -= 4 + length;
  }
  return made;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const whole_region whole;
  const std::vector<char> bytes = patched(whole.bytes, data, size);
  require(pwrite(whole.descriptor, bytes.data(), bytes.size(), 0) ==
          static_cast<ssize_t>(bytes.size()));

  const inspect::region_file file{whole.path};
  if (file.error()) {
    // A patch of the size to which the data has grown.
    const region_status status = file.error()->status;
    require(status == region_status::damaged || status == region_status::truncated);
    return 0;
  }
  const inspect::view seen = file.look({0});
  require(seen.slots == 3 && seen.data_bytes == 4096 && seen.members.size() <= 3);
  require(seen.objects.size() + seen.locks.size() <= regions::named_objects + 1 + 4096 / 8);
  for (const inspect::lock& lock : seen.locks) {
    require(lock.offset % 8 == 0 && lock.offset < seen.data_bytes);
    require(lock.state != inspect::lock_state::held || lock.held_by || !lock.shared_by.empty());
  }
  const std::string text = cli::json_text(inspect::json_of(whole.path, seen));
  const nlohmann::json read = nlohmann::json::parse(text, nullptr, false);
  require(!read.is_discarded() && read["locks"].size() == seen.locks.size());
  require(read["objects"].size() == seen.objects.size());
  for (const cli::doctor::finding& found : cli::doctor::examine_region(whole.path))
    require(!found.check.empty() && !found.what.empty());
  return 0;
}
