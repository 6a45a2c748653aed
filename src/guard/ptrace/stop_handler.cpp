// SPDX-License-Identifier: MIT
#include "guard/ptrace/stop_handler.hpp"

#include "guard/proc_status.hpp"

#include <cerrno>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

constexpr std::size_t head_size = 24;

repair_report failed(repair_report report, int error) noexcept {
  report.error = error;
  report.outcome = error == ESRCH ? repair_outcome::thread_gone : repair_outcome::refused;
  return report;
}

// The address of the thread's list head, as the thread told the kernel. A false address makes the
// guard write 0 into the thread's own memory, and no more.
int robust_head(pid_t tid, trace::address& head) noexcept {
  std::uint64_t address = 0;
  std::size_t size = 0;
  if (::syscall(SYS_get_robust_list, tid, &address, &size) != 0) return errno;
  head = size == head_size ? trace::address(address) : trace::address();
  return 0;
}

// What the rule says of a thread before its list_op_pending is read.
struct answer {
  deadbolt_repair repair = DEADBOLT_REPAIR_NONE;
  const deadbolt_window* window = nullptr; // of a libc, which asks for the repair
};

answer ask_about_libcs(trace::traced_thread thread, const deadbolt_thread_state& state,
                       const window_set& libcs) noexcept {
  if (libcs.size() == 0) return {};
  deadbolt_window_key key{};
  const trace::address from(state.ip - DEADBOLT_WINDOW_CODE_BEFORE);
  if (thread.read(from, key.code, sizeof key.code) != 0) return {};
  key.page_offset = static_cast<std::uint32_t>(state.ip & DEADBOLT_PAGE_OFFSET_MASK);
  const deadbolt_window* const window = libcs.find(key);
  return {deadbolt_window_rule(window, &state), window};
}

answer ask_the_rule(trace::traced_thread thread, const deadbolt_thread_state& state,
                    const window_set& libcs) noexcept {
  // Unreadable: there is no block. The thread jumped to an unmapped page and dies of it.
  deadbolt_critical_section block;
  const trace::address at(deadbolt_block_address(state.ip));
  if (!deadbolt_runs_64_bit_code(&state) || thread.read(at, &block, sizeof block) != 0) return {};
  const deadbolt_repair repair = deadbolt_repair_rule(&block, &state);
  return repair != DEADBOLT_REPAIR_NONE ? answer{repair, nullptr}
                                        : ask_about_libcs(thread, state, libcs);
}

// Whether the exit walk would write to the word: the test that the kernel makes.
bool walk_would_mark(trace::traced_thread thread, trace::address word) noexcept {
  std::uint32_t value = 0;
  // Misaligned or unmapped: the walk cannot write there.
  if (thread.read_word(word, value) != 0) return false;
  return (value & DEADBOLT_WORD_TID_MASK) ==
         static_cast<std::uint32_t>(namespace_tid(thread.tid()));
}

} // namespace

pid_t namespace_tid(pid_t tid) noexcept {
  const proc_status status = proc_status::of(tid);
  // The /proc of another namespace describes another thread, which this process does not trace.
  if (status.last_number("TracerPid:").value_or(0) != ::getpid()) return tid;
  return static_cast<pid_t>(status.last_number("NSpid:").value_or(tid));
}

const char* to_string(repair_outcome outcome) noexcept {
  switch (outcome) {
  case repair_outcome::not_needed:
    return "not_needed";
  case repair_outcome::nothing_pending:
    return "nothing_pending";
  case repair_outcome::cleared:
    return "cleared";
  case repair_outcome::left_to_kernel:
    return "left_to_kernel";
  case repair_outcome::no_robust_list:
    return "no_robust_list";
  case repair_outcome::refused:
    return "refused";
  case repair_outcome::thread_gone:
    return "thread_gone";
  }
  return "?";
}

repair_report repair_thread(trace::traced_thread thread, const window_set& libcs) noexcept {
  repair_report report;
  report.tid = thread.tid();
  trace::registers regs;
  if (const int error = thread.get_registers(regs)) return failed(report, error);
  report.ip = regs.ip();

  const deadbolt_thread_state state = state_of(regs);
  const auto [repair, window] = ask_the_rule(thread, state, libcs);
  if (repair == DEADBOLT_REPAIR_NONE) return report;

  trace::address head;
  if (const int error = robust_head(thread.tid(), head)) return failed(report, error);
  if (!head) {
    report.outcome = repair_outcome::no_robust_list;
    return report;
  }
  std::uint64_t futex_offset = 0;
  report.slot = head + DEADBOLT_HEAD_LIST_OP_PENDING;
  if (const int error = thread.read(report.slot, &report.entry, sizeof report.entry))
    return failed(report, error);
  if (const int error =
          thread.read(head + DEADBOLT_HEAD_FUTEX_OFFSET, &futex_offset, sizeof futex_offset))
    return failed(report, error);
  if (report.entry == 0) {
    report.outcome = repair_outcome::nothing_pending;
    return report;
  }
  report.word = trace::address(deadbolt_entry_word(report.entry, futex_offset));
  if (window != nullptr && deadbolt_proof_is_about_the_word(window->kind) != 0 &&
      deadbolt_exchange_was_of(window->kind, &state, report.word.value(),
                               static_cast<std::uint32_t>(namespace_tid(thread.tid()))) == 0)
    return report;

  if (repair == DEADBOLT_REPAIR_CLEAR_IF_WORD_IS_MINE && !walk_would_mark(thread, report.word)) {
    report.outcome = repair_outcome::left_to_kernel;
    return report;
  }
  // death order: the thread is stopped before its exit walk, or before a handler's frame is pushed;
  // both come after this store.
  if (const int error = thread.write(report.slot, 0)) return failed(report, error);
  report.outcome = repair_outcome::cleared;
  return report;
}

repair_report repair_thread(pid_t tid, const window_set& libcs) noexcept {
  return repair_thread(trace::traced_thread(tid), libcs);
}

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
