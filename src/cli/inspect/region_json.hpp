// SPDX-License-Identifier: MIT
// What `deadbolt inspect --json` prints.
#ifndef DEADBOLT_CLI_INSPECT_REGION_JSON_HPP
#define DEADBOLT_CLI_INSPECT_REGION_JSON_HPP

#include "cli/inspect/region_view.hpp"

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace deadbolt::inspect {

[[nodiscard]] nlohmann::ordered_json json_of(const std::string& path, const view& seen);

} // namespace deadbolt::inspect
#endif
