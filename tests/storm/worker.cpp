// SPDX-License-Identifier: MIT
#include "ending.hpp"
#include "storm.hpp"

#include <csignal>
#include <random>
#include <sched.h>
#include <sys/prctl.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <vector>

namespace deadbolt::storm::detail {
namespace {

void exit_at_once(int /*signal*/) {
  _exit(group_exit_status); // exit_group: the other threads die wherever they are
}

// The process becomes /bin/true, which does nothing. To the locks this is the process's death.
void exec_at_once(int /*signal*/) {
  static char name[] = "true";
  static char* arguments[] = {name, nullptr};
  execve("/bin/true", arguments, environ);
  _exit(no_exec_status);
}

class worker_thread {
public:
  worker_thread(const stage& stage, worker& self, std::uint64_t seed)
      : stage_{stage}, shared_{stage.shared}, self_{self}, id_{++stage.shared.incarnations},
        random_{seed ^ id_} {
    self.incarnation.store(id_);
  }

  void run() {
    self_.tid.store(gettid());
    while (!shared_.stop.load(std::memory_order_relaxed)) {
      const auto first = static_cast<std::uint32_t>(random_() % stage_.used_locks());
      const auto second = static_cast<std::uint32_t>(random_() % stage_.used_locks());
      const bool reads =
          stage_.subject.shares() == crash::sharing::victims_way && random_() % 3 != 0;
      if (reads) {
        if (!read(first)) return;
      } else {
        if (!enter(first)) return;
        // Takes two locks in ascending order only, so that there is no deadlock.
        const bool two = second > first && random_() % 4 == 0;
        if (two && !enter(second)) return;
        linger();
        if (two && !leave(second)) return;
        if (!leave(first)) return;
      }
      if (random_() % 8 == 0) linger();
    }
  }

private:
  bool report(violation what, std::uint32_t lock, std::uint32_t detail = 0) {
    violation none = violation::none;
    if (shared_.found.compare_exchange_strong(none, what)) {
      shared_.found_lock.store(lock);
      shared_.found_detail.store(detail);
    }
    return false;
  }

  // Several readers may be inside at once, but no writer.
  bool read(std::uint32_t number) {
    void* const lock = stage_.lock(number);
    guarded& data = shared_.data[number];
    const crash::grant how = wait_for(number, [&] { return stage_.subject.victims_lock(lock); });
    if (how == crash::grant::owner_died) {
      // This reader now holds the lock alone until its unlock, as a writer does.
      if (!own(number, how)) return false;
      linger();
      return leave(number, [&] { return stage_.subject.victims_unlock(lock); });
    }
    if (how != crash::grant::acquired) {
      return report(violation::refused, number, static_cast<std::uint32_t>(how));
    }
    data.changed.store(now(), std::memory_order_relaxed);
    place& written = data.places[0];
    const std::uint64_t begun = look(written.before);
    if (written.owner.load(std::memory_order_relaxed) != 0 || begun != look(written.after)) {
      return report(violation::never_left, number);
    }
    linger();
    if (begun != look(written.before)) return report(violation::two_inside, number);
    data.changed.store(now(), std::memory_order_relaxed);
    shared_.sections.fetch_add(1, std::memory_order_relaxed);
    if (!stage_.subject.victims_unlock(lock)) return report(violation::unlock_refused, number);
    return true;
  }
  static std::uint64_t look(const std::uint64_t& value) {
    return *static_cast<const volatile std::uint64_t*>(&value);
  }

  template <class Lock>
  crash::grant wait_for(std::uint32_t number, Lock&& lock) {
    self_.waiting_for.store(number, std::memory_order_relaxed);
    const std::int64_t since = now();
    self_.waiting_since.store(since, std::memory_order_relaxed);
    const crash::grant how = lock();
    self_.waiting_since.store(0, std::memory_order_relaxed);
    const std::int64_t end = now();
    const std::int64_t changed = shared_.data[number].changed.load(std::memory_order_relaxed);
    raise_to(shared_.longest_wait, end - since);
    raise_to(shared_.longest_rest, end - std::max(since, changed));
    return how;
  }
  static void raise_to(std::atomic<std::int64_t>& most, std::int64_t value) {
    std::int64_t seen = most.load(std::memory_order_relaxed);
    while (seen < value && !most.compare_exchange_weak(seen, value)) {
    }
  }

  bool enter(std::uint32_t number) {
    void* const lock = stage_.lock(number);
    crash::grant how = random_() % 4 == 0 ? stage_.subject.try_lock(lock) : crash::grant::busy;
    if (how == crash::grant::busy) {
      how = wait_for(number, [&] { return stage_.subject.lock(lock); });
    }
    return own(number, how);
  }

  // Checks and records that the lock was granted to this thread.
  bool own(std::uint32_t number, crash::grant how) {
    guarded& data = shared_.data[number];
    data.changed.store(now(), std::memory_order_relaxed);
    if (!crash::held(how)) {
      return report(violation::refused, number, static_cast<std::uint32_t>(how));
    }
    if (stage_.permits == 1) return take_only_place(number, how);
    places_[number] = find_place(number);
    return places_[number] != nullptr;
  }

