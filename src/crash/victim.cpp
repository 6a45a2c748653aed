// SPDX-License-Identifier: MIT
// The tracer's side of a victim.
#include "crash/victim.hpp"

#include "crash/failure.hpp"
#include "crash/process.hpp"
#include "crash/quiet_program.hpp"
#include "crash/status_page.hpp"
#include "crash/stepped_call.hpp"
#include "crash/vdso_places.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <linux/futex.h>
#include <new>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

void request(__ptrace_request what, pid_t tid, std::uintptr_t data) {
  if (ptrace(what, tid, nullptr, data) != 0) fail_with_errno("ptrace of the victim");
}

void request(__ptrace_request what, pid_t tid, std::uint64_t address, std::uint64_t data) {
  if (ptrace(what, tid, address, data) != 0) fail_with_errno("ptrace of the victim");
}

bool is_event(int status, int event) noexcept {
  return WIFSTOPPED(status) && status >> 8 == (SIGTRAP | event << 8);
}

std::string death(int status) {
  return WIFSIGNALED(status)
             ? std::string{"the victim was killed by signal "} + strsignal(WTERMSIG(status))
             : "the victim exited by itself with status " + std::to_string(WEXITSTATUS(status));
}

} // namespace

victim::victim(const subject& subject, const guard_driver& guard, const trial_memory& memory,
               const victim_plan& plan)
    : guard_{guard} {
  void* const shared =
      mmap(nullptr, sizeof(status_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) fail_with_errno("mmap of the victim's status page");
  board_ = new (shared) status_page;
  pid_ = fork_bound([&] { live(subject, memory, plan); });
  tid_ = plan.leader ? pid_ : 0;
  await_begin();
}

victim::~victim() {
  // The leader is not to be reaped before a thread of its that we trace.
  if (pid_ > 0 && tid_ > 0 && tid_ != pid_) {
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(tid_, &status, __WALL) >= 0 && WIFSTOPPED(status))
      ptrace(PTRACE_CONT, tid_, nullptr, nullptr);
  }
  kill_and_reap(pid_);
  munmap(board_, sizeof(status_page));
}

void victim::await_begin() {
  if (tid_ == 0) {
    const auto known = [this] {
      siginfo_t gone{};
      waitid(P_PID, static_cast<id_t>(pid_), &gone, WEXITED | WNOHANG | WNOWAIT);
      tid_ = board_->tid.load(std::memory_order_acquire);
      return tid_ != 0 || gone.si_pid != 0;
    };
    if (!poll_until(known, ample_time) || tid_ == 0) tid_ = pid_;
  }
  int status = 0;
  while (waitpid(tid_, &status, __WALL) < 0)
    if (errno != EINTR) fail_with_errno("wait for the victim");
  if (!WIFSTOPPED(status)) {
    pid_ = 0;
    switch (board_->what.load(std::memory_order_acquire)) {
    case trouble::none:
      throw failure{death(status)};
    case trouble::lock_refused:
      throw failure{"the victim did not get its locks"};
    case trouble::not_traceable:
      throw failure{std::string{"the victim cannot be traced ("} + std::strerror(board_->error) +
                    "): is crash-test itself run under a tracer?"};
    case trouble::no_thread:
      throw failure{std::string{"pthread_create: "} + std::strerror(board_->error)};
    }
  }
  const int exit_stop = guard_.stops_at_exit() ? PTRACE_O_TRACEEXIT : 0;
  request(PTRACE_SETOPTIONS, tid_,
          static_cast<std::uintptr_t>(PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | exit_stop |
                                      PTRACE_O_TRACESYSGOOD));
  read_registers();
  if (ip_ != address_of(deadbolt_crash_stepped_begin))
    throw failure{"the victim stopped before its operation"};
}

int victim::await_stop() {
  int status = 0;
  while (waitpid(tid_, &status, __WALL) < 0)
    if (errno != EINTR) fail_with_errno("wait for the victim");
  if (WIFSTOPPED(status)) return status;
  pid_ = tid_ == pid_ ? 0 : pid_;
  throw failure{death(status)};
}

