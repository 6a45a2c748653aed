// SPDX-License-Identifier: MIT
#include "guard/ptrace/guarded_command.hpp"

#include "guard/ptrace/permission.hpp"
#include "trace/inherited_descriptors.hpp"
#include <base/descriptor.hpp>
#include <deadbolt/critical_section.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <functional>
#include <optional>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

// ---- the guard ----
//
// A process that does nothing but trace. It has no terminal, and lives until its last tracee is
// gone, also after the process that started it has ended.

// The guard sends it when the command has ended and, if other tracees were left then, again when
// the last of them is gone.
struct guard_message {
  guard_counts counts;
  bool last = false; // no tracee is left, the guard ends
};

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
// wait for the guard too, and the guard would not see that its starter is gone. Signals stay
// blocked: a terminal's interrupt or a service manager's SIGTERM would end the guard in the moment
// in which its tracees die.
bool leave_the_starter(int socket) noexcept {
  ::setsid();
  ::prctl(PR_SET_NAME, DEADBOLT_PTRACE_GUARD_COMM);
  if (::chdir("/") != 0) {
    // A directory stays in use, which does no harm.
  }
  const int null = ::open("/dev/null", O_RDWR);
  for (int standard = 0; null >= 0 && standard <= 2; ++standard) ::dup2(null, standard);
  return trace::close_descriptors_from(STDERR_FILENO + 1, socket);
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
  if (socket < 0 || !leave_the_starter(socket)) ::_exit(1);
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

// The end of the process that starts the guard. All messages pass over one SOCK_SEQPACKET socket:
// the command's process id to the guard; back the errno value of the seize, and one or two
// guard_messages.
class guard_process {
public:
  // Forks the guard. Called with every signal blocked and with one thread.
  // 0 or an errno value.
  [[nodiscard]] int start(const window_set& libcs) noexcept;
  // Makes the guard seize a process that has one thread. 0, the errno value of
  // the refused request, or EPIPE when the guard is gone.
  [[nodiscard]] int seize(pid_t command) noexcept;
  // Waits for the next message. Nothing if the guard was killed.
  [[nodiscard]] std::optional<guard_message> next_message() noexcept;
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

private:
  base::descriptor socket_;
  pid_t pid_ = -1;
};

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

// ---- the parent and the command ----

// The signals of the parent: it blocks all, reads them one by one, and passes on those that the
// command has not received from their sender.
class command_signals {
public:
  // Blocks every signal and makes SIGCHLD waitable, whatever was inherited.
  command_signals() noexcept;
  command_signals(const command_signals&) = delete;
  command_signals& operator=(const command_signals&) = delete;
  ~command_signals() { restore(); }

  // What the command must inherit. In the child.
  void restore() const noexcept;
  // Waits for one.
  [[nodiscard]] siginfo_t next() const noexcept;

private:
  sigset_t all_;
  sigset_t inherited_mask_;
  struct sigaction inherited_child_action_;
};

command_signals::command_signals() noexcept {
  ::sigfillset(&all_);
  ::pthread_sigmask(SIG_BLOCK, &all_, &inherited_mask_);
  struct sigaction default_action {};
  default_action.sa_handler = SIG_DFL;
  // With an inherited SIG_IGN the kernel would reap the command, and its status would be lost.
  ::sigaction(SIGCHLD, &default_action, &inherited_child_action_);
}

void command_signals::restore() const noexcept {
  ::sigaction(SIGCHLD, &inherited_child_action_, nullptr);
  ::pthread_sigmask(SIG_SETMASK, &inherited_mask_, nullptr);
}

siginfo_t command_signals::next() const noexcept {
  siginfo_t info{};
  while (::sigwaitinfo(&all_, &info) < 0) {
  }
  return info;
}

// A terminal sends its signals to the whole foreground process group, so that the command gets them
// too. A signal that a process sent to the parent is meant for the command.
bool is_for_the_command(const siginfo_t& info) noexcept {
  if (info.si_signo == SIGCHLD || info.si_signo == SIGCONT) return false;
  return info.si_code <= 0; // SI_USER, SI_QUEUE, SI_TKILL; a terminal's is SI_KERNEL
}

void pass_on(pid_t command, const siginfo_t& info) noexcept {
  if (info.si_code == SI_QUEUE)
    ::sigqueue(command, info.si_signo, info.si_value);
  else
    ::kill(command, info.si_signo);
}

// Stops this process by the signal that stopped the command, so that the shell sees the stop,
// unless still_stopped() returns false. Returns when this process is continued. A stop by SIGSTOP
// shows as one by SIGTSTP.
//
// The guard sends this process a SIGCONT after the command was continued or has ended. None is
// missed: this process makes its own stop signal pending, but blocked, before it calls
// still_stopped(). If the SIGCONT came before that, the command is no longer stopped; a later one
// removes the pending signal.
void stop_alike(int signal, const std::function<bool()>& still_stopped) {
  // SIGSTOP cannot be blocked until still_stopped() has returned.
  const int ours = signal == SIGSTOP ? SIGTSTP : signal;
  sigset_t one;
  ::sigemptyset(&one);
  ::sigaddset(&one, ours);
  struct sigaction stop_action {};
  struct sigaction inherited;
  stop_action.sa_handler = SIG_DFL;
  ::sigaction(ours, &stop_action, &inherited);
  // Merges with the terminal's signal, if that came to this process as well as to the command.
  ::kill(::getpid(), ours);
  if (still_stopped()) {
    ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr); // stops here
    ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
  } else {
    const timespec at_once{};
    ::sigtimedwait(&one, nullptr, &at_once);
  }
  ::sigaction(ours, &inherited, nullptr);
}

