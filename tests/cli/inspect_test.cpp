// SPDX-License-Identifier: MIT
// What the command says of a region whose members live, die and wait.
#include <command_output.hpp>
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/shared_mutex.hpp>

#include <child_process.hpp>
#include <gate.hpp>
#include <overlay_mount.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <gtest/gtest.h>
#include <iterator>
#include <linux/futex.h>
#include <nlohmann/json.hpp>
#include <region/format.hpp>
#include <region/open_region.hpp>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

namespace {

using deadbolt::region;
using deadbolt::testing::child_process;
using deadbolt::testing::command_output;
using deadbolt::testing::exited;
using deadbolt::testing::gate;
using deadbolt::testing::killed_by;
using deadbolt::testing::run_command;
using nlohmann::json;

// In memory of its own, so that it is no part of what is looked at.
struct gates {
  gate ready;
  gate go;
};

class inspect : public ::testing::Test {
protected:
  void SetUp() override {
    shared = region::create_anonymous("deadbolt-inspect", {.size = 8192, .members = 8});
    ASSERT_TRUE(shared) << to_string(shared.status());
    path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(shared.descriptor());
    void* memory =
        mmap(nullptr, sizeof(gates), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    stage = new (memory) gates;
  }
  void TearDown() override { munmap(stage, sizeof(gates)); }

  json look(const std::string& options = {}) {
    const command_output result =
        run_command(DEADBOLT_COMMAND " inspect --json " + options + " " + path);
    EXPECT_EQ(result.status, 0) << result.text;
    return json::parse(result.text);
  }
  static json lock_named(const json& view, const std::string& name) {
    for (const json& lock : view["locks"]) {
      if (lock["name"] == name) return lock;
    }
    return {};
  }

  region shared;
  std::string path;
  gates* stage = nullptr;
};

TEST_F(inspect, free_lock_and_the_member_that_made_it) {
  ASSERT_NE(shared.find_or_construct<deadbolt::mutex>("lock"), nullptr);
  const json view = look();
  ASSERT_EQ(view["members"].size(), 1u) << view;
  EXPECT_EQ(view["members"][0]["pid"], getpid());
  EXPECT_EQ(view["members"][0]["tid"], gettid());
  EXPECT_EQ(view["members"][0]["state"], "alive");
  EXPECT_EQ(lock_named(view, "lock")["state"], "free");
  EXPECT_EQ(lock_named(view, "lock")["owner"], nullptr);
}

TEST_F(inspect, owner_and_waiters_of_a_held_lock) {
  auto* lock = shared.find_or_construct<deadbolt::mutex>("lock");
  const deadbolt::lock_result held = lock->lock();
  ASSERT_TRUE(held);
  child_process waiter{[&] {
    stage->ready.open();
    static_cast<void>(lock->lock().status());
    static_cast<void>(lock->unlock());
  }};
  stage->ready.pass("a waiter");
  // The bit in the word, or, of an owner that releases by a plain store, the word behind.
  deadbolt::testing::await("a waiter", [&] {
    const std::uint64_t* const words = lock->native_handle();
    return (__atomic_load_n(&words[0], __ATOMIC_ACQUIRE) >> 31 & 1) != 0 ||
           __atomic_load_n(&words[1], __ATOMIC_ACQUIRE) != 0;
  });
  const json seen = lock_named(look(), "lock");
  EXPECT_EQ(seen["state"], "held") << seen;
  EXPECT_EQ(seen["waiters"], true);
  EXPECT_EQ(seen["owner"]["member"]["pid"], getpid());
  static_cast<void>(lock->unlock());
  EXPECT_EQ(waiter.wait(), exited(0));
}

TEST_F(inspect, lock_of_a_killed_owner_is_abandoned_and_then_inconsistent) {
  auto* lock = shared.find_or_construct<deadbolt::mutex>("lock");
  pid_t owner = 0;
  {
    child_process holder{[&] {
      static_cast<void>(lock->lock().status());
      raise(SIGKILL);
    }};
    owner = holder.pid();
    ASSERT_EQ(holder.wait(), killed_by(SIGKILL));
  }
  const json view = look();
  const json abandoned = lock_named(view, "lock");
  EXPECT_EQ(abandoned["state"], "abandoned") << view;
  EXPECT_EQ(abandoned["owner"]["member"]["pid"], owner);
  EXPECT_EQ(abandoned["owner"]["member"]["state"], "dead");
  ASSERT_EQ(lock->lock().status(), deadbolt::lock_status::owner_died);
  const json taken = lock_named(look(), "lock");
  EXPECT_EQ(taken["state"], "held");
  EXPECT_EQ(taken["inconsistent"], true);
  static_cast<void>(lock->unlock());
  EXPECT_EQ(lock_named(look(), "lock")["state"], "not_recoverable");
}

TEST_F(inspect, lock_inside_a_struct_is_found_where_it_is_held_or_asked_for) {
  struct account {
    long cents;
    deadbolt::mutex lock;
  };
  auto* its = shared.find_or_construct<account>("account");
  const json nobody = look();
  EXPECT_EQ(nobody["locks"].size(), 0u) << nobody;
  EXPECT_EQ(nobody["objects"][0]["name"], "account");
  EXPECT_EQ(look("--lock 8")["locks"][0]["state"], "free");
  const deadbolt::lock_result held = its->lock.lock();
  ASSERT_TRUE(held);
  const json found = look();
  ASSERT_EQ(found["locks"].size(), 1u) << found;
  EXPECT_EQ(found["locks"][0]["offset"], 8);
  EXPECT_EQ(found["locks"][0]["owner"]["member"]["tid"], gettid());
  EXPECT_EQ(look("--lock 8")["locks"].size(), 1u) << "shown once";
  static_cast<void>(its->lock.unlock());
}

TEST_F(inspect, readers_and_the_writer_of_a_shared_mutex) {
  auto* lock = shared.find_or_construct<deadbolt::shared_mutex>("table");
  const json nobody = lock_named(look(), "table");
  EXPECT_EQ(nobody["kind"], "shared_mutex") << nobody;
  EXPECT_EQ(nobody["state"], "free");
  EXPECT_EQ(nobody["policy"], "writers_first");
  ASSERT_NE(shared.find_or_construct<deadbolt::shared_mutex>("queue",
                                                             deadbolt::shared_mutex_policy::fair),
            nullptr);
  EXPECT_EQ(lock_named(look(), "queue")["policy"], "fair");
  ASSERT_TRUE(lock->lock_shared());
  child_process other{[&] {
    static_cast<void>(lock->lock_shared().status());
    stage->ready.open();
    stage->go.pass("the look");
    static_cast<void>(lock->unlock_shared());
  }};
  stage->ready.pass("the other reader");
  const json read = lock_named(look(), "table");
  EXPECT_EQ(read["state"], "shared") << read;
  ASSERT_EQ(read["shared_by"].size(), 2u) << read;
  EXPECT_EQ(read["shared_by"][0]["member"]["pid"], getpid());
  EXPECT_EQ(read["shared_by"][1]["member"]["pid"], other.pid());
  stage->go.open();
  EXPECT_EQ(other.wait(), exited(0));
  static_cast<void>(lock->unlock_shared());
  ASSERT_TRUE(lock->lock());
  const json written = lock_named(look(), "table");
  EXPECT_EQ(written["state"], "held") << written;
  EXPECT_EQ(written["owner"]["member"]["pid"], getpid());
  EXPECT_EQ(written["shared_by"].size(), 0u);
  static_cast<void>(lock->unlock());
}

TEST_F(inspect, permits_of_a_semaphore_and_who_holds_them) {
  auto* permits = shared.find_or_construct<deadbolt::counting_semaphore<3>>("permits", 2);
  ASSERT_TRUE(permits->acquire());
  const json one = lock_named(look(), "permits");
  EXPECT_EQ(one["kind"], "counting_semaphore") << one;
  EXPECT_EQ(one["permits"], 2) << one;
  EXPECT_EQ(one["state"], "free");
  ASSERT_EQ(one["shared_by"].size(), 1u);
  EXPECT_EQ(one["shared_by"][0]["member"]["tid"], gettid());
  ASSERT_TRUE(permits->acquire());
  EXPECT_EQ(lock_named(look(), "permits")["state"], "held");
  static_cast<void>(permits->release());
  static_cast<void>(permits->release());
}

TEST_F(inspect, whether_anybody_may_sleep_on_a_condition_variable) {
  auto* lock = shared.find_or_construct<deadbolt::mutex>("lock");
  auto* arrived = shared.find_or_construct<deadbolt::condition_variable>("arrived");
  const auto arrived_object = [&] {
    const json view = look();
    for (const json& object : view["objects"])
      if (object["name"] == "arrived") return object;
    return json{};
  };
  EXPECT_EQ(arrived_object()["kind"], "condition_variable");
  EXPECT_EQ(arrived_object()["waiters"], false);
  ASSERT_TRUE(lock->lock());
  static_cast<void>(arrived->wait_for(*lock, std::chrono::milliseconds{1}).status());
  static_cast<void>(lock->unlock());
  EXPECT_EQ(arrived_object()["waiters"], true) << "nobody has notified since";
  arrived->notify_all();
  EXPECT_EQ(arrived_object()["waiters"], false);
}

TEST_F(inspect, names_beyond_the_headers_own_and_the_size_to_which_it_can_grow) {
  region large =
      region::create_anonymous("deadbolt-inspect", {.size = 8192, .members = 2, .largest = 65536});
  for (int i = 0; i < 200; ++i)
    ASSERT_NE(large.find_or_construct<int>(("n" + std::to_string(i)).c_str()), nullptr);
  ASSERT_STREQ(to_string(large.destroy<int>("n7")), "destroyed");
  path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(large.descriptor());
  const json before = look();
  EXPECT_EQ(before["objects"].size(), 199u);
  EXPECT_EQ(before["objects"][198]["name"], "n199");
  EXPECT_EQ(before["data_bytes"], 8192);
  EXPECT_EQ(before["largest_data_bytes"], 65536);
  ASSERT_STREQ(to_string(large.grow(40000)), "grown");
  EXPECT_EQ(look()["data_bytes"], 40000);
  const std::string text = run_command(DEADBOLT_COMMAND " inspect " + path).text;
  EXPECT_NE(text.find("40000 bytes of data (which can grow to 65536)"), std::string::npos) << text;
  // The header says more than the file has.
  deadbolt::regions::region_at(large.data())->header()->data_bytes = 65536;
  const auto result = run_command(DEADBOLT_COMMAND " inspect " + path + " 2>&1");
  EXPECT_NE(result.text.find("shorter than its header says"), std::string::npos) << result.text;
  EXPECT_EQ(result.status, 1);
  // Or less than it had when it was created.
  deadbolt::regions::region_at(large.data())->header()->data_bytes = 3;
  EXPECT_EQ(look()["data_bytes"], 8192);
}

TEST_F(inspect, looking_changes_nothing) {
  ASSERT_NE(shared.find_or_construct<deadbolt::mutex>("lock"), nullptr);
  // The header's pages, the slots' and the directory's.
  constexpr std::size_t table = 2ul * 4096 + 8ul * 4096 + deadbolt::regions::directory_bytes;
  const auto whole = [&] {
    return std::string(reinterpret_cast<const char*>(shared.data() - table), table + 2ul * 4096);
  };
  const std::string before = whole();
  static_cast<void>(look("--lock 16"));
  EXPECT_EQ(before, whole());
}

TEST_F(inspect, watch_looks_as_often_as_it_is_told) {
  const command_output result =
      run_command(DEADBOLT_COMMAND " inspect --json --watch --interval 0.01 --count 3 " + path);
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(std::count(result.text.begin(), result.text.end(), '\n'), 3) << result.text;
}

TEST_F(inspect, text_names_the_owner) {
  auto* lock = shared.find_or_construct<deadbolt::mutex>("till");
  const deadbolt::lock_result held = lock->lock();
  ASSERT_TRUE(held);
  const command_output result = run_command(DEADBOLT_COMMAND " inspect " + path);
  EXPECT_NE(result.text.find("held by slot 0, pid " + std::to_string(getpid())), std::string::npos)
      << result.text;
  static_cast<void>(lock->unlock());
}

TEST(inspect_errors, say_what_the_file_is) {
  const command_output none = run_command(DEADBOLT_COMMAND " inspect /no/such/file 2>&1");
  EXPECT_EQ(none.status, 1);
  EXPECT_NE(none.text.find("/no/such/file: No such file"), std::string::npos) << none.text;
  const command_output other = run_command(DEADBOLT_COMMAND " inspect /proc/self/exe 2>&1");
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.text.find("is not a region"), std::string::npos) << other.text;
  EXPECT_EQ(run_command(DEADBOLT_COMMAND " inspect 2>&1").status, 2);
}

// Where no lock shows whether a process uses a file, inspect does not say that none does.
TEST(inspect_errors, unusable_file_on_an_overlay_file_system_may_be_in_use) {
  if (geteuid() != 0) GTEST_SKIP() << "a mount namespace needs root";
  std::string directory = "/dev/shm/deadbolt-inspect-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  EXPECT_EQ(deadbolt::testing::run_in_child([&] {
              const std::string file = deadbolt::testing::mount_overlay(directory) + "/region";
              struct statfs where {};
              CHILD_EXPECT(statfs(directory.c_str(), &where) == 0);
              const auto tmpfs = where.f_type;
              region user = region::create(file.c_str(), {.size = 64, .members = 1});
              CHILD_EXPECT(user.status() == deadbolt::region_status::open);
              CHILD_EXPECT(truncate(file.c_str(), 4096) == 0);
              const command_output result =
                  run_command(DEADBOLT_COMMAND " inspect " + file + " 2>&1");
              CHILD_EXPECT(result.status == 1);
              CHILD_EXPECT(statfs(file.c_str(), &where) == 0);
              CHILD_EXPECT(result.text.find(where.f_type == tmpfs
                                                ? "processes use it"
                                                : "on overlayfs it cannot") != std::string::npos);
            }),
            exited(0));
  rmdir(directory.c_str());
}

