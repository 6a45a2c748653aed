// SPDX-License-Identifier: MIT
use crate::error::{settle, Error, LockResult, TryLockError, TryLockResult};
use crate::holds::Hold;
use crate::{time, Region};
use deadbolt_sys as sys;
use std::fmt;
use std::mem::{align_of, size_of};
use std::ptr::NonNull;
use std::time::Duration;

/// A semaphore; from [`Region::semaphore`]. A thread holds a permit, and its permits come back when
/// it dies. The next owner of a permit is not told, because a permit guards no data.
pub struct Semaphore {
    permits: NonNull<sys::deadbolt_permit>,
    count: usize,
    region: Region,
}

// SAFETY: an object for all threads.
unsafe impl Send for Semaphore {}
unsafe impl Sync for Semaphore {}

fn size_of_permits(count: usize) -> Result<usize, Error> {
    count
        .checked_mul(size_of::<sys::deadbolt_permit>())
        .filter(|&size| size > 0)
        .ok_or(Error::Object("no_room"))
}

impl Semaphore {
    pub(crate) fn find(region: &Region, name: &str, count: usize) -> Result<Semaphore, Error> {
        let place = region.place_of(
            name,
            size_of_permits(count)?,
            align_of::<sys::deadbolt_permit>(),
            sys::DEADBOLT_OBJECT_COUNTING_SEMAPHORE,
            // SAFETY: fresh memory for as many.
            |place| unsafe { sys::deadbolt_counting_semaphore_init(place.cast(), count, count) },
        )?;
        Ok(Semaphore {
            permits: place.cast(),
            count,
            region: region.clone(),
        })
    }

    pub(crate) fn existing(
        region: &Region,
        name: &str,
        count: usize,
    ) -> Result<Option<Semaphore>, Error> {
        let found = region.find_place_of(
            name,
            size_of_permits(count)?,
            align_of::<sys::deadbolt_permit>(),
            sys::DEADBOLT_OBJECT_COUNTING_SEMAPHORE,
        )?;
        Ok(found.map(|place| Semaphore {
            permits: place.cast(),
            count,
            region: region.clone(),
        }))
    }

    /// Waits for a permit. [`LockError::Deadlock`]: the calling thread holds them all.
    pub fn acquire(&self) -> LockResult<Permit<'_>> {
        // SAFETY: permits of the region, which is open; the call makes the thread a member.
        self.settle(|p, n| unsafe { sys::deadbolt_counting_semaphore_acquire(p, n) })
            .map_err(TryLockError::never)
    }
    /// Does not wait.
    pub fn try_acquire(&self) -> TryLockResult<Permit<'_>> {
        // SAFETY: as above.
        self.settle(|p, n| unsafe { sys::deadbolt_counting_semaphore_try_acquire(p, n) })
    }
    /// Waits for this long at most.
    pub fn try_acquire_for(&self, duration: Duration) -> TryLockResult<Permit<'_>> {
        let time = time::after(duration);
        // SAFETY: as above.
        self.settle(|p, n| unsafe {
            sys::deadbolt_counting_semaphore_acquire_until(p, n, sys::CLOCK_MONOTONIC, &time)
        })
    }
    /// How many permits there are, held or not.
    pub fn permits(&self) -> usize {
        self.count
    }

    fn settle(
        &self,
        acquire: impl FnOnce(*mut sys::deadbolt_permit, usize) -> sys::deadbolt_lock_status,
    ) -> TryLockResult<Permit<'_>> {
        let status = acquire(self.permits.as_ptr(), self.count);
        settle(status, |_| Permit {
            semaphore: self,
            _hold: Hold::new(),
        })
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.count)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// A permit, held until it is dropped.
#[must_use = "dropped at once, the permit is released at once"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    _hold: Hold,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Semaphore { permits, count, .. } = self.semaphore;
        // SAFETY: held by this thread.
        unsafe { sys::deadbolt_counting_semaphore_release(permits.as_ptr(), *count) };
    }
}
