// SPDX-License-Identifier: MIT
//! One process: exclusion, times, misuse, panics.

use deadbolt::{Error, LockError, Options, Policy, Region, TryLockError};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

fn region() -> Region {
    Options::new(65536)
        .members(32)
        .create_anonymous("deadbolt-rust-test")
        .unwrap()
}
const MOMENT: Duration = Duration::from_millis(10);

#[test]
fn nothing_is_lost_between_threads() {
    let region = region();
    let number = region.mutex("number", 0u64).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    *number.lock().unwrap() += 1;
                }
            });
        }
    });
    assert_eq!(
        *region.mutex("number", 77u64).unwrap().lock().unwrap(),
        20000
    );
}

#[test]
fn a_held_lock_would_block_times_out_or_is_a_deadlock() {
    let region = region();
    let lock = region.mutex("lock", ()).unwrap();
    let guard = lock.lock().unwrap();
    assert!(matches!(lock.lock(), Err(LockError::Deadlock)));
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
            let start = Instant::now();
            assert!(matches!(
                lock.try_lock_for(MOMENT),
                Err(TryLockError::TimedOut)
            ));
            assert!(start.elapsed() >= MOMENT);
        });
    });
    drop(guard);
    drop(lock.try_lock_for(Duration::MAX).unwrap());
}

#[test]
fn readers_share_and_writers_do_not() {
    let region = region();
    let lock = region.rwlock("lock", 5u32).unwrap();
    let reading = lock.read().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(*lock.read().unwrap(), 5);
            assert!(matches!(
                lock.try_write_for(MOMENT),
                Err(TryLockError::TimedOut)
            ));
            assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
        });
    });
    drop(reading);
    *lock.write().unwrap() = 6;
    let writing = lock.write().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
            assert!(matches!(
                lock.try_read_for(MOMENT),
                Err(TryLockError::TimedOut)
            ));
        });
    });
    assert_eq!(*writing, 6);
}

#[test]
fn a_second_hold_of_one_lock_is_a_deadlock() {
    let region = region();
    let lock = region.rwlock("lock", ()).unwrap();
    let _guard = lock.read().unwrap();
    assert!(matches!(lock.read(), Err(LockError::Deadlock)));
    assert!(matches!(lock.write(), Err(LockError::Deadlock)));
}

#[test]
fn policy_is_the_locks_own() {
    let region = region();
    let lock = region
        .rwlock_with_policy("lock", 5u32, Policy::Fair)
        .unwrap();
    assert_eq!(lock.policy(), Policy::Fair);
    assert_eq!(*lock.read().unwrap(), 5);
    *lock.write().unwrap() = 6;
    let found = region.rwlock("lock", 0u32).unwrap();
    assert_eq!(found.policy(), Policy::Fair, "any policy");
    let other = region.rwlock_with_policy("lock", 0u32, Policy::ReadersFirst);
    assert!(matches!(other.err(), Some(Error::Object("other_policy"))));
    let usual = region.rwlock("usual", ()).unwrap();
    assert_eq!(usual.policy(), Policy::WritersFirst);
    assert!(region
        .rwlock_with_policy("usual", (), Policy::WritersFirst)
        .is_ok());
}

#[test]
fn permits_are_counted() {
    let region = region();
    let permits = region.semaphore("permits", 2).unwrap();
    let (one, two) = (permits.acquire().unwrap(), permits.acquire().unwrap());
    assert!(matches!(permits.acquire(), Err(LockError::Deadlock)));
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(
                permits.try_acquire(),
                Err(TryLockError::WouldBlock)
            ));
            assert!(matches!(
                permits.try_acquire_for(MOMENT),
                Err(TryLockError::TimedOut)
            ));
        });
    });
    drop(one);
    drop(permits.try_acquire().unwrap());
    drop(two);
    assert!(matches!(
        region.semaphore("permits", 3),
        Err(Error::Object(_))
    ));
    assert!(matches!(region.semaphore("none", 0), Err(Error::Object(_))));
}

#[test]
fn a_condition_wakes_its_waiter_and_ends_with_the_time() {
    let region = region();
    let box_ = region.mutex("box", 0u32).unwrap();
    let changed = region.condvar("changed").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for value in 1..=100 {
                let mut guard = changed
                    .wait_while(box_.lock().unwrap(), |b| *b != 0)
                    .unwrap();
                *guard = value;
                changed.notify_one();
            }
        });
        for value in 1..=100 {
            let mut guard = changed
                .wait_while(box_.lock().unwrap(), |b| *b == 0)
                .unwrap();
            assert_eq!(*guard, value);
            *guard = 0;
            changed.notify_all();
        }
    });
    let guard = box_.lock().unwrap();
    let (guard, over) = changed
        .wait_timeout_while(guard, MOMENT, |b| *b == 0)
        .unwrap();
    assert!(over);
    let (guard, over) = changed.wait_timeout(guard, Duration::ZERO).unwrap();
    assert!(over);
    drop(changed.wait(guard).unwrap()); // nobody notifies: the bound
}