void victim::read_registers() {
  user_regs_struct registers{};
  request(PTRACE_GETREGS, tid_, reinterpret_cast<std::uintptr_t>(&registers));
  ip_ = registers.rip;
  sp_ = registers.rsp;
  result_ = static_cast<std::int64_t>(registers.rax);
}

// The next instruction is a system call in which a lock operation may wait.
bool victim::at_sleepy_system_call() const {
  if (result_ != SYS_futex && result_ != SYS_futex_waitv) return false;
  errno = 0;
  const long code = ptrace(PTRACE_PEEKTEXT, tid_, ip_, nullptr);
  return errno == 0 && (code & 0xffff) == 0x050f; // 0f 05: syscall
}

// Or died.
bool victim::has_stopped() const {
  siginfo_t stop{};
  waitid(P_PID, static_cast<id_t>(tid_), &stop, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL);
  return stop.si_pid != 0;
}

// After a step was started over such a call: false when it sleeps there.
bool victim::await_step_or_sleep() {
  bool stopped = false;
  const auto settled = [this, &stopped] {
    // A stopped thread looks as if it slept in its last system call: look at the stop
    // once more after that.
    const bool asleep = sleeps_in_futex(tid_);
    stopped = has_stopped();
    return stopped || asleep;
  };
  if (!poll_until(settled, ample_time)) throw failure{"a system call of the victim does not end"};
  return stopped;
}

std::uint32_t victim::advance(std::uint32_t count, path* recorded, const path* known) {
  std::uint32_t done = known != nullptr ? jump(*known, count) : 0;
  done += step(count - done, recorded);
  if (known != nullptr && count < known->instructions().size() &&
      ip_ != known->instructions()[count])
    throw other_path{};
  return done;
}

// Runs to the last place before the goal that is passed but once until then. Returns
// how many instructions that were.
std::uint32_t victim::jump(const path& known, std::uint32_t count) {
  const std::span<const std::uint64_t> instructions = known.instructions();
  if (instructions.empty()) return 0;
  const std::size_t last = std::min<std::size_t>(count, instructions.size() - 1);
  const std::size_t index = last_new_place(instructions, last);
  const std::uint64_t place = instructions[index];
  if (index == 0) return 0;

  return run_to(place) ? static_cast<std::uint32_t>(index) : 0;
}

// False, with nothing done, where no breakpoint can be. Throws other_path if another
// stop comes first.
bool victim::run_to(std::uint64_t place) {
  // The text is a private mapping: the victim's own copy is written to, and is as it
  // was before anyone looks at it again.
  errno = 0;
  const auto code = static_cast<std::uint64_t>(ptrace(PTRACE_PEEKTEXT, tid_, place, nullptr));
  if (errno != 0) return false;
  constexpr std::uint64_t int3 = 0xcc;
  if (ptrace(PTRACE_POKETEXT, tid_, place, (code & ~std::uint64_t{0xff}) | int3) != 0) return false;
  request(PTRACE_CONT, tid_, 0);
  const int status = await_stop();
  read_registers();
  if (status >> 8 != SIGTRAP || ip_ != place + 1) throw other_path{};
  request(PTRACE_POKETEXT, tid_, place, code);
  request(PTRACE_POKEUSER, tid_, offsetof(user, regs.rip), place);
  ip_ = place;
  return true;
}

// At its first instruction: goes on to where it returns to.
bool victim::run_through_clock() {
  errno = 0;
  const long back = ptrace(PTRACE_PEEKDATA, tid_, sp_, nullptr);
  return errno == 0 && run_to(static_cast<std::uint64_t>(back));
}

bool victim::unlock_is_in_kernels_hands() const {
  if (is_in_vdso(ip_)) return true;
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  if (syscall(SYS_get_robust_list, tid_, &head, &size) != 0 || head == nullptr) return false;
  errno = 0;
  const long pending = ptrace(PTRACE_PEEKDATA, tid_, &head->list_op_pending, nullptr);
  constexpr long need_action = 2;
  return errno == 0 && (pending & need_action) != 0;
}

