// SPDX-License-Identifier: MIT
#include "guard/windows/probe_run.hpp"

#include "guard/repair_rule.h"
#include "guard/windows/probe_protocol.h"
#include "guard/windows/sandbox.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <linux/futex.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

constexpr std::size_t most_steps = 20'000;
constexpr std::size_t code_before = DEADBOLT_WINDOW_CODE_BEFORE;

std::string descriptor_path(int descriptor) {
  return "/proc/self/fd/" + std::to_string(descriptor);
}

[[noreturn]] void become_the_probe(const probe_files& files, const probe_scenario& scenario) {
  const std::string libc = descriptor_path(files.libc);
  const std::string probe = descriptor_path(files.probe);
  std::vector<const char*> arguments{"deadbolt-probe"};
  if (files.loader >= 0) arguments.insert(arguments.end(), {"--preload", libc.c_str()});
  arguments.push_back(probe.c_str());
  arguments.insert(arguments.end(), scenario.arguments.begin(), scenario.arguments.end());
  arguments.push_back(nullptr);
  // Bound at the start, so that no step looks up a symbol.
  const char* const environment[] = {"LD_BIND_NOW=1", nullptr};

  ::setpgid(0, 0);
  const int null = ::open("/dev/null", O_RDWR);
  for (int standard = 0; null >= 0 && standard <= 2; ++standard) ::dup2(null, standard);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(100);
  if (enter_sandbox() != 0) ::_exit(101);
  ::syscall(SYS_execveat, files.loader >= 0 ? files.loader : files.libc, "",
            const_cast<char* const*>(arguments.data()), const_cast<char* const*>(environment),
            AT_EMPTY_PATH);
  ::_exit(102);
}

class probe_run {
public:
  probe_run(const probe_files& files, const probe_scenario& scenario)
      : scenario_(scenario), pid_(::fork()), thread_(pid_) {
    if (pid_ == 0) become_the_probe(files, scenario);
  }
  probe_run(const probe_run&) = delete;
  probe_run& operator=(const probe_run&) = delete;
  ~probe_run() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL); // the waiter too
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
    }
  }

  probe_result run() {
    if (pid_ < 0)
      fail("fork");
    else if (start() && (!has_waiter() || waiter_is_asleep()))
      step_to_the_clear();
    return std::move(result_);
  }

