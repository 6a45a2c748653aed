// SPDX-License-Identifier: MIT
// What a region's file says, read without touching it: no mapping, no lock, no
// membership. Other processes go on meanwhile, so that a view is no snapshot: each line was
// true when it was read.
#ifndef DEADBOLT_CLI_INSPECT_REGION_VIEW_HPP
#define DEADBOLT_CLI_INSPECT_REGION_VIEW_HPP

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deadbolt/region.hpp>
#include <optional>
#include <region/format.hpp>
#include <string>
#include <vector>

namespace deadbolt::regions {
struct member_slot;
struct named_object;
struct region_header;
}

namespace deadbolt::inspect {

enum class member_state {
  alive,
  dead,         // marked by the kernel; the slot waits for the next attach
  gone,         // its process has ended, but the kernel has not marked it (its memory was reaped,
                // or another thread than the leader called execve)
  attaching,    // or detaching, or killed in the middle of that
  retired,      // used up for ever
  dumping_core, // alive until the kernel has written its core dump; then dead
};

struct member {
  std::uint32_t slot;
  std::uint64_t generation;
  member_state state;
  std::uint32_t pid; // in the member's own PID namespace; 0 while attaching
  std::uint32_t tid;
  bool other_namespace; // its numbers are not ours
  std::int64_t since;   // CLOCK_REALTIME, nanoseconds
  // The mutexes that the member holds by their bias: regions::announced_name() of each, or 0.
  std::array<std::uint32_t, regions::bias_entries> announced;
};

// Who holds a lock: what its word says, and the member that this names, if it is still
// in its slot.
struct owner {
  std::uint32_t slot;
  std::uint64_t generation;
  std::optional<member> is; // empty: gone, and its slot went to another
};

enum class lock_state { free, held, shared, abandoned, not_recoverable };

struct lock {
  std::string name;             // empty: found at its offset
  const char* kind;             // "mutex", "shared_mutex", "counting_semaphore"
  std::uint64_t offset;         // from the start of the data
  lock_state state;             // abandoned: an owner died, and no thread has taken over yet
  std::optional<owner> held_by; // of a shared_mutex: who writes, or waits for the readers
  std::vector<owner> shared_by; // its readers; of a semaphore: who holds a permit
  std::uint64_t permits;        // of a semaphore: there are, held or not; else 0
  bool inconsistent;            // its owner was told owner_died
  bool has_waiters;             // or had some that gave up
  const char* policy = nullptr; // of a shared_mutex
};

// A named object that is no lock by itself.
struct object {
  std::string name;
  const char* kind; // "condition_variable" or "other"
  std::uint64_t offset;
  std::uint64_t size;
  bool complete;
  bool has_waiters; // of a condition variable: a thread may be asleep
};

struct view {
  std::uint64_t data_bytes;
  std::uint64_t largest_data_bytes; // up to which the data can grow
  std::uint32_t slots;
  std::vector<member> members; // of slots in use, by slot
  std::vector<object> objects;
  std::vector<lock> locks; // named ones, asked-for ones, then words that name a member
  // False: there may be more words that name a member than `locks` has.
  bool whole_data_searched;
};

// A member's hold of a lock that it shares.
struct shared_hold {
  std::uint64_t offset; // of the lock, from the start of the data
  std::size_t member;   // index in view::members
};

struct failure {
  region_status status;
  std::string what; // what happened and what to do
};

// Opens the file read-only. `offsets` are those of mutexes to show though nothing names
// them.
class region_file {
public:
  explicit region_file(std::string path);
  region_file(const region_file&) = delete;
  region_file& operator=(const region_file&) = delete;
  ~region_file();

  [[nodiscard]] const std::optional<failure>& error() const noexcept { return error_; }
  // Throws std::runtime_error when the file can no longer be read.
  [[nodiscard]] view look(const std::vector<std::uint64_t>& offsets) const;

private:
  std::string path_;
  std::string shown_path_;
  int descriptor_;
  std::optional<failure> error_;
  std::uint32_t slots_ = 0;
  std::uint32_t page_bytes_ = 0;
  std::uint64_t slots_offset_ = 0;
  std::uint64_t data_offset_ = 0;
  std::uint64_t least_data_bytes_ = 0; // when it was created
  std::uint64_t largest_data_bytes_ = 0;

  void read(void* to, std::size_t bytes, std::uint64_t from) const;
  [[nodiscard]] member_state state_of(const regions::member_slot& slot,
                                      const std::atomic<std::uint32_t>& word) const;
  [[nodiscard]] std::vector<member> read_members(std::uint32_t used,
                                                 std::vector<shared_hold>& holds) const;
  [[nodiscard]] std::vector<regions::named_object>
  read_objects(const regions::region_header& header) const;
};

const char* to_string(member_state state) noexcept;
const char* to_string(lock_state state) noexcept;

} // namespace deadbolt::inspect
#endif
