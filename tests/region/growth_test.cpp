// SPDX-License-Identifier: MIT
// Data that grows in place, for every process at once.
#include <own_directory.hpp>
#include <region_support.hpp>

#include <base/file.hpp>
#include <region/region_file.hpp>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <thread>
#include <vector>

namespace deadbolt::testing {
namespace {

class region_growth : public in_own_directory {
protected:
  region_growth() : in_own_directory{"region-growth"} {}
};

constexpr std::size_t megabyte = std::size_t{1} << 20;
constexpr region_options small{.size = 100, .members = 8, .largest = 4 * megabyte};

std::string grow(const region& shared, std::size_t size) {
  return to_string(shared.grow(size));
}

struct gates {
  gate ready;
  gate grown;
};

std::uint64_t file_size(const region& shared) {
  return regions::length_of(shared.descriptor());
}

TEST_F(region_growth, data_grows_where_it_is_with_zeros) {
  for (const bool is_memfd : {false, true}) {
    region shared = is_memfd ? region::create_anonymous("deadbolt-test", small)
                             : region::create(path.c_str(), small);
    ASSERT_EQ(name(shared.status()), "open");
    std::byte* const data = shared.data();
    std::memset(data, 7, 100);
    const std::uint64_t before = file_size(shared);
    EXPECT_EQ(shared.size(), 100u);
    EXPECT_EQ(shared.largest_size(), 4 * megabyte);
    EXPECT_EQ(grow(shared, 50), "grown");
    EXPECT_EQ(shared.size(), 100u);
    EXPECT_EQ(grow(shared, 4000), "grown") << "within its last page";
    EXPECT_EQ(shared.size(), 4000u);
    EXPECT_EQ(file_size(shared), before);
    EXPECT_EQ(grow(shared, megabyte), "grown");
    EXPECT_EQ(shared.data(), data);
    EXPECT_EQ(data[99], std::byte{7});
    EXPECT_EQ(data[100], std::byte{0});
    EXPECT_EQ(data[megabyte - 1], std::byte{0});
    data[megabyte - 1] = std::byte{1};
    EXPECT_EQ(grow(shared, 4 * megabyte + 1), "too_large");
    EXPECT_EQ(grow(shared, 4 * megabyte), "grown");
    // It has memory: the file is not sparse there.
    struct stat status {};
    ASSERT_EQ(fstat(shared.descriptor(), &status), 0);
    EXPECT_GE(static_cast<std::uint64_t>(status.st_blocks) * 512, 4 * megabyte);
    shared.close();
    EXPECT_EQ(grow(shared, 1), "not_open");
    if (!is_memfd) {
      EXPECT_EQ(region::open(path.c_str()).size(), 4 * megabyte);
    }
  }
}

TEST_F(region_growth, region_without_an_option_for_it_does_not_grow) {
  const region shared = region::create(path.c_str(), {.size = 100, .members = 2});
  EXPECT_EQ(shared.largest_size(), 100u);
  EXPECT_EQ(grow(shared, 101), "too_large");
  EXPECT_EQ(name(region::create((path + "2").c_str(), {.size = 100, .largest = 99}).status()),
            "invalid_options");
  EXPECT_EQ(name(region::create((path + "2").c_str(), {.size = 100, .largest = SIZE_MAX}).status()),
            "invalid_options");
}

// A process that was a member before uses the new bytes, and locks in them, at the same addresses.
TEST_F(region_growth, members_of_before_see_new_objects_and_lock_in_them) {
  struct large {
    std::byte before[megabyte];
    deadbolt::mutex lock;
  };
  region_of<gates> report;
  region shared = region::create(path.c_str(), small);
  child_process other{[&] {
    CHILD_EXPECT(name(shared.attach()) == "attached");
    CHILD_EXPECT(shared.find<large>("large") == nullptr);
    report->ready.open();
    report->grown.pass("the growth");
    CHILD_EXPECT(shared.size() == 2 * megabyte);
    large* object = shared.find<large>("large");
    CHILD_EXPECT(object != nullptr);
    CHILD_EXPECT(name(object->lock.lock()) == "acquired");
    raise(SIGKILL);
  }};
  report->ready.pass("the other process");
  EXPECT_EQ(shared.find_or_construct<large>("large"), nullptr);
  EXPECT_EQ(grow(shared, 2 * megabyte), "grown");
  large* object = shared.find_or_construct<large>("large");
  ASSERT_NE(object, nullptr) << to_string(last_construct_status());
  report->grown.open();
  EXPECT_EQ(other.wait(), killed_by(SIGKILL));
  EXPECT_EQ(name(object->lock.lock()), "owner_died");
}

TEST_F(region_growth, growers_at_the_same_time_all_get_what_they_asked_for) {
  region shared = region::create(path.c_str(), small);
  std::vector<std::unique_ptr<child_process>> growers;
  for (std::size_t i = 1; i <= 6; ++i) {
    growers.push_back(std::make_unique<child_process>([&, i] {
      region own = region::open(path.c_str());
      for (std::size_t size = i * 1000; size < 4 * megabyte; size += i * 10'000) {
        CHILD_EXPECT(grow(own, size) == "grown");
        CHILD_EXPECT(own.size() >= size);
        own.data()[size - 1] = std::byte{1};
      }
    }));
  }
  for (const auto& grower : growers) EXPECT_EQ(grower->wait(), exited(0));
  EXPECT_GT(shared.size(), 3 * megabyte);
}

TEST_F(region_growth, full_file_system_is_an_error_and_not_a_signal) {
  if (geteuid() != 0) GTEST_SKIP() << "a file system of its own needs root";
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(unshare(CLONE_NEWNS) == 0);
              CHILD_EXPECT(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
              CHILD_EXPECT(mount("none", directory.c_str(), "tmpfs", 0, "size=1m") == 0);
              region shared = region::create(path.c_str(), small);
              CHILD_EXPECT(static_cast<bool>(shared));
              errno = 0;
              CHILD_EXPECT(grow(shared, 2 * megabyte) == "system_error" && errno == ENOSPC);
              CHILD_EXPECT(shared.size() == 100);
              CHILD_EXPECT(grow(shared, megabyte / 2) == "grown");
              std::memset(shared.data(), 1, megabyte / 2);
            }),
            exited(0));
}

