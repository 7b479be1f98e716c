//! How a product is computed on a rung in a precision: the shape of the tile, how operands are packed for it, and the loop itself.

use super::tile::{self, Kernel};
use crate::instruction_set::{InstructionSet, Level};
use crate::precision::Precision;

/// How the left operand lies in memory: 32-bit words that the loop broadcasts, one for each row and step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "instructions of x86-64 alone take some of them"))]
pub(super) enum LeftWords {
    /// An f32.
    Floats,
    /// An f32 that was rounded to bf16.
    RoundedFloats,
    /// Two bf16, k and k + 1.
    Bf16Pairs,
    /// Two u8 widened to 16 bits, k and k + 1.
    BytePairs,
    /// Four u8.
    ByteQuads,
}

/// A way to compute a product.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) isa: InstructionSet,
    pub(super) precision: Precision,
    pub(super) left: LeftWords,
    /// Rows of a tile.
    pub(super) height: usize,
    /// Columns of a tile, and of a panel of the right operand.
    pub(super) columns: usize,
    /// Values of k that one step of the loop takes.
    pub(super) step: usize,
    /// Bytes of the packed right operand for one column and one step.
    pub(super) right_bytes: usize,
    pub(super) kernel: Kernel,
    /// The multiplications alone.
    pub(super) limit: Kernel,
}

impl Form {
    /// For a right operand that is packed for one product or a few. Where no instruction takes bf16, both operands are rounded
    /// and stay f32, so that nothing is to be widened. The same bits as [`Form::compact`].
    pub(super) fn new(isa: InstructionSet, precision: Precision) -> Self {
        match Self::compact(isa, precision) {
            form if form.widens() => Self { right_bytes: 4, ..form },
            form => form,
        }
    }

    /// For a right operand that is kept: in as few bytes as the precision has.
    pub(super) fn compact(isa: InstructionSet, precision: Precision) -> Self {
        use LeftWords::*;
        use Precision::*;
        let form = |left, height, columns, step, right_bytes, (kernel, limit): (Kernel, Kernel)| Self {
            isa,
            precision,
            left,
            height,
            columns,
            step,
            right_bytes,
            kernel,
            limit,
        };
        match (precision, isa.level()) {
            (F32, Level::Portable) => form(Floats, 4, 16, 1, 4, (tile::f32_portable, tile::f32_portable_limit)),
            (Bf16, Level::Portable) => {
                form(RoundedFloats, 4, 16, 1, 2, (tile::bf16_portable, tile::bf16_portable_limit))
            }
            (Int8, Level::Portable) => form(BytePairs, 4, 16, 2, 2, (tile::int8_portable, tile::int8_portable_limit)),
            #[cfg(target_arch = "aarch64")]
            (F32, Level::Neon) => form(Floats, 6, 16, 1, 4, (tile::f32_neon, tile::f32_neon_limit)),
            #[cfg(target_arch = "aarch64")]
            (Bf16, Level::Neon) => form(RoundedFloats, 6, 16, 1, 2, (tile::f32_neon, tile::f32_neon_limit)),
            #[cfg(target_arch = "aarch64")]
            (Int8, Level::Neon) => form(BytePairs, 6, 16, 2, 2, (tile::int8_neon, tile::int8_neon_limit)),
            #[cfg(target_arch = "x86_64")]
            (F32, Level::Avx2) => form(Floats, 6, 16, 1, 4, (tile::f32_avx2, tile::f32_avx2_limit)),
            #[cfg(target_arch = "x86_64")]
            (Bf16, Level::Avx2) => form(RoundedFloats, 6, 16, 1, 2, (tile::f32_avx2, tile::f32_avx2_limit)),
            #[cfg(target_arch = "x86_64")]
            (Int8, Level::Avx2 | Level::Avx512) => {
                form(ByteQuads, 5, 16, 4, 4, (tile::int8_avx2, tile::int8_avx2_limit))
            }
            #[cfg(target_arch = "x86_64")]
            (F32, _) => form(Floats, 12, 32, 1, 4, (tile::f32_avx512, tile::f32_avx512_limit)),
            #[cfg(target_arch = "x86_64")]
            (Bf16, Level::Avx512Bf16) => {
                form(Bf16Pairs, 12, 32, 2, 4, (tile::bf16_avx512bf16, tile::bf16_avx512bf16_limit))
            }
            #[cfg(target_arch = "x86_64")]
            (Bf16, _) => form(RoundedFloats, 12, 32, 1, 2, (tile::f32_avx512, tile::f32_avx512_limit)),
            #[cfg(target_arch = "x86_64")]
            (Int8, _) => form(ByteQuads, 12, 32, 4, 4, (tile::int8_avx512vnni, tile::int8_avx512vnni_limit)),
        }
    }

    /// Whether the packed right operand is bf16 that becomes f32 before the loop takes it.
    pub(super) fn widens(&self) -> bool {
        self.left == LeftWords::RoundedFloats && self.right_bytes == 2
    }

    /// Steps that cover `k` values.
    pub(super) fn steps(&self, k: usize) -> usize {
        k.div_ceil(self.step)
    }

    /// Bytes of a panel of `k` rows.
    pub(super) fn panel_bytes(&self, k: usize) -> usize {
        self.steps(k) * self.columns * self.right_bytes
    }
}
