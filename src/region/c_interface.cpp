// SPDX-License-Identifier: MIT
// The C names of regions and their locks: the same objects under other types.
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.h>
#include <deadbolt/region.hpp>
#include <deadbolt/shared_mutex.hpp>

#include <base/c_interface.hpp>
#include <region/open_region.hpp>
#include <time.h>
#include <utility>

namespace deadbolt {
namespace {

using base::as;
using base::at_time;

// The numbers are equal, so a cast translates.
static_assert(DEADBOLT_REGION_SYSTEM_ERROR == static_cast<int>(region_status::system_error));
static_assert(DEADBOLT_REGION_WRONG_PAGE_SIZE == static_cast<int>(region_status::wrong_page_size));
static_assert(DEADBOLT_CONSTRUCT_INVALID_POLICY ==
              static_cast<int>(construct_status::invalid_policy));
static_assert(DEADBOLT_FAIR == static_cast<int>(shared_mutex_policy::fair));
static_assert(offsetof(deadbolt_shared_mutex, policy) ==
              offsetof(detail::shared_mutex_words, policy));
static_assert(DEADBOLT_DESTROY_DAMAGED == static_cast<int>(destroy_status::damaged));
static_assert(DEADBOLT_GROW_SYSTEM_ERROR == static_cast<int>(grow_status::system_error));
static_assert(DEADBOLT_ATTACH_READ_ONLY == static_cast<int>(attach_status::read_only));
static_assert(offsetof(deadbolt_object_info, kind) == offsetof(object_info, kind));
static_assert(DEADBOLT_INTERRUPTED == static_cast<int>(lock_status::interrupted));
static_assert(DEADBOLT_REGION_FORMER_BOOT == static_cast<int>(region_status::former_boot));
static_assert(DEADBOLT_ATTACH_SYSTEM_ERROR == static_cast<int>(attach_status::system_error));
static_assert(DEADBOLT_ATTACH_DESCRIPTOR_LOST == static_cast<int>(attach_status::descriptor_lost));
static_assert(DEADBOLT_TOO_MANY_HOLDS == static_cast<int>(lock_status::too_many_holds));
static_assert(DEADBOLT_BUSY == static_cast<int>(lock_status::busy));
static_assert(DEADBOLT_NOT_OWNER == static_cast<int>(unlock_status::not_owner));
static_assert(DEADBOLT_OBJECT_COUNTING_SEMAPHORE ==
              static_cast<int>(detail::object_kind::counting_semaphore));
static_assert(DEADBOLT_OWNER_ALIVE == static_cast<int>(owner_state::alive));
static_assert(DEADBOLT_OWNER_UNKNOWN == static_cast<int>(owner_state::unknown));
static_assert(DEADBOLT_AWAKE == static_cast<int>(wait_status::awake));
static_assert(DEADBOLT_WAIT_OWNER_DIED == static_cast<int>(wait_status::owner_died));
static_assert(DEADBOLT_WAIT_INTERRUPTED == static_cast<int>(wait_status::interrupted));

region& as_cpp(deadbolt_region* handle) noexcept {
  return as<region>(handle);
}
const region& as_cpp(const deadbolt_region* handle) noexcept {
  return as<const region>(handle);
}
read_only_region& as_cpp(deadbolt_read_only_region* handle) noexcept {
  return as<read_only_region>(handle);
}
const read_only_region& as_cpp(const deadbolt_read_only_region* handle) noexcept {
  return as<const read_only_region>(handle);
}
object_info& as_cpp(deadbolt_object_info* info) noexcept {
  return as<object_info>(info);
}
detail::object_kind as_cpp(deadbolt_object_kind kind) noexcept {
  return static_cast<detail::object_kind>(kind);
}
mutex& as_cpp(deadbolt_mutex* lock) noexcept {
  return as<mutex>(lock);
}
shared_mutex& as_cpp(deadbolt_shared_mutex* lock) noexcept {
  return as<shared_mutex>(lock);
}
condition_variable& as_cpp(deadbolt_condition_variable* condition) noexcept {
  return as<condition_variable>(condition);
}
std::uint64_t* words_of(deadbolt_permit* permits) noexcept {
  return &as<std::uint64_t>(permits);
}

deadbolt_lock_status as_c(lock_status status) noexcept {
  return static_cast<deadbolt_lock_status>(status);
}
deadbolt_unlock_status as_c(unlock_status status) noexcept {
  return static_cast<deadbolt_unlock_status>(status);
}

region_options as_cpp(const deadbolt_region_options* options) noexcept {
  region_options made{.size = options->size};
  if (options->members != 0) made.members = options->members;
  const std::uint32_t mode = options->mode & ~DEADBOLT_REGION_ANY_OWNER;
  if (mode != 0) made.mode = mode;
  made.any_owner = (options->mode & DEADBOLT_REGION_ANY_OWNER) != 0;
  made.largest = options->largest;
  return made;
}

deadbolt_region_status keep(deadbolt_region* handle, region&& made) noexcept {
  as_cpp(handle) = std::move(made);
  return static_cast<deadbolt_region_status>(handle->status);
}

deadbolt_owner_state keep(lock_owner owner, pid_t* pid, pid_t* tid) noexcept {
  if (pid != nullptr) *pid = owner.pid;
  if (tid != nullptr) *tid = owner.tid;
  return static_cast<deadbolt_owner_state>(owner.state);
}

deadbolt_region_status keep(deadbolt_read_only_region* handle, read_only_region&& made) noexcept {
  as_cpp(handle) = std::move(made);
  return static_cast<deadbolt_region_status>(handle->status);
}

// Calls lock(time point) with the time on its clock.
template <class Lock>
deadbolt_lock_status until(const void* mutex, clockid_t clock, const timespec* time,
                           Lock&& lock) noexcept {
  return at_time(mutex, clock, time, [&](auto at) { return as_c(lock(at)); });
}

const stop_flag* as_cpp(const deadbolt_stop_flag* stop) noexcept {
  return stop == nullptr ? nullptr : &as<const stop_flag>(stop);
}

// Calls lock(limits) for an interruptible wait. `time`: nullptr is no deadline.
template <class Lock>
deadbolt_lock_status interruptibly(const void* object, clockid_t clock, const timespec* time,
                                   const deadbolt_stop_flag* stop, Lock&& lock) noexcept {
  detail::wait_limits limits{.interruptible = true};
  limits.stop = as_cpp(stop);
  if (time == nullptr) return as_c(lock(limits));
  return at_time(object, clock, time, [&](auto at) {
    return as_c(detail::lock_until(at, [&](detail::deadline until) noexcept {
      limits.until = &until;
      return lock(limits);
    }));
  });
}

} // namespace
} // namespace deadbolt

