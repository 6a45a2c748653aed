// SPDX-License-Identifier: MIT
// What POSIX (2018, XSH: pthread_mutex_lock, _timedlock, _consistent,
// pthread_mutexattr_getrobust) says of robust mutexes, clause by clause, on the libc's and
// on ours. Usage: conformance [KIND]. Ends with the number of clauses that hold.
#include "lock_kinds.hpp"

#include <stdlib.h>
#include <string.h>

using namespace conformance;
using namespace shared_list;
using namespace std::chrono_literals;

namespace {

// In a mapping of its own, where `Kind` has to lie.
template <class Kind>
struct stage {
  Kind lock;
  std::uint32_t reached = 0;
  std::uint32_t go_on = 0;
  std::uint64_t counted = 0;
};

template <class Kind>
stage<Kind>& new_stage() {
  return *new (Kind::map(sizeof(stage<Kind>))) stage<Kind>;
}

void tell(std::uint32_t& word) {
  __atomic_fetch_add(&word, 1, __ATOMIC_RELEASE);
}

// A process that takes the lock and dies with it.
template <class Kind>
void die_holding(stage<Kind>& at, lock_status expected = lock_status::acquired) {
  expect_killed(start([&] {
    CHECK(at.lock.lock() == expected);
    raise(SIGKILL);
  }));
}

template <class Kind>
void make_not_recoverable(stage<Kind>& at) {
  die_holding(at);
  CHECK(at.lock.lock() == lock_status::owner_died);
  CHECK(at.lock.unlock() == unlock_status::released);
}

// "The mutex object referenced by mutex shall be locked ... with the calling thread as
// its owner"; a try by anybody else is EBUSY.
template <class Kind>
void lock_makes_the_caller_its_owner(stage<Kind>& at) {
  CHECK(at.lock.lock() == lock_status::acquired);
  expect_exit(start([&] { CHECK(at.lock.try_lock() == lock_status::busy); }));
  CHECK(at.lock.unlock() == unlock_status::released);
  expect_exit(start([&] {
    CHECK(at.lock.try_lock() == lock_status::acquired);
    CHECK(at.lock.unlock() == unlock_status::released);
  }));
}

// Robust: an unlock by a thread that is not the owner is EPERM, and changes nothing.
template <class Kind>
void unlock_by_a_stranger_is_refused(stage<Kind>& at) {
  CHECK(at.lock.unlock() == unlock_status::not_owner);
  CHECK(at.lock.lock() == lock_status::acquired);
  expect_exit(start([&] {
    CHECK(at.lock.unlock() == unlock_status::not_owner);
    CHECK(at.lock.try_lock() == lock_status::busy);
  }));
  CHECK(at.lock.unlock() == unlock_status::released);
}

// EDEADLK to the owner that locks again (type ERRORCHECK); it still owns it.
template <class Kind>
void lock_by_its_owner_is_a_deadlock(stage<Kind>& at) {
  CHECK(at.lock.lock() == lock_status::acquired);
  CHECK(at.lock.lock() == lock_status::deadlock);
  CHECK(at.lock.unlock() == unlock_status::released);
  CHECK(at.lock.unlock() == unlock_status::not_owner);
}

// "If the owning process terminated while holding the mutex lock, the next thread that
// acquires the mutex shall be notified by EOWNERDEAD", by whichever way it acquires it.
template <class Kind>
void death_of_the_owning_process_is_told_once(stage<Kind>& at) {
  const auto repair = [&] {
    CHECK(at.lock.mark_consistent());
    CHECK(at.lock.unlock() == unlock_status::released);
    CHECK(at.lock.lock() == lock_status::acquired);
    CHECK(at.lock.unlock() == unlock_status::released);
  };
  die_holding(at);
  CHECK(at.lock.lock() == lock_status::owner_died);
  repair();
  die_holding(at);
  CHECK(at.lock.try_lock() == lock_status::owner_died);
  repair();
  die_holding(at);
  CHECK(at.lock.lock_for(1000ms) == lock_status::owner_died);
  repair();
}

template <class Kind>
void* lock_and_exit(void* argument) {
  CHECK(static_cast<stage<Kind>*>(argument)->lock.lock() == lock_status::acquired);
  return nullptr;
}

// The same when "the owning thread terminated" and its process did not.
template <class Kind>
void end_of_the_owning_thread_is_told(stage<Kind>& at) {
  pthread_t thread;
  CHECK(pthread_create(&thread, nullptr, lock_and_exit<Kind>, &at) == 0);
  CHECK(pthread_join(thread, nullptr) == 0);
  CHECK(at.lock.lock() == lock_status::owner_died);
  CHECK(at.lock.mark_consistent());
  CHECK(at.lock.unlock() == unlock_status::released);
}

// A thread that waits when the owner dies is the next.
template <class Kind>
void waiter_is_told_of_the_death(stage<Kind>& at) {
  for (const bool timed : {false, true}) {
    const std::uint32_t before = at.reached;
    const pid_t owner = start([&] {
      CHECK(at.lock.lock() == lock_status::acquired);
      tell(at.reached);
      for (;;) pause();
    });
    await(at.reached, before + 1);
    const pid_t waiter = start([&] {
      CHECK((timed ? at.lock.lock_for(50'000ms) : at.lock.lock()) == lock_status::owner_died);
      CHECK(at.lock.mark_consistent());
      CHECK(at.lock.unlock() == unlock_status::released);
    });
    await_asleep(waiter);
    CHECK(kill(owner, SIGKILL) == 0);
    expect_killed(owner);
    expect_exit(waiter);
  }
}

// An owner that execs leaves the lock too: its memory is gone.
template <class Kind>
void exec_of_the_owner_is_told(stage<Kind>& at) {
  expect_exit(start([&] {
    CHECK(at.lock.lock() == lock_status::acquired);
    execl("/bin/true", "true", nullptr);
    _exit(1);
  }));
  CHECK(at.lock.lock() == lock_status::owner_died);
  CHECK(at.lock.mark_consistent());
  CHECK(at.lock.unlock() == unlock_status::released);
}

// "If the thread that was notified ... terminates without" making the state consistent,
// the next is notified again.
template <class Kind>
void death_during_repair_is_told_again(stage<Kind>& at) {
  die_holding(at);
  die_holding(at, lock_status::owner_died);
  die_holding(at, lock_status::owner_died);
  CHECK(at.lock.lock() == lock_status::owner_died);
  CHECK(at.lock.mark_consistent());
  CHECK(at.lock.unlock() == unlock_status::released);
  CHECK(at.lock.lock() == lock_status::acquired);
  CHECK(at.lock.unlock() == unlock_status::released);
}

// An owner that marked it consistent and dies afterwards is a new death.
template <class Kind>
void death_after_repair_is_a_new_one(stage<Kind>& at) {
  die_holding(at);
  expect_killed(start([&] {
    CHECK(at.lock.lock() == lock_status::owner_died);
    CHECK(at.lock.mark_consistent());
    raise(SIGKILL);
  }));
  CHECK(at.lock.lock() == lock_status::owner_died);
  CHECK(at.lock.mark_consistent());
  CHECK(at.lock.unlock() == unlock_status::released);
}

// "If the state ... is not made consistent before unlock, ... all subsequent attempts to
// lock shall fail with ENOTRECOVERABLE", in every process and for ever.
template <class Kind>
void unlock_without_repair_is_for_ever(stage<Kind>& at) {
  make_not_recoverable(at);
  for (int times = 0; times < 2; ++times) {
    CHECK(at.lock.lock() == lock_status::not_recoverable);
    CHECK(at.lock.lock_for(1000ms) == lock_status::not_recoverable);
  }
  expect_exit(start([&] { CHECK(at.lock.lock() == lock_status::not_recoverable); }));
}

// A try says so too, and does not leave the mutex locked behind it.
template <class Kind>
void try_of_an_unrepaired_mutex_leaves_it_free(stage<Kind>& at) {
  make_not_recoverable(at);
  for (int times = 0; times < 2; ++times) {
    CHECK(at.lock.try_lock() == lock_status::not_recoverable);
    CHECK(at.lock.lock_for(200ms) == lock_status::not_recoverable);
  }
  expect_exit(start([&] { CHECK(at.lock.try_lock() == lock_status::not_recoverable); }));
}

// Threads that wait at that moment are told the same, all of them.
template <class Kind>
void waiters_of_an_unrepaired_mutex_are_told(stage<Kind>& at) {
  constexpr int count = 3;
  die_holding(at);
  CHECK(at.lock.lock() == lock_status::owner_died);
  pid_t waiters[count];
  for (pid_t& waiter : waiters) {
    waiter = start([&] { CHECK(at.lock.lock() == lock_status::not_recoverable); });
  }
  for (const pid_t waiter : waiters) await_asleep(waiter);
  CHECK(at.lock.unlock() == unlock_status::released);
  // The wait is bounded: a libc may leave the waiters asleep.
  int told = 0;
  for (int look = 0; look < 3000 && told < count; ++look) {
    int status = 0;
    while (waitpid(-1, &status, WNOHANG) > 0) {
      CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
      ++told;
    }
    const timespec moment{.tv_sec = 0, .tv_nsec = 1'000'000};
    nanosleep(&moment, nullptr);
  }
  if (told < count) {
    for (const pid_t waiter : waiters) kill(waiter, SIGKILL);
  }
  CHECK(told == count);
}

// Destroyed and made anew, it can be used: "the only permissible operation".
template <class Kind>
void unrepaired_mutex_can_be_made_anew(stage<Kind>& at) {
  make_not_recoverable(at);
  at.lock.~Kind();
  // Some kinds of lock are new in zeroed memory, the others after their constructor.
  memset(static_cast<void*>(&at.lock), 0, sizeof at.lock);
  new (&at.lock) Kind;
  CHECK(at.lock.lock() == lock_status::acquired);
  CHECK(at.lock.unlock() == unlock_status::released);
}

// pthread_mutex_consistent is EINVAL when the mutex does not protect an inconsistent state.
template <class Kind>
void repair_of_what_is_whole_is_refused(stage<Kind>& at) {
  CHECK(!at.lock.mark_consistent());
  CHECK(at.lock.lock() == lock_status::acquired);
  CHECK(!at.lock.mark_consistent());
  CHECK(at.lock.unlock() == unlock_status::released);
  die_holding(at);
  CHECK(at.lock.lock() == lock_status::owner_died);
  CHECK(at.lock.mark_consistent());
  CHECK(!at.lock.mark_consistent());
  CHECK(at.lock.unlock() == unlock_status::released);
}

// ETIMEDOUT, and not before its time.
template <class Kind>
void timed_lock_of_a_held_mutex_times_out(stage<Kind>& at) {
  const pid_t owner = start([&] {
    CHECK(at.lock.lock() == lock_status::acquired);
    tell(at.reached);
    await(at.go_on, 1);
    CHECK(at.lock.unlock() == unlock_status::released);
  });
  await(at.reached, 1);
  timespec begin{};
  timespec end{};
  clock_gettime(CLOCK_MONOTONIC, &begin);
  CHECK(at.lock.lock_for(30ms) == lock_status::timed_out);
  clock_gettime(CLOCK_MONOTONIC, &end);
  const long long waited =
      (end.tv_sec - begin.tv_sec) * 1'000'000'000LL + end.tv_nsec - begin.tv_nsec;
  CHECK(waited >= 29'000'000); // a clock may be slewed
  CHECK(at.lock.lock_for(-1000ms) == lock_status::timed_out);
  tell(at.go_on);
  expect_exit(owner);
}

// "Under no circumstance shall the function fail with a timeout if the mutex can be
// locked immediately."
template <class Kind>
void timed_lock_of_a_free_mutex_never_times_out(stage<Kind>& at) {
  CHECK(at.lock.lock_for(-1000ms) == lock_status::acquired);
  CHECK(at.lock.unlock() == unlock_status::released);
  die_holding(at);
  CHECK(at.lock.lock_for(-1000ms) == lock_status::owner_died);
  CHECK(at.lock.mark_consistent());
  CHECK(at.lock.unlock() == unlock_status::released);
}

std::uint32_t handled;

// "If a signal is delivered to a thread waiting for a mutex, upon return from the signal
// handler the thread shall resume waiting": no EINTR.
template <class Kind>
void signal_does_not_end_a_wait(stage<Kind>& at) {
  CHECK(at.lock.lock() == lock_status::acquired);
  const pid_t waiter = start([&] {
    struct sigaction action {};
    action.sa_handler = [](int) { ++handled; };
    CHECK(sigaction(SIGUSR1, &action, nullptr) == 0); // without SA_RESTART
    tell(at.reached);
    CHECK(at.lock.lock() == lock_status::acquired);
    CHECK(handled == 1);
    CHECK(at.lock.unlock() == unlock_status::released);
  });
  await(at.reached, 1);
  await_asleep(waiter);
  CHECK(kill(waiter, SIGUSR1) == 0);
  for (int look = 0; look < 1000; ++look) sched_yield();
  await_asleep(waiter);
  CHECK(at.lock.unlock() == unlock_status::released);
  expect_exit(waiter);
}

// An owner sees what the last owner wrote, and no other thread is inside.
template <class Kind>
void critical_sections_follow_one_another(stage<Kind>& at) {
  constexpr int processes = 4;
  constexpr std::uint64_t rounds = 3000;
  pid_t all[processes];
  for (pid_t& each : all) {
    each = start([&] {
      for (std::uint64_t i = 0; i < rounds; ++i) {
        CHECK(at.lock.lock() == lock_status::acquired);
        at.counted = at.counted + 1;
        CHECK(at.lock.unlock() == unlock_status::released);
      }
    });
  }
  for (const pid_t each : all) expect_exit(each);
  CHECK(at.counted == processes * rounds);
}

// An owner dies with several mutexes held: the next owner of each is told.
template <class Kind>
void every_lock_of_a_dead_owner_is_told_of(stage<Kind>& first) {
  stage<Kind>& second = new_stage<Kind>();
  expect_killed(start([&] {
    CHECK(first.lock.lock() == lock_status::acquired);
    CHECK(second.lock.lock() == lock_status::acquired);
    raise(SIGKILL);
  }));
  for (stage<Kind>* each : {&first, &second}) {
    CHECK(each->lock.lock() == lock_status::owner_died);
    CHECK(each->lock.mark_consistent());
    CHECK(each->lock.unlock() == unlock_status::released);
  }
}

// Where a libc departs from the standard: seen here, and expected until it is not.
struct deviation {
  const char* libc;
  const char* kind;
  const char* clause;
};
#ifdef __GLIBC__
constexpr const char* this_libc = "glibc";
#else
constexpr const char* this_libc = "musl";
#endif
constexpr deviation deviations[] = {
    // 2.36: the try that is told ENOTRECOVERABLE keeps the word it took.
    {"glibc", "pthread_robust", "try_of_an_unrepaired_mutex_leaves_it_free"},
    // 2.36: the waiter that is told ENOTRECOVERABLE wakes no other: 1 of 3 is told.
    {"glibc", "pthread_robust", "waiters_of_an_unrepaired_mutex_are_told"},
    {"musl", "pthread_robust", "waiters_of_an_unrepaired_mutex_are_told"}, // 1.2.3, the same
};

// The preload library does not share them.
bool is_known_deviation(const char* kind, const char* clause) {
  const char* const preloaded = getenv("LD_PRELOAD");
  if (preloaded != nullptr && strstr(preloaded, "libdeadbolt-pthread.so") != nullptr) return false;
  for (const deviation& known : deviations) {
    if (strcmp(known.libc, this_libc) == 0 && strcmp(known.kind, kind) == 0 &&
        strcmp(known.clause, clause) == 0) {
      return true;
    }
  }
  return false;
}

bool passes(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

template <class Kind>
struct clause {
  const char* name;
  void (*check)(stage<Kind>& at);
};

// NOLINTBEGIN(bugprone-macro-parentheses): a template's name
#define CLAUSE(name)                                                                               \
  { #name, name < Kind> }
// NOLINTEND(bugprone-macro-parentheses)

template <class Kind>
int check_all(const char* wanted) {
  if (wanted != nullptr && strcmp(wanted, Kind::name) != 0) return 0;
  const clause<Kind> clauses[] = {
      CLAUSE(lock_makes_the_caller_its_owner),
      CLAUSE(unlock_by_a_stranger_is_refused),
      CLAUSE(lock_by_its_owner_is_a_deadlock),
      CLAUSE(death_of_the_owning_process_is_told_once),
      CLAUSE(end_of_the_owning_thread_is_told),
      CLAUSE(waiter_is_told_of_the_death),
      CLAUSE(exec_of_the_owner_is_told),
      CLAUSE(death_during_repair_is_told_again),
      CLAUSE(death_after_repair_is_a_new_one),
      CLAUSE(unlock_without_repair_is_for_ever),
      CLAUSE(try_of_an_unrepaired_mutex_leaves_it_free),
      CLAUSE(waiters_of_an_unrepaired_mutex_are_told),
      CLAUSE(unrepaired_mutex_can_be_made_anew),
      CLAUSE(repair_of_what_is_whole_is_refused),
      CLAUSE(timed_lock_of_a_held_mutex_times_out),
      CLAUSE(timed_lock_of_a_free_mutex_never_times_out),
      CLAUSE(signal_does_not_end_a_wait),
      CLAUSE(critical_sections_follow_one_another),
      CLAUSE(every_lock_of_a_dead_owner_is_told_of),
  };
  int held = 0;
  for (const clause<Kind>& each : clauses) {
    // In a process of its own, whose robust list is still unused.
    const bool holds = passes(start([&] { each.check(new_stage<Kind>()); }));
    const bool known = is_known_deviation(Kind::name, each.name);
    std::printf("%s %s: %s\n",
                holds   ? "holds"
                : known ? "deviates, as known"
                        : "FAILS",
                Kind::name, each.name);
    std::fflush(stdout);
    // A clause that this libc keeps must not be in the list of deviations any more.
    CHECK(holds != known);
    if (holds) ++held;
  }
  return held;
}

} // namespace

int main(int argument_count, char** arguments) {
  start_watchdog();
  const char* wanted = argument_count > 1 ? arguments[1] : nullptr;
  const int held = check_all<pthread_kind<PTHREAD_PRIO_NONE>>(wanted) +
                   check_all<pthread_kind<PTHREAD_PRIO_INHERIT>>(wanted) +
                   check_all<robust_mutex_kind>(wanted) + check_all<robust_pi_mutex_kind>(wanted) +
                   check_all<region_mutex_kind>(wanted);
  std::printf("%d clauses hold\n", held);
  return held > 0 ? 0 : 1;
}
