// SPDX-License-Identifier: MIT
#include "cli/doctor/checks.hpp"

#include "base/descriptor.hpp"
#include "base/robust_list.hpp"
#include "guard/ptrace/permission.hpp"
#include "robust/engine.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deadbolt/robust_futex.h>
#include <deadbolt/robust_mutex.hpp>
#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <gnu/libc-version.h>
#include <new>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

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

// This library links every lock to the list that the libc registered.
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
          judge_preload(gather_preload_facts()),
          judge_live_check(gather_live_facts())};
}

namespace {

constexpr std::chrono::seconds patience{5};

class shared_mutex_memory {
public:
  shared_mutex_memory()
      : memory_{::mmap(nullptr, sizeof(robust_mutex), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {
    if (memory_ != MAP_FAILED) mutex_ = new (memory_) robust_mutex;
  }
  shared_mutex_memory(const shared_mutex_memory&) = delete;
  shared_mutex_memory& operator=(const shared_mutex_memory&) = delete;
  ~shared_mutex_memory() {
    if (mutex_ == nullptr) return;
    mutex_->~robust_mutex();
    ::munmap(memory_, sizeof(robust_mutex));
  }
  [[nodiscard]] robust_mutex* mutex() const { return mutex_; }

private:
  void* memory_;
  robust_mutex* mutex_ = nullptr;
};

[[noreturn]] void hold_until_killed(robust_mutex& mutex, int held) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char answer = mutex.lock().status() == lock_status::acquired ? 'h' : 'n';
  if (::write(held, &answer, 1) != 1) ::_exit(1);
  for (;;) ::pause();
}

// Whether the child holds the lock: 'h', or 'n' if not; '?' if it does not answer within the
// patience.
char await_child(int held) {
  pollfd ready{.fd = held, .events = POLLIN, .revents = 0};
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
  char answer = '?';
  if (::poll(&ready, 1, static_cast<int>(limit.count())) != 1) return '?';
  return ::read(held, &answer, 1) == 1 ? answer : '?';
}

} // namespace

live_facts gather_live_facts() {
  live_facts facts;
  // Without a robust list a lock operation ends the process.
  if (base::own_robust_list() == nullptr) {
    facts.failure = "this thread has no robust list";
    return facts;
  }
  const shared_mutex_memory memory;
  std::array<int, 2> ends{};
  if (memory.mutex() == nullptr || ::pipe2(ends.data(), O_CLOEXEC) != 0) {
    facts.failure = std::strerror(errno);
    return facts;
  }
  base::descriptor reading{ends[0]};
  base::descriptor writing{ends[1]};
  const pid_t child = ::fork();
  if (child < 0) {
    facts.failure = std::strerror(errno);
    return facts;
  }
  if (child == 0) hold_until_killed(*memory.mutex(), writing.get());
  writing.reset();

  const char answer = await_child(reading.get());
  const auto before = std::chrono::steady_clock::now();
  ::kill(child, SIGKILL);
  if (answer == 'h') {
    facts.status = memory.mutex()->try_lock_for(patience).status();
    facts.took = std::chrono::steady_clock::now() - before;
  } else {
    facts.failure = answer == 'n' ? "the child could not lock a new mutex"
                                  : "the child did not come to lock a new mutex";
  }
  if (facts.status == lock_status::owner_died) memory.mutex()->mark_consistent();
  static_cast<void>(memory.mutex()->unlock());
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return facts;
}

finding judge_live_check(const live_facts& facts) {
  finding found{.check = "live check", .severity = level::broken, .what = {}, .what_to_do = {}};
  if (!facts.failure.empty()) {
    found.what = "could not be made: " + facts.failure;
    found.what_to_do = "nothing here may be relied on until it can";
  } else if (facts.status == lock_status::owner_died) {
    const auto took = std::chrono::duration<double, std::micro>(facts.took);
    found.severity = level::ok;
    found.what = fmt::format(
        "a child was killed with a mutex held; the next owner was told in {:.0f} us", took.count());
  } else {
    found.what =
        fmt::format("a child was killed with a mutex held; the next try to lock it says {}",
                    deadbolt::to_string(facts.status));
    found.what_to_do =
        "do not use robust locks here: this kernel or a sandbox loses an owner's death";
  }
  return found;
}

} // namespace deadbolt::cli::doctor
