// SPDX-License-Identifier: MIT
// Whether the kernel would find a member's liveness word if its thread died now. The walk at a
// thread's exit ends after 2,048 entries, or at the first bad one: a liveness word behind that is
// hidden.
#include "cli/doctor/checks.hpp"
#include "cli/inspect/region_view.hpp"

#include <fmt/core.h>
#include <linux/futex.h>
#include <region/format.hpp>

#include <cerrno>
#include <cstring>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace deadbolt::cli::doctor {
namespace {

constexpr std::uint32_t longest_walk = 2048; // ROBUST_LIST_LIMIT

// Another process's memory, read without stopping it.
template <class Value>
bool read_from(pid_t pid, std::uintptr_t address, Value& value) {
  iovec to{.iov_base = &value, .iov_len = sizeof value};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the other process
  iovec from{.iov_base = reinterpret_cast<void*>(address), .iov_len = sizeof value};
  return ::process_vm_readv(pid, &to, 1, &from, 1, 0) == static_cast<ssize_t>(sizeof value);
}

bool is_liveness_word(std::uintptr_t address, std::uint32_t value, std::uint32_t tid) {
  const std::uintptr_t in_page = address % regions::slot_bytes;
  return (in_page == 4072 || in_page == 4076 || in_page == 4088) && value == (tid | FUTEX_WAITERS);
}

} // namespace

liveness_word_facts gather_liveness_word_facts(pid_t pid, pid_t tid) {
  liveness_word_facts facts{
      .pid = pid, .tid = tid, .failure = {}, .position = std::nullopt, .broken_at = std::nullopt};
  robust_list_head* head = nullptr;
  std::size_t length = 0;
  if (::syscall(SYS_get_robust_list, tid, &head, &length) != 0) {
    facts.failure = fmt::format("its robust list may not be looked at: {}", std::strerror(errno));
    return facts;
  }
  robust_list_head copy{};
  const auto start = reinterpret_cast<std::uintptr_t>(head);
  if (head == nullptr || !read_from(pid, start, copy)) {
    facts.failure = head == nullptr
                        ? "it has no 64-bit robust list"
                        : fmt::format("its memory may not be read: {}", std::strerror(errno));
    return facts;
  }
  auto entry = reinterpret_cast<std::uintptr_t>(copy.list.next);
  for (std::uint32_t number = 1; number <= longest_walk; ++number) {
    entry &= ~std::uintptr_t{1}; // says PI
    if (entry == start) return facts;
    const std::uintptr_t address = entry + static_cast<std::uintptr_t>(copy.futex_offset);
    std::uint32_t word = 0;
    if (!read_from(pid, address, word)) {
      facts.broken_at = number;
      return facts;
    }
    if (is_liveness_word(address, word, static_cast<std::uint32_t>(tid))) {
      facts.position = number;
      return facts;
    }
    if (!read_from(pid, entry, entry)) {
      facts.broken_at = number;
      return facts;
    }
  }
  return facts;
}

finding judge_liveness_word(const liveness_word_facts& facts) {
  finding found{.check = "region member",
                .severity = level::ok,
                .what = fmt::format("pid {} tid {}: ", facts.pid, facts.tid),
                .what_to_do = {}};
  if (!facts.failure.empty()) {
    found.severity = level::warning;
    found.what += facts.failure;
    found.what_to_do = "run doctor as root, or as the member's own user, in its PID namespace";
  } else if (facts.position) {
    found.what +=
        fmt::format("the kernel finds its liveness word as entry {} of {} on its robust list",
                    *facts.position, longest_walk);
  } else {
    found.severity = level::broken;
    found.what +=
        facts.broken_at
            ? fmt::format("entry {} of its robust list is bad, and hides its liveness word",
                          *facts.broken_at)
            : fmt::format("its liveness word is not among the {} entries that the kernel "
                          "looks at",
                          longest_walk);
    found.what_to_do =
        "if this thread alone dies, and not its process, its locks are taken over "
        "late, by 100 ms to a second, and in other PID namespaces not before the process "
        "ends: unlock newer robust mutexes, or attach after them";
  }
  return found;
}

namespace {

bool is_alarm(const liveness_word_facts& facts) {
  return facts.failure.empty() && !facts.position;
}

// Whether the slot still has the same live member.
bool is_member_still(const inspect::region_file& file, const inspect::member& member) {
  for (const inspect::member& now : file.look({}).members) {
    if (now.slot == member.slot) {
      return now.generation == member.generation && now.state == inspect::member_state::alive;
    }
  }
  return false;
}

} // namespace

std::vector<finding> examine_region(const std::string& path) {
  const inspect::region_file file{path};
  if (file.error()) return {{"region", level::broken, file.error()->what, "see above"}};
  // A thread that locks and unlocks robust mutexes changes its list while doctor reads it, and a
  // thread may detach. So an alarm counts if it is the same again and again.
  constexpr int most_looks = 10;
  std::vector<finding> findings;
  for (const inspect::member& member : file.look({}).members) {
    if (member.state != inspect::member_state::alive) continue;
    if (member.other_namespace) {
      findings.push_back({"region member", level::warning,
                          fmt::format("pid {} tid {} of another PID namespace: not looked at",
                                      member.pid, member.tid),
                          "run doctor --region there"});
      continue;
    }
    liveness_word_facts facts{};
    bool stays = true;
    for (int looks = 0; looks < most_looks; ++looks) {
      facts = gather_liveness_word_facts(static_cast<pid_t>(member.pid),
                                         static_cast<pid_t>(member.tid));
      if (facts.position) break;
      stays = is_member_still(file, member);
      if (!stays || !is_alarm(facts)) break;
    }
    if (stays) findings.push_back(judge_liveness_word(facts));
  }
  if (findings.empty()) findings.push_back({"region", level::ok, path + ": no live member", {}});
  return findings;
}

} // namespace deadbolt::cli::doctor
