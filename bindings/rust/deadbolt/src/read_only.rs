// SPDX-License-Identifier: MIT
use crate::names::{c_name, last_construct_error, list};
use crate::region::{c_path, open_error};
use crate::{Error, ObjectInfo, Shared};
use deadbolt_sys as sys;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::{align_of, size_of, MaybeUninit};
use std::os::unix::io::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicU8, Ordering::Relaxed};

/// A region that is mapped to be read: by a process that may not write the file, or that must not
/// change the data. It takes no lock.
///
/// ```
/// use deadbolt::{Options, ReadOnlyRegion};
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// let region = Options::new(4096).create_anonymous("doc")?;
/// region.value("requests", AtomicU64::new(0))?.fetch_add(7, Relaxed);
/// let monitor = ReadOnlyRegion::from_descriptor(&region)?;
/// assert_eq!(monitor.read::<u64>("requests")?, Some(7));
/// assert_eq!(monitor.read::<u64>("errors")?, None);
/// # Ok::<(), deadbolt::Error>(())
/// ```
pub struct ReadOnlyRegion {
    handle: UnsafeCell<sys::deadbolt_read_only_region>,
}

// SAFETY: only opening and closing write the handle, and then no other reference to it exists.
unsafe impl Send for ReadOnlyRegion {}
unsafe impl Sync for ReadOnlyRegion {}

impl ReadOnlyRegion {
    /// The region in this file.
    pub fn open(path: impl AsRef<Path>) -> Result<ReadOnlyRegion, Error> {
        let path = c_path(path.as_ref())?;
        // SAFETY: valid pointers.
        Self::made(|handle| unsafe { sys::deadbolt_read_only_region_open(handle, path.as_ptr()) })
    }
    /// The region behind a descriptor that is open for reading, which stays the caller's.
    pub fn from_descriptor(descriptor: impl AsFd) -> Result<ReadOnlyRegion, Error> {
        let descriptor = descriptor.as_fd().as_raw_fd();
        // SAFETY: a valid pointer and an open descriptor.
        Self::made(|handle| unsafe {
            sys::deadbolt_read_only_region_open_descriptor(handle, descriptor)
        })
    }

    fn made(
        open: impl FnOnce(*mut sys::deadbolt_read_only_region) -> sys::deadbolt_region_status,
    ) -> Result<ReadOnlyRegion, Error> {
        let mut handle = sys::DEADBOLT_READ_ONLY_REGION_INIT;
        match open(&mut handle) {
            sys::DEADBOLT_REGION_OPEN => Ok(ReadOnlyRegion {
                handle: UnsafeCell::new(handle),
            }),
            status => Err(open_error(status, handle.error)),
        }
    }

    /// Bytes of data now: another process may make it grow.
    pub fn size(&self) -> usize {
        // SAFETY: open as long as it lives.
        unsafe { sys::deadbolt_read_only_region_size(self.handle.get()) }
    }
    /// Whether this name leads to the region's file: false when the file was removed or replaced.
    pub fn is_at(&self, path: impl AsRef<Path>) -> bool {
        c_path(path.as_ref()).map_or(false, |path| {
            // SAFETY: valid pointers.
            unsafe { sys::deadbolt_read_only_region_is_at(self.handle.get(), path.as_ptr()) }
        })
    }
    /// All named objects; as [`Region::objects`](crate::Region::objects).
    pub fn objects(&self) -> Vec<ObjectInfo> {
        // SAFETY: valid pointers.
        list(|position, info| unsafe {
            sys::deadbolt_read_only_region_next_object(self.handle.get(), position, info)
        })
    }

    /// A copy of the value of this name, if there is one. Where another process writes it meanwhile
    /// the copy may be half old and half new. Each aligned word as large as T's alignment (8 bytes
    /// at most) is read in one load. The object of a [`Mutex<T>`](crate::Mutex) is 16 bytes of lock
    /// followed by the T, aligned.
    pub fn read<T: Shared>(&self, name: &str) -> Result<Option<T>, Error> {
        let name = c_name(name)?;
        // SAFETY: valid pointers.
        let place = unsafe {
            sys::deadbolt_read_only_region_find(
                self.handle.get(),
                name.as_ptr(),
                size_of::<T>(),
                align_of::<T>(),
                sys::DEADBOLT_OBJECT_OTHER,
            )
        };
        if !place.is_null() {
            // SAFETY: as many bytes are mapped there, aligned for a T.
            return Ok(Some(unsafe { copy_of(place.cast()) }));
        }
        // SAFETY: tells the outcome of this thread's last call.
        match unsafe { sys::deadbolt_last_construct_status() } {
            sys::DEADBOLT_CONSTRUCT_NOT_FOUND => Ok(None),
            _ => Err(last_construct_error()),
        }
    }
}

/// A copy of what other processes may write meanwhile.
///
/// # Safety
/// A T's bytes can be read at `from`, which is aligned for it.
unsafe fn copy_of<T: Shared>(from: *const T) -> T {
    let mut copy = MaybeUninit::<T>::uninit();
    macro_rules! by {
        ($atomic:ty, $number:ty) => {{
            let (from, to) = (from.cast::<$atomic>(), copy.as_mut_ptr().cast::<$number>());
            for i in 0..size_of::<T>() / size_of::<$number>() {
                to.add(i).write((*from.add(i)).load(Relaxed));
            }
        }};
    }
    // A type's size is a multiple of its alignment.
    match align_of::<T>() {
        alignment if alignment >= 8 => by!(AtomicU64, u64),
        4 => by!(AtomicU32, u32),
        2 => by!(AtomicU16, u16),
        _ => by!(AtomicU8, u8),
    }
    // Every bit pattern is a value of a shared type.
    copy.assume_init()
}

impl Drop for ReadOnlyRegion {
    fn drop(&mut self) {
        // SAFETY: it gives nothing out that could be in use.
        unsafe { sys::deadbolt_read_only_region_close(self.handle.get()) };
    }
}

impl fmt::Debug for ReadOnlyRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadOnlyRegion of {} bytes", self.size())
    }
}
