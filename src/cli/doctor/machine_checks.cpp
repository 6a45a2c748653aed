// SPDX-License-Identifier: MIT
#include "cli/doctor/checks.hpp"

#include "base/robust_list.hpp"
#include "guard/ptrace/permission.hpp"
#include "robust/engine.hpp"

#include <deadbolt/robust_futex.h>
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <gnu/libc-version.h>
#include <sched.h>
#include <sys/utsname.h>

namespace deadbolt::cli::doctor {

finding check_kernel() {
  utsname name{};
  if (::uname(&name) != 0) return {"kernel", level::broken, "uname fails", "report this machine"};
  return {
      "kernel", level::ok, fmt::format("{} {} {}", name.sysname, name.release, name.machine), {}};
}

finding check_libc() {
  return {"libc", level::ok, fmt::format("glibc {}", ::gnu_get_libc_version()), {}};
}

finding check_processors() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) {
    return {"processors", level::warning, "more than this program can count", {}};
  }
  const int count = CPU_COUNT(&set);
  return {"processors",
          level::ok,
          count == 1 ? "1, so that waiters do not spin" : fmt::format("{}", count),
          {}};
}

// Every lock of this library lives on the list that the libc registered.
finding check_robust_list() {
  finding found{.check = "robust list", .severity = level::broken, .what = {}, .what_to_do = {}};
  const robust_list_head* head = base::own_robust_list();
  if (head == nullptr) {
    found.what = "this thread has none: the kernel or a sandbox does not let the libc register it";
    found.what_to_do = "allow set_robust_list and get_robust_list; boot a kernel with CONFIG_FUTEX";
  } else {
    found.severity = level::ok;
    found.what = fmt::format("registered by the libc, futex_offset {}", head->futex_offset);
  }
  return found;
}

engine_facts gather_engine_facts() {
  engine_facts facts;
  facts.chosen = ::deadbolt_engine();
  for (const char* const* name = robust::engine_names; *name != nullptr; ++name) {
    (robust::engine_is_available(*name) ? facts.available : facts.missing).emplace_back(*name);
  }
  return facts;
}

finding judge_engines(const engine_facts& facts) {
  finding found{.check = "engine", .severity = level::ok, .what = {}, .what_to_do = {}};
  found.what = fmt::format("{}; here: {}", facts.chosen, fmt::join(facts.available, ", "));
  if (!facts.missing.empty()) {
    found.what += fmt::format("; not here: {}", fmt::join(facts.missing, ", "));
  }
  if (!facts.available.empty() && facts.chosen != facts.available.front()) {
    found.severity = level::warning;
    found.what_to_do = fmt::format("unset DEADBOLT_ENGINE to use {}", facts.available.front());
  }
  return found;
}

std::vector<finding> examine_machine() {
  const std::optional<std::string> ptrace_refusal = guard::find_ptrace_refusal();
  return {check_kernel(),
          check_libc(),
          check_processors(),
          check_robust_list(),
          judge_engines(gather_engine_facts()),
          judge_protection(protection(), ptrace_refusal),
          judge_ptrace_guard(ptrace_refusal),
          judge_bpf_guard(gather_bpf_facts()),
          judge_live_check(gather_live_facts())};
}

} // namespace deadbolt::cli::doctor
