/* SPDX-License-Identifier: MIT */
/*
 * Regions and their locks for C, and for languages that call C. Each function is the
 * member function of the same name in deadbolt/region.hpp, mutex.hpp,
 * shared_mutex.hpp, condition_variable.hpp and counting_semaphore.hpp, which say more; programs in
 * C and C++ share regions. Other names: lock_until() is try_lock_until() there, lock_shared_until()
 * try_lock_shared_until(), acquire_until() try_acquire_until(), get_policy() policy(); and an
 * interruptible function with a time ends in _until() there.
 */
#ifndef DEADBOLT_REGION_H
#define DEADBOLT_REGION_H

#include <deadbolt/detail/thread_safety.h>
#include <deadbolt/lock_result.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h> /* clockid_t, also without POSIX extensions (-std=c11) */
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#define DEADBOLT_MUST_CHECK __attribute__((warn_unused_result))
#else
#define DEADBOLT_MUST_CHECK
#endif
/* To 8 bytes, as the C++ types are: a 32-bit ABI aligns 64-bit numbers to 4 bytes only. */
#ifdef __cplusplus
#define DEADBOLT_ALIGNED alignas(8)
#else
#define DEADBOLT_ALIGNED _Alignas(8)
#endif

/* The outcome of opening a region; the values are those of deadbolt::region_status. */
enum deadbolt_region_status {
  DEADBOLT_REGION_OPEN,
  DEADBOLT_REGION_CLOSED,
  DEADBOLT_REGION_EXISTS,
  DEADBOLT_REGION_NOT_FOUND,
  DEADBOLT_REGION_NOT_A_REGION,
  DEADBOLT_REGION_UNKNOWN_VERSION,
  DEADBOLT_REGION_DAMAGED,
  DEADBOLT_REGION_TRUNCATED,
  DEADBOLT_REGION_FORMER_BOOT,
  DEADBOLT_REGION_COPIED,
  DEADBOLT_REGION_NETWORK_FILESYSTEM,
  DEADBOLT_REGION_TOO_MANY,
  DEADBOLT_REGION_INVALID_OPTIONS,
  DEADBOLT_REGION_SYSTEM_ERROR, /* see the handle's `error` */
  DEADBOLT_REGION_IN_USE,
  DEADBOLT_REGION_UNTRUSTED_OWNER,
  DEADBOLT_REGION_WRONG_PAGE_SIZE
};

enum deadbolt_attach_status {
  DEADBOLT_ATTACHED,
  DEADBOLT_ATTACH_TABLE_FULL,
  DEADBOLT_ATTACH_INTERRUPTED_LIBC,
  DEADBOLT_ATTACH_DESCRIPTOR_LOST,
  DEADBOLT_ATTACH_NO_ROBUST_LIST,
  DEADBOLT_ATTACH_NOT_OPEN,
  DEADBOLT_ATTACH_SYSTEM_ERROR,
  DEADBOLT_ATTACH_READ_ONLY /* the lock is in a struct deadbolt_read_only_region */
};

/* The outcome of the calling thread's last deadbolt_region_find_or_begin_construct() or
 * deadbolt_region_find(). */
enum deadbolt_construct_status {
  DEADBOLT_CONSTRUCT_FOUND,
  DEADBOLT_CONSTRUCT_CONSTRUCTED, /* *fresh is true: the caller initialises the object */
  DEADBOLT_CONSTRUCT_NOT_OPEN,
  DEADBOLT_CONSTRUCT_INVALID_NAME,
  DEADBOLT_CONSTRUCT_OTHER_KIND,
  DEADBOLT_CONSTRUCT_NO_ROOM,
  DEADBOLT_CONSTRUCT_TOO_MANY_NAMES,
  DEADBOLT_CONSTRUCT_BEING_CONSTRUCTED,
  DEADBOLT_CONSTRUCT_CANNOT_ATTACH,
  DEADBOLT_CONSTRUCT_DAMAGED,
  DEADBOLT_CONSTRUCT_NOT_FOUND,
  DEADBOLT_CONSTRUCT_SYSTEM_ERROR, /* errno says which */
  /* Of C++ alone; C compares deadbolt_shared_mutex_get_policy(). */
  DEADBOLT_CONSTRUCT_OTHER_POLICY,
  DEADBOLT_CONSTRUCT_INVALID_POLICY
};

