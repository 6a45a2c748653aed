// SPDX-License-Identifier: MIT
//! The Rust type as which this process uses each object. The directory of a region knows an
//! object's size, not its Rust type: without this list, safe code could have the bytes of a
//! `Mutex<u64>` as a `Value<[u64; 3]>` too, a plain reference to what the lock's owner changes.

use crate::Error;
use std::any::TypeId;
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Use {
    address: usize,
    kind: TypeId,
    id: u64, // no two entries ever have the same
    users: usize,
}

struct Uses {
    sorted: Vec<Use>, // by address: each region is mapped once in a process
    last_id: u64,
}

static USES: Mutex<Uses> = Mutex::new(Uses {
    sorted: Vec::new(),
    last_id: 0,
});

/// A panic leaves the list whole: it can only come from an allocation, before a change.
fn locked<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Uses {
    fn find(&self, address: usize) -> Result<usize, usize> {
        self.sorted.binary_search_by_key(&address, |a| a.address)
    }
}

/// What one handle on a region uses, by address and id.
#[derive(Default)]
pub(crate) struct Claims {
    list: Mutex<Vec<(usize, u64)>>,
}

impl Claims {
    /// An error if this process uses the object as another type already.
    pub(crate) fn claim(&self, address: usize, kind: TypeId) -> Result<(), Error> {
        let (mut uses, mut list) = (locked(&USES), locked(&self.list));
        let index = match uses.find(address) {
            Ok(index) if uses.sorted[index].kind != kind => {
                return Err(Error::Object("other_type"));
            }
            Ok(index) => index,
            Err(index) => {
                uses.last_id += 1;
                let new = Use {
                    address,
                    kind,
                    id: uses.last_id,
                    users: 0,
                };
                uses.sorted.insert(index, new);
                index
            }
        };
        let claim = (address, uses.sorted[index].id);
        if !list.contains(&claim) {
            list.push(claim);
            uses.sorted[index].users += 1;
        }
        Ok(())
    }

    /// The handle is about to be closed. After that the addresses may belong to another region.
    pub(crate) fn release(&self) {
        let mut uses = locked(&USES);
        for (address, id) in locked(&self.list).drain(..) {
            if let Ok(index) = uses.find(address) {
                if uses.sorted[index].id == id {
                    uses.sorted[index].users -= 1;
                    if uses.sorted[index].users == 0 {
                        uses.sorted.remove(index);
                    }
                }
            }
        }
    }
}

/// Calls `destroy`, which tells the address of the object that it destroyed. Nobody can claim what
/// another thread puts there before the old use is taken from the list.
pub(crate) fn destroyed_by(destroy: impl FnOnce() -> Result<usize, Error>) -> Result<(), Error> {
    let mut uses = locked(&USES);
    let address = destroy()?;
    if let Ok(index) = uses.find(address) {
        uses.sorted.remove(index);
    }
    Ok(())
}
