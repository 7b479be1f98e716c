//! Right operands, packed into panels as wide as a tile: `[panel][depth][column]`, the last panel
//! padded with zeros.

use super::interleave::{bf16_pair, interleave};
use super::variant::KernelVariant;
use crate::aligned::{Element, Line, bytes, bytes_mut, cast, cast_mut};
use crate::bf16::{rounded, to_bf16, widen_chunk};
use crate::context::Context;
use crate::instruction_set::multiversion;
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

    /// Returns a part of a panel as it is packed.
    pub(super) fn panel(&self, panel: usize, depth: Range<usize>) -> &[u8] {
        let stride = self.variant.nr * self.variant.rhs_bytes;
        let start = panel * self.variant.panel_bytes(self.k);
        &bytes(&self.buffers.lines)[start + depth.start * stride..start + depth.end * stride]
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
            pack(variant.isa, &part, &variant, scales, chunk);
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

multiversion! {
    /// Packs some panels in the variant's format.
    fn pack(part: &Part<'_>, variant: &KernelVariant, scales: &[f32], into: &mut [u8]) {
        let same = |[value]: [f32; 1], _| value.to_bits();
        let round = |[value]: [f32; 1], _| rounded(value).to_bits();
        let narrow = |[value]: [f32; 1], _| to_bf16(value);
        let byte = |value, column: usize| quantized(value, scales[column]).to_ne_bytes()[0];
        let bytes = |values: [f32; 2], column| u16::from_le_bytes(values.map(|value| byte(value, column)));
        let four_bytes = |values: [f32; 4], column| u32::from_le_bytes(values.map(|value| byte(value, column)));
        match (variant.precision, variant.nr, variant.k_per_word, variant.widens()) {
            (Precision::F32, 16, ..) => part.pack::<u32, 16, 1>(cast_mut(into), same),
            (Precision::F32, ..) => part.pack::<u32, 32, 1>(cast_mut(into), same),
            (Precision::Bf16, 16, 1, false) => part.pack::<u32, 16, 1>(cast_mut(into), round),
            (Precision::Bf16, _, 1, false) => part.pack::<u32, 32, 1>(cast_mut(into), round),
            (Precision::Bf16, 16, 1, true) => part.pack::<u16, 16, 1>(cast_mut(into), narrow),
            (Precision::Bf16, _, 1, true) => part.pack::<u16, 32, 1>(cast_mut(into), narrow),
            (Precision::Bf16, ..) => part.pack::<u32, 32, 2>(cast_mut(into), |pair, _| bf16_pair(pair)),
            (Precision::Int8, 16, 2, _) => part.pack::<u16, 16, 2>(cast_mut(into), bytes),
            (Precision::Int8, 16, ..) => part.pack::<u32, 16, 4>(cast_mut(into), four_bytes),
            (Precision::Int8, ..) => part.pack::<u32, 32, 4>(cast_mut(into), four_bytes),
        }
    }
}

/// A right operand, `(k, n)`.
pub(super) enum RhsOperand<'a> {
    /// Packed before.
    Packed(&'a PackedMatrix),
    /// Packed by each task that reads it.
    Rows(KernelVariant, Rows<'a>),
}

impl RhsOperand<'_> {
    /// The variant that multiplies it.
    #[inline]
    pub(super) fn variant(&self) -> &KernelVariant {
        match self {
            Self::Packed(packed) => &packed.variant,
            Self::Rows(variant, _) => variant,
        }
    }

    /// Number of rows.
    pub(super) fn k(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.k,
            Self::Rows(_, rows) => rows.rows(),
        }
    }

    /// Number of columns.
    pub(super) fn n(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.n,
            Self::Rows(_, rows) => rows.columns(),
        }
    }

    /// Scale and sum of the bytes of each column, if the operand is int8.
    pub(super) fn column_scales(&self) -> (&[f32], &[i32]) {
        match self {
            Self::Packed(packed) => (&packed.buffers.scales, &packed.buffers.sums),
            Self::Rows(..) => (&[], &[]),
        }
    }

    /// Calls `f` with a part of some panels as the inner loop reads it: kept bf16 that must be
    /// widened is widened in scratch memory, and rows are packed there.
    pub(super) fn with_panels(
        &self,
        context: &Context,
        panels: Range<usize>,
        depth: Range<usize>,
        f: impl FnOnce(PanelBlock<'_>),
    ) {
        let variant = self.variant();
        let length = variant.unpacked_panel_bytes(depth.len());
        if let Self::Packed(packed) = self
            && !variant.widens()
        {
            let start = panels.start * variant.panel_bytes(packed.k) + depth.start * variant.nr * variant.rhs_bytes;
            let bytes = &bytes(&packed.buffers.lines)[start..];
            return f(PanelBlock { count: panels.len(), bytes, stride: variant.panel_bytes(packed.k), length });
        }
        context.with_scratch(
            |scratch| &mut scratch.panels,
            |lines| {
                let count = panels.len();
                let size = count * length;
                lines.resize(size.div_ceil(size_of::<Line>()), Line::ZERO);
                let into = &mut bytes_mut(lines)[..size];
                match self {
                    Self::Packed(packed) => {
                        for (panel, into) in panels.zip(into.chunks_exact_mut(length.max(1))) {
                            widen_chunk(variant.isa, cast(packed.panel(panel, depth.clone())), cast_mut(into));
                        }
                    }
                    Self::Rows(variant, rows) => {
                        let k = depth.start * variant.k_per_word..rows.rows().min(depth.end * variant.k_per_word);
                        let columns = panels.start * variant.nr..rows.columns().min(panels.end * variant.nr);
                        let part = Part { b: rows.range(k.clone()), transposed: false, columns, k: k.len() };
                        pack(variant.isa, &part, variant, &[], into);
                    }
                }
                f(PanelBlock { count, bytes: &bytes(lines)[..size], stride: length, length });
            },
        );
    }
}

