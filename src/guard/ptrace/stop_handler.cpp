// SPDX-License-Identifier: MIT
#include "guard/ptrace/stop_handler.hpp"

#include <sys/ptrace.h>

namespace deadbolt::guard {

void stop_handler::repair(pid_t tid, std::uint64_t& repaired) noexcept {
  static const window_set none;
  last_repair_ = repair_thread(tid, libcs_ != nullptr ? *libcs_ : none);
  switch (last_repair_.outcome) {
  case repair_outcome::cleared:
    ++repaired;
    return;
  case repair_outcome::left_to_kernel:
    ++counts_.left_to_kernel;
    return;
  case repair_outcome::refused:
    ++counts_.refused;
    return;
  case repair_outcome::not_needed:
  case repair_outcome::nothing_pending:
  case repair_outcome::no_robust_list:
  case repair_outcome::thread_gone:
    return;
  }
}

resumption stop_handler::handle(const trace::stop_event& event) noexcept {
  last_repair_ = {};
  last_repair_.tid = event.tid;
  resumption how{.tid = event.tid, .how = resumption::way::run};
  switch (event.kind) {
  case trace::stop_kind::ended:
    ++counts_.threads;
    how.how = resumption::way::nothing;
    break;
  case trace::stop_kind::exiting:
    repair(event.tid, counts_.repaired_at_exit);
    break;
  case trace::stop_kind::signal_delivery:
    // If the process is killed inside the handler, its IP does not show the window that the handler
    // interrupted. So the repair is made now, before the handler's frame is pushed.
    ++counts_.signals;
    repair(event.tid, counts_.repaired_at_signal);
    how.signal = event.signal;
    break;
  case trace::stop_kind::group_stop:
    how.how = resumption::way::listen;
    break;
  case trace::stop_kind::notice:
  case trace::stop_kind::new_thread:
  case trace::stop_kind::executed:
    // There is no table of tracees: the kernel attaches new ones by itself, a new one's first stop
    // may come before its parent's, and an execve by a thread other than the leader renames it.
    // waitpid reports when the last tracee is gone.
    break;
  }
  return how;
}

unsigned long guard_options() noexcept {
  return PTRACE_O_TRACEEXIT | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
         PTRACE_O_TRACEEXEC;
}

int resume(const resumption& how) noexcept {
  switch (how.how) {
  case resumption::way::nothing:
    return 0;
  case resumption::way::run:
    return trace::traced_thread(how.tid).resume(how.signal);
  case resumption::way::listen:
    return trace::traced_thread(how.tid).listen();
  }
  return 0;
}

} // namespace deadbolt::guard
