//! The innermost loops: some rows of the left operand times one panel of the right one, all sums in registers.
//! One loop, written once; an [`Arithmetic`] says what its registers are and how they multiply on a rung in a precision.

/// Rows of the highest tile, and sums of the largest.
const HIGHEST: usize = 12;
pub(super) const LARGEST: usize = HIGHEST * 32;
/// Rows that are found from one pointer: as many as an address can tell apart by multiples of one register. With one pointer for
/// all, each waits for the addition of the one before, and AVX2 loses a fifth of its speed.
const GROUP: usize = 3;
const GROUPS: usize = HIGHEST / GROUP;

/// How the words of a left operand lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Row after row, so many words apart, and the steps of a row side by side.
    Rows(usize),
    /// Step after step, so many words apart, and the rows of a step side by side.
    Steps(usize),
}

impl Order {
    /// Words from row to row and from step to step.
    pub(crate) fn distances(self) -> (usize, usize) {
        match self {
            Self::Rows(step) => (step, 1),
            Self::Steps(step) => (1, step),
        }
    }
}

/// A tile to compute: `c[i][j] = Σ left[i][step] · panel[step][j]`.
pub(super) struct Job {
    /// The left operand's first word.
    pub(super) left: *const u32,
    pub(super) order: Order,
    /// The panel, from its first step.
    pub(super) panel: *const u8,
    pub(super) steps: usize,
    /// The sums' first word, and the words from row to row.
    pub(super) sums: *mut u32,
    pub(super) stride: usize,
    /// Whether the sums begin with what is there, instead of zero.
    pub(super) goes_on: bool,
}

/// A loop for tiles of so many rows.
///
/// # Safety
/// The machine has the instructions of the form that names the loop; all words that the job tells of can be read, and the sums
/// of `rows` rows written.
pub(super) type Kernel = unsafe fn(job: &Job, rows: usize);

/// Registers of some columns, and how they multiply.
trait Arithmetic {
    /// Sums of `LANES` columns.
    type Sums: Copy;
    /// Words of the left operand, the same in every lane.
    type Left: Copy;
    /// Words of the right operand.
    type Right: Copy;
    const LANES: usize;
    /// Bytes of the right operand for all lanes and one step.
    const RIGHT_BYTES: usize;
    /// Steps of one turn of the loop.
    const TURN: usize = 1;

