// SPDX-License-Identifier: MIT
// A child that is stopped after so many instructions of an operation, and killed.
#ifndef DEADBOLT_TESTS_STEPPED_CHILD_HPP
#define DEADBOLT_TESTS_STEPPED_CHILD_HPP

#include <single_step.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <linux/futex.h>
#include <optional>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace deadbolt::testing {

// A child that is process 1, thread 1, of a new PID namespace; negative when that is
// not permitted.
inline pid_t fork_into_pid_namespace() {
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  syscall(SYS_get_robust_list, 0, &head, &size);
  const auto pid = static_cast<pid_t>(
      syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid == 0) {
    // What the libc's fork does for its child.
    head->list.next = &head->list;
    syscall(SYS_set_robust_list, head, size);
  }
  return pid;
}

// The path of an operation: its instruction pointers after 0, 1, 2 ... instructions.
class trail {
public:
  void add(std::uint64_t place) {
    places_.push_back(place);
    visits_.push_back(++visits_of_[place]);
  }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(places_.size()); }
  [[nodiscard]] std::uint64_t operator[](std::uint32_t index) const { return places_[index]; }
  // How often the path has come to its place by then, 1 for the first time.
  [[nodiscard]] std::uint32_t visits(std::uint32_t index) const { return visits_[index]; }
  // The index, not behind `index`, from which single steps lead there with the fewest stops, when a
  // breakpoint at its place leads to it. In a long loop of few system calls, a place beside the
  // call is visited seldom; a place that is visited once is far away.
  [[nodiscard]] std::uint32_t best_start(std::uint32_t index) const {
    constexpr std::uint32_t stops_a_visit = 2; // the breakpoint, and a step over it
    std::uint32_t best = 0;
    std::uint32_t fewest = index;
    for (std::uint32_t from = index; from > 0 && index - from < fewest; --from) {
      const std::uint32_t stops = index - from + stops_a_visit * visits_[from];
      if (stops >= fewest) continue;
      fewest = stops;
      best = from;
    }
    return best;
  }

private:
  std::vector<std::uint64_t> places_;
  std::vector<std::uint32_t> visits_;
  std::unordered_map<std::uint64_t, std::uint32_t> visits_of_;
};

// Counts how often the bytes that it is shown have changed from one look to the next.
class change_counter {
public:
  struct bytes {
    const void* from;
    std::size_t count;
  };

  // Shown the same places at each look.
  std::uint64_t look(std::initializer_list<bytes> places) {
    std::size_t at = 0;
    bool changed = false;
    for (const bytes& place : places) {
      if (last_.size() < at + place.count) last_.resize(at + place.count);
      if (std::memcmp(&last_[at], place.from, place.count) != 0) {
        std::memcpy(&last_[at], place.from, place.count);
        changed = true;
      }
      at += place.count;
    }
    if (changed) ++changes_;
    return changes_;
  }

private:
  std::vector<unsigned char> last_;
  std::uint64_t changes_ = 0;
};

class stepped_child {
public:
  // Forks; the child runs prepare(), then operation(), which it is stopped in front of.
  template <class Prepare, class Operation>
  stepped_child(Prepare&& prepare, Operation&& operation, bool in_namespace = false)
      : pid_{in_namespace ? fork_into_pid_namespace() : fork()} {
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      alarm(600);
      prepare();
      ptrace(PTRACE_TRACEME);
      raise(SIGSTOP);
      operation();
      raise(SIGSTOP);
      _exit(0);
    }
    if (pid_ < 0 || next_stop(pid_) != SIGSTOP) fail("did not come to its operation");
  }
  stepped_child(const stepped_child&) = delete;
  stepped_child& operator=(const stepped_child&) = delete;
  ~stepped_child() { kill(); }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  // Executes so many instructions; false when the operation ended before. A sequence of a load and
  // a store exclusive counts as one.
  [[nodiscard]] bool step(std::uint32_t instructions) {
    for (std::uint32_t i = 0; i < instructions; ++i) {
      const int signal = single_step(pid_);
      if (signal == SIGSTOP) return false;
      if (signal != SIGTRAP) fail("was stopped by another signal");
    }
    return true;
  }

  // How many instructions of the sequence that starts here no step() stops at.
  [[nodiscard]] std::uint32_t hidden_instructions() const {
    const unsigned length = sequence_at_stop(pid_).length;
    return length == 0 ? 0 : length - 1;
  }
  // At the start of such a sequence: runs to the n-th instruction of those, 1 for the first. False
  // if it leaves the sequence before that.
  [[nodiscard]] bool step_inside(std::uint32_t n) {
    const trace::exclusive_sequence sequence = sequence_at_stop(pid_);
    const std::uint64_t inner = instruction_pointer() + std::uint64_t{n} * 4;
    std::vector<std::uint64_t> places(sequence.exits, sequence.exits + sequence.exit_count);
    places.push_back(inner);
    if (run_to_any(pid_, places) != SIGTRAP) fail("was stopped by another signal");
    return instruction_pointer() == inner;
  }

  // Called before the operation: runs by a breakpoint on the known path to where single steps lead
  // to `instructions` soonest. Returns how many instructions that is, or nothing if the operation
  // took another path.
  [[nodiscard]] std::optional<std::uint32_t> run(const trail& known, std::uint32_t instructions) {
    if (known.size() == 0) return 0;
    const std::uint32_t index = known.best_start(std::min(instructions, known.size() - 1));
    if (index == 0) return 0;
    const std::uint64_t place = known[index];
    errno = 0;
    const std::uint64_t code = peek(pid_, place);
    if (errno != 0) return 0;
    for (std::uint32_t visits = known.visits(index);; --visits) {
      if (ptrace(PTRACE_POKETEXT, pid_, place, arch::with_breakpoint(code)) != 0) return {};
      ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
      if (next_stop(pid_) != SIGTRAP || instruction_pointer() != place + arch::breakpoint_size)
        return {};
      ptrace(PTRACE_POKETEXT, pid_, place, code);
      arch::set_instruction_pointer(pid_, place);
      if (visits == 1) return index;
      if (single_step(pid_) != SIGTRAP) return {};
    }
  }

  [[nodiscard]] std::uint64_t instruction_pointer() const {
    return arch::instruction_pointer(pid_);
  }
  [[nodiscard]] bool is_at_system_call() const {
    return arch::is_system_call(peek(pid_, instruction_pointer()));
  }

  // What the kernel's exit walk would read first.
  [[nodiscard]] std::uint64_t list_state() const {
    robust_list_head* head = nullptr;
    std::size_t size = 0;
    if (syscall(SYS_get_robust_list, pid_, &head, &size) != 0 || head == nullptr) return 0;
    const auto at = reinterpret_cast<std::uintptr_t>(head);
    const std::uint64_t first = peek(pid_, at);
    const std::uint64_t links[] = {first, peek(pid_, at + 16), peek(pid_, first),
                                   peek(pid_, first - 8)};
    std::uint64_t state = 0;
    for (const std::uint64_t link : links) state = state * 0x100000001b3 + link;
    return state;
  }

  // SIGKILL, and waits until nothing is left of it.
  void kill() noexcept {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, __WALL);
    pid_ = 0;
  }

