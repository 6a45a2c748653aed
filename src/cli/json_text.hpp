// SPDX-License-Identifier: MIT
// JSON as every subcommand prints it.
#ifndef DEADBOLT_CLI_JSON_TEXT_HPP
#define DEADBOLT_CLI_JSON_TEXT_HPP

#include <nlohmann/json.hpp>
#include <string>

namespace deadbolt::cli {

// indent: -1 for one line. A path or a name may hold any bytes, and JSON is UTF-8: bytes that are
// not UTF-8 become U+FFFD.
[[nodiscard]] inline std::string json_text(const nlohmann::ordered_json& json, int indent = -1) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace deadbolt::cli
#endif