private:
  bool fail(const std::string& what) {
    result_.error = std::string(scenario_.name) + ": " + what;
    return false;
  }
  [[nodiscard]] bool has_waiter() const { return waiter_ > 0; }

  // To the next SIGTRAP; everything else ends the run.
  bool await_trap() {
    int status = 0;
    for (;;) {
      if (::waitpid(pid_, &status, __WALL) < 0) {
        if (errno != EINTR) return fail("the probe was lost");
      } else if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGCHLD) {
        break;
      } else if (thread_.resume(0) != 0) { // an owner died, as it was to, before the steps
        return fail("the probe was lost");
      }
    }
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP) return true;
    if (WIFSTOPPED(status))
      return fail("the probe took signal " + std::to_string(WSTOPSIG(status)));
    const bool killed = WIFSIGNALED(status);
    pid_ = -1;
    result_.has_list = killed || WEXITSTATUS(status) != DEADBOLT_PROBE_NO_LIST;
    if (!result_.has_list) return false;
    return fail(killed ? "the probe was killed by signal " + std::to_string(WTERMSIG(status))
                       : "the probe ended with status " + std::to_string(WEXITSTATUS(status)));
  }

  bool start() {
    if (!await_trap()) return false; // its execve
    if (::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL) != 0)
      return fail("PTRACE_SETOPTIONS");
    if (thread_.resume(0) != 0) return fail("the probe was lost");
    if (!await_trap()) return false;
    if (thread_.get_registers(registers_) != 0) return fail("the probe was lost");
    if (registers_.raw().rax != DEADBOLT_PROBE_READY)
      return fail("the probe stopped where it should not");
    head_ = tracee_address(registers_.raw().rdi);
    waiter_ = static_cast<pid_t>(registers_.raw().rsi);
    std::uint64_t newest = 0;
    if (thread_.read(head_ + DEADBOLT_HEAD_FUTEX_OFFSET, &futex_offset_, sizeof futex_offset_) !=
            0 ||
        thread_.read(head_, &newest, sizeof newest) != 0)
      return fail("the robust list cannot be read");
    owned_ = newest != head_.value();
    if (owned_) word_ = tracee_address(deadbolt_entry_word(newest, futex_offset_));
    if (!find_libc()) return fail("the libc is not mapped");
    return true;
  }

  bool find_libc() {
    std::ifstream maps("/proc/" + std::to_string(pid_) + "/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find(libc_copy_name) == std::string::npos) continue;
      char* rest = nullptr;
      const std::uint64_t begin = std::strtoull(line.c_str(), &rest, 16);
      const std::uint64_t end = *rest == '-' ? std::strtoull(rest + 1, nullptr, 16) : 0;
      if (libc_begin_ == 0) libc_begin_ = begin;
      libc_end_ = end;
    }
    return libc_begin_ != 0;
  }

  // It sleeps nowhere else: the kernel, or the libc before it sleeps, has set WAITERS.
  bool waiter_is_asleep() {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%d/stat", waiter_);
    for (int look = 0; look < 100'000; ++look) {
      std::uint32_t value = 0;
      if (thread_.read_word(word_, value) != 0) return fail("the lock word cannot be read");
      std::ifstream file(path);
      std::string text;
      std::getline(file, text);
      const std::size_t name_end = text.rfind(')');
      const bool asleep = name_end != std::string::npos && text.compare(name_end, 3, ") S") == 0;
      if (asleep && (value & FUTEX_WAITERS) != 0) return true;
      const timespec pause{0, 50'000};
      ::nanosleep(&pause, nullptr);
    }
    return fail("the waiter does not go to sleep");
  }

  // A futex call on the lock word.
  [[nodiscard]] bool calls_futex(unsigned operation) const {
    const auto& regs = registers_.raw();
    return regs.rax == SYS_futex && regs.rdi == word_.value() &&
           (static_cast<unsigned>(regs.rsi) & static_cast<unsigned>(FUTEX_CMD_MASK)) == operation;
  }

  void take_sample(bool released, came_from after) {
    probe_sample sample{};
    const std::uint64_t ip = registers_.raw().rip;
    if (ip < libc_begin_ || ip >= libc_end_) {
      if (released) ++result_.outside;
      return;
    }
    sample.offset = ip - libc_begin_;
    sample.has_code =
        thread_.read(tracee_address(ip - code_before), sample.code.data(), sample.code.size()) == 0;
    sample.released = released;
    sample.owed = released && has_waiter() && !woken_;
    sample.zero_flag = (registers_.raw().eflags & DEADBOLT_FLAGS_ZF) != 0;
    sample.zero_result = registers_.raw().rax == 0;
    sample.error_result = registers_.raw().rax >= std::uint64_t{0} - DEADBOLT_LAST_ERROR;
    sample.after = after;
    result_.samples.push_back(sample);
  }

  void step_to_the_clear() {
    bool released = false;
    came_from before = came_from::elsewhere;
    while (result_.steps < most_steps) {
      std::uint64_t pending = 0;
      std::uint64_t code = 0;
      if (thread_.get_registers(registers_) != 0 ||
          thread_.read(head_ + DEADBOLT_HEAD_LIST_OP_PENDING, &pending, sizeof pending) != 0 ||
          thread_.read(tracee_address(registers_.raw().rip), &code, sizeof code) != 0) {
        fail("the probe cannot be read");
        return;
      }
      if (pending == 0 && released) return;
      if ((code & 0xff) == 0xcc) return; // the probe's second stop
      std::uint32_t value = 0;
      if (pending != 0) {
        word_ = tracee_address(deadbolt_entry_word(pending, futex_offset_));
        if (thread_.read_word(word_, value) != 0) {
          fail("the lock word cannot be read");
          return;
        }
        const bool mine = (value & DEADBOLT_WORD_TID_MASK) == static_cast<std::uint32_t>(pid_);
        owned_ = owned_ || mine;
        const bool just_now = owned_ && !mine && !released;
        released = owned_ && !mine;
        // A release by the kernel hands the lock on by itself.
        if (just_now && before == came_from::unlock_pi) woken_ = true;
        take_sample(released, just_now ? before : came_from::elsewhere);
      }
      const bool wakes =
          calls_futex(FUTEX_WAKE) || calls_futex(FUTEX_WAKE_BITSET) || calls_futex(FUTEX_WAKE_OP);
      const bool is_call = (code & 0xffff) == 0x050f;
      before = is_call && calls_futex(FUTEX_UNLOCK_PI) ? came_from::unlock_pi
               : is_locked_compare_exchange(code)      ? came_from::compare_exchange
                                                       : came_from::elsewhere;
      if (scenario_.late_waiter && pending != 0 && !released &&
          before == came_from::compare_exchange && !set_waiters(value))
        return;
      if (thread_.step(0) != 0 || !await_trap()) {
        if (result_.error.empty()) fail("the probe was lost");
        return;
      }
      ++result_.steps;
      registers after;
      if (is_call && wakes && thread_.get_registers(after) == 0)
        woken_ = woken_ || static_cast<std::int64_t>(after.raw().rax) > 0;
    }
    fail("no end after " + std::to_string(most_steps) + " instructions");
  }

  // lock cmpxchg, with or without a prefix for registers.
  static bool is_locked_compare_exchange(std::uint64_t code) {
    if ((code & 0xff) != 0xf0) return false;
    code >>= 8;
    if ((code & 0xf0) == 0x40) code >>= 8;
    return (code & 0xffff) == 0xb10f;
  }

  bool set_waiters(std::uint32_t value) {
    std::uint64_t both = 0; // ptrace writes 8 bytes
    if (thread_.read(word_, &both, sizeof both) != 0) return fail("the lock word cannot be read");
    both = (both & ~std::uint64_t{0xffffffff}) | value | FUTEX_WAITERS;
    return thread_.write(word_, both) == 0 || fail("the lock word cannot be written");
  }

  const probe_scenario& scenario_;
  pid_t pid_;
  tracee thread_;
  registers registers_;
  tracee_address head_;
  tracee_address word_;
  std::uint64_t futex_offset_ = 0;
  std::uint64_t libc_begin_ = 0;
  std::uint64_t libc_end_ = 0;
  pid_t waiter_ = 0;
  bool owned_ = false;
  bool woken_ = false;
  probe_result result_;
};

} // namespace

probe_result run_probe(const probe_files& files, const probe_scenario& scenario) {
  return probe_run(files, scenario).run();
}

} // namespace deadbolt::guard
