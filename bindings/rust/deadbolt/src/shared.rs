// SPDX-License-Identifier: MIT
use std::sync::atomic::{
    AtomicI16, AtomicI32, AtomicI64, AtomicI8, AtomicIsize, AtomicU16, AtomicU32, AtomicU64,
    AtomicU8, AtomicUsize,
};

/// Types that may live in memory that other processes map, at other addresses.
///
/// # Safety
/// - No pointers, references, or anything that has a meaning in one process only: descriptors,
///   thread handles, a `TypeId`. Use offsets.
/// - The layout is defined (`#[repr(C)]`, or a primitive), so that every program agrees on it.
/// - Every bit pattern is a value: another process, killed half-way, may leave any mixture of
///   old and new bytes. Hence no `bool`, `char`, enum or `NonZero`; and zeroed memory is a value.
/// - It has nothing to drop: a region outlives its processes.
///
/// [`shared!`](crate::shared) declares a struct that keeps these rules.
pub unsafe trait Shared: Sized + Send + 'static {}

macro_rules! primitives {
    ($($name:ty),*) => { $(
        // SAFETY: plain numbers.
        unsafe impl Shared for $name {}
    )* };
}
primitives! {
    (), u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64,
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize
}
// SAFETY: elements and nothing else.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

/// Declares structs that are `#[repr(C)]` and [`Shared`]; every field must be `Shared`.
///
/// ```
/// deadbolt::shared! {
///     #[derive(Clone, Copy, Debug, Default)]
///     pub struct Point { pub x: f64, pub y: f64 }
///     struct Path { length: u32, points: [Point; 8] }
/// }
/// fn is_shared<T: deadbolt::Shared>() {}
/// is_shared::<Path>();
/// ```
///
/// What cannot be shared does not compile:
/// ```compile_fail
/// deadbolt::shared! { struct Bad { name: String } }
/// ```
/// ```compile_fail
/// deadbolt::shared! { struct Bad { next: *mut u8 } }
/// ```
/// ```compile_fail
/// deadbolt::shared! { struct Bad { is_set: bool } }
/// ```
/// ```compile_fail
/// deadbolt::shared! { struct Bad { number: u64 } }
/// impl Drop for Bad { fn drop(&mut self) {} }
/// ```
#[macro_export]
macro_rules! shared {
    ($(
        $(#[$meta:meta])* $visibility:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_visibility:vis $field:ident: $type:ty ),* $(,)?
        }
    )*) => { $(
        $(#[$meta])*
        #[repr(C)]
        $visibility struct $name { $( $(#[$field_meta])* $field_visibility $field: $type ),* }
        // SAFETY: repr(C), every field is Shared and nothing is dropped: checked below.
        unsafe impl $crate::Shared for $name {}
        const _: () = {
            $( $crate::check_field::<$type>(); )*
            assert!(!::core::mem::needs_drop::<$name>(), "a shared type has nothing to drop");
        };
    )* };
}

#[doc(hidden)]
pub const fn check_field<T: Shared>() {}
