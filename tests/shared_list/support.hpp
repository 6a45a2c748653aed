// SPDX-License-Identifier: MIT
// What these programs share. They need libc alone, so that they can be built
// against musl without a C++ run-time library: exit status 0 passed, 1 failed.
#ifndef DEADBOLT_TESTS_SHARED_LIST_SUPPORT_HPP
#define DEADBOLT_TESTS_SHARED_LIST_SUPPORT_HPP

#include <deadbolt/robust_mutex.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shared_list {

// Ends the process, and is of use in a child as well: its status is looked at.
[[noreturn]] inline void fail(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
  std::fflush(stderr);
  _exit(1);
}

#define CHECK(condition)                                                                           \
  ((condition) ? static_cast<void>(0) : ::shared_list::fail(#condition, __FILE__, __LINE__))

// A process that hangs is ended by SIGALRM, and its parent sees that.
inline void start_watchdog() {
  alarm(100);
}

// A pthread mutex and ours, as many of each as the test wants.
struct pthread_robust_mutex {
  pthread_mutex_t mutex;

  pthread_robust_mutex() {
    pthread_mutexattr_t attributes;
    CHECK(pthread_mutexattr_init(&attributes) == 0);
    CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_mutex_init(&mutex, &attributes) == 0);
    pthread_mutexattr_destroy(&attributes);
  }
};

template <std::size_t each>
struct locks {
  pthread_robust_mutex theirs[each];
  deadbolt::robust_mutex ours[each];

  // Locks number i, of which the even ones are the libc's. Returns the result as ours would be.
  deadbolt::lock_status lock(int i) {
    if (i % 2 == 1) return ours[i / 2].lock().status();
    switch (pthread_mutex_lock(&theirs[i / 2].mutex)) {
    case 0:
      return deadbolt::lock_status::acquired;
    case EOWNERDEAD:
      return deadbolt::lock_status::owner_died;
    default:
      return deadbolt::lock_status::not_recoverable;
    }
  }
  void unlock(int i) {
    if (i % 2 == 1) {
      CHECK(ours[i / 2].unlock() == deadbolt::unlock_status::released);
    } else {
      CHECK(pthread_mutex_unlock(&theirs[i / 2].mutex) == 0);
    }
  }
  void mark_consistent(int i) {
    if (i % 2 == 1) {
      CHECK(ours[i / 2].mark_consistent());
    } else {
      CHECK(pthread_mutex_consistent(&theirs[i / 2].mutex) == 0);
    }
  }
};

// Zeroed memory that forked children share.
inline void* map_shared(std::size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  return memory;
}

// Runs body() in a child, under its own watchdog.
template <class Body>
pid_t start(Body body) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    start_watchdog();
    body();
    _exit(0);
  }
  return child;
}

inline void expect_exit(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

inline void expect_killed(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

// Waits, without a guess at how long, until another process has stored it.
inline void await(const std::uint32_t& word, std::uint32_t at_least) {
  while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) < at_least) sched_yield();
}

// Waits until the process sleeps in a system call.
inline void await_asleep(pid_t process) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(process));
  for (;;) {
    std::FILE* file = std::fopen(path, "re");
    CHECK(file != nullptr);
    char state = '?';
    CHECK(std::fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
    std::fclose(file);
    if (state == 'S') return;
    sched_yield();
  }
}

// The number of entries on the calling thread's robust list, as the kernel
// would walk it, each of which must name a word that this thread owns.
inline int entries_owned() {
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  CHECK(syscall(SYS_get_robust_list, 0, &head, &size) == 0 && head != nullptr);
  CHECK(head->list_op_pending == nullptr);
  const auto tid = static_cast<std::uint32_t>(syscall(SYS_gettid));
  int count = 0;
  for (robust_list* entry = head->list.next; entry != &head->list; entry = entry->next) {
    const auto* word =
        reinterpret_cast<const std::uint32_t*>(reinterpret_cast<char*>(entry) + head->futex_offset);
    CHECK((*word & FUTEX_TID_MASK) == tid);
    CHECK(++count <= 2048);
  }
  return count;
}

// The same numbers from the same seed, on every libc.
class random_numbers {
public:
  explicit random_numbers(std::uint64_t seed) : state_{seed * 2 + 1} {}
  std::uint32_t below(std::uint32_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 33) % limit;
  }

private:
  std::uint64_t state_;
};

// The seed: the first argument, or a new one; printed, so that a run can be repeated.
inline std::uint64_t seed(int argument_count, char** arguments) {
  const std::uint64_t value = argument_count > 1 ? strtoull(arguments[1], nullptr, 10)
                                                 : static_cast<std::uint64_t>(getpid()) & 0xffffff;
  std::printf("seed %llu\n", static_cast<unsigned long long>(value));
  std::fflush(stdout);
  return value;
}

} // namespace shared_list
#endif
