// SPDX-License-Identifier: MIT
// Two plugins of one process, each linked with the static library: two copies of it, which know
// nothing of each other. To a region they are two users, and a thread is a member once for each.
#include <own_directory.hpp>
#include <region_support.hpp>

#include <dlfcn.h>
#include <thread>

namespace deadbolt::testing {
namespace {

class plugin {
public:
  explicit plugin(const char* file) : handle_{dlopen(file, RTLD_NOW | RTLD_LOCAL)} {
    if (handle_ == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      std::abort();
    }
  }
  // It stays loaded: threads may have the plugin's handlers for their exit.
  [[nodiscard]] std::string open(const std::string& path) const {
    return function<const char*(const char*)>("plugin_open")(path.c_str());
  }
  [[nodiscard]] std::string operator()(const char* what) const {
    return function<const char*(const char*)>("plugin_call")(what);
  }
  [[nodiscard]] const void* copy() const { return function<const void*()>("plugin_copy")(); }

private:
  template <class Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(handle_, name));
  }
  void* handle_;
};

class region_copied_library : public in_own_directory {
protected:
  region_copied_library() : in_own_directory{"copied-library"} {}
  void SetUp() override {
    ASSERT_EQ(a.open(path), "open");
    ASSERT_EQ(b.open(path), "open");
  }

  plugin a{DEADBOLT_PLUGIN_A};
  plugin b{DEADBOLT_PLUGIN_B};
};

TEST_F(region_copied_library, locks_of_one_copy_exclude_the_other_copy) {
  ASSERT_NE(a.copy(), b.copy());
  EXPECT_EQ(a("lock"), "acquired");
  EXPECT_EQ(b("try_lock"), "busy");
  EXPECT_EQ(b("unlock"), "not_owner");
  EXPECT_EQ(b("mark_consistent"), "false");
  std::thread{[&] { EXPECT_EQ(b("try_lock"), "busy"); }}.join();
  EXPECT_EQ(a("unlock"), "released");
  EXPECT_EQ(b("lock"), "acquired");
  EXPECT_EQ(a("try_lock"), "busy");
  EXPECT_EQ(b("unlock"), "released");
  EXPECT_EQ(a("read"), "acquired");
  EXPECT_EQ(b("read"), "acquired");
  EXPECT_EQ(a("end_read"), "released");
  EXPECT_EQ(b("end_read"), "released");
}

// Without that result the thread would wait for itself for ever.
TEST_F(region_copied_library, thread_that_holds_a_lock_by_one_copy_is_told_deadlock_by_the_other) {
  EXPECT_EQ(a("lock"), "acquired");
  EXPECT_EQ(b("lock"), "deadlock");
  EXPECT_EQ(a("unlock"), "released");
  EXPECT_EQ(a("write"), "acquired");
  EXPECT_EQ(b("write"), "deadlock");
  EXPECT_EQ(b("read"), "deadlock");
  EXPECT_EQ(a("end_write"), "released");
}

TEST_F(region_copied_library, other_threads_wait_and_get_the_lock) {
  EXPECT_EQ(a("lock"), "acquired");
  gate begun;
  std::thread other{[&] {
    begun.open();
    EXPECT_EQ(b("lock"), "acquired");
    EXPECT_EQ(b("unlock"), "released");
  }};
  begun.pass("the other thread");
  EXPECT_EQ(a("unlock"), "released");
  other.join();
}

TEST_F(region_copied_library, death_passes_on_the_locks_of_both_copies) {
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(a("lock") == "acquired");
              CHILD_EXPECT(b("lock_other") == "acquired");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(b("lock"), "owner_died");
  EXPECT_EQ(a("lock_other"), "owner_died");
  EXPECT_EQ(b("mark_consistent"), "true");
  EXPECT_EQ(b("unlock"), "released");
  // A thread that is a member by both copies dies.
  std::thread{[&] {
    EXPECT_EQ(a("lock"), "acquired");
    EXPECT_EQ(b("read"), "acquired");
  }}.join();
  EXPECT_EQ(b("lock"), "owner_died");
  EXPECT_EQ(a("write"), "acquired");
}

// One copy's close() leaves the other copy's mapping and membership alone.
TEST_F(region_copied_library, close_by_one_copy_is_no_close_by_the_other) {
  EXPECT_EQ(a("lock"), "acquired");
  EXPECT_EQ(b("lock_other"), "acquired");
  EXPECT_EQ(a("close"), "true");
  EXPECT_EQ(b("unlock_other"), "released");
  EXPECT_EQ(b("lock"), "owner_died") << "close() abandoned it";
}

} // namespace
} // namespace deadbolt::testing