std::uint32_t victim::step(std::uint32_t count, path* recorded) {
  std::uint32_t done = 0;
  while (done < count && !asleep_ && ip_ != address_of(deadbolt_crash_stepped_end)) {
    if (recorded != nullptr) recorded->add(ip_);
    if (ip_ == clock_in_vdso() && run_through_clock()) {
      ++done;
      continue;
    }
    const bool sleepy = at_sleepy_system_call();
    request(PTRACE_SINGLESTEP, tid_, 0);
    ++done;
    if (sleepy && !await_step_or_sleep()) {
      asleep_ = true;
      break;
    }
    if (const int status = await_stop(); status >> 8 != SIGTRAP)
      throw failure{std::string{"the victim took a signal by itself: "} +
                    strsignal(WSTOPSIG(status))};
    read_registers();
  }
  return done;
}

void victim::run_to_sleep() {
  for (;;) {
    // To the entry of the next system call, and from there in one step to behind it: a
    // step that stays pending while the thread sleeps.
    request(PTRACE_SYSCALL, tid_, 0);
    if (await_stop() >> 8 != (SIGTRAP | 0x80)) throw failure{"the victim did not go to sleep"};
    user_regs_struct registers{};
    request(PTRACE_GETREGS, tid_, reinterpret_cast<std::uintptr_t>(&registers));
    request(PTRACE_SINGLESTEP, tid_, 0);
    const auto number = static_cast<long>(registers.orig_rax);
    if ((number == SYS_futex || number == SYS_futex_waitv) && !await_step_or_sleep()) return;
    await_stop();
  }
}

std::optional<std::int64_t> victim::await_wake(std::chrono::milliseconds patience) {
  if (!poll_until([this] { return has_stopped(); }, patience)) return std::nullopt;
  await_stop();
  read_registers();
  return result_;
}

void victim::enter_handler() {
  if (syscall(SYS_tgkill, pid_, tid_, SIGUSR1) != 0) fail_with_errno("tgkill of the victim");
  if (!asleep_) request(PTRACE_CONT, tid_, 0);
  const int status = await_stop();
  if (status >> 8 != SIGUSR1) throw failure{"the victim did not take its signal"};
  guard_.at_signal(tid_, status);
  request(PTRACE_CONT, tid_, SIGUSR1);
  await_stop();
  read_registers();
  if (ip_ != address_of(deadbolt_crash_stopped))
    throw failure{"the victim did not reach its signal handler"};
}

void victim::execute() {
  request(PTRACE_CONT, tid_, 0);
  // The thread that calls execve has the leader's TID from then on.
  tid_ = pid_;
  if (!is_event(await_stop(), PTRACE_EVENT_EXEC)) throw failure{"the victim's execve failed"};
}

void victim::kill() {
  ::kill(pid_, SIGKILL);
  reap();
}

void victim::reap() {
  // A thread that is not the leader has its exit stop under its own TID, and goes first.
  for (const pid_t id : {tid_, pid_}) {
    for (;;) {
      int status = 0;
      const pid_t found = waitpid(id, &status, __WALL);
      if (found < 0 && errno == EINTR) continue;
      if (found < 0 && id == tid_ && id != pid_) break; // gone with the others
      if (found < 0) fail_with_errno("wait for the victim's death");
      if (!WIFSTOPPED(status)) {
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
          throw failure{id == pid_ ? (pid_ = 0, death(status)) : death(status)};
        break;
      }
      if (is_event(status, PTRACE_EVENT_EXIT)) guard_.at_exit(id, status);
      ptrace(PTRACE_CONT, id, nullptr, nullptr); // may have been killed in between
    }
    if (id == pid_) break;
  }
  pid_ = 0;
}

} // namespace deadbolt::crash