private:
  [[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr, "the stepped child %s\n", what);
    std::abort();
  }

  pid_t pid_;
};

// Makes a new child in `child` and stops it `count` instructions into its operation; false when the
// operation ended before. Each child extends the known trail, so the next one is stepped less.
template <class Prepare, class Operation>
bool stop_after(std::optional<stepped_child>& child, trail& known, std::uint32_t count,
                Prepare&& prepare, Operation&& operation, bool in_namespace = false) {
  child.emplace(prepare, operation, in_namespace);
  if (known.size() == 0) known.add(child->instruction_pointer());
  const std::optional<std::uint32_t> done = child->run(known, count);
  bool within = done.has_value();
  for (std::uint32_t at = done.value_or(count); within && at < count; ++at) {
    within = child->step(1);
    if (within && at + 1 == known.size()) known.add(child->instruction_pointer());
  }
  if (within && (count > known.size() || child->instruction_pointer() == known[count])) return true;
  if (done && !within) return false;
  child.emplace(prepare, operation, in_namespace); // another way, step by step
  return child->step(count);
}

// Kills a fresh child after 0, 1, 2 ... instructions until its operation ends by itself, and at
// each instruction inside a sequence of a load and a store exclusive;
// at(child) is called with the child stopped there, after(instructions) when it is dead
// and says whether to go on. Returns the number of kill points.
template <class Prepare, class Operation, class At, class After>
std::uint32_t kill_at_every_instruction(Prepare&& prepare, Operation&& operation, At&& at,
                                        After&& after) {
  trail known;
  for (std::uint32_t count = 0;; ++count) {
    std::optional<stepped_child> child;
    if (!stop_after(child, known, count, prepare, operation)) return count;
    at(*child);
    const std::uint32_t hidden = child->hidden_instructions();
    child->kill();
    if (!after(count)) return count;
    for (std::uint32_t inner = 1; inner <= hidden; ++inner) {
      if (!stop_after(child, known, count, prepare, operation)) break;
      if (!child->step_inside(inner)) break;
      at(*child);
      child->kill();
      if (!after(count)) return count;
    }
  }
}

struct kill_points {
  std::uint32_t instructions; // of the operation
  std::uint32_t killed;
};

// The same for long operations: what a death leaves can differ from one instruction to
// the next only if that made a system call, wrote to the shared memory that look()
// hashes, or to what the kernel's exit walk reads. Each such state is killed once;
// with DEADBOLT_KILL_EVERY_INSTRUCTION set in the environment, each instruction.
template <class Prepare, class Operation, class Look, class After>
kill_points kill_in_every_state(Prepare&& prepare, Operation&& operation, Look&& look,
                                After&& after) {
  std::vector<std::uint32_t> points{0};
  std::uint32_t length = 0;
  trail known;
  {
    stepped_child child{prepare, operation};
    std::uint64_t seen = look() ^ child.list_state();
    for (;; ++length) {
      known.add(child.instruction_pointer());
      const bool calls = child.is_at_system_call();
      if (!child.step(1)) break;
      const std::uint64_t now = look() ^ child.list_state();
      const bool every = std::getenv("DEADBOLT_KILL_EVERY_INSTRUCTION") != nullptr;
      if (calls || now != seen || every) points.push_back(length + 1);
      seen = now;
    }
    child.kill();
    if (!after(length)) return {length, 0};
  }
  std::uint32_t killed = 1;
  for (const std::uint32_t count : points) {
    std::optional<stepped_child> child;
    // Where it ended before, it leaves what the whole operation leaves.
    static_cast<void>(stop_after(child, known, count, prepare, operation));
    child->kill();
    ++killed;
    if (!after(count)) break;
  }
  return {length, killed};
}

} // namespace deadbolt::testing
#endif
