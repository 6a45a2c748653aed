// SPDX-License-Identifier: MIT
// Becoming a member of a region and ceasing to be one: threads, forks, clones, full
// tables, lost descriptors, generations.
#include <region_support.hpp>

#include <futex_thread.hpp>
#include <region/membership.hpp>

#include <csignal>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <vector>

namespace deadbolt::testing {
namespace {

struct board {
  deadbolt::mutex lock;
  deadbolt::mutex other;
  gate held;
  gate go;
  std::uint64_t value;
};

std::vector<std::uint64_t> generations(region& region) {
  std::vector<std::uint64_t> all;
  all.reserve(region.members());
  for (std::uint32_t slot = 0; slot < region.members(); ++slot) {
    all.push_back(slot_at(region, slot).generation);
  }
  return all;
}

TEST(region_member, attach_and_detach_are_counted_once) {
  region_of<board> shared;
  EXPECT_FALSE(shared.handle().detach());
  EXPECT_EQ(name(shared.handle().attach()), "attached");
  EXPECT_EQ(name(shared.handle().attach()), "attached");
  EXPECT_EQ(live_members(shared.handle()), 1u);
  EXPECT_TRUE(shared.handle().detach());
  EXPECT_FALSE(shared.handle().detach());
  EXPECT_EQ(live_members(shared.handle()), 0u);
}

TEST(region_member, liveness_word_is_the_threads_tid_and_on_its_list) {
  region_of<board> shared;
  ASSERT_EQ(name(shared.handle().attach()), "attached");
  for (std::uint32_t slot = 0; slot < 16; ++slot) {
    if (regions::is_alive(liveness_at(shared.handle(), slot))) {
      EXPECT_EQ(liveness_at(shared.handle(), slot),
                static_cast<std::uint32_t>(gettid()) | FUTEX_WAITERS);
      EXPECT_EQ(slot_at(shared.handle(), slot).pid, static_cast<std::uint32_t>(getpid()));
    }
  }
  EXPECT_EQ(words_on_own_list().size(), 1u);
  EXPECT_TRUE(shared.handle().detach());
  EXPECT_TRUE(words_on_own_list().empty());
}

TEST(region_member, full_table_is_an_error_until_a_member_leaves) {
  region_of<board> shared{2};
  known_thread one{[&] {
    EXPECT_EQ(name(shared.handle().attach()), "attached");
    shared->go.pass("the end");
  }};
  ASSERT_EQ(name(shared.handle().attach()), "attached");
  await("two members", [&] { return live_members(shared.handle()) == 2; });
  EXPECT_EQ(run_in_child([&] { CHILD_EXPECT(name(shared.handle().attach()) == "table_full"); }),
            exited(0));
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->lock.lock()) == "cannot_attach");
              CHILD_EXPECT(last_attach_failure().status == attach_status::table_full);
              CHILD_EXPECT(name(shared->lock.try_lock()) == "cannot_attach");
              CHILD_EXPECT(name(shared->lock.unlock()) == "not_owner");
            }),
            exited(0));
  EXPECT_TRUE(shared.handle().detach());
  EXPECT_EQ(run_in_child([&] { CHILD_EXPECT(name(shared.handle().attach()) == "attached"); }),
            exited(0));
  shared->go.open();
}

TEST(region_member, generation_advances_at_every_change_of_owner) {
  region_of<board> shared{1};
  std::uint64_t last = 0;
  for (int round = 0; round < 20; ++round) {
    if (round % 2 == 0) {
      ASSERT_EQ(name(shared.handle().attach()), "attached");
      ASSERT_TRUE(shared.handle().detach());
      ASSERT_GT(generations(shared.handle())[0], last);
    } else {
      ASSERT_EQ(run_in_child([&] {
                  CHILD_EXPECT(name(shared.handle().attach()) == "attached");
                  raise(SIGKILL);
                }),
                killed_by(SIGKILL));
    }
    last = generations(shared.handle())[0];
  }
}

// A lock word that names a former generation names no live owner.
TEST(region_member, reused_slot_does_not_inherit_its_former_owners_locks) {
  region_of<board> shared{1};
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  ASSERT_EQ(name(shared.handle().attach()), "attached");
  EXPECT_EQ(name(shared->lock.unlock()), "not_owner");
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
}

TEST(region_member, exhausted_slot_is_retired_for_ever) {
  region_of<board> shared{1};
  slot_at(shared.handle(), 0).generation = regions::last_generation - 1;
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(regions::generation_of(word_of(shared->lock)), regions::last_generation - 1);
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_TRUE(shared.handle().detach());
  // One generation left, which is never given.
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(name(shared.handle().attach()), "table_full");
    EXPECT_EQ(generations(shared.handle())[0], regions::last_generation);
  }
}

