//! How operands are packed. The right one into panels as wide as a tile, `[panel][step][column]`, the last filled up with
//! zeros; the left one as words that the loop broadcasts, row after row, or in blocks as high as a tile where it comes
//! transposed.

use super::form::{Form, LeftWords};
use crate::aligned::{self, Element, Line, bytes_mut, cast, cast_mut};
use crate::bf16::{from_bf16, to_bf16, widen_chunk};
use crate::context::Context;
use crate::instruction_set::multiversion;
use crate::matrix::Rows;
use crate::precision::Precision;
use crate::row_scale::RowScale;
use crate::scratch::PanelBuffers;
use std::ops::Range;

/// What the largest weight of a column becomes as a byte: so that two products with bytes fit into 16 bits, which is what
/// AVX2 multiplies fastest, and what costs no quality that could be measured.
const LARGEST_WEIGHT: f32 = 63.0;

/// Panels, or blocks, that are packed together, so that whole lines of the cache are read.
const TOGETHER: usize = 8;

/// A right operand, packed once for several products.
pub struct PackedMatrix {
    pub(super) form: Form,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) buffers: PanelBuffers,
}

impl PackedMatrix {
    /// Packs `b`, `(k, n)`, to be kept: in as few bytes as the precision has.
    pub fn pack(context: &Context, precision: Precision, b: Rows<'_>) -> Self {
        Self::packed(context, Form::compact(context.isa(), precision), b, false)
    }

    /// Packs `wᵀ` of a weight `w`, `(n, k)`, to be kept: in as few bytes as the precision has.
    pub fn pack_transposed(context: &Context, precision: Precision, w: Rows<'_>) -> Self {
        Self::packed(context, Form::compact(context.isa(), precision), w, true)
    }

    /// Packs `wᵀ` of a weight `w`, `(n, k)`, for a few products: in the form that multiplies fastest. The same bits come of it.
    pub fn pack_transposed_expanded(context: &Context, precision: Precision, w: Rows<'_>) -> Self {
        Self::packed(context, Form::new(context.isa(), precision), w, true)
    }

    pub(super) fn packed(context: &Context, form: Form, b: Rows<'_>, transposed: bool) -> Self {
        let mut packed = Self { form, k: 0, n: 0, buffers: PanelBuffers::default() };
        packed.fill(context, b, transposed);
        packed
    }

    /// Packs other values of the same shape into the same memory.
    pub fn repack_transposed(&mut self, context: &Context, w: Rows<'_>) {
        assert_eq!((self.k, self.n), (w.columns(), w.rows()), "the shape stays");
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

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.buffers.lines.len() * size_of::<Line>() + 4 * (self.buffers.scales.len() + self.buffers.sums.len())
    }

    /// The panel's bytes from a step on.
    pub(super) fn panel(&self, panel: usize, steps: Range<usize>) -> &[u8] {
        let step = self.form.columns * self.form.right_bytes;
        let start = panel * self.form.panel_bytes(self.k);
        &aligned::bytes(&self.buffers.lines)[start + steps.start * step..start + steps.end * step]
    }

    /// Calls `f` with the panel's bytes as the loop takes them: what is to be widened is, once for all rows of a task.
    pub(super) fn with_panel<R>(
        &self,
        context: &Context,
        panel: usize,
        steps: Range<usize>,
        f: impl FnOnce(&[u8]) -> R,
    ) -> R {
        let bytes = self.panel(panel, steps);
        if !self.form.widens() {
            return f(bytes);
        }
        context.with_scratch(
            |scratch| &mut scratch.widened,
            |lines| {
                lines.resize((2 * bytes.len()).div_ceil(size_of::<Line>()), Line::ZERO);
                let halves = cast::<u8, u16>(bytes);
                widen_chunk(self.form.isa, halves, &mut cast_mut(bytes_mut(lines))[..halves.len()]);
                f(&aligned::bytes(lines)[..2 * bytes.len()])
            },
        )
    }

