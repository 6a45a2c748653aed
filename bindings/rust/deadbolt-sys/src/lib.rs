// SPDX-License-Identifier: MIT
//! The C interface of `deadbolt/region.h`, name by name, without the inline
//! `deadbolt_region_find_or_zero()`; its documentation is there. The `deadbolt` crate is the safe
//! one.
#![no_std]
#![allow(non_camel_case_types)]

// `core::ffi` has these from Rust 1.64 on.
#[cfg(target_arch = "x86_64")]
pub type c_char = i8;
#[cfg(target_arch = "aarch64")]
pub type c_char = u8;
pub type c_int = i32;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("the deadbolt-sys crate supports x86-64 and aarch64 Linux");

pub type deadbolt_region_status = u32;
pub const DEADBOLT_REGION_OPEN: deadbolt_region_status = 0;
pub const DEADBOLT_REGION_CLOSED: deadbolt_region_status = 1;
pub const DEADBOLT_REGION_EXISTS: deadbolt_region_status = 2;
pub const DEADBOLT_REGION_NOT_FOUND: deadbolt_region_status = 3;
pub const DEADBOLT_REGION_NOT_A_REGION: deadbolt_region_status = 4;
pub const DEADBOLT_REGION_UNKNOWN_VERSION: deadbolt_region_status = 5;
pub const DEADBOLT_REGION_DAMAGED: deadbolt_region_status = 6;
pub const DEADBOLT_REGION_TRUNCATED: deadbolt_region_status = 7;
pub const DEADBOLT_REGION_FORMER_BOOT: deadbolt_region_status = 8;
pub const DEADBOLT_REGION_COPIED: deadbolt_region_status = 9;
pub const DEADBOLT_REGION_NETWORK_FILESYSTEM: deadbolt_region_status = 10;
pub const DEADBOLT_REGION_TOO_MANY: deadbolt_region_status = 11;
pub const DEADBOLT_REGION_INVALID_OPTIONS: deadbolt_region_status = 12;
pub const DEADBOLT_REGION_SYSTEM_ERROR: deadbolt_region_status = 13;
pub const DEADBOLT_REGION_IN_USE: deadbolt_region_status = 14;
pub const DEADBOLT_REGION_UNTRUSTED_OWNER: deadbolt_region_status = 15;
pub const DEADBOLT_REGION_WRONG_PAGE_SIZE: deadbolt_region_status = 16;
pub const DEADBOLT_REGION_ANY_OWNER: u32 = 0x10000;

pub type deadbolt_attach_status = u32;
pub const DEADBOLT_ATTACHED: deadbolt_attach_status = 0;
pub const DEADBOLT_ATTACH_TABLE_FULL: deadbolt_attach_status = 1;
pub const DEADBOLT_ATTACH_INTERRUPTED_LIBC: deadbolt_attach_status = 2;
pub const DEADBOLT_ATTACH_DESCRIPTOR_LOST: deadbolt_attach_status = 3;
pub const DEADBOLT_ATTACH_NO_ROBUST_LIST: deadbolt_attach_status = 4;
pub const DEADBOLT_ATTACH_NOT_OPEN: deadbolt_attach_status = 5;
pub const DEADBOLT_ATTACH_SYSTEM_ERROR: deadbolt_attach_status = 6;
pub const DEADBOLT_ATTACH_READ_ONLY: deadbolt_attach_status = 7;

