// SPDX-License-Identifier: MIT
// Death at every instruction of lock, unlock, attach, detach and creation.
#include <own_directory.hpp>
#include <region_support.hpp>
#include <stepped_child.hpp>

#include <base/file.hpp>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <optional>
#include <region/membership.hpp>
#include <string>
#include <sys/mman.h>

namespace deadbolt::testing {
namespace {

struct board {
  deadbolt::mutex lock;
  deadbolt::mutex other;
  std::uint64_t around[8];
};

void nothing(const stepped_child&) {}

void tell(const char* what, std::uint32_t points) {
  std::printf("%s: killed at each of %u instructions\n", what, points);
}
void tell(const char* what, const kill_points& points) {
  std::printf("%s: %u instructions, killed in each of %u states\n", what, points.instructions,
              points.killed);
}

class region_kill : public ::testing::Test {
protected:
  // One slot, so that each child can attach only if the dead one's slot can be taken over.
  region_of<board> shared{1};

  change_counter changes;
  // Of all of the region.
  [[nodiscard]] std::uint64_t everything() {
    const regions::open_region& mapping = *regions::region_at(shared.handle().data());
    return changes.look({{mapping.header(), sizeof(regions::region_header)},
                         {mapping.slot(0), sizeof(regions::member_slot)},
                         {shared.handle().data(), regions::slot_bytes}});
  }

