// SPDX-License-Identifier: MIT
// A child of the test, stopped in a signal delivery. The test forges its registers and memory
// before it calls the guard's code.
#ifndef DEADBOLT_TESTS_GUARD_TRACED_CHILD_HPP
#define DEADBOLT_TESTS_GUARD_TRACED_CHILD_HPP

#include "guard/ptrace/stop_handler.hpp"
#include "trace/thread.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <linux/futex.h>
#include <sys/types.h>

namespace guard_test {

// Shared by the test and its child.
struct child_page {
  robust_list_head head; // the child's own: registered with the kernel
  std::atomic<std::uint32_t> word;
  std::uint32_t padding;
  alignas(128) unsigned char block[128];
};

class traced_child {
public:
  // Runs in the child once it is traced and has registered the page's list head. The child's first
  // signal stops it.
  using part = std::function<void(child_page&)>;
  explicit traced_child(const part& act = {}, unsigned long clone_flags = 0);
  traced_child(const traced_child&) = delete;
  traced_child& operator=(const traced_child&) = delete;
  ~traced_child();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] deadbolt::trace::traced_thread get() const noexcept {
    return deadbolt::trace::traced_thread(pid_);
  }
  [[nodiscard]] child_page& page() const noexcept { return *page_; }

  // list_op_pending names the page's word.
  void set_pending();
  [[nodiscard]] bool is_pending() const noexcept;
  // A block of kind ALWAYS in the page: owed [40,50), then window to 60.
  std::uint64_t forge_block();
  // The child's next instruction is there, in 64-bit code unless told otherwise.
  void move_to(std::uint64_t ip, std::uint64_t cs = 0x33) const;
  // Executes one instruction; the stop that follows.
  deadbolt::trace::stop_event step();
  // SIGKILL; the stop in PTRACE_EVENT_EXIT.
  deadbolt::trace::stop_event kill();
  // From its exit stop to its end, which includes the exit walk.
  void end();

private:
  deadbolt::trace::stop_event next_stop() const;
  child_page* page_;
  pid_t pid_ = -1;
  bool ended_ = false;
};

} // namespace guard_test
#endif