using deadbolt::as_c;
using deadbolt::as_cpp;
using deadbolt::words_of;

const char* deadbolt_region_status_name(deadbolt_region_status status) {
  return to_string(static_cast<deadbolt::region_status>(status));
}
const char* deadbolt_attach_status_name(deadbolt_attach_status status) {
  return to_string(static_cast<deadbolt::attach_status>(status));
}
const char* deadbolt_lock_status_name(deadbolt_lock_status status) {
  return to_string(static_cast<deadbolt::lock_status>(status));
}

const char* deadbolt_construct_status_name(deadbolt_construct_status status) {
  return to_string(static_cast<deadbolt::construct_status>(status));
}

const char* deadbolt_destroy_status_name(deadbolt_destroy_status status) {
  return to_string(static_cast<deadbolt::destroy_status>(status));
}
const char* deadbolt_grow_status_name(deadbolt_grow_status status) {
  return to_string(static_cast<deadbolt::grow_status>(status));
}

deadbolt_region_status deadbolt_region_create(deadbolt_region* region, const char* path,
                                              const deadbolt_region_options* options) {
  return deadbolt::keep(region, deadbolt::region::create(path, as_cpp(options)));
}
deadbolt_region_status deadbolt_region_open(deadbolt_region* region, const char* path) {
  return deadbolt::keep(region, deadbolt::region::open(path));
}
deadbolt_region_status deadbolt_region_open_or_create(deadbolt_region* region, const char* path,
                                                      const deadbolt_region_options* options) {
  return deadbolt::keep(region, deadbolt::region::open_or_create(path, as_cpp(options)));
}
deadbolt_region_status deadbolt_region_open_or_replace(deadbolt_region* region, const char* path,
                                                       const deadbolt_region_options* options) {
  return deadbolt::keep(region, deadbolt::region::open_or_replace(path, as_cpp(options)));
}
deadbolt_region_status deadbolt_region_create_anonymous(deadbolt_region* region, const char* name,
                                                        const deadbolt_region_options* options) {
  return deadbolt::keep(region, deadbolt::region::create_anonymous(name, as_cpp(options)));
}
deadbolt_region_status deadbolt_region_open_descriptor(deadbolt_region* region, int descriptor) {
  return deadbolt::keep(region, deadbolt::region::open_descriptor(descriptor));
}
deadbolt_region_status deadbolt_region_open_descriptor_with(deadbolt_region* region, int descriptor,
                                                            int own_description) {
  return deadbolt::keep(region, deadbolt::region::open_descriptor(descriptor, own_description));
}
bool deadbolt_region_close(deadbolt_region* region) {
  return as_cpp(region).close();
}

