// SPDX-License-Identifier: MIT
// The kinds of lock that crash-test attacks. A new one is a class here, or an object of a class
// that is here, and an entry in all_subjects().
#ifndef DEADBOLT_CRASH_LOCKS_HPP
#define DEADBOLT_CRASH_LOCKS_HPP

#include "crash/subject.hpp"

#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <memory>
#include <new>
#include <span>

namespace deadbolt::crash {

// In the order of the table.
[[nodiscard]] std::span<const subject* const> all_subjects();

// Whether a lock's owner word is this thread's: a robust futex holds a TID, an owner word in a
// region names a member's slot, which holds the TID. The thread is stopped.
[[nodiscard]] bool is_owned_by(const std::uint32_t* word, pid_t tid);
[[nodiscard]] bool is_owned_by(const std::uint64_t* word, pid_t tid);

// A lock in a region.
class region_subject : public subject {
public:
  constexpr region_subject(std::string_view name, std::string_view summary,
                           bool by_name_only = false)
      : subject{{.name = name,
                 .summary = summary,
                 .engine = "region",
                 .protected_by_itself = true,
                 .sees_death_by_itself = true,
                 .by_name_only = by_name_only}} {}
  [[nodiscard]] void* map_memory(std::size_t length) const override;
  void unmap_memory(void* memory, std::size_t length) const override;

  constexpr explicit region_subject(const subject_facts& facts) : subject{facts} {}
};

// A lock in a region that does not report an owner's death.
class silent_region_subject : public region_subject {
public:
  constexpr silent_region_subject(std::string_view name, std::string_view summary,
                                  bool by_name_only = false)
      : region_subject{subject_facts{.name = name,
                                     .summary = summary,
                                     .engine = "region",
                                     .protected_by_itself = true,
                                     .sees_death_by_itself = true,
                                     .tells = false,
                                     .by_name_only = by_name_only}} {}
  void mark_consistent(void* /*lock*/) const override {}
};

// A mutex with the operations of this library's, on the base that fits where it lies.
template <class Mutex, class Base>
class mutex_subject : public Base {
public:
  using Base::Base;
  [[nodiscard]] std::size_t size() const override { return sizeof(Mutex); }
  void create(void* lock) const override { new (lock) Mutex; }
  void destroy(void* lock) const override { std::destroy_at(&at(lock)); }
  grant lock(void* lock) const override { return grant_of(at(lock).lock().status()); }
  grant try_lock(void* lock) const override { return grant_of(at(lock).try_lock().status()); }
  bool unlock(void* lock) const override { return at(lock).unlock() == unlock_status::released; }
  void mark_consistent(void* lock) const override { at(lock).mark_consistent(); }
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override {
    return is_owned_by(static_cast<const Mutex*>(lock)->native_handle(), tid);
  }

private:
  static Mutex& at(void* lock) noexcept { return *static_cast<Mutex*>(lock); }
};

// deadbolt::mutex, whose waiters call lock_interruptible() with a stop_flag that is never set.
class interruptible_mutex_subject final : public mutex_subject<mutex, region_subject> {
public:
  using mutex_subject::mutex_subject;
  grant lock(void* lock) const override {
    static stop_flag never;
    return grant_of(static_cast<mutex*>(lock)->lock_interruptible(&never).status());
  }
};

// A mutex that is biased to the victim, which takes and releases it without an atomic operation.
class biased_mutex_subject final : public mutex_subject<mutex, region_subject> {
public:
  using mutex_subject::mutex_subject;
  void prepare(void* lock) const override;
};

// A mutex that is reserved when its victim takes it, and that its victim is asked to reserve when
// it releases it, as if a long waiter was there each time (docs/region.md, Long waits).
class reserved_mutex_subject final : public mutex_subject<mutex, region_subject> {
public:
  using mutex_subject::mutex_subject;
  void prepare(void* lock) const override;
  grant victims_lock(void* lock) const override;
};

enum class side : std::uint8_t { writer, reader };

// deadbolt::shared_mutex. The victim and the others are not both readers: readers do not wait for
// each other.
class shared_mutex_subject : public region_subject {
public:
  constexpr shared_mutex_subject(std::string_view name, std::string_view summary, side victim,
                                 side others,
                                 shared_mutex_policy policy = shared_mutex_policy::writers_first)
      : region_subject{subject_facts{.name = name,
                                     .summary = summary,
                                     .engine = "region",
                                     .protected_by_itself = true,
                                     .sees_death_by_itself = true,
                                     .shares = victim == side::reader   ? sharing::victims_way
                                               : others == side::reader ? sharing::others_way
                                                                        : sharing::neither,
                                     .by_name_only = policy != shared_mutex_policy::writers_first}},
        victim_{victim}, others_{others}, policy_{policy} {}

