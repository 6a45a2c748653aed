// SPDX-License-Identifier: MIT
// guard_victim FD MODE: a program that stops in its unlock window.
#include "victim_memory.hpp"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <sched.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern "C" void lingering_unlock(void* word, robust_list_head* head, void* go);

namespace {

using namespace guard_test;

constexpr int status_done = 5;
victim_memory* memory;
char** arguments;

void unlock_and_linger() {
  robust_list_head* head = this_threads_robust_head();
  const auto tid = static_cast<std::uint32_t>(::gettid());
  memory->pid = static_cast<std::uint32_t>(::getpid());
  // volatile: the kernel reads the slot when this thread dies.
  *const_cast<robust_list* volatile*>(&head->list_op_pending) = entry_of(memory->word, *head);
  memory->word = tid;
  memory->tid = tid; // from here on a word of 0 is a released one
  lingering_unlock(&memory->word, head, &memory->go);
}

void obey_orders() {
  for (;;) {
    switch (memory->other_thread.load()) {
    case order::exit_group:
      ::_exit(9);
    case order::execve:
      ::execl("/bin/true", "true", nullptr);
      ::_exit(99);
    case order::none:
      ::sched_yield();
    }
  }
}

[[noreturn]] void execute_self(const char* mode) {
  ::execl("/proc/self/exe", arguments[0], arguments[1], mode, nullptr);
  ::_exit(98);
}

void wait_like_a_shell(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

void on_signal(int) {
  memory->in_handler = 1;
  for (;;) ::pause();
}

void run(const std::string& mode) {
  if (mode == "main") {
    unlock_and_linger();
  } else if (mode == "handler") {
    ::signal(SIGUSR1, on_signal);
    unlock_and_linger();
  } else if (mode == "thread") {
    std::thread(unlock_and_linger).detach();
    obey_orders();
  } else if (mode == "leader") {
    std::thread(obey_orders).detach();
    unlock_and_linger();
  } else if (mode == "fork") {
    const pid_t child = ::fork();
    if (child != 0) wait_like_a_shell(child);
    unlock_and_linger();
  } else if (mode == "vfork") {
    // Events that a guard has to follow.
    const pid_t child = ::vfork();        // NOLINT(clang-analyzer-security.insecureAPI.vfork)
    if (child == 0) execute_self("main"); // NOLINT(clang-analyzer-unix.Vfork)
    wait_like_a_shell(child);
  } else if (mode == "exec") {
    execute_self("main");
  } else if (mode == "exec_by_thread") {
    std::thread([] { execute_self("thread"); }).join();
  } else if (mode == "daemon") {
    if (::fork() != 0) ::_exit(status_done);
    ::setsid();
    for (int standard = 0; standard <= 2; ++standard) ::close(standard);
    unlock_and_linger();
  } else if (mode == "system_calls") {
    memory->pid = static_cast<std::uint32_t>(::getpid());
    while (memory->go == 0) ::sched_yield();
    for (int i = 0; i < 20000; ++i) {
      ::syscall(SYS_futex, &memory->word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
      ++memory->steps;
    }
    while (memory->go == 1) ::sched_yield();
  } else {
    std::fprintf(stderr, "guard_victim: no mode %s\n", mode.c_str());
    ::_exit(97);
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 97;
  arguments = argv;
  ::alarm(50); // outlives no test, whatever becomes of the test
  void* shared = map_shared(std::stoi(argv[1]), sizeof(victim_memory));
  if (shared == MAP_FAILED) return 96;
  memory = static_cast<victim_memory*>(shared);
  run(argv[2]);
  return status_done;
}
