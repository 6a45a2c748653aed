// SPDX-License-Identifier: MIT
#include "crash/victim.hpp"

#include "base/vdso_image.hpp"
#include "crash/failure.hpp"
#include "crash/quiet_program.hpp"

#include <algorithm>
#include <atomic>
#include <linux/futex.h>
#include <new>
#include <poll.h>
#include <processor.hpp>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Where a victim stops by itself; see arch/<architecture>/stepped_call.S.
extern "C" {
void deadbolt_crash_stepped_call(void (*operation)(void*), void* argument);
void deadbolt_crash_stop();
extern const char deadbolt_crash_stepped_begin[];
extern const char deadbolt_crash_stepped_end[];
extern const char deadbolt_crash_stopped[];
}

namespace deadbolt::crash {

// The memory of a trial.

namespace {

constexpr std::size_t places = 2 + trial_memory::companions;

std::size_t whole_pages(std::size_t size) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

} // namespace

trial_memory::trial_memory(const subject& subject)
    : subject_{subject}, stride_{whole_pages(subject.size())}, base_{subject.map_memory(places *
                                                                                        stride_)} {
  if (base_ == nullptr) fail_with_errno("the trial's memory");
}

trial_memory::~trial_memory() {
  subject_.unmap_memory(base_, places * stride_);
}

// The vDSO.

namespace {

const base::vdso_image& vdso() {
  static const base::vdso_image image = base::this_process_vdso();
  return image;
}

trace::address address_of(const void* pointer) noexcept {
  return trace::address{reinterpret_cast<std::uint64_t>(pointer)};
}

} // namespace

bool is_in_vdso(trace::address address) {
  return address.value() - address_of(vdso().base).value() < vdso().size;
}

trace::address clock_in_vdso() {
  static const trace::address entry = address_of(vdso().find_function(vdso_clock_name));
  return entry;
}

// The victim's side: it runs in the child until the tracer stops it.

// In shared memory. The victim writes it once, before it is stepped; the tracer reads it.
struct victim::status_page {
  enum class trouble : std::uint32_t { none, lock_refused, not_traceable, no_thread };

  // order: publish() and report() release what was stored before them to the tracer's acquire
  // loads.
  std::atomic<pid_t> tid{0};
  std::atomic<pid_t> second_thread{0};
  std::atomic<trouble> what{trouble::none};
  int error = 0;

  void publish(pid_t stepped) noexcept { tid.store(stepped, std::memory_order_release); }
  [[noreturn]] void report(trouble found, int because) noexcept {
    error = because;
    what.store(found, std::memory_order_release);
    _exit(1);
  }
};

namespace {

// A signal handler has no argument of its own: set before it can run.
int handler_executes = -1;

void handler(int /*signal*/) {
  deadbolt_crash_stop();
  if (handler_executes >= 0) execute_quiet_program(handler_executes);
  for (;;) pause();
}

struct operation_call {
  const subject& target;
  void* lock;
};

void call_lock(void* argument) {
  const auto* const call = static_cast<operation_call*>(argument);
  call->target.victims_lock(call->lock);
}

void call_unlock(void* argument) {
  const auto* const call = static_cast<operation_call*>(argument);
  call->target.victims_unlock(call->lock);
}

} // namespace

void victim::be_stepped(const subject& subject, const trial_memory& memory,
                        const victim_plan& plan) {
  subject.enter_thread(memory.scratch());
  if (plan.operation == stepped_operation::unlock) subject.prepare(memory.lock());
  const auto hold = [&](void* lock) {
    if (subject.victims_lock(lock) != grant::acquired)
      page_->report(status_page::trouble::lock_refused, 0);
  };
  hold(memory.companion(0));
  if (plan.operation == stepped_operation::unlock) hold(memory.lock());
  hold(memory.companion(1));

  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
    page_->report(status_page::trouble::not_traceable, errno);
  page_->publish(gettid());
  operation_call call{subject, memory.lock()};
  deadbolt_crash_stepped_call(plan.operation == stepped_operation::unlock ? call_unlock : call_lock,
                              &call);
  // Not reached: the tracer kills the victim at the end marker, at the latest.
}

void victim::live(const subject& subject, const trial_memory& memory, const victim_plan& plan) {
  handler_executes = plan.handler_executes;
  struct sigaction action {};
  action.sa_handler = handler;
  sigaction(SIGUSR1, &action, nullptr);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);

