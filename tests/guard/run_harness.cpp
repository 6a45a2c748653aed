// SPDX-License-Identifier: MIT
#include "run_harness.hpp"

#include "guard/proc_status.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>

namespace guard_test {
namespace {

using deadbolt::base::descriptor;
using steady = std::chrono::steady_clock;
constexpr std::chrono::seconds patience(200);

} // namespace

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = steady::now() + patience;
  while (!condition()) {
    if (steady::now() > deadline) return false;
    ::sched_yield();
  }
  return true;
}

long status_number(pid_t tid, const char* key) {
  return deadbolt::guard::proc_status::of(tid).last_number(key).value_or(-1);
}

std::string command_name(pid_t tid) {
  std::ifstream file("/proc/" + std::to_string(tid) + "/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

char process_state(pid_t pid) {
  const auto status = deadbolt::guard::proc_status::of(pid);
  const auto state = status.value("State:");
  return state && !state->empty() ? state->front() : '-';
}

words guarded(const words& command, const words& options) {
  words all{DEADBOLT_COMMAND, "run"};
  all.insert(all.end(), options.begin(), options.end());
  all.emplace_back("--");
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

child_process::child_process(const words& command, const std::function<void()>& before_exec) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
  output_ = descriptor(ends[0]);
  const descriptor write_end(ends[1]);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ != 0) return;
  ::dup2(write_end.get(), STDOUT_FILENO);
  ::dup2(write_end.get(), STDERR_FILENO);
  before_exec();
  ::execvp(arguments[0], arguments.data());
  ::_exit(95);
}

child_process::~child_process() {
  if (reaped_) return;
  ::kill(pid_, SIGKILL);
  wait();
}

bool child_process::has_ended(int& status) {
  reaped_ = reaped_ || ::waitpid(pid_, &status, WNOHANG) == pid_;
  return reaped_;
}

int child_process::wait() {
  int status = -1;
  return eventually([&] { return has_ended(status); }) ? status : -1;
}

std::string child_process::read(std::size_t bytes) {
  std::string text;
  char buffer[4096];
  pollfd readable{.fd = output_.get(), .events = POLLIN, .revents = 0};
  const int milliseconds = static_cast<int>(std::chrono::milliseconds(patience).count());
  while (text.size() < bytes) {
    if (::poll(&readable, 1, milliseconds) <= 0) return text + "[no more output in time]";
    const ssize_t got = ::read(output_.get(), buffer, std::min(sizeof buffer, bytes - text.size()));
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

std::string child_process::output() {
  return read(std::string::npos);
}

outcome run_to_end(const words& command, const std::function<void()>& before_exec) {
  child_process child(command, before_exec);
  std::string output = child.output();
  const int status = child.wait();
  if (status == -1) return {-1, std::move(output)};
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), std::move(output)};
}

victim::victim(const std::string& mode, bool under_guard, const words& options)
    : file_(::memfd_create("guard_test", 0)) {
  if (!file_ || ::ftruncate(file_.get(), 4096) != 0) std::abort();
  void* shared = map_shared(file_.get(), sizeof(victim_memory));
  if (shared == MAP_FAILED) std::abort();
  memory_ = static_cast<victim_memory*>(shared);
  const words command{GUARD_VICTIM, std::to_string(file_.get()), mode};
  // A process group with a parent outside it, as a shell's job has: in an orphaned process group,
  // such as those of a new session, the kernel drops SIGTSTP.
  process_ = std::make_unique<child_process>(under_guard ? guarded(command, options) : command,
                                             [] { ::setpgid(0, 0); });
}

victim::~victim() {
  // If it is a child of `deadbolt run`, this process cannot wait for it.
  if (pid() > 0 && !is_gone()) ::kill(pid(), SIGKILL);
  process_.reset();
  ::munmap(memory_, sizeof(victim_memory));
}

bool victim::is_in_window() const {
  return memory_->tid != 0 && memory_->word == 0;
}

bool victim::is_gone() const {
  for (const pid_t id : {tid(), pid()}) {
    const char state = process_state(id);
    if (state != '-' && state != 'Z') return false;
  }
  return true;
}

} // namespace guard_test
