//! Left operands: words that the inner loop broadcasts, read in place or packed for one task or
//! product.

use super::interleave::{bf16_pair, interleave};
use super::tile::{Layout, Lhs};
use super::variant::{KernelVariant, LhsFormat};
use crate::aligned::{Element, cast, cast_mut};
use crate::bf16::{narrow_chunk, rounded};
use crate::context::Context;
use crate::instruction_set::multiversion;
use crate::matrix::Rows;
use crate::precision::Precision;
use crate::row_scale::RowScale;
use std::ops::Range;

/// Most blocks that are packed together: memory is read fastest in long parts of a row.
const BLOCKS_TOGETHER: usize = 32;

/// A left operand, `(m, k)`.
pub(super) enum LhsOperand<'a> {
    /// Rows as they are.
    Rows(Rows<'a>),
    /// A transposed operand, packed with [`with_transposed`]: `[block][depth][row]` with blocks of
    /// `mr` rows.
    Blocks { words: &'a [u32], m: usize },
}

/// The words of some rows, which begin with a tile.
pub(super) struct LhsWords<'a> {
    words: &'a [u32],
    layout: Layout,
    /// Words from tile to tile.
    tile_stride: usize,
    /// Scale of each row, if the operand is int8.
    pub(super) scales: &'a [RowScale],
}

impl LhsWords<'_> {
    /// Returns the operand of the tile with this number, from a depth on.
    #[inline]
    pub(super) fn tile(&self, number: usize, depth: usize) -> Lhs<'_> {
        let start = (number * self.tile_stride).min(self.words.len());
        Lhs { words: &self.words[start..], layout: self.layout }.from(0, depth)
    }

    /// Returns a part of the depth of a tile, or nothing beyond the last tile or if it has gaps.
    #[inline]
    pub(super) fn tile_bytes(&self, number: usize, depth: Range<usize>) -> &[u8] {
        let Layout::ColumnMajor(stride) = self.layout else { return &[] };
        let start = number * self.tile_stride;
        cast(self.words.get(start + depth.start * stride..start + depth.end * stride).unwrap_or_default())
    }
}

impl LhsOperand<'_> {
    /// Number of rows.
    pub(super) fn m(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.rows(),
            Self::Blocks { m, .. } => *m,
        }
    }

    /// Calls `f` with the words of some rows, the first of which begins a tile. Rows that the
    /// variant does not multiply as they are, are packed in this thread's scratch memory.
    pub(super) fn with_words(
        &self,
        context: &Context,
        variant: &KernelVariant,
        k: usize,
        rows: Range<usize>,
        f: impl FnOnce(&LhsWords<'_>),
    ) {
        let mr = variant.mr;
        match self {
            Self::Rows(a) if variant.lhs == LhsFormat::F32 => {
                let a = a.range(rows);
                let layout = Layout::RowMajor(a.stride());
                f(&LhsWords { words: cast(a.data()), layout, tile_stride: mr * a.stride(), scales: &[] });
            }
            Self::Rows(a) => context.with_scratch(
                |scratch| &mut scratch.lhs_rows,
                |(words, scales)| {
                    pack_rows(variant, a.range(rows), words, scales);
                    let depth = variant.depth(k);
                    f(&LhsWords { words, layout: Layout::RowMajor(depth), tile_stride: mr * depth, scales });
                },
            ),
            Self::Blocks { words, .. } => {
                let tile_stride = mr * variant.depth(k);
                let words = &words[rows.start / mr * tile_stride..];
                f(&LhsWords { words, layout: Layout::ColumnMajor(mr), tile_stride, scales: &[] });
            }
        }
    }
}

