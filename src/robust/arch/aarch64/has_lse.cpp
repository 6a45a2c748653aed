// SPDX-License-Identifier: MIT
// Whether the processor has the atomic instructions of Armv8.1 (LSE): the unlock blocks ask.
#include <sys/auxv.h>

extern "C" {
// False until the library's constructor has run: a lock that an earlier constructor uses is
// released with load and store exclusive, which every processor has.
[[gnu::visibility("hidden")]] extern constinit unsigned char deadbolt_has_lse;
constinit unsigned char deadbolt_has_lse = 0;
}

namespace {

[[gnu::constructor]] void look_for_lse() noexcept {
  constexpr unsigned long hwcap_atomics = 1UL << 8;
  deadbolt_has_lse = (getauxval(AT_HWCAP) & hwcap_atomics) != 0 ? 1 : 0;
}

} // namespace