TEST_F(inspect, offset_that_no_lock_can_have_is_refused) {
  for (const char* offset : {"4", "8192"}) {
    const command_output result = run_command(DEADBOLT_COMMAND " inspect --lock " +
                                              std::string(offset) + " " + path + " 2>&1");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.text.find("no lock can be at offset"), std::string::npos) << result.text;
  }
}

// A process can write any bytes into the file as a name.
TEST_F(inspect, hostile_names_are_json_and_tell_the_terminal_nothing) {
  ASSERT_NE(shared.find_or_construct<deadbolt::mutex>("qu\"o\\te"), nullptr);
  ASSERT_NE(shared.find_or_construct<deadbolt::mutex>("\x1b[2J\n\x07"), nullptr);
  ASSERT_NE(shared.find_or_construct<int>("\xff\xfe\xc2\x9b"), nullptr);
  ASSERT_NE(shared.find_or_construct<int>("gr\u00fcn"), nullptr);
  const json view = look();
  EXPECT_EQ(lock_named(view, "qu\"o\\te")["state"], "free") << view;
  EXPECT_EQ(lock_named(view, "\x1b[2J\n\x07")["state"], "free") << view;
  ASSERT_EQ(view["objects"].size(), 2u) << view;
  EXPECT_EQ(view["objects"][0]["name"], "\ufffd\ufffd\u009b");
  EXPECT_EQ(view["objects"][1]["name"], "gr\u00fcn");

  const std::string text = run_command(DEADBOLT_COMMAND " inspect " + path).text;
  EXPECT_EQ(text.find_first_of("\x1b\x07"), std::string::npos) << text;
  EXPECT_EQ(text.find("\u009b"), std::string::npos) << text;
  EXPECT_NE(text.find("?[2J??"), std::string::npos) << text;
  EXPECT_NE(text.find("gr\u00fcn"), std::string::npos) << text;
}

