// SPDX-License-Identifier: MIT
// Takes over from a killed owner through the installed headers and library.
#include <deadbolt/protection.hpp>
#include <deadbolt/quiescence.hpp>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/undo_log.hpp>
#include <deadbolt/with_recovery.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main() {
  void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  auto* mutex = new (memory) deadbolt::robust_mutex;

  const pid_t child = fork();
  if (child == 0) {
    const auto status = mutex->lock().status();
    if (status != deadbolt::lock_status::acquired) _exit(1);
    kill(getpid(), SIGKILL);
  }
  int ended = 0;
  if (waitpid(child, &ended, 0) != child || !WIFSIGNALED(ended)) return 1;

  int recoveries = 0;
  deadbolt::undo_log<64> log;
  deadbolt::with_recovery lock{*mutex, [&] { return ++recoveries == 1 && log.roll_back(); }};
  {
    std::scoped_lock hold{lock};
    deadbolt::transaction change{log};
    ++change.edit(ended);
    change.commit();
  }
  {
    std::unique_lock hold{lock, std::chrono::seconds{1}};
    if (!hold) return 1;
  }
  std::printf("protection %s, recovered %d time(s)\n", to_string(deadbolt::protection()),
              recoveries);
  const auto unmapped = deadbolt::unmap(memory, 4096);
  return recoveries == 1 && unmapped.status == deadbolt::quiescence_status::quiescent ? 0 : 1;
}