// More names than there is memory for.
TEST_F(region_growth, directory_on_a_full_file_system_is_an_error_and_not_a_signal) {
  if (geteuid() != 0) GTEST_SKIP() << "a file system of its own needs root";
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(unshare(CLONE_NEWNS) == 0);
              CHILD_EXPECT(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
              CHILD_EXPECT(mount("none", directory.c_str(), "tmpfs", 0, "size=160k") == 0);
              region shared = region::create(path.c_str(), {.size = 65536, .members = 8});
              CHILD_EXPECT(static_cast<bool>(shared));
              std::uint32_t made = 0;
              while (shared.find_or_construct<int>(("n" + std::to_string(made)).c_str())) ++made;
              CHILD_EXPECT(last_construct_status() == construct_status::system_error);
              CHILD_EXPECT(errno == ENOSPC && made > 63 && made < region::most_names);
              CHILD_EXPECT(shared.find<int>("n0") != nullptr);
            }),
            exited(0));
}

// A daemon that closes every descriptor sees what others did, and may not grow the data itself.
TEST_F(region_growth, process_without_the_descriptor_sees_growth_and_cannot_grow) {
  region shared = region::create(path.c_str(), small);
  region_of<gates> report;
  child_process daemon{[&] {
    CHILD_EXPECT(close_range(3, ~0U, 0) == 0);
    CHILD_EXPECT(shared.size() == 100);
    report->ready.open();
    report->grown.pass("the growth");
    CHILD_EXPECT(shared.size() == megabyte);
    shared.data()[megabyte - 1] = std::byte{1};
    CHILD_EXPECT(grow(shared, 2 * megabyte) == "descriptor_lost");
    region again = region::open(path.c_str());
    CHILD_EXPECT(again.data() == shared.data());
    CHILD_EXPECT(grow(shared, 2 * megabyte) == "grown");
  }};
  report->ready.pass("the daemon");
  EXPECT_EQ(grow(shared, megabyte), "grown");
  report->grown.open();
  EXPECT_EQ(daemon.wait(), exited(0));
  EXPECT_EQ(shared.size(), 2 * megabyte);
}

// The number in the header is any peer's to write.
TEST_F(region_growth, size_that_the_file_does_not_have_is_not_believed) {
  struct large {
    std::byte bytes[4000];
  };
  for (const bool has_descriptor : {true, false}) {
    EXPECT_EQ(run_in_child([&] {
                region shared = region::create_anonymous("deadbolt-test", small);
                regions::region_header* header = regions::region_at(shared.data())->header();
                if (!has_descriptor) CHILD_EXPECT(close_range(3, ~0U, 0) == 0);
                for (const std::uint64_t forged :
                     {std::uint64_t{8192}, std::uint64_t{megabyte}, 4 * std::uint64_t{megabyte},
                      4 * std::uint64_t{megabyte} + 1, ~std::uint64_t{0}, std::uint64_t{0},
                      std::uint64_t{99}}) {
                  header->data_bytes = forged;
                  CHILD_EXPECT(shared.size() == 100);
                  CHILD_EXPECT(shared.at<std::uint64_t>(4096) == nullptr);
                  CHILD_EXPECT(shared.find_or_construct<large>("n") == nullptr);
                }
              }),
              exited(0))
        << has_descriptor;
  }
}

TEST_F(region_growth, truncated_after_it_grew_is_truncated) {
  region shared = region::create(path.c_str(), small);
  ASSERT_EQ(grow(shared, megabyte), "grown");
  const std::uint64_t whole = file_size(shared);
  shared.close();
  ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(whole - 1)), 0);
  EXPECT_EQ(name(region::open(path.c_str()).status()), "truncated");
  ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(whole)), 0);
  EXPECT_EQ(region::open(path.c_str()).size(), megabyte);
}

// After a power cut, or in a copy: the header's page is older than the file's length.
TEST_F(region_growth, adopted_file_has_all_the_data_that_is_there) {
  const std::string copy = directory + "/copy";
  {
    region shared = region::create(path.c_str(), small);
    ASSERT_EQ(grow(shared, megabyte), "grown");
    ASSERT_EQ(std::system(("cp " + path + " " + copy).c_str()), 0);
  }
  const base::descriptor file{base::open_file(copy.c_str(), O_RDWR)};
  const std::uint64_t older = 100;
  ASSERT_EQ(pwrite(file.get(), &older, sizeof older, offsetof(regions::region_header, data_bytes)),
            ssize_t{sizeof older});
  const region adopted = region::open(copy.c_str());
  ASSERT_EQ(name(adopted.status()), "open");
  EXPECT_EQ(adopted.size(), megabyte);
  std::memset(adopted.data(), 1, megabyte); // has memory: cp left holes
}

} // namespace
} // namespace deadbolt::testing
