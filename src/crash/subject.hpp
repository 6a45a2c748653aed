// SPDX-License-Identifier: MIT
// What crash-test attacks: one kind of lock, behind one interface.
#ifndef DEADBOLT_CRASH_SUBJECT_HPP
#define DEADBOLT_CRASH_SUBJECT_HPP

#include <cstddef>
#include <cstdint>
#include <deadbolt/lock_result.hpp>
#include <string_view>
#include <sys/types.h>

namespace deadbolt::crash {

// What a try to take a lock came to.
enum class grant : std::uint8_t {
  acquired,
  owner_died, // held, and told so
  not_recoverable,
  busy,
  failed, // anything else
};

[[nodiscard]] std::string_view to_string(grant grant) noexcept;
// What one of our own locks said.
[[nodiscard]] grant grant_of(lock_status status) noexcept;
[[nodiscard]] inline bool held(grant grant) noexcept {
  return grant == grant::acquired || grant == grant::owner_died;
}

// Which of a subject's two ways to take the lock lets several in at once.
enum class sharing : std::uint8_t { neither, victims_way, others_way, both };

// One object a kind of lock, without state: every process of a run uses it on
// locks in shared memory. `lock` is the address that create() was given.
class subject {
public:
  subject() = default;
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;
  virtual ~subject() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual std::string_view summary() const = 0;
  // Ours decide the exit status; the others are there for comparison.
  [[nodiscard]] virtual bool ours() const = 0;
  // The engine that unlocks; "libc" where the libc does.
  [[nodiscard]] virtual std::string_view engine() const = 0;
  // Safe here with no guard: by the kernel, or by what kind of lock it is.
  [[nodiscard]] virtual bool protected_by_itself() const = 0;
  // Has evidence of an owner's death besides the kernel's mark: the kernel's limits are
  // no excuse for it.
  [[nodiscard]] virtual bool sees_death_by_itself() const { return false; }

  // Bytes that create() needs, page-aligned. All of them become data in `reuse`.
  [[nodiscard]] virtual std::size_t size() const = 0;
  // Zeroed memory for locks, shared with every process forked after it: where this kind
  // of lock has to lie. Anonymous, unless overridden; nullptr if it cannot be had.
  [[nodiscard]] virtual void* map_memory(std::size_t length) const;
  virtual void unmap_memory(void* memory, std::size_t length) const;

  virtual void create(void* lock) const = 0;
  virtual void destroy(void* lock) const = 0;

  virtual grant lock(void* lock) const = 0;
  virtual grant try_lock(void* lock) const = 0;
  // False when the lock said that the caller is not its owner.
  virtual bool unlock(void* lock) const = 0;
  virtual void mark_consistent(void* lock) const = 0;
  [[nodiscard]] virtual sharing shares() const { return sharing::neither; }
  // Whether who follows a dead owner is told owner_died.
  [[nodiscard]] virtual bool tells() const { return true; }

  // A variant of another subject, which a run of all does without.
  [[nodiscard]] virtual bool by_name_only() const { return false; }

  // What the victim does, where that differs from what the others do: one side of a lock
  // that has two.
  virtual grant victims_lock(void* lock) const { return this->lock(lock); }
  virtual bool victims_unlock(void* lock) const { return unlock(lock); }

  // Called in each thread that will be stepped, before the steps: whatever a
  // thread does once only. `scratch` is a lock that nobody else uses.
  virtual void enter_thread(void* scratch) const;

  // Looks at the lock from outside, with the owner stopped: does `tid` own it now?
  // False from the instruction on that releases it.
  [[nodiscard]] virtual bool held_by(const void* lock, pid_t tid) const = 0;
  // While held_by(): what the next one is told if that owner dies now.
  [[nodiscard]] virtual grant heir_is_told(const void* /*lock*/) const { return grant::owner_died; }
};

} // namespace deadbolt::crash
#endif