    fn fill(&mut self, context: &Context, b: Rows<'_>, transposed: bool) {
        let (k, n) = if transposed { (b.columns(), b.rows()) } else { (b.rows(), b.columns()) };
        (self.k, self.n) = (k, n);
        let form = self.form;
        let panels = n.div_ceil(form.columns);
        let bytes = form.panel_bytes(k);
        let lines = (panels * bytes).div_ceil(size_of::<Line>());
        if self.buffers.lines.is_empty() {
            self.buffers.lines = Line::zeroed(lines);
        } else {
            self.buffers.lines.resize(lines, Line::ZERO);
        }
        if bytes == 0 {
            (self.buffers.scales, self.buffers.sums) = (vec![0.0; n], vec![0; n]);
            return;
        }
        if form.precision == Precision::Int8 {
            self.buffers.scales.resize(n, 0.0);
            self.buffers.sums.resize(n, 0);
            let largest = |column: usize| -> f32 {
                if transposed {
                    let (least, largest, _) = crate::lanes::range(b.row(column));
                    return largest.max(-least);
                }
                (0..k).map(|k| b.row(k)[column].abs()).fold(0.0, f32::max)
            };
            context.for_each_chunk(&mut self.buffers.scales, TOGETHER, |number, scales| {
                for (place, scale) in scales.iter_mut().enumerate() {
                    *scale = largest(number * TOGETHER + place) / LARGEST_WEIGHT;
                }
            });
        }
        let scales = &self.buffers.scales;
        let data = &mut bytes_mut(&mut self.buffers.lines)[..panels * bytes];
        context.for_each_chunk(data, TOGETHER * bytes, |number, chunk| {
            let start = number * TOGETHER * form.columns;
            let part = Part { b, transposed, columns: start..n.min(start + TOGETHER * form.columns), k };
            let convert = |value, column: usize| quantized(value, scales[column]);
            match (form.precision, form.columns, form.step, form.widens()) {
                (Precision::F32, 16, ..) => part.pack::<f32, 16, 1>(cast_mut(chunk), |value, _| value),
                (Precision::F32, ..) => part.pack::<f32, 32, 1>(cast_mut(chunk), |value, _| value),
                (Precision::Bf16, 16, 1, false) => part.pack::<f32, 16, 1>(cast_mut(chunk), |value, _| rounded(value)),
                (Precision::Bf16, _, 1, false) => part.pack::<f32, 32, 1>(cast_mut(chunk), |value, _| rounded(value)),
                (Precision::Bf16, 16, 1, true) => part.pack::<u16, 16, 1>(cast_mut(chunk), |value, _| to_bf16(value)),
                (Precision::Bf16, _, 1, true) => part.pack::<u16, 32, 1>(cast_mut(chunk), |value, _| to_bf16(value)),
                (Precision::Bf16, ..) => part.pack::<u16, 32, 2>(cast_mut(chunk), |value, _| to_bf16(value)),
                (Precision::Int8, 16, 2, _) => part.pack::<i8, 16, 2>(cast_mut(chunk), convert),
                (Precision::Int8, 16, ..) => part.pack::<i8, 16, 4>(cast_mut(chunk), convert),
                (Precision::Int8, ..) => part.pack::<i8, 32, 4>(cast_mut(chunk), convert),
            }
        });
        if form.precision == Precision::Int8 {
            let data = &*data;
            context.for_each_chunk(&mut self.buffers.sums, form.columns, |panel, sums| {
                let bytes = &data[panel * bytes..(panel + 1) * bytes];
                sums.fill(0);
                for step in bytes.chunks_exact(form.columns * form.right_bytes) {
                    for (sum, column) in sums.iter_mut().zip(step.chunks_exact(form.right_bytes)) {
                        *sum += column.iter().map(|byte| i32::from(byte.cast_signed())).sum::<i32>();
                    }
                }
            });
        }
    }
}

/// The nearest bf16, as f32.
fn rounded(value: f32) -> f32 {
    from_bf16(to_bf16(value))
}

/// The nearest byte of `value / scale`.
fn quantized(value: f32, scale: f32) -> i8 {
    if scale > 0.0 { crate::lanes::round(value / scale) as i8 } else { 0 }
}

/// Some columns of a right operand.
struct Part<'a> {
    b: Rows<'a>,
    transposed: bool,
    columns: Range<usize>,
    k: usize,
}

