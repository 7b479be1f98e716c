//! Prefetching of memory.

/// Prefetches values into the second-level cache.
#[inline(always)]
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks((64 / size_of::<T>().max(1)).max(1)) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: the address lies in a slice; every x86-64 processor has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// Prefetches the cache line of an address into the second-level cache. The address need not be
/// valid.
#[inline(always)]
pub(crate) fn prefetch_line(address: *const u8) {
    // Not the intrinsic: the compiler orders it among loads, and spills registers of the inner
    // loop of AVX2 for that.
    #[cfg(target_arch = "x86_64")]
    #[expect(clippy::pointers_in_nomem_asm_block, reason = "a prefetch reads nothing that the program sees")]
    // SAFETY: a prefetch never faults and changes nothing that the program sees.
    unsafe {
        std::arch::asm!("prefetcht1 byte ptr [{}]", in(reg) address, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