void* deadbolt_region_data(const deadbolt_region* region) {
  return as_cpp(region).data();
}
size_t deadbolt_region_size(const deadbolt_region* region) {
  return as_cpp(region).size();
}
size_t deadbolt_region_largest_size(const deadbolt_region* region) {
  return as_cpp(region).largest_size();
}
deadbolt_grow_status deadbolt_region_grow(const deadbolt_region* region, size_t size) {
  return static_cast<deadbolt_grow_status>(as_cpp(region).grow(size));
}
uint32_t deadbolt_region_members(const deadbolt_region* region) {
  return as_cpp(region).members();
}
int deadbolt_region_descriptor(const deadbolt_region* region) {
  return as_cpp(region).descriptor();
}
int deadbolt_region_new_descriptor(const deadbolt_region* region) {
  return as_cpp(region).new_descriptor();
}
bool deadbolt_region_is_at(const deadbolt_region* region, const char* path) {
  return as_cpp(region).is_at(path);
}
bool deadbolt_region_set_longest_sleep(deadbolt_region* region, int64_t nanoseconds) {
  return as_cpp(region).set_longest_sleep(std::chrono::nanoseconds{nanoseconds});
}
int64_t deadbolt_region_longest_sleep(const deadbolt_region* region) {
  return as_cpp(region).longest_sleep().count();
}
deadbolt_attach_status deadbolt_region_attach(const deadbolt_region* region) {
  return static_cast<deadbolt_attach_status>(as_cpp(region).attach());
}
bool deadbolt_region_detach(const deadbolt_region* region) {
  return as_cpp(region).detach();
}

deadbolt_attach_status deadbolt_last_attach_failure(int* error) {
  const deadbolt::attach_failure failure = deadbolt::last_attach_failure();
  if (error != nullptr) *error = failure.error;
  return static_cast<deadbolt_attach_status>(failure.status);
}
deadbolt_construct_status deadbolt_last_construct_status() {
  return static_cast<deadbolt_construct_status>(deadbolt::last_construct_status());
}

void* deadbolt_region_find_or_begin_construct(const deadbolt_region* region, const char* name,
                                              size_t size, size_t alignment,
                                              deadbolt_object_kind kind, bool* fresh) {
  return deadbolt::region_access::begin_construct(as_cpp(region), name, size, alignment,
                                                  as_cpp(kind), *fresh);
}
void deadbolt_region_end_construct(const deadbolt_region* region, const char* name, bool made) {
  deadbolt::region_access::end_construct(as_cpp(region), name, made);
}
void* deadbolt_region_find(const deadbolt_region* region, const char* name, size_t size,
                           size_t alignment, deadbolt_object_kind kind) {
  return deadbolt::region_access::look_up(as_cpp(region), name, size, alignment, as_cpp(kind));
}
deadbolt_destroy_status deadbolt_region_destroy(const deadbolt_region* region, const char* name,
                                                size_t size, size_t alignment,
                                                deadbolt_object_kind kind) {
  return static_cast<deadbolt_destroy_status>(
      deadbolt::region_access::destroy(as_cpp(region), name, size, alignment, as_cpp(kind)));
}
bool deadbolt_region_next_object(const deadbolt_region* region, uint32_t* position,
                                 deadbolt_object_info* info) {
  return as_cpp(region).next_object(*position, as_cpp(info));
}

