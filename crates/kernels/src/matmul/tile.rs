//! The inner loop: a few rows of the left operand times one panel of the right one, with all sums
//! in registers. It is written once; an [`Arithmetic`] says which registers it uses and how they
//! multiply.

use super::arithmetic::Arithmetic;
#[cfg(target_arch = "aarch64")]
use super::arithmetic::neon;
use super::arithmetic::portable;
#[cfg(target_arch = "x86_64")]
use super::arithmetic::{avx2, avx512};
use crate::instruction_set::{features, with_target_features};
use crate::prefetch::prefetch_line;

/// Rows of the highest tile.
pub(super) const MAX_MR: usize = 12;
/// Columns of the widest tile.
pub(super) const MAX_NR: usize = 32;
/// Most words of depth in a step of the loop.
pub(super) const MAX_UNROLL: usize = 4;
/// Bytes that a step of the loop fetches into the second-level cache: a cache line.
pub(super) const FETCHED: usize = 64;
/// Rows that share a pointer: as many as x86-64 addresses as multiples of one register. With a
/// single pointer each address waits for the addition of the one before, which costs AVX2 a fifth
/// of its speed.
const GROUP: usize = 3;
const GROUPS: usize = MAX_MR / GROUP;

/// Layout of the words of a left operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// The words of a row are contiguous; rows are this number of words apart.
    RowMajor(usize),
    /// The words of a depth are contiguous; depths are this number of words apart.
    ColumnMajor(usize),
}

impl Layout {
    /// Words from row to row and from depth to depth.
    #[inline]
    pub(crate) fn strides(self) -> (usize, usize) {
        match self {
            Self::RowMajor(stride) => (stride, 1),
            Self::ColumnMajor(stride) => (1, stride),
        }
    }
}

/// A left operand.
#[derive(Clone, Copy)]
pub(super) struct Lhs<'a> {
    pub(super) words: &'a [u32],
    pub(super) layout: Layout,
}

impl Lhs<'_> {
    /// Returns the operand from a row and a depth on.
    #[inline]
    pub(super) fn from(self, row: usize, depth: usize) -> Self {
        let (row_stride, depth_stride) = self.layout.strides();
        let start = (row * row_stride + depth * depth_stride).min(self.words.len());
        Self { words: &self.words[start..], ..self }
    }

    /// Checks that it has the words of `rows` rows.
    ///
    /// # Panics
    /// If it has fewer.
    #[inline]
    pub(super) fn check(&self, rows: usize, depth: usize) {
        let (row_stride, depth_stride) = self.layout.strides();
        if rows > 0 && depth > 0 {
            let last = (rows - 1) * row_stride + (depth - 1) * depth_stride;
            assert!(last < self.words.len(), "word {last} of {}", self.words.len());
        }
    }
}

/// A tile to compute: `sums[i][j] = Σ lhs[i][d] · panel[d][j]` over the depth.
pub(super) struct Tile {
    /// First word of the left operand.
    pub(super) lhs: *const u32,
    pub(super) layout: Layout,
    /// First word of the panel.
    pub(super) panel: *const u8,
    pub(super) depth: usize,
    /// First sum; rows are `stride` words apart.
    pub(super) sums: *mut u32,
    pub(super) stride: usize,
    /// True if the sums begin with the values in memory instead of zero.
    pub(super) accumulate: bool,
    /// First byte of the memory to fetch meanwhile into the second-level cache, [`FETCHED`] bytes
    /// in each step of the loop.
    pub(super) next: *const u8,
}

/// The inner loop for a tile with `rows` rows.
///
/// # Safety
/// The machine has the instructions of the kernel; the words of the operands that the tile
/// describes can be read, and its sums read and written.
pub(super) type Kernel = unsafe fn(tile: &Tile, rows: usize);

