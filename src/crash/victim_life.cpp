// SPDX-License-Identifier: MIT
// The victim's own side: what runs in the child.
#include "crash/failure.hpp"
#include "crash/process.hpp"
#include "crash/quiet_program.hpp"
#include "crash/status_page.hpp"
#include "crash/stepped_call.hpp"
#include "crash/victim.hpp"

#include <cerrno>
#include <pthread.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

// Set before the handler can run; a handler has no argument of its own.
int handler_executes = -1;

void handler(int /*signal*/) {
  deadbolt_crash_stop();
  if (handler_executes >= 0) become_quiet_program(handler_executes);
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
  const auto hold = [&](void* lock) {
    if (subject.victims_lock(lock) != grant::acquired) board_->report(trouble::lock_refused, 0);
  };
  hold(memory.companion(0));
  if (plan.operation == stepped_operation::unlock) hold(memory.lock());
  hold(memory.companion(1));

  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
    board_->report(trouble::not_traceable, errno);
  board_->publish(gettid());
  operation_call call{subject, memory.lock()};
  deadbolt_crash_stepped_call(plan.operation == stepped_operation::unlock ? call_unlock : call_lock,
                              &call);
  // Not reached: the tracer kills it at the end marker, at the latest.
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
      board_->report(trouble::no_thread, error);
  };
  if (plan.accomplice) {
    start([](void* pointer) -> void* {
      const auto* const of = static_cast<thread_argument*>(pointer);
      of->self->strings_.obey(of->subject);
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
  for (;;) pause();
}

} // namespace deadbolt::crash
