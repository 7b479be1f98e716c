//! Right operands, packed into panels as wide as a tile: `[panel][depth][column]`, the last panel
//! padded with zeros.

use super::interleave::store_strided;
use super::variant::KernelVariant;
use crate::aligned::{Element, Line, bytes, bytes_mut, cast, cast_mut};
use crate::bf16::{rounded, to_bf16, widen_chunk};
use crate::context::Context;
use crate::lanes::{range, round};
use crate::matrix::Rows;
use crate::precision::Precision;
use crate::scratch::PanelBuffers;
use std::ops::Range;

/// Largest byte of a column: seven bits, so that the sum of two products with bytes fits into 16
/// bits, which AVX2 multiplies fastest. No loss of quality against eight bits could be measured.
const MAX_WEIGHT: f32 = 63.0;

/// Panels that are packed together, so that whole cache lines are read.
const PANELS_TOGETHER: usize = 8;

/// A right operand that is packed once for several products.
pub struct PackedMatrix {
    pub(super) variant: KernelVariant,
    k: usize,
    n: usize,
    buffers: PanelBuffers,
}

impl PackedMatrix {
    /// Packs `b`, `(k, n)`, to be kept: in as few bytes as the precision has.
    pub fn pack(context: &Context, precision: Precision, b: Rows<'_>) -> Self {
        Self::packed(context, KernelVariant::compact(context.isa(), precision), b, false)
    }

    /// Packs `wᵀ` of a weight `w`, `(n, k)`, to be kept: in as few bytes as the precision has.
    pub fn pack_transposed(context: &Context, precision: Precision, w: Rows<'_>) -> Self {
        Self::packed(context, KernelVariant::compact(context.isa(), precision), w, true)
    }

    /// Packs `wᵀ` of a weight `w`, `(n, k)`, for a few products: in the format that multiplies
    /// fastest, which may need more memory. Products have the same bits as with
    /// [`PackedMatrix::pack_transposed`].
    pub fn pack_transposed_expanded(context: &Context, precision: Precision, w: Rows<'_>) -> Self {
        Self::packed(context, KernelVariant::expanded(context.isa(), precision), w, true)
    }

    pub(super) fn packed(context: &Context, variant: KernelVariant, b: Rows<'_>, transposed: bool) -> Self {
        let mut packed = Self { variant, k: 0, n: 0, buffers: PanelBuffers::default() };
        packed.fill(context, b, transposed);
        packed
    }

    /// Packs other values of the same shape into the same memory.
    ///
    /// # Panics
    /// If the shape differs.
    pub fn repack_transposed(&mut self, context: &Context, w: Rows<'_>) {
        assert_eq!((self.k, self.n), (w.columns(), w.rows()), "the same shape");
        self.fill(context, w, true);
    }

    /// Rows of the operand.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Columns of the operand.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Bytes of memory in use.
    pub fn bytes(&self) -> usize {
        let PanelBuffers { lines, scales, sums } = &self.buffers;
        lines.len() * size_of::<Line>() + 4 * (scales.len() + sums.len())
    }

    /// Scale of each column, if the operand is int8.
    pub(super) fn scales(&self) -> &[f32] {
        &self.buffers.scales
    }

    /// Sum of the bytes of each column, if the operand is int8.
    pub(super) fn sums(&self) -> &[i32] {
        &self.buffers.sums
    }

    /// Returns a part of a panel as it is packed.
    pub(super) fn panel(&self, panel: usize, depth: Range<usize>) -> &[u8] {
        let stride = self.variant.nr * self.variant.rhs_bytes;
        let start = panel * self.variant.panel_bytes(self.k);
        &bytes(&self.buffers.lines)[start + depth.start * stride..start + depth.end * stride]
    }

