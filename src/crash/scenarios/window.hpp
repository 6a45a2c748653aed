// SPDX-License-Identifier: MIT
// reuse, remap, handler, exec_self: death during an unlock, after which the lock is
// gone. They differ in how the lock goes and in how the victim dies.
#ifndef DEADBOLT_CRASH_SCENARIOS_WINDOW_HPP
#define DEADBOLT_CRASH_SCENARIOS_WINDOW_HPP

#include "crash/scenario.hpp"

namespace deadbolt::crash {

class victim;
class helper_process;
class trial_memory;

// What becomes of the lock once it is released.
enum class reuse_by : std::uint8_t {
  other_process,  // takes it, destroys it and uses its memory for data
  victims_thread, // takes it and maps a file over it
};

enum class death_by : std::uint8_t {
  sigkill,
  exit_group,         // called by another thread
  execve,             // called by another thread
  sigkill_in_handler, // of a signal that came at the kill point
  execve_in_handler,
};

struct window_plan {
  std::string_view name;
  std::string_view family;
  std::string_view summary;
  reuse_by reuse;
  death_by death;
  bool leader = true; // the stepped thread is the group leader
  std::string_view kernel_limit = {};
};

class window_scenario final : public scenario {
public:
  explicit window_scenario(const window_plan& plan) : plan_{plan} {}

  [[nodiscard]] std::string_view name() const override { return plan_.name; }
  [[nodiscard]] std::string_view family() const override { return plan_.family; }
  [[nodiscard]] std::string_view summary() const override { return plan_.summary; }
  [[nodiscard]] std::span<const std::string_view> operations() const override;
  [[nodiscard]] std::string_view kernel_limit() const override { return plan_.kernel_limit; }
  [[nodiscard]] verdict run(const point& at) const override;

private:
  window_plan plan_;
};

} // namespace deadbolt::crash
#endif
