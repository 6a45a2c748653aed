// SPDX-License-Identifier: MIT
// Where a victim stops by itself; see <architecture>/stepped_call.S.
#ifndef DEADBOLT_CRASH_STEPPED_CALL_HPP
#define DEADBOLT_CRASH_STEPPED_CALL_HPP

#include <cstdint>

extern "C" {
void deadbolt_crash_stepped_call(void (*operation)(void*), void* argument);
void deadbolt_crash_stop();
extern const char deadbolt_crash_stepped_begin[];
extern const char deadbolt_crash_stepped_end[];
extern const char deadbolt_crash_stopped[];
}

namespace deadbolt::crash {

[[nodiscard]] inline std::uint64_t address_of(const char* label) noexcept {
  return reinterpret_cast<std::uint64_t>(label);
}

} // namespace deadbolt::crash
#endif