    /// Calls `f` with a part of a panel as the inner loop reads it: bf16 that must be widened is
    /// widened in scratch memory.
    pub(super) fn with_panel<R>(
        &self,
        context: &Context,
        panel: usize,
        depth: Range<usize>,
        f: impl FnOnce(&[u8]) -> R,
    ) -> R {
        let packed = self.panel(panel, depth);
        if !self.variant.widens() {
            return f(packed);
        }
        context.with_scratch(
            |scratch| &mut scratch.widened,
            |lines| {
                lines.resize((2 * packed.len()).div_ceil(size_of::<Line>()), Line::ZERO);
                let narrow: &[u16] = cast(packed);
                widen_chunk(self.variant.isa, narrow, &mut cast_mut(bytes_mut(lines))[..narrow.len()]);
                f(&bytes(lines)[..2 * packed.len()])
            },
        )
    }

    fn fill(&mut self, context: &Context, b: Rows<'_>, transposed: bool) {
        let (k, n) = if transposed { (b.columns(), b.rows()) } else { (b.rows(), b.columns()) };
        (self.k, self.n) = (k, n);
        let variant = self.variant;
        let (nr, panel_bytes) = (variant.nr, variant.panel_bytes(k));
        let size = n.div_ceil(nr) * panel_bytes;
        let PanelBuffers { lines, scales, sums } = &mut self.buffers;
        if lines.is_empty() {
            *lines = Line::zeroed(size.div_ceil(size_of::<Line>()));
        } else {
            lines.resize(size.div_ceil(size_of::<Line>()), Line::ZERO);
        }
        let int8 = variant.precision == Precision::Int8;
        if int8 {
            scales.resize(n, 0.0);
            sums.resize(n, 0);
            fill_scales(context, b, transposed, scales);
        }
        if panel_bytes == 0 {
            sums.fill(0);
            return;
        }
        let packed = &mut bytes_mut(lines)[..size];
        context.for_each_chunk(packed, PANELS_TOGETHER * panel_bytes, |number, chunk| {
            let start = number * PANELS_TOGETHER * nr;
            let part = Part { b, transposed, columns: start..n.min(start + PANELS_TOGETHER * nr), k };
            let quantize = |value, column: usize| quantized(value, scales[column]);
            match (variant.precision, nr, variant.k_per_word, variant.widens()) {
                (Precision::F32, 16, ..) => part.pack::<f32, 16, 1>(cast_mut(chunk), |value, _| value),
                (Precision::F32, ..) => part.pack::<f32, 32, 1>(cast_mut(chunk), |value, _| value),
                (Precision::Bf16, 16, 1, false) => part.pack::<f32, 16, 1>(cast_mut(chunk), |value, _| rounded(value)),
                (Precision::Bf16, _, 1, false) => part.pack::<f32, 32, 1>(cast_mut(chunk), |value, _| rounded(value)),
                (Precision::Bf16, 16, 1, true) => part.pack::<u16, 16, 1>(cast_mut(chunk), |value, _| to_bf16(value)),
                (Precision::Bf16, _, 1, true) => part.pack::<u16, 32, 1>(cast_mut(chunk), |value, _| to_bf16(value)),
                (Precision::Bf16, ..) => part.pack::<u16, 32, 2>(cast_mut(chunk), |value, _| to_bf16(value)),
                (Precision::Int8, 16, 2, _) => part.pack::<i8, 16, 2>(cast_mut(chunk), quantize),
                (Precision::Int8, 16, ..) => part.pack::<i8, 16, 4>(cast_mut(chunk), quantize),
                (Precision::Int8, ..) => part.pack::<i8, 32, 4>(cast_mut(chunk), quantize),
            }
        });
        if int8 {
            let packed = &*packed;
            context.for_each_chunk(sums, nr, |panel, sums| {
                sums.fill(0);
                for word in packed[panel * panel_bytes..][..panel_bytes].chunks_exact(nr * variant.rhs_bytes) {
                    for (sum, column) in sums.iter_mut().zip(word.chunks_exact(variant.rhs_bytes)) {
                        *sum += column.iter().map(|byte| i32::from(byte.cast_signed())).sum::<i32>();
                    }
                }
            });
        }
    }
}

