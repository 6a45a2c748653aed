// SPDX-License-Identifier: MIT
// Looking up vDSO functions: found in whole images, and in damaged ones either found
// or not, but never with a read outside the image. Each image ends at an unreadable
// page.
#include <base/vdso_image.hpp>

#include <vdso_image_builder.hpp>

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

namespace deadbolt::testing {
namespace {

using base::vdso_image;

// Memory for images that end at the memory's end.
class guarded_room {
public:
  guarded_room()
      : start_{static_cast<unsigned char*>(
            mmap(nullptr, 2 * room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))} {
    if (start_ == MAP_FAILED || mprotect(start_ + room, room, PROT_NONE) != 0) std::abort();
  }
  guarded_room(const guarded_room&) = delete;
  guarded_room& operator=(const guarded_room&) = delete;
  ~guarded_room() { munmap(start_, 2 * room); }

  [[nodiscard]] vdso_image place(const image_bytes& bytes, std::size_t size) {
    unsigned char* base = start_ + room - size;
    std::copy_n(bytes.begin(), size, base);
    return {base, size};
  }
  [[nodiscard]] vdso_image place(const image_bytes& bytes) { return place(bytes, bytes.size()); }

private:
  static constexpr std::size_t room = 1 << 16;
  unsigned char* start_;
};

class vdso_images : public ::testing::Test {
protected:
  // Whatever the image contains, a function that is found lies inside the image.
  void look(const vdso_image& image) {
    for (const std::string& name : robust_unlock_names()) {
      const auto* found = static_cast<const unsigned char*>(image.find_function(name.c_str()));
      if (found == nullptr) continue;
      ASSERT_GE(found, image.base);
      ASSERT_LT(found, image.base + image.size);
    }
  }
  static std::vector<image_bytes> every_shape() {
    std::vector<image_bytes> images;
    for (const auto& [hash, gnu_hash] : {std::pair{true, true}, {true, false}, {false, true}}) {
      for (const std::uint64_t address : {std::uint64_t{0}, ~std::uint64_t{0xfffff}}) {
        images.push_back(make_image(robust_unlock_names(), {hash, gnu_hash, address}));
      }
    }
    return images;
  }

  guarded_room room;
};

TEST_F(vdso_images, functions_are_found_in_every_shape_of_image) {
  for (const image_bytes& bytes : every_shape()) {
    const vdso_image image = room.place(bytes);
    for (std::size_t i = 0; i < robust_unlock_names().size(); ++i) {
      EXPECT_EQ(image.find_function(robust_unlock_names()[i].c_str()),
                image.base + function_offset(i));
    }
    EXPECT_EQ(image.find_function("__vdso_robust_futex"), nullptr) << "a prefix is not the name";
    EXPECT_EQ(image.find_function("__vdso_robust_futex_unlock_"), nullptr);
    EXPECT_EQ(image.find_function("absent"), nullptr);
  }
}

TEST_F(vdso_images, image_without_tables_or_functions_has_none) {
  EXPECT_EQ((vdso_image{nullptr, 0}.find_function("any")), nullptr);
  const image_bytes none = make_image(robust_unlock_names(), {false, false, 0});
  EXPECT_EQ(room.place(none).find_function("__vdso_robust_futex_unlock"), nullptr);
  EXPECT_EQ(room.place(make_image({})).find_function("__vdso_robust_futex_unlock"), nullptr);
}

TEST_F(vdso_images, this_machines_vdso_has_clock_gettime) {
  const vdso_image image = base::this_process_vdso();
  if (image.size == 0) GTEST_SKIP() << "this process has no vDSO (AT_SYSINFO_EHDR)";
  const void* found = image.find_function("__vdso_clock_gettime");
  ASSERT_NE(found, nullptr);
  const auto clock_gettime_of_vdso =
      reinterpret_cast<int (*)(clockid_t, timespec*)>(reinterpret_cast<std::uintptr_t>(found));
  timespec before{};
  timespec between{};
  clock_gettime(CLOCK_MONOTONIC, &before);
  EXPECT_EQ(clock_gettime_of_vdso(CLOCK_MONOTONIC, &between), 0);
  EXPECT_GE(between.tv_sec, before.tv_sec);
  EXPECT_EQ(image.find_function("__vdso_no_such_function"), nullptr);
}

TEST_F(vdso_images, every_truncation_is_survived) {
  for (const image_bytes& bytes : every_shape()) {
    for (std::size_t size = 0; size < bytes.size(); ++size) look(room.place(bytes, size));
  }
}

TEST_F(vdso_images, every_byte_damaged_is_survived) {
  for (const image_bytes& whole : every_shape()) {
    image_bytes bytes = whole;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const unsigned char good = bytes[at];
      for (unsigned bit = 0; bit < 8; ++bit) {
        bytes[at] = static_cast<unsigned char>(good ^ (1U << bit));
        look(room.place(bytes));
      }
      for (const int value : {0, 0x7f, 0x80, 0xff}) {
        bytes[at] = static_cast<unsigned char>(value);
        look(room.place(bytes));
      }
      bytes[at] = good;
    }
  }
}

template <class Field>
void damage_fields(const image_bytes& whole, auto&& look) {
  constexpr Field most = std::numeric_limits<Field>::max();
  const auto size = static_cast<Field>(whole.size());
  for (std::size_t at = 0; at + sizeof(Field) <= whole.size(); at += 2) {
    for (const Field value :
         {Field{0}, Field{1}, most, static_cast<Field>(most - 1), static_cast<Field>(most / 2),
          static_cast<Field>(most / 2 + 1), size, static_cast<Field>(size - 1),
          static_cast<Field>(size - sizeof(Field)), static_cast<Field>(0 - size)}) {
      image_bytes bytes = whole;
      std::memcpy(bytes.data() + at, &value, sizeof value);
      look(bytes);
    }
  }
}

TEST_F(vdso_images, every_field_at_its_extremes_is_survived) {
  for (const image_bytes& whole : every_shape()) {
    const auto look_at = [this](const image_bytes& bytes) { look(room.place(bytes)); };
    damage_fields<std::uint16_t>(whole, look_at);
    damage_fields<std::uint32_t>(whole, look_at);
    damage_fields<std::uint64_t>(whole, look_at);
  }
}

TEST_F(vdso_images, random_damage_is_survived) {
  const std::uint32_t seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random{seed};
  const std::vector<image_bytes> shapes = every_shape();
  for (int round = 0; round < 100'000; ++round) {
    image_bytes bytes = shapes[random() % shapes.size()];
    for (auto hits = 1 + random() % 8; hits > 0; --hits) {
      bytes[random() % bytes.size()] = static_cast<unsigned char>(random());
    }
    look(room.place(bytes, random() % 4 == 0 ? random() % bytes.size() : bytes.size()));
  }
}

} // namespace
} // namespace deadbolt::testing