#[test]
fn a_panic_with_a_guard_is_an_owners_death() {
    let region = region();
    let lock = region.mutex("lock", 1u64).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = lock.lock().unwrap();
        *guard = 2;
        panic!("half-way");
    }));
    assert!(panicked.is_err());
    match lock.lock() {
        Err(LockError::OwnerDied(mut value)) => {
            assert_eq!(*value, 2);
            *value = 1;
            drop(value.mark_consistent());
        }
        other => panic!("{:?}", other),
    }
    assert_eq!(*lock.lock().unwrap(), 1);
}

#[test]
fn a_panic_takes_no_lock_from_a_guard_that_outlives_it() {
    let region = region();
    let (outer, inner) = (
        region.mutex("outer", 1u64).unwrap(),
        region.mutex("inner", 1u64).unwrap(),
    );
    let guard = outer.lock().unwrap();
    catch_unwind(AssertUnwindSafe(|| {
        let _guard = inner.lock().unwrap();
        panic!("half-way");
    }))
    .unwrap_err();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(outer.try_lock(), Err(TryLockError::WouldBlock)));
            assert!(matches!(inner.try_lock(), Err(TryLockError::WouldBlock)));
        });
    });
    drop(guard);
    thread::scope(|scope| {
        scope.spawn(|| {
            drop(outer.try_lock().unwrap());
            let told = matches!(
                inner.try_lock(),
                Err(TryLockError::Lock(LockError::OwnerDied(_)))
            );
            assert!(told);
        });
    });
    // The thread that was told dropped it unrepaired.
    assert!(matches!(inner.lock(), Err(LockError::NotRecoverable)));
    assert!(matches!(
        inner.lock_or_recover(|_| ()),
        Err(LockError::NotRecoverable)
    ));
}

#[test]
fn a_panic_in_a_writer_is_told_to_a_reader_and_one_in_a_reader_to_nobody() {
    let region = region();
    let lock = region.rwlock("lock", 1u64).unwrap();
    let panics = |f: &dyn Fn()| catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    panics(&|| {
        let _guard = lock.read().unwrap();
        panic!("a reader");
    });
    drop(lock.write().unwrap());
    panics(&|| {
        *lock.write().unwrap() = 2;
        let _guard = lock.write().unwrap();
        panic!("a writer");
    });
    panics(&|| {
        let _dead = lock.read().unwrap_err();
        panic!("a repair");
    });
    let guard = lock
        .read()
        .or_else(|error| error.recover(|value| **value = 3))
        .unwrap();
    assert_eq!(*guard, 3);
}

#[test]
fn a_guard_in_a_destructor_of_a_panic_releases() {
    struct Locks<'a>(&'a deadbolt::Mutex<u64>);
    impl Drop for Locks<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let region = region();
    let lock = region.mutex("lock", 0u64).unwrap();
    catch_unwind(AssertUnwindSafe(|| {
        let _locks = Locks(&lock);
        panic!("elsewhere");
    }))
    .unwrap_err();
    assert_eq!(*lock.lock().unwrap(), 1);
}

#[test]
fn a_thread_that_ends_with_a_forgotten_guard_is_a_dead_owner() {
    let region = region();
    let lock = region.mutex("lock", 0u64).unwrap();
    thread::scope(|scope| {
        scope
            .spawn(|| std::mem::forget(lock.lock().unwrap()))
            .join()
            .unwrap();
    });
    assert!(matches!(lock.lock(), Err(LockError::OwnerDied(_))));
}

#[test]
fn a_full_table_is_an_error() {
    let region = Options::new(4096)
        .members(1)
        .create_anonymous("full")
        .unwrap();
    let lock = region.mutex("lock", ()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(lock.lock(), Err(LockError::Attach("table_full"))));
            assert!(matches!(region.attach(), Err(Error::Attach("table_full"))));
        });
    });
}

#[test]
fn names_sizes_and_files_are_checked() {
    let region = region();
    region.mutex("lock", 0u64).unwrap();
    assert!(matches!(
        region.mutex("lock", [0u64; 9]),
        Err(Error::Object(_))
    ));
    assert!(matches!(region.mutex("", ()), Err(Error::Name)));
    assert!(matches!(
        region.mutex(&"x".repeat(40), ()),
        Err(Error::Name)
    ));
    assert!(matches!(region.mutex("a\0b", ()), Err(Error::Name)));
    assert!(matches!(
        region.mutex("large", [0u64; 9000]),
        Err(Error::Object(_))
    ));
    match Region::open("/dev/shm/deadbolt-rust-nothing") {
        Err(Error::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
        other => panic!("{:?}", other),
    }
    assert!(matches!(
        Region::open("/dev/null"),
        Err(Error::Region("not_a_region"))
    ));
    assert!(matches!(
        Options::new(0).create_anonymous("x"),
        Err(Error::Region("invalid_options"))
    ));
}

#[test]
fn a_region_is_open_as_long_as_anything_of_it_is() {
    let value = {
        let region = region();
        let again = Region::from_descriptor(&region).unwrap();
        assert_eq!((again.size(), again.members()), (65536, 32));
        region.value("number", AtomicU64::new(3)).unwrap();
        again.value("number", AtomicU64::new(4)).unwrap()
    };
    assert_eq!(value.fetch_add(1, SeqCst), 3);
    let lock = region().mutex("lock", 0u8).unwrap();
    thread::spawn(move || *lock.lock().unwrap() = 1)
        .join()
        .unwrap();
}
