// SPDX-License-Identifier: MIT
#include <region/home.hpp>

#include <base/file.hpp>

namespace deadbolt::regions {
namespace {

struct boot {
  std::uint64_t id[2]; // 0: not known
};

int hex_digit(char character) noexcept {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  return -1;
}

boot this_boot() noexcept {
  const base::descriptor source{base::open_file("/proc/sys/kernel/random/boot_id", O_RDONLY)};
  char text[36];
  boot made{};
  if (source.get() < 0 || read(source.get(), text, sizeof text) != sizeof text) return made;
  unsigned digits = 0;
  for (const char character : text) {
    if (character == '-') continue;
    const int value = hex_digit(character);
    if (value < 0 || digits == 32) return {};
    made.id[digits / 16] = made.id[digits / 16] << 4 | static_cast<unsigned>(value);
    ++digits;
  }
  return digits == 32 ? made : boot{};
}

} // namespace

region_status compare_home(const open_region& region) noexcept {
  const home& last = region.header()->last_home;
  const boot now = this_boot();
  const std::uint64_t id[] = {last.boot_id[0].load(std::memory_order_relaxed),
                              last.boot_id[1].load(std::memory_order_relaxed)};
  const bool both_known = (id[0] | id[1]) != 0 && (now.id[0] | now.id[1]) != 0;
  if (both_known && (id[0] != now.id[0] || id[1] != now.id[1])) return region_status::former_boot;
  const base::file_identity there{last.device.load(std::memory_order_relaxed),
                                  last.inode.load(std::memory_order_relaxed)};
  if (there.inode != 0 && there != region.file.identity) return region_status::copied;
  return region_status::open;
}

void store_home(open_region& region) noexcept {
  home& here = region.header()->last_home;
  const boot now = this_boot();
  here.boot_id[0].store(now.id[0], std::memory_order_relaxed);
  here.boot_id[1].store(now.id[1], std::memory_order_relaxed);
  here.device.store(region.file.identity.device, std::memory_order_relaxed);
  here.inode.store(region.file.identity.inode, std::memory_order_relaxed);
}

} // namespace deadbolt::regions
