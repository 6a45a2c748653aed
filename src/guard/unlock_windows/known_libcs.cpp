// SPDX-License-Identifier: MIT
#include "guard/unlock_windows/known_libcs.hpp"

#include "guard/unlock_windows/elf_file.hpp"
#include "guard/unlock_windows/measure.hpp"
#include <base/descriptor.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <libc_paths.hpp>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace deadbolt::guard {
namespace {

constexpr mode_t others_may_write = S_IWGRP | S_IWOTH;

// Only this user and root can have written it.
bool is_trusted(const struct stat& about) noexcept {
  return (about.st_uid == ::geteuid() || about.st_uid == 0) &&
         (about.st_mode & others_may_write) == 0;
}

base::descriptor open_directory(const std::string& path) {
  base::descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat about {};
  if (directory && (::fstat(directory.get(), &about) != 0 || !is_trusted(about))) {
    directory.reset();
    errno = EACCES;
  }
  return directory;
}

// Also makes the parent directories that do not exist.
void make_directory(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1))
    ::mkdir(path.substr(0, end).c_str(), 0755);
  ::mkdir(path.c_str(), 0755);
}

known_windows::libc know(const std::string& path, window_set& set) {
  known_windows::libc known{.path = path, .build_id = {}, .error = {}};
  const std::optional<std::string> bytes =
      read_whole_file(path, std::size_t{64} << 20, known.error);
  if (!bytes) return known;
  known.build_id = elf_file(*bytes).build_id();
  const std::string directory = window_cache_directory();
  std::optional<window_table> table;
  if (is_build_id(known.build_id)) table = load_window_table(directory, known.build_id);
  if (!table) {
    std::optional<measurement> measured = measure_windows(path, known.error);
    if (!measured) return known;
    table = std::move(measured->table);
    known.build_id = table->build_id;
    known.measured = true;
    store_window_table(directory, *table); // if that fails, it is measured again next time
  }
  known.windows = table->windows.size();
  set.add(*table);
  return known;
}

} // namespace

std::vector<std::string> installed_libcs() {
  std::vector<std::string> found;
  std::set<std::pair<dev_t, ino_t>> seen;
  for (const char* const path : libc_paths) {
    struct stat about {};
    if (::stat(path, &about) == 0 && S_ISREG(about.st_mode) &&
        seen.emplace(about.st_dev, about.st_ino).second)
      found.emplace_back(path);
  }
  return found;
}

std::string window_cache_directory() {
  if (::geteuid() == 0) return "/var/cache/deadbolt/windows";
  if (const char* const cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/')
    return std::string(cache) + "/deadbolt/windows";
  if (const char* const home = std::getenv("HOME"); home != nullptr && *home == '/')
    return std::string(home) + "/.cache/deadbolt/windows";
  return {};
}

std::string window_table_file(const std::string& build_id) {
  return build_id + processor_variant() + ".windows";
}

std::optional<window_table> load_window_table(const std::string& directory,
                                              const std::string& build_id) {
  const base::descriptor at = open_directory(directory);
  if (!at) return std::nullopt;
  const base::descriptor file(::openat(at.get(), window_table_file(build_id).c_str(),
                                       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat about {};
  if (!file || ::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode) || !is_trusted(about) ||
      static_cast<std::size_t>(about.st_size) > max_table_bytes)
    return std::nullopt;
  std::string text(max_table_bytes + 1, '\0');
  std::size_t size = 0;
  ssize_t got;
  while ((got = ::read(file.get(), text.data() + size, text.size() - size)) > 0)
    size += static_cast<std::size_t>(got);
  text.resize(size);
  std::string error;
  std::optional<window_table> table = parse_window_table(text, error);
  if (table && table->build_id != build_id) return std::nullopt;
  return table;
}

bool store_window_table(const std::string& directory, const window_table& table) {
  if (directory.empty()) {
    errno = ENOENT;
    return false;
  }
  make_directory(directory);
  const base::descriptor at = open_directory(directory);
  if (!at) return false;
  // Renamed into place when it is complete.
  const std::string name = window_table_file(table.build_id);
  const std::string unfinished = name + '.' + std::to_string(::getpid());
  const std::string text = format_window_table(table);
  const auto give_up = [&](int error) {
    ::unlinkat(at.get(), unfinished.c_str(), 0);
    errno = error;
    return false;
  };
  {
    const base::descriptor file(::openat(
        at.get(), unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file) return false;
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written != static_cast<ssize_t>(text.size())) return give_up(written < 0 ? errno : ENOSPC);
  }
  if (::renameat(at.get(), unfinished.c_str(), at.get(), name.c_str()) == 0) return true;
  return give_up(errno);
}

known_windows know_libcs(const std::vector<std::string>& paths) {
  known_windows known;
  for (const std::string& path : paths) known.libcs.push_back(know(path, known.set));
  return known;
}

} // namespace deadbolt::guard