/// The inner loop for `R` rows and `V` registers of columns.
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn multiply<A: Arithmetic, const R: usize, const V: usize>(tile: &Tile) {
    // SAFETY: the caller promises that operands and sums can be read and written, and that the
    // machine has the instructions.
    unsafe {
        let mut sums = [[A::zero(); V]; R];
        if tile.accumulate {
            for (i, row) in sums.iter_mut().enumerate() {
                for (v, sums) in row.iter_mut().enumerate() {
                    *sums = A::load(tile.sums.add(i * tile.stride + v * A::LANES));
                }
            }
        }
        let (unrolled, rest, mut panel) = (tile.depth / A::UNROLL, tile.depth % A::UNROLL, tile.panel);
        let mut next = tile.next;
        match tile.layout {
            Layout::RowMajor(row_stride) => {
                let mut groups = [tile.lhs; GROUPS];
                for (number, group) in groups[..R.div_ceil(GROUP)].iter_mut().enumerate() {
                    *group = tile.lhs.wrapping_add(number * GROUP * row_stride);
                }
                row_major::<A, R, V>(unrolled, A::UNROLL, row_stride, &mut groups, &mut panel, &mut next, &mut sums);
                row_major::<A, R, V>(rest, 1, row_stride, &mut groups, &mut panel, &mut next, &mut sums);
            }
            Layout::ColumnMajor(depth_stride) => {
                let mut lhs = tile.lhs;
                column_major::<A, R, V>(unrolled, A::UNROLL, depth_stride, &mut lhs, &mut panel, &mut next, &mut sums);
                column_major::<A, R, V>(rest, 1, depth_stride, &mut lhs, &mut panel, &mut next, &mut sums);
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (v, sums) in row.iter().enumerate() {
                A::store(*sums, tile.sums.add(i * tile.stride + v * A::LANES));
            }
        }
    }
}

/// `iterations` of `unroll` words of depth, with a left operand that is [`Layout::RowMajor`].
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn row_major<A: Arithmetic, const R: usize, const V: usize>(
    iterations: usize,
    unroll: usize,
    row_stride: usize,
    groups: &mut [*const u32; GROUPS],
    panel: &mut *const u8,
    next: &mut *const u8,
    sums: &mut [[A::Sums; V]; R],
) {
    let used = R.div_ceil(GROUP);
    for _ in 0..iterations {
        prefetch_line(*next);
        *next = next.wrapping_add(FETCHED);
        for group in &mut groups[..used] {
            *group = independent(*group);
        }
        for d in 0..unroll {
            // SAFETY: the caller promises that the words of all rows and depths can be read.
            unsafe {
                let lhs = |i: usize| groups[i / GROUP].add(i % GROUP * row_stride + d);
                multiply_add::<A, R, V>(lhs, panel.add(d * V * A::RHS_BYTES), sums);
            }
        }
        for group in &mut groups[..used] {
            *group = group.wrapping_add(unroll);
        }
        *panel = panel.wrapping_add(unroll * V * A::RHS_BYTES);
    }
}

/// `iterations` of `unroll` words of depth, with a left operand that is [`Layout::ColumnMajor`].
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn column_major<A: Arithmetic, const R: usize, const V: usize>(
    iterations: usize,
    unroll: usize,
    depth_stride: usize,
    lhs: &mut *const u32,
    panel: &mut *const u8,
    next: &mut *const u8,
    sums: &mut [[A::Sums; V]; R],
) {
    for _ in 0..iterations {
        prefetch_line(*next);
        *next = next.wrapping_add(FETCHED);
        for d in 0..unroll {
            // SAFETY: the caller promises that the words of all rows and depths can be read.
            unsafe {
                let words = lhs.add(d * depth_stride);
                multiply_add::<A, R, V>(|i| words.add(i), panel.add(d * V * A::RHS_BYTES), sums);
            }
        }
        *lhs = lhs.wrapping_add(unroll * depth_stride);
        *panel = panel.wrapping_add(unroll * V * A::RHS_BYTES);
    }
}

/// One word of depth for all rows, where `lhs` returns the pointer to a row's word.
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn multiply_add<A: Arithmetic, const R: usize, const V: usize>(
    lhs: impl Fn(usize) -> *const u32,
    panel: *const u8,
    sums: &mut [[A::Sums; V]; R],
) {
    // SAFETY: the caller promises that the words can be read and that the machine has the
    // instructions.
    unsafe {
        let mut rhs = [A::rhs(panel); V];
        for (v, rhs) in rhs.iter_mut().enumerate() {
            *rhs = A::rhs(panel.add(v * A::RHS_BYTES));
        }
        for (i, row) in sums.iter_mut().enumerate() {
            let x = A::lhs(lhs(i));
            for (sums, rhs) in row.iter_mut().zip(rhs) {
                *sums = A::multiply_add(*sums, x, rhs);
            }
        }
    }
}

/// Returns the same pointer, without its known distance to others, so that the compiler does not
/// compute one from the other.
#[inline(always)]
fn independent(pointer: *const u32) -> *const u32 {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut pointer = pointer;
        #[expect(clippy::pointers_in_nomem_asm_block, reason = "the pointer is not dereferenced")]
        // SAFETY: executes no instruction.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
        }
        pointer
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pointer
}

/// Defines the kernel of an instruction set and a precision: the inner loop for each height of a
/// tile.
macro_rules! kernels {
    ($($features:ident $name:ident: $arithmetic:ty, $vectors:literal registers, rows $($height:literal)*;)*) => {
        $(features!($features, with_target_features! {
            /// # Safety
            /// As [`Kernel`].
            pub(super) unsafe fn $name(tile: &Tile, rows: usize) {
                match rows {
                    // SAFETY: as the caller promises.
                    $($height => unsafe { multiply::<$arithmetic, $height, $vectors>(tile) },)*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            }
        });)*
    };
}

kernels! {
    portable f32_portable: portable::Floats, 1 registers, rows 1 2 3 4;
    portable bf16_portable: portable::RoundedFloats, 1 registers, rows 1 2 3 4;
    portable int8_portable: portable::Bytes, 1 registers, rows 1 2 3 4;
}

#[cfg(target_arch = "x86_64")]
kernels! {
    avx2 f32_avx2: avx2::Floats, 2 registers, rows 1 2 3 4 5 6;
    avx2 int8_avx2: avx2::Bytes, 2 registers, rows 1 2 3 4 5;
    avx512 f32_avx512: avx512::Floats, 2 registers, rows 1 2 3 4 5 6 7 8 9 10 11 12;
    avx512vnni int8_avx512vnni: avx512::Bytes, 2 registers, rows 1 2 3 4 5 6 7 8 9 10 11 12;
    avx512bf16 bf16_avx512bf16: avx512::Bf16, 2 registers, rows 1 2 3 4 5 6 7 8 9 10 11 12;
}

#[cfg(target_arch = "aarch64")]
kernels! {
    neon f32_neon: neon::Floats, 4 registers, rows 1 2 3 4 5 6;
    neon int8_neon: neon::Bytes, 4 registers, rows 1 2 3 4 5 6;
}
