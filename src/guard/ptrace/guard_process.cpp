// SPDX-License-Identifier: MIT
#include "guard/ptrace/guard_process.hpp"

#include <deadbolt/critical_section.h>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

template <class T>
bool send_to(int socket, const T& message) noexcept {
  return ::send(socket, &message, sizeof message, MSG_NOSIGNAL) == ssize_t{sizeof message};
}

template <class T>
bool receive_from(int socket, T& message) noexcept {
  ssize_t got;
  while ((got = ::recv(socket, &message, sizeof message, 0)) < 0 && errno == EINTR) {
  }
  return got == ssize_t{sizeof message};
}

// The guard closes all descriptors of the starter: otherwise a reader of the starter's output would
// wait for the guard too. Signals stay blocked: a terminal's interrupt or a service manager's
// SIGTERM would end the guard in the moment in which its tracees die.
void leave_the_starter(int socket) noexcept {
  ::setsid();
  ::prctl(PR_SET_NAME, DEADBOLT_PTRACE_GUARD_COMM);
  if (::chdir("/") != 0) {
    // A directory stays in use, which does no harm.
  }
  const int null = ::open("/dev/null", O_RDWR);
  for (int standard = 0; null >= 0 && standard <= 2; ++standard) ::dup2(null, standard);
  const auto kept = static_cast<unsigned>(socket);
  if (kept > 3) ::syscall(SYS_close_range, 3u, kept - 1, 0u);
  ::syscall(SYS_close_range, kept + 1, ~0u, 0u);
}

// If the starter has no standard descriptors, the socket has the number of one of them. This is a
// copy above these numbers; -1 if there can be none.
int above_standard_descriptors(int socket) noexcept {
  return ::fcntl(socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

// A starter that stopped along with the command must be continued when another process continues or
// kills the command; otherwise a shell would take the job for stopped. The SIGCONT is sent after
// the command's new state is visible: see stop_alike(). The guard keeps no state of the command
// here: the kernel may report a stop to the parent that never reaches the guard, and an extra
// SIGCONT does no harm.
class starter_waker {
public:
  starter_waker(pid_t starter, pid_t command) noexcept
      : starter_(static_cast<int>(::syscall(SYS_pidfd_open, starter, 0u))), command_(command) {}

  void see(const trace::stop_event& event) const noexcept {
    if (event.tid != command_ || !starter_) return;
    // A seized thread reports every SIGCONT by a notice.
    if (event.kind == trace::stop_kind::notice || event.kind == trace::stop_kind::ended)
      ::syscall(SYS_pidfd_send_signal, starter_.get(), SIGCONT, static_cast<void*>(nullptr), 0u);
  }

private:
  base::descriptor starter_;
  pid_t command_;
};

guard_counts guard_until_the_last_is_gone(int socket, const starter_waker& starter, pid_t command,
                                          const window_set& libcs) noexcept {
  stop_handler guard(libcs);
  bool command_ended = false;
  for (;;) {
    int status = 0;
    const pid_t tid = ::waitpid(-1, &status, __WALL | (command_ended ? WNOHANG : 0));
    if (tid < 0 && errno == EINTR) continue;
    if (tid < 0) return guard.counts();
    if (command_ended) {
      // Other tracees are left. The starter need not wait for them.
      send_to(socket, guard_message{.counts = guard.counts(), .last = false});
      command_ended = false;
    }
    if (tid == 0) continue;
    const trace::stop_event event = trace::classify_stop(tid, status);
    starter.see(event);
    resume(guard.handle(event));
    command_ended = tid == command && event.kind == trace::stop_kind::ended;
  }
}

[[noreturn]] void run_guard(int starters_socket, pid_t starter, const window_set& libcs) noexcept {
  const int socket = above_standard_descriptors(starters_socket);
  if (socket < 0) ::_exit(1);
  leave_the_starter(socket);
  pid_t command = 0;
  if (!receive_from(socket, command)) ::_exit(0);
  // Before the command can stop or the starter can go.
  const starter_waker waker(starter, command);
  trace::seized_thread seized;
  const int error = seized.seize(command, guard_options());
  if (!send_to(socket, error) || error != 0) ::_exit(error == 0 ? 0 : 1);
  seized.release();
  const guard_counts counts = guard_until_the_last_is_gone(socket, waker, command, libcs);
  send_to(socket, guard_message{.counts = counts, .last = true});
  ::_exit(0);
}

} // namespace

int guard_process::start(const window_set& libcs) noexcept {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno;
  base::descriptor ours(ends[0]);
  base::descriptor theirs(ends[1]);
  const pid_t starter = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return errno;
  if (pid == 0) run_guard(theirs.get(), starter, libcs);
  socket_ = std::move(ours);
  pid_ = pid;
  return 0;
}

int guard_process::seize(pid_t command) noexcept {
  int error = 0;
  if (!send_to(socket_.get(), command) || !receive_from(socket_.get(), error)) return EPIPE;
  return error;
}

std::optional<guard_message> guard_process::next_message() noexcept {
  guard_message message;
  if (!receive_from(socket_.get(), message)) return std::nullopt;
  return message;
}

} // namespace deadbolt::guard