pub type deadbolt_construct_status = u32;
pub const DEADBOLT_CONSTRUCT_FOUND: deadbolt_construct_status = 0;
pub const DEADBOLT_CONSTRUCT_CONSTRUCTED: deadbolt_construct_status = 1;
pub const DEADBOLT_CONSTRUCT_NOT_OPEN: deadbolt_construct_status = 2;
pub const DEADBOLT_CONSTRUCT_INVALID_NAME: deadbolt_construct_status = 3;
pub const DEADBOLT_CONSTRUCT_OTHER_KIND: deadbolt_construct_status = 4;
pub const DEADBOLT_CONSTRUCT_NO_ROOM: deadbolt_construct_status = 5;
pub const DEADBOLT_CONSTRUCT_TOO_MANY_NAMES: deadbolt_construct_status = 6;
pub const DEADBOLT_CONSTRUCT_BEING_CONSTRUCTED: deadbolt_construct_status = 7;
pub const DEADBOLT_CONSTRUCT_CANNOT_ATTACH: deadbolt_construct_status = 8;
pub const DEADBOLT_CONSTRUCT_DAMAGED: deadbolt_construct_status = 9;
pub const DEADBOLT_CONSTRUCT_NOT_FOUND: deadbolt_construct_status = 10;
pub const DEADBOLT_CONSTRUCT_SYSTEM_ERROR: deadbolt_construct_status = 11;
pub const DEADBOLT_CONSTRUCT_OTHER_POLICY: deadbolt_construct_status = 12;
pub const DEADBOLT_CONSTRUCT_INVALID_POLICY: deadbolt_construct_status = 13;

pub type deadbolt_shared_mutex_policy = u32;
pub const DEADBOLT_WRITERS_FIRST: deadbolt_shared_mutex_policy = 0;
pub const DEADBOLT_READERS_FIRST: deadbolt_shared_mutex_policy = 1;
pub const DEADBOLT_FAIR: deadbolt_shared_mutex_policy = 2;

pub type deadbolt_lock_status = u32;
pub const DEADBOLT_ACQUIRED: deadbolt_lock_status = 0;
pub const DEADBOLT_OWNER_DIED: deadbolt_lock_status = 1;
pub const DEADBOLT_NOT_RECOVERABLE: deadbolt_lock_status = 2;
pub const DEADBOLT_BUSY: deadbolt_lock_status = 3;
pub const DEADBOLT_TIMED_OUT: deadbolt_lock_status = 4;
pub const DEADBOLT_DEADLOCK: deadbolt_lock_status = 5;
pub const DEADBOLT_TOO_MANY_HOLDS: deadbolt_lock_status = 6;
pub const DEADBOLT_CANNOT_ATTACH: deadbolt_lock_status = 7;
pub const DEADBOLT_INTERRUPTED: deadbolt_lock_status = 8;

pub type deadbolt_unlock_status = u32;
pub const DEADBOLT_RELEASED: deadbolt_unlock_status = 0;
pub const DEADBOLT_NOT_OWNER: deadbolt_unlock_status = 1;

pub type deadbolt_owner_state = u32;
pub const DEADBOLT_OWNER_NOT_HELD: deadbolt_owner_state = 0;
pub const DEADBOLT_OWNER_ALIVE: deadbolt_owner_state = 1;
pub const DEADBOLT_OWNER_ELSEWHERE: deadbolt_owner_state = 2;
pub const DEADBOLT_OWNER_DEAD: deadbolt_owner_state = 3;
pub const DEADBOLT_OWNER_NOT_RECOVERABLE: deadbolt_owner_state = 4;
pub const DEADBOLT_OWNER_UNKNOWN: deadbolt_owner_state = 5;

pub type deadbolt_wait_status = u32;
pub const DEADBOLT_AWAKE: deadbolt_wait_status = 0;
pub const DEADBOLT_WAIT_TIMED_OUT: deadbolt_wait_status = 1;
pub const DEADBOLT_WAIT_OWNER_DIED: deadbolt_wait_status = 2;
pub const DEADBOLT_WAIT_NOT_RECOVERABLE: deadbolt_wait_status = 3;
pub const DEADBOLT_WAIT_NOT_OWNER: deadbolt_wait_status = 4;
pub const DEADBOLT_WAIT_INTERRUPTED: deadbolt_wait_status = 5;

