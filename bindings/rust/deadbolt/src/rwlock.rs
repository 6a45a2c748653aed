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

#[repr(C)]
struct Cell<T> {
    raw: UnsafeCell<sys::deadbolt_shared_mutex>,
    value: UnsafeCell<T>,
}

/// Who comes first at an [`RwLock`]. Under the first two a thread that has waited for 10 ms comes
/// before those that have waited for less. It is a property of the lock, which all processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// A writer that waits for readers keeps new readers out: the policy of [`Region::rwlock`].
    WritersFirst,
    /// New readers enter while a writer waits for readers that are inside.
    ReadersFirst,
    /// A thread that comes does not pass one that sleeps: near the order of arrival, without a
    /// promise.
    Fair,
}

impl Policy {
    fn number(self) -> sys::deadbolt_shared_mutex_policy {
        match self {
            Policy::WritersFirst => sys::DEADBOLT_WRITERS_FIRST,
            Policy::ReadersFirst => sys::DEADBOLT_READERS_FIRST,
            Policy::Fair => sys::DEADBOLT_FAIR,
        }
    }
}

/// One writer or any number of readers; from [`Region::rwlock`].
///
/// A killed reader's hold ends without a message, because it left nothing half-written. After the
/// death of a writer the next owner is told, reader or writer, and holds the lock alone.
pub struct RwLock<T: Shared + Sync> {
    cell: NonNull<Cell<T>>,
    region: Region,
}

// SAFETY: as std's: T is Send and Sync.
unsafe impl<T: Shared + Sync> Send for RwLock<T> {}
unsafe impl<T: Shared + Sync> Sync for RwLock<T> {}

impl<T: Shared + Sync> RwLock<T> {
    pub(crate) fn find(region: &Region, name: &str, initial: T) -> Result<RwLock<T>, Error> {
        let cell = region.place(name, Self::kind(), move |cell: *mut Cell<T>| {
            // SAFETY: fresh memory; zero is an unlocked lock.
            unsafe { addr_of_mut!((*cell).value).cast::<T>().write(initial) }
        })?;
        Ok(RwLock {
            cell,
            region: region.clone(),
        })
    }
    pub(crate) fn of_policy(
        region: &Region,
        name: &str,
        initial: T,
        policy: Policy,
    ) -> Result<RwLock<T>, Error> {
        let cell = region.place(name, Self::kind(), move |cell: *mut Cell<T>| {
            // SAFETY: fresh memory.
            unsafe {
                sys::deadbolt_shared_mutex_init(addr_of_mut!((*cell).raw).cast(), policy.number());
                addr_of_mut!((*cell).value).cast::<T>().write(initial)
            }
        })?;
        let lock = RwLock {
            cell,
            region: region.clone(),
        };
        if lock.policy() == policy {
            Ok(lock)
        } else {
            Err(Error::Object("other_policy"))
        }
    }
    pub(crate) fn existing(region: &Region, name: &str) -> Result<Option<RwLock<T>>, Error> {
        let found = region.find_place(name, Self::kind())?;
        Ok(found.map(|cell| RwLock {
            cell,
            region: region.clone(),
        }))
    }
    fn kind() -> sys::deadbolt_object_kind {
        if size_of::<T>() == 0 {
            sys::DEADBOLT_OBJECT_SHARED_MUTEX
        } else {
            sys::DEADBOLT_OBJECT_OTHER
        }
    }

    fn raw(&self) -> *mut sys::deadbolt_shared_mutex {
        // SAFETY: mapped as long as the region lives.
        unsafe { self.cell.as_ref() }.raw.get()
    }
    fn value(&self) -> *mut T {
        // SAFETY: mapped as long as the region lives.
        unsafe { self.cell.as_ref() }.value.get()
    }