/// Fills the int8 scale of each column.
fn fill_scales(context: &Context, b: Rows<'_>, transposed: bool, scales: &mut [f32]) {
    let largest = |column: usize| -> f32 {
        if transposed {
            let (least, greatest, _) = range(b.row(column));
            return greatest.max(-least);
        }
        (0..b.rows()).map(|k| b.row(k)[column].abs()).fold(0.0, f32::max)
    };
    context.for_each_chunk(scales, PANELS_TOGETHER, |number, scales| {
        for (index, scale) in scales.iter_mut().enumerate() {
            *scale = largest(number * PANELS_TOGETHER + index) / MAX_WEIGHT;
        }
    });
}

/// Returns the nearest byte of `value / scale`.
fn quantized(value: f32, scale: f32) -> i8 {
    if scale > 0.0 { round(value / scale) as i8 } else { 0 }
}

/// Some columns of a right operand.
struct Part<'a> {
    b: Rows<'a>,
    transposed: bool,
    columns: Range<usize>,
    k: usize,
}

impl Part<'_> {
    /// Element `(k, column)` goes to `[column / NR][k / STEP][column % NR][k % STEP]`.
    #[inline(always)]
    fn pack<T: Element, const NR: usize, const STEP: usize>(&self, into: &mut [T], convert: impl Fn(f32, usize) -> T) {
        let panel_length = self.k.div_ceil(STEP) * NR * STEP;
        if self.transposed {
            for (panel, into) in into.chunks_exact_mut(panel_length).enumerate() {
                self.pack_transposed::<T, NR, STEP>(self.columns.start + panel * NR, into, &convert);
            }
            return;
        }
        if !self.columns.len().is_multiple_of(NR) || !self.k.is_multiple_of(STEP) {
            into.fill(T::default());
        }
        for k in 0..self.k {
            let row = &self.b.row(k)[self.columns.clone()];
            for (panel, values) in row.chunks(NR).enumerate() {
                let start = panel * panel_length + k / STEP * NR * STEP + k % STEP;
                let first = self.columns.start + panel * NR;
                store_strided::<T, NR, STEP>(values, &mut into[start..], |value, column| {
                    convert(value, first + column)
                });
            }
        }
    }

    /// Packs the panel that begins with the column `first`, which is a row of the operand.
    #[inline(always)]
    fn pack_transposed<T: Element, const NR: usize, const STEP: usize>(
        &self,
        first: usize,
        into: &mut [T],
        convert: &impl Fn(f32, usize) -> T,
    ) {
        /// Values of k at a time, so that source and destination stay in cache.
        const BLOCK: usize = 32;
        let columns = first..self.columns.end.min(first + NR);
        let mut block = [[T::default(); BLOCK]; NR];
        for start in (0..self.k).step_by(BLOCK) {
            let length = BLOCK.min(self.k - start);
            if length < BLOCK {
                block = [[T::default(); BLOCK]; NR];
            }
            for (block, column) in block.iter_mut().zip(columns.clone()) {
                for (into, value) in block.iter_mut().zip(&self.b.row(column)[start..start + length]) {
                    *into = convert(*value, column);
                }
            }
            let into = &mut into[start * NR..(start + length.next_multiple_of(STEP)) * NR];
            for (index, word) in into.chunks_exact_mut(NR * STEP).enumerate() {
                for (column, into) in word.as_chunks_mut::<STEP>().0.iter_mut().enumerate() {
                    into.copy_from_slice(&block[column][index * STEP..][..STEP]);
                }
            }
        }
    }
}

/// Packs `b`, `(k, n)`, or `(n, k)` if `transposed`, in scratch memory and calls `f` with it.
pub(super) fn with_packed<R>(
    context: &Context,
    variant: KernelVariant,
    b: Rows<'_>,
    transposed: bool,
    f: impl FnOnce(&PackedMatrix) -> R,
) -> R {
    context.with_scratch(
        |scratch| &mut scratch.rhs,
        |buffers| {
            let mut packed = PackedMatrix { variant, k: 0, n: 0, buffers: std::mem::take(buffers) };
            packed.fill(context, b, transposed);
            let result = f(&packed);
            *buffers = packed.buffers;
            result
        },
    )
}