/* The outcome of deadbolt_region_destroy(). */
enum deadbolt_destroy_status {
  DEADBOLT_DESTROYED,
  DEADBOLT_DESTROY_NOT_OPEN,
  DEADBOLT_DESTROY_NOT_FOUND,
  DEADBOLT_DESTROY_OTHER_KIND,
  DEADBOLT_DESTROY_IN_USE,
  DEADBOLT_DESTROY_BEING_CONSTRUCTED,
  DEADBOLT_DESTROY_CANNOT_ATTACH,
  DEADBOLT_DESTROY_DAMAGED
};

/* The outcome of deadbolt_region_grow(). */
enum deadbolt_grow_status {
  DEADBOLT_GROWN,
  DEADBOLT_GROW_NOT_OPEN,
  DEADBOLT_GROW_TOO_LARGE,
  DEADBOLT_GROW_BEING_CONSTRUCTED,
  DEADBOLT_GROW_CANNOT_ATTACH,
  DEADBOLT_GROW_DESCRIPTOR_LOST,
  DEADBOLT_GROW_DAMAGED,
  DEADBOLT_GROW_SYSTEM_ERROR /* errno says which */
};

/* The names as deadbolt's messages write them, for example "table_full". */
const char* deadbolt_region_status_name(enum deadbolt_region_status status);
const char* deadbolt_attach_status_name(enum deadbolt_attach_status status);
const char* deadbolt_construct_status_name(enum deadbolt_construct_status status);
const char* deadbolt_destroy_status_name(enum deadbolt_destroy_status status);
const char* deadbolt_grow_status_name(enum deadbolt_grow_status status);

/* ---- regions ---- */

struct deadbolt_region_options {
  size_t size;      /* bytes of data */
  uint32_t members; /* threads at most, 1 to 16,382; 0: 1024 */
  uint32_t mode;    /* permission bits of a new file, whatever the umask; 0: 0600. OR in
                     * DEADBOLT_REGION_ANY_OWNER to set any_owner of the C++ options */
  size_t largest;   /* bytes of data up to which it can grow; 0: as size */
};
#define DEADBOLT_REGION_ANY_OWNER 0x10000u

/* A handle. Initialise it with DEADBOLT_REGION_INIT; close it once. It may be moved by
 * copying its bytes, if the original is not used again. */
struct deadbolt_region {
  void* mapping;
  uint32_t status; /* enum deadbolt_region_status */
  int32_t error;   /* errno value of the call that failed, or 0 */
};
#define DEADBOLT_REGION_INIT                                                                       \
  { NULL, DEADBOLT_REGION_CLOSED, 0 }

/* Each opens the region and then closes the one that the handle had open until then; it also stores
 * the status in the handle. */
enum deadbolt_region_status
deadbolt_region_create(struct deadbolt_region* region, const char* path,
                       const struct deadbolt_region_options* options) DEADBOLT_MUST_CHECK;
enum deadbolt_region_status deadbolt_region_open(struct deadbolt_region* region,
                                                 const char* path) DEADBOLT_MUST_CHECK;
enum deadbolt_region_status
deadbolt_region_open_or_create(struct deadbolt_region* region, const char* path,
                               const struct deadbolt_region_options* options) DEADBOLT_MUST_CHECK;
enum deadbolt_region_status
deadbolt_region_open_or_replace(struct deadbolt_region* region, const char* path,
                                const struct deadbolt_region_options* options) DEADBOLT_MUST_CHECK;
enum deadbolt_region_status
deadbolt_region_create_anonymous(struct deadbolt_region* region, const char* name,
                                 const struct deadbolt_region_options* options) DEADBOLT_MUST_CHECK;
enum deadbolt_region_status deadbolt_region_open_descriptor(struct deadbolt_region* region,
                                                            int descriptor) DEADBOLT_MUST_CHECK;
