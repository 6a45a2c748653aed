// SPDX-License-Identifier: MIT
// Threads with the same TID, 1, in different PID namespaces.
#include <region_support.hpp>
#include <stepped_child.hpp>

#include <optional>

namespace deadbolt::testing {
namespace {

struct board {
  deadbolt::mutex lock[2];
  gate held[2];
  gate go[3];
  std::atomic<std::uint32_t> attached;
};

// Thread 1 of process 1 of its own PID namespace.
class namespaced_child {
public:
  template <class Body>
  explicit namespaced_child(Body body) : pid_{fork_into_pid_namespace()} {
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(60);
    CHILD_EXPECT(getpid() == 1 && syscall(SYS_gettid) == 1);
    body();
    _exit(0);
  }
  namespaced_child(const namespaced_child&) = delete;
  namespaced_child& operator=(const namespaced_child&) = delete;
  ~namespaced_child() {
    if (pid_ > 0) static_cast<void>(kill());
  }
  [[nodiscard]] ending kill() {
    ::kill(pid_, SIGKILL);
    return wait();
  }
  [[nodiscard]] ending wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFSIGNALED(status) ? killed_by(WTERMSIG(status)) : exited(WEXITSTATUS(status));
  }

private:
  pid_t pid_;
};

class region_namespace : public ::testing::Test {
protected:
  void SetUp() override {
    const pid_t trial = fork_into_pid_namespace();
    if (trial == 0) _exit(0);
    if (trial < 0) GTEST_SKIP() << "no new PID namespace: clone says errno " << errno;
    waitpid(trial, nullptr, 0);
  }
};

TEST_F(region_namespace, death_of_one_leaves_its_namesakes_membership_alone) {
  region_of<board> shared;
  const auto hold = [&](int which) {
    return [&shared, which] {
      CHILD_EXPECT(name(shared->lock[which].lock()) == "acquired");
      shared->held[which].open();
      shared->go[which].pass("the end");
      CHILD_EXPECT(name(shared->lock[which].unlock()) == "released");
    };
  };
  namespaced_child first{hold(0)};
  namespaced_child second{hold(1)};
  shared->held[0].pass("the first");
  shared->held[1].pass("the second");
  EXPECT_EQ(live_members(shared.handle()), 2u);
  EXPECT_EQ(first.kill(), killed_by(SIGKILL));
  EXPECT_EQ(name(shared->lock[0].lock()), "owner_died");
  EXPECT_EQ(name(shared->lock[1].try_lock()), "busy");
  shared->go[1].open();
  EXPECT_EQ(second.wait(), exited(0));
  EXPECT_EQ(name(shared->lock[1].lock()), "acquired");
}

TEST_F(region_namespace, locks_pass_between_namespaces) {
  region_of<board> shared;
  ASSERT_EQ(name(shared->lock[0].lock()), "acquired");
  namespaced_child waiter{[&] {
    CHILD_EXPECT(name(shared->lock[0].lock()) == "acquired");
    CHILD_EXPECT(name(shared->lock[0].unlock()) == "released");
  }};
  await_waiters(shared->lock[0]);
  EXPECT_EQ(name(shared->lock[0].unlock()), "released");
  EXPECT_EQ(waiter.wait(), exited(0));
}

// What goes wrong in a simpler protocol: A is in the middle of attach or detach, B, which has the
// same TID, takes the only slot, A dies, and the kernel takes B's liveness word for A's.
class namesakes : public region_namespace, public ::testing::WithParamInterface<bool> {};

TEST_P(namesakes, next_member_of_the_slot_is_not_marked_wherever_its_namesake_dies) {
  const bool detaches = GetParam();
  std::uint32_t taken_before = 0;
  std::uint32_t taken_after = 0;
  trail known;
  const auto round = [&](std::optional<std::uint32_t> count, std::vector<std::uint32_t>* points) {
    region_of<board> shared{1};
    const auto prepare = [&] {
      if (detaches) CHILD_EXPECT(name(shared.handle().attach()) == "attached");
    };
    const auto operation = [&] {
      if (detaches) {
        shared.handle().detach();
      } else {
        static_cast<void>(shared.handle().attach());
      }
    };
    if (points != nullptr) {
      stepped_child dying{prepare, operation, true};
      points->push_back(0);
      std::uint64_t seen = 0;
      for (std::uint32_t at = 1;; ++at) {
        known.add(dying.instruction_pointer());
        const bool calls = dying.is_at_system_call();
        if (!dying.step(1)) return;
        const std::uint64_t now = dying.list_state() ^ liveness_at(shared.handle(), 0);
        if (calls || now != seen) points->push_back(at);
        seen = now;
      }
    }
    std::optional<stepped_child> dying;
    if (!stop_after(dying, known, *count, prepare, operation, true)) return;
    namespaced_child stranger{[&] {
      shared->go[0].pass("the middle of the operation");
      const std::string early = name(shared.handle().attach());
      CHILD_EXPECT(early == "attached" || early == "table_full");
      shared->attached = early == "attached" ? 1 : 0;
      shared->held[0].open();
      shared->go[1].pass("the death");
      CHILD_EXPECT(name(shared.handle().attach()) == "attached");
      CHILD_EXPECT(liveness_at(shared.handle(), 0) == (1 | FUTEX_WAITERS));
      CHILD_EXPECT(name(shared->lock[0].lock()) == "acquired");
      CHILD_EXPECT(name(shared->lock[0].unlock()) == "released");
    }};
    shared->go[0].open();
    shared->held[0].pass("the stranger's try");
    ++(shared->attached == 1 ? taken_before : taken_after);
    dying->kill();
    shared->go[1].open();
    EXPECT_EQ(stranger.wait(), exited(0)) << "killed after " << *count;
  };
  std::vector<std::uint32_t> points;
  round({}, &points);
  for (const std::uint32_t count : points) {
    round(count, nullptr);
    if (HasFailure()) break;
  }
  std::printf("%zu states: the stranger had the slot before the death in %u, after it in %u\n",
              points.size(), taken_before, taken_after);
  EXPECT_GT(taken_before, 0u);
  EXPECT_GT(taken_after, 0u);
}

INSTANTIATE_TEST_SUITE_P(attach_and_detach, namesakes, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "detach" : "attach"; });

} // namespace
} // namespace deadbolt::testing
