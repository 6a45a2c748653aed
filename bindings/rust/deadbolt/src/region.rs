// SPDX-License-Identifier: MIT
use crate::error::{attach_status_name, last_attach_failure, name, Error};
use crate::names::{c_name, last_construct_error};
use crate::uses::Claims;
use crate::{Condvar, Mutex, Policy, RwLock, Semaphore, Shared};
use deadbolt_sys as sys;
use std::any::TypeId;
use std::cell::UnsafeCell;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::mem::{align_of, size_of};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

pub(crate) struct Inner {
    handle: UnsafeCell<sys::deadbolt_region>,
    pub(crate) claims: Claims,
}

// SAFETY: only opening and closing write the handle, and then no other reference to it exists. All
// other calls only read it, and the C functions do their own locking.
unsafe impl Send for Inner {}
unsafe impl Sync for Inner {}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region of {} bytes", self.size())
    }
}

impl Inner {
    fn size(&self) -> usize {
        // SAFETY: open as long as it lives.
        unsafe { sys::deadbolt_region_size(self.handle.get()) }
    }

    pub(crate) fn detach(&self) -> bool {
        // SAFETY: as above; the caller has seen to it that the thread has no guard.
        unsafe { sys::deadbolt_region_detach(self.handle.get()) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.claims.release();
        // SAFETY: the last reference: no lock, guard or value of the region is left. Where
        // another thread is in an unlock for more than a second, the memory stays mapped.
        unsafe { sys::deadbolt_region_close(self.handle.get()) };
    }
}

/// How a region is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    options: sys::deadbolt_region_options,
}

impl Options {
    /// A region with this many bytes of data.
    pub fn new(size: usize) -> Options {
        Options {
            options: sys::deadbolt_region_options {
                size,
                members: 0,
                mode: 0,
                largest: 0,
            },
        }
    }
    /// How many threads may use it at the same time: 1 to 16,382; 1024 if not set.
    pub fn members(mut self, members: u32) -> Options {
        self.options.members = members;
        self
    }
    /// The permission bits of a new file; 0600 if not set.
    pub fn mode(mut self, mode: u32) -> Options {
        self.options.mode = mode;
        self
    }
    /// The bytes of data up to which it can [grow](Region::grow); the first size if not set.
    pub fn largest(mut self, largest: usize) -> Options {
        self.options.largest = largest;
        self
    }
    /// A new file; an error if there is one of that name.
    pub fn create(&self, path: impl AsRef<Path>) -> Result<Region, Error> {
        let path = c_path(path.as_ref())?;
        // SAFETY: valid pointers.
        Region::made(|handle| unsafe {
            sys::deadbolt_region_create(handle, path.as_ptr(), &self.options)
        })
    }
    /// The file of that name, made where there is none.
    pub fn open_or_create(&self, path: impl AsRef<Path>) -> Result<Region, Error> {
        let path = c_path(path.as_ref())?;
        // SAFETY: valid pointers.
        Region::made(|handle| unsafe {
            sys::deadbolt_region_open_or_create(handle, path.as_ptr(), &self.options)
        })
    }
    /// As [`open_or_create`](Options::open_or_create), but a region that is damaged or truncated,
    /// or was made by a library with another format of files or on a system with smaller pages of
    /// memory, is replaced by a new one. An error while a process uses the old one, or if its
    /// format is so old (below 4) that nobody can see whether one does.
    pub fn open_or_replace(&self, path: impl AsRef<Path>) -> Result<Region, Error> {
        let path = c_path(path.as_ref())?;
        // SAFETY: valid pointers.
        Region::made(|handle| unsafe {
            sys::deadbolt_region_open_or_replace(handle, path.as_ptr(), &self.options)
        })
    }
    /// A region without a file name: hand its descriptor to other processes.
    pub fn create_anonymous(&self, name: &str) -> Result<Region, Error> {
        let name = CString::new(name).map_err(|_| Error::Name)?;
        // SAFETY: valid pointers.
        Region::made(|handle| unsafe {
            sys::deadbolt_region_create_anonymous(handle, name.as_ptr(), &self.options)
        })
    }
}

/// Shared memory with locks. Cloning gives another handle on the same mapping; locks and values
/// have one too, so nothing outlives the mapping, and the last one unmaps it.
#[derive(Clone, Debug)]
pub struct Region {
    pub(crate) inner: Arc<Inner>,
}

