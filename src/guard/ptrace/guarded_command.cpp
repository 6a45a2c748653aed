// SPDX-License-Identifier: MIT
#include "guard/ptrace/guarded_command.hpp"

#include "guard/ptrace/guard_process.hpp"
#include "guard/ptrace/permission.hpp"
#include <base/descriptor.hpp>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <functional>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

// The signals of the stand-in: it blocks all, reads them one by one, and passes on those that the
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
// too. A signal that a process sent to the stand-in is meant for the command.
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

// The stand-in, from the command's start to its end.
class stand_in {
public:
  explicit stand_in(pid_t command) noexcept : command_(command) {}

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

  stand_in parent(command.pid());
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
