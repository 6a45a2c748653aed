// SPDX-License-Identifier: MIT
//! Named objects are found, listed and destroyed; regions grow; some are read only.

use deadbolt::{Error, LockError, ObjectKind, Options, Owner, ReadOnlyRegion, Region};
use std::fs;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering::SeqCst};
use std::thread;

const PAGE: usize = 4096;

fn region() -> Region {
    Options::new(16 * PAGE)
        .members(32)
        .create_anonymous("deadbolt-rust-names")
        .unwrap()
}

struct File(String);
impl File {
    fn new(name: &str) -> File {
        File(format!(
            "/dev/shm/deadbolt-rust-names-{}-{}",
            name,
            std::process::id()
        ))
    }
}
impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

deadbolt::shared! {
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Account { cents: i64, limit: i64 }
}

fn is_object_error<T>(result: Result<T, Error>, word: &str) -> bool {
    matches!(result, Err(Error::Object(text)) if text == word)
}

#[test]
fn a_search_makes_nothing() {
    let region = region();
    assert!(region.find_mutex::<u64>("lock").unwrap().is_none());
    assert!(region.find_rwlock::<u64>("lock").unwrap().is_none());
    assert!(region.find_condvar("lock").unwrap().is_none());
    assert!(region.find_semaphore("lock", 2).unwrap().is_none());
    assert!(region.find_value::<AtomicU64>("lock").unwrap().is_none());
    assert!(region.objects().is_empty());
    *region.mutex("lock", 7u64).unwrap().lock().unwrap() += 1;
    let found = region.find_mutex::<u64>("lock").unwrap().unwrap();
    assert_eq!(*found.lock().unwrap(), 8);
    assert!(is_object_error(
        region.find_mutex::<[u64; 2]>("lock"),
        "other_kind"
    ));
    assert!(is_object_error(region.find_condvar("lock"), "other_kind"));
    assert!(matches!(region.find_mutex::<u64>(""), Err(Error::Name)));
}

#[test]
fn every_kind_is_found_and_listed() {
    let region = region();
    region.mutex("mutex", ()).unwrap();
    region.rwlock("rwlock", ()).unwrap();
    region.condvar("condvar").unwrap();
    region.semaphore("permits", 3).unwrap();
    region.value("number", AtomicU64::new(5)).unwrap();
    region
        .mutex("account", Account { cents: 1, limit: 2 })
        .unwrap();
    let found: Vec<_> = region
        .objects()
        .into_iter()
        .map(|object| (object.name, object.size, object.kind))
        .collect();
    let expected = [
        ("mutex", 16, ObjectKind::Mutex),
        ("rwlock", 16, ObjectKind::RwLock),
        ("condvar", 4, ObjectKind::Condvar),
        ("permits", 24, ObjectKind::Semaphore),
        ("number", 8, ObjectKind::Other),
        ("account", 32, ObjectKind::Other),
    ]
    .map(|(name, size, kind)| (name.to_string(), size, kind));
    assert_eq!(found, expected);
    assert!(region.find_mutex::<()>("mutex").unwrap().is_some());
    assert!(region.find_rwlock::<()>("rwlock").unwrap().is_some());
    assert!(region.find_condvar("condvar").unwrap().is_some());
    assert!(region.find_semaphore("permits", 3).unwrap().is_some());
    assert!(is_object_error(
        region.find_semaphore("permits", 4),
        "other_kind"
    ));
    let number = region.find_value::<AtomicU64>("number").unwrap().unwrap();
    assert_eq!(number.load(SeqCst), 5);
}

#[test]
fn an_object_has_one_type_in_a_process() {
    let region = region();
    let again = Region::from_descriptor(&region).unwrap();
    let lock = region.mutex("lock", 5u64).unwrap();
    // As large, and without this check a plain reference to what the lock's owner writes.
    assert!(is_object_error(
        region.value("lock", [0u64; 3]),
        "other_type"
    ));
    assert!(is_object_error(again.rwlock("lock", 5u64), "other_type"));
    let find = || again.find_value::<[u64; 3]>("lock");
    assert!(is_object_error(find(), "other_type"));
    assert_eq!(*again.mutex("lock", 0u64).unwrap().lock().unwrap(), 5);
    // The list follows what is destroyed and closed.
    drop(lock);
    // SAFETY: nobody has a handle on it.
    unsafe { region.destroy("lock") }.unwrap();
    assert!(find().unwrap().is_none());
    drop(region);
    assert_eq!(*again.value("lock", [0, 0, 7u64]).unwrap(), [0, 0, 7]);
    assert!(again.value("lock", [0, 0, 7u64]).is_ok());
    let other = Region::from_descriptor(&again).unwrap();
    drop(again);
    assert_eq!(*other.mutex("lock", 0u64).unwrap().lock().unwrap(), 7);
}

