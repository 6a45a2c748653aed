// SPDX-License-Identifier: MIT
// `deadbolt run` as a shell's job on a terminal: stopped and continued as the
// command alone would be.
#include "run_harness.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>

namespace {

using namespace guard_test;
using deadbolt::base::descriptor;

// Shared with the small shell below: the stops that it saw, and the test's requests.
struct shell_page {
  std::atomic<pid_t> job;
  std::atomic<int> stopped_by;
  std::atomic<int> foreground; // told: continue the job in the foreground
  std::atomic<int> status;     // wait status of the job; -1: not ended
};

// A terminal with a shell that runs one job on it.
class terminal {
public:
  terminal(const words& command, bool in_foreground)
      : page_(map_page()), master_(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {
    page_->status = -1;
    if (::grantpt(master_.get()) != 0 || ::unlockpt(master_.get()) != 0) std::abort();
    // Without echo the terminal shows only the command's output.
    termios settings{};
    ::tcgetattr(master_.get(), &settings);
    settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(master_.get(), TCSANOW, &settings);
    char name[64];
    if (::ptsname_r(master_.get(), name, sizeof name) != 0) std::abort();
    const std::string slave = name;
    shell_ = ::fork();
    if (shell_ == 0) be_the_shell(slave, command, in_foreground);
  }
  terminal(const terminal&) = delete;
  terminal& operator=(const terminal&) = delete;
  ~terminal() {
    if (page_->status == -1 && page_->job > 0) ::kill(-page_->job, SIGKILL);
    ::kill(shell_, SIGKILL);
    ::waitpid(shell_, nullptr, 0);
    ::munmap(page_, sizeof(shell_page));
  }

  [[nodiscard]] shell_page& shell() noexcept { return *page_; }
  void type(const std::string& keys) const {
    if (::write(master_.get(), keys.data(), keys.size()) != static_cast<ssize_t>(keys.size()))
      std::abort();
  }
  [[nodiscard]] bool shows(const std::string& text) {
    return eventually([&] {
      char buffer[256];
      const ssize_t got = ::read(master_.get(), buffer, sizeof buffer);
      if (got > 0) shown_.append(buffer, static_cast<std::size_t>(got));
      return shown_.find(text) != std::string::npos;
    });
  }

private:
  static shell_page* map_page() {
    void* page = ::mmap(nullptr, sizeof(shell_page), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) std::abort();
    return static_cast<shell_page*>(page);
  }

  [[noreturn]] void be_the_shell(const std::string& slave, const words& command,
                                 bool in_foreground) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setsid();
    const int line = ::open(slave.c_str(), O_RDWR);
    ::ioctl(line, TIOCSCTTY, 0);
    for (int standard = 0; standard <= 2; ++standard) ::dup2(line, standard);
    ::signal(SIGTTOU, SIG_IGN);
    const pid_t job = ::fork();
    if (job == 0) {
      ::setpgid(0, 0);
      if (in_foreground) ::tcsetpgrp(0, ::getpid());
      // A shell's job has default signal actions; this test may have inherited others.
      for (const int signal : {SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU})
        ::signal(signal, SIG_DFL);
      std::vector<char*> arguments;
      arguments.reserve(command.size() + 1);
      for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      ::execv(arguments[0], arguments.data());
      ::_exit(95);
    }
    page_->job = job;
    for (;;) {
      int status = 0;
      ::waitpid(job, &status, WUNTRACED);
      if (!WIFSTOPPED(status)) {
        page_->status = status;
        for (;;) ::pause();
      }
      ::tcsetpgrp(0, ::getpgrp());
      page_->stopped_by = WSTOPSIG(status);
      while (page_->foreground == 0) ::sched_yield();
      page_->foreground = 0;
      ::tcsetpgrp(0, job);
      ::kill(-job, SIGCONT);
    }
  }

