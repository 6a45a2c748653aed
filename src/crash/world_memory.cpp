// SPDX-License-Identifier: MIT
#include "crash/world_memory.hpp"

#include "crash/failure.hpp"

#include <algorithm>
#include <cstdint>
#include <sys/mman.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

constexpr std::size_t places = 2 + world_memory::companions;

std::size_t whole_pages(std::size_t size) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

} // namespace

void fill_with_tid(void* memory, std::size_t length, pid_t tid) noexcept {
  std::fill_n(static_cast<volatile std::uint32_t*>(memory), length / sizeof(std::uint32_t),
              static_cast<std::uint32_t>(tid));
}

world_memory::world_memory(std::size_t lock_size)
    : stride_{whole_pages(lock_size)}, base_{mmap(nullptr, places * stride_, PROT_READ | PROT_WRITE,
                                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {
  if (base_ == MAP_FAILED) fail_with_errno("mmap of the world's memory");
}

world_memory::~world_memory() {
  munmap(base_, places * stride_);
}

} // namespace deadbolt::crash