impl Part<'_> {
    /// Element `(k, column)` goes to `[column / WIDTH][k / STEP][column % WIDTH][k % STEP]`.
    #[inline(always)]
    fn pack<T: Element, const WIDTH: usize, const STEP: usize>(
        &self,
        into: &mut [T],
        convert: impl Fn(f32, usize) -> T,
    ) {
        /// Values of k at a time, so that both sides stay in cache.
        const DEPTH: usize = 32;
        let panel_length = self.k.div_ceil(STEP) * WIDTH * STEP;
        if !self.transposed {
            if !self.columns.len().is_multiple_of(WIDTH) || !self.k.is_multiple_of(STEP) {
                into.fill(T::default());
            }
            for k in 0..self.k {
                let row = &self.b.row(k)[self.columns.clone()];
                for (panel, values) in row.chunks(WIDTH).enumerate() {
                    let start = panel * panel_length + k / STEP * WIDTH * STEP + k % STEP;
                    let first = self.columns.start + panel * WIDTH;
                    spread_out::<T, WIDTH, STEP>(values, &mut into[start..], |value, column| {
                        convert(value, first + column)
                    });
                }
            }
            return;
        }
        for (panel, into) in into.chunks_exact_mut(panel_length).enumerate() {
            let first = self.columns.start + panel * WIDTH;
            let columns = first..self.columns.end.min(first + WIDTH);
            let mut block = [[T::default(); DEPTH]; WIDTH];
            for start in (0..self.k).step_by(DEPTH) {
                let depth = DEPTH.min(self.k - start);
                if depth < DEPTH {
                    block = [[T::default(); DEPTH]; WIDTH];
                }
                for (block, column) in block.iter_mut().zip(columns.clone()) {
                    for (into, value) in block.iter_mut().zip(&self.b.row(column)[start..start + depth]) {
                        *into = convert(*value, column);
                    }
                }
                let into = &mut into[start * WIDTH..(start + depth.next_multiple_of(STEP)) * WIDTH];
                for (place, step) in into.chunks_exact_mut(WIDTH * STEP).enumerate() {
                    for (column, into) in step.as_chunks_mut::<STEP>().0.iter_mut().enumerate() {
                        into.copy_from_slice(&block[column][place * STEP..][..STEP]);
                    }
                }
            }
        }
    }
}

/// `WIDTH` values, or fewer at the edge, each `STEP` places behind the one before.
#[inline(always)]
fn spread_out<T: Element, const WIDTH: usize, const STEP: usize>(
    values: &[f32],
    into: &mut [T],
    convert: impl Fn(f32, usize) -> T,
) {
    let into = &mut into[..(WIDTH - 1) * STEP + 1];
    // A known number of values is copied in whole registers.
    if let Ok(values) = <&[f32; WIDTH]>::try_from(values) {
        for place in 0..WIDTH {
            into[place * STEP] = convert(values[place], place);
        }
    } else {
        for (place, value) in values.iter().enumerate() {
            into[place * STEP] = convert(*value, place);
        }
    }
}

/// Packs `b` — `(k, n)`, or `(n, k)` if `transposed` — for one product.
pub(super) fn with_packed<R>(
    context: &Context,
    form: Form,
    b: Rows<'_>,
    transposed: bool,
    f: impl FnOnce(&PackedMatrix) -> R,
) -> R {
    context.with_scratch(
        |scratch| &mut scratch.rhs,
        |buffers| {
            let mut packed = PackedMatrix { form, k: 0, n: 0, buffers: std::mem::take(buffers) };
            packed.fill(context, b, transposed);
            let result = f(&packed);
            *buffers = packed.buffers;
            result
        },
    )
}

/// Rounds rows to what the form multiplies: `[row][word]`, the last word of a row filled up with zeros.
pub(super) fn with_words<R>(
    context: &Context,
    form: &Form,
    rows: Rows<'_>,
    f: impl FnOnce(&[u32], &[RowScale]) -> R,
) -> R {
    context.with_scratch(
        |scratch| &mut scratch.lhs_rows,
        |(words, scales)| {
            let (width, k) = (form.steps(rows.columns()), rows.columns());
            words.resize(rows.rows() * width, 0);
            scales.resize(rows.rows(), RowScale::default());
            if width > 0 {
                for (index, into) in words.chunks_exact_mut(width).enumerate() {
                    let row = rows.row(index);
                    match form.left {
                        LeftWords::Floats | LeftWords::RoundedFloats => {
                            round_to_floats(form.isa, row, fill_up(cast_mut(into), k))
                        }
                        LeftWords::Bf16Pairs => round_to_bf16(form.isa, row, fill_up(cast_mut(into), k)),
                        LeftWords::BytePairs => {
                            scales[index] = round_to_wide_bytes(form.isa, row, fill_up(cast_mut(into), k))
                        }
                        LeftWords::ByteQuads => {
                            scales[index] = round_to_bytes(form.isa, row, fill_up(cast_mut(into), k))
                        }
                    }
                }
            }
            f(words, scales)
        },
    )
}

