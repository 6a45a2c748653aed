// SPDX-License-Identifier: MIT
#include "crash/helper_process.hpp"

#include "crash/failure.hpp"
#include "crash/quiet_program.hpp"
#include "crash/victim.hpp"

#include <functional>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

grant carry_out(const subject& subject, const request& request) {
  switch (request.what) {
  case action::lock:
    return subject.lock(request.lock);
  case action::try_lock:
    return subject.try_lock(request.lock);
  case action::mark_consistent:
    subject.mark_consistent(request.lock);
    return grant::acquired;
  case action::unlock:
    return subject.unlock(request.lock) ? grant::acquired : grant::failed;
  case action::destroy:
    subject.destroy(request.lock);
    return grant::acquired;
  case action::map_over:
    return mmap(request.lock, request.length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                request.descriptor, 0) == MAP_FAILED
               ? grant::failed
               : grant::acquired;
  case action::exit_group:
    _exit(0);
  case action::execve:
    execute_quiet_program(request.descriptor);
  }
  return grant::failed;
}

} // namespace

channel::channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    fail_with_errno("socketpair");
  trial_ = base::descriptor{ends[0]};
  helper_ = base::descriptor{ends[1]};
}

void channel::send(const request& request) const {
  if (::send(trial_.get(), &request, sizeof request, MSG_NOSIGNAL) != sizeof request)
    fail_with_errno("a request to a helper process");
}

std::optional<grant> channel::reply(std::chrono::milliseconds patience) const {
  pollfd ready{trial_.get(), POLLIN, 0};
  if (poll(&ready, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
  grant answer;
  if (recv(trial_.get(), &answer, sizeof answer, 0) != sizeof answer) return std::nullopt;
  return answer;
}

bool channel::has_reply() const noexcept {
  pollfd ready{trial_.get(), POLLIN, 0};
  return poll(&ready, 1, 0) > 0;
}

grant channel::call(action what, void* lock) const {
  send({what, lock});
  const std::optional<grant> answer = reply(trace::ample_time);
  if (!answer) throw failure{"a helper process did not return from an operation that never waits"};
  return *answer;
}

void channel::serve(const subject& subject) const {
  request request;
  while (recv(helper_.get(), &request, sizeof request, 0) == sizeof request) {
    const grant answer = carry_out(subject, request);
    if (::send(helper_.get(), &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) break;
  }
  _exit(0);
}

namespace {

// `apart` is a bare clone. The kernel knows no robust list of such a thread, as it does after the
// libc's fork; a region needs one.
pid_t launch(bool apart, const std::function<void()>& body) {
  if (!apart) return trace::launch(body);
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  if (syscall(SYS_get_robust_list, 0, &head, &size) != 0 || head == nullptr)
    fail_with_errno("the own robust list");
  return trace::launch(
      [&] {
        head->list.next = &head->list;
        syscall(SYS_set_robust_list, head, size);
        body();
      },
      CLONE_NEWPID);
}

} // namespace

helper_process::helper_process(const subject& subject, bool apart)
    : process_{launch(apart, [this, &subject] { channel_.serve(subject); })} {
  if (process_.pid() < 0) fail_with_errno(apart ? "a process in a new PID namespace" : "fork");
}

void helper_process::await_sleep() const {
  const auto settled = [this] { return trace::sleeps_in_futex(pid()) || channel_.has_reply(); };
  if (!trace::poll_until(settled, trace::ample_time))
    throw failure{"a waiter neither slept nor got the lock"};
}

std::optional<grant> helper_process::reply(std::chrono::milliseconds patience) const {
  using namespace std::chrono;
  const steady_clock::time_point end = steady_clock::now() + 3 * trace::ample_time;
  milliseconds left = patience;
  for (;;) {
    const nanoseconds before = trace::waited_for_processor(pid());
    if (std::optional<grant> answer = channel_.reply(left)) return answer;
    left = duration_cast<milliseconds>(trace::waited_for_processor(pid()) - before);
    // The kernel adds a wait when it ends: the process may be waiting for a processor now.
    if (left.count() <= 0) left = milliseconds{trace::sleeps_in_futex(pid()) ? 0 : 10};
    if (left.count() == 0 || steady_clock::now() >= end) return std::nullopt;
  }
}

} // namespace deadbolt::crash
