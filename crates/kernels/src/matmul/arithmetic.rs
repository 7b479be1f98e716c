//! Arithmetic of the inner loop: the registers of an instruction set and a precision, and the
//! operations on them.

/// Registers of some columns, and their multiplication.
///
/// # Safety
/// Calling any method requires that the machine has the instructions of the implementation, and
/// that the memory behind the pointers can be read or written: a word of the left operand,
/// `RHS_BYTES` of the right one, `LANES` words of sums. No alignment is required beyond that of
/// words.
pub(super) trait Arithmetic {
    /// Sums of `LANES` columns.
    type Sums: Copy;
    /// A word of the left operand in every lane.
    type Lhs: Copy;
    /// Words of the right operand.
    type Rhs: Copy;
    const LANES: usize;
    /// Bytes of the right operand for all lanes and one word of depth.
    const RHS_BYTES: usize;
    /// Unrolled iterations of the inner loop.
    const UNROLL: usize = 1;

    unsafe fn zero() -> Self::Sums;
    unsafe fn load(from: *const u32) -> Self::Sums;
    unsafe fn store(sums: Self::Sums, into: *mut u32);
    unsafe fn lhs(word: *const u32) -> Self::Lhs;
    unsafe fn rhs(words: *const u8) -> Self::Rhs;
    unsafe fn multiply_add(sums: Self::Sums, lhs: Self::Lhs, rhs: Self::Rhs) -> Self::Sums;
}

pub(in crate::matmul) mod portable {
    use super::Arithmetic;

    use crate::fused::{self, LANES};

    pub(in crate::matmul) struct Floats;
    /// Floats that are bf16. Their products are exact above 2⁻¹³³, so that fusing the addition
    /// changes no bit.
    pub(in crate::matmul) struct RoundedFloats;
    pub(in crate::matmul) struct Bytes;

    macro_rules! memory {
        ($type:ty) => {
            type Sums = [$type; LANES];
            const LANES: usize = LANES;

            #[inline(always)]
            unsafe fn zero() -> Self::Sums {
                [<$type>::default(); LANES]
            }
            #[inline(always)]
            unsafe fn load(from: *const u32) -> Self::Sums {
                // SAFETY: the caller promises that all lanes can be read.
                unsafe { from.cast::<Self::Sums>().read_unaligned() }
            }
            #[inline(always)]
            unsafe fn store(sums: Self::Sums, into: *mut u32) {
                // SAFETY: the caller promises that all lanes can be written.
                unsafe { into.cast::<Self::Sums>().write_unaligned(sums) }
            }
        };
    }

    macro_rules! floats {
        ($name:ident, $multiply_add:expr) => {
            impl Arithmetic for $name {
                memory!(f32);
                type Lhs = f32;
                type Rhs = [f32; LANES];
                const RHS_BYTES: usize = 4 * LANES;

                #[inline(always)]
                unsafe fn lhs(word: *const u32) -> f32 {
                    // SAFETY: the caller promises that the word can be read.
                    unsafe { word.cast::<f32>().read() }
                }
                #[inline(always)]
                unsafe fn rhs(words: *const u8) -> Self::Rhs {
                    // SAFETY: the caller promises that all lanes can be read.
                    unsafe { words.cast::<Self::Rhs>().read_unaligned() }
                }
                #[inline(always)]
                unsafe fn multiply_add(sums: Self::Sums, lhs: f32, rhs: Self::Rhs) -> Self::Sums {
                    $multiply_add(sums, lhs, rhs)
                }
            }
        };
    }

    floats!(Floats, fused::multiply_add);
    floats!(RoundedFloats, |sums: Self::Sums, lhs: f32, rhs: Self::Rhs| -> Self::Sums {
        std::array::from_fn(|lane| sums[lane] + lhs * rhs[lane])
    });

    impl Arithmetic for Bytes {
        memory!(i32);
        type Lhs = [i32; 2];
        type Rhs = [[i8; 2]; LANES];
        const RHS_BYTES: usize = 2 * LANES;

