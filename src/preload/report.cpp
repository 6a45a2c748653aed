// SPDX-License-Identifier: MIT
#include "preload/report.hpp"

#include <base/message.hpp>
#include <gnu/libc-version.h>
#include <robust/engine.hpp>
#include <string.h>
#include <sys/auxv.h>

namespace deadbolt::preload {
namespace {

// `deadbolt doctor --pid` reads it from another process. gnu::used: nothing in this library reads
// all of it.
[[gnu::used]] constinit status own_status{
    .magic = {'d', 'e', 'a', 'd', 'b', 'o', 'l', 't', '-', 'p', 'r', 'e', 'l', 'o', 'a', 'd'},
    .size = sizeof(status),
    .level = level::loading,
    .protected_by_kernel = 0,
    .engine = {},
    .libc_version = {},
    .reason = {}};

template <std::size_t Size>
void append(char (&to)[Size], const char* text) noexcept {
  const std::size_t used = strlen(to);
  strncpy(to + used, text, Size - 1 - used);
}

const char* value_of(char** environment, const char* name_and_sign) noexcept {
  const std::size_t length = strlen(name_and_sign);
  for (; *environment != nullptr; ++environment)
    if (strncmp(*environment, name_and_sign, length) == 0) return *environment + length;
  return nullptr;
}

bool is_word(const char* text, std::size_t length, const char* word) noexcept {
  return strlen(word) == length && memcmp(text, word, length) == 0;
}

} // namespace

preload_options read_options(char** environment) noexcept {
  preload_options result;
  if (environment == nullptr || getauxval(AT_SECURE) != 0) return result;
  result.engine = value_of(environment, "DEADBOLT_ENGINE=");
  const char* text = value_of(environment, "DEADBOLT_PRELOAD=");
  while (text != nullptr && *text != '\0') {
    const std::size_t length = strcspn(text, ",");
    if (is_word(text, length, "verbose")) {
      result.verbose = true;
    } else if (is_word(text, length, "interpose")) {
      result.interpose_only = true;
    } else if (length != 0) {
      // The unknown word comes last, because it may be too long for the line.
      base::message{}
          .text("DEADBOLT_PRELOAD: the words are verbose and interpose, separated by commas; "
                "unknown: ")
          .text(text)
          .write();
      return result;
    }
    text += length;
    if (*text == ',') ++text;
  }
  return result;
}

void add_reason(const char* text) noexcept {
  if (own_status.reason[0] != '\0') append(own_status.reason, "; ");
  append(own_status.reason, text);
}

void report(level reached, bool verbose) noexcept {
  status& status = own_status;
  append(status.libc_version, gnu_get_libc_version());
  append(status.engine, robust::chosen_engine.name);
  status.protected_by_kernel = robust::chosen_engine.protected_by_kernel ? 1 : 0;
  status.level = reached;
  if (!verbose) return;
  base::message line;
  line.text("preload: level ").text(to_string(reached)).text(", engine ").text(status.engine);
  line.text(status.protected_by_kernel != 0 ? " (protected by the kernel)" : " (needs a guard)");
  line.text(", glibc ").text(status.libc_version);
  if (status.reason[0] != '\0') line.text(": ").text(status.reason);
  line.write();
}

} // namespace deadbolt::preload
