// SPDX-License-Identifier: MIT
// A kind of lock that crash-test attacks, behind one interface.
#ifndef DEADBOLT_CRASH_SUBJECT_HPP
#define DEADBOLT_CRASH_SUBJECT_HPP

#include <cstddef>
#include <cstdint>
#include <deadbolt/lock_result.hpp>
#include <string_view>
#include <sys/types.h>

namespace deadbolt::crash {

// The result of an attempt to take a lock.
enum class grant : std::uint8_t {
  acquired,
  owner_died, // held, and the caller is told of the last owner's death
  not_recoverable,
  busy,
  failed, // anything else
};

[[nodiscard]] std::string_view to_string(grant grant) noexcept;
// The result of one of this library's locks.
[[nodiscard]] grant grant_of(lock_status status) noexcept;
[[nodiscard]] inline bool held(grant grant) noexcept {
  return grant == grant::acquired || grant == grant::owner_died;
}

// Which of a subject's two ways to take the lock admits several holders at once.
enum class sharing : std::uint8_t { neither, victims_way, others_way, both };

// What is known of a subject without an attack.
struct subject_facts {
  std::string_view name;
  std::string_view summary;
  // The engine that unlocks: "libc", "region", or one of robust_mutex's.
  std::string_view engine;
  // This library's locks decide the exit status; others are shown for comparison.
  bool ours = true;
  // Safe on this machine without a guard: by the kernel, or by the design of the lock.
  bool protected_by_itself = false;
  // Waiters can notice an owner's death without the kernel's mark in the lock word, so the
  // scenarios' kernel limits do not excuse what is lost or stranded.
  bool sees_death_by_itself = false;
  // The next owner is told of an owner's death.
  bool tells = true;
  sharing shares = sharing::neither;
  // Another process can wait for the lock while the victim is attacked.
  bool can_have_waiters = true;
  // A variant of another subject: attacked only when it is asked for by name.
  bool by_name_only = false;
};

// There is one object for each kind of lock, without state of its own: every process of a run uses
// it on locks in shared memory. `lock` is the address that create() was given.
class subject {
public:
  constexpr explicit subject(const subject_facts& facts) : facts_{facts} {}
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;
  virtual ~subject() = default;

  [[nodiscard]] std::string_view name() const { return facts_.name; }
  [[nodiscard]] std::string_view summary() const { return facts_.summary; }
  [[nodiscard]] std::string_view engine() const { return facts_.engine; }
  [[nodiscard]] bool ours() const { return facts_.ours; }
  [[nodiscard]] bool protected_by_itself() const { return facts_.protected_by_itself; }
  [[nodiscard]] bool sees_death_by_itself() const { return facts_.sees_death_by_itself; }
  [[nodiscard]] bool tells() const { return facts_.tells; }
  [[nodiscard]] sharing shares() const { return facts_.shares; }
  [[nodiscard]] bool can_have_waiters() const { return facts_.can_have_waiters; }
  [[nodiscard]] bool by_name_only() const { return facts_.by_name_only; }

  // Bytes that create() needs, page-aligned. The scenario `reuse` turns all of them into data.
  [[nodiscard]] virtual std::size_t size() const = 0;
  // Zeroed memory for locks, where this kind of lock has to lie, shared with every process that is
  // forked later. Anonymous, unless overridden; nullptr if there is none.
  [[nodiscard]] virtual void* map_memory(std::size_t length) const;
  virtual void unmap_memory(void* memory, std::size_t length) const;

  virtual void create(void* lock) const = 0;
  virtual void destroy(void* lock) const = 0;

  virtual grant lock(void* lock) const = 0;
  virtual grant try_lock(void* lock) const = 0;
  // False when the lock reports that the caller is not its owner.
  virtual bool unlock(void* lock) const = 0;
  virtual void mark_consistent(void* lock) const = 0;

  // The victim's operations, where they differ from those of the other processes: one side of a
  // lock that has two, such as readers and writers.
  virtual grant victims_lock(void* lock) const { return this->lock(lock); }
  virtual bool victims_unlock(void* lock) const { return unlock(lock); }

  // Called in each thread that will be stepped, before the steps, to do what a thread does once
  // only. `scratch` is a lock that no other thread uses.
  virtual void enter_thread(void* scratch) const;
  // Called in the victim's thread, before it takes the lock that it will unlock, to bring it, which
  // is free, into the state in which this kind of lock is attacked.
  virtual void prepare(void* /*lock*/) const {}

  // Looks at the lock from outside, with the owner stopped: does `tid` own it now? False from the
  // instruction on that releases it.
  [[nodiscard]] virtual bool held_by(const void* lock, pid_t tid) const = 0;
  // While held_by(): what the next owner is told if this owner dies now.
  [[nodiscard]] virtual grant next_owner_is_told(const void* /*lock*/) const {
    return tells() ? grant::owner_died : grant::acquired;
  }

private:
  subject_facts facts_;
};

} // namespace deadbolt::crash
#endif