        #[inline(always)]
        unsafe fn lhs(word: *const u32) -> Self::Lhs {
            // SAFETY: the caller promises that the word can be read.
            let word = unsafe { word.read() };
            [(word & 0xffff) as i32, (word >> 16) as i32]
        }
        #[inline(always)]
        unsafe fn rhs(words: *const u8) -> Self::Rhs {
            // SAFETY: the caller promises that all lanes can be read.
            unsafe { words.cast::<Self::Rhs>().read_unaligned() }
        }
        #[inline(always)]
        unsafe fn multiply_add(sums: Self::Sums, lhs: Self::Lhs, rhs: Self::Rhs) -> Self::Sums {
            std::array::from_fn(|lane| sums[lane] + lhs[0] * i32::from(rhs[lane][0]) + lhs[1] * i32::from(rhs[lane][1]))
        }
    }
}

/// Implements [`Arithmetic`] with intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! arithmetic {
    (
        $name:ident: $lanes:literal lanes of $sums:ty, $lhs:ty, $rhs:ty, $bytes:literal bytes, $unroll:literal unrolled;
        zero $zero:expr;
        load |$from:ident| $load:expr;
        store |$stored:ident, $into:ident| $store:expr;
        lhs |$word:ident| $broadcast:expr;
        rhs |$words:ident| $widen:expr;
        multiply_add |$sum:ident, $l:ident, $r:ident| $multiply_add:expr;
    ) => {
        pub(in crate::matmul) struct $name;

        impl super::Arithmetic for $name {
            type Sums = $sums;
            type Lhs = $lhs;
            type Rhs = $rhs;
            const LANES: usize = $lanes;
            const RHS_BYTES: usize = $bytes;
            const UNROLL: usize = $unroll;

            #[inline(always)]
            unsafe fn zero() -> Self::Sums {
                // SAFETY: the caller promises the instructions, here and below.
                unsafe { $zero }
            }
            #[inline(always)]
            unsafe fn load($from: *const u32) -> Self::Sums {
                // SAFETY: the caller promises that all lanes can be read.
                unsafe { $load }
            }
            #[inline(always)]
            unsafe fn store($stored: Self::Sums, $into: *mut u32) {
                // SAFETY: the caller promises that all lanes can be written.
                unsafe { $store }
            }
            #[inline(always)]
            unsafe fn lhs($word: *const u32) -> Self::Lhs {
                // SAFETY: the caller promises that the word can be read.
                unsafe { $broadcast }
            }
            #[inline(always)]
            unsafe fn rhs($words: *const u8) -> Self::Rhs {
                // SAFETY: the caller promises that all lanes can be read.
                unsafe { $widen }
            }
            #[inline(always)]
            unsafe fn multiply_add($sum: Self::Sums, $l: Self::Lhs, $r: Self::Rhs) -> Self::Sums {
                // SAFETY: operates on registers; the caller promises the instructions.
                unsafe { $multiply_add }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(in crate::matmul) mod avx2 {
    use std::arch::x86_64::*;

    arithmetic! {
        Floats: 8 lanes of __m256, __m256, __m256, 32 bytes, 4 unrolled;
        zero _mm256_setzero_ps();
        load |from| _mm256_loadu_ps(from.cast());
        store |sums, into| _mm256_storeu_ps(into.cast(), sums);
        lhs |word| _mm256_set1_ps(word.cast::<f32>().read());
        rhs |words| _mm256_loadu_ps(words.cast());
        multiply_add |sums, lhs, rhs| _mm256_fmadd_ps(lhs, rhs, sums);
    }

    arithmetic! {
        Bytes: 8 lanes of __m256i, __m256i, __m256i, 32 bytes, 1 unrolled;
        zero _mm256_setzero_si256();
        load |from| _mm256_loadu_si256(from.cast());
        store |sums, into| _mm256_storeu_si256(into.cast(), sums);
        lhs |word| _mm256_set1_epi32(word.cast::<i32>().read());
        rhs |words| _mm256_loadu_si256(words.cast());
        multiply_add |sums, lhs, rhs| {
            // Two products of 8 and 7 bits fit into 16 bits without saturation.
            let pairs = _mm256_maddubs_epi16(lhs, rhs);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        };
    }
}

#[cfg(target_arch = "x86_64")]
pub(in crate::matmul) mod avx512 {
    use std::arch::x86_64::*;

    arithmetic! {
        Floats: 16 lanes of __m512, __m512, __m512, 64 bytes, 4 unrolled;
        zero _mm512_setzero_ps();
        load |from| _mm512_loadu_ps(from.cast());
        store |sums, into| _mm512_storeu_ps(into.cast(), sums);
        lhs |word| _mm512_set1_ps(word.cast::<f32>().read());
        rhs |words| _mm512_loadu_ps(words.cast());
        multiply_add |sums, lhs, rhs| _mm512_fmadd_ps(lhs, rhs, sums);
    }

    arithmetic! {
        Bf16: 16 lanes of __m512, __m512i, __m512i, 64 bytes, 4 unrolled;
        zero _mm512_setzero_ps();
        load |from| _mm512_loadu_ps(from.cast());
        store |sums, into| _mm512_storeu_ps(into.cast(), sums);
        lhs |word| _mm512_set1_epi32(word.cast::<i32>().read());
        rhs |words| _mm512_loadu_si512(words.cast());
        multiply_add |sums, lhs, rhs| {
            // The same bits under another type.
            let (lhs, rhs) = (
                std::mem::transmute::<__m512i, __m512bh>(lhs),
                std::mem::transmute::<__m512i, __m512bh>(rhs),
            );
            _mm512_dpbf16_ps(sums, lhs, rhs)
        };
    }

    arithmetic! {
        Bytes: 16 lanes of __m512i, __m512i, __m512i, 64 bytes, 4 unrolled;
        zero _mm512_setzero_si512();
        load |from| _mm512_loadu_si512(from.cast());
        store |sums, into| _mm512_storeu_si512(into.cast(), sums);
        lhs |word| _mm512_set1_epi32(word.cast::<i32>().read());
        rhs |words| _mm512_loadu_si512(words.cast());
        multiply_add |sums, lhs, rhs| _mm512_dpbusd_epi32(sums, lhs, rhs);
    }
}

#[cfg(target_arch = "aarch64")]
pub(in crate::matmul) mod neon {
    use std::arch::aarch64::*;

    arithmetic! {
        Floats: 4 lanes of float32x4_t, float32x4_t, float32x4_t, 16 bytes, 4 unrolled;
        zero vdupq_n_f32(0.0);
        load |from| vld1q_f32(from.cast());
        store |sums, into| vst1q_f32(into.cast(), sums);
        lhs |word| vdupq_n_f32(word.cast::<f32>().read());
        rhs |words| vld1q_f32(words.cast());
        multiply_add |sums, lhs, rhs| vfmaq_f32(sums, lhs, rhs);
    }

    arithmetic! {
        Bytes: 4 lanes of int32x4_t, int16x8_t, int16x8_t, 8 bytes, 1 unrolled;
        zero vdupq_n_s32(0);
        load |from| vld1q_s32(from.cast());
        store |sums, into| vst1q_s32(into.cast(), sums);
        lhs |word| vreinterpretq_s16_u32(vdupq_n_u32(word.read()));
        rhs |words| vmovl_s8(vld1_s8(words.cast()));
        multiply_add |sums, lhs, rhs| {
            let low = vmull_s16(vget_low_s16(lhs), vget_low_s16(rhs));
            let high = vmull_high_s16(lhs, rhs);
            vaddq_s32(sums, vpaddq_s32(low, high))
        };
    }
}
