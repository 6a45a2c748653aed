// SPDX-License-Identifier: MIT
//! Locks in shared memory that survive the death of their owner.
//!
//! Any process that opens the region's file shares its locks and data, in whatever language. A
//! process may be killed at any instruction: the next owner of its lock gets
//! [`LockError::OwnerDied`] with the guard inside, where `std`'s `Mutex` returns a `PoisonError`.
//!
//! ```
//! use deadbolt::{Options, Region};
//!
//! deadbolt::shared! {
//!     pub struct Account { pub cents: i64, pub backup: i64 }
//! }
//!
//! # let path = format!("/dev/shm/deadbolt-doc-{}", std::process::id());
//! # struct Gone(String);
//! # impl Drop for Gone { fn drop(&mut self) { std::fs::remove_file(&self.0).unwrap(); } }
//! # let gone = Gone(path.clone());
//! let region: Region = Options::new(4096).open_or_create(&path)?;
//! let account = region.mutex("account", Account { cents: 0, backup: 0 })?;
//! {
//!     // Called with the lock held when the last owner died.
//!     let mut account = account.lock_or_recover(|account| account.cents = account.backup)?;
//!     account.backup = account.cents;
//!     account.cents += 100;
//! }
//! assert_eq!(account.lock_or_recover(|_| unreachable!())?.cents, 100);
//! # Ok::<(), deadbolt::Error>(())
//! ```
//!
//! # Threads, panics and children
//! A lock's owner is a thread, so guards are not [`Send`]. A thread becomes a member of the
//! region at its first lock.
//!
//! A panic may leave data half-written, so a lock whose guard lets the thread write is not released
//! by it: it passes on as [`LockError::OwnerDied`], to this process or another, as soon as the
//! thread has dropped every guard that it has. (The thread's membership ends with that; locks that
//! C code holds in the same thread and region pass on as well.)
//!
//! A child of `fork` is no owner of its parent's locks; it must not use guards that it inherited.
//!
//! # What is trusted
//! Whoever may write the region's file may break its locks, and the data's rules with them: share
//! regions with processes that you trust, as with any `MAP_SHARED` memory.
//!
//! # Why no Miri and no loom here
//! This crate has no atomics and no ordering of its own: every lock operation is a call of the C
//! interface, which Miri cannot run and loom cannot see into. The protocols are checked by the
//! library's models and by killing processes at every instruction (`deadbolt crash-test`).
#![warn(missing_docs, missing_debug_implementations)]
// thread_local!'s own expansion, in Debian 12's clippy.
#![allow(clippy::declare_interior_mutable_const)]

mod condvar;
mod error;
mod holds;
mod mutex;
mod names;
mod owner;
mod read_only;
mod region;
mod rwlock;
mod semaphore;
mod shared;
mod time;
mod uses;

pub use condvar::Condvar;
pub use error::{Error, LockError, LockResult, OwnerDied, TryLockError, TryLockResult};
pub use mutex::{Mutex, MutexGuard};
pub use names::{ObjectInfo, ObjectKind};
pub use owner::Owner;
pub use read_only::ReadOnlyRegion;
pub use region::{Options, Region, Value};
pub use rwlock::{Policy, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Permit, Semaphore};
pub use shared::Shared;

#[doc(hidden)]
pub use shared::check_field;