/* With `own_description`, which the region takes over: see region::open_descriptor(). */
enum deadbolt_region_status
deadbolt_region_open_descriptor_with(struct deadbolt_region* region, int descriptor,
                                     int own_description) DEADBOLT_MUST_CHECK;
/* False when another thread was still in an unlock after a second: the memory stays mapped. */
bool deadbolt_region_close(struct deadbolt_region* region);

/* The data, zero at first and aligned to a page; NULL when the region is closed. The three
 * functions after this one then return 0. members: the most threads that can be members. */
void* deadbolt_region_data(const struct deadbolt_region* region);
size_t deadbolt_region_size(const struct deadbolt_region* region);
size_t deadbolt_region_largest_size(const struct deadbolt_region* region);
uint32_t deadbolt_region_members(const struct deadbolt_region* region);
/* Makes the data at least this large for all processes. No address changes. */
enum deadbolt_grow_status deadbolt_region_grow(const struct deadbolt_region* region,
                                               size_t size) DEADBOLT_MUST_CHECK;
/* Of the region's file; the region keeps it. -1 when the region is closed. */
int deadbolt_region_descriptor(const struct deadbolt_region* region);
/* A descriptor of a new open file description, which the caller hands to another process and
 * closes; negative: -errno. */
int deadbolt_region_new_descriptor(const struct deadbolt_region* region);
/* Whether this name leads to the region's file. */
bool deadbolt_region_is_at(const struct deadbolt_region* region, const char* path);

/* The longest time, in nanoseconds, that a waiting thread of this process sleeps before it looks at
 * the lock again. Returns false, and changes nothing, unless it is from 1 ms to 1 h. */
bool deadbolt_region_set_longest_sleep(struct deadbolt_region* region, int64_t nanoseconds);
int64_t deadbolt_region_longest_sleep(const struct deadbolt_region* region);
enum deadbolt_attach_status
deadbolt_region_attach(const struct deadbolt_region* region) DEADBOLT_MUST_CHECK;
bool deadbolt_region_detach(const struct deadbolt_region* region);
/* Why the calling thread's last attach failed; DEADBOLT_ATTACHED if it did not. What is stored in
 * *error (`error` may be NULL) is an errno value if the result is DEADBOLT_ATTACH_SYSTEM_ERROR, and
 * has no meaning otherwise. */
enum deadbolt_attach_status deadbolt_last_attach_failure(int* error);
enum deadbolt_construct_status deadbolt_last_construct_status(void);

/* What a named object is, for `deadbolt inspect`. */
enum deadbolt_object_kind {
  DEADBOLT_OBJECT_OTHER,
  DEADBOLT_OBJECT_MUTEX,
  DEADBOLT_OBJECT_SHARED_MUTEX,
  DEADBOLT_OBJECT_CONDITION_VARIABLE,
  DEADBOLT_OBJECT_COUNTING_SEMAPHORE
};

/*
 * The object of this name, or NULL: deadbolt_last_construct_status() has the reason. When *fresh is
 * true the object is zeroed and the caller initialises it. Until the caller then calls
 * deadbolt_region_end_construct(), with made == false if it could not initialise the object, all
 * other threads that call this function, deadbolt_region_destroy() or deadbolt_region_grow() for
 * the region wait, whatever the name. Zeroed memory is an unlocked lock.
 */
void* deadbolt_region_find_or_begin_construct(const struct deadbolt_region* region,
                                              const char* name, size_t size, size_t alignment,
                                              enum deadbolt_object_kind kind,
                                              bool* fresh) DEADBOLT_MUST_CHECK;
void deadbolt_region_end_construct(const struct deadbolt_region* region, const char* name,
                                   bool made);
/* The object of this name if there is one that is complete. Does not wait. */
void* deadbolt_region_find(const struct deadbolt_region* region, const char* name, size_t size,
                           size_t alignment, enum deadbolt_object_kind kind) DEADBOLT_MUST_CHECK;
/* Gives the name and the bytes of an object back. No thread of any process may use it any more. */
enum deadbolt_destroy_status deadbolt_region_destroy(const struct deadbolt_region* region,
                                                     const char* name, size_t size,
                                                     size_t alignment,
                                                     enum deadbolt_object_kind kind);

