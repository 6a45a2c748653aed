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
    /// This thread holds it. A thread that is alive is never reported dead.
    Alive {
        /// Its process.
        pid: u32,
        /// The thread.
        tid: u32,
    },
    /// A thread in another PID namespace holds it, where no number names it here.
    Elsewhere,
    /// The owner died, or detached, with the lock held: the next one will be told.
    Dead,
    /// An owner that was told of a death released the lock without repair.
    NotRecoverable,
    /// The lock's word names no member of the region.
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
