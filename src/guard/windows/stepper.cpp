// SPDX-License-Identifier: MIT
#include "guard/windows/stepper.hpp"

#include "guard/windows/probe_run.hpp"

#include <algorithm>
#include <map>

namespace deadbolt::guard {
namespace {

constexpr probe_scenario scenarios[] = {
    {"robust", {"n", "-", "s", "u"}},
    {"robust, private to the process", {"n", "-", "p", "u"}},
    {"robust, a waiter", {"n", "-", "s", "w"}},
    {"robust recursive", {"r", "-", "s", "u"}},
    {"robust recursive, a waiter", {"r", "-", "s", "w"}},
    {"robust errorcheck", {"e", "-", "s", "u"}},
    {"robust errorcheck, a waiter", {"e", "-", "s", "w"}},
    {"robust, in cond_wait", {"n", "-", "s", "c"}},
    {"robust, in cond_wait, a waiter", {"n", "-", "s", "d"}},
    {"robust PI", {"n", "i", "s", "u"}},
    {"robust PI, a late waiter", {"n", "i", "s", "u"}, true},
    {"robust PI, a waiter", {"n", "i", "s", "w"}},
    {"robust PI recursive", {"r", "i", "s", "u"}},
    {"robust PI recursive, a waiter", {"r", "i", "s", "w"}},
    {"robust PI errorcheck", {"e", "i", "s", "u"}},
    {"robust PI errorcheck, a waiter", {"e", "i", "s", "w"}},
    {"robust PI, in cond_wait", {"n", "i", "s", "c"}},
    {"robust PI, in cond_wait, a waiter", {"n", "i", "s", "d"}},
    // These have no window: they show which instructions are passed before a release too.
    {"lock", {"n", "-", "s", "l"}},
    {"lock after a death", {"n", "-", "s", "o"}},
    {"PI lock", {"n", "i", "s", "l"}},
    {"PI lock after a death", {"n", "i", "s", "o"}},
};

// Everything that was seen of one instruction.
struct place {
  std::array<std::uint8_t, DEADBOLT_WINDOW_CODE_SIZE> code{};
  bool has_code = false;
  bool in_window = false;
  bool owed = false;
  bool after_compare_exchange = false;
  bool after_unlock_pi = false;
  // Of the samples with the word released, and of those with it not released.
  bool zf_proves = true;
  bool rax_proves = true;
  bool no_error_proves = true;
  bool seen_unreleased = false;

  void add(const probe_sample& sample) {
    code = sample.code;
    has_code = sample.has_code;
    in_window = in_window || sample.released;
    owed = owed || sample.owed;
    seen_unreleased = seen_unreleased || !sample.released;
    after_compare_exchange =
        after_compare_exchange || (sample.released && sample.after == came_from::compare_exchange);
    after_unlock_pi = after_unlock_pi || (sample.released && sample.after == came_from::unlock_pi);
    zf_proves = zf_proves && sample.zero_flag == sample.released;
    rax_proves = rax_proves && sample.zero_result == sample.released;
    no_error_proves = no_error_proves && sample.error_result != sample.released;
  }

  // DEADBOLT_CS_*; 0: the registers do not say which it is.
  [[nodiscard]] std::uint8_t proof() const {
    // Behind an instruction that may fail the proof is asked for also when no
    // measurement saw it fail.
    if (after_compare_exchange) return zf_proves ? DEADBOLT_CS_ZF : 0;
    if (!after_unlock_pi && !seen_unreleased) return DEADBOLT_CS_ALWAYS;
    if (rax_proves) return DEADBOLT_CS_UNLOCK_PI;
    if (!after_unlock_pi && zf_proves) return DEADBOLT_CS_ZF;
    return no_error_proves ? DEADBOLT_WINDOW_NO_ERROR : 0;
  }
};

std::string count_of(const probe_scenario& scenario, const probe_result& result) {
  if (!result.has_list) return std::string(scenario.name) + ": not on a robust list";
  std::size_t in_window = 0;
  std::size_t owed = 0;
  for (const probe_sample& sample : result.samples) {
    if (sample.released) ++in_window;
    if (sample.owed) ++owed;
  }
  std::string text = std::string(scenario.name) + ": " + std::to_string(in_window) + " of " +
                     std::to_string(result.steps) + " instructions";
  if (owed != 0) text += ", a wake owed at " + std::to_string(owed);
  if (result.outside != 0)
    text += "; " + std::to_string(result.outside) + " more outside the libc, not in the table";
  return text;
}

} // namespace

stepped step_through_libc(const probe_files& files, const elf_file& libc) {
  stepped out;
  out.table.build_id = libc.build_id();
  std::map<std::uint64_t, place> places;
  for (const probe_scenario& scenario : scenarios) {
    const probe_result result = run_probe(files, scenario);
    if (!result.error.empty()) {
      out.error = result.error;
      return out;
    }
    out.notes.push_back(count_of(scenario, result));
    for (const probe_sample& sample : result.samples) places[sample.offset].add(sample);
  }
  for (const auto& [offset, place] : places) {
    if (!place.in_window) continue;
    std::string name = libc.name_of(offset).substr(0, max_name_bytes);
    std::ranges::replace_if(
        name, [](char c) { return c <= ' ' || c >= '\x7f'; }, '?');
    if (place.proof() == 0 || !place.has_code) {
      out.notes.push_back(name + " is left out: " +
                          (place.has_code ? "the registers do not say whether the word was released"
                                          : "its surroundings cannot be read"));
      continue;
    }
    out.table.windows.push_back(
        {offset,
         place.code,
         {.kind = place.proof(), .owed = static_cast<std::uint8_t>(place.owed ? 1 : 0)},
         std::move(name)});
  }
  if (out.table.windows.empty()) out.error = "no window was found";
  if (out.table.windows.size() > max_windows) out.error = "too many windows were found";
  return out;
}

} // namespace deadbolt::guard