/// A part of the depth of some panels.
pub(super) struct PanelBlock<'a> {
    count: usize,
    bytes: &'a [u8],
    /// Bytes from panel to panel, and in a panel.
    stride: usize,
    length: usize,
}

impl<'a> PanelBlock<'a> {
    /// Number of panels.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the part of the panel with this number in the block.
    #[inline]
    pub(super) fn panel(&self, number: usize) -> &'a [u8] {
        &self.bytes[number * self.stride..][..self.length]
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
    /// The word of the values `k · STEP ..` of a column goes to `[column / NR][k][column % NR]`.
    #[inline(always)]
    fn pack<W: Element, const NR: usize, const STEP: usize>(
        &self,
        into: &mut [W],
        word: impl Fn([f32; STEP], usize) -> W,
    ) {
        if !self.columns.len().is_multiple_of(NR) {
            into.fill(W::default());
        }
        if !self.transposed {
            return interleave::<W, NR, STEP>(self.b, self.columns.clone(), into, word);
        }
        let panel = self.k.div_ceil(STEP) * NR;
        for (first, into) in self.columns.clone().step_by(NR).zip(into.chunks_exact_mut(panel)) {
            self.pack_transposed::<W, NR, STEP>(first..self.columns.end.min(first + NR), into, &word);
        }
    }

    /// Packs a panel whose columns are rows of the operand.
    #[inline(always)]
    fn pack_transposed<W: Element, const NR: usize, const STEP: usize>(
        &self,
        columns: Range<usize>,
        into: &mut [W],
        word: &impl Fn([f32; STEP], usize) -> W,
    ) {
        /// Words of a column at a time, so that source and destination stay in cache.
        const BLOCK: usize = 32;
        let mut block = [[W::default(); BLOCK]; NR];
        for (number, into) in into.chunks_mut(BLOCK * NR).enumerate() {
            for (block, column) in block.iter_mut().zip(columns.clone()) {
                let values =
                    &self.b.row(column)[(number * BLOCK * STEP).min(self.k)..self.k.min((number + 1) * BLOCK * STEP)];
                let (words, rest) = values.as_chunks::<STEP>();
                for (into, values) in block.iter_mut().zip(words) {
                    *into = word(*values, column);
                }
                if !rest.is_empty() {
                    let value = |step: usize| rest.get(step).copied().unwrap_or(0.0);
                    block[words.len()] = word(std::array::from_fn(value), column);
                }
            }
            for (index, into) in into.chunks_exact_mut(NR).enumerate() {
                for (into, block) in into.iter_mut().zip(&block) {
                    *into = block[index];
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
