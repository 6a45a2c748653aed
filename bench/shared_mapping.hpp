// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_BENCH_SHARED_MAPPING_HPP
#define DEADBOLT_BENCH_SHARED_MAPPING_HPP

#include "rivals.hpp"

#include <deadbolt/region.hpp>
#include <new>
#include <sys/mman.h>
#include <type_traits>

namespace bench {

// A T in memory that this process shares with the children that it forks from now on.
template <class T>
class shared_mapping {
public:
  shared_mapping() {
    void* memory =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(memory != MAP_FAILED, "mmap failed");
    object_ = new (memory) T;
  }
  shared_mapping(const shared_mapping&) = delete;
  shared_mapping& operator=(const shared_mapping&) = delete;
  ~shared_mapping() {
    object_->~T();
    munmap(object_, sizeof(T));
  }

  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

private:
  T* object_;
};

// A T in the data of a region of its own.
template <class T>
class region_mapping {
public:
  region_mapping()
      : region_{
            deadbolt::region::create_anonymous("lock_bench", {.size = sizeof(T), .members = 64})} {
    require(static_cast<bool>(region_), "a region was not made");
    object_ = new (region_.data()) T;
  }
  region_mapping(const region_mapping&) = delete;
  region_mapping& operator=(const region_mapping&) = delete;
  ~region_mapping() { object_->~T(); }

  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

private:
  deadbolt::region region_;
  T* object_;
};

// The kind of mapping for a T that contains such a lock.
template <class T, class Rival>
struct mapping_for {
  using type = shared_mapping<T>;
};
template <class T, class Rival>
requires(Rival::in_region) struct mapping_for<T, Rival> {
  using type = region_mapping<T>;
};

} // namespace bench
#endif
