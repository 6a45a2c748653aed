// SPDX-License-Identifier: MIT
// A bounded queue between processes, with condition variables. One producer in four is
// killed somewhere in its work. No item is lost or taken twice, and no process waits for a
// dead one.
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;

// Two counters say what is in the queue. The last change that an operation makes is one store to
// one of them: there is never anything to undo.
class queue {
public:
  static constexpr std::uint64_t capacity = 8;

  void put(std::uint64_t item) {
    enter();
    wait_until(not_full_, [this] { return put_ - taken_ < capacity; });
    items_[put_ % capacity] = item;
    __atomic_store_n(&put_, put_ + 1, __ATOMIC_RELEASE);
    leave();
    not_empty_.notify_one();
  }

  // False when the queue stays empty for that long.
  bool take(std::uint64_t& item, std::chrono::milliseconds patience = 500ms) {
    enter();
    if (!wait_until(
            not_empty_, [this] { return put_ != taken_; }, patience)) {
      leave();
      return false;
    }
    item = items_[taken_ % capacity];
    __atomic_store_n(&taken_, taken_ + 1, __ATOMIC_RELEASE);
    leave();
    not_full_.notify_one();
    return true;
  }

private:
  void enter() {
    if (mutex_.lock().status() == deadbolt::lock_status::owner_died) mutex_.mark_consistent();
  }
  void leave() { static_cast<void>(mutex_.unlock()); }

  template <class Predicate>
  bool wait_until(deadbolt::condition_variable& condition, Predicate predicate,
                  std::chrono::milliseconds time = 1h) {
    const auto end = std::chrono::steady_clock::now() + time;
    for (;;) {
      const deadbolt::wait_status status = condition.wait_until(mutex_, end, predicate).status();
      if (status != deadbolt::wait_status::owner_died) {
        return status == deadbolt::wait_status::awake;
      }
      mutex_.mark_consistent(); // there is nothing to undo: wait on
    }
  }

  deadbolt::mutex mutex_;
  deadbolt::condition_variable not_empty_;
  deadbolt::condition_variable not_full_;
  std::uint64_t put_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t items_[capacity]{};
};

constexpr std::uint64_t producers = 8;
constexpr std::uint64_t items_each = 2000;

struct shared_state {
  queue numbers;
  std::uint64_t begun[producers]; // the last number that a producer was about to put
};

[[noreturn]] void produce(shared_state& shared, std::uint64_t producer) {
  alarm(60);
  const bool dies = producer % 4 == 0;
  if (dies) {
    // At any instruction, as the kernel's OOM killer would.
    const itimerval time{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 20'000}};
    std::signal(SIGALRM, [](int) { kill(getpid(), SIGKILL); });
    setitimer(ITIMER_REAL, &time, nullptr);
  }
  for (std::uint64_t i = 1; dies || i <= items_each; ++i) {
    shared.begun[producer] = i;
    shared.numbers.put(producer << 32 | i);
  }
  _exit(0);
}

} // namespace

int main() {
  deadbolt::region region =
      deadbolt::region::create_anonymous("queue", {.size = sizeof(shared_state)});
  if (!region) return 1;
  auto& shared = *region.find_or_construct<shared_state>("shared");
  for (std::uint64_t producer = 0; producer < producers; ++producer) {
    if (fork() == 0) produce(shared, producer);
  }
  std::uint64_t last[producers] = {};
  std::uint64_t total = 0;
  std::uint64_t item = 0;
  while (shared.numbers.take(item)) {
    const std::uint64_t producer = item >> 32;
    if (producer >= producers || (item & 0xffffffff) != last[producer] + 1)
      return 2; // lost or taken twice
    ++last[producer];
    ++total;
  }
  int killed = 0;
  int status = 0;
  while (wait(&status) > 0) killed += WIFSIGNALED(status) ? 1 : 0;
  for (std::uint64_t producer = 0; producer < producers; ++producer) {
    // A killed producer may have had one number still to put.
    const std::uint64_t missing = shared.begun[producer] - last[producer];
    if (missing > (producer % 4 == 0 ? 1U : 0U)) return 3;
  }
  std::printf("%llu items; %d producers were killed\n", static_cast<unsigned long long>(total),
              killed);
  return killed == producers / 4 ? 0 : 4;
}