// The command before its execve: reports that it runs, and waits until it is traced. execve closes
// the socket; if execve fails, its errno value goes over the socket.
[[noreturn]] void become_the_command(int socket, const command_signals& signals, pid_t guard,
                                     char* const* arguments) noexcept {
  // In Yama's restricted mode only an ancestor may trace, unless the tracee names another process.
  ::prctl(PR_SET_PTRACER, guard);
  char byte = 0;
  if (::send(socket, &byte, 1, MSG_NOSIGNAL) != 1 || ::recv(socket, &byte, 1, 0) != 1)
    ::_exit(status_guard_failed);
  signals.restore();
  ::execvp(arguments[0], arguments);
  const int error = errno;
  ::send(socket, &error, sizeof error, MSG_NOSIGNAL);
  ::_exit(error == ENOENT ? status_not_found : status_cannot_execute);
}

class command_process {
public:
  [[nodiscard]] int start(const command_signals& signals, pid_t guard, char* const* arguments) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno;
    socket_ = base::descriptor(ends[0]);
    base::descriptor theirs(ends[1]);
    pid_ = ::fork();
    if (pid_ < 0) return errno;
    if (pid_ == 0) {
      socket_.reset(); // its own copy would keep the socket open
      become_the_command(theirs.get(), signals, guard, arguments);
    }
    theirs.reset();
    char ready;
    return ::recv(socket_.get(), &ready, 1, 0) == 1 ? 0 : EPIPE;
  }
  // 0 when the execve was done.
  [[nodiscard]] int execute() noexcept {
    const char go = 1;
    int error = 0;
    ::send(socket_.get(), &go, 1, MSG_NOSIGNAL);
    if (::recv(socket_.get(), &error, sizeof error, 0) != ssize_t{sizeof error}) error = 0;
    socket_.reset();
    return error;
  }
  // The command ends when the socket is closed before execute().
  void give_up() noexcept {
    socket_.reset();
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

private:
  base::descriptor socket_;
  pid_t pid_ = -1;
};

// The command's parent, from the command's start to its end.
class command_parent {
public:
  explicit command_parent(pid_t command) noexcept : command_(command) {}

  // Returns the command's status, and reaps every other child on the way. If this process is the
  // first of a container, these are all orphans.
  [[nodiscard]] int until_the_end(const command_signals& signals) {
    for (;;) {
      reap();
      if (ended_) return status_;
      if (stop_signal_ != 0) {
        stop_alike(stop_signal_, [this] {
          reap();
          return stopped_;
        });
        stop_signal_ = 0;
        continue;
      }
      const siginfo_t info = signals.next();
      if (is_for_the_command(info)) pass_on(command_, info);
      if (info.si_signo != SIGCONT) continue;
      reap(); // the same SIGCONT may have continued the command
      if (stopped_) ::kill(command_, SIGCONT);
    }
  }

private:
  void reap() noexcept {
    int status = 0;
    pid_t child;
    while (!ended_ && (child = ::waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
      if (child == command_) see_command(status);
    }
  }
  void see_command(int status) noexcept {
    stopped_ = WIFSTOPPED(status);
    stop_signal_ = stopped_ ? WSTOPSIG(status) : 0;
    ended_ = WIFEXITED(status) || WIFSIGNALED(status);
    if (ended_) status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  pid_t command_;
  bool stopped_ = false;
  bool ended_ = false;
  int stop_signal_ = 0;
  int status_ = 0;
};

guarded_result failed(std::string error) {
  guarded_result result;
  result.status = status_guard_failed;
  result.error = std::move(error);
  return result;
}

} // namespace

guarded_result run_guarded(char* const* arguments, bool wait_for_tree, const window_set& libcs) {
  const command_signals signals;
  guard_process guard;
  if (const int error = guard.start(libcs))
    return failed(std::string("cannot start the guard: ") + std::generic_category().message(error));
  command_process command;
  if (const int error = command.start(signals, guard.pid(), arguments))
    return failed(std::string("cannot start the command: ") +
                  std::generic_category().message(error));
  if (const int error = guard.seize(command.pid())) {
    guarded_result result =
        failed(error == EPIPE ? "the guard was killed before it began"
                              : explain_refusal(gather_ptrace_facts(command.pid()), error));
    command.give_up();
    ::waitpid(guard.pid(), nullptr, 0);
    return result;
  }
  guarded_result result;
  if (const int error = command.execute())
    result.error = std::string(arguments[0]) + ": " + std::generic_category().message(error);

  command_parent parent(command.pid());
  result.status = parent.until_the_end(signals);
  std::optional<guard_message> message = guard.next_message();
  while (wait_for_tree && message && !message->last) message = guard.next_message();
  result.guard_was_killed = !message;
  if (message && message->last) {
    result.counts = message->counts;
    ::waitpid(guard.pid(), nullptr, 0); // an init process that does not reap would keep a zombie
  }
  return result;
}

} // namespace deadbolt::guard
