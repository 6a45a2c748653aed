// SPDX-License-Identifier: MIT
#include "crash/trial_memory.hpp"

#include "crash/failure.hpp"

#include <algorithm>
#include <cstdint>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

constexpr std::size_t places = 2 + trial_memory::companions;

std::size_t whole_pages(std::size_t size) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

} // namespace

void fill_with_tid(void* memory, std::size_t length, pid_t tid) noexcept {
  std::fill_n(static_cast<volatile std::uint32_t*>(memory), length / sizeof(std::uint32_t),
              static_cast<std::uint32_t>(tid));
}

trial_memory::trial_memory(const subject& subject)
    : subject_{subject}, stride_{whole_pages(subject.size())}, base_{subject.map_memory(places *
                                                                                        stride_)} {
  if (base_ == nullptr) fail_with_errno("the trial's memory");
}

trial_memory::~trial_memory() {
  subject_.unmap_memory(base_, places * stride_);
}

} // namespace deadbolt::crash