impl Region {
    /// The region in this file.
    pub fn open(path: impl AsRef<Path>) -> Result<Region, Error> {
        let path = c_path(path.as_ref())?;
        // SAFETY: valid pointers.
        Region::made(|handle| unsafe { sys::deadbolt_region_open(handle, path.as_ptr()) })
    }

    /// The region behind a descriptor, which stays the caller's.
    pub fn from_descriptor(descriptor: impl AsFd) -> Result<Region, Error> {
        let descriptor = descriptor.as_fd().as_raw_fd();
        // SAFETY: a valid pointer and an open descriptor.
        Region::made(|handle| unsafe { sys::deadbolt_region_open_descriptor(handle, descriptor) })
    }

    fn made(
        open: impl FnOnce(*mut sys::deadbolt_region) -> sys::deadbolt_region_status,
    ) -> Result<Region, Error> {
        let mut handle = sys::DEADBOLT_REGION_INIT;
        match open(&mut handle) {
            sys::DEADBOLT_REGION_OPEN => Ok(Region {
                inner: Arc::new(Inner {
                    handle: UnsafeCell::new(handle),
                    claims: Claims::default(),
                }),
            }),
            status => Err(open_error(status, handle.error)),
        }
    }

    pub(crate) fn handle(&self) -> *mut sys::deadbolt_region {
        self.inner.handle.get()
    }

    /// Bytes of data now: another process may make it grow.
    pub fn size(&self) -> usize {
        self.inner.size()
    }
    /// Bytes of data up to which it can grow: [`Options::largest`].
    pub fn largest_size(&self) -> usize {
        // SAFETY: open as long as it lives.
        unsafe { sys::deadbolt_region_largest_size(self.handle()) }
    }
    /// Makes the data at least this large, for all processes. No address changes: locks and values
    /// stay where they are.
    pub fn grow(&self, size: usize) -> Result<(), Error> {
        // SAFETY: open as long as it lives; the C function returns a static string for every value.
        match unsafe { sys::deadbolt_region_grow(self.handle(), size) } {
            sys::DEADBOLT_GROWN => Ok(()),
            sys::DEADBOLT_GROW_SYSTEM_ERROR => Err(Error::Io(io::Error::last_os_error())),
            sys::DEADBOLT_GROW_CANNOT_ATTACH => Err(Error::Attach(last_attach_failure())),
            status => Err(Error::Grow(name(unsafe {
                sys::deadbolt_grow_status_name(status)
            }))),
        }
    }
    /// Whether this name leads to the region's file: false when the file was removed or replaced.
    pub fn is_at(&self, path: impl AsRef<Path>) -> bool {
        c_path(path.as_ref()).map_or(false, |path| {
            // SAFETY: valid pointers.
            unsafe { sys::deadbolt_region_is_at(self.handle(), path.as_ptr()) }
        })
    }
    /// How many threads may use it at the same time.
    pub fn members(&self) -> u32 {
        // SAFETY: open as long as it lives.
        unsafe { sys::deadbolt_region_members(self.inner.handle.get()) }
    }
    /// Makes the calling thread a member ahead of its first lock.
    pub fn attach(&self) -> Result<(), Error> {
        // SAFETY: open as long as it lives.
        match unsafe { sys::deadbolt_region_attach(self.inner.handle.get()) } {
            sys::DEADBOLT_ATTACHED => Ok(()),
            status => Err(Error::Attach(attach_status_name(status))),
        }
    }

    /// The mutex of this name, made with `initial` inside where there is none. In C and C++ it is
    /// a struct of a `deadbolt_mutex` and a T; a `Mutex<()>` is a `deadbolt_mutex`.
    pub fn mutex<T: Shared>(&self, name: &str, initial: T) -> Result<Mutex<T>, Error> {
        Mutex::find(self, name, initial)
    }
    /// The readers-writer lock of this name, made with `initial` inside where there is none.
    pub fn rwlock<T: Shared + Sync>(&self, name: &str, initial: T) -> Result<RwLock<T>, Error> {
        RwLock::find(self, name, initial)
    }
    /// The readers-writer lock of this name, made with this policy and with `initial` inside where
    /// there is none. It is an error (`"other_policy"`) if there is one of another policy;
    /// [`Region::rwlock`] takes a lock of any.
    pub fn rwlock_with_policy<T: Shared + Sync>(
        &self,
        name: &str,
        initial: T,
        policy: Policy,
    ) -> Result<RwLock<T>, Error> {
        RwLock::of_policy(self, name, initial, policy)
    }
    /// The condition variable of this name, made where there is none.
    pub fn condvar(&self, name: &str) -> Result<Condvar, Error> {
        Condvar::find(self, name)
    }
    /// The semaphore of this name, of `permits` permits, made where there is none.
    pub fn semaphore(&self, name: &str, permits: usize) -> Result<Semaphore, Error> {
        Semaphore::find(self, name, permits)
    }
    /// The value of this name, made as `initial` where there is none: for atomics, which need no
    /// lock.
    pub fn value<T: Shared + Sync>(&self, name: &str, initial: T) -> Result<Value<T>, Error> {
        let place = self.place(name, sys::DEADBOLT_OBJECT_OTHER, move |place: *mut T| {
            // SAFETY: fresh memory of the right size and alignment.
            unsafe { place.write(initial) }
        })?;
        Ok(Value::at(self, place))
    }