/// The first `k` elements, the others set to zero.
fn fill_up<T: Element>(row: &mut [T], k: usize) -> &mut [T] {
    let (row, rest) = row.split_at_mut(k);
    rest.fill(T::default());
    row
}

multiversion! {
    fn round_to_floats(row: &[f32], into: &mut [f32]) {
        for (into, value) in into.iter_mut().zip(row) {
            *into = rounded(*value);
        }
    }
}

multiversion! {
    fn round_to_bf16(row: &[f32], into: &mut [u16]) {
        for (into, value) in into.iter_mut().zip(row) {
            *into = to_bf16(*value);
        }
    }
}

multiversion! {
    fn round_to_wide_bytes(row: &[f32], into: &mut [u16]) -> RowScale {
        let (scale, inverse) = RowScale::of(row);
        for (into, value) in into.iter_mut().zip(row) {
            *into = scale.byte(*value, inverse).into();
        }
        scale
    }
}

multiversion! {
    fn round_to_bytes(row: &[f32], into: &mut [u8]) -> RowScale {
        let (scale, inverse) = RowScale::of(row);
        for (into, value) in into.iter_mut().zip(row) {
            *into = scale.byte(*value, inverse);
        }
        scale
    }
}

/// Packs `aᵀ` of `a`, `(t, m)`: `[block][step][row][word]`.
pub(super) fn with_blocks<R>(context: &Context, form: &Form, a: Rows<'_>, f: impl FnOnce(&[u32]) -> R) -> R {
    context.with_scratch(
        |scratch| &mut scratch.lhs_blocks,
        |packed| {
            let (t, m, height) = (a.rows(), a.columns(), form.height);
            let block = height * form.steps(t);
            packed.resize(m.div_ceil(height) * block, 0);
            if t > 0 {
                context.for_each_chunk(packed, TOGETHER * block, |number, into| {
                    let start = number * TOGETHER * height;
                    let rows = start..m.min(start + TOGETHER * height);
                    match height {
                        4 => pack_blocks::<4>(form, a, rows, into),
                        6 => pack_blocks::<6>(form, a, rows, into),
                        12 => pack_blocks::<12>(form, a, rows, into),
                        _ => unreachable!("no tile is {height} rows high"),
                    }
                });
            }
            f(packed)
        },
    )
}

fn pack_blocks<const HEIGHT: usize>(form: &Form, a: Rows<'_>, rows: Range<usize>, into: &mut [u32]) {
    match form.left {
        LeftWords::Floats => pack_elements::<f32, HEIGHT, 1>(a, rows, cast_mut(into), |value| value),
        LeftWords::RoundedFloats => pack_elements::<f32, HEIGHT, 1>(a, rows, cast_mut(into), rounded),
        LeftWords::Bf16Pairs => pack_elements::<u16, HEIGHT, 2>(a, rows, cast_mut(into), to_bf16),
        LeftWords::BytePairs | LeftWords::ByteQuads => unreachable!("gradients are not computed in bytes"),
    }
}

/// Element `(t, row)` goes to `[row / HEIGHT][t / STEP][row % HEIGHT][t % STEP]`.
#[inline(always)]
fn pack_elements<T: Element, const HEIGHT: usize, const STEP: usize>(
    a: Rows<'_>,
    rows: Range<usize>,
    into: &mut [T],
    convert: impl Fn(f32) -> T,
) {
    if !rows.len().is_multiple_of(HEIGHT) || !a.rows().is_multiple_of(STEP) {
        into.fill(T::default());
    }
    let block_length = a.rows().div_ceil(STEP) * HEIGHT * STEP;
    for token in 0..a.rows() {
        for (block, values) in a.row(token)[rows.clone()].chunks(HEIGHT).enumerate() {
            let start = block * block_length + token / STEP * HEIGHT * STEP + token % STEP;
            spread_out::<T, HEIGHT, STEP>(values, &mut into[start..], |value, _| convert(value));
        }
    }
}