  // For a lock that admits one thread.
  bool take_only_place(std::uint32_t number, crash::grant how) {
    place& only = shared_.data[number].places[0];
    places_[number] = &only;
    const std::uint64_t inside = only.owner.exchange(id_, std::memory_order_relaxed);
    if (how == crash::grant::owner_died) {
      take_over(only);
      stage_.subject.mark_consistent(stage_.lock(number));
    } else if (!stage_.subject.tells() && inside != 0 && is_killed(inside)) {
      take_over(only);
    } else if (inside != 0 || only.before != only.after) {
      return report(violation::never_left, number);
    }
    ++only.before;
    return true;
  }
  void take_over(place& from) {
    shared_.takeovers.fetch_add(1, std::memory_order_relaxed);
    from.after = from.before;
  }

  // For a lock that admits several threads and does not report an owner's death. Finds a place
  // that is free or whose owner was killed; if there is none, more threads were admitted than the
  // lock has permits. A search may miss a place that another thread claims and leaves meanwhile.
  // But if no other thread began to claim a place during the search (`claims`), then each owner
  // that the search saw alive had a permit when the search began, and so had this thread: there
  // must be a place without a live owner for this thread.
  // A killed owner's place is the last choice: that owner may not be dead yet, while the permit
  // that this thread got came from another doomed owner.
  place* find_place(std::uint32_t number) {
    guarded& data = shared_.data[number];
    for (;;) {
      const std::uint64_t claims = ++data.claims;
      for (std::uint32_t i = 0; i < stage_.permits; ++i) {
        std::uint64_t nobody = 0;
        if (data.places[i].owner.compare_exchange_strong(nobody, id_)) return &data.places[i];
      }
      if (data.claims.load() != claims) continue;
      for (std::uint32_t i = 0; i < stage_.permits; ++i) {
        std::uint64_t inside = data.places[i].owner.load();
        if (inside == 0 || !is_killed(inside)) continue;
        if (!data.places[i].owner.compare_exchange_strong(inside, id_)) continue;
        shared_.takeovers.fetch_add(1, std::memory_order_relaxed);
        return &data.places[i];
      }
      if (data.claims.load() != claims) continue;
      report(violation::one_too_many, number);
      return nullptr;
    }
  }

  // An incarnation that no worker has any more was killed and replaced. A worker may be replaced
  // during this search; then `doomed` may describe the new incarnation (driver::spawn).
  [[nodiscard]] bool is_killed(std::uint64_t incarnation) const {
    for (const worker& one : shared_.workers) {
      if (one.incarnation.load() != incarnation) continue;
      const bool doomed = one.doomed.load();
      return doomed || one.incarnation.load() != incarnation;
    }
    return true;
  }

  bool leave(std::uint32_t number) {
    return leave(number, [&] { return stage_.subject.unlock(stage_.lock(number)); });
  }
  template <class Unlock>
  bool leave(std::uint32_t number, Unlock&& unlock) {
    shared_.sections.fetch_add(1, std::memory_order_relaxed);
    if (!leave_place(*places_[number])) return report(violation::two_inside, number);
    shared_.data[number].changed.store(now(), std::memory_order_relaxed);
    if (!unlock()) return report(violation::unlock_refused, number);
    return true;
  }

  bool leave_place(place& mine) const {
    if (stage_.permits == 1) {
      ++mine.after;
      return mine.after == mine.before && mine.owner.exchange(0, std::memory_order_relaxed) == id_;
    }
    std::uint64_t owner = id_;
    return mine.owner.compare_exchange_strong(owner, 0) || self_.doomed.load();
  }

  // Mostly a moment, so that most kills hit a thread in an operation; sometimes long
  // enough for the waiters to fall asleep.
  void linger() {
    const auto kind = random_() % 64;
    if (kind == 0) {
      const timespec moment{.tv_sec = 0, .tv_nsec = 50'000};
      nanosleep(&moment, nullptr);
    } else if (kind < 4) {
      sched_yield();
    } else {
      for (auto i = kind * 4; i > 0; --i) __asm__ volatile("");
    }
  }

  const stage& stage_;
  control& shared_;
  worker& self_;
  std::uint64_t id_;
  place* places_[locks]{}; // where this thread is inside
  std::minstd_rand random_;
};

} // namespace

void work(const stage& stage, const options& options, std::uint32_t process) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct sigaction action {};
  action.sa_handler = exit_at_once;
  sigaction(exit_signal, &action, nullptr);
  action.sa_handler = exec_at_once;
  sigaction(exec_signal, &action, nullptr);

  const auto run = [&](std::uint32_t thread) {
    worker& self = stage.shared.workers[process * options.threads + thread];
    worker_thread{stage, self, options.seed}.run();
  };
  std::vector<std::thread> others;
  others.reserve(options.threads - 1);
  for (std::uint32_t thread = 1; thread < options.threads; ++thread) {
    others.emplace_back(run, thread);
  }
  run(0);
  for (std::thread& other : others) other.join();
  _exit(calm_status);
}

} // namespace deadbolt::storm::detail