  [[nodiscard]] std::size_t size() const override;
  void create(void* lock) const override;
  void destroy(void* lock) const override;
  grant lock(void* lock) const override;
  grant try_lock(void* lock) const override;
  bool unlock(void* lock) const override;
  void mark_consistent(void* lock) const override;
  grant victims_lock(void* lock) const override;
  bool victims_unlock(void* lock) const override;
  void enter_thread(void* scratch) const override;
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override;
  [[nodiscard]] grant next_owner_is_told(const void* lock) const override;

private:
  side victim_;
  side others_;
  shared_mutex_policy policy_;
};

// deadbolt::counting_semaphore. create() makes `permits` and takes `taken` of them for its caller.
template <int Capacity>
class semaphore_subject : public silent_region_subject {
public:
  constexpr semaphore_subject(std::string_view name, std::string_view summary, int permits,
                              int taken, bool by_name_only = false)
      : silent_region_subject{name, summary, by_name_only}, permits_{permits}, taken_{taken} {}

  [[nodiscard]] std::size_t size() const override { return sizeof(semaphore); }
  void create(void* lock) const override {
    new (lock) semaphore{permits_};
    for (int i = 0; i < taken_; ++i) static_cast<void>(at(lock).acquire().status());
  }
  void destroy(void* lock) const override { std::destroy_at(&at(lock)); }
  grant lock(void* lock) const override { return grant_of(at(lock).acquire().status()); }
  grant try_lock(void* lock) const override { return grant_of(at(lock).try_acquire().status()); }
  bool unlock(void* lock) const override { return at(lock).release() == unlock_status::released; }
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override {
    for (int i = 0; i < Capacity; ++i)
      if (is_owned_by(static_cast<const semaphore*>(lock)->native_handle() + i, tid)) return true;
    return false;
  }

private:
  using semaphore = counting_semaphore<Capacity>;
  static semaphore& at(void* lock) noexcept { return *static_cast<semaphore*>(lock); }

  int permits_;
  int taken_;
};

// What a signaller does last. If that is the notify, a death between the change and the notify
// leaves waiters that were not woken; if it is the unlock, the signaller touches nothing of the
// lock after the release.
enum class last_step : std::uint8_t { unlock, notify };

// A lock whose waiters sleep on a deadbolt::condition_variable. The lock's owner holds the mutex
// `door`. A thread that wants the lock tries `door` under the mutex `lock`, and waits on the
// condition variable `opened` while `door` is held. Both mutexes are made consistent by their next
// owner.
class condition_variable_subject : public silent_region_subject {
public:
  constexpr condition_variable_subject(std::string_view name, std::string_view summary,
                                       last_step last, bool by_name_only = false)
      : silent_region_subject{name, summary, by_name_only}, last_{last} {}

  [[nodiscard]] std::size_t size() const override;
  void create(void* lock) const override;
  void destroy(void* lock) const override;
  grant lock(void* lock) const override;
  grant try_lock(void* lock) const override;
  bool unlock(void* lock) const override;
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override;

private:
  last_step last_;
};

} // namespace deadbolt::crash
#endif
