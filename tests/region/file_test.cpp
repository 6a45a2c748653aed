// SPDX-License-Identifier: MIT
// Creating and opening: a file that is no whole region is refused, and the status names the reason.
#include <region_support.hpp>

#include <region/region_file.hpp>

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <vector>

namespace deadbolt::testing {
namespace {

using regions::fixed_header;

constexpr region_options small{.size = 100, .members = 4};

class region_file : public ::testing::Test {
protected:
  region_file() {
    std::string pattern = "/dev/shm/deadbolt-region-file-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    directory_ = pattern;
    path = directory_ + "/region";
  }
  ~region_file() override {
    unlink(path.c_str());
    unlink((directory_ + "/copy").c_str());
    rmdir(directory_.c_str());
  }

  std::string other_path() const { return directory_ + "/copy"; }

  fixed_header header() const {
    fixed_header read_back{};
    const int file = ::open(path.c_str(), O_RDONLY);
    EXPECT_EQ(pread(file, &read_back, sizeof read_back, 0), ssize_t{sizeof read_back});
    close(file);
    return read_back;
  }
  void write_header(fixed_header changed, bool with_checksum = true) const {
    if (with_checksum) changed.checksum = regions::checksum_of(changed);
    const int file = ::open(path.c_str(), O_WRONLY);
    EXPECT_EQ(pwrite(file, &changed, sizeof changed, 0), ssize_t{sizeof changed});
    close(file);
  }
  void write_file(const std::string& bytes) const {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EXPECT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    close(file);
  }
  void write_at(std::size_t offset, std::uint64_t value) const {
    const int file = ::open(path.c_str(), O_WRONLY);
    EXPECT_EQ(pwrite(file, &value, sizeof value, static_cast<off_t>(offset)),
              ssize_t{sizeof value});
    close(file);
  }
  std::string opened() const { return name(region::open(path.c_str()).status()); }