    /// Waits for the lock, to read.
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        // SAFETY: a lock of the region, which is open; the call makes the thread a member.
        self.shared(|raw| unsafe { sys::deadbolt_shared_mutex_lock_shared(raw) })
            .map_err(TryLockError::never)
    }
    /// To read; does not wait.
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        // SAFETY: as above.
        self.shared(|raw| unsafe { sys::deadbolt_shared_mutex_try_lock_shared(raw) })
    }
    /// To read; waits for this long at most.
    pub fn try_read_for(&self, duration: Duration) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let time = time::after(duration);
        // SAFETY: as above.
        self.shared(|raw| unsafe {
            sys::deadbolt_shared_mutex_lock_shared_until(raw, sys::CLOCK_MONOTONIC, &time)
        })
    }
    /// Waits for the lock, to write.
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        // SAFETY: as above.
        self.exclusive(|raw| unsafe { sys::deadbolt_shared_mutex_lock(raw) })
            .map_err(TryLockError::never)
    }
    /// To write; does not wait.
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        // SAFETY: as above.
        self.exclusive(|raw| unsafe { sys::deadbolt_shared_mutex_try_lock(raw) })
    }
    /// To write; waits for this long at most.
    pub fn try_write_for(&self, duration: Duration) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let time = time::after(duration);
        // SAFETY: as above.
        self.exclusive(|raw| unsafe {
            sys::deadbolt_shared_mutex_lock_until(raw, sys::CLOCK_MONOTONIC, &time)
        })
    }

    /// Who comes first.
    pub fn policy(&self) -> Policy {
        // SAFETY: a lock of the region.
        match unsafe { sys::deadbolt_shared_mutex_get_policy(self.raw()) } {
            sys::DEADBOLT_READERS_FIRST => Policy::ReadersFirst,
            sys::DEADBOLT_FAIR => Policy::Fair,
            _ => Policy::WritersFirst,
        }
    }
    /// Which thread holds it to write, waits for the last readers so that it can, or reads alone
    /// because it was told of a death. Returns at once.
    pub fn owner(&self) -> Owner {
        // SAFETY: a lock of the region.
        owner::of(|pid, tid| unsafe { sys::deadbolt_shared_mutex_owner(self.raw(), pid, tid) })
    }

    fn shared(
        &self,
        lock: impl FnOnce(*mut sys::deadbolt_shared_mutex) -> sys::deadbolt_lock_status,
    ) -> TryLockResult<RwLockReadGuard<'_, T>> {
        settle(lock(self.raw()), |told| RwLockReadGuard {
            lock: self,
            hold: Hold::new(),
            repairs: told,
        })
    }
    fn exclusive(
        &self,
        lock: impl FnOnce(*mut sys::deadbolt_shared_mutex) -> sys::deadbolt_lock_status,
    ) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        settle(lock(self.raw()), |_| RwLockWriteGuard {
            lock: self,
            hold: Hold::new(),
        })
    }
}

impl<T: Shared + Sync> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The lock, held to read.
#[must_use = "dropped at once, the lock is released at once"]
pub struct RwLockReadGuard<'a, T: Shared + Sync> {
    lock: &'a RwLock<T>,
    hold: Hold,
    repairs: bool, // told of a death, and not yet consistent
}
/// The lock, held to write.
#[must_use = "dropped at once, the lock is released at once"]
pub struct RwLockWriteGuard<'a, T: Shared + Sync> {
    lock: &'a RwLock<T>,
    hold: Hold,
}

// SAFETY: share `&T`.
unsafe impl<T: Shared + Sync> Sync for RwLockReadGuard<'_, T> {}
unsafe impl<T: Shared + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T: Shared + Sync> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: held to read.
        unsafe { &*self.lock.value() }
    }
}
impl<T: Shared + Sync> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: held to write.
        unsafe { &*self.lock.value() }
    }
}
impl<T: Shared + Sync> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: held to write, by the guard that is borrowed mutably.
        unsafe { &mut *self.lock.value() }
    }
}

impl<T: Shared + Sync> sealed::Sealed for RwLockReadGuard<'_, T> {}
impl<T: Shared + Sync> Guard for RwLockReadGuard<'_, T> {
    type Data = T;
    fn data(&self) -> *mut T {
        self.lock.value()
    }
    fn mark(&mut self) {
        // SAFETY: a lock of the region.
        unsafe { sys::deadbolt_shared_mutex_mark_consistent(self.lock.raw()) };
        self.repairs = false;
    }
}
impl<T: Shared + Sync> sealed::Sealed for RwLockWriteGuard<'_, T> {}
impl<T: Shared + Sync> Guard for RwLockWriteGuard<'_, T> {
    type Data = T;
    fn data(&self) -> *mut T {
        self.lock.value()
    }
    fn mark(&mut self) {
        // SAFETY: a lock of the region.
        unsafe { sys::deadbolt_shared_mutex_mark_consistent(self.lock.raw()) };
    }
}

impl<T: Shared + Sync> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        // A reader leaves nothing half-written, but in a repair.
        if self.repairs && self.hold.panicked() {
            self.hold.abandon(&self.lock.region.inner);
        } else {
            // SAFETY: held by this thread.
            unsafe { sys::deadbolt_shared_mutex_unlock_shared(self.lock.raw()) };
        }
    }
}
impl<T: Shared + Sync> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        if self.hold.panicked() {
            self.hold.abandon(&self.lock.region.inner);
        } else {
            // SAFETY: held by this thread.
            unsafe { sys::deadbolt_shared_mutex_unlock(self.lock.raw()) };
        }
    }
}
impl<T: Shared + Sync + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
impl<T: Shared + Sync + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
