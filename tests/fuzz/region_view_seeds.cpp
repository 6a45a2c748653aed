// SPDX-License-Identifier: MIT
// Writes patches that name objects of each kind, with owners and holds, into a directory:
// see region_view_fuzzer.cpp.
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <region/format.hpp>

#include <cstring>
#include <fstream>
#include <string>

namespace {

using namespace deadbolt::regions;

class patches {
public:
  template <class Value>
  void add(std::size_t at, const Value& value) {
    at -= sizeof(fixed_header);
    bytes_ += static_cast<char>(at & 0xff);
    bytes_ += static_cast<char>(at >> 8 & 0xff);
    bytes_ += static_cast<char>(at >> 16);
    bytes_ += static_cast<char>(sizeof value);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

private:
  std::string bytes_;
};

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  constexpr std::size_t slots = sizeof(region_header);
  constexpr std::size_t directory = slots + 3 * sizeof(member_slot);
  constexpr std::size_t data = directory + directory_bytes;
  const std::string names[] = {"lock", "qu\"ote", "\x1b[2J", "\xff\xfe", "c2\xc2"};
  const std::size_t sizes[] = {100, sizeof(deadbolt::mutex), sizeof(deadbolt::shared_mutex),
                               sizeof(deadbolt::condition_variable),
                               sizeof(deadbolt::counting_semaphore<3>)};
  for (std::uint32_t kind = 0; kind < 5; ++kind) {
    patches made;
    named_object entry{};
    std::memcpy(entry.name, names[kind].data(), names[kind].size());
    entry.offset = std::uint64_t{64} * kind;
    entry.size = sizes[kind];
    entry.state = static_cast<std::uint32_t>(object_state::complete);
    entry.kind = kind;
    made.add(offsetof(region_header, objects) + kind * sizeof entry, entry);
    made.add(directory + kind * sizeof entry, entry);
    // A word that names slot 0, and a hold of that slot.
    made.add(data + std::uint64_t{64} * kind, owner_id(0, 0));
    made.add(slots + offsetof(member_slot, holds_bound), std::uint32_t{2});
    made.add(slots + offsetof(member_slot, holds) + 8,
             std::uint64_t{data + std::uint64_t{64} * kind});
    std::ofstream to{argv[1] + ("/seed" + std::to_string(kind)), std::ios::binary};
    to.write(made.bytes().data(), static_cast<std::streamsize>(made.bytes().size()));
    if (!to) return 1;
  }
  return 0;
}
