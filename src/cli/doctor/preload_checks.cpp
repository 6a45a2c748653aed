// SPDX-License-Identifier: MIT
// What the preload library would do for programs here, and does in a running one.
#include "cli/doctor/checks.hpp"
#include "preload/finder.hpp"

#include <fmt/core.h>

#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace deadbolt::cli::doctor {
namespace {

// Runs this command with the library, which then says on stderr what it does.
std::string try_out(const std::string& library) {
  const std::string command = fmt::format(
      "LD_PRELOAD='{}' DEADBOLT_PRELOAD=verbose exec /proc/{}/exe --version 2>&1 >/dev/null",
      library, getpid());
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  char line[1024];
  std::string found;
  constexpr const char* opening = "deadbolt: preload: ";
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    if (std::strncmp(line, opening, std::strlen(opening)) != 0) continue;
    found = line + std::strlen(opening);
    if (found.ends_with('\n')) found.pop_back();
  }
  ::pclose(pipe);
  return found;
}

const char* remedy_at(preload::level reached) noexcept {
  switch (reached) {
  case preload::level::loading:
    return "it is just starting: ask again";
  case preload::level::none:
    return "every unlock is the libc's and keeps its unlock window: start programs under a guard, "
           "with deadbolt run COMMAND";
  case preload::level::interpose:
    return "pthread_cond_wait keeps the libc's unlock window: start programs that use it under a "
           "guard, with deadbolt run --preload COMMAND";
  case preload::level::hook:
    break;
  }
  return "";
}

} // namespace

preload_facts gather_preload_facts() {
  preload_facts facts;
  const std::optional<std::string> library = preload::find_library();
  if (!library) return facts;
  facts.library = *library;
  facts.line = try_out(*library);
  return facts;
}

finding judge_preload(const preload_facts& facts) {
  finding found{.check = "preload", .severity = level::warning, .what = {}, .what_to_do = {}};
  if (facts.library.empty()) {
    found.what = "libdeadbolt-pthread.so is not there";
    found.what_to_do = "install it beside this command, for programs with robust pthread mutexes";
    return found;
  }
  if (facts.line.empty()) {
    found.what = "a program could not be started with " + facts.library;
    found.what_to_do = fmt::format("LD_PRELOAD={} /bin/true says why", facts.library);
    return found;
  }
  found.what = facts.line;
  if (facts.line.starts_with("level hook")) {
    found.severity = level::ok;
    found.what += facts.line.find("protected by the kernel") != std::string::npos
                      ? fmt::format("; protects robust pthread mutexes with LD_PRELOAD={} COMMAND",
                                    facts.library)
                      : "; protects robust pthread mutexes under a guard alone: deadbolt run "
                        "--preload COMMAND";
  } else {
    found.what_to_do = remedy_at(facts.line.starts_with("level none") ? preload::level::none
                                                                      : preload::level::interpose);
  }
  return found;
}

std::vector<finding> examine_process(pid_t pid) {
  finding found{.check = "preload", .severity = level::warning, .what = {}, .what_to_do = {}};
  const preload::process_look look = preload::look_at(pid);
  switch (look.library) {
  case preload::presence::not_readable:
    found.severity = level::broken;
    found.what = fmt::format("process {} is not there, or its memory may not be read", pid);
    found.what_to_do = "ask as its user, or as root";
    break;
  case preload::presence::absent:
    found.what = fmt::format("process {} runs without libdeadbolt-pthread.so", pid);
    found.what_to_do = "start it with: LD_PRELOAD=$(deadbolt preload --print) COMMAND, or deadbolt "
                       "run --preload COMMAND";
    break;
  case preload::presence::loaded:
    found.what = fmt::format(
        "level {}, engine {} ({}), glibc {}", to_string(look.said.level), look.said.engine,
        look.said.protected_by_kernel != 0 ? "protected by the kernel" : "needs a guard",
        look.said.libc_version);
    if (look.said.reason[0] != '\0') found.what += fmt::format(": {}", look.said.reason);
    if (look.said.level == preload::level::hook) found.severity = level::ok;
    found.what_to_do = remedy_at(look.said.level);
    break;
  }
  return {found};
}

} // namespace deadbolt::cli::doctor
