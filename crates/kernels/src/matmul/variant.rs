//! Kernel variants: tile shape, operand formats and inner loop for an instruction set and a
//! precision.

use super::tile::{self, Kernel, Lhs, Tile};
use crate::disjoint::Block;
use crate::instruction_set::{InstructionSet, Level};
use crate::precision::Precision;

/// Format of the left operand: 32-bit words that the inner loop broadcasts, one for each row and
/// depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "some formats need instructions of x86-64"))]
pub(super) enum LhsFormat {
    /// One f32.
    F32,
    /// One f32 that was rounded to bf16.
    RoundedF32,
    /// Two bf16: k and k + 1.
    Bf16Pairs,
    /// Two u8, k and k + 1, widened to 16 bits.
    BytePairs,
    /// Four u8, k to k + 3.
    ByteQuads,
}

/// The operands of a tile.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) lhs: Lhs<'a>,
    /// Part of a panel of the right operand.
    pub(super) panel: &'a [u8],
    pub(super) depth: usize,
    /// True if the products are added to the sums in memory.
    pub(super) accumulate: bool,
    /// Memory to fetch into the second-level cache meanwhile. The loop may fetch some beyond it.
    pub(super) next: &'a [u8],
}

/// A variant of the product.
#[derive(Clone, Copy)]
pub(super) struct KernelVariant {
    pub(super) isa: InstructionSet,
    pub(super) precision: Precision,
    pub(super) lhs: LhsFormat,
    /// Rows of a tile.
    pub(super) mr: usize,
    /// Columns of a tile, and of a panel of the right operand.
    pub(super) nr: usize,
    /// Values of k in a word of the left operand.
    pub(super) k_per_word: usize,
    /// Bytes of the packed right operand for one column and one word.
    pub(super) rhs_bytes: usize,
    kernel: Kernel,
}

impl KernelVariant {
    /// Returns the variant for a right operand that is packed for a few products. Without
    /// instructions for bf16 both operands are rounded to bf16 and stored as f32, so that no panel
    /// has to be widened. Gives the same bits as [`KernelVariant::compact`].
    pub(super) fn expanded(isa: InstructionSet, precision: Precision) -> Self {
        match Self::compact(isa, precision) {
            variant if variant.widens() => Self { rhs_bytes: 4, ..variant },
            variant => variant,
        }
    }

    /// Returns the variant for a right operand that is kept: as few bytes as the precision has.
    pub(super) fn compact(isa: InstructionSet, precision: Precision) -> Self {
        use LhsFormat::*;
        use Precision::{Bf16, F32 as Single, Int8};
        let variant = |lhs, mr, nr, k_per_word, rhs_bytes, kernel: Kernel| Self {
            isa,
            precision,
            lhs,
            mr,
            nr,
            k_per_word,
            rhs_bytes,
            kernel,
        };
        match (precision, isa.level()) {
            (Single, Level::Portable) => variant(F32, 4, 16, 1, 4, tile::f32_portable),
            (Bf16, Level::Portable) => variant(RoundedF32, 4, 16, 1, 2, tile::bf16_portable),
            (Int8, Level::Portable) => variant(BytePairs, 4, 16, 2, 2, tile::int8_portable),
            #[cfg(target_arch = "aarch64")]
            (Single, Level::Neon) => variant(F32, 6, 16, 1, 4, tile::f32_neon),
            #[cfg(target_arch = "aarch64")]
            (Bf16, Level::Neon) => variant(RoundedF32, 6, 16, 1, 2, tile::f32_neon),
            #[cfg(target_arch = "aarch64")]
            (Int8, Level::Neon) => variant(BytePairs, 6, 16, 2, 2, tile::int8_neon),
            #[cfg(target_arch = "x86_64")]
            (Single, Level::Avx2) => variant(F32, 6, 16, 1, 4, tile::f32_avx2),
            #[cfg(target_arch = "x86_64")]
            (Bf16, Level::Avx2) => variant(RoundedF32, 6, 16, 1, 2, tile::f32_avx2),
            #[cfg(target_arch = "x86_64")]
            (Int8, Level::Avx2 | Level::Avx512) => variant(ByteQuads, 5, 16, 4, 4, tile::int8_avx2),
            #[cfg(target_arch = "x86_64")]
            (Single, _) => variant(F32, 12, 32, 1, 4, tile::f32_avx512),
            #[cfg(target_arch = "x86_64")]
            (Bf16, Level::Avx512Bf16) => variant(Bf16Pairs, 12, 32, 2, 4, tile::bf16_avx512bf16),
            #[cfg(target_arch = "x86_64")]
            (Bf16, _) => variant(RoundedF32, 12, 32, 1, 2, tile::f32_avx512),
            #[cfg(target_arch = "x86_64")]
            (Int8, _) => variant(ByteQuads, 12, 32, 4, 4, tile::int8_avx512vnni),
        }
    }

    /// Returns true if the packed right operand is bf16 that must be widened to f32 for the inner
    /// loop.
    #[inline]
    pub(super) fn widens(&self) -> bool {
        self.lhs == LhsFormat::RoundedF32 && self.rhs_bytes == 2
    }

    /// Depth of a product over `k` values: the number of words in a row of the left operand.
    pub(super) fn depth(&self, k: usize) -> usize {
        k.div_ceil(self.k_per_word)
    }

    /// Bytes of a packed panel with `k` rows.
    pub(super) fn panel_bytes(&self, k: usize) -> usize {
        self.depth(k) * self.nr * self.rhs_bytes
    }

    /// Bytes of a panel of this depth as the inner loop reads it.
    #[inline]
    pub(super) fn unpacked_panel_bytes(&self, depth: usize) -> usize {
        depth * self.nr * if self.widens() { 4 } else { self.rhs_bytes }
    }

    /// Bytes of [`Operands::next`] that the inner loop fetches at this depth, at least.
    #[inline]
    pub(super) fn bytes_fetched(&self, depth: usize) -> usize {
        depth / tile::MAX_UNROLL * tile::FETCHED
    }

    /// Computes a tile: `sums[i][j] = Σ lhs[i][d] · panel[d][j]` over the depth in ascending order,
    /// or `+=` if `accumulate`. Sums of bytes are stored as the bits of an i32.
    ///
    /// # Panics
    /// If an operand is smaller than the tile and the depth require, or the tile is not as wide as
    /// a panel and at most `mr` rows high.
    #[inline(always)]
    pub(super) fn multiply(&self, operands: Operands<'_>, mut sums: Block<'_, f32>) {
        let Operands { lhs, panel, depth, accumulate, next } = operands;
        let rows = sums.rows();
        assert!(sums.columns() == self.nr && (1..=self.mr).contains(&rows), "a tile of ({rows}, {})", sums.columns());
        assert!(panel.len() >= self.unpacked_panel_bytes(depth), "a depth of {depth} in {} bytes", panel.len());
        lhs.check(rows, depth);
        let tile = Tile {
            lhs: lhs.words.as_ptr(),
            layout: lhs.layout,
            panel: panel.as_ptr(),
            depth,
            sums: sums.as_mut_ptr().cast(),
            stride: sums.stride(),
            accumulate,
            next: next.as_ptr(),
        };
        // SAFETY: the operands were checked above, the block of sums is borrowed exclusively, and
        // detection has seen the instructions of the instruction set that chose the kernel.
        unsafe { (self.kernel)(&tile, rows) };
    }
}
