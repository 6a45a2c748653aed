// SPDX-License-Identifier: MIT
// `deadbolt guard` during a test. It guards the whole machine.
#ifndef DEADBOLT_TESTS_GUARD_BPF_ATTACHED_GUARD_HPP
#define DEADBOLT_TESTS_GUARD_BPF_ATTACHED_GUARD_HPP

#include "base/descriptor.hpp"
#include "guard/bpf/pins.hpp"

#include <string>
#include <sys/types.h>
#include <vector>

namespace guard_test {

// $DEADBOLT_COMMAND, or the command that was built with the tests.
[[nodiscard]] std::string deadbolt_command();

struct command_result {
  int status = -1; // exit status, 1000 + signal for death by one
  std::string output;
};
[[nodiscard]] command_result run_deadbolt(const std::vector<std::string>& arguments);

class attached_guard {
public:
  // options: those of `deadbolt guard`; "--no-libc" saves the measurement of the libcs.
  explicit attached_guard(const std::vector<std::string>& options = {});
  attached_guard(const attached_guard&) = delete;
  attached_guard& operator=(const attached_guard&) = delete;
  ~attached_guard();

  // Why the guard is not attached; empty if it is.
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // Ends the daemon with a signal. Returns its status as a shell does: 128 + N if signal N killed
  // it.
  int end(int signal);

private:
  deadbolt::base::descriptor output_;
  std::string refusal_;
  pid_t pid_ = -1;
};

[[nodiscard]] deadbolt::guard::bpf_counts counts_now();

} // namespace guard_test
#endif