deadbolt_region_status deadbolt_read_only_region_open(deadbolt_read_only_region* region,
                                                      const char* path) {
  return deadbolt::keep(region, deadbolt::read_only_region::open(path));
}
deadbolt_region_status deadbolt_read_only_region_open_descriptor(deadbolt_read_only_region* region,
                                                                 int descriptor) {
  return deadbolt::keep(region, deadbolt::read_only_region::open_descriptor(descriptor));
}
bool deadbolt_read_only_region_close(deadbolt_read_only_region* region) {
  return as_cpp(region).close();
}
const void* deadbolt_read_only_region_data(const deadbolt_read_only_region* region) {
  return as_cpp(region).data();
}
size_t deadbolt_read_only_region_size(const deadbolt_read_only_region* region) {
  return as_cpp(region).size();
}
bool deadbolt_read_only_region_is_at(const deadbolt_read_only_region* region, const char* path) {
  return as_cpp(region).is_at(path);
}
const void* deadbolt_read_only_region_find(const deadbolt_read_only_region* region,
                                           const char* name, size_t size, size_t alignment,
                                           deadbolt_object_kind kind) {
  return deadbolt::region_access::look_up(deadbolt::as<const deadbolt::region>(region), name, size,
                                          alignment, as_cpp(kind));
}
bool deadbolt_read_only_region_next_object(const deadbolt_read_only_region* region,
                                           uint32_t* position, deadbolt_object_info* info) {
  return as_cpp(region).next_object(*position, as_cpp(info));
}

deadbolt_lock_status deadbolt_mutex_lock(deadbolt_mutex* mutex) {
  return as_c(as_cpp(mutex).lock().status());
}
deadbolt_lock_status deadbolt_mutex_try_lock(deadbolt_mutex* mutex) {
  return as_c(as_cpp(mutex).try_lock().status());
}
deadbolt_lock_status deadbolt_mutex_lock_until(deadbolt_mutex* mutex, clockid_t clock,
                                               const timespec* time) {
  return deadbolt::until(mutex, clock, time,
                         [&](auto at) { return as_cpp(mutex).try_lock_until(at).status(); });
}
deadbolt_lock_status deadbolt_mutex_lock_interruptible(deadbolt_mutex* mutex, clockid_t clock,
                                                       const timespec* time,
                                                       const deadbolt_stop_flag* stop) {
  return deadbolt::interruptibly(mutex, clock, time, stop, [&](const auto& limits) noexcept {
    return deadbolt::wait_access::acquire(as_cpp(mutex), limits);
  });
}
deadbolt_unlock_status deadbolt_mutex_unlock(deadbolt_mutex* mutex) {
  return as_c(as_cpp(mutex).unlock());
}
bool deadbolt_mutex_mark_consistent(deadbolt_mutex* mutex) {
  return as_cpp(mutex).mark_consistent();
}

