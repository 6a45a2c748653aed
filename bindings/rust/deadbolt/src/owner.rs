// SPDX-License-Identifier: MIT
use deadbolt_sys as sys;

/// Which thread owns a lock; from [`Mutex::owner`](crate::Mutex::owner) and
/// [`RwLock::owner`](crate::RwLock::owner). As it was at one instant during the call: the lock may
/// have passed on since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// No thread holds it.
    NotHeld,
    /// A thread that is alive holds it. One that is alive and has not detached is never reported
    /// dead.
    Alive {
        /// The process of that thread.
        pid: u32,
        /// Its number.
        tid: u32,
    },
    /// A thread that is alive holds it, in a PID namespace that is not known to be this one: its
    /// number here is not known.
    Elsewhere,
    /// The owner died, or detached, with the lock held: the next one will be told, unless the owner
    /// was a writer that still waited for readers.
    Dead,
    /// An owner that was told of a death released the lock without repair.
    NotRecoverable,
    /// A state that this crate does not know.
    Unknown,
}

/// `ask` is one of the C functions, with the lock.
pub(crate) fn of(ask: impl FnOnce(*mut i32, *mut i32) -> sys::deadbolt_owner_state) -> Owner {
    let (mut pid, mut tid) = (0i32, 0i32);
    match ask(&mut pid, &mut tid) {
        sys::DEADBOLT_OWNER_NOT_HELD => Owner::NotHeld,
        sys::DEADBOLT_OWNER_ALIVE => Owner::Alive {
            pid: pid.unsigned_abs(),
            tid: tid.unsigned_abs(),
        },
        sys::DEADBOLT_OWNER_ELSEWHERE => Owner::Elsewhere,
        sys::DEADBOLT_OWNER_DEAD => Owner::Dead,
        sys::DEADBOLT_OWNER_NOT_RECOVERABLE => Owner::NotRecoverable,
        _ => Owner::Unknown,
    }
}
