// SPDX-License-Identifier: MIT
//! A process is killed by SIGKILL with a lock held, for every kind of lock.

use deadbolt::{LockError, Options, Region, TryLockError};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct File(PathBuf);
impl File {
    fn new(name: &str) -> File {
        File(format!("/dev/shm/deadbolt-rust-{}-{}", name, std::process::id()).into())
    }
    fn region(&self) -> Region {
        Options::new(4096)
            .members(16)
            .open_or_create(&self.0)
            .unwrap()
    }
}
impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Another process that holds the lock of this kind, until it is killed or the test ends.
fn holder(file: &Path, kind: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holds", "--ignored", "--nocapture"])
        .env("DEADBOLT_TEST_HOLDS", kind)
        .env("DEADBOLT_TEST_FILE", file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap().ends_with("held")));
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "the other process of the tests below"]
fn holds() {
    let kind = std::env::var("DEADBOLT_TEST_HOLDS").expect("only the other tests run this");
    let region = Region::open(std::env::var_os("DEADBOLT_TEST_FILE").unwrap()).unwrap();
    let mutex = region.mutex("mutex", 0u64).unwrap();
    let rwlock = region.rwlock("rwlock", 0u64).unwrap();
    let permits = region.semaphore("permits", 1).unwrap();
    let held = || {
        println!("held");
        let _ = std::io::stdin().read(&mut [0]);
    };
    match kind.as_str() {
        "mutex" => {
            let mut guard = match mutex.lock() {
                Err(LockError::OwnerDied(dead)) => dead.mark_consistent(),
                other => other.unwrap(),
            };
            *guard += 1;
            held();
        }
        "writer" => {
            *rwlock.write().unwrap() += 1;
            let _guard = rwlock.write().unwrap();
            held();
        }
        "reader" => {
            let _guard = rwlock.read().unwrap();
            held();
        }
        "permit" => {
            let _permit = permits.acquire().unwrap();
            held();
        }
        other => panic!("{}", other),
    }
}

#[test]
fn a_mutex_tells_its_next_owner() {
    let file = File::new("mutex");
    let region = file.region();
    let mutex = region.mutex("mutex", 0u64).unwrap();
    for round in 1..=5 {
        let child = holder(&file.0, "mutex");
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        kill(child);
        match mutex.lock() {
            Err(LockError::OwnerDied(value)) => {
                assert_eq!(*value, round);
                drop(value.mark_consistent());
            }
            other => panic!("{:?}", other),
        }
        assert_eq!(*mutex.lock().unwrap(), round);
    }
}

#[test]
fn an_owner_that_was_told_and_dies_is_told_of_in_turn() {
    let file = File::new("turn");
    let region = file.region();
    let mutex = region.mutex("mutex", 0u64).unwrap();
    for _ in 0..3 {
        kill(holder(&file.0, "mutex"));
    }
    assert_eq!(*mutex.lock_or_recover(|value| *value *= 10).unwrap(), 30);
}

#[test]
fn a_repair_that_does_not_happen_is_told_to_all() {
    let file = File::new("unrepaired");
    let region = file.region();
    let mutex = region.mutex("mutex", 0u64).unwrap();
    kill(holder(&file.0, "mutex"));
    drop(mutex.lock());
    assert!(matches!(mutex.lock(), Err(LockError::NotRecoverable)));
}

#[test]
fn a_writers_death_is_told_and_a_readers_is_not() {
    let file = File::new("rwlock");
    let region = file.region();
    let lock = region.rwlock("rwlock", 0u64).unwrap();
    let child = holder(&file.0, "reader");
    assert_eq!(*lock.read().unwrap(), 0);
    assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
    kill(child);
    drop(lock.write().unwrap());
    kill(holder(&file.0, "writer"));
    let guard = lock
        .read()
        .or_else(|error| error.recover(|value| **value = 7))
        .unwrap();
    assert_eq!(*guard, 7);
    drop(guard);
    kill(holder(&file.0, "writer"));
    assert!(matches!(lock.write(), Err(LockError::OwnerDied(_))));
}

#[test]
fn a_dead_holders_permit_comes_back() {
    let file = File::new("permit");
    let region = file.region();
    let permits = region.semaphore("permits", 1).unwrap();
    let child = holder(&file.0, "permit");
    assert!(matches!(
        permits.try_acquire(),
        Err(TryLockError::WouldBlock)
    ));
    kill(child);
    drop(permits.acquire().unwrap());
}

#[test]
fn a_waiter_on_a_condition_is_told_before_it_looks() {
    let file = File::new("condition");
    let region = file.region();
    let mutex = region.mutex("mutex", 0u64).unwrap();
    let changed = region.condvar("changed").unwrap();
    let guard = mutex.lock().unwrap();
    let killer = std::thread::spawn({
        let file = file.0.clone();
        move || kill(holder(&file, "mutex"))
    });
    match changed.wait_while(guard, |value| *value == 0) {
        Err(LockError::OwnerDied(value)) => assert_eq!(*value, 1),
        other => panic!("{:?}", other),
    }
    killer.join().unwrap();
    assert!(matches!(
        mutex.try_lock_for(Duration::from_secs(1)),
        Err(TryLockError::Lock(LockError::NotRecoverable))
    ));
}