const char* deadbolt_owner_state_name(deadbolt_owner_state state) {
  return to_string(static_cast<deadbolt::owner_state>(state));
}
deadbolt_owner_state deadbolt_mutex_owner(const deadbolt_mutex* mutex, pid_t* pid, pid_t* tid) {
  return deadbolt::keep(deadbolt::detail::owner_of(&mutex->word), pid, tid);
}
void deadbolt_shared_mutex_init(deadbolt_shared_mutex* mutex, deadbolt_shared_mutex_policy policy) {
  // The number has 32 bits here and 8 in the lock.
  new (mutex) deadbolt::shared_mutex{policy <= DEADBOLT_FAIR
                                         ? static_cast<deadbolt::shared_mutex_policy>(policy)
                                         : deadbolt::shared_mutex_policy::writers_first};
}
deadbolt_shared_mutex_policy deadbolt_shared_mutex_get_policy(const deadbolt_shared_mutex* mutex) {
  return static_cast<deadbolt_shared_mutex_policy>(
      deadbolt::base::as<const deadbolt::shared_mutex>(mutex).policy());
}
const char* deadbolt_shared_mutex_policy_name(deadbolt_shared_mutex_policy policy) {
  if (policy > DEADBOLT_FAIR) return "unknown"; // the number has 32 bits here
  return deadbolt::to_string(static_cast<deadbolt::shared_mutex_policy>(policy));
}

deadbolt_owner_state deadbolt_shared_mutex_owner(const deadbolt_shared_mutex* mutex, pid_t* pid,
                                                 pid_t* tid) {
  return deadbolt::keep(deadbolt::detail::owner_of(&mutex->writer), pid, tid);
}

deadbolt_lock_status deadbolt_shared_mutex_lock(deadbolt_shared_mutex* mutex) {
  return as_c(as_cpp(mutex).lock().status());
}
deadbolt_lock_status deadbolt_shared_mutex_try_lock(deadbolt_shared_mutex* mutex) {
  return as_c(as_cpp(mutex).try_lock().status());
}
deadbolt_lock_status deadbolt_shared_mutex_lock_until(deadbolt_shared_mutex* mutex, clockid_t clock,
                                                      const timespec* time) {
  return deadbolt::until(mutex, clock, time,
                         [&](auto at) { return as_cpp(mutex).try_lock_until(at).status(); });
}
deadbolt_lock_status deadbolt_shared_mutex_lock_interruptible(deadbolt_shared_mutex* mutex,
                                                              clockid_t clock, const timespec* time,
                                                              const deadbolt_stop_flag* stop) {
  return deadbolt::interruptibly(mutex, clock, time, stop, [&](const auto& limits) noexcept {
    return deadbolt::wait_access::acquire(as_cpp(mutex), limits);
  });
}
deadbolt_unlock_status deadbolt_shared_mutex_unlock(deadbolt_shared_mutex* mutex) {
  return as_c(as_cpp(mutex).unlock());
}
deadbolt_lock_status deadbolt_shared_mutex_lock_shared(deadbolt_shared_mutex* mutex) {
  return as_c(as_cpp(mutex).lock_shared().status());
}
deadbolt_lock_status deadbolt_shared_mutex_try_lock_shared(deadbolt_shared_mutex* mutex) {
  return as_c(as_cpp(mutex).try_lock_shared().status());
}
deadbolt_lock_status deadbolt_shared_mutex_lock_shared_until(deadbolt_shared_mutex* mutex,
                                                             clockid_t clock,
                                                             const timespec* time) {
  return deadbolt::until(mutex, clock, time,
                         [&](auto at) { return as_cpp(mutex).try_lock_shared_until(at).status(); });
}
deadbolt_lock_status
deadbolt_shared_mutex_lock_shared_interruptible(deadbolt_shared_mutex* mutex, clockid_t clock,
                                                const timespec* time,
                                                const deadbolt_stop_flag* stop) {
  return deadbolt::interruptibly(mutex, clock, time, stop, [&](const auto& limits) noexcept {
    return deadbolt::wait_access::acquire_shared(as_cpp(mutex), limits);
  });
}
deadbolt_unlock_status deadbolt_shared_mutex_unlock_shared(deadbolt_shared_mutex* mutex) {
  return as_c(as_cpp(mutex).unlock_shared());
}
bool deadbolt_shared_mutex_mark_consistent(deadbolt_shared_mutex* mutex) {
  return as_cpp(mutex).mark_consistent();
}

const char* deadbolt_wait_status_name(deadbolt_wait_status status) {
  return to_string(static_cast<deadbolt::wait_status>(status));
}

