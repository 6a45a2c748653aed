// SPDX-License-Identifier: MIT
use deadbolt_sys as sys;
use std::time::Duration;

/// The monotonic clock's time after this long; what is too far away is for ever.
pub(crate) fn after(duration: Duration) -> sys::timespec {
    let mut now = sys::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes `now`; the clock is always there.
    unsafe { sys::clock_gettime(sys::CLOCK_MONOTONIC, &mut now) };
    let nanoseconds = now.tv_nsec + i64::from(duration.subsec_nanos());
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    sys::timespec {
        tv_sec: now
            .tv_sec
            .saturating_add(seconds)
            .saturating_add(nanoseconds / 1_000_000_000),
        tv_nsec: nanoseconds % 1_000_000_000,
    }
}