/// Packs rows in the variant's format: `[row][depth]`, the last word of a row padded with zeros.
fn pack_rows(variant: &KernelVariant, rows: Rows<'_>, words: &mut Vec<u32>, scales: &mut Vec<RowScale>) {
    let (isa, k, depth) = (variant.isa, rows.columns(), variant.depth(rows.columns()));
    words.resize(rows.rows() * depth, 0);
    scales.clear();
    if variant.precision == Precision::Int8 {
        scales.resize(rows.rows(), RowScale::default());
    }
    for (index, into) in words.chunks_exact_mut(depth.max(1)).enumerate() {
        let row = rows.row(index);
        match variant.lhs {
            LhsFormat::F32 | LhsFormat::RoundedF32 => round_row(isa, row, padded(into, k)),
            LhsFormat::Bf16Pairs => narrow_chunk(isa, row, padded(into, k)),
            LhsFormat::BytePairs => scales[index] = quantize_row_to_pairs(isa, row, padded(into, k)),
            LhsFormat::ByteQuads => scales[index] = quantize_row(isa, row, padded(into, k)),
        }
    }
}

/// Returns the first `k` elements of a row of words, after filling the others with zeros.
fn padded<T: Element>(words: &mut [u32], k: usize) -> &mut [T] {
    let (row, padding) = cast_mut(words).split_at_mut(k);
    padding.fill(T::default());
    row
}

multiversion! {
    fn round_row(row: &[f32], into: &mut [f32]) {
        for (into, value) in into.iter_mut().zip(row) {
            *into = rounded(*value);
        }
    }
}

multiversion! {
    fn quantize_row(row: &[f32], into: &mut [u8]) -> RowScale {
        let (scale, inverse) = RowScale::of(row);
        for (into, value) in into.iter_mut().zip(row) {
            *into = scale.byte(*value, inverse);
        }
        scale
    }
}

multiversion! {
    /// Bytes that are widened to 16 bits.
    fn quantize_row_to_pairs(row: &[f32], into: &mut [u16]) -> RowScale {
        let (scale, inverse) = RowScale::of(row);
        for (into, value) in into.iter_mut().zip(row) {
            *into = scale.byte(*value, inverse).into();
        }
        scale
    }
}

/// Packs `aᵀ` of `a`, `(t, m)`, in scratch memory and calls `f` with it.
pub(super) fn with_transposed<R>(
    context: &Context,
    variant: &KernelVariant,
    a: Rows<'_>,
    f: impl FnOnce(&LhsOperand<'_>) -> R,
) -> R {
    context.with_scratch(
        |scratch| &mut scratch.lhs_blocks,
        |words| {
            let (t, m, mr) = (a.rows(), a.columns(), variant.mr);
            let block = mr * variant.depth(t);
            words.resize(m.div_ceil(mr) * block, 0);
            if t > 0 {
                let blocks = m.div_ceil(mr).div_ceil(context.threads()).min(BLOCKS_TOGETHER);
                context.for_each_chunk(words, blocks * block, |number, into| {
                    let start = number * blocks * mr;
                    let rows = start..m.min(start + blocks * mr);
                    pack_blocks(variant.isa, variant.lhs, mr, a, rows, into);
                });
            }
            f(&LhsOperand::Blocks { words, m })
        },
    )
}

multiversion! {
    /// Packs columns of `a`, which are rows of the transposed operand.
    fn pack_blocks(format: LhsFormat, mr: usize, a: Rows<'_>, columns: Range<usize>, into: &mut [u32]) {
        if !columns.len().is_multiple_of(mr) {
            into.fill(0);
        }
        let same = |[value]: [f32; 1], _| value.to_bits();
        let round = |[value]: [f32; 1], _| rounded(value).to_bits();
        match (format, mr) {
            (LhsFormat::F32, 4) => interleave::<u32, 4, 1>(a, columns, into, same),
            (LhsFormat::F32, 6) => interleave::<u32, 6, 1>(a, columns, into, same),
            (LhsFormat::F32, 12) => interleave::<u32, 12, 1>(a, columns, into, same),
            (LhsFormat::RoundedF32, 4) => interleave::<u32, 4, 1>(a, columns, into, round),
            (LhsFormat::RoundedF32, 6) => interleave::<u32, 6, 1>(a, columns, into, round),
            (LhsFormat::RoundedF32, 12) => interleave::<u32, 12, 1>(a, columns, into, round),
            (LhsFormat::Bf16Pairs, 12) => interleave::<u32, 12, 2>(a, columns, into, |pair, _| bf16_pair(pair)),
            _ => unreachable!("no variant for gradients has tiles of {mr} rows of {format:?}"),
        }
    }
}
