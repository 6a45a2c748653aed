// SPDX-License-Identifier: MIT
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};

use deadbolt_sys as sys;

/// Why a region cannot be used, or a lock cannot be acquired.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; also `NotFound` and `AlreadyExists` for the file.
    Io(io::Error),
    /// The file cannot be used as a region: the library's word for the reason, as in
    /// `"not_a_region"` or `"former_boot"`.
    Region(&'static str),
    /// The thread cannot become a member of the region: the library's word, as in `"table_full"`.
    Attach(&'static str),
    /// The object cannot be found or made: the library's word, as in `"no_room"`,
    /// `"other_kind"` (one of that name has another size or kind, or is less aligned),
    /// `"other_policy"` (of another [`Policy`](crate::Policy)) or `"other_type"` (this process uses
    /// it as another type).
    Object(&'static str),
    /// The region cannot grow: the library's word, as in `"too_large"`.
    Grow(&'static str),
    /// A name has 1 to 39 bytes, none of them zero.
    Name,
    /// The lock is not held: [`LockError`] without the guard. After [`LockError::OwnerDied`]
    /// (`"owner_died"`, as from `lock()?`) the guard was dropped unrepaired, so that the lock is
    /// `NotRecoverable` from then on.
    Lock(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::Region(name) => write!(f, "the region cannot be opened: {}", name),
            Error::Attach(name) => {
                write!(
                    f,
                    "the thread cannot become a member of the region: {}",
                    name
                )
            }
            Error::Object(name) => write!(f, "the object cannot be found or made: {}", name),
            Error::Grow(name) => write!(f, "the region cannot grow: {}", name),
            Error::Name => f.write_str("a name has 1 to 39 bytes, none of them zero"),
            Error::Lock(name) => write!(f, "the lock is not held: {}", name),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl<G> From<LockError<G>> for Error {
    fn from(error: LockError<G>) -> Error {
        match error {
            LockError::OwnerDied(_) => Error::Lock("owner_died"),
            LockError::NotRecoverable => Error::Lock("not_recoverable"),
            LockError::Deadlock => Error::Lock("deadlock"),
            LockError::Refused(name) => Error::Lock(name),
            LockError::Attach(name) => Error::Attach(name),
        }
    }
}

/// A guard, or the reason why the lock is not simply acquired.
pub type LockResult<G> = Result<G, LockError<G>>;
/// As [`LockResult`], for calls that do not wait without a limit.
pub type TryLockResult<G> = Result<G, TryLockError<G>>;

/// The outcome of a lock operation other than a plain acquisition.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError<G> {
    /// The lock **is held**: the guard is inside. Its last owner died and the data may be
    /// half-written. If this is dropped unrepaired, the lock becomes `NotRecoverable`.
    OwnerDied(OwnerDied<G>),
    /// Not held: an owner that was told of a death released the lock without repairing the data. No
    /// thread can acquire it any more.
    NotRecoverable,
    /// The calling thread holds the lock already, and keeps it.
    Deadlock,
    /// Not held: the library's word for it, as in `"too_many_holds"`.
    Refused(&'static str),
    /// The thread cannot become a member of the region: as [`Error::Attach`].
    Attach(&'static str),
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockError::OwnerDied(_) => "the last owner died with the lock held",
            LockError::NotRecoverable => "a former owner died and the data was not repaired",
            LockError::Deadlock => "the calling thread holds the lock already",
            LockError::Refused(name) | LockError::Attach(name) => name,
        })
    }
}
impl<G: fmt::Debug> std::error::Error for LockError<G> {}

impl<G> LockError<G> {
    /// The data as it is after `repair`, if this is [`LockError::OwnerDied`].
    pub fn recover(self, repair: impl FnOnce(&mut OwnerDied<G>)) -> LockResult<G>
    where
        G: Guard,
    {
        match self {
            LockError::OwnerDied(mut dead) => {
                repair(&mut dead);
                Ok(dead.mark_consistent())
            }
            other => Err(other),
        }
    }
}

/// The outcome of an attempt other than a plain acquisition.
#[derive(Debug)]
pub enum TryLockError<G> {
    /// Not acquired: another thread, or this one, holds it, or a writer is about to.
    WouldBlock,
    /// Not acquired: the time was over first.
    TimedOut,
    /// As for calls that wait.
    Lock(LockError<G>),
}

impl<G> fmt::Display for TryLockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryLockError::WouldBlock => f.write_str("the lock is held"),
            TryLockError::TimedOut => f.write_str("the time was over first"),
            TryLockError::Lock(error) => error.fmt(f),
        }
    }
}
impl<G: fmt::Debug> std::error::Error for TryLockError<G> {}

