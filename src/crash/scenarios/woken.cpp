// SPDX-License-Identifier: MIT
#include "crash/scenarios/woken.hpp"

#include "crash/failure.hpp"
#include "crash/helper_process.hpp"
#include "crash/process.hpp"
#include "crash/scenarios/judge.hpp"
#include "crash/trial_memory.hpp"
#include "crash/victim.hpp"

#include <array>
#include <fmt/format.h>
#include <optional>

namespace deadbolt::crash {
namespace {

constexpr std::array<std::string_view, 1> way_back{"lock, from the wake on"};

// A waiter whose sleeps are bounded may time out just before it would have been woken,
// and queue up behind the other. That is not the case in question: try again.
constexpr int attempts = 50;

std::optional<verdict> attempt(const point& at) {
  const trial_memory memory{at.target};
  at.target.create(memory.lock());
  for (std::size_t i = 0; i < trial_memory::companions; ++i) at.target.create(memory.companion(i));
  helper_process owner{at.target};
  helper_process third{at.target};
  helper_process other{at.target};

  if (owner.on().make(deed::try_lock, memory.lock()) != grant::acquired)
    throw failure{"a new lock cannot be taken"};
  victim woken{at.target, at.guard, memory, {.operation = stepped_operation::lock}};
  woken.run_to_sleep();
  other.on().send({deed::lock, memory.lock(), 0, -1});
  other.await_sleep();

  if (owner.on().make(deed::unlock, memory.lock()) != grant::acquired)
    throw failure{"the owner cannot unlock"};
  const bool taken = third.on().make(deed::try_lock, memory.lock()) == grant::acquired;
  const std::optional<std::int64_t> woke = woken.await_wake(waiter_patience);
  if (woke && *woke < 0) return std::nullopt;
  if (other.on().reply_is_there()) return std::nullopt;
  const std::uint32_t steps = woke ? woken.advance(at.kill_at, nullptr, nullptr) : 0;
  const auto say = [&, ip = woken.instruction_pointer()](outcome result, std::string finding = {}) {
    return verdict{result, steps, ip, std::move(finding)};
  };
  const bool held_then = at.target.held_by(memory.lock(), woken.tid());
  const grant right = held_then ? at.target.heir_is_told(memory.lock()) : grant::acquired;
  woken.kill();
  if (taken && third.on().make(deed::unlock, memory.lock()) != grant::acquired)
    return say(outcome::lost, "the third process is no longer the owner when it unlocks");

  at.about_to_wait();
  const std::optional<grant> answer = other.reply(waiter_patience);
  if (!answer)
    return say(outcome::stranded, woke ? "the other waiter does not get the lock"
                                       : "the unlock woke nobody, and nobody gets the lock");
  if (*answer != right) {
    return say(held_then ? outcome::lost : outcome::corrupted,
               fmt::format("the other waiter is told \"{}\" instead of \"{}\"", to_string(*answer),
                           to_string(right)));
  }
  if (const std::string trouble =
          release_and_take_again(other.on(), third.on(), memory.lock(), *answer);
      !trouble.empty())
    return say(outcome::lost, "after the waiter had it: " + trouble);
  for (std::size_t i = 0; i < trial_memory::companions; ++i) {
    const std::string trouble =
        find_lost(third.on(), memory.companion(i), at.target.heir_is_told(memory.companion(i)));
    if (!trouble.empty())
      return say(outcome::lost, "another lock that the victim held: " + trouble);
  }
  return say(right == grant::owner_died ? outcome::owner_died : outcome::intact);
}

} // namespace

std::span<const std::string_view> woken_scenario::operations() const {
  return way_back;
}

verdict woken_scenario::run(const point& at) const {
  for (int i = 0; i < attempts; ++i)
    if (std::optional<verdict> result = attempt(at)) return *std::move(result);
  throw failure{fmt::format("the first of two waiters was not the one woken, {} times", attempts)};
}

} // namespace deadbolt::crash
