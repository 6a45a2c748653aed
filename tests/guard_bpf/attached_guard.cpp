// SPDX-License-Identifier: MIT
#include "attached_guard.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace guard_test {
namespace {

using deadbolt::base::descriptor;

struct started {
  pid_t pid;
  descriptor output;
};

started start(const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  descriptor ours(ends[0]);
  const descriptor theirs(ends[1]);
  const std::string command = deadbolt_command();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::dup2(theirs.get(), 1);
    ::dup2(theirs.get(), 2);
    std::vector<const char*> pointers{command.c_str()};
    for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
    pointers.push_back(nullptr);
    ::execv(command.c_str(), const_cast<char* const*>(pointers.data()));
    ::_exit(127);
  }
  return {pid, std::move(ours)};
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

} // namespace

std::string deadbolt_command() {
  const char* const given = std::getenv("DEADBOLT_COMMAND");
  return given != nullptr ? given : DEADBOLT_COMMAND;
}

command_result run_deadbolt(const std::vector<std::string>& arguments) {
  const started command = start(arguments);
  command_result result;
  char buffer[4096];
  ssize_t count;
  while ((count = ::read(command.output.get(), buffer, sizeof buffer)) > 0)
    result.output.append(buffer, static_cast<std::size_t>(count));
  result.status = wait_for(command.pid);
  return result;
}

attached_guard::attached_guard(const std::vector<std::string>& options) {
  std::vector<std::string> arguments{"guard"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  started command = start(arguments);
  output_ = std::move(command.output);
  pid_ = command.pid;
  std::string output;
  char byte;
  // Reads until it reports that it is attached, or until its output ends.
  while (::read(output_.get(), &byte, 1) == 1) {
    output += byte;
    if (output.ends_with("deadbolt guard: attached\n")) return;
  }
  wait_for(pid_);
  pid_ = -1;
  refusal_ = output;
}

attached_guard::~attached_guard() {
  if (pid_ > 0) end(SIGTERM);
}

int attached_guard::end(int signal) {
  ::kill(pid_, signal);
  const int status = wait_for(pid_);
  pid_ = -1;
  return status;
}

deadbolt::guard::bpf_counts counts_now() {
  const deadbolt::guard::bpf_look look = deadbolt::guard::look_at_bpf_guard();
  if (!look.counts) throw std::runtime_error(look.error);
  return *look.counts;
}

} // namespace guard_test
