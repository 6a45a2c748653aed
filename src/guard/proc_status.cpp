// SPDX-License-Identifier: MIT
#include "guard/proc_status.hpp"

#include <base/descriptor.hpp>

#include <charconv>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

template <class T>
std::optional<T> parse(std::string_view text, int base) noexcept {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

} // namespace

proc_status proc_status::of(pid_t tid) noexcept {
  std::array<char, 64> path;
  std::snprintf(path.data(), path.size(), "/proc/%d/status", tid);
  proc_status status;
  status.read(path.data());
  return status;
}

proc_status proc_status::of_self() noexcept {
  proc_status status;
  status.read("/proc/self/status");
  return status;
}

proc_status proc_status::from_text(std::string_view text) noexcept {
  proc_status status;
  status.size_ = text.copy(status.text_.data(), status.text_.size());
  return status;
}

void proc_status::read(const char* path) noexcept {
  const base::descriptor file(::open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return;
  while (size_ < text_.size()) {
    const ssize_t got = ::read(file.get(), text_.data() + size_, text_.size() - size_);
    if (got <= 0) break;
    size_ += static_cast<std::size_t>(got);
  }
}

std::optional<std::string_view> proc_status::value(std::string_view key) const noexcept {
  std::string_view rest(text_.data(), size_);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    if (line.starts_with(key)) {
      line.remove_prefix(key.size());
      const std::size_t first = line.find_first_not_of("\t ");
      return first == std::string_view::npos ? std::string_view() : line.substr(first);
    }
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return std::nullopt;
}

std::optional<long> proc_status::last_number(std::string_view key) const noexcept {
  const auto text = value(key);
  if (!text) return std::nullopt;
  const std::size_t before = text->find_last_of("\t ");
  return parse<long>(before == std::string_view::npos ? *text : text->substr(before + 1), 10);
}

std::optional<std::uint64_t> proc_status::mask(std::string_view key) const noexcept {
  const auto text = value(key);
  return text ? parse<std::uint64_t>(*text, 16) : std::nullopt;
}

} // namespace deadbolt::guard