TEST_F(inspect, name_of_the_file_need_not_be_text) {
  const std::string link = "/tmp/deadbolt-inspect-\xff\"-" + std::to_string(getpid());
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  const command_output result = run_command(DEADBOLT_COMMAND " inspect --json '" + link + "'");
  const command_output doctor =
      run_command(DEADBOLT_COMMAND " doctor --json --region '" + link + ".not' 2>&1");
  unlink(link.c_str());
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_TRUE(json::accept(result.text)) << result.text;
  EXPECT_TRUE(json::accept(doctor.text)) << doctor.text;
}

TEST_F(inspect, fifo_is_refused_and_not_waited_for) {
  const std::string fifo = "/tmp/deadbolt-inspect-fifo-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const command_output result = run_command(DEADBOLT_COMMAND " inspect " + fifo + " 2>&1");
  unlink(fifo.c_str());
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.text.find("not a region"), std::string::npos) << result.text;
}

TEST_F(inspect, interval_must_be_a_number) {
  const command_output result =
      run_command(DEADBOLT_COMMAND " inspect --watch --interval nan " + path + " 2>&1");
  EXPECT_EQ(result.status, 2) << result.text;
}

TEST_F(inspect, bytes_that_are_no_text_do_not_reach_the_terminal) {
  ASSERT_NE(shared.find_or_construct<int>("\x9b"
                                          "31m"),
            nullptr);
  ASSERT_NE(shared.find_or_construct<int>("a\xe2\x80\xae"
                                          "b"),
            nullptr); // right-to-left override
  const std::string link = "/tmp/deadbolt-inspect-\x1b[1m-" + std::to_string(getpid());
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  const std::string text = run_command(DEADBOLT_COMMAND " inspect '" + link + "'").text +
                           run_command(DEADBOLT_COMMAND " inspect '" + link + ".not' 2>&1").text;
  unlink(link.c_str());
  EXPECT_EQ(text.find_first_of("\x9b\x1b"), std::string::npos) << text;
  EXPECT_NE(text.find("?31m"), std::string::npos) << text;
  EXPECT_NE(text.find("a?b"), std::string::npos) << text;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// A sanitizer reserves terabytes of addresses for its shadow memory.
constexpr const char* limit_memory = "";
#else
constexpr const char* limit_memory = "ulimit -v 4000000; ";
#endif

// Every slot with every hold, and every name at the one lock that all of them hold.
TEST_F(inspect, holds_of_a_hostile_region_are_cut_off) {
  region large = region::create_anonymous("deadbolt-inspect", {.size = 4096, .members = 4096});
  ASSERT_TRUE(large) << to_string(large.status());
  constexpr std::size_t table =
      8192 + 4096 * std::size_t{4096} + deadbolt::regions::directory_bytes;
  auto* header = reinterpret_cast<deadbolt::regions::region_header*>(large.data() - table);
  header->slots_used = 4096;
  header->names_used = deadbolt::regions::named_objects;
  const std::uint64_t lock = table;
  for (std::size_t i = 0; i < 4096; ++i) {
    auto* slot = reinterpret_cast<deadbolt::regions::member_slot*>(
        reinterpret_cast<std::byte*>(header) + 8192 + 4096 * i);
    slot->tail[0] = 1 | FUTEX_WAITERS;
    slot->holds_bound = deadbolt::regions::most_holds;
    for (auto& hold : slot->holds) hold = lock;
  }
  for (std::uint32_t i = 0; i < deadbolt::regions::named_objects; ++i) {
    deadbolt::regions::named_object& entry = deadbolt::regions::region_at(large.data())->object(i);
    std::snprintf(entry.name, sizeof entry.name, "n%u", i);
    entry.size = 16;
    entry.kind = 2;
    entry.state = 2;
  }
  path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(large.descriptor());
  const std::string size = run_command(std::string{"bash -c '"} + limit_memory +
                                       DEADBOLT_COMMAND " inspect --json " + path + " | wc -c'")
                               .text;
  EXPECT_GT(std::stoul(size), 1000u);
  EXPECT_LT(std::stoul(size), 40'000'000u);
}

// A million words that name a member are not all shown, and the look comes to its end.
TEST_F(inspect, data_full_of_owners_is_cut_off) {
  region large = region::create_anonymous("deadbolt-inspect", {.size = 8 << 20, .members = 1});
  ASSERT_TRUE(large) << to_string(large.status());
  ASSERT_NE(large.find_or_construct<int>("one"), nullptr); // makes this thread a member
  auto* words = reinterpret_cast<std::uint64_t*>(large.data());
  for (std::size_t i = 8; i < (8 << 20) / sizeof *words; ++i)
    words[i] = deadbolt::regions::owner_id(0, 0);
  path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(large.descriptor());
  const std::string text = run_command(DEADBOLT_COMMAND " inspect " + path + " | tail -n 1").text;
  EXPECT_NE(text.find("Only the first part of the data"), std::string::npos) << text;
}

} // namespace
