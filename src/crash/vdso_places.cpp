// SPDX-License-Identifier: MIT
#include "crash/vdso_places.hpp"

#include "base/vdso_image.hpp"

namespace deadbolt::crash {
namespace {

const base::vdso_image& vdso() {
  static const base::vdso_image image = base::this_process_vdso();
  return image;
}

} // namespace

bool is_in_vdso(std::uint64_t address) {
  return address - reinterpret_cast<std::uint64_t>(vdso().base) < vdso().size;
}

std::uint64_t clock_in_vdso() {
  static const auto entry =
      reinterpret_cast<std::uint64_t>(vdso().find_function("__vdso_clock_gettime"));
  return entry;
}

} // namespace deadbolt::crash
