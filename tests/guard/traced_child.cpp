// SPDX-License-Identifier: MIT
#include "traced_child.hpp"

#include "guard/ptrace/stop_handler.hpp"
#include "guard/repair_rule.h"
#include "trace/process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace guard_test {

using namespace deadbolt::trace;
using deadbolt::guard::guard_options;

namespace {

void be_the_child(child_page& page, int go, const traced_child::part& act) {
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
  // With a flag, launch() calls clone and not fork(): ThreadSanitizer's fork() starts a thread in
  // the child, and its stop would come first. This flag shares semaphore adjustments, which no test
  // uses.
  pid_ = launch([&] { be_the_child(*page_, go[0], act); }, clone_flags | CLONE_SYSVSEM);
  if (pid_ < 0) std::abort();
  seized_thread seized;
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
                                        .architecture = DEADBOLT_CS_X86_64,
                                        .zero = {0, 0}};
  std::memcpy(page_->block, &block, sizeof block);
  return reinterpret_cast<std::uint64_t>(page_->block);
}

void traced_child::move_to(std::uint64_t ip, std::uint64_t cs) const {
  registers regs;
  if (get().get_registers(regs) != 0) std::abort();
  regs.set_ip(address(ip));
  regs.raw().cs = cs;
  regs.forget_system_call();
  if (get().set_registers(regs) != 0) std::abort();
}

stop_event traced_child::next_stop() const {
  stop_event stop;
  if (get().wait(stop) != 0) std::abort();
  return stop;
}

stop_event traced_child::step() {
  if (get().step() != 0) std::abort();
  return next_stop();
}

stop_event traced_child::kill() {
  ::kill(pid_, SIGKILL);
  return next_stop();
}

void traced_child::end() {
  for (;;) {
    static_cast<void>(get().resume());
    if (next_stop().kind != stop_kind::ended) continue;
    ended_ = true;
    return;
  }
}

} // namespace guard_test
