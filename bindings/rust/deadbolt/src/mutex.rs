// SPDX-License-Identifier: MIT
use crate::error::{sealed, settle, Error, Guard, LockResult, TryLockError, TryLockResult};
use crate::holds::Hold;
use crate::owner::{self, Owner};
use crate::{time, Region, Shared};
use deadbolt_sys as sys;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::size_of;
use std::ops::{Deref, DerefMut};
use std::ptr::{addr_of_mut, NonNull};
use std::time::Duration;

/// What is in the region.
#[repr(C)]
pub(crate) struct Cell<T> {
    pub(crate) raw: UnsafeCell<sys::deadbolt_mutex>,
    value: UnsafeCell<T>,
}

/// A mutex in a region, and what it protects; from [`Region::mutex`].
///
/// ```
/// use deadbolt::{LockError, Options};
/// let region = Options::new(4096).create_anonymous("doc")?;
/// let counter = region.mutex("counter", 0u64)?;
/// let guard = match counter.lock() {
///     Ok(guard) => guard,
///     Err(LockError::OwnerDied(mut counter)) => {
///         *counter = 0; // may be half-written: repair it
///         counter.mark_consistent()
///     }
///     Err(error) => return Err(error.into()),
/// };
/// assert_eq!(*guard, 0);
/// # Ok::<(), deadbolt::Error>(())
/// ```
///
/// A guard stays in its thread:
/// ```compile_fail
/// let region = deadbolt::Options::new(4096).create_anonymous("doc").unwrap();
/// let counter = region.mutex("counter", 0u64).unwrap();
/// let guard = counter.lock().unwrap();
/// std::thread::scope(|s| { s.spawn(move || drop(guard)); });
/// ```
pub struct Mutex<T: Shared> {
    cell: NonNull<Cell<T>>,
    region: Region,
}

// SAFETY: the lock gives one thread of all processes access at a time; T is Send.
unsafe impl<T: Shared> Send for Mutex<T> {}
unsafe impl<T: Shared> Sync for Mutex<T> {}

impl<T: Shared> Mutex<T> {
    pub(crate) fn find(region: &Region, name: &str, initial: T) -> Result<Mutex<T>, Error> {
        let cell = region.place(name, Self::kind(), move |cell: *mut Cell<T>| {
            // SAFETY: fresh memory; zero is an unlocked mutex.
            unsafe { addr_of_mut!((*cell).value).cast::<T>().write(initial) }
        })?;
        Ok(Mutex {
            cell,
            region: region.clone(),
        })
    }
    pub(crate) fn existing(region: &Region, name: &str) -> Result<Option<Mutex<T>>, Error> {
        let found = region.find_place(name, Self::kind())?;
        Ok(found.map(|cell| Mutex {
            cell,
            region: region.clone(),
        }))
    }
    fn kind() -> sys::deadbolt_object_kind {
        if size_of::<T>() == 0 {
            sys::DEADBOLT_OBJECT_MUTEX
        } else {
            sys::DEADBOLT_OBJECT_OTHER
        }
    }

    pub(crate) fn raw(&self) -> *mut sys::deadbolt_mutex {
        // SAFETY: mapped as long as the region lives.
        unsafe { self.cell.as_ref() }.raw.get()
    }

    /// Waits for the lock.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        // SAFETY: a mutex of the region, which is open; the call makes the thread a member.
        self.settle(|raw| unsafe { sys::deadbolt_mutex_lock(raw) })
            .map_err(TryLockError::never)
    }

    /// Does not wait.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        // SAFETY: as above.
        self.settle(|raw| unsafe { sys::deadbolt_mutex_try_lock(raw) })
    }

    /// Waits for this long at most.
    pub fn try_lock_for(&self, duration: Duration) -> TryLockResult<MutexGuard<'_, T>> {
        let time = time::after(duration);
        // SAFETY: as above.
        self.settle(|raw| unsafe {
            sys::deadbolt_mutex_lock_until(raw, sys::CLOCK_MONOTONIC, &time)
        })
    }

    /// Waits for the lock, and repairs the data where the last owner died.
    pub fn lock_or_recover(&self, repair: impl FnOnce(&mut T)) -> LockResult<MutexGuard<'_, T>> {
        self.lock()
            .or_else(|error| error.recover(|dead| repair(dead)))
    }

    /// Which thread holds it. Returns at once.
    pub fn owner(&self) -> Owner {
        // SAFETY: a mutex of the region.
        owner::of(|pid, tid| unsafe { sys::deadbolt_mutex_owner(self.raw(), pid, tid) })
    }

    /// The region that it is in.
    pub fn region(&self) -> &Region {
        &self.region
    }

    fn settle(
        &self,
        lock: impl FnOnce(*mut sys::deadbolt_mutex) -> sys::deadbolt_lock_status,
    ) -> TryLockResult<MutexGuard<'_, T>> {
        settle(lock(self.raw()), |_| MutexGuard {
            lock: self,
            hold: Hold::new(),
        })
    }
}

impl<T: Shared> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The lock, held.
#[must_use = "dropped at once, the lock is released at once"]
pub struct MutexGuard<'a, T: Shared> {
    pub(crate) lock: &'a Mutex<T>,
    hold: Hold,
}

// SAFETY: shares `&T`.
unsafe impl<T: Shared + Sync> Sync for MutexGuard<'_, T> {}

impl<T: Shared> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.data() }
    }
}
impl<T: Shared> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by the guard that is borrowed mutably.
        unsafe { &mut *self.data() }
    }
}
impl<T: Shared> sealed::Sealed for MutexGuard<'_, T> {}
impl<T: Shared> Guard for MutexGuard<'_, T> {
    type Data = T;
    fn data(&self) -> *mut T {
        // SAFETY: mapped as long as the region lives.
        unsafe { self.lock.cell.as_ref() }.value.get()
    }
    fn mark(&mut self) {
        // SAFETY: a mutex of the region.
        unsafe { sys::deadbolt_mutex_mark_consistent(self.lock.raw()) };
    }
}
impl<T: Shared> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.hold.panicked() {
            self.hold.abandon(&self.lock.region.inner);
        } else {
            // SAFETY: held by this thread.
            unsafe { sys::deadbolt_mutex_unlock(self.lock.raw()) };
        }
    }
}
impl<T: Shared + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'a, T: Shared> MutexGuard<'a, T> {
    /// For a wait that ended without the lock: nothing is left to release.
    pub(crate) fn forget_lock(self) -> &'a Mutex<T> {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: read once, for its drop; the guard itself is not dropped.
        drop(unsafe { std::ptr::read(&this.hold) });
        this.lock
    }
}