deadbolt_wait_status deadbolt_condition_variable_wait(deadbolt_condition_variable* condition,
                                                      deadbolt_mutex* mutex) {
  return static_cast<deadbolt_wait_status>(as_cpp(condition).wait(as_cpp(mutex)).status());
}
deadbolt_wait_status deadbolt_condition_variable_wait_until(deadbolt_condition_variable* condition,
                                                            deadbolt_mutex* mutex, clockid_t clock,
                                                            const timespec* time) {
  return deadbolt::at_time(condition, clock, time, [&](auto at) {
    return static_cast<deadbolt_wait_status>(
        as_cpp(condition).wait_until(as_cpp(mutex), at).status());
  });
}
deadbolt_wait_status deadbolt_condition_variable_wait_interruptible(
    deadbolt_condition_variable* condition, deadbolt_mutex* mutex, clockid_t clock,
    const timespec* time, const deadbolt_stop_flag* stop) {
  const deadbolt::stop_flag* const flag = deadbolt::as_cpp(stop);
  if (time == nullptr) {
    return static_cast<deadbolt_wait_status>(
        as_cpp(condition).wait_interruptible(as_cpp(mutex), flag).status());
  }
  return deadbolt::at_time(condition, clock, time, [&](auto at) {
    return static_cast<deadbolt_wait_status>(
        as_cpp(condition).wait_interruptible_until(as_cpp(mutex), at, flag).status());
  });
}
void deadbolt_condition_variable_notify_one(deadbolt_condition_variable* condition) {
  as_cpp(condition).notify_one();
}
void deadbolt_condition_variable_notify_all(deadbolt_condition_variable* condition) {
  as_cpp(condition).notify_all();
}

void deadbolt_stop_flag_set(deadbolt_stop_flag* stop) {
  deadbolt::as<deadbolt::stop_flag>(stop).set();
}
void deadbolt_stop_flag_clear(deadbolt_stop_flag* stop) {
  deadbolt::as<deadbolt::stop_flag>(stop).clear();
}
bool deadbolt_stop_flag_is_set(const deadbolt_stop_flag* stop) {
  return deadbolt::as_cpp(stop)->is_set();
}

void deadbolt_counting_semaphore_init(deadbolt_permit* permits, size_t count, size_t available) {
  for (size_t i = 0; i < count; ++i) permits[i].word = 0;
  deadbolt::detail::withhold_permits(words_of(permits), count, available);
}
deadbolt_lock_status deadbolt_counting_semaphore_acquire(deadbolt_permit* permits, size_t count) {
  return as_c(
      deadbolt::detail::acquire_permit(words_of(permits), count, deadbolt::detail::no_limits));
}
deadbolt_lock_status deadbolt_counting_semaphore_try_acquire(deadbolt_permit* permits,
                                                             size_t count) {
  return as_c(deadbolt::detail::try_acquire_permit(words_of(permits), count));
}
deadbolt_lock_status deadbolt_counting_semaphore_acquire_until(deadbolt_permit* permits,
                                                               size_t count, clockid_t clock,
                                                               const timespec* time) {
  return deadbolt::at_time(permits, clock, time, [&](auto at) {
    return as_c(deadbolt::detail::lock_until(at, [&](deadbolt::detail::deadline deadline) noexcept {
      return deadbolt::detail::acquire_permit(words_of(permits), count, {.until = &deadline});
    }));
  });
}
deadbolt_lock_status
deadbolt_counting_semaphore_acquire_interruptible(deadbolt_permit* permits, size_t count,
                                                  clockid_t clock, const timespec* time,
                                                  const deadbolt_stop_flag* stop) {
  return deadbolt::interruptibly(permits, clock, time, stop, [&](const auto& limits) noexcept {
    return deadbolt::detail::acquire_permit(words_of(permits), count, limits);
  });
}
deadbolt_unlock_status deadbolt_counting_semaphore_release(deadbolt_permit* permits, size_t count) {
  return static_cast<deadbolt_unlock_status>(
      deadbolt::detail::release_permit(words_of(permits), count));
}