#[test]
fn destroy_gives_name_and_bytes_back() {
    let region = region();
    type Large = [u64; 15 * PAGE / 8];
    region.value("large", [1u64; 15 * PAGE / 8]).unwrap();
    assert!(is_object_error(
        region.value("more", [0u64; PAGE]),
        "no_room"
    ));
    // SAFETY: nobody has a handle on it.
    unsafe { region.destroy("large") }.unwrap();
    assert!(region.find_value::<Large>("large").unwrap().is_none());
    // The name is free for another kind, the bytes for another object.
    region.mutex("large", ()).unwrap();
    assert!(region.value("more", [0u64; PAGE]).is_ok());
    // SAFETY: nothing is destroyed.
    unsafe {
        assert!(is_object_error(region.destroy("none"), "not_found"));
        assert!(matches!(region.destroy("a\0b"), Err(Error::Name)));
    }
}

#[test]
fn destroy_refuses_a_lock_that_is_held_or_whose_next_owner_is_to_be_told() {
    let region = region();
    let lock = region.mutex("lock", ()).unwrap();
    let permits = region.semaphore("permits", 2).unwrap();
    let (guard, permit) = (lock.lock().unwrap(), permits.acquire().unwrap());
    // SAFETY: refused, or nobody uses the handles below.
    unsafe {
        assert!(is_object_error(region.destroy("lock"), "in_use"));
        assert!(is_object_error(region.destroy("permits"), "in_use"));
        drop((guard, permit));
        region.destroy("permits").unwrap();
        thread::scope(|scope| {
            let holds = || std::mem::forget(lock.lock().unwrap());
            scope.spawn(holds).join().unwrap();
        });
        assert!(is_object_error(region.destroy("lock"), "in_use"));
        drop(lock.lock_or_recover(|_| ()).unwrap());
        region.destroy("lock").unwrap();
    }
    assert!(region.objects().is_empty());
}

#[test]
fn a_region_grows_under_its_objects() {
    let region = Options::new(PAGE)
        .largest(8 * PAGE)
        .create_anonymous("grows")
        .unwrap();
    let other = Region::from_descriptor(&region).unwrap();
    assert_eq!((region.size(), region.largest_size()), (PAGE, 8 * PAGE));
    let number = region.value("number", AtomicU64::new(1)).unwrap();
    assert!(is_object_error(
        region.value("large", [0u64; PAGE / 2]),
        "no_room"
    ));
    region.grow(6 * PAGE).unwrap();
    assert_eq!((region.size(), other.size()), (6 * PAGE, 6 * PAGE));
    region.value("large", [3u64; PAGE / 2]).unwrap();
    let large = other.find_value::<[u64; PAGE / 2]>("large").unwrap();
    assert_eq!(large.unwrap()[PAGE / 2 - 1], 3);
    assert_eq!(number.fetch_add(1, SeqCst), 1);
    region.grow(1).unwrap();
    assert_eq!(region.size(), 6 * PAGE);
    assert!(matches!(
        region.grow(9 * PAGE),
        Err(Error::Grow("too_large"))
    ));
}

