// SPDX-License-Identifier: MIT
// What a command prints, as a user would see it.
#ifndef DEADBOLT_TESTS_CLI_COMMAND_OUTPUT_HPP
#define DEADBOLT_TESTS_CLI_COMMAND_OUTPUT_HPP

#include <array>
#include <cstdio>
#include <string>
#include <sys/wait.h>

namespace deadbolt::testing {

struct command_output {
  int status; // -1 when a signal ended it
  std::string text;
};

inline command_output run_command(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {-1, "popen fails"};
  command_output result{.status = -1, .text = {}};
  std::array<char, 4096> buffer{};
  std::size_t count = 0;
  while ((count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0) {
    result.text.append(buffer.data(), count);
  }
  const int ended = ::pclose(pipe);
  if (WIFEXITED(ended)) result.status = WEXITSTATUS(ended);
  return result;
}

} // namespace deadbolt::testing
#endif
