// SPDX-License-Identifier: MIT
#include "crash/scenarios/waiter.hpp"

#include "crash/helper_process.hpp"
#include "crash/scenarios/judge.hpp"
#include "crash/trial_memory.hpp"
#include "crash/victim.hpp"

#include <array>
#include <fmt/format.h>

namespace deadbolt::crash {
namespace {

constexpr std::array<std::string_view, 2> both{"lock", "unlock"};

} // namespace

std::span<const std::string_view> waiter_scenario::operations() const {
  return both;
}

verdict waiter_scenario::run(const point& at) const {
  const trial_memory memory{at.target};
  at.target.create(memory.lock());
  for (std::size_t i = 0; i < trial_memory::companions; ++i) at.target.create(memory.companion(i));
  helper_process waiter{at.target};
  helper_process prober{at.target};
  const bool locks = at.operation == 0;
  victim dying{at.target,
               at.guard,
               memory,
               {.operation = locks ? stepped_operation::lock : stepped_operation::unlock}};

  // The holder of an unlock finds the waiter asleep; that of a lock has it come later.
  const auto wait = [&] {
    waiter.on().send({deed::lock, memory.lock(), 0, -1});
    waiter.await_sleep();
  };
  if (!locks) wait();
  const std::uint32_t steps = dying.advance(at.kill_at, at.recorded, at.known);
  const auto say = [&, ip = dying.instruction_pointer()](outcome result, std::string finding = {}) {
    return verdict{result, steps, ip, std::move(finding)};
  };
  const bool held_then = at.target.held_by(memory.lock(), dying.tid());
  const grant right = held_then ? at.target.heir_is_told(memory.lock()) : grant::acquired;
  const bool begun = !locks && dying.unlock_is_in_kernels_hands();
  if (locks) wait();

  dying.kill();
  at.about_to_wait();
  const std::optional<grant> answer = waiter.reply(waiter_patience);
  if (!answer) return say(outcome::stranded, "the waiter does not get the lock");
  if (*answer != right && !(begun && *answer == grant::acquired)) {
    return say(held_then ? outcome::lost : outcome::corrupted,
               fmt::format("the waiter is told \"{}\" instead of \"{}\"", to_string(*answer),
                           to_string(right)));
  }
  if (const std::string trouble =
          release_and_take_again(waiter.on(), prober.on(), memory.lock(), *answer);
      !trouble.empty())
    return say(outcome::lost, "after the waiter had it: " + trouble);
  for (std::size_t i = 0; i < trial_memory::companions; ++i) {
    const std::string trouble =
        find_lost(prober.on(), memory.companion(i), at.target.heir_is_told(memory.companion(i)));
    if (!trouble.empty()) return say(outcome::lost, "another lock that it held: " + trouble);
  }
  return say(*answer == grant::owner_died ? outcome::owner_died : outcome::intact);
}

} // namespace deadbolt::crash