struct deadbolt_object_info {
  char name[40];
  size_t offset; /* from the start of the data */
  size_t size;
  uint32_t kind; /* enum deadbolt_object_kind */
};
/* The complete named objects, one a call; *position is 0 at first. False: there are no more. */
bool deadbolt_region_next_object(const struct deadbolt_region* region, uint32_t* position,
                                 struct deadbolt_object_info* info);

/* ---- regions that are mapped to be read ---- */

/* As struct deadbolt_region. Its objects are const; a lock in it that a cast reaches returns
 * DEADBOLT_CANNOT_ATTACH. */
struct deadbolt_read_only_region {
  void* mapping;
  uint32_t status; /* enum deadbolt_region_status */
  int32_t error;
};
#define DEADBOLT_READ_ONLY_REGION_INIT                                                             \
  { NULL, DEADBOLT_REGION_CLOSED, 0 }

enum deadbolt_region_status deadbolt_read_only_region_open(struct deadbolt_read_only_region* region,
                                                           const char* path) DEADBOLT_MUST_CHECK;
enum deadbolt_region_status
deadbolt_read_only_region_open_descriptor(struct deadbolt_read_only_region* region,
                                          int descriptor) DEADBOLT_MUST_CHECK;
bool deadbolt_read_only_region_close(struct deadbolt_read_only_region* region);
const void* deadbolt_read_only_region_data(const struct deadbolt_read_only_region* region);
size_t deadbolt_read_only_region_size(const struct deadbolt_read_only_region* region);
bool deadbolt_read_only_region_is_at(const struct deadbolt_read_only_region* region,
                                     const char* path);
const void* deadbolt_read_only_region_find(const struct deadbolt_read_only_region* region,
                                           const char* name, size_t size, size_t alignment,
                                           enum deadbolt_object_kind kind) DEADBOLT_MUST_CHECK;
bool deadbolt_read_only_region_next_object(const struct deadbolt_read_only_region* region,
                                           uint32_t* position, struct deadbolt_object_info* info);

/* ---- what ends an interruptible wait; zeroed memory is a flag that is not set ---- */

/* deadbolt/stop_flag.hpp. An interruptible wait gives DEADBOLT_INTERRUPTED when `stop` (NULL: none)
 * is set, or when a signal handler that was installed without SA_RESTART has run while the thread
 * slept. `time` is by `clock`, CLOCK_MONOTONIC or CLOCK_REALTIME; NULL: no limit. */
struct deadbolt_stop_flag {
  uint32_t word;
};
void deadbolt_stop_flag_set(struct deadbolt_stop_flag* stop);
void deadbolt_stop_flag_clear(struct deadbolt_stop_flag* stop);
bool deadbolt_stop_flag_is_set(const struct deadbolt_stop_flag* stop);

/* ---- mutexes: anywhere in a region's data; zeroed memory is an unlocked one ----
 *
 * clang's -Wthread-safety takes _lock() and _lock_shared() for successful.
 * deadbolt/thread_safety.h has the functions that tell it about every other result.
 */

struct DEADBOLT_CAPABILITY("mutex") deadbolt_mutex {
  DEADBOLT_ALIGNED uint64_t word;
  uint32_t waiting;
  uint16_t spins;
  uint8_t revocations;
  uint8_t plain_after;
};

enum deadbolt_lock_status deadbolt_mutex_lock(struct deadbolt_mutex* mutex)
    DEADBOLT_ACQUIRES(*mutex) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status deadbolt_mutex_try_lock(struct deadbolt_mutex* mutex) DEADBOLT_MUST_CHECK;
/* `clock` is CLOCK_MONOTONIC or CLOCK_REALTIME; any other ends the process. */
enum deadbolt_lock_status
deadbolt_mutex_lock_until(struct deadbolt_mutex* mutex, clockid_t clock,
                          const struct timespec* time) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status
deadbolt_mutex_lock_interruptible(struct deadbolt_mutex* mutex, clockid_t clock,
                                  const struct timespec* time,
                                  const struct deadbolt_stop_flag* stop) DEADBOLT_MUST_CHECK;
