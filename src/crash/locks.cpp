// SPDX-License-Identifier: MIT
#include "crash/locks.hpp"

#include "crash/libc_mutex.hpp"
#include "region/bias.hpp"
#include "region/open_region.hpp"
#include "robust/engine.hpp"

#include <array>
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <linux/futex.h>
#include <map>
#include <sys/mman.h>
#include <vector>

namespace deadbolt::crash {

// What every subject has.

std::string_view to_string(grant grant) noexcept {
  switch (grant) {
  case grant::acquired:
    return "acquired";
  case grant::owner_died:
    return "owner died";
  case grant::not_recoverable:
    return "not recoverable";
  case grant::busy:
    return "busy";
  case grant::failed:
    break;
  }
  return "failed";
}

grant grant_of(lock_status status) noexcept {
  switch (status) {
  case lock_status::acquired:
    return grant::acquired;
  case lock_status::owner_died:
    return grant::owner_died;
  case lock_status::not_recoverable:
    return grant::not_recoverable;
  case lock_status::busy:
    return grant::busy;
  case lock_status::timed_out:
  case lock_status::deadlock:
  case lock_status::too_many_holds:
  case lock_status::cannot_attach:
  case lock_status::interrupted:
    break;
  }
  return grant::failed;
}

void* subject::map_memory(std::size_t length) const {
  void* const memory =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

void subject::unmap_memory(void* memory, std::size_t length) const {
  munmap(memory, length);
}

void subject::enter_thread(void* scratch) const {
  // Functions are bound lazily, and the library looks some facts of a thread up once.
  create(scratch);
  if (held(lock(scratch))) unlock(scratch);
  if (held(try_lock(scratch))) unlock(scratch);
  destroy(scratch);
}

bool is_owned_by(const std::uint32_t* word, pid_t tid) {
  // order: none needed, every other process that could write is stopped or waits for this look.
  return (__atomic_load_n(word, __ATOMIC_RELAXED) & FUTEX_TID_MASK) ==
         static_cast<std::uint32_t>(tid);
}

bool is_owned_by(const std::uint64_t* at, pid_t tid) {
  const std::uint64_t word = __atomic_load_n(at, __ATOMIC_RELAXED);
  const detail::open_region* const in = regions::region_at(at);
  if (in == nullptr || regions::is_free(word) || regions::slot_of(word) >= in->members)
    return false;
  if (regions::is_biased(word) && !regions::holds_by_bias(*in, at, word)) return false;
  const regions::member_slot* const slot = in->slot(regions::slot_of(word));
  return slot->generation == regions::generation_of(word) &&
         slot->tid == static_cast<std::uint32_t>(tid);
}

namespace {

// A lock of this library's that unlocks with an engine of this process.
class engine_subject : public subject {
public:
  engine_subject(std::string_view name, std::string_view summary)
      : subject{{.name = name,
                 .summary = summary,
                 .engine = robust::this_engine().name,
                 .protected_by_itself = robust::this_engine().protected_by_kernel}} {}
};

std::map<void*, region>& regions_in_use() {
  static std::map<void*, region> all;
  return all;
}

} // namespace

// A region for each block of memory. Processes that are forked later use it as it is mapped.
void* region_subject::map_memory(std::size_t length) const {
  region made = region::create_anonymous("deadbolt-crash", {.size = length, .members = 32});
  // Where only a look after a sleep finds what a death left, a trial need not last a second.
  made.set_longest_sleep(std::chrono::milliseconds{100});
  void* const memory = made.data();
  if (memory != nullptr) regions_in_use().emplace(memory, std::move(made));
  return memory;
}

void region_subject::unmap_memory(void* memory, std::size_t /*length*/) const {
  regions_in_use().erase(memory);
}

// mutex, biased

void biased_mutex_subject::prepare(void* lock) const {
  const auto* word = static_cast<const mutex*>(lock)->native_handle();
  // Never given where membarrier is refused: the mutex is then attacked as `mutex` is.
  constexpr std::uint32_t most_takes = 4 * regions::takes_before_bias;
  for (std::uint32_t taken = 0; taken < most_takes && !regions::is_biased(*word); ++taken)
    if (victims_lock(lock) == grant::acquired) victims_unlock(lock);
}

// mutex, reserved

namespace {

std::uint64_t& word_of(void* lock) noexcept {
  return *const_cast<std::uint64_t*>(static_cast<mutex*>(lock)->native_handle());
}

} // namespace

void reserved_mutex_subject::prepare(void* lock) const {
  std::uint64_t none = 0;
  __atomic_compare_exchange_n(&word_of(lock), &none, regions::word_waiters, false, __ATOMIC_RELEASE,
                              __ATOMIC_RELAXED);
}

grant reserved_mutex_subject::victims_lock(void* lock) const {
  const grant got = mutex_subject::victims_lock(lock);
  if (got == grant::acquired || got == grant::owner_died) {
    __atomic_fetch_or(&word_of(lock), regions::word_waiters | regions::word_reserve,
                      __ATOMIC_RELAXED);
  }
  return got;
}

// shared_mutex

namespace {

shared_mutex& shared_at(void* lock) noexcept {
  return *static_cast<shared_mutex*>(lock);
}

grant lock_as(side side, void* lock) {
  return grant_of(side == side::writer ? shared_at(lock).lock().status()
                                       : shared_at(lock).lock_shared().status());
}

bool unlock_as(side side, void* lock) {
  return (side == side::writer ? shared_at(lock).unlock() : shared_at(lock).unlock_shared()) ==
         unlock_status::released;
}

static_assert(sizeof(detail::shared_mutex_words) == sizeof(shared_mutex));

} // namespace

std::size_t shared_mutex_subject::size() const {
  return sizeof(shared_mutex);
}
void shared_mutex_subject::create(void* lock) const {
  new (lock) shared_mutex{policy_};
}
void shared_mutex_subject::destroy(void* lock) const {
  std::destroy_at(&shared_at(lock));
}
grant shared_mutex_subject::lock(void* lock) const {
  return lock_as(others_, lock);
}
grant shared_mutex_subject::try_lock(void* lock) const {
  return grant_of(others_ == side::writer ? shared_at(lock).try_lock().status()
                                          : shared_at(lock).try_lock_shared().status());
}
bool shared_mutex_subject::unlock(void* lock) const {
  return unlock_as(others_, lock);
}
void shared_mutex_subject::mark_consistent(void* lock) const {
  shared_at(lock).mark_consistent();
}
grant shared_mutex_subject::victims_lock(void* lock) const {
  return lock_as(victim_, lock);
}
bool shared_mutex_subject::victims_unlock(void* lock) const {
  return unlock_as(victim_, lock);
}

void shared_mutex_subject::enter_thread(void* scratch) const {
  create(scratch);
  for (const side side : {side::writer, side::reader})
    if (held(lock_as(side, scratch))) unlock_as(side, scratch);
  destroy(scratch);
}

// A reader's hold counts from its announcement on, though the reader may still withdraw it.
bool shared_mutex_subject::held_by(const void* lock, pid_t tid) const {
  if (is_owned_by(static_cast<const shared_mutex*>(lock)->native_handle(), tid)) return true;
  const detail::open_region* const in = regions::region_at(lock);
  if (in == nullptr) return false;
  const auto name = static_cast<std::uint64_t>(static_cast<const std::byte*>(lock) -
                                               reinterpret_cast<std::byte*>(in->header()));
  for (std::uint32_t i = 0; i < in->members; ++i) {
    std::uint64_t seen = 0;
    if (in->slot(i)->tid == static_cast<std::uint32_t>(tid) &&
        regions::find_hold(*in->slot(i), name, seen) != nullptr)
      return true;
  }
  return false;
}

// Only the death of a writer that is inside is reported.
grant shared_mutex_subject::next_owner_is_told(const void* lock) const {
  const auto* const of = static_cast<const detail::shared_mutex_words*>(lock);
  return !regions::is_free(__atomic_load_n(&of->writer, __ATOMIC_ACQUIRE)) &&
                 __atomic_load_n(&of->state, __ATOMIC_ACQUIRE) != regions::state_outside
             ? grant::owner_died
             : grant::acquired;
}

// condition_variable

namespace {

struct house {
  mutex lock; // held while a thread tries `door` or unlocks it
  mutex door; // held by the owner
  condition_variable opened;
};

house& house_at(void* lock) noexcept {
  return *static_cast<house*>(lock);
}

// A death with either mutex held leaves nothing half-written.
grant repair(mutex& held, lock_status status) {
  if (status == lock_status::owner_died && held.mark_consistent()) return grant::acquired;
  return grant_of(status);
}

grant enter(house& in) {
  return repair(in.lock, in.lock.lock().status());
}
grant try_door(house& in) {
  return repair(in.door, in.door.try_lock().status());
}

// The result of a wait, as that of locking its mutex again.
grant wait(house& in) {
  switch (in.opened.wait(in.lock).status()) {
  case wait_status::awake:
    return grant::acquired;
  case wait_status::owner_died:
    return repair(in.lock, lock_status::owner_died);
  case wait_status::not_recoverable:
    return grant::not_recoverable;
  default:
    return grant::failed;
  }
}

} // namespace

std::size_t condition_variable_subject::size() const {
  return sizeof(house);
}
void condition_variable_subject::create(void* lock) const {
  new (lock) house;
}
void condition_variable_subject::destroy(void* lock) const {
  std::destroy_at(&house_at(lock));
}

grant condition_variable_subject::lock(void* lock) const {
  house& in = house_at(lock);
  grant entered = enter(in);
  grant door = grant::busy;
  while (entered == grant::acquired && (door = try_door(in)) == grant::busy) entered = wait(in);
  if (entered != grant::acquired) return entered;
  return in.lock.unlock() == unlock_status::released ? door : grant::failed;
}

grant condition_variable_subject::try_lock(void* lock) const {
  house& in = house_at(lock);
  if (const grant entered = enter(in); entered != grant::acquired) return entered;
  const grant door = try_door(in);
  return in.lock.unlock() == unlock_status::released ? door : grant::failed;
}

bool condition_variable_subject::unlock(void* lock) const {
  house& in = house_at(lock);
  if (enter(in) != grant::acquired) return false;
  const bool opened = in.door.unlock() == unlock_status::released;
  if (last_ == last_step::unlock) in.opened.notify_one();
  const bool left = in.lock.unlock() == unlock_status::released;
  if (last_ == last_step::notify) in.opened.notify_one();
  return opened && left;
}

bool condition_variable_subject::held_by(const void* lock, pid_t tid) const {
  const auto& in = *static_cast<const house*>(lock);
  return is_owned_by(in.lock.native_handle(), tid) || is_owned_by(in.door.native_handle(), tid);
}

std::span<const subject* const> all_subjects() {
  static const mutex_subject<robust_mutex, engine_subject> plain{"robust_mutex",
                                                                 "deadbolt::robust_mutex"};
  static const mutex_subject<robust_pi_mutex, engine_subject> pi{
      "robust_pi_mutex", "deadbolt::robust_pi_mutex, with priority inheritance"};
  static const mutex_subject<mutex, region_subject> in_region{"mutex",
                                                              "deadbolt::mutex, in a region"};
  static const interruptible_mutex_subject interruptible{
      "mutex_interruptible", "deadbolt::mutex, locked by lock_interruptible()", true};
  static const biased_mutex_subject biased{
      "mutex_biased", "deadbolt::mutex, in a region: taken by its victim often and alone before"};
  static const reserved_mutex_subject reserved{
      "mutex_reserved", "deadbolt::mutex, in a region: reserved for a long waiter", true};
  static const shared_mutex_subject writers{
      "shared_mutex", "deadbolt::shared_mutex, in a region: a writer dies, the others write",
      side::writer, side::writer};
  static const shared_mutex_subject reader{
      "shared_mutex_reader", "deadbolt::shared_mutex, in a region: a reader dies, the others write",
      side::reader, side::writer};
  static const shared_mutex_subject readers{
      "shared_mutex_readers", "deadbolt::shared_mutex, in a region: a writer dies, the others read",
      side::writer, side::reader};
  static const shared_mutex_subject readers_first{
      "shared_mutex_reads_first",
      "deadbolt::shared_mutex, in a region, readers first: a reader dies, the others write",
      side::reader, side::writer, shared_mutex_policy::readers_first};
  static const shared_mutex_subject fair{
      "shared_mutex_fair",
      "deadbolt::shared_mutex, in a region, fair: a writer dies, the others write", side::writer,
      side::writer, shared_mutex_policy::fair};
  static const shared_mutex_subject fair_readers{
      "shared_mutex_fair_reads",
      "deadbolt::shared_mutex, in a region, fair: a writer dies, the others read", side::writer,
      side::reader, shared_mutex_policy::fair};
  static const condition_variable_subject condition{
      "condition_variable", "deadbolt::condition_variable, in a region: notified under the mutex",
      last_step::unlock};
  static const condition_variable_subject condition_late{
      "condition_variable_late",
      "deadbolt::condition_variable, in a region: notified after the unlock", last_step::notify,
      true};
  static const semaphore_subject<2> semaphore{
      "counting_semaphore", "deadbolt::counting_semaphore, in a region: its only permit", 1, 0};
  static const semaphore_subject<2> semaphore_pair{
      "counting_semaphore_pair",
      "deadbolt::counting_semaphore, in a region: the second of two permits", 2, 1, true};
  static const std::vector<const subject*> all = [] {
    const std::span<const subject* const> of_libc = libc_subjects();
    std::vector<const subject*> subjects{of_libc.begin(), of_libc.end()};
    for (const subject* const ours : std::to_array<const subject*>(
             {&plain, &pi, &in_region, &biased, &writers, &reader, &readers, &readers_first, &fair,
              &fair_readers, &condition, &condition_late, &semaphore, &semaphore_pair,
              &interruptible, &reserved}))
      subjects.push_back(ours);
    return subjects;
  }();
  return all;
}

} // namespace deadbolt::crash