  struct thread_argument {
    victim* self;
    const class subject& subject;
    const trial_memory& memory;
    const victim_plan& plan;
  } argument{this, subject, memory, plan};
  const auto start = [&](void* (*body)(void*)) {
    pthread_t thread;
    if (const int error = pthread_create(&thread, nullptr, body, &argument); error != 0)
      page_->report(status_page::trouble::no_thread, error);
  };
  if (plan.second_thread) {
    start([](void* pointer) -> void* {
      const auto* const of = static_cast<thread_argument*>(pointer);
      of->self->page_->second_thread.store(gettid(), std::memory_order_release);
      of->self->channel_.serve(of->subject);
    });
  }
  if (plan.leader) {
    be_stepped(subject, memory, plan);
  } else {
    start([](void* pointer) -> void* {
      const auto* const of = static_cast<thread_argument*>(pointer);
      of->self->be_stepped(of->subject, of->memory, of->plan);
      return nullptr;
    });
  }
  for (;;) ppoll(nullptr, 0, nullptr, nullptr);
}

// The tracer's side.

namespace {

constexpr unsigned long options = PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD;

// What a ptrace request returned.
void check(int error) {
  if (error == 0) return;
  errno = error;
  fail_with_errno("ptrace of the victim");
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
  page_ = new (shared) status_page;
  pid_ = trace::launch([&] { live(subject, memory, plan); });
  if (pid_ < 0) fail_with_errno("fork");
  if (plan.leader) stepper_ = trace::stepper{pid_};
  await_begin(plan);
  await_rest_of_others(plan);
}

victim::~victim() {
  if (pid_ > 0 && tid() > 0) {
    ::kill(pid_, SIGKILL);
    // SIGKILL does not end a stop at the thread's exit. A traced thread that is not the leader has
    // to be reaped before the leader is.
    trace::stop_event stop;
    do static_cast<void>(stepper_.thread().resume());
    while (stepper_.thread().wait(stop) == 0 && stop.kind != trace::stop_kind::ended);
    if (tid() == pid_) pid_ = 0;
  }
  trace::kill_and_reap(pid_);
  munmap(page_, sizeof(status_page));
}

void victim::await_begin(const victim_plan& plan) {
  if (tid() == 0) {
    pid_t stepped = 0;
    const auto known = [&] {
      siginfo_t gone{};
      waitid(P_PID, static_cast<id_t>(pid_), &gone, WEXITED | WNOHANG | WNOWAIT);
      stepped = page_->tid.load(std::memory_order_acquire);
      return stepped != 0 || gone.si_pid != 0;
    };
    if (!trace::poll_until(known, trace::ample_time) || stepped == 0) stepped = pid_;
    stepper_ = trace::stepper{stepped};
  }
  trace::stop_event stop;
  check(stepper_.thread().wait(stop));
  if (stop.kind == trace::stop_kind::ended) {
    pid_ = 0;
    switch (page_->what.load(std::memory_order_acquire)) {
    case status_page::trouble::none:
      throw failure{death(stop.status)};
    case status_page::trouble::lock_refused:
      throw failure{"the victim did not get its locks"};
    case status_page::trouble::not_traceable:
      throw failure{std::string{"the victim cannot be traced ("} + std::strerror(page_->error) +
                    "): is crash-test itself run under a tracer?"};
    case status_page::trouble::no_thread:
      throw failure{std::string{"pthread_create: "} + std::strerror(page_->error)};
    }
  }
  const bool stops_at_exit = guard_.stops_at_exit() || plan.stops_at_exit;
  check(stepper_.thread().set_options(
      options | (stops_at_exit ? static_cast<unsigned long>(PTRACE_O_TRACEEXIT) : 0)));
  check(stepper_.look_behind_breakpoint());
  if (instruction_pointer() != address_of(deadbolt_crash_stepped_begin))
    throw failure{"the victim stopped before its operation"};
}

// The process's other threads are not traced: one that came by a breakpoint would kill the process.
// They share much code of the libc with the stepped thread, so they have to be in their system
// calls before there is one.
void victim::await_rest_of_others(const victim_plan& plan) const {
  const auto rest = [&] {
    const pid_t second = page_->second_thread.load(std::memory_order_acquire);
    return (!plan.second_thread || (second != 0 && trace::sleeps_in(second, SYS_recvfrom))) &&
           (plan.leader || trace::sleeps_in(pid_, SYS_ppoll));
  };
  if (!trace::poll_until(rest, trace::ample_time))
    throw failure{"another thread of the victim does not come to rest"};
}

trace::stop_event victim::await_stop() {
  trace::stop_event stop;
  check(stepper_.thread().wait(stop));
  if (stop.kind != trace::stop_kind::ended) return stop;
  pid_ = tid() == pid_ ? 0 : pid_;
  throw failure{death(stop.status)};
}

void victim::expect_trap(trace::stepper::result found) {
  switch (found) {
  case trace::stepper::result::trapped:
    return;
  case trace::stepper::result::stopped:
    if (stepper_.last_stop().kind == trace::stop_kind::ended) {
      pid_ = tid() == pid_ ? 0 : pid_;
      throw failure{death(stepper_.last_stop().status)};
    }
    throw failure{std::string{"the victim took a signal by itself: "} +
                  strsignal(WSTOPSIG(stepper_.last_stop().status))};
  case trace::stepper::result::asleep:
    throw failure{"the victim went to sleep"};
  case trace::stepper::result::stuck:
    throw failure{"a system call of the victim does not end"};
  case trace::stepper::result::refused:
    break;
  }
  throw failure{"ptrace of the victim was refused"};
}

std::uint32_t victim::advance(std::uint32_t count, path* recorded, const path* known) {
  std::uint32_t done = known != nullptr ? jump(*known, count) : 0;
  done += step(count - done, recorded);
  if (known != nullptr && count < known->instructions().size() &&
      instruction_pointer().value() != known->instructions()[count])
    throw other_path{};
  return done;
}

// Runs to a place before the goal. Returns how many instructions that is.
std::uint32_t victim::jump(const path& known, std::uint32_t count) {
  const std::span<const std::uint64_t> instructions = known.instructions();
  if (instructions.empty()) return 0;
  const stopover to =
      find_stopover(instructions, std::min<std::size_t>(count, instructions.size() - 1));
  if (to.index == 0) return 0;
  const trace::address place{instructions[to.index]};
  if (!run_to(place)) return 0;
  for (std::uint32_t pass = 0; pass < to.passes; ++pass) {
    const trace::stepper::result found = stepper_.step_or_sleep(trace::ample_time);
    if (found == trace::stepper::result::asleep) throw other_path{};
    expect_trap(found);
    if (!run_to(place)) throw other_path{};
  }
  return static_cast<std::uint32_t>(to.index);
}

// False, with nothing done, where no breakpoint can be. The victim's text is a private mapping:
// only its own copy is changed.
bool victim::run_to(trace::address place) {
  using enum trace::stepper::result;
  const trace::stepper::result found = stepper_.run_to(place, trace::ample_time);
  if (found == refused) return false;
  if (found == asleep || (found == stopped && stepper_.last_stop().kind != trace::stop_kind::ended))
    throw other_path{};
  expect_trap(found);
  return true;
}

// At the first instruction of the clock: runs to the address to which it returns.
bool victim::run_through_clock() {
  const trace::address back = stepper_.return_address();
  return back && run_to(back);
}

bool victim::kernel_may_finish_unlock() const {
  if (is_in_vdso(instruction_pointer())) return true;
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  if (syscall(SYS_get_robust_list, tid(), &head, &size) != 0 || head == nullptr) return false;
  std::uint64_t pending = 0;
  constexpr std::uint64_t need_action = 2;
  return stepper_.thread().read(address_of(&head->list_op_pending), &pending, sizeof pending) ==
             0 &&
         (pending & need_action) != 0;
}

std::uint32_t victim::step(std::uint32_t count, path* recorded) {
  std::uint32_t done = 0;
  while (done < count && !asleep_ &&
         instruction_pointer() != address_of(deadbolt_crash_stepped_end)) {
    if (recorded != nullptr) recorded->add(instruction_pointer());
    if (instruction_pointer() == clock_in_vdso() && run_through_clock()) {
      ++done;
      continue;
    }
    const trace::stepper::result found = stepper_.step_or_sleep(trace::ample_time);
    ++done;
    asleep_ = found == trace::stepper::result::asleep;
    if (!asleep_) expect_trap(found);
  }
  return done;
}

void victim::run_to_sleep() {
  const trace::stepper::result found = stepper_.run_to_sleep(trace::ample_time);
  if (found == trace::stepper::result::asleep) return;
  if (found == trace::stepper::result::stopped && stepper_.last_stop().is_trap())
    throw failure{"the victim did not go to sleep"};
  expect_trap(found);
}

std::optional<std::int64_t> victim::await_wake(std::chrono::milliseconds patience) {
  const trace::stepper::result found = stepper_.await_wake(patience);
  if (found == trace::stepper::result::asleep) return std::nullopt;
  expect_trap(found);
  return static_cast<std::int64_t>(stepper_.at().result());
}

void victim::enter_handler() {
  if (syscall(SYS_tgkill, pid_, tid(), SIGUSR1) != 0) fail_with_errno("tgkill of the victim");
  if (!asleep_) check(stepper_.thread().resume());
  trace::stop_event delivery = await_stop();
  // The step over the system call that it slept in ends before the signal is delivered.
  if (asleep_ && delivery.is_trap()) {
    check(stepper_.thread().resume());
    delivery = await_stop();
  }
  if (delivery.kind != trace::stop_kind::signal_delivery || delivery.signal != SIGUSR1)
    throw failure{"the victim did not take its signal"};
  guard_.at_signal(tid(), delivery.status);
  check(stepper_.thread().resume(SIGUSR1));
  await_stop();
  check(stepper_.look_behind_breakpoint());
  if (instruction_pointer() != address_of(deadbolt_crash_stopped))
    throw failure{"the victim did not reach its signal handler"};
}

void victim::execute() {
  check(stepper_.thread().resume());
  // The thread that calls execve has the leader's TID from then on.
  stepper_ = trace::stepper{pid_};
  if (await_stop().kind != trace::stop_kind::executed) throw failure{"the victim's execve failed"};
}

void victim::kill() {
  ::kill(pid_, SIGKILL);
  reap();
}

void victim::kill_and_reap_memory() {
  const base::descriptor process{static_cast<int>(syscall(SYS_pidfd_open, pid_, 0))};
  if (process.get() < 0) fail_with_errno("pidfd_open of the victim");
  ::kill(pid_, SIGKILL);
  reap(process);
}

void victim::reap() {
  reap(base::descriptor{});
}

void victim::reap(const base::descriptor& process) {
  bool memory_is_reaped = process.get() < 0;
  // A thread that is not the leader stops and ends under its own TID, before the leader ends.
  for (const pid_t id : {tid(), pid_}) {
    const trace::traced_thread dying{id};
    for (;;) {
      trace::stop_event stop;
      if (const int error = dying.wait(stop)) {
        if (id == tid() && id != pid_) break; // gone with the others
        errno = error;
        fail_with_errno("wait for the victim's death");
      }
      if (stop.kind == trace::stop_kind::ended) {
        if (WIFEXITED(stop.status) && WEXITSTATUS(stop.status) != 0)
          throw failure{id == pid_ ? (pid_ = 0, death(stop.status)) : death(stop.status)};
        break;
      }
      if (stop.kind == trace::stop_kind::exiting) {
        if (guard_.stops_at_exit()) guard_.at_exit(id, stop.status);
        constexpr long process_mrelease = 448; // Linux 5.15; older headers do not name it
        if (process.get() >= 0 && syscall(process_mrelease, process.get(), 0) != 0)
          fail_with_errno("process_mrelease of the victim");
        memory_is_reaped = true;
      }
      static_cast<void>(dying.resume()); // SIGKILL may have ended the stop
    }
    if (id == pid_) break;
  }
  pid_ = 0;
  if (!memory_is_reaped) throw failure{"the victim's memory was not reaped"};
}

} // namespace deadbolt::crash