  [[nodiscard]] bool whole_again(std::uint32_t instructions) {
    const std::string attached = name(shared.handle().attach());
    EXPECT_EQ(attached, "attached") << "killed after " << instructions;
    EXPECT_EQ(live_members(shared.handle()), 1u) << "killed after " << instructions;
    EXPECT_TRUE(shared.handle().detach()) << "killed after " << instructions;
    for (const std::uint64_t value : shared->around) EXPECT_EQ(value, 0u);
    return !HasFailure();
  }
};

TEST_F(region_kill, attach_killed_anywhere_leaves_a_slot_that_can_be_had) {
  const kill_points points = kill_in_every_state(
      [] {}, [&] { static_cast<void>(shared.handle().attach()); }, [&] { return everything(); },
      [&](std::uint32_t instructions) { return whole_again(instructions); });
  tell("attach", points);
  EXPECT_GT(points.killed, 20u);
}

TEST_F(region_kill, attach_with_a_former_members_pages_killed_anywhere_leaves_a_slot) {
  const kill_points points = kill_in_every_state(
      [&] {
        CHILD_EXPECT(name(shared.handle().attach()) == "attached");
        CHILD_EXPECT(shared.handle().detach());
      },
      [&] { static_cast<void>(shared.handle().attach()); }, [&] { return everything(); },
      [&](std::uint32_t instructions) { return whole_again(instructions); });
  tell("attach with a former member's pages", points);
  EXPECT_GT(points.killed, 10u);
}

// Before each attach, the slot's last owner has died with a lock held.
TEST_F(region_kill, takeover_of_a_dead_slot_killed_anywhere_leaves_one_that_can_be_had) {
  const auto leave_dead_member = [&] {
    EXPECT_EQ(run_in_child([&] {
                CHILD_EXPECT(static_cast<bool>(shared->lock.lock().status() !=
                                               lock_status::not_recoverable));
                raise(SIGKILL);
              }),
              killed_by(SIGKILL));
  };
  leave_dead_member();
  const kill_points points = kill_in_every_state(
      [] {}, [&] { static_cast<void>(shared.handle().attach()); }, [&] { return everything(); },
      [&](std::uint32_t instructions) {
        EXPECT_EQ(name(shared->lock.lock()), "owner_died") << "killed after " << instructions;
        EXPECT_TRUE(shared->lock.mark_consistent());
        EXPECT_EQ(name(shared->lock.unlock()), "released");
        EXPECT_TRUE(shared.handle().detach());
        const bool whole = whole_again(instructions);
        leave_dead_member();
        return whole;
      });
  tell("attach to a dead member's slot", points);
  EXPECT_GT(points.killed, 20u);
}

TEST_F(region_kill, detach_killed_anywhere_leaves_a_slot_that_can_be_had) {
  const kill_points points =
      kill_in_every_state([&] { CHILD_EXPECT(name(shared->lock.lock()) == "acquired"); },
                          [&] { shared.handle().detach(); }, [&] { return everything(); },
                          [&](std::uint32_t instructions) {
                            // Abandoned or killed: the lock was held.
                            EXPECT_EQ(name(shared->lock.lock()), "owner_died")
                                << "killed after " << instructions;
                            EXPECT_TRUE(shared->lock.mark_consistent());
                            EXPECT_EQ(name(shared->lock.unlock()), "released");
                            EXPECT_TRUE(shared.handle().detach());
                            return whole_again(instructions);
                          });
  tell("detach", points);
  EXPECT_GT(points.killed, 12u);
}

TEST_F(region_kill, lock_killed_anywhere_leaves_a_lock_that_can_be_had) {
  std::uint32_t held = 0;
  const std::uint32_t points =
      kill_at_every_instruction([&] { CHILD_EXPECT(name(shared.handle().attach()) == "attached"); },
                                [&] { static_cast<void>(shared->lock.lock().status()); }, nothing,
                                [&](std::uint32_t instructions) {
                                  const std::string result = name(shared->lock.try_lock());
                                  EXPECT_TRUE(result == "acquired" || result == "owner_died")
                                      << result << ", killed after " << instructions;
                                  if (result == "owner_died") {
                                    ++held;
                                    EXPECT_TRUE(shared->lock.mark_consistent());
                                  }
                                  EXPECT_EQ(name(shared->lock.unlock()), "released");
                                  EXPECT_TRUE(shared.handle().detach());
                                  return whole_again(instructions);
                                });
  tell("lock", points);
  EXPECT_GT(held, 0u);
  EXPECT_LT(held, points);
}

void attach_and_lock(region_of<board>& shared) {
  CHILD_EXPECT(name(shared.handle().attach()) == "attached");
  CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
}

// The memory becomes data as soon as the word is released: any data, the dying
// thread's TID and id among it.
TEST(region_kill_reuse, unlock_killed_anywhere_spares_reused_memory) {
  for (const bool contended : {false, true}) {
    region_of<board> shared{4};
    std::optional<std::uint64_t> data;
    std::uint32_t reused = 0;
    const std::uint32_t points = kill_at_every_instruction(
        [&] {
          attach_and_lock(shared); // a member before its first lock: it releases by a plain store
          // As if a waiter slept: unlock owes a wake.
          auto* word = const_cast<std::uint64_t*>(shared->lock.native_handle());
          if (contended) __atomic_fetch_or(word, regions::word_waiters, __ATOMIC_RELAXED);
        },
        [&] { static_cast<void>(shared->lock.unlock()); },
        [&](const stepped_child& child) {
          auto* word = const_cast<std::uint64_t*>(shared->lock.native_handle());
          data.reset();
          if (*word != 0) return;
          EXPECT_EQ(name(shared->lock.lock()), "acquired");
          EXPECT_EQ(name(shared->lock.unlock()), "released");
          const auto tid = static_cast<std::uint64_t>(child.pid());
          const std::uint64_t values[] = {tid, tid | FUTEX_WAITERS, tid << 32 | tid, 0, 1, 2};
          data = values[reused % std::size(values)];
          ++reused;
          *word = *data;
        },
        [&](std::uint32_t instructions) {
          auto* word = const_cast<std::uint64_t*>(shared->lock.native_handle());
          if (data) {
            EXPECT_EQ(*word, *data) << "killed after " << instructions;
            *word = 0;
          } else {
            EXPECT_EQ(name(shared->lock.lock()), "owner_died") << "killed after " << instructions;
            EXPECT_TRUE(shared->lock.mark_consistent());
            EXPECT_EQ(name(shared->lock.unlock()), "released");
          }
          return !::testing::Test::HasFailure();
        });
    tell(contended ? "unlock with a wake owed" : "unlock", points);
    EXPECT_GT(reused, 5u);
    EXPECT_LT(reused, points);
  }
}

TEST(region_kill_waiter, waiter_gets_the_lock_wherever_its_holder_dies) {
  region_of<board> shared{4};
  std::unique_ptr<child_process> waiter;
  const std::uint32_t points = kill_at_every_instruction(
      [&] { attach_and_lock(shared); }, [&] { static_cast<void>(shared->lock.unlock()); },
      [&](const stepped_child&) {
        waiter = std::make_unique<child_process>([&] { take_and_release(shared->lock); });
      },
      [&](std::uint32_t instructions) {
        const auto start = std::chrono::steady_clock::now();
        EXPECT_EQ(waiter->wait(), exited(0)) << "killed after " << instructions;
        EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds{5});
        return !::testing::Test::HasFailure();
      });
  tell("unlock before a waiter", points);
}

// As above, with the waiter asleep before the unlock begins.
TEST(region_kill_waiter, sleeping_waiter_gets_the_lock_wherever_its_holder_dies) {
  region_of<board> shared{4};
  for (std::uint32_t count = 0;; ++count) {
    stepped_child holder{[&] { attach_and_lock(shared); },
                         [&] { static_cast<void>(shared->lock.unlock()); }};
    child_process waiter{[&] { take_and_release(shared->lock); }};
    await_waiters(shared->lock);
    const bool within = holder.step(count);
    holder.kill();
    ASSERT_EQ(waiter.wait(), exited(0)) << "killed after " << count;
    if (!within) {
      tell("unlock of a sleeping waiter", count);
      break;
    }
  }
}

TEST(region_kill_create, creator_killed_anywhere_leaves_nothing_or_a_whole_region) {
  const own_directory own{"region-kill"};
  const std::string& path = own.path();
  constexpr region_options small{.size = 64, .members = 1};
  std::uint32_t made = 0;
  const kill_points points =
      kill_in_every_state([] {}, [&] { static_cast<void>(region::create(path.c_str(), small)); },
                          [] { return std::uint64_t{0}; }, // files change by system calls alone
                          [&](std::uint32_t instructions) {
                            region left = region::open(path.c_str());
                            const std::string status = name(left.status());
                            EXPECT_TRUE(status == "not_found" || status == "open")
                                << status << ", killed after " << instructions;
                            if (status == "open") {
                              ++made;
                              EXPECT_EQ(name(left.attach()), "attached");
                              EXPECT_EQ(name(left.at<deadbolt::mutex>(0)->lock()), "acquired");
                              EXPECT_EQ(name(left.at<deadbolt::mutex>(0)->unlock()), "released");
                            }
                            unlink(path.c_str());
                            return !::testing::Test::HasFailure();
                          });
  tell("create", points);
  EXPECT_GT(made, 0u);
  EXPECT_LT(made, points.killed);
}

// A file that a machine left when it stopped: its member holds a lock and is not marked.
void leave_unmarked_owner(const std::string& path) {
  unlink(path.c_str());
  ASSERT_EQ(run_in_child([&] {
              region own = region::create(path.c_str(), {.size = 64, .members = 2});
              CHILD_EXPECT(name(own.at<deadbolt::mutex>(0)->lock()) == "acquired");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  const int file = ::open(path.c_str(), O_RDWR);
  const std::uint32_t alive = 1 | FUTEX_WAITERS;
  EXPECT_EQ(pwrite(file, &alive, sizeof alive,
                   first_slot_in(path) + off_t{offsetof(regions::member_slot, tail)}),
            ssize_t{sizeof alive});
  const std::uint64_t other_boot = 1;
  EXPECT_EQ(
      pwrite(file, &other_boot, sizeof other_boot, offsetof(regions::region_header, last_home)),
      ssize_t{sizeof other_boot});
  close(file);
}

TEST(region_kill_create, adopter_killed_anywhere_leaves_a_file_that_the_next_one_adopts) {
  const own_directory own{"region-kill"};
  const std::string& path = own.path();
  leave_unmarked_owner(path);
  const std::size_t length = static_cast<std::size_t>(first_slot_in(path)) + regions::slot_bytes;
  const base::descriptor file{base::open_file(path.c_str(), O_RDONLY)};
  const auto unmap = [length](void* mapped) { munmap(mapped, length); };
  const std::unique_ptr<void, decltype(unmap)> begin{
      mmap(nullptr, length, PROT_READ, MAP_SHARED, file.get(), 0), unmap};
  ASSERT_NE(begin.get(), MAP_FAILED);
  change_counter changes;
  const kill_points points =
      kill_in_every_state([] {}, [&] { static_cast<void>(region::open(path.c_str())); },
                          // The adopter writes to the header and to slot 0.
                          [&] {
                            return changes.look({{begin.get(), length}});
                          },
                          [&](std::uint32_t instructions) {
                            region left = region::open(path.c_str());
                            EXPECT_EQ(name(left.status()), "open")
                                << "killed after " << instructions;
                            EXPECT_EQ(live_members(left), 0u) << "killed after " << instructions;
                            EXPECT_EQ(name(left.at<deadbolt::mutex>(0)->try_lock()), "owner_died")
                                << "killed after " << instructions;
                            left.close();
                            leave_unmarked_owner(path);
                            return !::testing::Test::HasFailure();
                          });
  unlink(path.c_str());
  tell("adoption", points);
  EXPECT_GT(points.killed, 20u);
}

TEST(region_kill_create, replacer_killed_anywhere_leaves_the_old_file_or_a_whole_region) {
  const own_directory own{"region-kill"};
  const std::string& path = own.path();
  constexpr region_options small{.size = 64, .members = 1};
  const auto leave_damaged = [&] {
    unlink(path.c_str());
    region::create(path.c_str(), small).close();
    const int file = ::open(path.c_str(), O_RDWR);
    const char wrong = 'x';
    EXPECT_EQ(pwrite(file, &wrong, 1, 60), 1);
    close(file);
  };
  leave_damaged();
  std::uint32_t replaced = 0;
  const kill_points points = kill_in_every_state(
      [] {}, [&] { static_cast<void>(region::open_or_replace(path.c_str(), small)); },
      [] { return std::uint64_t{0}; }, // files change by system calls alone
      [&](std::uint32_t instructions) {
        const std::string status = name(region::open(path.c_str()).status());
        EXPECT_TRUE(status == "damaged" || status == "open")
            << status << ", killed after " << instructions;
        if (status == "open") ++replaced;
        region left = region::open_or_replace(path.c_str(), small);
        EXPECT_EQ(name(left.status()), "open") << "killed after " << instructions;
        EXPECT_EQ(name(left.at<deadbolt::mutex>(0)->lock()), "acquired");
        EXPECT_EQ(name(left.at<deadbolt::mutex>(0)->unlock()), "released");
        // One that is killed between the two names of the new file leaves the first.
        for (const auto& entry : std::filesystem::directory_iterator(own.name())) {
          const std::string file = entry.path();
          EXPECT_FALSE(file.starts_with(path + ".")) << file << ", killed after " << instructions;
        }
        left.close();
        leave_damaged();
        return !::testing::Test::HasFailure();
      });
  unlink(path.c_str());
  tell("replacement", points);
  EXPECT_GT(replaced, 0u);
  EXPECT_LT(replaced, points.killed);
}

} // namespace
} // namespace deadbolt::testing
