// SPDX-License-Identifier: MIT
// Named objects: made once, found and shown. How they are destroyed: destroy_test.cpp.
#include <deadbolt/shared_mutex.hpp>
#include <own_directory.hpp>
#include <region_support.hpp>

#include <base/file.hpp>

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <random>
#include <set>
#include <sys/syscall.h>
#include <thread>
#include <vector>

namespace deadbolt::testing {
namespace {

class region_names : public in_own_directory {
protected:
  region_names() : in_own_directory{"region-names"} {}

  region create(const region_options& options) const {
    region made = region::create(path.c_str(), options);
    EXPECT_EQ(name(made.status()), "open") << made.error();
    return made;
  }
};

std::string reason() {
  return to_string(last_construct_status());
}

std::string numbered(std::uint32_t number) {
  return "n" + std::to_string(number);
}

TEST_F(region_names, construction_says_why_it_failed) {
  region shared = create({.size = 8192, .members = 2});
  struct part {
    std::uint64_t value[2];
  };
  EXPECT_NE(shared.find_or_construct<deadbolt::mutex>("lock"), nullptr);
  EXPECT_EQ(reason(), "constructed");
  EXPECT_NE(shared.find_or_construct<deadbolt::mutex>("lock"), nullptr);
  EXPECT_EQ(reason(), "found");
  EXPECT_EQ(shared.find_or_construct<deadbolt::shared_mutex>("lock"), nullptr) << "the same size";
  EXPECT_EQ(reason(), "other_kind");
  EXPECT_EQ(shared.find_or_construct<part>(""), nullptr);
  EXPECT_EQ(reason(), "invalid_name");
  struct large {
    std::byte bytes[8192];
  };
  EXPECT_EQ(shared.find_or_construct<large>("large"), nullptr);
  EXPECT_EQ(reason(), "no_room");
  // Both slots are taken: this thread's, and one of a thread that stays.
  gate attached;
  gate end;
  std::thread keeper{[&] {
    EXPECT_EQ(name(shared.attach()), "attached");
    attached.open();
    end.pass("the end");
  }};
  attached.pass("the keeper");
  std::thread{[&] {
    EXPECT_EQ(shared.find_or_construct<deadbolt::mutex>("lock"), nullptr);
    EXPECT_EQ(reason(), "cannot_attach");
    EXPECT_EQ(name(last_attach_failure().status), "table_full");
    EXPECT_STREQ(to_string(shared.destroy<deadbolt::mutex>("lock")), "cannot_attach");
    EXPECT_NE(shared.find<deadbolt::mutex>("lock"), nullptr) << "that needs no membership";
  }}.join();
  end.open();
  keeper.join();
  const region closed;
  EXPECT_EQ(closed.find_or_construct<part>("n"), nullptr);
  EXPECT_EQ(reason(), "not_open");
  EXPECT_EQ(closed.find<part>("n"), nullptr);
  EXPECT_EQ(reason(), "not_open");
  EXPECT_STREQ(to_string(closed.destroy<part>("n")), "not_open");
  EXPECT_TRUE(names_in(closed).empty());
}

TEST_F(region_names, object_that_a_dead_maker_left_is_made_anew_as_another_type) {
  region shared = create({.size = 4096, .members = 4});
  struct unfinished {
    std::uint64_t value = 1;
    unfinished() { _exit(7); }
  };
  struct alignas(64) other {
    std::uint64_t values[16];
  };
  for (const bool destroyed : {false, true}) {
    EXPECT_EQ(run_in_child([&] { static_cast<void>(shared.find_or_construct<unfinished>("one")); }),
              exited(7));
    EXPECT_EQ(shared.find<other>("one"), nullptr);
    EXPECT_EQ(reason(), "not_found");
    if (destroyed) {
      EXPECT_STREQ(to_string(shared.destroy<other>("one")), "destroyed");
      EXPECT_STREQ(to_string(shared.destroy<other>("one")), "not_found");
      continue;
    }
    EXPECT_NE(shared.find_or_construct<other>("one"), nullptr);
    EXPECT_EQ(reason(), "constructed");
    EXPECT_EQ(names_in(shared), std::set<std::string>{"one"});
    EXPECT_STREQ(to_string(shared.destroy<other>("one")), "destroyed");
  }
}

TEST_F(region_names, object_that_is_less_aligned_than_asked_is_another_kind) {
  region shared = create({.size = 4096, .members = 2});
  struct loose {
    std::uint64_t values[8];
  };
  struct alignas(64) tight {
    std::uint64_t values[8];
  };
  ASSERT_NE(shared.find_or_construct<deadbolt::mutex>("before"), nullptr);
  auto* made = shared.find_or_construct<loose>("block");
  ASSERT_NE(made, nullptr);
  ASSERT_NE(reinterpret_cast<std::uintptr_t>(made) % alignof(tight), 0u);
  EXPECT_EQ(shared.find_or_construct<tight>("block"), nullptr);
  EXPECT_EQ(reason(), "other_kind");
  EXPECT_EQ(shared.find<tight>("block"), nullptr);
  EXPECT_EQ(reason(), "other_kind");
  EXPECT_STREQ(to_string(shared.destroy<tight>("block")), "other_kind");
  EXPECT_EQ(shared.find<loose>("block"), made);
}

TEST_F(region_names, inner_construction_is_refused_by_name) {
  region shared = create({.size = 4096, .members = 8});
  static construct_status inner;
  static destroy_status inner_end;
  struct whole {
    explicit whole(const region& in) {
      EXPECT_EQ(in.find_or_construct<int>("part"), nullptr);
      inner = last_construct_status();
      inner_end = in.destroy<int>("part");
      EXPECT_STREQ(to_string(in.grow(4096)), "grown") << "it is that large";
    }
  };
  EXPECT_NE(shared.find_or_construct<whole>("whole", shared), nullptr);
  EXPECT_STREQ(to_string(inner), "being_constructed");
  EXPECT_STREQ(to_string(inner_end), "being_constructed");
  // The way that works: the parts first.
  EXPECT_NE(shared.find_or_construct<int>("part"), nullptr);
}

// Some programs give each of some thousand locks a name, and hold very many.
TEST_F(region_names, thousands_of_names_and_then_a_reason) {
  region shared = create({.size = std::size_t{1} << 20, .members = 4});
  for (std::uint32_t number = 0; number < region::most_names; ++number) {
    auto* value = shared.find_or_construct<std::uint64_t>(numbered(number).c_str(), number);
    ASSERT_NE(value, nullptr) << number << ": " << reason();
    ASSERT_EQ(reason(), "constructed");
  }
  EXPECT_EQ(shared.find_or_construct<std::uint64_t>("one more"), nullptr);
  EXPECT_EQ(reason(), "too_many_names");
  std::set<const void*> places;
  for (std::uint32_t number = 0; number < region::most_names; ++number) {
    const auto* value = shared.find<std::uint64_t>(numbered(number).c_str());
    ASSERT_NE(value, nullptr) << number;
    ASSERT_EQ(*value, number);
    ASSERT_TRUE(places.insert(value).second) << number;
  }
  EXPECT_EQ(names_in(shared).size(), region::most_names);
  shared.close();
  const region again = region::open(path.c_str());
  EXPECT_EQ(*again.find<std::uint64_t>(numbered(4000).c_str()), 4000u);
  EXPECT_STREQ(to_string(again.destroy<std::uint64_t>(numbered(17).c_str())), "destroyed");
  EXPECT_NE(again.find_or_construct<std::uint64_t>("one more"), nullptr) << reason();
}

TEST_F(region_names, fifty_thousand_locks_of_one_dead_owner_pass_on) {
  constexpr std::size_t many = 50'000;
  region shared = create({.size = many * sizeof(deadbolt::mutex), .members = 16});
  auto* locks = shared.at<deadbolt::mutex>(0);
  ASSERT_EQ(run_in_child([&] {
              for (std::size_t i = 0; i < many; ++i) {
                CHILD_EXPECT(name(locks[i].lock()) == "acquired");
              }
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  for (std::size_t i = 0; i < many; ++i) ASSERT_EQ(name(locks[i].try_lock()), "owner_died") << i;
}

TEST_F(region_names, regions_beyond_the_most_that_can_be_open_are_refused) {
  std::vector<region> open;
  for (std::uint32_t i = 0; i < region::most_open; ++i) {
    open.push_back(region::create_anonymous("deadbolt-test", {.size = 64, .members = 1}));
    ASSERT_TRUE(open.back()) << i;
  }
  region more = region::create_anonymous("deadbolt-test", {.size = 64, .members = 1});
  EXPECT_EQ(name(more.status()), "too_many");
  open.pop_back();
  more = region::create_anonymous("deadbolt-test", {.size = 64, .members = 1});
  EXPECT_TRUE(more);
}

TEST_F(region_names, find_finds_what_is_complete_and_makes_nothing) {
  region shared = create({.size = 4096, .members = 4});
  EXPECT_EQ(shared.find<int>("it"), nullptr);
  EXPECT_EQ(reason(), "not_found");
  struct seen_inside {
    explicit seen_inside(const region& in) {
      EXPECT_EQ(in.find<seen_inside>("whole"), nullptr) << "not yet complete";
    }
    int value = 5;
  };
  auto* made = shared.find_or_construct<seen_inside>("whole", shared);
  EXPECT_EQ(shared.find<seen_inside>("whole"), made);
  EXPECT_EQ(reason(), "found");
  EXPECT_EQ(shared.find<std::uint64_t>("whole"), nullptr);
  EXPECT_EQ(reason(), "other_kind");
  EXPECT_EQ(shared.find<int>(std::string(40, 'n').c_str()), nullptr);
  EXPECT_EQ(reason(), "invalid_name");
  EXPECT_TRUE(shared.detach()) << "of the construction";
  EXPECT_EQ(live_members(shared), 0u);
  EXPECT_EQ(shared.find<seen_inside>("whole"), made);
  EXPECT_EQ(live_members(shared), 0u) << "find() makes nobody a member";
}

TEST_F(region_names, iteration_shows_name_place_size_and_kind) {
  region shared = create({.size = 4096, .members = 4});
  auto* number = shared.find_or_construct<std::uint32_t>("number", 7u);
  auto* lock = shared.find_or_construct<deadbolt::mutex>("lock");
  std::map<std::string, object_info> shown;
  for (const object_info& object : shared.objects()) shown.emplace(object.name, object);
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_EQ(shown["number"].size, 4u);
  EXPECT_EQ(shown["number"].kind, object_kind::other);
  EXPECT_EQ(shared.at<std::uint32_t>(shown["number"].offset), number);
  EXPECT_EQ(shown["lock"].kind, object_kind::mutex);
  EXPECT_EQ(shared.at<deadbolt::mutex>(shown["lock"].offset), lock);
}

// No two objects overlap, whatever was made and destroyed before.
TEST_F(region_names, objects_never_overlap) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  std::printf("seed %u\n", seed);
  std::mt19937 random{seed};
  region shared = create({.size = 4096, .members = 4});
  std::map<std::string, std::pair<std::byte*, std::size_t>> there;
  const auto make = [&]<std::size_t size, std::size_t alignment>(const std::string& name) {
    struct alignas(alignment) block {
      std::byte bytes[size];
    };
    auto* made = shared.find_or_construct<block>(name.c_str());
    if (made == nullptr) return;
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(made) % alignment, 0u);
    auto* bytes = reinterpret_cast<std::byte*>(made);
    for (const auto& [other, place] : there) {
      ASSERT_TRUE(bytes + size <= place.first || place.first + place.second <= bytes)
          << name << " overlaps " << other;
    }
    ASSERT_LE(static_cast<std::size_t>(bytes - shared.data()) + size, shared.size());
    there[name] = {bytes, size};
  };
  for (int round = 0; round < 3000 && !HasFatalFailure(); ++round) {
    const std::string name = numbered(static_cast<std::uint32_t>(random() % 40));
    if (const auto found = there.find(name); found != there.end()) {
      const auto end = [&]<std::size_t size, std::size_t alignment>() {
        struct alignas(alignment) block {
          std::byte bytes[size];
        };
        return shared.destroy<block>(name.c_str());
      };
      const destroy_status status = found->second.second == 8     ? end.operator()<8, 8>()
                                    : found->second.second == 100 ? end.operator()<100, 1>()
                                    : found->second.second == 256 ? end.operator()<256, 256>()
                                                                  : end.operator()<64, 64>();
      ASSERT_STREQ(to_string(status), "destroyed");
      there.erase(found);
      continue;
    }
    switch (random() % 4) {
    case 0:
      make.operator()<8, 8>(name);
      break;
    case 1:
      make.operator()<100, 1>(name);
      break;
    case 2:
      make.operator()<256, 256>(name);
      break;
    default:
      make.operator()<64, 64>(name);
    }
  }
}

// Readers take no lock: what they see of an entry is one object, never half of two.
TEST_F(region_names, readers_see_whole_entries_while_others_are_made_and_destroyed) {
  region shared = create({.size = 65536, .members = 8});
  struct small_block {
    std::uint64_t value = 8;
  };
  struct large_block {
    std::uint64_t values[40];
  };
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> seen{0};
  std::atomic<std::uint64_t> torn{0};
  // One entry is small and large in turn.
  const auto changes = [&] {
    while (!over) {
      EXPECT_NE(shared.find_or_construct<small_block>("small1"), nullptr);
      EXPECT_STREQ(to_string(shared.destroy<small_block>("small1")), "destroyed");
      EXPECT_NE(shared.find_or_construct<large_block>("large-1"), nullptr);
      EXPECT_STREQ(to_string(shared.destroy<large_block>("large-1")), "destroyed");
    }
  };
  const auto reads = [&] {
    while (!over) {
      for (const object_info& object : shared.objects()) {
        const bool is_small =
            std::strcmp(object.name, "small1") == 0 && object.size == sizeof(small_block);
        const bool is_large =
            std::strcmp(object.name, "large-1") == 0 && object.size == sizeof(large_block);
        if (!is_small && !is_large) ++torn;
        ++seen;
      }
    }
  };
  const auto finds = [&] {
    while (!over) {
      static_cast<void>(shared.find<large_block>("large-1"));
      const construct_status status = last_construct_status();
      if (status != construct_status::found && status != construct_status::not_found) ++torn;
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back(changes);
  // More than there are processors: some lose theirs in the middle of an entry.
  for (int i = 0; i < 4; ++i) threads.emplace_back(reads);
  for (int i = 0; i < 2; ++i) threads.emplace_back(finds);
  // Fewer under a sanitizer or on a busy machine.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  await("the readers", [&] {
    return seen > 3'000'000 || (seen > 1000 && std::chrono::steady_clock::now() > end);
  });
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(torn, 0U);
}

// One handle, all that is const, many threads.
TEST_F(region_names, threads_share_a_handle) {
  region shared = create({.size = 4096, .members = 16, .largest = 1 << 20});
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&shared, &over, own = numbered(static_cast<std::uint32_t>(i)), this] {
      std::size_t size = shared.size();
      while (!over) {
        EXPECT_EQ(name(shared.attach()), "attached");
        EXPECT_NE(shared.find_or_construct<int>(own.c_str()), nullptr);
        EXPECT_TRUE(shared.is_at(path.c_str()));
        EXPECT_GE(shared.descriptor(), 3);
        const int other = shared.new_descriptor();
        EXPECT_GE(other, 3);
        // Not the libc's close(): ThreadSanitizer, which has not seen who opened this number, would
        // take its next user for a race.
        syscall(SYS_close, other);
        EXPECT_STREQ(to_string(shared.grow(size)), "grown");
        EXPECT_GE(shared.size(), size);
        if (size < shared.largest_size()) size += 512;
        EXPECT_STREQ(to_string(shared.destroy<int>(own.c_str())), "destroyed");
        EXPECT_TRUE(shared.detach());
      }
    });
  }
  // Beside them, other handles on the same mapping come and go.
  for (int round = 0; round < 200; ++round) {
    const region other = region::open(path.c_str());
    EXPECT_EQ(other.data(), shared.data());
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
}

// A copy that was made while the directory changed: pages of it are of different times.
TEST_F(region_names, names_and_slots_that_the_headers_page_does_not_know_are_found_again) {
  region shared = create({.size = 4096, .members = 8});
  for (std::uint32_t number = 0; number < 100; ++number) {
    ASSERT_NE(shared.find_or_construct<std::uint32_t>(numbered(number).c_str(), number), nullptr);
  }
  std::vector<std::thread> members;
  std::atomic<int> attached{0};
  gate end;
  for (int i = 0; i < 4; ++i) {
    members.emplace_back([&] {
      EXPECT_EQ(name(shared.attach()), "attached");
      ++attached;
      end.pass("the copy");
    });
  }
  await("the members", [&] { return attached == 4; });
  const std::string copy = directory + "/copy";
  ASSERT_EQ(std::system(("cp " + path + " " + copy).c_str()), 0);
  end.open();
  for (std::thread& member : members) member.join();
  {
    const base::descriptor file{base::open_file(copy.c_str(), O_RDWR)};
    const std::uint32_t older[] = {1, 2}; // slots and names
    ASSERT_EQ(pwrite(file.get(), older, sizeof older, offsetof(regions::region_header, slots_used)),
              ssize_t{sizeof older});
  }
  region adopted = region::open(copy.c_str());
  ASSERT_EQ(name(adopted.status()), "open");
  EXPECT_EQ(live_members(adopted), 0u);
  const regions::open_region& mapping = *regions::region_at(adopted.data());
  EXPECT_GE(mapping.slots_used(), 5u);
  EXPECT_EQ(mapping.names_used(), 100u);
  EXPECT_EQ(names_in(adopted).size(), 100u);
  // A new object must not get the bytes of one that the header had forgotten.
  ASSERT_NE(adopted.find_or_construct<std::uint64_t>("new", ~std::uint64_t{0}), nullptr);
  for (std::uint32_t number = 0; number < 100; ++number) {
    const auto* value = adopted.find<std::uint32_t>(numbered(number).c_str());
    ASSERT_NE(value, nullptr) << number;
    EXPECT_EQ(*value, number);
  }
}

} // namespace
} // namespace deadbolt::testing
