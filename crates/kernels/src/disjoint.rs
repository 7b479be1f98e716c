//! A slice whose disjoint parts are written by several threads.

use std::marker::PhantomData;
use std::ops::Range;

/// An exclusively borrowed slice that hands out parts from several threads.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    length: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it hands out parts of a slice of `Send` values, each to one thread, as `slice` requires.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(data: &'a mut [T]) -> Self {
        Self { start: data.as_mut_ptr(), length: data.len(), borrow: PhantomData }
    }

    /// Returns the start of a part, which is checked to lie within the slice.
    pub(crate) fn pointer(&self, range: Range<usize>) -> *mut T {
        assert!(range.start <= range.end && range.end <= self.length, "{range:?} of {}", self.length);
        // SAFETY: the place lies within the slice.
        unsafe { self.start.add(range.start) }
    }

    /// Returns a part, which is checked to lie within the slice.
    ///
    /// # Safety
    /// No overlapping part is in use.
    #[allow(clippy::mut_from_ref, reason = "the caller promises that parts do not overlap")]
    pub(crate) unsafe fn slice(&self, range: Range<usize>) -> &'a mut [T] {
        let (start, length) = (self.pointer(range.clone()), range.len());
        // SAFETY: the part lies within a slice that is borrowed for 'a, and the caller promises that no
        // other reference to it is in use.
        unsafe { std::slice::from_raw_parts_mut(start, length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "2..5 of 4")]
    fn parts_beyond_the_slice_are_refused() {
        Disjoint::new(&mut [0; 4]).pointer(2..5);
    }
}
