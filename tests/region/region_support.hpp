// SPDX-License-Identifier: MIT
// A region whose data is one struct, and what tests look at in its table.
#ifndef DEADBOLT_TESTS_REGION_SUPPORT_HPP
#define DEADBOLT_TESTS_REGION_SUPPORT_HPP

#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <region/format.hpp>
#include <region/open_region.hpp>

#include <child_process.hpp>
#include <gate.hpp>
#include <watchdog.hpp>

#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <thread>
#include <unistd.h>

namespace deadbolt::testing {

template <class Data>
class region_of {
public:
  explicit region_of(std::uint32_t members = 16)
      : region_{
            region::create_anonymous("deadbolt-test", {.size = sizeof(Data), .members = members})} {
    if (!region_) {
      std::fprintf(stderr, "no region: %s, error %d\n", to_string(region_.status()),
                   region_.error());
      std::abort();
    }
    // Zeroed memory is what every Data here starts as.
    data_ = region_.template at<Data>(0);
    if (data_ == nullptr) std::abort();
  }

  Data* operator->() noexcept { return data_; }
  Data& operator*() noexcept { return *data_; }
  [[nodiscard]] region& handle() noexcept { return region_; }

private:
  region region_;
  Data* data_;
};

inline std::set<std::string> names_in(const region& shared) {
  std::set<std::string> names;
  for (const object_info& object : shared.objects()) {
    EXPECT_TRUE(names.insert(object.name).second) << object.name << " is shown twice";
  }
  return names;
}

inline regions::member_slot& slot_at(region& region, std::uint32_t slot) {
  return *regions::region_at(region.data())->slot(slot);
}

// Where the first slot is in a region's file: at the end of a page of its creator's size.
inline off_t first_slot_in(const std::string& path) {
  regions::fixed_header header{};
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(pread(file, &header, sizeof header, 0), ssize_t{sizeof header});
  close(file);
  return static_cast<off_t>(header.slots_offset + header.page_bytes - regions::slot_bytes);
}

inline std::uint32_t liveness_at(region& region, std::uint32_t slot) {
  regions::member_slot& member = slot_at(region, slot);
  return regions::liveness_word(&member, member.kind)->load();
}

inline std::uint32_t live_members(region& region) {
  std::uint32_t count = 0;
  for (std::uint32_t slot = 0; slot < region.members(); ++slot) {
    if (regions::is_alive(liveness_at(region, slot))) ++count;
  }
  return count;
}

inline std::uint64_t word_of(const mutex& lock) {
  return __atomic_load_n(lock.native_handle(), __ATOMIC_ACQUIRE);
}
inline bool has_waiters(const mutex& lock) {
  // One of the two, by the kind of owner; the second word is behind the first.
  const auto* waiting = reinterpret_cast<const std::uint32_t*>(lock.native_handle() + 1);
  return (word_of(lock) & regions::word_waiters) != 0 ||
         __atomic_load_n(waiting, __ATOMIC_ACQUIRE) != 0;
}
inline void await_waiters(const mutex& lock) {
  await("a waiter's bit", [&] { return has_waiters(lock); });
}

// Every public name of a status in one place, so that a failure reads well.
inline std::string name(lock_result&& result) {
  return to_string(result.status());
}
inline std::string name(unlock_status status) {
  return to_string(status);
}
inline std::string name(attach_status status) {
  return to_string(status);
}
inline std::string name(region_status status) {
  return to_string(status);
}

// In a child: takes the mutex, repairs it if its owner died, and releases it.
inline void take_and_release(mutex& lock) {
  const std::string result = name(lock.lock());
  if (result == "owner_died") {
    CHILD_EXPECT(lock.mark_consistent());
  } else {
    CHILD_EXPECT(result == "acquired");
  }
  CHILD_EXPECT(name(lock.unlock()) == "released");
}

// A clock that no futex knows.
struct odd_clock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<odd_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static time_point now() {
    return time_point{
        std::chrono::duration_cast<duration>(std::chrono::steady_clock::now().time_since_epoch())};
  }
};

// Runs work() in three processes at the same time, each with two threads.
template <class Work>
void run_in_three_processes(Work&& work) {
  const auto process = [&] {
    std::thread second{[&] { work(); }};
    work();
    second.join();
  };
  child_process a{process};
  child_process b{process};
  child_process c{process};
  EXPECT_EQ(a.wait(), exited(0));
  EXPECT_EQ(b.wait(), exited(0));
  EXPECT_EQ(c.wait(), exited(0));
}

} // namespace deadbolt::testing
#endif
