// SPDX-License-Identifier: MIT
#include "storm.hpp"

#include <fmt/core.h>

namespace deadbolt::storm::detail {

std::string text_of_violation(const control& control) {
  const std::uint32_t lock = control.found_lock.load();
  switch (control.found.load()) {
  case violation::none:
    break;
  case violation::never_left:
    return fmt::format(
        "lock {} was given as acquired though its last owner, alive or dead, never left", lock);
  case violation::two_inside:
    return fmt::format("two threads were inside lock {} at once", lock);
  case violation::refused:
    return fmt::format("lock {} said: {}", lock,
                       to_string(static_cast<crash::grant>(control.found_detail.load())));
  case violation::unlock_refused:
    return fmt::format("the owner of lock {} could not unlock it", lock);
  case violation::one_too_many:
    return fmt::format("lock {} had more holders than permits", lock);
  }
  return {};
}

} // namespace deadbolt::storm::detail
