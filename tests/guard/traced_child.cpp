// SPDX-License-Identifier: MIT
#include "traced_child.hpp"

#include "guard/repair_rule.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace guard_test {

using namespace deadbolt::guard;

namespace {

[[noreturn]] void be_the_child(child_page& page, int go, const traced_child::part& act) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  page.head.list.next = &page.head.list;
  page.head.futex_offset = -32;
  ::syscall(SYS_set_robust_list, &page.head, sizeof page.head);
  char byte;
  if (::read(go, &byte, 1) != 1) ::_exit(1);
  if (act)
    act(page);
  else
    ::kill(::getpid(), SIGUSR1);
  ::_exit(2);
}

} // namespace

traced_child::traced_child(const part& act, unsigned long clone_flags)
    : page_(static_cast<child_page*>(
          ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
  int go[2];
  if (page_ == MAP_FAILED || ::pipe(go) != 0) std::abort();
  // Not fork(): a test may want the child in a PID namespace of its own.
  pid_ = static_cast<pid_t>(::syscall(SYS_clone, clone_flags | SIGCHLD, 0, 0, 0, 0));
  if (pid_ == 0) be_the_child(*page_, go[0], act);
  if (pid_ < 0) std::abort();
  seized_tracee seized;
  if (seized.seize(pid_, guard_options()) != 0 || ::write(go[1], "g", 1) != 1) std::abort();
  seized.release();
  ::close(go[0]);
  ::close(go[1]);
  if (next_stop().kind != stop_kind::signal_delivery) std::abort();
}

traced_child::~traced_child() {
  if (!ended_) {
    ::kill(pid_, SIGKILL);
    end();
  }
  ::munmap(page_, 4096);
}

void traced_child::set_pending() {
  page_->head.list_op_pending =
      reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(&page_->word) + 32);
}

bool traced_child::is_pending() const noexcept {
  return *const_cast<robust_list* const volatile*>(&page_->head.list_op_pending) != nullptr;
}

std::uint64_t traced_child::forge_block() {
  const deadbolt_critical_section block{.magic = {DEADBOLT_CS_MAGIC_LOW, DEADBOLT_CS_MAGIC_HIGH},
                                        .version = DEADBOLT_CS_VERSION,
                                        .kind = DEADBOLT_CS_ALWAYS,
                                        .window_begin = 40,
                                        .owed_end = 50,
                                        .window_end = 60,
                                        .zero = {0, 0, 0}};
  std::memcpy(page_->block, &block, sizeof block);
  return reinterpret_cast<std::uint64_t>(page_->block);
}

void traced_child::move_to(std::uint64_t ip, std::uint64_t cs) const {
  registers regs;
  if (get().get_registers(regs) != 0) std::abort();
  regs.raw().rip = ip;
  regs.raw().cs = cs;
  regs.raw().orig_rax = ~0ULL; // or the kernel would restart a system call there
  if (::ptrace(PTRACE_SETREGS, pid_, nullptr, &regs.raw()) != 0) std::abort();
}

stop_event traced_child::next_stop() const {
  int status = 0;
  while (::waitpid(pid_, &status, __WALL) < 0)
    if (errno != EINTR) std::abort();
  return classify_stop(pid_, status);
}

stop_event traced_child::step() {
  if (get().step(0) != 0) std::abort();
  return next_stop();
}

stop_event traced_child::kill() {
  ::kill(pid_, SIGKILL);
  return next_stop();
}

void traced_child::end() {
  for (;;) {
    static_cast<void>(get().resume(0));
    if (next_stop().kind != stop_kind::ended) continue;
    ended_ = true;
    return;
  }
}

} // namespace guard_test
