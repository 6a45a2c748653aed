// SPDX-License-Identifier: MIT
// One line of what doctor has to say.
#ifndef DEADBOLT_CLI_DOCTOR_FINDING_HPP
#define DEADBOLT_CLI_DOCTOR_FINDING_HPP

#include <string>
#include <string_view>

namespace deadbolt::cli::doctor {

enum class level {
  ok,
  warning, // locks work; less is guaranteed than could be
  broken,  // locks do not keep their promise on this machine
};

struct finding {
  std::string check;
  level severity = level::ok;
  std::string what;       // what was found
  std::string what_to_do; // empty: nothing
};

[[nodiscard]] constexpr std::string_view to_string(level severity) noexcept {
  switch (severity) {
  case level::ok:
    return "ok";
  case level::warning:
    return "warning";
  case level::broken:
    return "broken";
  }
  return "not a level";
}

} // namespace deadbolt::cli::doctor
#endif
