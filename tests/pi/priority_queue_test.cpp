// SPDX-License-Identifier: MIT
// An owner is killed at each instruction of its unlock, with three waiters of different
// priorities in the queue: the most urgent gets the lock, told owner_died when the owner
// still held it, and the others get it after that. None is lost.
#include "futex_thread.hpp"
#include "guard/ptrace/stop_handler.hpp"

#include <deadbolt/robust_pi_mutex.hpp>

#include <array>
#include <atomic>
#include <base/robust_list.hpp>
#include <base/vdso_image.hpp>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <new>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace deadbolt;

constexpr std::size_t waiters = 3;

struct stage {
  robust_pi_mutex mutex;
  std::atomic<bool> unlocked{false};
  std::atomic<std::uint32_t> turns{0};
  // By turn: which waiter it was, and what it was told.
  std::array<std::size_t, waiters> who{};
  std::array<lock_status, waiters> told{};
};

constexpr int priority_of(std::size_t waiter) {
  return 10 + 10 * static_cast<int>(waiter);
}

bool set_fifo(int priority) {
  const sched_param parameter{.sched_priority = priority};
  return sched_setscheduler(0, SCHED_FIFO, &parameter) == 0;
}

void die_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(99);
}

// Waits for the lock, records its turn, and unlocks.
pid_t start_waiter(stage* shared, std::size_t waiter) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  die_with(parent);
  if (!set_fifo(priority_of(waiter))) _exit(2);
  const lock_status status = shared->mutex.lock().status();
  if (status != lock_status::acquired && status != lock_status::owner_died) _exit(3);
  const std::uint32_t turn = shared->turns.fetch_add(1);
  if (turn >= waiters) _exit(4);
  shared->who[turn] = waiter;
  shared->told[turn] = status;
  if (status == lock_status::owner_died && !shared->mutex.mark_consistent()) _exit(5);
  _exit(shared->mutex.unlock() == unlock_status::released ? 0 : 6);
}

pid_t start_owner(stage* shared) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  die_with(parent);
  ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  if (shared->mutex.lock() != lock_status::acquired) _exit(2);
  raise(SIGSTOP);
  shared->mutex.unlock();
  shared->unlocked = true;
  for (;;) pause();
}

int wait_for(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

bool is_exit_stop(int status) {
  return status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8);
}

// A kernel that knows that an unlock has begun, by its own code or by list_op_pending,
// finishes it instead of marking the lock. The owner is a fork of this process.
bool unlock_is_in_kernels_hands(pid_t owner) {
  user_regs_struct registers{};
  EXPECT_EQ(ptrace(PTRACE_GETREGS, owner, nullptr, &registers), 0);
  const base::vdso_image vdso = base::this_process_vdso();
  if (registers.rip - reinterpret_cast<std::uint64_t>(vdso.base) < vdso.size) return true;
  robust_list_head* head = nullptr;
  if (base::get_robust_list(owner, head) != 0 || head == nullptr) return false;
  errno = 0;
  const long pending = ptrace(PTRACE_PEEKDATA, owner, &head->list_op_pending, nullptr);
  constexpr long need_action = 2;
  return errno == 0 && (pending & need_action) != 0;
}

// Kills the owner after `steps` instructions, guarded as by deadbolt run. False when
// unlock was over before. `held`: the lock was not released then; `begun`: but the
// kernel may do it.
bool kill_in_unlock(stage* shared, pid_t owner, int steps, bool& held, bool& begun) {
  for (int i = 0; i < steps && !shared->unlocked; ++i) {
    ptrace(PTRACE_SINGLESTEP, owner, nullptr, nullptr);
    wait_for(owner);
  }
  const std::uint32_t word = __atomic_load_n(shared->mutex.native_handle(), __ATOMIC_RELAXED);
  held = (word & FUTEX_TID_MASK) == static_cast<std::uint32_t>(owner);
  begun = unlock_is_in_kernels_hands(owner);
  const bool inside = !shared->unlocked;
  kill(owner, SIGKILL);
  int status = wait_for(owner);
  while (is_exit_stop(status)) {
    EXPECT_NE(guard::repair_thread(owner).outcome, guard::repair_outcome::refused);
    ptrace(PTRACE_CONT, owner, nullptr, nullptr);
    status = wait_for(owner);
  }
  EXPECT_TRUE(WIFSIGNALED(status));
  return inside;
}

// One kill point. False when unlock was over before.
bool attack(int steps) {
  void* memory =
      mmap(nullptr, sizeof(stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    ADD_FAILURE() << "mmap: " << std::strerror(errno);
    return false;
  }
  auto* shared = new (memory) stage;
  const pid_t owner = start_owner(shared);
  wait_for(owner);
  ptrace(PTRACE_SETOPTIONS, owner, nullptr, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL);
  std::array<pid_t, waiters> queue{};
  for (std::size_t waiter = 0; waiter < waiters; ++waiter) {
    queue[waiter] = start_waiter(shared, waiter);
    deadbolt::testing::await_sleeping(queue[waiter], queue[waiter], shared->mutex.native_handle());
  }
  bool held = false;
  bool begun = false;
  const bool inside = kill_in_unlock(shared, owner, steps, held, begun);
  for (const pid_t waiter : queue)
    EXPECT_EQ(wait_for(waiter), 0) << "killed after " << steps << " instructions";
  EXPECT_EQ(shared->turns, waiters);
  for (std::size_t turn = 0; turn < waiters; ++turn) {
    EXPECT_EQ(shared->who[turn], waiters - 1 - turn) << "killed after " << steps;
    const bool first_after_death = turn == 0 && held;
    if (first_after_death && begun && shared->told[turn] == lock_status::acquired) continue;
    EXPECT_EQ(shared->told[turn],
              first_after_death ? lock_status::owner_died : lock_status::acquired)
        << to_string(shared->told[turn]) << ", turn " << turn << ", killed after " << steps;
  }
  munmap(memory, sizeof(stage));
  return inside;
}

TEST(priority_queue, owner_killed_at_each_instruction_leaves_the_lock_to_the_most_urgent) {
  if (sched_param before{}; sched_getparam(0, &before) == 0) {
    const int policy = sched_getscheduler(0);
    if (!set_fifo(1)) GTEST_SKIP() << "SCHED_FIFO is refused here: " << std::strerror(errno);
    ASSERT_EQ(sched_setscheduler(0, policy, &before), 0);
  }
  int points = 0;
  while (attack(points) && !HasFailure()) ++points;
  RecordProperty("kill_points", points);
  EXPECT_GT(points, 20);
}

} // namespace
