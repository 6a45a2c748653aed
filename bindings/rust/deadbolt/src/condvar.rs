// SPDX-License-Identifier: MIT
use crate::error::{name, Error, LockError, LockResult, OwnerDied};
use crate::{time, MutexGuard, Region, Shared};
use deadbolt_sys as sys;
use std::fmt;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// A condition variable; from [`Region::condvar`].
///
/// A wait returns at most a second after it fell asleep (unless C or C++ code has set another
/// `longest_sleep`), so that it ends even if the notifier died: wait in a loop that looks at the
/// data, or with [`Condvar::wait_while`].
pub struct Condvar {
    place: NonNull<sys::deadbolt_condition_variable>,
    region: Region,
}

// SAFETY: an object for all threads.
unsafe impl Send for Condvar {}
unsafe impl Sync for Condvar {}

impl Condvar {
    pub(crate) fn find(region: &Region, name: &str) -> Result<Condvar, Error> {
        let place = region.place(name, sys::DEADBOLT_OBJECT_CONDITION_VARIABLE, |_| ())?;
        Ok(Condvar {
            place,
            region: region.clone(),
        })
    }

    pub(crate) fn existing(region: &Region, name: &str) -> Result<Option<Condvar>, Error> {
        let found = region.find_place(name, sys::DEADBOLT_OBJECT_CONDITION_VARIABLE)?;
        Ok(found.map(|place| Condvar {
            place,
            region: region.clone(),
        }))
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        // SAFETY: an object of the region.
        unsafe { sys::deadbolt_condition_variable_notify_one(self.place.as_ptr()) }
    }
    /// Wakes all waiters.
    pub fn notify_all(&self) {
        // SAFETY: an object of the region.
        unsafe { sys::deadbolt_condition_variable_notify_all(self.place.as_ptr()) }
    }

    /// Releases the mutex, sleeps, and locks the mutex again.
    pub fn wait<'a, T: Shared>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        // SAFETY: objects of a region; the mutex is held by this thread.
        let status =
            unsafe { sys::deadbolt_condition_variable_wait(self.place.as_ptr(), guard.lock.raw()) };
        woken(status, guard).map(|(guard, _)| guard)
    }

    /// As [`wait`](Condvar::wait), for this long at most; true when the time was over.
    pub fn wait_timeout<'a, T: Shared>(
        &self,
        guard: MutexGuard<'a, T>,
        duration: Duration,
    ) -> LockResultWithTime<'a, T> {
        let time = time::after(duration);
        // SAFETY: as above.
        let status = unsafe {
            sys::deadbolt_condition_variable_wait_until(
                self.place.as_ptr(),
                guard.lock.raw(),
                sys::CLOCK_MONOTONIC,
                &time,
            )
        };
        woken(status, guard)
    }

    /// Waits as long as the condition, called with the data, is true. If an owner died, the
    /// condition is not called on its data: the call returns [`LockError::OwnerDied`].
    pub fn wait_while<'a, T: Shared>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait_while`](Condvar::wait_while), for this long at most; true when the time was over
    /// and the condition still true.
    pub fn wait_timeout_while<'a, T: Shared>(
        &self,
        mut guard: MutexGuard<'a, T>,
        duration: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResultWithTime<'a, T> {
        let end = Instant::now().checked_add(duration);
        while condition(&mut guard) {
            let left = end.map_or(Duration::MAX, |end| {
                end.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Ok((guard, true));
            }
            guard = self.wait_timeout(guard, left)?.0;
        }
        Ok((guard, false))
    }
}

/// A guard, and whether the time was over.
pub(crate) type LockResultWithTime<'a, T> =
    Result<(MutexGuard<'a, T>, bool), LockError<MutexGuard<'a, T>>>;

fn woken<T: Shared>(
    status: sys::deadbolt_wait_status,
    guard: MutexGuard<'_, T>,
) -> LockResultWithTime<'_, T> {
    match status {
        sys::DEADBOLT_AWAKE => Ok((guard, false)),
        sys::DEADBOLT_WAIT_TIMED_OUT => Ok((guard, true)),
        sys::DEADBOLT_WAIT_OWNER_DIED => Err(LockError::OwnerDied(OwnerDied(guard))),
        sys::DEADBOLT_WAIT_NOT_RECOVERABLE => {
            guard.forget_lock();
            Err(LockError::NotRecoverable)
        }
        other => {
            guard.forget_lock();
            // SAFETY: the C function returns a static string for every value.
            Err(LockError::Refused(name(unsafe {
                sys::deadbolt_wait_status_name(other)
            })))
        }
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}
