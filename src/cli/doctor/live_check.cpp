// SPDX-License-Identifier: MIT
// A child that holds a mutex is killed: does its death reach the next owner?
#include "cli/doctor/checks.hpp"

#include "base/descriptor.hpp"
#include "base/robust_list.hpp"

#include <deadbolt/robust_mutex.hpp>
#include <fmt/core.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::cli::doctor {
namespace {

constexpr std::chrono::seconds patience{5};

class shared_mutex_memory {
public:
  shared_mutex_memory()
      : memory_{::mmap(nullptr, sizeof(robust_mutex), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {
    if (memory_ != MAP_FAILED) mutex_ = new (memory_) robust_mutex;
  }
  shared_mutex_memory(const shared_mutex_memory&) = delete;
  shared_mutex_memory& operator=(const shared_mutex_memory&) = delete;
  ~shared_mutex_memory() {
    if (mutex_ == nullptr) return;
    mutex_->~robust_mutex();
    ::munmap(memory_, sizeof(robust_mutex));
  }
  [[nodiscard]] robust_mutex* mutex() const { return mutex_; }

private:
  void* memory_;
  robust_mutex* mutex_ = nullptr;
};

[[noreturn]] void hold_until_killed(robust_mutex& mutex, int held) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char answer = mutex.lock().status() == lock_status::acquired ? 'h' : 'n';
  if (::write(held, &answer, 1) != 1) ::_exit(1);
  for (;;) ::pause();
}

// What the child says of its lock within the patience; '?' if nothing.
char await_child(int held) {
  pollfd ready{.fd = held, .events = POLLIN, .revents = 0};
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
  char answer = '?';
  if (::poll(&ready, 1, static_cast<int>(limit.count())) != 1) return '?';
  return ::read(held, &answer, 1) == 1 ? answer : '?';
}

} // namespace

live_facts gather_live_facts() {
  live_facts facts;
  // A lock would end this process, as it should any other.
  if (base::own_robust_list() == nullptr) {
    facts.failure = "this thread has no robust list";
    return facts;
  }
  const shared_mutex_memory memory;
  std::array<int, 2> ends{};
  if (memory.mutex() == nullptr || ::pipe2(ends.data(), O_CLOEXEC) != 0) {
    facts.failure = std::strerror(errno);
    return facts;
  }
  base::descriptor reading{ends[0]};
  base::descriptor writing{ends[1]};
  const pid_t child = ::fork();
  if (child < 0) {
    facts.failure = std::strerror(errno);
    return facts;
  }
  if (child == 0) hold_until_killed(*memory.mutex(), writing.get());
  writing.reset();

  const char answer = await_child(reading.get());
  const auto before = std::chrono::steady_clock::now();
  ::kill(child, SIGKILL);
  if (answer == 'h') {
    facts.status = memory.mutex()->try_lock_for(patience).status();
    facts.took = std::chrono::steady_clock::now() - before;
  } else {
    facts.failure = answer == 'n' ? "the child could not lock a new mutex"
                                  : "the child did not come to lock a new mutex";
  }
  if (facts.status == lock_status::owner_died) memory.mutex()->mark_consistent();
  static_cast<void>(memory.mutex()->unlock());
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return facts;
}

finding judge_live_check(const live_facts& facts) {
  finding found{.check = "live check", .severity = level::broken, .what = {}, .what_to_do = {}};
  if (!facts.failure.empty()) {
    found.what = "could not be made: " + facts.failure;
    found.what_to_do = "nothing here may be relied on until it can";
  } else if (facts.status == lock_status::owner_died) {
    const auto took = std::chrono::duration<double, std::micro>(facts.took);
    found.severity = level::ok;
    found.what = fmt::format(
        "a child was killed with a mutex held; the next owner was told in {:.0f} us", took.count());
  } else {
    found.what =
        fmt::format("a child was killed with a mutex held; the next try to lock it says {}",
                    deadbolt::to_string(facts.status));
    found.what_to_do =
        "do not use robust locks here: this kernel or a sandbox loses an owner's death";
  }
  return found;
}

} // namespace deadbolt::cli::doctor
