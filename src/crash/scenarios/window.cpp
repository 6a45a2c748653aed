// SPDX-License-Identifier: MIT
#include "crash/scenarios/window.hpp"

#include "crash/descriptor.hpp"
#include "crash/failure.hpp"
#include "crash/helper_process.hpp"
#include "crash/quiet_program.hpp"
#include "crash/scenarios/judge.hpp"
#include "crash/trial_memory.hpp"
#include "crash/victim.hpp"

#include <array>
#include <chrono>
#include <optional>
#include <sys/mman.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

// How long an actor that does not wait for locks may take.
constexpr std::chrono::milliseconds actor_patience{500};

constexpr std::array<std::string_view, 2> unlocks{"unlock", "unlock with a waiter"};

// The file that victims_thread maps: the victim inherits the descriptor, the tracer
// sees the file at an address of its own.
class mapped_file {
public:
  explicit mapped_file(std::size_t length)
      : length_{length}, file_{memfd_create("deadbolt-remap", MFD_CLOEXEC)} {
    if (file_.number() < 0 || ftruncate(file_.number(), static_cast<off_t>(length)) != 0)
      fail_with_errno("a file to map over the lock");
    memory_ = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file_.number(), 0);
    if (memory_ == MAP_FAILED) fail_with_errno("mmap of a file");
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file() { munmap(memory_, length_); }

  [[nodiscard]] int number() const noexcept { return file_.number(); }
  [[nodiscard]] void* memory() const noexcept { return memory_; }

private:
  std::size_t length_;
  descriptor file_;
  void* memory_;
};

} // namespace

std::span<const std::string_view> window_scenario::operations() const {
  return unlocks;
}

verdict window_scenario::run(const point& at) const {
  const trial_memory memory{at.target};
  at.target.create(memory.lock());
  for (std::size_t i = 0; i < trial_memory::companions; ++i) at.target.create(memory.companion(i));
  const bool executes = plan_.death == death_by::execve_in_handler;
  const descriptor program{executes || plan_.death == death_by::execve ? open_quiet_program() : -1};
  std::optional<mapped_file> file;
  if (plan_.reuse == reuse_by::victims_thread) file.emplace(memory.lock_length());
  helper_process other{at.target};
  std::optional<helper_process> waiter;
  if (unlocks[at.operation] != unlocks.front()) waiter.emplace(at.target);

  victim dying{at.target,
               at.guard,
               memory,
               {.operation = stepped_operation::unlock,
                .leader = plan_.leader,
                .accomplice = plan_.reuse == reuse_by::victims_thread ||
                              plan_.death == death_by::exit_group ||
                              plan_.death == death_by::execve,
                .handler_executes = executes ? program.number() : -1}};
  if (waiter) {
    waiter->on().send({deed::lock, memory.lock(), 0, -1});
    waiter->await_sleep();
  }

  const std::uint32_t steps = dying.advance(at.kill_at, at.recorded, at.known);
  const auto say = [&, ip = dying.instruction_pointer()](outcome result, std::string finding = {}) {
    return verdict{result, steps, ip, std::move(finding)};
  };
  const bool held_then = at.target.held_by(memory.lock(), dying.tid());
  const grant right = held_then ? at.target.heir_is_told(memory.lock()) : grant::acquired;
  const bool begun = dying.unlock_is_in_kernels_hands();
  if (executes || plan_.death == death_by::sigkill_in_handler) dying.enter_handler();

  // A lock that somebody waits for is not destroyed; a waiter may die, though.
  waiter.reset();

  const pid_t tid = executes ? dying.pid() : dying.tid(); // the one that the kernel compares
  void* const data = file ? file->memory() : memory.lock();
  if (!held_then) {
    const bool by_other = plan_.reuse == reuse_by::other_process;
    const strings& actor = by_other ? other.on() : dying.accomplice();
    if (const std::string trouble = take_and_release(actor, memory.lock()); !trouble.empty())
      return say(outcome::lost, "released, but for the next owner " + trouble);
    if (by_other) actor.make(deed::destroy, memory.lock());
    fill_with_tid(data, memory.lock_length(), tid);
    if (!by_other) {
      actor.send({deed::map_over, memory.lock(), memory.lock_length(), file->number()});
      // No reply: a protection makes it wait for the unlock, and the file stays as it is.
      if (actor.reply(actor_patience) == grant::failed) throw failure{"a file was not mapped"};
    }
  }

  switch (plan_.death) {
  case death_by::sigkill:
  case death_by::sigkill_in_handler:
    dying.kill();
    break;
  case death_by::exit_group:
    dying.accomplice().send({deed::exit_group, nullptr, 0, -1});
    dying.reap();
    break;
  case death_by::execve:
    dying.accomplice().send({deed::execve, nullptr, 0, program.number()});
    dying.reap();
    break;
  case death_by::execve_in_handler:
    dying.execute();
    break;
  }

  grant told = right;
  if (!held_then) {
    if (const std::string damage = find_damage(data, memory.lock_length(), tid); !damage.empty())
      return say(outcome::corrupted, damage);
  } else if (const std::string trouble =
                 begun ? find_lost_or_released(other.on(), memory.lock(), told)
                       : find_lost(other.on(), memory.lock(), right);
             !trouble.empty()) {
    return say(outcome::lost, "the lock: " + trouble);
  }
  // Where the kernel finds no lock at all, these would say that once more at every point.
  for (std::size_t i = 0; !is_limited(*this, at.target) && i < trial_memory::companions; ++i) {
    const std::string trouble =
        find_lost(other.on(), memory.companion(i), at.target.heir_is_told(memory.companion(i)));
    if (!trouble.empty()) return say(outcome::lost, "another lock that it held: " + trouble);
  }
  return say(held_then && told == grant::owner_died ? outcome::owner_died : outcome::intact);
}

} // namespace deadbolt::crash