impl<G> TryLockError<G> {
    pub(crate) fn never(self) -> LockError<G> {
        match self {
            TryLockError::Lock(error) => error,
            _ => LockError::Refused("timed_out"),
        }
    }
}

/// A lock that is held, whose last owner died. It gives access to the data for its repair.
#[must_use = "dropped without mark_consistent(), the lock becomes unusable"]
#[derive(Debug)]
pub struct OwnerDied<G>(pub(crate) G);

impl<G: Guard> OwnerDied<G> {
    /// Declares the data repaired, and returns the guard of the lock.
    pub fn mark_consistent(mut self) -> G {
        self.0.mark();
        self.0
    }
}

impl<G: Guard> Deref for OwnerDied<G> {
    type Target = G::Data;
    fn deref(&self) -> &G::Data {
        // SAFETY: a thread that is told of a death holds the lock alone, reader or writer.
        unsafe { &*self.0.data() }
    }
}
impl<G: Guard> DerefMut for OwnerDied<G> {
    fn deref_mut(&mut self) -> &mut G::Data {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { &mut *self.0.data() }
    }
}

/// The guards of this crate; not for others to implement.
pub trait Guard: sealed::Sealed {
    /// What the lock protects.
    type Data;
    #[doc(hidden)]
    fn data(&self) -> *mut Self::Data;
    #[doc(hidden)]
    fn mark(&mut self);
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// The library's word for a status.
pub(crate) fn lock_status_name(status: sys::deadbolt_lock_status) -> &'static str {
    // SAFETY: the C function returns a static string for every value.
    name(unsafe { sys::deadbolt_lock_status_name(status) })
}
pub(crate) fn attach_status_name(status: sys::deadbolt_attach_status) -> &'static str {
    // SAFETY: as above.
    name(unsafe { sys::deadbolt_attach_status_name(status) })
}
/// Why the calling thread's last attempt to become a member failed.
pub(crate) fn last_attach_failure() -> &'static str {
    // SAFETY: the error number is not asked for.
    attach_status_name(unsafe { sys::deadbolt_last_attach_failure(std::ptr::null_mut()) })
}
pub(crate) fn name(text: *const sys::c_char) -> &'static str {
    // SAFETY: the library's names are static and ASCII.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .unwrap_or("unknown")
}

/// Makes a result of a status; `guard` is called when the lock is held.
pub(crate) fn settle<G>(
    status: sys::deadbolt_lock_status,
    guard: impl FnOnce(bool) -> G,
) -> TryLockResult<G> {
    Err(match status {
        sys::DEADBOLT_ACQUIRED => return Ok(guard(false)),
        sys::DEADBOLT_BUSY => TryLockError::WouldBlock,
        sys::DEADBOLT_TIMED_OUT => TryLockError::TimedOut,
        sys::DEADBOLT_OWNER_DIED => {
            TryLockError::Lock(LockError::OwnerDied(OwnerDied(guard(true))))
        }
        sys::DEADBOLT_NOT_RECOVERABLE => TryLockError::Lock(LockError::NotRecoverable),
        sys::DEADBOLT_DEADLOCK => TryLockError::Lock(LockError::Deadlock),
        sys::DEADBOLT_CANNOT_ATTACH => TryLockError::Lock(LockError::Attach(last_attach_failure())),
        other => TryLockError::Lock(LockError::Refused(lock_status_name(other))),
    })
}
