// SPDX-License-Identifier: MIT
//! What a thread holds, for the case that it panics: a lock whose data may be half-written is
//! not released but abandoned, and passes on as owner_died when the thread's membership ends.
//! That takes every lock of the thread with it, so it waits for the thread's last guard.

use crate::region::Inner;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;

thread_local! {
    static GUARDS: Cell<usize> = const { Cell::new(0) };
    static ABANDONED: RefCell<Vec<Arc<Inner>>> = const { RefCell::new(Vec::new()) };
}

/// A part of every guard. Not `Send`: the owner of a lock is a thread.
#[derive(Debug)]
pub(crate) struct Hold {
    was_panicking: bool,
    not_send: PhantomData<*mut ()>,
}

impl Hold {
    pub(crate) fn new() -> Hold {
        let _ = GUARDS.try_with(|guards| guards.set(guards.get() + 1));
        Hold {
            was_panicking: thread::panicking(),
            not_send: PhantomData,
        }
    }

    /// Whether the guard is dropped by a panic that began in its time.
    pub(crate) fn panicked(&self) -> bool {
        !self.was_panicking && thread::panicking()
    }

    pub(crate) fn abandon(&self, region: &Arc<Inner>) {
        let _ = ABANDONED.try_with(|abandoned| abandoned.borrow_mut().push(region.clone()));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // In a thread that is past its thread-locals, the end of the thread does it.
        let left = GUARDS.try_with(|guards| {
            guards.set(guards.get() - 1);
            guards.get()
        });
        if left == Ok(0) {
            let _ = ABANDONED.try_with(|abandoned| {
                for region in abandoned.take() {
                    region.detach();
                }
            });
        }
    }
}
