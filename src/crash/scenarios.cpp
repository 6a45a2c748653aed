// SPDX-License-Identifier: MIT
#include "crash/scenarios.hpp"

#include "crash/failure.hpp"
#include "crash/quiet_program.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>
#include <sys/mman.h>
#include <unistd.h>

namespace deadbolt::crash {

std::string_view to_string(outcome outcome) noexcept {
  switch (outcome) {
  case outcome::owner_died:
    return "owner died";
  case outcome::intact:
    return "intact";
  case outcome::corrupted:
    return "corrupted";
  case outcome::lost:
    return "lost";
  case outcome::stranded:
    break;
  }
  return "stranded";
}

mapped_file::mapped_file(std::size_t length)
    : length_{length}, file_{memfd_create("deadbolt-remap", MFD_CLOEXEC)} {
  if (!file_ || ftruncate(file_.get(), static_cast<off_t>(length)) != 0)
    fail_with_errno("a file to map over the lock");
  memory_ = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (memory_ == MAP_FAILED) fail_with_errno("mmap of a file");
}

mapped_file::~mapped_file() {
  munmap(memory_, length_);
}

// Judgements that scenarios share. Each returns what is wrong, or nothing.

void fill_with_tid(void* memory, std::size_t length, pid_t tid) noexcept {
  std::fill_n(static_cast<volatile std::uint32_t*>(memory), length / sizeof(std::uint32_t),
              static_cast<std::uint32_t>(tid));
}

std::string find_damage(const void* memory, std::size_t length, pid_t tid) {
  const auto* const words = static_cast<const volatile std::uint32_t*>(memory);
  for (std::size_t i = 0; i < length / sizeof(std::uint32_t); ++i) {
    const std::uint32_t value = words[i];
    if (value != static_cast<std::uint32_t>(tid))
      return fmt::format("data {:#010x} became {:#010x} at byte {}", tid, value, i * sizeof value);
  }
  return {};
}

namespace {

std::string release(const channel& holder, void* lock, grant answer) {
  if (answer == grant::owner_died) holder.call(action::mark_consistent, lock);
  if (holder.call(action::unlock, lock) == grant::acquired) return {};
  return "unlock reports that its caller is not the owner";
}

} // namespace

std::string take_and_release(const channel& helper, void* lock) {
  const grant answer = helper.call(action::try_lock, lock);
  if (!held(answer)) return fmt::format("it is \"{}\"", to_string(answer));
  return release(helper, lock, answer);
}

namespace {

// `holder` got the lock with `answer`. After it has made the lock consistent and released it,
// `next` must be able to take and release it as after any owner.
std::string release_and_take_again(const channel& holder, const channel& next, void* lock,
                                   grant answer) {
  if (std::string trouble = release(holder, lock, answer); !trouble.empty()) return trouble;
  const grant again = next.call(action::try_lock, lock);
  if (again != grant::acquired)
    return fmt::format("a lock that was made consistent and released is \"{}\"", to_string(again));
  return release(next, lock, again);
}

// A lock whose owner has died must go to the next owner, and be a lock after that. The kernel may
// have released it in the dead owner's name: `told` is what the next owner was told.
std::string find_lost_or_released(const channel& prober, void* lock, grant& told) {
  told = prober.call(action::try_lock, lock);
  if (!held(told))
    return fmt::format("its owner is dead, and the next owner is told \"{}\"", to_string(told));
  const std::string trouble = release_and_take_again(prober, prober, lock, told);
  return trouble.empty() ? trouble : fmt::format("after {} {}", to_string(told), trouble);
}

// The same, and the next owner must be told `right`.
std::string find_lost(const channel& prober, void* lock, grant right) {
  grant told{};
  std::string trouble = find_lost_or_released(prober, lock, told);
  if (trouble.empty() && told != right)
    return fmt::format("its owner is dead, and the next owner is told \"{}\"", to_string(told));
  return trouble;
}

// The locks that the victim held besides the one under attack.
std::string find_lost_companion(const channel& prober, const subject& target,
                                const trial_memory& memory) {
  for (std::size_t i = 0; i < trial_memory::companions; ++i) {
    void* const lock = memory.companion(i);
    const std::string trouble = find_lost(prober, lock, target.next_owner_is_told(lock));
    if (!trouble.empty()) return "another lock that the victim held: " + trouble;
  }
  return {};
}

void create_locks(const subject& target, const trial_memory& memory) {
  target.create(memory.lock());
  for (std::size_t i = 0; i < trial_memory::companions; ++i) target.create(memory.companion(i));
}

// Death in an unlock, after which the lock is gone: reuse, remap, handler, exec_self, reaped. They
// differ in what happens to the lock's memory, in how the victim dies, and in the next owner's PID
// namespace.

// What becomes of the lock once it is released.
enum class reuse_by : std::uint8_t {
  other_process,  // takes it, destroys it and uses its memory for data
  victims_thread, // takes it and maps a file over it
};

enum class death_by : std::uint8_t {
  sigkill,
  exit_group,         // called by another thread
  execve,             // called by another thread
  sigkill_in_handler, // of a signal that came at the kill point
  execve_in_handler,
  sigkill_and_reap, // the process's memory is reaped before the kernel looks for its locks
};

struct unlock_plan {
  std::string_view name;
  std::string_view family;
  std::string_view summary;
  death_by death;
  reuse_by reuse = reuse_by::other_process;
  bool leader = true; // the stepped thread is the leader of its process
  std::string_view kernel_limit = {};
  bool apart = false; // the next owner is in a PID namespace of its own
};

constexpr std::string_view nothing_is_found =
    "a thread's list of locks is in the memory that was reaped: the kernel then finds none of them";

constexpr std::array<unlock_plan, 9> unlock_plans{
    {{.name = "reuse",
      .family = "reuse",
      .summary = "the holder is killed in unlock; once the lock is released another process takes "
                 "and destroys it, and its memory becomes data equal to the victim's TID",
      .death = death_by::sigkill},
     {.name = "reuse_exit_group",
      .family = "reuse",
      .summary = "reuse, and the death is exit_group by another thread of the victim's process",
      .death = death_by::exit_group},
     {.name = "reuse_execve",
      .family = "reuse",
      .summary = "reuse, and the death is execve by another thread of the victim's process",
      .death = death_by::execve},
     {.name = "remap",
      .family = "remap",
      .summary = "once the lock is released another thread of the victim's process takes and "
                 "releases it and maps a file that holds the TID over it",
      .death = death_by::sigkill,
      .reuse = reuse_by::victims_thread},
     {.name = "handler",
      .family = "handler",
      .summary = "reuse, and a signal handler runs at that instruction and the process is killed "
                 "inside it",
      .death = death_by::sigkill_in_handler},
     {.name = "exec_self",
      .family = "exec_self",
      .summary = "reuse, and the holder, the leader of its process, calls execve (from a signal "
                 "handler at that instruction)",
      .death = death_by::execve_in_handler},
     {.name = "exec_self_thread",
      .family = "exec_self",
      .summary = "exec_self by a holder that is not the leader",
      .death = death_by::execve_in_handler,
      .leader = false,
      .kernel_limit = "the kernel gives a thread that calls execve the leader's TID before it "
                      "looks for its locks, and then finds none of them"},
     {.name = "reaped",
      .family = "reaped",
      .summary =
          "reuse, and the victim's memory is reaped before the kernel looks for its locks, as "
          "the OOM killer and process_mrelease(2) do",
      .death = death_by::sigkill_and_reap,
      .kernel_limit = nothing_is_found},
     {.name = "reaped_apart",
      .family = "reaped_apart",
      .summary =
          "reaped, and the next owner is in a PID namespace of its own, where nobody can ask "
          "for the victim's PID",
      .death = death_by::sigkill_and_reap,
      .kernel_limit = nothing_is_found,
      .apart = true}}};

// How long a helper that does not wait for locks may take.
constexpr std::chrono::milliseconds helper_patience{500};

constexpr std::array<std::string_view, 2> unlocks{"unlock", "unlock with a waiter"};

class unlock_scenario final : public scenario {
public:
  explicit unlock_scenario(const unlock_plan& plan) : plan_{plan} {}