enum deadbolt_unlock_status deadbolt_mutex_unlock(struct deadbolt_mutex* mutex)
    DEADBOLT_RELEASES(*mutex);
bool deadbolt_mutex_mark_consistent(struct deadbolt_mutex* mutex);

/* Which thread owns a lock; see deadbolt/lock_owner.hpp. `pid` and `tid` may be NULL; they are set
 * to 0 unless the state is DEADBOLT_OWNER_ALIVE. */
enum deadbolt_owner_state {
  DEADBOLT_OWNER_NOT_HELD,
  DEADBOLT_OWNER_ALIVE,
  DEADBOLT_OWNER_ELSEWHERE,
  DEADBOLT_OWNER_DEAD,
  DEADBOLT_OWNER_NOT_RECOVERABLE,
  DEADBOLT_OWNER_UNKNOWN
};
const char* deadbolt_owner_state_name(enum deadbolt_owner_state state);
enum deadbolt_owner_state deadbolt_mutex_owner(const struct deadbolt_mutex* mutex, pid_t* pid,
                                               pid_t* tid);

/* ---- readers-writer locks ---- */

/* Who comes first; deadbolt/shared_mutex.hpp says more. Zeroed memory has the first policy. */
enum deadbolt_shared_mutex_policy { DEADBOLT_WRITERS_FIRST, DEADBOLT_READERS_FIRST, DEADBOLT_FAIR };

struct DEADBOLT_CAPABILITY("mutex") deadbolt_shared_mutex {
  DEADBOLT_ALIGNED uint64_t writer;
  uint32_t readers;
  uint8_t state;
  uint8_t policy;
  uint16_t unused;
};

/* Makes an unlocked lock of this policy. */
void deadbolt_shared_mutex_init(struct deadbolt_shared_mutex* mutex,
                                enum deadbolt_shared_mutex_policy policy);
enum deadbolt_shared_mutex_policy
deadbolt_shared_mutex_get_policy(const struct deadbolt_shared_mutex* mutex);
/* "writers_first", "readers_first", "fair" */
const char* deadbolt_shared_mutex_policy_name(enum deadbolt_shared_mutex_policy policy);

enum deadbolt_lock_status deadbolt_shared_mutex_lock(struct deadbolt_shared_mutex* mutex)
    DEADBOLT_ACQUIRES(*mutex) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status
deadbolt_shared_mutex_try_lock(struct deadbolt_shared_mutex* mutex) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status
deadbolt_shared_mutex_lock_until(struct deadbolt_shared_mutex* mutex, clockid_t clock,
                                 const struct timespec* time) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status
deadbolt_shared_mutex_lock_interruptible(struct deadbolt_shared_mutex* mutex, clockid_t clock,
                                         const struct timespec* time,
                                         const struct deadbolt_stop_flag* stop) DEADBOLT_MUST_CHECK;
enum deadbolt_unlock_status deadbolt_shared_mutex_unlock(struct deadbolt_shared_mutex* mutex)
    DEADBOLT_RELEASES(*mutex);
enum deadbolt_lock_status deadbolt_shared_mutex_lock_shared(struct deadbolt_shared_mutex* mutex)
    DEADBOLT_ACQUIRES_SHARED(*mutex) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status
deadbolt_shared_mutex_try_lock_shared(struct deadbolt_shared_mutex* mutex) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status
deadbolt_shared_mutex_lock_shared_until(struct deadbolt_shared_mutex* mutex, clockid_t clock,
                                        const struct timespec* time) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status deadbolt_shared_mutex_lock_shared_interruptible(
    struct deadbolt_shared_mutex* mutex, clockid_t clock, const struct timespec* time,
    const struct deadbolt_stop_flag* stop) DEADBOLT_MUST_CHECK;
enum deadbolt_unlock_status deadbolt_shared_mutex_unlock_shared(struct deadbolt_shared_mutex* mutex)
    DEADBOLT_RELEASES_ANY(*mutex);
enum deadbolt_owner_state deadbolt_shared_mutex_owner(const struct deadbolt_shared_mutex* mutex,
                                                      pid_t* pid, pid_t* tid);
