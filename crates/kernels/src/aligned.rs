//! Memory aligned to cache lines, so that no load of a register crosses two lines.

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

impl Line {
    pub(crate) const ZERO: Self = Self([0; 64]);

    /// Returns lines of zeros. The system provides their pages at first use, on the thread that
    /// uses them.
    pub(crate) fn zeroed(count: usize) -> Vec<Self> {
        let Ok(layout) = std::alloc::Layout::array::<Self>(count) else { panic!("{count} cache lines exceed memory") };
        if layout.size() == 0 {
            return Vec::new();
        }
        // SAFETY: the layout has a size.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        if start.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        // SAFETY: allocated above with the layout of `count` lines, for which zeros are a valid
        // value.
        unsafe { Vec::from_raw_parts(start.cast(), count, count) }
    }
}

/// Numbers for which every bit pattern is valid, without padding.
///
/// # Safety
/// The type is as described.
pub(crate) unsafe trait Element: Copy + Default {}
// SAFETY: every bit pattern of these types is a value, and they have no padding.
unsafe impl Element for f32 {}
// SAFETY: as above.
unsafe impl Element for u32 {}
// SAFETY: as above.
unsafe impl Element for u16 {}
// SAFETY: as above.
unsafe impl Element for u8 {}
// SAFETY: as above.
unsafe impl Element for i8 {}

/// Returns the bytes of lines.
pub(crate) fn bytes(lines: &[Line]) -> &[u8] {
    // SAFETY: lines are bytes without gaps.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines)) }
}

/// Returns the bytes of lines for writing.
pub(crate) fn bytes_mut(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: lines are bytes without gaps, for which every bit pattern is valid.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
}

/// Views numbers as numbers of another type; a last incomplete one is left out.
///
/// # Panics
/// If the memory is not aligned for the type.
pub(crate) fn cast<A: Element, B: Element>(values: &[A]) -> &[B] {
    assert!(values.as_ptr().cast::<B>().is_aligned(), "memory is aligned");
    // SAFETY: aligned; every bit pattern is valid for both types; the length is in bytes of the
    // same memory.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values) / size_of::<B>()) }
}

/// Views numbers as numbers of another type for writing; a last incomplete one is left out.
///
/// # Panics
/// If the memory is not aligned for the type.
pub(crate) fn cast_mut<A: Element, B: Element>(values: &mut [A]) -> &mut [B] {
    assert!(values.as_ptr().cast::<B>().is_aligned(), "memory is aligned");
    // SAFETY: as in `cast`, and the memory is borrowed exclusively.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values) / size_of::<B>()) }
}
