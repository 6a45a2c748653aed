// SPDX-License-Identifier: MIT
//! The named objects of a region: found, listed and destroyed.

use crate::error::{last_attach_failure, name, Error};
use crate::{uses, Condvar, Mutex, Region, RwLock, Semaphore, Shared, Value};
use deadbolt_sys as sys;
use std::ffi::{CStr, CString};
use std::ptr::NonNull;

/// What a named object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectKind {
    /// A `Mutex<()>`: a `deadbolt_mutex` alone.
    Mutex,
    /// An `RwLock<()>`: a `deadbolt_shared_mutex` alone.
    RwLock,
    /// A [`Condvar`].
    Condvar,
    /// A [`Semaphore`].
    Semaphore,
    /// Anything else: a [`Value`], or a lock with its data.
    Other,
}

/// A named object, as [`Region::objects`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// From the start of the data.
    pub offset: usize,
    /// In bytes.
    pub size: usize,
    /// What it is.
    pub kind: ObjectKind,
}

fn text_of(info: &sys::deadbolt_object_info) -> &CStr {
    // SAFETY: the library ends the name with a zero.
    unsafe { CStr::from_ptr(info.name.as_ptr()) }
}

/// Calls `next` with a position and a place for the object until it returns false.
pub(crate) fn for_each(
    mut next: impl FnMut(*mut u32, *mut sys::deadbolt_object_info) -> bool,
    mut take: impl FnMut(&sys::deadbolt_object_info),
) {
    let mut position = 0;
    let mut info = sys::deadbolt_object_info {
        name: [0; 40],
        offset: 0,
        size: 0,
        kind: 0,
    };
    while next(&mut position, &mut info) {
        take(&info);
    }
}

pub(crate) fn list(
    next: impl FnMut(*mut u32, *mut sys::deadbolt_object_info) -> bool,
) -> Vec<ObjectInfo> {
    let mut all = Vec::new();
    for_each(next, |info| {
        all.push(ObjectInfo {
            name: text_of(info).to_string_lossy().into_owned(),
            offset: info.offset,
            size: info.size,
            kind: match info.kind {
                sys::DEADBOLT_OBJECT_MUTEX => ObjectKind::Mutex,
                sys::DEADBOLT_OBJECT_SHARED_MUTEX => ObjectKind::RwLock,
                sys::DEADBOLT_OBJECT_CONDITION_VARIABLE => ObjectKind::Condvar,
                sys::DEADBOLT_OBJECT_COUNTING_SEMAPHORE => ObjectKind::Semaphore,
                _ => ObjectKind::Other,
            },
        });
    });
    all
}

pub(crate) fn c_name(name: &str) -> Result<CString, Error> {
    if name.is_empty() || name.len() > 39 {
        return Err(Error::Name);
    }
    CString::new(name).map_err(|_| Error::Name)
}

/// Why the calling thread's last search found nothing; None where there is no such object.
pub(crate) fn not_found() -> Result<Option<NonNull<u8>>, Error> {
    // SAFETY: tells the outcome of this thread's last call.
    match unsafe { sys::deadbolt_last_construct_status() } {
        sys::DEADBOLT_CONSTRUCT_NOT_FOUND => Ok(None),
        _ => Err(last_construct_error()),
    }
}

pub(crate) fn last_construct_error() -> Error {
    // SAFETY: the outcome of this thread's last call; the C function returns a static string for
    // every value.
    match unsafe { sys::deadbolt_last_construct_status() } {
        sys::DEADBOLT_CONSTRUCT_CANNOT_ATTACH => Error::Attach(last_attach_failure()),
        status => Error::Object(name(unsafe { sys::deadbolt_construct_status_name(status) })),
    }
}

