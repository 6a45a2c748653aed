// SPDX-License-Identifier: MIT
// A region in a directory of the test's own, and ways in which a service gives up what it had.
#ifndef DEADBOLT_TESTS_SERVICE_SUPPORT_HPP
#define DEADBOLT_TESTS_SERVICE_SUPPORT_HPP

#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <own_directory.hpp>
#include <region_support.hpp>

#include <cerrno>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

namespace deadbolt::testing {

using namespace std::chrono_literals;

struct board {
  deadbolt::mutex lock;
  deadbolt::mutex other;
  deadbolt::shared_mutex shared_lock;
  deadbolt::counting_semaphore<2> permits{2};
  gate held;
  gate go;
  std::atomic<std::uint32_t> number;
};

inline constexpr region_options small{.size = sizeof(board), .members = 8};
inline constexpr uid_t nobody = 65534;

class region_service : public in_own_directory {
protected:
  region_service() : in_own_directory{"region-service"} {}

  [[nodiscard]] region create(const region_options& options = small) const {
    region made = region::create(path.c_str(), options);
    EXPECT_EQ(name(made.status()), "open") << made.error();
    return made;
  }
};

inline bool is_root() {
  return geteuid() == 0;
}

inline void become_nobody() {
  CHILD_EXPECT(setgid(nobody) == 0 && setuid(nobody) == 0);
}

// An empty root directory: no /proc, no names.
inline void leave_all_names(const std::string& directory) {
  CHILD_EXPECT(chroot(directory.c_str()) == 0 && chdir("/") == 0);
  CHILD_EXPECT(access("/proc/self", F_OK) != 0);
}

inline void fill_descriptor_table() {
  const rlimit few{.rlim_cur = 64, .rlim_max = 64};
  setrlimit(RLIMIT_NOFILE, &few);
  while (dup(0) >= 0) {
  }
  CHILD_EXPECT(errno == EMFILE);
}

// Every lock, by a thread that is not yet a member; and its death is noticed.
inline void expect_usable(board& data) {
  std::thread{[&] {
    CHILD_EXPECT(name(data.lock.lock()) == "acquired");
    CHILD_EXPECT(name(data.lock.unlock()) == "released");
    CHILD_EXPECT(name(data.shared_lock.lock_shared()) == "acquired");
    CHILD_EXPECT(name(data.shared_lock.unlock_shared()) == "released");
    CHILD_EXPECT(name(data.permits.acquire()) == "acquired");
    CHILD_EXPECT(name(data.permits.release()) == "released");
  }}.join();
}

} // namespace deadbolt::testing
#endif