TEST(region_member, lock_ids_of_all_slots_and_generations_come_back_as_they_were) {
  for (std::uint32_t slot = 0; slot < regions::most_members; slot += 61) {
    for (std::uint64_t generation = 0; generation <= regions::last_generation;
         generation = generation * 3 + 1) {
      const std::uint64_t id = regions::owner_id(slot, generation);
      ASSERT_EQ(regions::slot_of(id), slot);
      ASSERT_EQ(regions::generation_of(id), generation);
      ASSERT_EQ(id & regions::word_flags, 0u);
      ASSERT_FALSE(regions::is_free(id) || regions::is_not_recoverable(id));
    }
  }
}

TEST(region_member, thread_churn_leaves_no_members_and_no_mappings) {
  region_of<board> shared{4};
  const auto mappings = [] {
    std::FILE* maps = std::fopen("/proc/self/maps", "r");
    int lines = 0;
    for (int c = std::fgetc(maps); c != EOF; c = std::fgetc(maps)) lines += c == '\n' ? 1 : 0;
    std::fclose(maps);
    return lines;
  };
  const auto churn = [&] {
    for (int i = 0; i < 200; ++i) {
      std::thread{[&] {
        EXPECT_EQ(name(shared->lock.lock()), "acquired");
        EXPECT_EQ(name(shared->lock.unlock()), "released");
      }}.join();
    }
  };
  churn(); // the libc's own stacks and arenas
  const int before = mappings();
  churn();
  EXPECT_LE(mappings(), before + 4);
  EXPECT_EQ(live_members(shared.handle()), 0u);
}

bool is_mapped(std::uintptr_t address) {
  unsigned char resident = 0;
  const std::uintptr_t page = address & ~(static_cast<std::uintptr_t>(getpagesize()) - 1);
  return mincore(reinterpret_cast<void*>(page), 1, &resident) == 0;
}

TEST(region_member, a_slots_next_member_gets_its_pages_until_the_region_is_closed) {
  region_of<board> shared{4};
  std::vector<std::uintptr_t> words;
  const auto attach = [&] {
    EXPECT_EQ(name(shared.handle().attach()), "attached");
    ASSERT_EQ(words_on_own_list().size(), 1u);
    words.push_back(reinterpret_cast<std::uintptr_t>(words_on_own_list().front()));
  };
  std::thread{attach}.join();
  std::thread{[&] {
    attach();
    EXPECT_EQ(live_members(shared.handle()), 1u);
    EXPECT_EQ(name(shared->lock.lock()), "acquired");
    EXPECT_EQ(name(shared->lock.unlock()), "released");
  }}.join();
  EXPECT_EQ(words.at(0), words.at(1));
  EXPECT_TRUE(is_mapped(words.at(0)));
  EXPECT_TRUE(shared.handle().close());
  EXPECT_FALSE(is_mapped(words.at(0)));
}

TEST(region_member, child_of_fork_does_not_use_its_parents_spare_pages) {
  region_of<board> shared{4};
  ASSERT_EQ(name(shared.handle().attach()), "attached");
  ASSERT_TRUE(shared.handle().detach());
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
              CHILD_EXPECT(words_on_own_list().size() == 1);
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST(region_member, forked_child_is_no_member_and_owns_nothing) {
  region_of<board> shared;
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->lock.unlock()) == "not_owner");
              CHILD_EXPECT(name(shared->lock.try_lock()) == "busy");
              CHILD_EXPECT(live_members(shared.handle()) == 2);
              CHILD_EXPECT(name(shared->other.lock()) == "acquired");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(name(shared->other.lock()), "owner_died");
  EXPECT_EQ(name(shared->lock.lock()), "deadlock") << "the parent holds it as before";
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST(region_member, child_of_a_raw_clone_is_no_member_either) {
  region_of<board> shared;
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  const auto child =
      static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Its libc has registered no robust list for it: it cannot be a member.
    if (name(shared->lock.unlock()) != "not_owner") _exit(1);
    const attach_status status = shared.handle().attach();
    if (status != attach_status::attached && status != attach_status::no_robust_list) _exit(2);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST(region_member, forks_while_other_threads_attach_leave_children_whole) {
  region_of<board> shared{64};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  threads.reserve(2);
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        EXPECT_EQ(name(shared.handle().attach()), "attached");
        EXPECT_TRUE(shared.handle().detach());
      }
    });
  }
  for (int round = 0; round < 100; ++round) {
    ASSERT_EQ(run_in_child([&] {
                CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
                CHILD_EXPECT(name(shared->lock.unlock()) == "released");
              }),
              exited(0));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(live_members(shared.handle()), 0u);
}