impl Region {
    /// The mutex of this name, if there is one; like all searches it waits for no other process
    /// and makes nothing.
    pub fn find_mutex<T: Shared>(&self, name: &str) -> Result<Option<Mutex<T>>, Error> {
        Mutex::existing(self, name)
    }
    /// The readers-writer lock of this name, if there is one.
    pub fn find_rwlock<T: Shared + Sync>(&self, name: &str) -> Result<Option<RwLock<T>>, Error> {
        RwLock::existing(self, name)
    }
    /// The condition variable of this name, if there is one.
    pub fn find_condvar(&self, name: &str) -> Result<Option<Condvar>, Error> {
        Condvar::existing(self, name)
    }
    /// The semaphore of this name and this many permits, if there is one.
    pub fn find_semaphore(&self, name: &str, permits: usize) -> Result<Option<Semaphore>, Error> {
        Semaphore::existing(self, name, permits)
    }
    /// The value of this name, if there is one.
    pub fn find_value<T: Shared + Sync>(&self, name: &str) -> Result<Option<Value<T>>, Error> {
        let found = self.find_place(name, sys::DEADBOLT_OBJECT_OTHER)?;
        Ok(found.map(|place| Value::at(self, place)))
    }

    pub(crate) fn find_place<T: 'static>(
        &self,
        name: &str,
        kind: sys::deadbolt_object_kind,
    ) -> Result<Option<NonNull<T>>, Error> {
        let (size, alignment) = (std::mem::size_of::<T>(), std::mem::align_of::<T>());
        let found = self.find_place_of(name, size, alignment, kind)?;
        found.map(|place| self.claim(place)).transpose()
    }

    pub(crate) fn find_place_of(
        &self,
        name: &str,
        size: usize,
        alignment: usize,
        kind: sys::deadbolt_object_kind,
    ) -> Result<Option<NonNull<u8>>, Error> {
        let name = c_name(name)?;
        // SAFETY: valid pointers.
        let place = unsafe {
            sys::deadbolt_region_find(self.handle(), name.as_ptr(), size, alignment, kind)
        };
        NonNull::new(place).map_or_else(not_found, |place| Ok(Some(place)))
    }

    /// All named objects. It waits for no other process: an object that is made or destroyed
    /// meanwhile may be among them or not.
    pub fn objects(&self) -> Vec<ObjectInfo> {
        // SAFETY: valid pointers.
        list(|position, info| unsafe {
            sys::deadbolt_region_next_object(self.handle(), position, info)
        })
    }

    /// Gives the name and the bytes of an object back, for other objects. It is an error if there
    /// is none (`"not_found"`), or (`"in_use"`) if it is a `Mutex<()>`, `RwLock<()>` or
    /// [`Semaphore`](crate::Semaphore) that is held or whose next owner is to be told of a death,
    /// or a [`Condvar`](crate::Condvar) on which a thread may be asleep. A lock with data is not
    /// examined.
    ///
    /// # Safety
    /// No process uses the object any more: this one has no [`Mutex`], [`Value`] or other handle
    /// on it left, and no other process has.
    pub unsafe fn destroy(&self, name: &str) -> Result<(), Error> {
        let wanted = c_name(name)?;
        uses::destroyed_by(|| loop {
            let mut found = None;
            for_each(
                |position, info| sys::deadbolt_region_next_object(self.handle(), position, info),
                |info| {
                    if text_of(info) == wanted.as_c_str() {
                        found = Some((info.offset, info.size, info.kind));
                    }
                },
            );
            let (offset, size, kind) = found.ok_or(Error::Object("not_found"))?;
            let handle = self.handle();
            match sys::deadbolt_region_destroy(handle, wanted.as_ptr(), size, 1, kind) {
                sys::DEADBOLT_DESTROYED => {
                    return Ok(sys::deadbolt_region_data(handle) as usize + offset)
                }
                // Another thread destroyed it, and gave the name to an object of another kind.
                sys::DEADBOLT_DESTROY_OTHER_KIND => continue,
                sys::DEADBOLT_DESTROY_CANNOT_ATTACH => {
                    return Err(Error::Attach(last_attach_failure()))
                }
                status => {
                    let text = sys::deadbolt_destroy_status_name(status);
                    return Err(Error::Object(crate::error::name(text)));
                }
            }
        })
    }
}
