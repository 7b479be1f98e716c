//! Interleaving of packed operands.

use crate::aligned::Element;
use crate::bf16::to_bf16;
use crate::matrix::Rows;
use crate::prefetch::prefetch;
use std::ops::Range;

/// Rows after which a row is read that is fetched into the cache.
const AHEAD: usize = 8;

/// Returns the word of two bf16.
#[inline(always)]
pub(super) fn bf16_pair([first, second]: [f32; 2]) -> u32 {
    u32::from(to_bf16(first)) | u32::from(to_bf16(second)) << 16
}

/// Packs some columns of a row-major operand, `(k, n)`: the word of the values `k · STEP ..` of a
/// column goes to `[column / WIDTH][k][column % WIDTH]`. Values beyond the last row are zero; words
/// beyond the last column keep their values.
#[inline(always)]
pub(super) fn interleave<W: Element, const WIDTH: usize, const STEP: usize>(
    rows: Rows<'_>,
    columns: Range<usize>,
    into: &mut [W],
    word: impl Fn([f32; STEP], usize) -> W,
) {
    let block = rows.rows().div_ceil(STEP) * WIDTH;
    for (index, start) in (0..rows.rows()).step_by(STEP).zip((0..).step_by(WIDTH)) {
        for step in index + AHEAD..rows.rows().min(index + AHEAD + STEP) {
            prefetch(&rows.row(step)[columns.clone()]);
        }
        for (number, first) in columns.clone().step_by(WIDTH).enumerate() {
            let into = &mut into[number * block + start..][..WIDTH.min(columns.end - first)];
            // With a constant number of values the compiler converts whole registers.
            let mut values = [&[0.0; WIDTH]; STEP];
            let mut whole = into.len() == WIDTH && rows.rows() - index >= STEP;
            for (step, values) in values.iter_mut().enumerate() {
                match rows.row((index + step).min(rows.rows() - 1))[first..].first_chunk() {
                    Some(row) => *values = row,
                    None => whole = false,
                }
            }
            if whole && let Ok(into) = <&mut [W; WIDTH]>::try_from(&mut *into) {
                fill(into, values, |column, index| word(column, first + index));
                continue;
            }
            for (column, into) in into.iter_mut().enumerate() {
                let value =
                    |step| if index + step < rows.rows() { rows.row(index + step)[first + column] } else { 0.0 };
                *into = word(std::array::from_fn(value), first + column);
            }
        }
    }
}

/// Fills `into` with the words of the columns of some rows.
#[inline(always)]
fn fill<W: Element, const WIDTH: usize, const STEP: usize>(
    into: &mut [W; WIDTH],
    rows: [&[f32; WIDTH]; STEP],
    word: impl Fn([f32; STEP], usize) -> W,
) {
    for index in 0..WIDTH {
        let mut column = [0.0; STEP];
        for step in 0..STEP {
            column[step] = rows[step][index];
        }
        into[index] = word(column, index);
    }
}