bool deadbolt_shared_mutex_mark_consistent(struct deadbolt_shared_mutex* mutex);

/* ---- condition variables: zeroed memory is one without waiters ---- */

struct deadbolt_condition_variable {
  uint32_t word;
};

/* The caller holds the mutex after all but DEADBOLT_WAIT_NOT_RECOVERABLE and
 * DEADBOLT_WAIT_NOT_OWNER. A wait returns at most deadbolt_region_longest_sleep() after it fell
 * asleep, notified or not: wait in a loop that examines the data. */
enum deadbolt_wait_status {
  DEADBOLT_AWAKE,
  DEADBOLT_WAIT_TIMED_OUT,
  DEADBOLT_WAIT_OWNER_DIED,
  DEADBOLT_WAIT_NOT_RECOVERABLE,
  DEADBOLT_WAIT_NOT_OWNER,
  DEADBOLT_WAIT_INTERRUPTED
};
const char* deadbolt_wait_status_name(enum deadbolt_wait_status status);

enum deadbolt_wait_status
deadbolt_condition_variable_wait(struct deadbolt_condition_variable* condition,
                                 struct deadbolt_mutex* mutex) DEADBOLT_MUST_CHECK;
enum deadbolt_wait_status
deadbolt_condition_variable_wait_until(struct deadbolt_condition_variable* condition,
                                       struct deadbolt_mutex* mutex, clockid_t clock,
                                       const struct timespec* time) DEADBOLT_MUST_CHECK;
enum deadbolt_wait_status deadbolt_condition_variable_wait_interruptible(
    struct deadbolt_condition_variable* condition, struct deadbolt_mutex* mutex, clockid_t clock,
    const struct timespec* time, const struct deadbolt_stop_flag* stop) DEADBOLT_MUST_CHECK;
void deadbolt_condition_variable_notify_one(struct deadbolt_condition_variable* condition);
void deadbolt_condition_variable_notify_all(struct deadbolt_condition_variable* condition);

/* ---- semaphores: an array of permits; zeroed memory has all of them available ---- */

struct deadbolt_permit {
  DEADBOLT_ALIGNED uint64_t word;
};

/* `count` is the length of the array: at least 1, and the same in every call. Only `available`
 * of the permits can ever be acquired. */
void deadbolt_counting_semaphore_init(struct deadbolt_permit* permits, size_t count,
                                      size_t available);
enum deadbolt_lock_status deadbolt_counting_semaphore_acquire(struct deadbolt_permit* permits,
                                                              size_t count) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status deadbolt_counting_semaphore_try_acquire(struct deadbolt_permit* permits,
                                                                  size_t count) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status
deadbolt_counting_semaphore_acquire_until(struct deadbolt_permit* permits, size_t count,
                                          clockid_t clock,
                                          const struct timespec* time) DEADBOLT_MUST_CHECK;
enum deadbolt_lock_status deadbolt_counting_semaphore_acquire_interruptible(
    struct deadbolt_permit* permits, size_t count, clockid_t clock, const struct timespec* time,
    const struct deadbolt_stop_flag* stop) DEADBOLT_MUST_CHECK;
enum deadbolt_unlock_status deadbolt_counting_semaphore_release(struct deadbolt_permit* permits,
                                                                size_t count);

#undef DEADBOLT_ALIGNED
#undef DEADBOLT_MUST_CHECK
#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#ifdef DEADBOLT_TELLS_THREAD_SANITIZER
#include <deadbolt/region_thread_sanitizer.h>
#endif

/* The object of this name, zeroed if it is new; NULL as above. For objects that are ready for use
 * when they are zeroed, as the locks are. */
__attribute__((warn_unused_result)) static inline void*
deadbolt_region_find_or_zero(struct deadbolt_region* region, const char* name, size_t size,
                             size_t alignment, enum deadbolt_object_kind kind) {
  bool fresh = false;
  void* object =
      deadbolt_region_find_or_begin_construct(region, name, size, alignment, kind, &fresh);
  if (fresh) deadbolt_region_end_construct(region, name, true);
  return object;
}
#endif