  std::string path;

private:
  std::string directory_;
};

TEST_F(region_file, create_open_and_open_or_create_say_what_they_did) {
  EXPECT_EQ(opened(), "not_found");
  region made = region::create(path.c_str(), small);
  ASSERT_EQ(name(made.status()), "open");
  EXPECT_EQ(made.size(), 100u);
  EXPECT_EQ(made.members(), 4u);
  EXPECT_EQ(name(region::create(path.c_str(), small).status()), "exists");
  region again = region::open_or_create(path.c_str(), {.size = 5, .members = 1});
  EXPECT_EQ(again.data(), made.data()) << "one mapping a file";
  EXPECT_EQ(again.size(), 100u);
  made.close();
  EXPECT_EQ(made.data(), nullptr);
  EXPECT_EQ(again.data()[99], std::byte{0});
}

TEST_F(region_file, options_out_of_range_are_refused) {
  EXPECT_EQ(name(region::create(path.c_str(), {.size = 0}).status()), "invalid_options");
  EXPECT_EQ(name(region::create(path.c_str(), {.size = 1, .members = 0}).status()),
            "invalid_options");
  EXPECT_EQ(name(region::create(path.c_str(), {.size = 1, .members = 16'383}).status()),
            "invalid_options");
  EXPECT_EQ(name(region::create(path.c_str(), {.size = SIZE_MAX}).status()), "invalid_options");
  EXPECT_EQ(access(path.c_str(), F_OK), -1);
  const region nowhere = region::create("/nonexistent/region", small);
  EXPECT_EQ(name(nowhere.status()), "system_error");
  EXPECT_EQ(nowhere.error(), ENOENT);
}

TEST_F(region_file, foreign_files_are_not_regions) {
  write_file("");
  EXPECT_EQ(opened(), "not_a_region");
  write_file("hello");
  EXPECT_EQ(opened(), "not_a_region");
  write_file(std::string(100'000, 'x'));
  EXPECT_EQ(opened(), "not_a_region");
  EXPECT_EQ(name(region::open_or_create(path.c_str(), small).status()), "not_a_region");
  EXPECT_EQ(name(region::open("/dev/shm").status()), "not_a_region");
  EXPECT_EQ(name(region::open("/dev/null").status()), "not_a_region");
}

// What a machine that stops leaves in a file: locks of members whose processes are no more.
struct kept {
  deadbolt::mutex lock;
  std::uint64_t value;
};

void leave_held_lock(const std::string& path) {
  ASSERT_EQ(run_in_child([&] {
              region own = region::create(path.c_str(), {.size = sizeof(kept), .members = 4});
              kept* data = own.at<kept>(0);
              CHILD_EXPECT(name(data->lock.lock()) == "acquired");
              data->value = 42;
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
}

// As if the kernel had not marked the owner: its TID again.
void unmark(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR);
  const std::uint32_t alive = 1 | FUTEX_WAITERS;
  const off_t at = first_slot_in(path) + off_t{offsetof(regions::member_slot, tail)};
  EXPECT_EQ(pwrite(file, &alive, sizeof alive, at), ssize_t{sizeof alive});
  close(file);
}

void expect_adopted(const std::string& path) {
  region adopted = region::open(path.c_str());
  ASSERT_EQ(name(adopted.status()), "open");
  EXPECT_EQ(live_members(adopted), 0u) << "marked dead by the open";
  kept* data = adopted.at<kept>(0);
  EXPECT_EQ(data->value, 42u);
  EXPECT_EQ(name(data->lock.try_lock()), "owner_died");
  EXPECT_TRUE(data->lock.mark_consistent());
  EXPECT_EQ(name(data->lock.unlock()), "released");
}

TEST_F(region_file, file_of_a_former_boot_keeps_its_data_and_passes_its_locks_on) {
  leave_held_lock(path);
  unmark(path);
  write_at(offsetof(regions::region_header, last_home), std::uint64_t{0x1234});
  expect_adopted(path);
}

TEST_F(region_file, copy_is_a_region_of_its_own_whose_locks_passed_on) {
  leave_held_lock(path);
  unmark(path);
  region original = region::open(path.c_str());
  kept* data = original.at<kept>(0);
  ASSERT_EQ(name(data->lock.lock()), "owner_died");
  ASSERT_EQ(std::system(("cp " + path + " " + other_path()).c_str()), 0);
  // The copy's owner is this thread, by number, and holds the original alone.
  expect_adopted(other_path());
  EXPECT_EQ(name(data->lock.lock()), "deadlock") << "the original's lock is held as before";
}

// A member without a membership lock, of another PID namespace: no process can tell whether it is
// dead.
TEST_F(region_file, members_that_cannot_be_judged_are_not_adopted) {
  for (const bool reboots : {true, false}) {
    leave_held_lock(path);
    unmark(path);
    write_at(static_cast<std::size_t>(first_slot_in(path)) +
                 offsetof(regions::member_slot, process),
             regions::process_by_pid(0x7ffffff, 77));
    const std::size_t home = offsetof(regions::region_header, last_home);
    if (reboots) {
      write_at(home, std::uint64_t{0x1234});
    } else {
      write_at(home + offsetof(regions::home, inode), std::uint64_t{1});
    }
    EXPECT_EQ(opened(), reboots ? "former_boot" : "copied");
    unlink(path.c_str());
  }
}

TEST_F(region_file, truncated_regions_are_refused_at_every_length) {
  region::create(path.c_str(), small).close();
  const auto whole = static_cast<off_t>(header().total_bytes);
  for (off_t length = whole; length > 0; length -= 997) {
    ASSERT_EQ(truncate(path.c_str(), length), 0);
    const std::string expected = length == whole ? "open"
                                 : length >= 16  ? "truncated"
                                                 : "not_a_region";
    ASSERT_EQ(opened(), expected) << length;
  }
}

TEST_F(region_file, versions_and_damage_are_refused) {
  region::create(path.c_str(), small).close();
  const fixed_header whole = header();
  fixed_header changed = whole;
  for (const std::uint32_t version :
       {0u, regions::format_version - 1, regions::format_version + 1, ~0u}) {
    changed.version = version;
    write_header(changed);
    EXPECT_EQ(opened(), "unknown_version");
  }
  // Any bit but the checksum's.
  for (std::size_t byte = 20; byte < sizeof whole; ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      changed = whole;
      reinterpret_cast<unsigned char*>(&changed)[byte] ^= static_cast<unsigned char>(1 << bit);
      write_header(changed, false);
      ASSERT_EQ(opened(), "damaged") << byte << " bit " << bit;
    }
  }
}

// The checksum is no secret.
TEST_F(region_file, forged_geometry_with_a_right_checksum_is_refused) {
  region::create(path.c_str(), small).close();
  const fixed_header whole = header();
  const auto forge = [&](auto field, std::uint64_t value) {
    fixed_header changed = whole;
    changed.*field = static_cast<std::remove_reference_t<decltype(changed.*field)>>(value);
    if (std::memcmp(&changed, &whole, sizeof whole) == 0) return;
    write_header(changed);
    const std::string status = opened();
    ASSERT_TRUE(status == "damaged" || status == "truncated") << status << " for " << value;
  };
  for (int shift = 0; shift < 64; ++shift) {
    for (const std::int64_t delta : {-1, 0, 1}) {
      const std::uint64_t value = (std::uint64_t{1} << shift) + static_cast<std::uint64_t>(delta);
      forge(&fixed_header::members, value & 0xffffffff);
      forge(&fixed_header::page_bytes, value & 0xffffffff);
      forge(&fixed_header::header_bytes, value & 0xffffffff);
      forge(&fixed_header::slots_offset, value);
      forge(&fixed_header::data_offset, value);
      forge(&fixed_header::total_bytes, value);
      // The file need not be as long as the one of these; the other needs no more than one page.
      if (value < whole.data_bytes || value > regions::most_data_bytes) {
        forge(&fixed_header::largest_data_bytes, value);
      }
      if (value == 0 || value > whole.largest_data_bytes) forge(&fixed_header::data_bytes, value);
    }
  }
}

// As a system with pages of that size would have made it.
TEST_F(region_file, of_other_page_sizes_opens_where_pages_are_not_larger) {
  const auto own_page = static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE));
  for (const std::uint32_t page : {4096U, 16384U, 65536U}) {
    region::create(path.c_str(), small).close();
    fixed_header other{};
    ASSERT_TRUE(regions::make_header(small, page, other));
    std::memcpy(other.nonce, header().nonce, sizeof other.nonce);
    write_header(other);
    ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(other.total_bytes)), 0);
    if (page < own_page) {
      EXPECT_EQ(opened(), "wrong_page_size") << page;
    } else {
      region opened_here = region::open(path.c_str());
      ASSERT_EQ(opened_here.status(), region_status::open) << page;
      auto* lock = opened_here.at<mutex>(0);
      EXPECT_EQ(lock->lock(), lock_status::acquired) << page;
      lock->unlock();
    }
    ASSERT_EQ(unlink(path.c_str()), 0);
  }
}

TEST_F(region_file, one_of_many_creators_wins_and_all_share_its_region) {
  struct tally {
    std::atomic<std::uint32_t> creators;
  };
  region_of<tally> shared;
  for (int round = 0; round < 20; ++round) {
    shared->creators = 0;
    std::vector<std::unique_ptr<child_process>> racers;
    racers.reserve(6);
    for (int racer = 0; racer < 6; ++racer) {
      racers.push_back(std::make_unique<child_process>([&] {
        region own = region::open_or_create(path.c_str(), small);
        CHILD_EXPECT(own.status() == region_status::open);
        auto* count = own.at<std::atomic<std::uint32_t>>(0);
        if (count->fetch_add(1) == 0) ++shared->creators;
      }));
    }
    for (const auto& racer : racers) ASSERT_EQ(racer->wait(), exited(0));
    region result = region::open(path.c_str());
    ASSERT_EQ(result.at<std::atomic<std::uint32_t>>(0)->load(), 6u);
    ASSERT_EQ(shared->creators, 1u);
    unlink(path.c_str());
  }
}

TEST_F(region_file, named_objects_are_made_once_and_checked) {
  struct point {
    std::uint64_t x = 7;
    std::uint64_t y = 0;
  };
  region made = region::create(path.c_str(), small);
  auto* first = made.find_or_construct<point>("first");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->x, 7u);
  first->x = 8;
  EXPECT_EQ(made.find_or_construct<point>("first"), first);
  EXPECT_EQ(first->x, 8u) << "made once";
  EXPECT_EQ(made.find_or_construct<std::uint32_t>("first"), nullptr) << "another size";
  EXPECT_NE(made.find_or_construct<std::uint32_t>("second", 3u), nullptr);
  EXPECT_EQ(*made.find_or_construct<std::uint32_t>("second"), 3u);
  struct big {
    std::byte bytes[90];
  };
  EXPECT_EQ(made.find_or_construct<big>("big"), nullptr) << "no room";
  EXPECT_EQ(made.find_or_construct<point>(""), nullptr);
  EXPECT_EQ(made.find_or_construct<point>(std::string(40, 'n').c_str()), nullptr);
  EXPECT_EQ(made.at<point>(96), nullptr);
  EXPECT_EQ(made.at<point>(4), nullptr) << "misaligned";
}

TEST_F(region_file, maker_that_dies_in_a_constructor_is_replaced) {
  struct fragile {
    std::uint64_t value = 1;
    explicit fragile(bool die) {
      if (die) raise(SIGKILL);
      value = 2;
    }
  };
  region made = region::create(path.c_str(), small);
  EXPECT_EQ(run_in_child([&] { static_cast<void>(made.find_or_construct<fragile>("it", true)); }),
            killed_by(SIGKILL));
  auto* it = made.find_or_construct<fragile>("it", false);
  ASSERT_NE(it, nullptr);
  EXPECT_EQ(it->value, 2u);
}

TEST_F(region_file, anonymous_region_is_sealed_and_opens_by_descriptor) {
  region made = region::create_anonymous("deadbolt-test", small);
  ASSERT_TRUE(made);
  EXPECT_EQ(ftruncate(made.descriptor(), 4096), -1);
  EXPECT_EQ(errno, EPERM);
  const int inherited = dup(made.descriptor());
  std::byte* data = made.data();
  EXPECT_EQ(region::open_descriptor(inherited).data(), data);
  made.close();
  region other = region::open_descriptor(inherited);
  EXPECT_EQ(name(other.status()), "open");
  close(inherited);
  EXPECT_EQ(name(other.attach()), "attached");
  EXPECT_EQ(name(region::open_descriptor(-1).status()), "system_error");
}

} // namespace
} // namespace deadbolt::testing
