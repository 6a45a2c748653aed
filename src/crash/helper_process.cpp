// SPDX-License-Identifier: MIT
#include "crash/helper_process.hpp"

#include "crash/failure.hpp"
#include "crash/process.hpp"
#include "crash/quiet_program.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

grant do_deed(const subject& subject, const order& order) {
  switch (order.what) {
  case deed::lock:
    return subject.lock(order.lock);
  case deed::try_lock:
    return subject.try_lock(order.lock);
  case deed::mark_consistent:
    subject.mark_consistent(order.lock);
    return grant::acquired;
  case deed::unlock:
    return subject.unlock(order.lock) ? grant::acquired : grant::failed;
  case deed::destroy:
    subject.destroy(order.lock);
    return grant::acquired;
  case deed::map_over:
    return mmap(order.lock, order.length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                order.descriptor, 0) == MAP_FAILED
               ? grant::failed
               : grant::acquired;
  case deed::exit_group:
    _exit(0);
  case deed::execve:
    become_quiet_program(order.descriptor);
  }
  return grant::failed;
}

} // namespace

strings::strings() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    fail_with_errno("socketpair");
  controller_ = ends[0];
  helper_ = ends[1];
}

strings::~strings() {
  close(controller_);
  close(helper_);
}

void strings::send(const order& order) const {
  if (::send(controller_, &order, sizeof order, MSG_NOSIGNAL) != sizeof order)
    fail_with_errno("an order to a process of the trial");
}

std::optional<grant> strings::reply(std::chrono::milliseconds patience) const {
  pollfd ready{controller_, POLLIN, 0};
  if (poll(&ready, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
  grant answer;
  if (recv(controller_, &answer, sizeof answer, 0) != sizeof answer) return std::nullopt;
  return answer;
}

bool strings::reply_is_there() const noexcept {
  pollfd ready{controller_, POLLIN, 0};
  return poll(&ready, 1, 0) > 0;
}

void strings::obey(const subject& subject) const {
  order order;
  while (recv(helper_, &order, sizeof order, 0) == sizeof order) {
    const grant answer = do_deed(subject, order);
    if (::send(helper_, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) break;
  }
  _exit(0);
}

helper_process::helper_process(const subject& subject)
    : pid_{fork_bound([this, &subject] { strings_.obey(subject); })} {}

grant strings::make(deed what, void* lock) const {
  send({what, lock, 0, -1});
  const std::optional<grant> answer = reply(ample_time);
  if (!answer)
    throw failure{"another process did not come back from an operation that never waits"};
  return *answer;
}

void helper_process::await_sleep() const {
  const auto settled = [this] { return sleeps_in_futex(pid_) || strings_.reply_is_there(); };
  if (!poll_until(settled, ample_time)) throw failure{"a waiter neither slept nor got the lock"};
}

std::optional<grant> helper_process::reply(std::chrono::milliseconds patience) const {
  using namespace std::chrono;
  const steady_clock::time_point end = steady_clock::now() + 3 * ample_time;
  milliseconds left = patience;
  for (;;) {
    const nanoseconds before = waited_for_processor(pid_);
    if (std::optional<grant> answer = strings_.reply(left)) return answer;
    left = duration_cast<milliseconds>(waited_for_processor(pid_) - before);
    // Counted only when its turn comes: it may be waiting for one now.
    if (left.count() <= 0) left = milliseconds{sleeps_in_futex(pid_) ? 0 : 10};
    if (left.count() == 0 || steady_clock::now() >= end) return std::nullopt;
  }
}

void helper_process::kill() noexcept {
  kill_and_reap(pid_);
  pid_ = 0;
}

} // namespace deadbolt::crash
