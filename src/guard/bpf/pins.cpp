// SPDX-License-Identifier: MIT
#include "guard/bpf/pins.hpp"

#include <base/descriptor.hpp>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace deadbolt::guard {
namespace {

long bpf(int command, bpf_attr& attributes) noexcept {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

base::descriptor open_pin(const char* path) noexcept {
  bpf_attr attributes{};
  attributes.pathname = reinterpret_cast<std::uintptr_t>(path);
  attributes.file_flags = BPF_F_RDONLY;
  return base::descriptor(static_cast<int>(bpf(BPF_OBJ_GET, attributes)));
}

// A per-CPU map has a value for each possible CPU: "0-3,8" makes 9.
std::size_t possible_cpus() {
  std::ifstream file("/sys/devices/system/cpu/possible");
  std::string text;
  std::getline(file, text);
  const std::size_t last = text.find_last_of("-,");
  const std::size_t begin = last == std::string::npos ? 0 : last + 1;
  return static_cast<std::size_t>(std::strtoul(text.c_str() + begin, nullptr, 10)) + 1;
}

bpf_look failed(int error, std::string what) {
  bpf_look look;
  look.error_number = error;
  look.error = std::move(what);
  return look;
}

} // namespace

std::string_view name_of(deadbolt_bpf_counter which) noexcept {
  switch (which) {
  case DEADBOLT_BPF_SIGNALS:
    return "signals";
  case DEADBOLT_BPF_BLOCK_CLEARS:
    return "block_clears";
  case DEADBOLT_BPF_LIBC_CLEARS:
    return "libc_clears";
  case DEADBOLT_BPF_LEFT_TO_KERNEL:
    return "left_to_kernel";
  case DEADBOLT_BPF_NO_LIST:
    return "no_robust_list";
  case DEADBOLT_BPF_UNREAD_CODE:
    return "unread_code";
  case DEADBOLT_BPF_UNREAD_HEAD:
    return "unread_heads";
  case DEADBOLT_BPF_UNREAD_WORD:
    return "unread_words";
  case DEADBOLT_BPF_REFUSED_WRITES:
    return "refused_writes";
  case DEADBOLT_BPF_COUNTERS:
    break;
  }
  return "?";
}

bpf_look look_at_bpf_guard() {
  const base::descriptor map = open_pin(bpf_counters_pin);
  if (!map && errno == ENOENT) return failed(ENOENT, "no BPF guard is attached");
  if (!map) return failed(errno, std::string(bpf_counters_pin) + ": " + std::strerror(errno));
  bpf_look look;
  bpf_counts counts;
  std::vector<std::uint64_t> of_each_cpu(possible_cpus());
  for (std::uint32_t which = 0; which < DEADBOLT_BPF_COUNTERS; ++which) {
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(map.get());
    attributes.key = reinterpret_cast<std::uintptr_t>(&which);
    attributes.value = reinterpret_cast<std::uintptr_t>(of_each_cpu.data());
    if (bpf(BPF_MAP_LOOKUP_ELEM, attributes) != 0)
      return failed(errno, std::string("the counters: ") + std::strerror(errno));
    for (const std::uint64_t value : of_each_cpu) counts.values[which] += value;
  }
  look.counts = counts;
  return look;
}

int detach_bpf_guard() noexcept {
  // The pinned link keeps the program attached.
  const int error = ::unlink(bpf_link_pin) == 0 ? 0 : errno;
  if (error != 0 && error != ENOENT) return error;
  ::unlink(bpf_counters_pin);
  ::rmdir(bpf_directory);
  return error;
}

} // namespace deadbolt::guard
