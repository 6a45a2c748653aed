// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_BENCH_SHARED_MAPPING_HPP
#define DEADBOLT_BENCH_SHARED_MAPPING_HPP

#include "rivals.hpp"

#include <new>
#include <sys/mman.h>

namespace bench {

// A T in memory that is shared with the processes that are forked from now on.
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

} // namespace bench
#endif
