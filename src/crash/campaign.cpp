// SPDX-License-Identifier: MIT
#include "crash/campaign.hpp"

#include "crash/pool.hpp"

#include <algorithm>
#include <dlfcn.h>
#include <fmt/format.h>
#include <numeric>

namespace deadbolt::crash {
namespace {

// Beyond the end of any operation, where the victim stops by itself.
constexpr std::uint32_t to_the_end = UINT32_MAX;

std::size_t most_operations(const std::vector<const scenario*>& scenarios) {
  std::size_t most = 0;
  for (const scenario* const scenario : scenarios)
    most = std::max(most, scenario->operations().size());
  return most;
}

void add(row& to, const task& task, const result& result) {
  const std::string operation{task.attack->operations()[task.operation]};
  if (!result.judged) {
    ++to.not_judged;
    std::optional<std::uint32_t> kill_at;
    if (task.kill_at != to_the_end) kill_at = task.kill_at;
    to.findings.push_back({operation, kill_at, {}, "not judged", result.failure});
    return;
  }
  const verdict& verdict = *result.judged;
  ++to.counts[static_cast<std::size_t>(verdict.result)];
  if (verdict.finding.empty()) return;
  to.findings.push_back({operation, verdict.steps, name_place(verdict.instruction_pointer),
                         std::string{to_string(verdict.result)}, verdict.finding});
}

} // namespace

std::uint32_t row::kill_points() const noexcept {
  return std::accumulate(counts.begin(), counts.end(), 0u);
}

bool row::is_protected() const {
  return guard->protects() || target->protected_by_itself();
}

standing row::judge() const {
  if (!target->ours() || !is_protected()) return standing::comparison;
  // A row without a single kill point proves nothing.
  if (kill_points() == 0 || not_judged != 0) return standing::unclean;
  std::uint32_t bad = count(outcome::corrupted);
  if (!is_limited(*attack, *target)) bad += count(outcome::lost) + count(outcome::stranded);
  return bad == 0 ? standing::clean : standing::unclean;
}

std::string name_place(trace::address instruction) {
  const std::uint64_t address = instruction.value();
  Dl_info info{};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a victim is a fork of this process
  if (dladdr(reinterpret_cast<const void*>(address), &info) == 0)
    return fmt::format("{:#x}", address);
  if (info.dli_sname != nullptr) {
    return fmt::format("{}+{:#x}", info.dli_sname,
                       address - reinterpret_cast<std::uint64_t>(info.dli_saddr));
  }
  const std::string_view file = info.dli_fname;
  return fmt::format("{}+{:#x}", file.substr(file.rfind('/') + 1),
                     address - reinterpret_cast<std::uint64_t>(info.dli_fbase));
}

std::vector<row> run_campaign(const campaign_plan& plan) {
  for (const guard_driver* const guard : plan.guards) guard->prepare();
  std::vector<row> rows;
  for (const subject* const target : plan.subjects)
    for (const guard_driver* const guard : plan.guards) {
      if (!plan.guards_the_protected && guard->protects() && target->protected_by_itself())
        continue;
      for (const scenario* const attack : plan.scenarios)
        if (!attack->judges_waiters() || target->can_have_waiters())
          rows.push_back({.target = target, .attack = attack, .guard = guard});
    }

  // A first run of each operation finds its length. It kills after the last instruction, which is
  // a kill point like the others: its result counts.
  struct origin {
    task what;
    std::size_t row;
  };
  std::vector<origin> origins;
  const path_store paths{rows.size() * most_operations(plan.scenarios)};
  std::vector<task> tasks;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t operation = 0; operation < rows[i].attack->operations().size(); ++operation) {
      tasks.push_back({.target = rows[i].target,
                       .attack = rows[i].attack,
                       .guard = rows[i].guard,
                       .operation = operation,
                       .kill_at = to_the_end,
                       .recorded = &paths[tasks.size()],
                       .known = nullptr});
      origins.push_back({tasks.back(), i});
    }
  }
  pool_options options{.workers = plan.workers, .watchdog_seconds = plan.watchdog_seconds};
  const std::vector<result> ends = run_tasks(tasks, options);

  tasks.clear();
  std::vector<std::size_t> row_of;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    add(rows[origins[i].row], origins[i].what, ends[i]);
    if (!ends[i].judged) continue;
    for (std::uint32_t step = 0; step < ends[i].judged->steps; step += plan.stride) {
      tasks.push_back(origins[i].what);
      tasks.back().kill_at = step;
      tasks.back().recorded = nullptr;
      tasks.back().known = &paths[i];
      row_of.push_back(origins[i].row);
    }
  }
  std::size_t done = 0;
  options.on_result = [&] {
    ++done;
    if (plan.on_progress) plan.on_progress(done, tasks.size());
  };
  const std::vector<result> results = run_tasks(tasks, options);
  for (std::size_t i = 0; i < results.size(); ++i) add(rows[row_of[i]], tasks[i], results[i]);
  return rows;
}

} // namespace deadbolt::crash
