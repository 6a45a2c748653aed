// SPDX-License-Identifier: MIT
// The table as a command. Usage: kv_table FILE put KEY VALUE | get KEY | list
#include "kv_table.hpp"

#include <deadbolt/region.hpp>

#include <cstdio>
#include <exception>
#include <string_view>

namespace {

int run(int count, char** arguments) {
  const std::string_view command = count > 2 ? arguments[2] : "";
  deadbolt::region region = deadbolt::region::open_or_create(
      count > 1 ? arguments[1] : "/dev/shm/deadbolt-kv", {.size = sizeof(kv::table)});
  if (!region) {
    std::fprintf(stderr, "%s: %s (errno %d)\n", arguments[1], to_string(region.status()),
                 region.error());
    return 1;
  }
  auto* table = region.find_or_construct<kv::table>("table");
  if (table == nullptr) return 1;
  if (command == "put" && count == 5) {
    const std::string_view value = arguments[4];
    if (value.size() >= sizeof(kv::entry::value)) return 1;
    const bool done = table->update(arguments[3], [&](char(&to)[sizeof(kv::entry::value)]) {
      std::memset(to, 0, sizeof to);
      std::memcpy(to, value.data(), value.size());
    });
    return done ? 0 : 1;
  }
  if (command == "get" && count == 4) {
    bool found = false;
    table->for_each([&](const char* key, const char* value) {
      if (arguments[3] != std::string_view{key}) return;
      found = true;
      std::puts(value);
    });
    return found ? 0 : 1;
  }
  if (command == "list" && count == 3) {
    table->for_each([](const char* key, const char* value) { std::printf("%s %s\n", key, value); });
    return 0;
  }
  std::fputs("usage: kv_table FILE put KEY VALUE | get KEY | list\n", stderr);
  return 2;
}

} // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kv_table: %s\n", error.what());
    return 1;
  }
}
