// SPDX-License-Identifier: MIT
#include "preload/finder.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <sys/uio.h>
#include <vector>

namespace deadbolt::preload {
namespace {

constexpr std::string_view library_name = "libdeadbolt-pthread.so";
constexpr std::string_view magic = status::expected_magic;

// The status lies in the library's own data, which is a page or two.
std::optional<status> find_status(pid_t pid, std::uintptr_t begin, std::uintptr_t end,
                                  bool& readable) {
  constexpr std::size_t most = 1 << 20;
  std::vector<char> bytes(std::min<std::size_t>(end - begin, most));
  const iovec local{bytes.data(), bytes.size()};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): another process's
  const iovec remote{reinterpret_cast<void*>(begin), bytes.size()};
  const ssize_t count = ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
  if (count < 0) {
    readable = false;
    return std::nullopt;
  }
  const auto last = bytes.begin() + count;
  for (auto at = bytes.begin();; ++at) {
    at = std::search(at, last, magic.begin(), magic.end());
    status found{};
    if (last - at < static_cast<std::ptrdiff_t>(sizeof found)) return std::nullopt;
    std::memcpy(&found, &*at, sizeof found);
    if (found.size != sizeof found) continue;
    // Another process's memory: its texts need not end.
    found.engine[sizeof found.engine - 1] = '\0';
    found.libc_version[sizeof found.libc_version - 1] = '\0';
    found.reason[sizeof found.reason - 1] = '\0';
    return found;
  }
}

} // namespace

std::optional<std::string> find_library() {
  std::error_code error;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  if (error) return std::nullopt;
  for (const char* const place : {DEADBOLT_PRELOAD_INSTALLED, DEADBOLT_PRELOAD_BUILT}) {
    const auto path = (here / place / library_name).lexically_normal();
    if (std::filesystem::exists(path, error)) return path.string();
  }
  return std::nullopt;
}

void put_before_children(const std::string& library) {
  const char* const others = std::getenv("LD_PRELOAD");
  const std::string all = others == nullptr || *others == '\0' ? library : library + ":" + others;
  ::setenv("LD_PRELOAD", all.c_str(), 1);
}

process_look look_at(pid_t pid) {
  process_look look;
  std::ifstream maps{fmt::format("/proc/{}/maps", pid)};
  if (!maps) look.library = presence::not_readable;
  for (std::string line; std::getline(maps, line);) {
    // An upgrade of the package replaces the file; the process goes on with the old one.
    constexpr std::string_view replaced = " (deleted)";
    if (line.ends_with(replaced)) line.resize(line.size() - replaced.size());
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char permissions[5]{};
    if (!line.ends_with(library_name) ||
        std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, permissions) !=
            3 ||
        permissions[0] != 'r' || permissions[1] != 'w')
      continue;
    bool readable = true;
    if (const auto said = find_status(pid, begin, end, readable)) return {presence::loaded, *said};
    if (!readable) look.library = presence::not_readable;
  }
  return look;
}

} // namespace deadbolt::preload