pub type deadbolt_object_kind = u32;
pub const DEADBOLT_OBJECT_OTHER: deadbolt_object_kind = 0;
pub const DEADBOLT_OBJECT_MUTEX: deadbolt_object_kind = 1;
pub const DEADBOLT_OBJECT_SHARED_MUTEX: deadbolt_object_kind = 2;
pub const DEADBOLT_OBJECT_CONDITION_VARIABLE: deadbolt_object_kind = 3;
pub const DEADBOLT_OBJECT_COUNTING_SEMAPHORE: deadbolt_object_kind = 4;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct timespec {
    pub tv_sec: i64,
    pub tv_nsec: i64,
}
pub type clockid_t = c_int;
pub const CLOCK_REALTIME: clockid_t = 0;
pub const CLOCK_MONOTONIC: clockid_t = 1;

pub type deadbolt_destroy_status = u32;
pub const DEADBOLT_DESTROYED: deadbolt_destroy_status = 0;
pub const DEADBOLT_DESTROY_NOT_OPEN: deadbolt_destroy_status = 1;
pub const DEADBOLT_DESTROY_NOT_FOUND: deadbolt_destroy_status = 2;
pub const DEADBOLT_DESTROY_OTHER_KIND: deadbolt_destroy_status = 3;
pub const DEADBOLT_DESTROY_IN_USE: deadbolt_destroy_status = 4;
pub const DEADBOLT_DESTROY_BEING_CONSTRUCTED: deadbolt_destroy_status = 5;
pub const DEADBOLT_DESTROY_CANNOT_ATTACH: deadbolt_destroy_status = 6;
pub const DEADBOLT_DESTROY_DAMAGED: deadbolt_destroy_status = 7;

pub type deadbolt_grow_status = u32;
pub const DEADBOLT_GROWN: deadbolt_grow_status = 0;
pub const DEADBOLT_GROW_NOT_OPEN: deadbolt_grow_status = 1;
pub const DEADBOLT_GROW_TOO_LARGE: deadbolt_grow_status = 2;
pub const DEADBOLT_GROW_BEING_CONSTRUCTED: deadbolt_grow_status = 3;
pub const DEADBOLT_GROW_CANNOT_ATTACH: deadbolt_grow_status = 4;
pub const DEADBOLT_GROW_DESCRIPTOR_LOST: deadbolt_grow_status = 5;
pub const DEADBOLT_GROW_DAMAGED: deadbolt_grow_status = 6;
pub const DEADBOLT_GROW_SYSTEM_ERROR: deadbolt_grow_status = 7;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct deadbolt_region_options {
    pub size: usize,
    pub members: u32,
    pub mode: u32,
    pub largest: usize,
}

#[repr(C)]
#[derive(Debug)]
pub struct deadbolt_read_only_region {
    pub mapping: *mut u8,
    pub status: u32,
    pub error: i32,
}

pub const DEADBOLT_READ_ONLY_REGION_INIT: deadbolt_read_only_region = deadbolt_read_only_region {
    mapping: core::ptr::null_mut(),
    status: DEADBOLT_REGION_CLOSED,
    error: 0,
};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct deadbolt_object_info {
    pub name: [c_char; 40],
    pub offset: usize,
    pub size: usize,
    pub kind: u32,
}

#[repr(C)]
#[derive(Debug)]
pub struct deadbolt_region {
    pub mapping: *mut u8,
    pub status: u32,
    pub error: i32,
}
pub const DEADBOLT_REGION_INIT: deadbolt_region = deadbolt_region {
    mapping: core::ptr::null_mut(),
    status: DEADBOLT_REGION_CLOSED,
    error: 0,
};

/// Zeroed memory is a flag that is not set.
#[repr(C)]
#[derive(Debug)]
pub struct deadbolt_stop_flag {
    pub word: u32,
}

#[repr(C, align(8))]
#[derive(Debug)]
pub struct deadbolt_mutex {
    pub word: u64,
    pub waiting: u32,
    pub spins: u16,
    pub revocations: u8,
    pub plain_after: u8,
}

