// SPDX-License-Identifier: MIT
// Death at every instruction of what changes a region's directory and its size.
#include <region_support.hpp>
#include <stepped_child.hpp>

#include <region/region_file.hpp>
#include <string>

namespace deadbolt::testing {
namespace {

struct part {
  std::uint64_t values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  ~part() {
    for (std::uint64_t& value : values) value = 0;
  }
  [[nodiscard]] bool is_whole() const {
    for (std::uint64_t i = 0; i < 8; ++i) {
      if (values[i] != i + 1) return false;
    }
    return true;
  }
};

class region_directory_kill : public ::testing::Test {
protected:
  region shared = region::create_anonymous(
      "deadbolt-test", {.size = 4096, .members = 4, .largest = std::size_t{1} << 20});

  [[nodiscard]] regions::open_region& mapping() const { return *regions::region_at(shared.data()); }

  change_counter changes;
  // Of the header, the directory, the first bytes of the data and the file's length.
  [[nodiscard]] std::uint64_t everything() {
    const std::uint64_t length = regions::length_of(shared.descriptor());
    return changes.look({{mapping().header(), sizeof(regions::region_header)},
                         {&mapping().object(regions::named_objects_in_header), 4096},
                         {shared.data(), 1024},
                         {&length, sizeof length}});
  }

  void fill_names(std::uint32_t count) const {
    struct empty {
      char byte;
    };
    for (std::uint32_t i = 0; i < count; ++i) {
      ASSERT_NE(shared.find_or_construct<empty>(("n" + std::to_string(i)).c_str()), nullptr);
    }
  }

  void tell(const char* what, const kill_points& points) const {
    std::printf("%s: %u instructions, killed in each of %u states\n", what, points.instructions,
                points.killed);
    EXPECT_GT(points.killed, 8u);
  }
};

// The directory's lock passes on, the object is whole or made anew, and no bytes are lost. In the
// header, and in the part of the directory that gets its memory then.
TEST_F(region_directory_kill, construction_killed_anywhere_leaves_a_whole_object_or_none) {
  for (const std::uint32_t names_before : {0U, 63U}) {
    fill_names(names_before);
    ASSERT_TRUE(names_before == 0 || mapping().names_used() == names_before);
    const auto* const place = shared.find_or_construct<part>("part");
    ASSERT_STREQ(to_string(shared.destroy<part>("part")), "destroyed");
    std::uint32_t whole = 0;
    const kill_points points =
        kill_in_every_state([&] { CHILD_EXPECT(name(shared.attach()) == "attached"); },
                            [&] { static_cast<void>(shared.find_or_construct<part>("part")); },
                            [&] { return everything(); },
                            [&](std::uint32_t instructions) {
                              const auto* found = shared.find<part>("part");
                              if (found != nullptr) ++whole;
                              EXPECT_TRUE(found == nullptr || found->is_whole())
                                  << "killed after " << instructions;
                              const auto* made = shared.find_or_construct<part>("part");
                              EXPECT_EQ(made, place) << to_string(last_construct_status())
                                                     << ", killed after " << instructions;
                              EXPECT_TRUE(made->is_whole()) << "killed after " << instructions;
                              EXPECT_STREQ(to_string(shared.destroy<part>("part")), "destroyed");
                              return !HasFailure();
                            });
    tell("construction", points);
    EXPECT_GT(whole, 0u);
    EXPECT_LT(whole, points.killed);
  }
}

// There is the whole object, or none: never one whose destructor has begun.
TEST_F(region_directory_kill, destruction_killed_anywhere_leaves_the_object_or_none) {
  auto* const place = shared.find_or_construct<part>("part");
  std::uint32_t whole = 0;
  const kill_points points = kill_in_every_state(
      [&] { CHILD_EXPECT(name(shared.attach()) == "attached"); },
      [&] { shared.destroy<part>("part"); }, [&] { return everything(); },
      [&](std::uint32_t instructions) {
        const auto* found = shared.find<part>("part");
        if (found != nullptr) ++whole;
        EXPECT_TRUE(found == nullptr || found->is_whole()) << "killed after " << instructions;
        for (const object_info& object : shared.objects()) {
          EXPECT_EQ(found != nullptr, object.size == sizeof(part)) << object.name;
        }
        EXPECT_EQ(shared.find_or_construct<part>("part"), place)
            << "the same bytes, killed after " << instructions;
        EXPECT_TRUE(place->is_whole()) << "killed after " << instructions;
        return !HasFailure();
      });
  tell("destruction", points);
  EXPECT_GT(whole, 0u);
  EXPECT_LT(whole, points.killed);
}

// The size is the old or the new one, all of it has memory, and the next grower goes on.
TEST_F(region_directory_kill, growth_killed_anywhere_leaves_the_old_size_or_the_new_one) {
  std::size_t size = 4096;
  std::uint32_t grown = 0;
  const kill_points points = kill_in_every_state(
      [&] { CHILD_EXPECT(name(shared.attach()) == "attached"); },
      [&] { static_cast<void>(shared.grow(size + 4096)); }, [&] { return everything(); },
      [&](std::uint32_t instructions) {
        const std::size_t now = shared.size();
        EXPECT_TRUE(now == size || now == size + 4096) << now << ", killed after " << instructions;
        if (now != size) ++grown;
        regions::fixed_header header{};
        int error = 0;
        EXPECT_EQ(name(regions::judge_file(shared.descriptor(), header, error)), "open")
            << "the file is as long as its header says, killed after " << instructions;
        shared.data()[now - 1] = std::byte{1};
        EXPECT_STREQ(to_string(shared.grow(size + 4096)), "grown")
            << "killed after " << instructions;
        EXPECT_EQ(shared.size(), size + 4096);
        shared.data()[size + 4095] = std::byte{1};
        size += 4096;
        return !HasFailure();
      });
  tell("growth", points);
  EXPECT_GT(grown, 0u);
  EXPECT_LT(grown, points.killed);
}

} // namespace
} // namespace deadbolt::testing