    unsafe fn zero() -> Self::Sums;
    unsafe fn load(from: *const u32) -> Self::Sums;
    unsafe fn store(sums: Self::Sums, into: *mut u32);
    unsafe fn left(word: *const u32) -> Self::Left;
    unsafe fn right(words: *const u8) -> Self::Right;
    unsafe fn multiply_add(sums: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums;
}

/// The loop, for `R` rows and `V` registers of columns.
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn tile<A: Arithmetic, const R: usize, const V: usize>(job: &Job) {
    // SAFETY: of the whole function: the caller promises that everything which the job tells of can be read and written, and
    // that the machine has the instructions.
    unsafe {
        let mut sums = [[A::zero(); V]; R];
        if job.goes_on {
            for (i, row) in sums.iter_mut().enumerate() {
                for (v, sums) in row.iter_mut().enumerate() {
                    *sums = A::load(job.sums.add(i * job.stride + v * A::LANES));
                }
            }
        }
        let (turns, rest, mut panel) = (job.steps / A::TURN, job.steps % A::TURN, job.panel);
        match job.order {
            Order::Rows(row_step) => {
                let mut groups = [job.left; GROUPS];
                for (number, group) in groups[..R.div_ceil(GROUP)].iter_mut().enumerate() {
                    *group = job.left.wrapping_add(number * GROUP * row_step);
                }
                by_rows::<A, R, V>(turns, A::TURN, row_step, &mut groups, &mut panel, &mut sums);
                by_rows::<A, R, V>(rest, 1, row_step, &mut groups, &mut panel, &mut sums);
            }
            Order::Steps(k_step) => {
                let mut left = job.left;
                by_steps::<A, R, V>(turns, A::TURN, k_step, &mut left, &mut panel, &mut sums);
                by_steps::<A, R, V>(rest, 1, k_step, &mut left, &mut panel, &mut sums);
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (v, sums) in row.iter().enumerate() {
                A::store(*sums, job.sums.add(i * job.stride + v * A::LANES));
            }
        }
    }
}

/// Turns of so many steps, the left operand lying as [`Order::Rows`].
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn by_rows<A: Arithmetic, const R: usize, const V: usize>(
    turns: usize,
    turn: usize,
    row_step: usize,
    groups: &mut [*const u32; GROUPS],
    panel: &mut *const u8,
    sums: &mut [[A::Sums; V]; R],
) {
    let used = R.div_ceil(GROUP);
    for _ in 0..turns {
        for group in &mut groups[..used] {
            *group = apart(*group);
        }
        for s in 0..turn {
            // SAFETY: the caller promises that the words of all rows and steps can be read.
            unsafe {
                let left = |i: usize| groups[i / GROUP].add(i % GROUP * row_step + s);
                step::<A, R, V>(left, panel.add(s * V * A::RIGHT_BYTES), sums);
            }
        }
        for group in &mut groups[..used] {
            *group = group.wrapping_add(turn);
        }
        *panel = panel.wrapping_add(turn * V * A::RIGHT_BYTES);
    }
}

/// Turns of so many steps, the left operand lying as [`Order::Steps`].
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn by_steps<A: Arithmetic, const R: usize, const V: usize>(
    turns: usize,
    turn: usize,
    k_step: usize,
    left: &mut *const u32,
    panel: &mut *const u8,
    sums: &mut [[A::Sums; V]; R],
) {
    for _ in 0..turns {
        for s in 0..turn {
            // SAFETY: the caller promises that the words of all rows and steps can be read.
            unsafe {
                let words = left.add(s * k_step);
                step::<A, R, V>(|i| words.add(i), panel.add(s * V * A::RIGHT_BYTES), sums);
            }
        }
        *left = left.wrapping_add(turn * k_step);
        *panel = panel.wrapping_add(turn * V * A::RIGHT_BYTES);
    }
}

/// One step of all rows, whose words `left` tells.
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn step<A: Arithmetic, const R: usize, const V: usize>(
    left: impl Fn(usize) -> *const u32,
    panel: *const u8,
    sums: &mut [[A::Sums; V]; R],
) {
    // SAFETY: the caller promises that the words can be read and that the machine has the instructions.
    unsafe {
        let mut right = [A::right(panel); V];
        for (v, right) in right.iter_mut().enumerate() {
            *right = A::right(panel.add(v * A::RIGHT_BYTES));
        }
        for (i, row) in sums.iter_mut().enumerate() {
            let x = A::left(left(i));
            for (sums, right) in row.iter_mut().zip(right) {
                *sums = A::multiply_add(*sums, x, right);
            }
        }
    }
}

/// The same pointer. The compiler forgets that it lies a known way from others, and so does not compute one from the other.
#[inline(always)]
fn apart(pointer: *const u32) -> *const u32 {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut pointer = pointer;
        #[expect(clippy::pointers_in_nomem_asm_block, reason = "it passes through")]
        // SAFETY: no instruction.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
        }
        pointer
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pointer
}

/// Rows whose words [`registers`] keeps in registers.
pub(super) const HELD_ROWS: usize = 4;

/// The multiplications of a tile without the words of its left operand: those of the first step take part in every step, and
/// stay in registers. What the loop would reach if nothing but multiplying took time.
///
/// # Safety
/// As [`Kernel`], of [`HELD_ROWS`] rows.
#[inline(always)]
unsafe fn registers<A: Arithmetic, const V: usize>(job: &Job) {
    // SAFETY: of the whole function: as in `tile`.
    unsafe {
        let (row_step, _) = job.order.distances();
        let left: [A::Left; HELD_ROWS] = std::array::from_fn(|i| A::left(job.left.add(i * row_step)));
        let mut sums = [[A::zero(); V]; HELD_ROWS];
        for number in 0..job.steps {
            for v in 0..V {
                let right = A::right(job.panel.add((number * V + v) * A::RIGHT_BYTES));
                for (row, left) in sums.iter_mut().zip(left) {
                    row[v] = A::multiply_add(row[v], left, right);
                }
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (v, sums) in row.iter().enumerate() {
                A::store(*sums, job.sums.add(i * job.stride + v * A::LANES));
            }
        }
    }
}

/// Loops of a rung: one for each height, and the one that measures the rung's limit.
macro_rules! kernels {
    ($($(#[$attribute:meta])* $name:ident $limit:ident: $arithmetic:ty, $vectors:literal registers, rows $($height:literal)*;)*) => {
        $(
            /// # Safety
            /// As [`Kernel`].
            $(#[$attribute])*
            pub(super) unsafe fn $name(job: &Job, rows: usize) {
                match rows {
                    // SAFETY: as the caller promises.
                    $($height => unsafe { tile::<$arithmetic, $height, $vectors>(job) },)*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            }

            /// # Safety
            /// As [`Kernel`].
            $(#[$attribute])*
            pub(super) unsafe fn $limit(job: &Job, rows: usize) {
                assert_eq!(rows, HELD_ROWS, "rows of which the words are held");
                // SAFETY: as the caller promises.
                unsafe { registers::<$arithmetic, $vectors>(job) }
            }
        )*
    };
}

kernels! {
    f32_portable f32_portable_limit: portable::Floats, 1 registers, rows 1 2 3 4;
    bf16_portable bf16_portable_limit: portable::RoundedFloats, 1 registers, rows 1 2 3 4;
    int8_portable int8_portable_limit: portable::Bytes, 1 registers, rows 1 2 3 4;
}

mod portable {
    use super::Arithmetic;

    use crate::fused::{self, LANES};

    pub(super) struct Floats;
    /// Floats that are bf16: their products are exact, so that nothing is gained by rounding once. (A product below 2⁻¹³³ is
    /// not.)
    pub(super) struct RoundedFloats;
    pub(super) struct Bytes;

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
                type Left = f32;
                type Right = [f32; LANES];
                const RIGHT_BYTES: usize = 4 * LANES;

                #[inline(always)]
                unsafe fn left(word: *const u32) -> f32 {
                    // SAFETY: the caller promises that the word can be read.
                    unsafe { word.cast::<f32>().read() }
                }
                #[inline(always)]
                unsafe fn right(words: *const u8) -> Self::Right {
                    // SAFETY: the caller promises that all lanes can be read.
                    unsafe { words.cast::<Self::Right>().read_unaligned() }
                }
                #[inline(always)]
                unsafe fn multiply_add(sums: Self::Sums, left: f32, right: Self::Right) -> Self::Sums {
                    $multiply_add(sums, left, right)
                }
            }
        };
    }

    floats!(Floats, fused::multiply_add);
    floats!(RoundedFloats, |sums: Self::Sums, left: f32, right: Self::Right| -> Self::Sums {
        std::array::from_fn(|lane| sums[lane] + left * right[lane])
    });

    impl Arithmetic for Bytes {
        memory!(i32);
        type Left = [i32; 2];
        type Right = [[i8; 2]; LANES];
        const RIGHT_BYTES: usize = 2 * LANES;

        #[inline(always)]
        unsafe fn left(word: *const u32) -> Self::Left {
            // SAFETY: the caller promises that the word can be read.
            let word = unsafe { word.read() };
            [(word & 0xffff) as i32, (word >> 16) as i32]
        }
        #[inline(always)]
        unsafe fn right(words: *const u8) -> Self::Right {
            // SAFETY: the caller promises that all lanes can be read.
            unsafe { words.cast::<Self::Right>().read_unaligned() }
        }
        #[inline(always)]
        unsafe fn multiply_add(sums: Self::Sums, left: Self::Left, right: Self::Right) -> Self::Sums {
            std::array::from_fn(|lane| {
                sums[lane] + left[0] * i32::from(right[lane][0]) + left[1] * i32::from(right[lane][1])
            })
        }
    }
}

#[cfg(target_arch = "x86_64")]
kernels! {
    #[target_feature(enable = "avx2,fma")]
    f32_avx2 f32_avx2_limit: avx2::Floats, 2 registers, rows 1 2 3 4 5 6;
    #[target_feature(enable = "avx2,fma")]
    int8_avx2 int8_avx2_limit: avx2::Bytes, 2 registers, rows 1 2 3 4 5;
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    f32_avx512 f32_avx512_limit: avx512::Floats, 2 registers, rows 1 2 3 4 5 6 7 8 9 10 11 12;
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    int8_avx512vnni int8_avx512vnni_limit: avx512::Bytes, 2 registers, rows 1 2 3 4 5 6 7 8 9 10 11 12;
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
    bf16_avx512bf16 bf16_avx512bf16_limit: avx512::Bf16, 2 registers, rows 1 2 3 4 5 6 7 8 9 10 11 12;
}

/// An [`Arithmetic`] from intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! arithmetic {
    (
        $name:ident: $lanes:literal lanes of $sums:ty, $left:ty, $right:ty, $bytes:literal bytes, $turn:literal a turn;
        zero $zero:expr;
        load |$from:ident| $load:expr;
        store |$stored:ident, $into:ident| $store:expr;
        left |$word:ident| $broadcast:expr;
        right |$words:ident| $widen:expr;
        multiply_add |$sum:ident, $l:ident, $r:ident| $multiply_add:expr;
    ) => {
        pub(super) struct $name;

        impl super::Arithmetic for $name {
            type Sums = $sums;
            type Left = $left;
            type Right = $right;
            const LANES: usize = $lanes;
            const RIGHT_BYTES: usize = $bytes;
            const TURN: usize = $turn;

            #[inline(always)]
            unsafe fn zero() -> Self::Sums {
                // SAFETY: the machine has the instruction, as the caller promises here and below.
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
            unsafe fn left($word: *const u32) -> Self::Left {
                // SAFETY: the caller promises that the word can be read.
                unsafe { $broadcast }
            }
            #[inline(always)]
            unsafe fn right($words: *const u8) -> Self::Right {
                // SAFETY: the caller promises that all lanes can be read.
                unsafe { $widen }
            }
            #[inline(always)]
            unsafe fn multiply_add($sum: Self::Sums, $l: Self::Left, $r: Self::Right) -> Self::Sums {
                // SAFETY: registers alone.
                unsafe { $multiply_add }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    arithmetic! {
        Floats: 8 lanes of __m256, __m256, __m256, 32 bytes, 4 a turn;
        zero _mm256_setzero_ps();
        load |from| _mm256_loadu_ps(from.cast());
        store |sums, into| _mm256_storeu_ps(into.cast(), sums);
        left |word| _mm256_set1_ps(word.cast::<f32>().read());
        right |words| _mm256_loadu_ps(words.cast());
        multiply_add |sums, left, right| _mm256_fmadd_ps(left, right, sums);
    }

    arithmetic! {
        Bytes: 8 lanes of __m256i, __m256i, __m256i, 32 bytes, 1 a turn;
        zero _mm256_setzero_si256();
        load |from| _mm256_loadu_si256(from.cast());
        store |sums, into| _mm256_storeu_si256(into.cast(), sums);
        left |word| _mm256_set1_epi32(word.cast::<i32>().read());
        right |words| _mm256_loadu_si256(words.cast());
        multiply_add |sums, left, right| {
            // Two products of a byte and seven bits fit into sixteen: nothing is cut off.
            let pairs = _mm256_maddubs_epi16(left, right);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        };
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    arithmetic! {
        Floats: 16 lanes of __m512, __m512, __m512, 64 bytes, 4 a turn;
        zero _mm512_setzero_ps();
        load |from| _mm512_loadu_ps(from.cast());
        store |sums, into| _mm512_storeu_ps(into.cast(), sums);
        left |word| _mm512_set1_ps(word.cast::<f32>().read());
        right |words| _mm512_loadu_ps(words.cast());
        multiply_add |sums, left, right| _mm512_fmadd_ps(left, right, sums);
    }

    arithmetic! {
        Bf16: 16 lanes of __m512, __m512i, __m512i, 64 bytes, 1 a turn;
        zero _mm512_setzero_ps();
        load |from| _mm512_loadu_ps(from.cast());
        store |sums, into| _mm512_storeu_ps(into.cast(), sums);
        left |word| _mm512_set1_epi32(word.cast::<i32>().read());
        right |words| _mm512_loadu_si512(words.cast());
        multiply_add |sums, left, right| {
            // The same bits under another type.
            let (left, right) = (
                std::mem::transmute::<__m512i, __m512bh>(left),
                std::mem::transmute::<__m512i, __m512bh>(right),
            );
            _mm512_dpbf16_ps(sums, left, right)
        };
    }

    arithmetic! {
        Bytes: 16 lanes of __m512i, __m512i, __m512i, 64 bytes, 1 a turn;
        zero _mm512_setzero_si512();
        load |from| _mm512_loadu_si512(from.cast());
        store |sums, into| _mm512_storeu_si512(into.cast(), sums);
        left |word| _mm512_set1_epi32(word.cast::<i32>().read());
        right |words| _mm512_loadu_si512(words.cast());
        multiply_add |sums, left, right| _mm512_dpbusd_epi32(sums, left, right);
    }
}

#[cfg(target_arch = "aarch64")]
kernels! {
    #[target_feature(enable = "neon")]
    f32_neon f32_neon_limit: neon::Floats, 4 registers, rows 1 2 3 4 5 6;
    #[target_feature(enable = "neon")]
    int8_neon int8_neon_limit: neon::Bytes, 4 registers, rows 1 2 3 4 5 6;
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    arithmetic! {
        Floats: 4 lanes of float32x4_t, float32x4_t, float32x4_t, 16 bytes, 4 a turn;
        zero vdupq_n_f32(0.0);
        load |from| vld1q_f32(from.cast());
        store |sums, into| vst1q_f32(into.cast(), sums);
        left |word| vdupq_n_f32(word.cast::<f32>().read());
        right |words| vld1q_f32(words.cast());
        multiply_add |sums, left, right| vfmaq_f32(sums, left, right);
    }

    arithmetic! {
        Bytes: 4 lanes of int32x4_t, int16x8_t, int16x8_t, 8 bytes, 1 a turn;
        zero vdupq_n_s32(0);
        load |from| vld1q_s32(from.cast());
        store |sums, into| vst1q_s32(into.cast(), sums);
        left |word| vreinterpretq_s16_u32(vdupq_n_u32(word.read()));
        right |words| vmovl_s8(vld1_s8(words.cast()));
        multiply_add |sums, left, right| {
            let low = vmull_s16(vget_low_s16(left), vget_low_s16(right));
            let high = vmull_high_s16(left, right);
            vaddq_s32(sums, vpaddq_s32(low, high))
        };
    }
}