  shell_page* page_;
  descriptor master_;
  pid_t shell_ = -1;
  std::string shown_;
};

bool ended(terminal& tty) {
  return eventually([&] { return tty.shell().status != -1; });
}

TEST(job_control, stops_at_the_terminals_suspend_key_and_goes_on_in_the_foreground) {
  terminal tty(guarded({"cat"}), true);
  tty.type("one\n");
  ASSERT_TRUE(tty.shows("one\r\n"));
  for (int round = 0; round < 3; ++round) {
    tty.shell().stopped_by = 0;
    tty.type("\x1a");
    ASSERT_TRUE(eventually([&] { return tty.shell().stopped_by != 0; })) << round;
    EXPECT_EQ(tty.shell().stopped_by, SIGTSTP);
    tty.shell().foreground = 1;
    const std::string word = "round" + std::to_string(round);
    tty.type(word + "\n");
    ASSERT_TRUE(tty.shows(word + "\r\n")) << round;
  }
  tty.type("\x04");
  ASSERT_TRUE(ended(tty));
  EXPECT_EQ(WEXITSTATUS(tty.shell().status), 0);
}

TEST(job_control, stops_when_the_command_reads_the_terminal_from_the_background) {
  terminal tty(guarded({"cat"}), false);
  ASSERT_TRUE(eventually([&] { return tty.shell().stopped_by != 0; }));
  EXPECT_EQ(tty.shell().stopped_by, SIGTTIN);
  tty.shell().foreground = 1;
  tty.type("late\n");
  ASSERT_TRUE(tty.shows("late\r\n"));
  tty.type("\x04");
  ASSERT_TRUE(ended(tty));
  EXPECT_EQ(WEXITSTATUS(tty.shell().status), 0);
}

TEST(job_control, gives_the_command_the_interrupt_key_once) {
  terminal tty(guarded({"sh", "-c",
                        "n=0; trap 'n=$((n+1)); echo int$n' INT; echo ready; read x; "
                        "echo \"got $x, int $n\"; exit 6"}),
               true);
  ASSERT_TRUE(tty.shows("ready"));
  tty.type("\x03");
  ASSERT_TRUE(tty.shows("int1"));
  tty.type("text\n");
  ASSERT_TRUE(ended(tty));
  EXPECT_TRUE(tty.shows("int 1"));
  EXPECT_EQ(WEXITSTATUS(tty.shell().status), 6);
}

TEST(job_control, dies_of_the_interrupt_key_like_its_command) {
  terminal tty(guarded({"cat"}), true);
  tty.type("up\n");
  ASSERT_TRUE(tty.shows("up"));
  tty.type("\x03");
  ASSERT_TRUE(ended(tty));
  EXPECT_EQ(WEXITSTATUS(tty.shell().status), 128 + SIGINT);
}

bool is_stopped(pid_t tid) {
  const char state = process_state(tid);
  return state == 'T' || state == 't';
}

TEST(job_control, stops_every_thread_and_follows_whoever_continues_the_command) {
  victim target("thread", true);
  ASSERT_TRUE(eventually([&] { return target.is_in_window(); }));
  const pid_t starter = target.process().pid();
  ::kill(target.pid(), SIGSTOP);
  int status = 0;
  ASSERT_TRUE(eventually([&] { return ::waitpid(starter, &status, WNOHANG | WUNTRACED) > 0; }));
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_TRUE(is_stopped(target.pid()));
  EXPECT_TRUE(is_stopped(target.tid()));
  // The signal goes to the command alone. After that the job must not look stopped.
  ::kill(target.pid(), SIGCONT);
  ASSERT_TRUE(eventually([&] { return ::waitpid(starter, &status, WNOHANG | WCONTINUED) > 0; }));
  ASSERT_TRUE(WIFCONTINUED(status));
  ASSERT_TRUE(eventually([&] { return !is_stopped(target.tid()); }));
  target.memory().other_thread = order::exit_group;
  EXPECT_EQ(WEXITSTATUS(target.process().wait()), 9);
}

TEST(job_control, ends_with_a_command_that_dies_while_stopped) {
  victim target("main", true);
  ASSERT_TRUE(eventually([&] { return target.is_in_window(); }));
  ::kill(target.pid(), SIGSTOP);
  ASSERT_TRUE(eventually([&] { return is_stopped(target.pid()); }));
  target.reuse_the_word();
  ::kill(target.pid(), SIGKILL);
  ASSERT_TRUE(eventually([&] { return target.is_gone(); }));
  EXPECT_EQ(target.memory().word, target.memory().tid);
  EXPECT_EQ(WEXITSTATUS(target.process().wait()), 128 + SIGKILL);
}

} // namespace
