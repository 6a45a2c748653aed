// SPDX-License-Identifier: MIT
// deadbolt guard
#include "cli/doctor/checks.hpp"
#include "cli/json_text.hpp"
#include "cli/subcommand.hpp"
#include "guard/bpf/attach.hpp"
#include "guard/bpf/pins.hpp"
#include "guard/unlock_windows/known_libcs.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <linux/capability.h>
#include <memory>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

namespace deadbolt::cli {
namespace {

constexpr int status_failed = 1;
constexpr int status_not_attached = 3;

struct guard_options {
  std::vector<std::string> libcs;
  bool no_libc = false;
  bool status = false;
  bool detach = false;
  bool json = false;
};

constexpr const char* guard_description =
    "Guard every process of this machine with a BPF program, until it is interrupted\n"
    "or terminated. If it is killed, or ends otherwise, the guard stays: --detach\n"
    "removes it, and a guard that is started later takes over.\n"
    "Exit status: 0; 1 if it cannot work here; 3 from --status and --detach when no\n"
    "guard is attached; 2 for bad usage.";

void complain(const std::string& what) {
  fmt::print(stderr, "deadbolt guard: {}\n", what);
}

int show_status(bool as_json) {
  const guard::bpf_look look = guard::look_at_bpf_guard();
  const bool is_absent = look.error_number == ENOENT;
  if (as_json) {
    nlohmann::ordered_json json{{"attached", look.counts.has_value()}};
    if (!look.counts) json["error"] = look.error;
    for (int i = 0; look.counts && i < DEADBOLT_BPF_COUNTERS; ++i) {
      const auto which = static_cast<deadbolt_bpf_counter>(i);
      json[std::string(guard::name_of(which))] = (*look.counts)[which];
    }
    fmt::print("{}\n", json_text(json));
  } else if (!look.counts) {
    complain(look.error);
  } else {
    const guard::bpf_counts& counts = *look.counts;
    fmt::print("attached: {} signals seen\n"
               "repaired: {} in this library's code, {} in a libc's\n"
               "a wake left to the kernel: {}\n"
               "not covered: code not readable {}, head not readable {}, write refused {}, "
               "no robust list {}; word not readable, treated as reused: {}\n",
               counts[DEADBOLT_BPF_SIGNALS], counts[DEADBOLT_BPF_BLOCK_CLEARS],
               counts[DEADBOLT_BPF_LIBC_CLEARS], counts[DEADBOLT_BPF_LEFT_TO_KERNEL],
               counts[DEADBOLT_BPF_UNREAD_CODE], counts[DEADBOLT_BPF_UNREAD_HEAD],
               counts[DEADBOLT_BPF_REFUSED_WRITES], counts[DEADBOLT_BPF_NO_LIST],
               counts[DEADBOLT_BPF_UNREAD_WORD]);
  }
  if (look.counts) return 0;
  return is_absent ? status_not_attached : status_failed;
}

int detach() {
  const int error = guard::detach_bpf_guard();
  if (error == 0) {
    fmt::print("deadbolt guard: detached\n");
    return 0;
  }
  complain(error == ENOENT ? std::string("no BPF guard is attached")
                           : fmt::format("{}: {}", guard::bpf_link_pin, std::strerror(error)));
  return error == ENOENT ? status_not_attached : status_failed;
}

// From now on the daemon waits, and at its end it unlinks its own files: that needs no capability.
bool drop_capabilities() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[2] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

// For a unit of Type=notify.
void tell_service_manager(const char* what) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un to{};
  if (path == nullptr || (*path != '/' && *path != '@') || std::strlen(path) >= sizeof to.sun_path)
    return;
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path, std::strlen(path));
  if (*path == '@') to.sun_path[0] = '\0';
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  ::sendto(socket, what, std::strlen(what), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to), length);
  ::close(socket);
}

std::string explain(const guard::attach_result& result) {
  if (result.kernel_refused) {
    // With the text of `deadbolt doctor`.
    const doctor::finding found = doctor::judge_bpf_guard(doctor::gather_bpf_facts());
    if (found.severity != doctor::level::ok) return found.what_to_do;
  }
  return result.error;
}

int guard_machine(const guard_options& options) {
  ::signal(SIGPIPE, SIG_IGN); // the reader of its output may have ended
  sigset_t ends;
  ::sigemptyset(&ends);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&ends, signal);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);

  guard::known_windows known;
  if (!options.no_libc) {
    std::vector<std::string> paths = guard::installed_libcs();
    paths.insert(paths.end(), options.libcs.begin(), options.libcs.end());
    known = guard::know_libcs(paths);
  }
  for (const auto& libc : known.libcs) {
    if (libc.error.empty())
      fmt::print("deadbolt guard: {}: {} windows\n", libc.path, libc.windows);
    else
      complain(fmt::format("the locks of {} are not guarded: {}", libc.path, libc.error));
  }
  std::fflush(stdout);
  const guard::attach_result attached = guard::attach_bpf_guard(known.set);
  if (!attached.error.empty()) {
    complain(explain(attached));
    return status_failed;
  }
  if (!drop_capabilities()) {
    complain(fmt::format("cannot drop its capabilities: {}", std::strerror(errno)));
    static_cast<void>(guard::detach_bpf_guard());
    return status_failed;
  }
  fmt::print("deadbolt guard: attached\n");
  std::fflush(stdout);
  tell_service_manager("READY=1");
  int signal = 0;
  while (::sigwait(&ends, &signal) != 0) {
  }
  return detach();
}

int guard_command(const guard_options& options) {
  if (options.status) return show_status(options.json);
  if (options.detach) return detach();
  return guard_machine(options);
}

} // namespace

void add_guard(CLI::App& app, int& status) {
  auto options = std::make_shared<guard_options>();
  CLI::App* sub = app.add_subcommand("guard", guard_description);
  auto* libc =
      sub->add_option("--libc", options->libcs,
                      "Guard the locks of this libc too (a container's, for example), besides "
                      "those of this machine's")
          ->type_name("FILE")
          ->allow_extra_args(false);
  sub->add_flag("--no-libc", options->no_libc, "Guard only this library's locks, no libc's")
      ->excludes(libc);
  auto* show = sub->add_flag("--status", options->status, "Show the counts of the attached guard");
  sub->add_flag("--json", options->json, "With --status: for a program")->needs(show);
  sub->add_flag("--detach", options->detach, "Remove the attached guard")->excludes(show);
  sub->callback([options, &status] { status = guard_command(*options); });
}

} // namespace deadbolt::cli