    /// The object of this name; `first` initialises a new one, whose memory is zero.
    pub(crate) fn place<T: 'static>(
        &self,
        name: &str,
        kind: sys::deadbolt_object_kind,
        first: impl FnOnce(*mut T),
    ) -> Result<NonNull<T>, Error> {
        let place = self.place_of(name, size_of::<T>(), align_of::<T>(), kind, |p| {
            first(p.cast())
        })?;
        self.claim(place)
    }

    /// Records that this process uses the object at `place` as a T. The directory of names stores
    /// size and kind only, so this is what keeps two Rust types from sharing one object.
    pub(crate) fn claim<T: 'static>(&self, place: NonNull<u8>) -> Result<NonNull<T>, Error> {
        let kind = TypeId::of::<T>();
        self.inner.claims.claim(place.as_ptr() as usize, kind)?;
        Ok(place.cast())
    }

    pub(crate) fn place_of(
        &self,
        name: &str,
        size: usize,
        alignment: usize,
        kind: sys::deadbolt_object_kind,
        first: impl FnOnce(*mut u8),
    ) -> Result<NonNull<u8>, Error> {
        let name = c_name(name)?;
        let mut fresh = false;
        let handle = self.inner.handle.get();
        // SAFETY: valid pointers; what is begun is ended.
        unsafe {
            let place = sys::deadbolt_region_find_or_begin_construct(
                handle,
                name.as_ptr(),
                size,
                alignment,
                kind,
                &mut fresh,
            );
            let place = NonNull::new(place).ok_or_else(last_construct_error)?;
            if fresh {
                first(place.as_ptr());
                sys::deadbolt_region_end_construct(handle, name.as_ptr(), true);
            }
            Ok(place)
        }
    }
}

impl AsRawFd for Region {
    fn as_raw_fd(&self) -> RawFd {
        // SAFETY: open as long as it lives.
        unsafe { sys::deadbolt_region_descriptor(self.inner.handle.get()) }
    }
}
impl AsFd for Region {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the region's as long as it lives.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

/// A named value in a region, from [`Region::value`].
#[derive(Clone)]
pub struct Value<T: Shared + Sync> {
    place: NonNull<T>,
    _region: Region,
}

// SAFETY: gives `&T` alone, and T is Sync.
unsafe impl<T: Shared + Sync> Send for Value<T> {}
unsafe impl<T: Shared + Sync> Sync for Value<T> {}

impl<T: Shared + Sync> Value<T> {
    pub(crate) fn at(region: &Region, place: NonNull<T>) -> Value<T> {
        Value {
            place,
            _region: region.clone(),
        }
    }
}

impl<T: Shared + Sync> Deref for Value<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: initialised, mapped as long as the region lives.
        unsafe { self.place.as_ref() }
    }
}
impl<T: Shared + Sync + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Why a region is not open.
pub(crate) fn open_error(status: sys::deadbolt_region_status, error: i32) -> Error {
    match status {
        sys::DEADBOLT_REGION_NOT_FOUND => Error::Io(io::ErrorKind::NotFound.into()),
        sys::DEADBOLT_REGION_EXISTS => Error::Io(io::ErrorKind::AlreadyExists.into()),
        sys::DEADBOLT_REGION_SYSTEM_ERROR => Error::Io(io::Error::from_raw_os_error(error)),
        // SAFETY: the C function returns a static string for every value.
        other => Error::Region(name(unsafe { sys::deadbolt_region_status_name(other) })),
    }
}

pub(crate) fn c_path(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::Io(io::ErrorKind::InvalidInput.into()))
}