#[repr(C, align(8))]
#[derive(Debug)]
pub struct deadbolt_shared_mutex {
    pub writer: u64,
    pub readers: u32,
    pub state: u8,
    pub policy: u8,
    pub unused: u16,
}

#[repr(C)]
#[derive(Debug)]
pub struct deadbolt_condition_variable {
    pub word: u32,
}

#[repr(C, align(8))]
#[derive(Debug)]
pub struct deadbolt_permit {
    pub word: u64,
}

extern "C" {
    pub fn deadbolt_region_status_name(status: deadbolt_region_status) -> *const c_char;
    pub fn deadbolt_attach_status_name(status: deadbolt_attach_status) -> *const c_char;
    pub fn deadbolt_lock_status_name(status: deadbolt_lock_status) -> *const c_char;
    pub fn deadbolt_wait_status_name(status: deadbolt_wait_status) -> *const c_char;

    pub fn deadbolt_region_create(
        region: *mut deadbolt_region,
        path: *const c_char,
        options: *const deadbolt_region_options,
    ) -> deadbolt_region_status;
    pub fn deadbolt_region_open(
        region: *mut deadbolt_region,
        path: *const c_char,
    ) -> deadbolt_region_status;
    pub fn deadbolt_region_open_or_create(
        region: *mut deadbolt_region,
        path: *const c_char,
        options: *const deadbolt_region_options,
    ) -> deadbolt_region_status;
    pub fn deadbolt_region_create_anonymous(
        region: *mut deadbolt_region,
        name: *const c_char,
        options: *const deadbolt_region_options,
    ) -> deadbolt_region_status;
    pub fn deadbolt_region_open_descriptor(
        region: *mut deadbolt_region,
        descriptor: c_int,
    ) -> deadbolt_region_status;
    pub fn deadbolt_region_open_or_replace(
        region: *mut deadbolt_region,
        path: *const c_char,
        options: *const deadbolt_region_options,
    ) -> deadbolt_region_status;
    pub fn deadbolt_region_open_descriptor_with(
        region: *mut deadbolt_region,
        descriptor: c_int,
        own_description: c_int,
    ) -> deadbolt_region_status;
    pub fn deadbolt_region_new_descriptor(region: *const deadbolt_region) -> c_int;
    pub fn deadbolt_region_is_at(region: *const deadbolt_region, path: *const c_char) -> bool;
    pub fn deadbolt_last_attach_failure(error: *mut c_int) -> deadbolt_attach_status;
    pub fn deadbolt_last_construct_status() -> deadbolt_construct_status;
    pub fn deadbolt_construct_status_name(status: deadbolt_construct_status) -> *const c_char;
    pub fn deadbolt_region_close(region: *mut deadbolt_region) -> bool;
    pub fn deadbolt_region_data(region: *const deadbolt_region) -> *mut u8;
    pub fn deadbolt_region_size(region: *const deadbolt_region) -> usize;
    pub fn deadbolt_region_members(region: *const deadbolt_region) -> u32;
    pub fn deadbolt_region_descriptor(region: *const deadbolt_region) -> c_int;
    pub fn deadbolt_region_set_longest_sleep(
        region: *mut deadbolt_region,
        nanoseconds: i64,
    ) -> bool;
    pub fn deadbolt_region_longest_sleep(region: *const deadbolt_region) -> i64;
    pub fn deadbolt_region_attach(region: *const deadbolt_region) -> deadbolt_attach_status;
    pub fn deadbolt_region_detach(region: *const deadbolt_region) -> bool;
    pub fn deadbolt_region_find_or_begin_construct(
        region: *const deadbolt_region,
        name: *const c_char,
        size: usize,
        alignment: usize,
        kind: deadbolt_object_kind,
        fresh: *mut bool,
    ) -> *mut u8;
    pub fn deadbolt_region_end_construct(
        region: *const deadbolt_region,
        name: *const c_char,
        made: bool,
    );
    pub fn deadbolt_region_find(
        region: *const deadbolt_region,
        name: *const c_char,
        size: usize,
        alignment: usize,
        kind: deadbolt_object_kind,
    ) -> *mut u8;
    pub fn deadbolt_region_destroy(
        region: *const deadbolt_region,
        name: *const c_char,
        size: usize,
        alignment: usize,
        kind: deadbolt_object_kind,
    ) -> deadbolt_destroy_status;
    pub fn deadbolt_destroy_status_name(status: deadbolt_destroy_status) -> *const c_char;
    pub fn deadbolt_region_next_object(
        region: *const deadbolt_region,
        position: *mut u32,
        info: *mut deadbolt_object_info,
    ) -> bool;
    pub fn deadbolt_region_largest_size(region: *const deadbolt_region) -> usize;
    pub fn deadbolt_region_grow(
        region: *const deadbolt_region,
        size: usize,
    ) -> deadbolt_grow_status;
    pub fn deadbolt_grow_status_name(status: deadbolt_grow_status) -> *const c_char;

    pub fn deadbolt_read_only_region_open(
        region: *mut deadbolt_read_only_region,
        path: *const c_char,
    ) -> deadbolt_region_status;
    pub fn deadbolt_read_only_region_open_descriptor(
        region: *mut deadbolt_read_only_region,
        descriptor: c_int,
    ) -> deadbolt_region_status;
    pub fn deadbolt_read_only_region_close(region: *mut deadbolt_read_only_region) -> bool;
    pub fn deadbolt_read_only_region_data(region: *const deadbolt_read_only_region) -> *const u8;
    pub fn deadbolt_read_only_region_size(region: *const deadbolt_read_only_region) -> usize;
    pub fn deadbolt_read_only_region_is_at(
        region: *const deadbolt_read_only_region,
        path: *const c_char,
    ) -> bool;
    pub fn deadbolt_read_only_region_find(
        region: *const deadbolt_read_only_region,
        name: *const c_char,
        size: usize,
        alignment: usize,
        kind: deadbolt_object_kind,
    ) -> *const u8;
    pub fn deadbolt_read_only_region_next_object(
        region: *const deadbolt_read_only_region,
        position: *mut u32,
        info: *mut deadbolt_object_info,
    ) -> bool;

    pub fn deadbolt_stop_flag_set(stop: *mut deadbolt_stop_flag);
    pub fn deadbolt_stop_flag_clear(stop: *mut deadbolt_stop_flag);
    pub fn deadbolt_stop_flag_is_set(stop: *const deadbolt_stop_flag) -> bool;

    pub fn deadbolt_mutex_lock(mutex: *mut deadbolt_mutex) -> deadbolt_lock_status;
    pub fn deadbolt_mutex_try_lock(mutex: *mut deadbolt_mutex) -> deadbolt_lock_status;
    pub fn deadbolt_mutex_lock_until(
        mutex: *mut deadbolt_mutex,
        clock: clockid_t,
        time: *const timespec,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_mutex_lock_interruptible(
        mutex: *mut deadbolt_mutex,
        clock: clockid_t,
        time: *const timespec,
        stop: *const deadbolt_stop_flag,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_mutex_unlock(mutex: *mut deadbolt_mutex) -> deadbolt_unlock_status;
    pub fn deadbolt_mutex_mark_consistent(mutex: *mut deadbolt_mutex) -> bool;
    pub fn deadbolt_mutex_owner(
        mutex: *const deadbolt_mutex,
        pid: *mut i32,
        tid: *mut i32,
    ) -> deadbolt_owner_state;
    pub fn deadbolt_owner_state_name(state: deadbolt_owner_state) -> *const c_char;

    pub fn deadbolt_shared_mutex_init(
        mutex: *mut deadbolt_shared_mutex,
        policy: deadbolt_shared_mutex_policy,
    );
    pub fn deadbolt_shared_mutex_get_policy(
        mutex: *const deadbolt_shared_mutex,
    ) -> deadbolt_shared_mutex_policy;
    pub fn deadbolt_shared_mutex_policy_name(policy: deadbolt_shared_mutex_policy)
        -> *const c_char;
    pub fn deadbolt_shared_mutex_lock(mutex: *mut deadbolt_shared_mutex) -> deadbolt_lock_status;
    pub fn deadbolt_shared_mutex_try_lock(
        mutex: *mut deadbolt_shared_mutex,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_shared_mutex_lock_until(
        mutex: *mut deadbolt_shared_mutex,
        clock: clockid_t,
        time: *const timespec,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_shared_mutex_lock_interruptible(
        mutex: *mut deadbolt_shared_mutex,
        clock: clockid_t,
        time: *const timespec,
        stop: *const deadbolt_stop_flag,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_shared_mutex_unlock(
        mutex: *mut deadbolt_shared_mutex,
    ) -> deadbolt_unlock_status;
    pub fn deadbolt_shared_mutex_lock_shared(
        mutex: *mut deadbolt_shared_mutex,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_shared_mutex_try_lock_shared(
        mutex: *mut deadbolt_shared_mutex,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_shared_mutex_lock_shared_until(
        mutex: *mut deadbolt_shared_mutex,
        clock: clockid_t,
        time: *const timespec,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_shared_mutex_lock_shared_interruptible(
        mutex: *mut deadbolt_shared_mutex,
        clock: clockid_t,
        time: *const timespec,
        stop: *const deadbolt_stop_flag,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_shared_mutex_unlock_shared(
        mutex: *mut deadbolt_shared_mutex,
    ) -> deadbolt_unlock_status;
    pub fn deadbolt_shared_mutex_mark_consistent(mutex: *mut deadbolt_shared_mutex) -> bool;
    pub fn deadbolt_shared_mutex_owner(
        mutex: *const deadbolt_shared_mutex,
        pid: *mut i32,
        tid: *mut i32,
    ) -> deadbolt_owner_state;

    pub fn deadbolt_condition_variable_wait(
        condition: *mut deadbolt_condition_variable,
        mutex: *mut deadbolt_mutex,
    ) -> deadbolt_wait_status;
    pub fn deadbolt_condition_variable_wait_until(
        condition: *mut deadbolt_condition_variable,
        mutex: *mut deadbolt_mutex,
        clock: clockid_t,
        time: *const timespec,
    ) -> deadbolt_wait_status;
    pub fn deadbolt_condition_variable_wait_interruptible(
        condition: *mut deadbolt_condition_variable,
        mutex: *mut deadbolt_mutex,
        clock: clockid_t,
        time: *const timespec,
        stop: *const deadbolt_stop_flag,
    ) -> deadbolt_wait_status;
    pub fn deadbolt_condition_variable_notify_one(condition: *mut deadbolt_condition_variable);
    pub fn deadbolt_condition_variable_notify_all(condition: *mut deadbolt_condition_variable);

    pub fn deadbolt_counting_semaphore_init(
        permits: *mut deadbolt_permit,
        count: usize,
        available: usize,
    );
    pub fn deadbolt_counting_semaphore_acquire(
        permits: *mut deadbolt_permit,
        count: usize,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_counting_semaphore_try_acquire(
        permits: *mut deadbolt_permit,
        count: usize,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_counting_semaphore_acquire_until(
        permits: *mut deadbolt_permit,
        count: usize,
        clock: clockid_t,
        time: *const timespec,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_counting_semaphore_acquire_interruptible(
        permits: *mut deadbolt_permit,
        count: usize,
        clock: clockid_t,
        time: *const timespec,
        stop: *const deadbolt_stop_flag,
    ) -> deadbolt_lock_status;
    pub fn deadbolt_counting_semaphore_release(
        permits: *mut deadbolt_permit,
        count: usize,
    ) -> deadbolt_unlock_status;

    /// The libc's, for deadlines.
    pub fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int;
}