TEST(region_member, attach_in_the_middle_of_a_libc_operation_is_refused) {
  region_of<board> shared;
  robust_list_head* head = own_head();
  ASSERT_NE(head, nullptr);
  head->list_op_pending = &head->list; // as it is while glibc changes the list
  EXPECT_EQ(name(shared.handle().attach()), "interrupted_libc");
  head->list_op_pending = nullptr;
  EXPECT_EQ(name(shared.handle().attach()), "attached");
  head->list_op_pending = &head->list;
  EXPECT_FALSE(shared.handle().detach());
  head->list_op_pending = nullptr;
  EXPECT_TRUE(shared.handle().detach());
}

TEST(region_member, two_regions_in_one_thread_are_kept_apart) {
  region_of<board> first;
  region_of<board> second;
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(name(first->lock.lock()), "acquired");
    ASSERT_EQ(name(second->lock.lock()), "acquired");
    ASSERT_EQ(name(first->lock.unlock()), "released");
    ASSERT_EQ(name(second->lock.unlock()), "released");
  }
  EXPECT_EQ(words_on_own_list().size(), 2u);
  EXPECT_TRUE(first.handle().detach());
  EXPECT_EQ(name(second->lock.lock()), "acquired");
  EXPECT_EQ(name(second->lock.unlock()), "released");
  EXPECT_TRUE(second.handle().detach());
}

TEST(region_member, closing_leaves_other_threads_life_words_until_they_exit) {
  region_of<board> keeper;
  const int descriptor = dup(keeper.handle().descriptor());
  gate attached;
  gate go;
  child_process other{[&] {
    keeper.handle().close();
    region own = region::open_descriptor(descriptor);
    std::uintptr_t word = 0;
    known_thread thread{[&] {
      CHILD_EXPECT(name(own.attach()) == "attached");
      word = reinterpret_cast<std::uintptr_t>(words_on_own_list().front());
      attached.open();
      go.pass("the end");
    }};
    attached.pass("the thread");
    own.close();
    CHILD_EXPECT(is_mapped(word));
    // A new region may have the old one's place in every table.
    region next =
        region::create_anonymous("deadbolt-test", {.size = sizeof(deadbolt::mutex), .members = 2});
    CHILD_EXPECT(name(next.attach()) == "attached");
    CHILD_EXPECT(name(next.at<deadbolt::mutex>(0)->lock()) == "acquired");
    go.open();
    thread.join();
    CHILD_EXPECT(!is_mapped(word));
    CHILD_EXPECT(name(next.at<deadbolt::mutex>(0)->unlock()) == "released");
  }};
  EXPECT_EQ(other.wait(), exited(0));
  close(descriptor);
  EXPECT_EQ(live_members(keeper.handle()), 0u);
}

// A thread between the release of a lock and its last look at it: see mutex::unlock().
TEST(region_member, closing_waits_for_another_threads_unlock_for_a_second) {
  for (const bool ends : {true, false}) {
    EXPECT_EQ(run_in_child([&] {
                region own = region::create_anonymous("deadbolt-test", {.size = 64, .members = 4});
                auto* lock = own.at<deadbolt::mutex>(0);
                gate inside;
                gate go;
                known_thread unlocker{[&] {
                  CHILD_EXPECT(name(lock->lock()) == "acquired");
                  CHILD_EXPECT(name(lock->unlock()) == "released");
                  const regions::attachment* self = regions::this_thread.current;
                  CHILD_EXPECT(self->covers(lock) && self->in_unlock == 0);
                  __atomic_store_n(&self->in_unlock, 1, __ATOMIC_RELAXED);
                  inside.open();
                  go.pass("the close");
                  // Faults if it is unmapped.
                  CHILD_EXPECT(__atomic_load_n(lock->native_handle(), __ATOMIC_RELAXED) == 0);
                  __atomic_store_n(&self->in_unlock, 0, __ATOMIC_RELEASE);
                }};
                inside.pass("the unlock");
                if (ends) go.open();
                CHILD_EXPECT(own.close() == ends);
                if (!ends) go.open();
                unlocker.join();
              }),
              exited(0))
        << ends;
  }
}

// Newer pthread mutexes go in front of the liveness word: the kernel walks 2,048 entries.
TEST(region_member, liveness_word_is_seen_behind_2047_newer_pthread_mutexes) {
  constexpr int newer = 2047;
  region_of<board> shared;
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
              pthread_mutexattr_t attributes;
              pthread_mutexattr_init(&attributes);
              pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
              pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
              static pthread_mutex_t mutexes[newer];
              for (int i = 0; i < newer; ++i) {
                pthread_mutex_init(mutexes + i, &attributes);
                pthread_mutex_lock(mutexes + i);
              }
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
}

} // namespace
} // namespace deadbolt::testing
