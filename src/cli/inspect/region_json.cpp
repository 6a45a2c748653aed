// SPDX-License-Identifier: MIT
#include "cli/inspect/region_json.hpp"

#include <nlohmann/json.hpp>

namespace deadbolt::inspect {
namespace {

nlohmann::ordered_json json_of(const member& member) {
  return {{"slot", member.slot},
          {"generation", member.generation},
          {"state", to_string(member.state)},
          {"pid", member.pid},
          {"tid", member.tid},
          {"other_pid_namespace", member.other_namespace},
          {"since_ns", member.since}};
}

nlohmann::ordered_json json_of(const owner& owner) {
  nlohmann::ordered_json json{
      {"slot", owner.slot}, {"generation", owner.generation}, {"member", nullptr}};
  if (owner.is) json["member"] = json_of(*owner.is);
  return json;
}

nlohmann::ordered_json json_of(const lock& lock) {
  nlohmann::ordered_json json{{"name", lock.name},
                              {"kind", lock.kind},
                              {"offset", lock.offset},
                              {"state", to_string(lock.state)},
                              {"inconsistent", lock.inconsistent},
                              {"waiters", lock.has_waiters},
                              {"owner", nullptr},
                              {"shared_by", nlohmann::ordered_json::array()}};
  if (lock.permits != 0) json["permits"] = lock.permits;
  if (lock.policy != nullptr) json["policy"] = lock.policy;
  if (lock.held_by) json["owner"] = json_of(*lock.held_by);
  for (const owner& by : lock.shared_by) json["shared_by"].push_back(json_of(by));
  return json;
}

} // namespace

nlohmann::ordered_json json_of(const std::string& path, const view& seen) {
  nlohmann::ordered_json json{{"path", path},
                              {"data_bytes", seen.data_bytes},
                              {"largest_data_bytes", seen.largest_data_bytes},
                              {"slots", seen.slots},
                              {"whole_data_searched", seen.whole_data_searched},
                              {"members", nlohmann::ordered_json::array()},
                              {"locks", nlohmann::ordered_json::array()},
                              {"objects", nlohmann::ordered_json::array()}};
  for (const member& member : seen.members) json["members"].push_back(json_of(member));
  for (const lock& lock : seen.locks) json["locks"].push_back(json_of(lock));
  for (const object& object : seen.objects) {
    json["objects"].push_back({{"name", object.name},
                               {"kind", object.kind},
                               {"offset", object.offset},
                               {"bytes", object.size},
                               {"complete", object.complete},
                               {"waiters", object.has_waiters}});
  }
  return json;
}

} // namespace deadbolt::inspect