#[test]
fn owner_is_the_thread_that_holds_the_lock() {
    let region = region();
    let (mutex, rwlock) = (
        region.mutex("mutex", ()).unwrap(),
        region.rwlock("rwlock", ()).unwrap(),
    );
    let owners = || [mutex.owner(), rwlock.owner()];
    assert_eq!(owners(), [Owner::NotHeld; 2]);
    let reader = rwlock.read().unwrap();
    assert_eq!(rwlock.owner(), Owner::NotHeld);
    drop(reader);
    let guards = (mutex.lock().unwrap(), rwlock.write().unwrap());
    // A test's thread is not its process's first.
    let tid = fs::read_link("/proc/thread-self").unwrap();
    let tid = tid.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let pid = std::process::id();
    assert_eq!(owners(), [Owner::Alive { pid, tid }; 2]);
    drop(guards);
    thread::scope(|scope| {
        // Without join() the scope ends with the closure, and the thread a little later.
        let holds = || std::mem::forget((mutex.lock().unwrap(), rwlock.write().unwrap()));
        scope.spawn(holds).join().unwrap();
    });
    assert_eq!(owners(), [Owner::Dead; 2]);
    drop(mutex.lock());
    drop(rwlock.write());
    assert_eq!(owners(), [Owner::NotRecoverable; 2]);
    assert!(matches!(mutex.lock(), Err(LockError::NotRecoverable)));
}

#[test]
fn a_mutex_that_one_thread_took_many_times_is_not_held() {
    let region = region();
    let mutex = region.mutex("mutex", ()).unwrap();
    for _ in 0..1000 {
        drop(mutex.lock().unwrap());
    }
    assert_eq!(mutex.owner(), Owner::NotHeld);
    let guard = mutex.lock().unwrap();
    assert!(matches!(mutex.owner(), Owner::Alive { .. }));
    drop(guard);
    assert_eq!(mutex.owner(), Owner::NotHeld);
    drop(mutex);
    // SAFETY: nobody has a handle on it.
    unsafe { region.destroy("mutex") }.unwrap();
}

#[test]
fn a_read_only_region_sees_what_others_write() {
    let file = File::new("read-only");
    let region = Options::new(PAGE).create(&file.0).unwrap();
    let reader = ReadOnlyRegion::open(&file.0).unwrap();
    assert_eq!(reader.size(), PAGE);
    assert!(reader.read::<u64>("number").unwrap().is_none());
    let number = region.value("number", AtomicU64::new(1)).unwrap();
    number.store(1 << 40, SeqCst);
    let bytes = [3, 4, 5].map(AtomicU8::new);
    region.value("bytes", bytes).unwrap();
    region.value("half", 0x12345678u32).unwrap();
    region.value("quarters", [1u16, 0xffff]).unwrap();
    let account = region.mutex("account", Account { cents: 7, limit: 8 });
    assert!(account.is_ok());
    assert_eq!(reader.read::<u64>("number").unwrap(), Some(1 << 40));
    assert_eq!(reader.read::<[u8; 3]>("bytes").unwrap(), Some([3, 4, 5]));
    assert_eq!(reader.read::<u32>("half").unwrap(), Some(0x12345678));
    assert_eq!(
        reader.read::<[u16; 2]>("quarters").unwrap(),
        Some([1, 0xffff])
    );
    deadbolt::shared! {
        struct Behind { lock: [u64; 2], account: Account }
    }
    let behind = reader.read::<Behind>("account").unwrap().unwrap();
    assert_eq!(behind.lock, [0, 0]);
    assert_eq!(behind.account, Account { cents: 7, limit: 8 });
    assert_eq!(reader.objects(), region.objects());
    assert!(is_object_error(reader.read::<u32>("number"), "other_kind"));
    assert!(reader.is_at(&file.0) && region.is_at(&file.0));
    fs::remove_file(&file.0).unwrap();
    assert!(!reader.is_at(&file.0) && !region.is_at(&file.0));
    match ReadOnlyRegion::open(&file.0) {
        Err(Error::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
        other => panic!("{:?}", other),
    }
}

#[test]
fn open_or_replace_makes_a_truncated_file_anew() {
    let file = File::new("replace");
    let options = Options::new(PAGE);
    let set = |region: &Region| region.value("number", 5u64).map(|number| *number).unwrap();
    assert_eq!(set(&options.open_or_replace(&file.0).unwrap()), 5);
    let opened = options.open_or_replace(&file.0).unwrap();
    assert!(opened.find_value::<u64>("number").unwrap().is_some());
    drop(opened);
    let truncated = fs::OpenOptions::new().write(true).open(&file.0).unwrap();
    truncated.set_len(PAGE as u64).unwrap();
    assert!(matches!(
        options.open_or_create(&file.0),
        Err(Error::Region("truncated"))
    ));
    let anew = options.open_or_replace(&file.0).unwrap();
    assert!(anew.objects().is_empty());
}