  [[nodiscard]] std::string_view name() const override { return plan_.name; }
  [[nodiscard]] std::string_view family() const override { return plan_.family; }
  [[nodiscard]] std::string_view summary() const override { return plan_.summary; }
  [[nodiscard]] std::span<const std::string_view> operations() const override { return unlocks; }
  [[nodiscard]] std::string_view kernel_limit() const override { return plan_.kernel_limit; }
  [[nodiscard]] bool by_name_only() const override { return plan_.apart; }
  [[nodiscard]] verdict run(const point& at) const override;

private:
  const unlock_plan& plan_;
};

verdict unlock_scenario::run(const point& at) const {
  const trial_memory memory{at.target};
  create_locks(at.target, memory);
  const bool executes = plan_.death == death_by::execve_in_handler;
  const base::descriptor program =
      executes || plan_.death == death_by::execve ? open_quiet_program() : base::descriptor{};
  std::optional<mapped_file> file;
  if (plan_.reuse == reuse_by::victims_thread) file.emplace(memory.lock_length());
  const helper_process other{at.target, plan_.apart};
  std::optional<helper_process> waiter;
  if (unlocks[at.operation] != unlocks.front()) waiter.emplace(at.target);

  victim dying{at.target,
               at.guard,
               memory,
               {.operation = stepped_operation::unlock,
                .leader = plan_.leader,
                .second_thread = plan_.reuse == reuse_by::victims_thread ||
                                 plan_.death == death_by::exit_group ||
                                 plan_.death == death_by::execve,
                .handler_executes = executes ? program.get() : -1,
                .stops_at_exit = plan_.death == death_by::sigkill_and_reap}};
  if (waiter) {
    waiter->channel().send({action::lock, memory.lock()});
    waiter->await_sleep();
  }

  const std::uint32_t steps = dying.advance(at.kill_at, at.recorded, at.known);
  const auto judge = [&, ip = dying.instruction_pointer()](outcome result,
                                                           std::string finding = {}) {
    return verdict{result, steps, ip, std::move(finding)};
  };
  const bool held_then = at.target.held_by(memory.lock(), dying.tid());
  const grant right = held_then ? at.target.next_owner_is_told(memory.lock()) : grant::acquired;
  const bool may_be_finished = dying.kernel_may_finish_unlock();
  if (executes || plan_.death == death_by::sigkill_in_handler) dying.enter_handler();

  // A lock that a live process waits for is not destroyed; the waiter may die, though.
  waiter.reset();

  const pid_t tid = executes ? dying.pid() : dying.tid(); // with which the kernel compares
  void* const data = file ? file->memory() : memory.lock();
  if (!held_then) {
    const bool by_other = plan_.reuse == reuse_by::other_process;
    const channel& helper = by_other ? other.channel() : dying.second_thread();
    if (const std::string trouble = take_and_release(helper, memory.lock()); !trouble.empty())
      return judge(outcome::lost, "released, but for the next owner " + trouble);
    if (by_other) helper.call(action::destroy, memory.lock());
    fill_with_tid(data, memory.lock_length(), tid);
    if (!by_other) {
      helper.send({action::map_over, memory.lock(), memory.lock_length(), file->descriptor()});
      // No reply: the protection under test blocks the mmap until the unlock has ended. The trial
      // goes on, and the file is not mapped.
      if (helper.reply(helper_patience) == grant::failed) throw failure{"a file was not mapped"};
    }
  }

  switch (plan_.death) {
  case death_by::sigkill:
  case death_by::sigkill_in_handler:
    dying.kill();
    break;
  case death_by::sigkill_and_reap:
    dying.kill_and_reap_memory();
    break;
  case death_by::exit_group:
    dying.second_thread().send({action::exit_group, nullptr});
    dying.reap();
    break;
  case death_by::execve:
    dying.second_thread().send({action::execve, nullptr, 0, program.get()});
    dying.reap();
    break;
  case death_by::execve_in_handler:
    dying.execute();
    break;
  }

  grant told = right;
  if (!held_then) {
    if (const std::string damage = find_damage(data, memory.lock_length(), tid); !damage.empty())
      return judge(outcome::corrupted, damage);
  } else if (const std::string trouble =
                 may_be_finished ? find_lost_or_released(other.channel(), memory.lock(), told)
                                 : find_lost(other.channel(), memory.lock(), right);
             !trouble.empty()) {
    return judge(outcome::lost, "the lock: " + trouble);
  }
  // Where the kernel limit applies the kernel marks none of the victim's locks. The companions
  // would be reported as lost at every kill point, so they are not checked.
  if (!is_limited(*this, at.target)) {
    const std::string trouble = find_lost_companion(other.channel(), at.target, memory);
    if (!trouble.empty()) return judge(outcome::lost, trouble);
  }
  return judge(held_then && told == grant::owner_died ? outcome::owner_died : outcome::intact);
}

constexpr std::array<std::string_view, 2> lock_and_unlock{"lock", "unlock"};

class waiter_scenario final : public scenario {
public:
  [[nodiscard]] std::string_view name() const override { return "waiter"; }
  [[nodiscard]] bool judges_waiters() const override { return true; }
  [[nodiscard]] std::string_view summary() const override {
    return "a process waits for the lock while the holder is killed in lock or in unlock; it must "
           "get it, as acquired or as owner died as is right";
  }
  [[nodiscard]] std::span<const std::string_view> operations() const override {
    return lock_and_unlock;
  }
  [[nodiscard]] verdict run(const point& at) const override;
};

verdict waiter_scenario::run(const point& at) const {
  const trial_memory memory{at.target};
  create_locks(at.target, memory);
  const helper_process waiter{at.target};
  const helper_process prober{at.target};
  const bool locks = at.operation == 0;
  victim dying{at.target,
               at.guard,
               memory,
               {.operation = locks ? stepped_operation::lock : stepped_operation::unlock}};

  // The waiter sleeps before unlock begins, but comes while the victim is stopped in lock.
  const auto wait = [&] {
    waiter.channel().send({action::lock, memory.lock()});
    waiter.await_sleep();
  };
  if (!locks) wait();
  const std::uint32_t steps = dying.advance(at.kill_at, at.recorded, at.known);
  const auto judge = [&, ip = dying.instruction_pointer()](outcome result,
                                                           std::string finding = {}) {
    return verdict{result, steps, ip, std::move(finding)};
  };
  const bool held_then = at.target.held_by(memory.lock(), dying.tid());
  const grant right = held_then ? at.target.next_owner_is_told(memory.lock()) : grant::acquired;
  const bool may_be_finished = !locks && dying.kernel_may_finish_unlock();
  if (locks) wait();

  dying.kill();
  at.about_to_wait();
  const std::optional<grant> answer = waiter.reply(waiter_patience);
  if (!answer) return judge(outcome::stranded, "the waiter does not get the lock");
  if (*answer != right && !(may_be_finished && *answer == grant::acquired)) {
    return judge(held_then ? outcome::lost : outcome::corrupted,
                 fmt::format("the waiter is told \"{}\" instead of \"{}\"", to_string(*answer),
                             to_string(right)));
  }
  if (const std::string trouble =
          release_and_take_again(waiter.channel(), prober.channel(), memory.lock(), *answer);
      !trouble.empty())
    return judge(outcome::lost, "after the waiter had it: " + trouble);
  if (const std::string trouble = find_lost_companion(prober.channel(), at.target, memory);
      !trouble.empty())
    return judge(outcome::lost, trouble);
  return judge(*answer == grant::owner_died ? outcome::owner_died : outcome::intact);
}

// A waiter whose sleeps are bounded may time out just before it would have been woken, and queue up
// behind the other waiter. That is not what this scenario is about: it tries again.
constexpr int woken_attempts = 50;

std::optional<verdict> attempt_woken(const point& at) {
  const trial_memory memory{at.target};
  create_locks(at.target, memory);
  const helper_process owner{at.target};
  const helper_process third{at.target};
  const helper_process other{at.target};

  if (owner.channel().call(action::try_lock, memory.lock()) != grant::acquired)
    throw failure{"a new lock cannot be taken"};
  victim woken{at.target, at.guard, memory, {.operation = stepped_operation::lock}};
  woken.run_to_sleep();
  other.channel().send({action::lock, memory.lock()});
  other.await_sleep();

  if (owner.channel().call(action::unlock, memory.lock()) != grant::acquired)
    throw failure{"the owner cannot unlock"};
  const bool taken = third.channel().call(action::try_lock, memory.lock()) == grant::acquired;
  const std::optional<std::int64_t> woke = woken.await_wake(waiter_patience);
  if (woke && *woke < 0) return std::nullopt;
  if (other.channel().has_reply()) return std::nullopt;
  const std::uint32_t steps = woke ? woken.advance(at.kill_at, at.recorded, at.known) : 0;
  const auto judge = [&, ip = woken.instruction_pointer()](outcome result,
                                                           std::string finding = {}) {
    return verdict{result, steps, ip, std::move(finding)};
  };
  const bool held_then = at.target.held_by(memory.lock(), woken.tid());
  const grant right = held_then ? at.target.next_owner_is_told(memory.lock()) : grant::acquired;
  woken.kill();
  if (taken && third.channel().call(action::unlock, memory.lock()) != grant::acquired)
    return judge(outcome::lost, "the third process is no longer the owner when it unlocks");

  at.about_to_wait();
  const std::optional<grant> answer = other.reply(waiter_patience);
  if (!answer)
    return judge(outcome::stranded, woke ? "the other waiter does not get the lock"
                                         : "the unlock woke nobody, and nobody gets the lock");
  if (*answer != right) {
    return judge(held_then ? outcome::lost : outcome::corrupted,
                 fmt::format("the other waiter is told \"{}\" instead of \"{}\"",
                             to_string(*answer), to_string(right)));
  }
  if (const std::string trouble =
          release_and_take_again(other.channel(), third.channel(), memory.lock(), *answer);
      !trouble.empty())
    return judge(outcome::lost, "after the waiter had it: " + trouble);
  if (const std::string trouble = find_lost_companion(third.channel(), at.target, memory);
      !trouble.empty())
    return judge(outcome::lost, trouble);
  return judge(right == grant::owner_died ? outcome::owner_died : outcome::intact);
}

constexpr std::array<std::string_view, 1> way_back{"lock, from the wake on"};

class woken_scenario final : public scenario {
public:
  [[nodiscard]] std::string_view name() const override { return "woken"; }
  [[nodiscard]] bool judges_waiters() const override { return true; }
  [[nodiscard]] std::string_view summary() const override {
    return "of two waiters the woken one is killed on its way back, after a third process took the "
           "lock; when that one unlocks the other waiter must get it";
  }
  [[nodiscard]] std::span<const std::string_view> operations() const override { return way_back; }
  [[nodiscard]] verdict run(const point& at) const override {
    for (int i = 0; i < woken_attempts; ++i)
      if (std::optional<verdict> result = attempt_woken(at)) return *std::move(result);
    throw failure{
        fmt::format("the first of two waiters was not the one woken, {} times", woken_attempts)};
  }
};

} // namespace

std::span<const scenario* const> all_scenarios() {
  static const unlock_scenario reuse{unlock_plans[0]};
  static const unlock_scenario reuse_exit_group{unlock_plans[1]};
  static const unlock_scenario reuse_execve{unlock_plans[2]};
  static const unlock_scenario remap{unlock_plans[3]};
  static const waiter_scenario waiter;
  static const unlock_scenario handler{unlock_plans[4]};
  static const unlock_scenario exec_self{unlock_plans[5]};
  static const unlock_scenario exec_self_thread{unlock_plans[6]};
  static const unlock_scenario reaped{unlock_plans[7]};
  static const unlock_scenario reaped_apart{unlock_plans[8]};
  static const woken_scenario woken;
  static const std::array<const scenario*, 11> all{
      &reuse,     &reuse_exit_group, &reuse_execve, &remap,        &waiter, &handler,
      &exec_self, &exec_self_thread, &reaped,       &reaped_apart, &woken};
  return all;
}

} // namespace deadbolt::crash
