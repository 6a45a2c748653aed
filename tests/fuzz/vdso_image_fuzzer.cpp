// SPDX-License-Identifier: MIT
// libFuzzer's entry: reads any bytes as a vDSO image. The sanitizers check the reads.
#include <base/vdso_image.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const deadbolt::base::vdso_image image{data, size};
  for (const char* name : {"__vdso_robust_futex_unlock", "__vdso_robust_pi_futex_try_unlock",
                           "__vdso_futex_robust_list64_try_unlock"}) {
    const auto* found = static_cast<const unsigned char*>(image.find_function(name));
    if (found != nullptr && (found < data || found >= data + size)) std::abort();
  }
  return 0;
}
