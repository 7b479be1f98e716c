//! Embeddings in fewer bits, value for value as `quantize_embeddings` of Sentence Transformers 6.2
//! gives them. Nothing is ever packed back into a model or an encoder: who quantises keeps the
//! ranges.

use crate::error::VectorsError;
use maana_kernels::Rows;

/// The least and the greatest value of each column.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// Minimum of each column.
    pub low: Vec<f32>,
    /// Maximum of each column.
    pub high: Vec<f32>,
}

impl Ranges {
    /// Of the rows. A hundred rows or more make ranges that serve others too.
    ///
    /// # Errors
    /// Fewer than two rows: one has no range.
    pub fn of(rows: Rows<'_>) -> Result<Self, VectorsError> {
        if rows.rows() < 2 {
            return Err(VectorsError::TooFew { needed: 2, found: rows.rows() });
        }
        let mut ranges = Self::nothing(rows.columns());
        ranges.widen(rows);
        Ok(ranges)
    }

    /// Those of no row: every row widens them.
    pub fn nothing(columns: usize) -> Self {
        Self { low: vec![f32::INFINITY; columns], high: vec![f32::NEG_INFINITY; columns] }
    }

    /// Takes in more rows.
    pub fn widen(&mut self, rows: Rows<'_>) {
        for row in 0..rows.rows() {
            for (column, value) in rows.row(row).iter().enumerate() {
                self.low[column] = self.low[column].min(*value);
                self.high[column] = self.high[column].max(*value);
            }
        }
    }

    /// Takes in the rows of other ranges.
    pub(crate) fn widen_by(&mut self, other: &Ranges) {
        for (low, other) in self.low.iter_mut().zip(&other.low) {
            *low = low.min(*other);
        }
        for (high, other) in self.high.iter_mut().zip(&other.high) {
            *high = high.max(*other);
        }
    }

    /// Width of a bucket of each column: the range by 255, and 1 where the range is nothing.
    pub fn steps(&self) -> Vec<f32> {
        let step = |(low, high): (&f32, &f32)| (high - low) / 255.0;
        self.low.iter().zip(&self.high).map(step).map(|step| if step == 0.0 { 1.0 } else { step }).collect()
    }
}

/// floor((e − start) / step), from 0 to 255: `uint8`. `(rows, columns)` without gaps.
///
/// ```
/// use maana_kernels::Rows;
/// use maana_vectors::quantize::{Ranges, uint8};
///
/// let rows = Rows::new(&[0.0, 100.0, 255.0], 3, 1, 1);
/// let ranges = Ranges::of(rows).unwrap();
/// assert_eq!(uint8(rows, &ranges), [0, 100, 255]);
/// ```
pub fn uint8(rows: Rows<'_>, ranges: &Ranges) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.rows() * rows.columns());
    quantize_into(rows, ranges, &ranges.steps(), |value| out.push(value));
    out
}

/// `uint8` less 128: `int8`. `(rows, columns)` without gaps.
pub fn int8(rows: Rows<'_>, ranges: &Ranges) -> Vec<i8> {
    let mut out = Vec::with_capacity(rows.rows() * rows.columns());
    quantize_into(rows, ranges, &ranges.steps(), |value| out.push((i16::from(value) - 128) as i8));
    out
}

pub(crate) fn quantize_into(rows: Rows<'_>, ranges: &Ranges, steps: &[f32], mut push: impl FnMut(u8)) {
    assert_eq!(rows.columns(), ranges.low.len(), "a range for each of {} columns", rows.columns());
    for row in 0..rows.rows() {
        for ((value, low), step) in rows.row(row).iter().zip(&ranges.low).zip(steps) {
            push(((value - low) / step).floor().clamp(0.0, 255.0) as u8);
        }
    }
}

/// start + step · q: what the reference computes with when it rescores. `(rows, columns)` without
/// gaps.
pub fn dequantize_uint8(values: &[u8], ranges: &Ranges) -> Vec<f32> {
    let steps = ranges.steps();
    let columns = steps.len().max(1);
    let value = |(i, q): (usize, &u8)| f32::from(*q) * steps[i % columns] + ranges.low[i % columns];
    values.iter().enumerate().map(value).collect()
}

/// As `dequantize_uint8`, of `int8`.
pub fn dequantize_int8(values: &[i8], ranges: &Ranges) -> Vec<f32> {
    let unsigned: Vec<u8> = values.iter().map(|value| (i16::from(*value) + 128) as u8).collect();
    dequantize_uint8(&unsigned, ranges)
}

/// One bit a value, 1 for what is greater than 0, eight to a byte, the first in the highest place:
/// `ubinary`. `(rows, ⌈columns / 8⌉)` without gaps; places left over are 0.
pub fn ubinary(rows: Rows<'_>) -> Vec<u8> {
    let byte = |values: &[f32]| {
        values.iter().enumerate().fold(0u8, |byte, (place, value)| byte | u8::from(*value > 0.0) << (7 - place))
    };
    (0..rows.rows()).flat_map(|row| rows.row(row).chunks(8).map(byte)).collect()
}

/// `ubinary` less 128: `binary`.
pub fn binary(rows: Rows<'_>) -> Vec<i8> {
    ubinary(rows).into_iter().map(|byte| (i16::from(byte) - 128) as i8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Golden, noise};

    #[test]
    fn agrees_with_the_reference() {
        let golden = Golden::read();
        let (blobs, other) = (golden.matrix("/blobs"), golden.matrix("/other"));
        let rows = blobs.view();
        let expected = |name: &str| -> Vec<i64> {
            golden.get::<Vec<Vec<i64>>>(&format!("/quantize/{name}")).into_iter().flatten().collect()
        };
        let wide = |values: Vec<i8>| values.into_iter().map(i64::from).collect::<Vec<_>>();
        let wide_unsigned = |values: Vec<u8>| values.into_iter().map(i64::from).collect::<Vec<_>>();
        for (ranges, suffix) in [(Ranges::of(rows).unwrap(), ""), (Ranges::of(other.view()).unwrap(), "_other")] {
            assert_eq!(wide(int8(rows, &ranges)), expected(&format!("int8{suffix}")));
            assert_eq!(wide_unsigned(uint8(rows, &ranges)), expected(&format!("uint8{suffix}")));
        }
        assert_eq!(wide(binary(rows)), expected("binary"));
        assert_eq!(wide_unsigned(ubinary(rows)), expected("ubinary"));
    }

    #[test]
    fn buckets_go_down_and_never_out() {
        let data = noise(50 * 7, 1);
        let rows = Rows::new(&data, 50, 7, 7);
        let ranges = Ranges::of(rows).unwrap();
        let (unsigned, signed) = (uint8(rows, &ranges), int8(rows, &ranges));
        assert!(unsigned.iter().zip(&signed).all(|(u, s)| i16::from(*u) - 128 == i16::from(*s)));
        assert_eq!(dequantize_uint8(&unsigned, &ranges), dequantize_int8(&signed, &ranges));
        let steps = ranges.steps();
        for (i, (value, back)) in data.iter().zip(dequantize_uint8(&unsigned, &ranges)).enumerate() {
            let off = (value - back) / steps[i % 7];
            assert!((-1e-3..=1.001).contains(&off), "{value} came back as {back}");
        }
        // Beyond the ranges of others, values stay at the ends.
        let narrow = Ranges { low: vec![0.0; 7], high: vec![0.5; 7] };
        assert!(uint8(rows, &narrow).iter().zip(&data).all(|(q, v)| (*v > 0.0 || *q == 0) && (*v < 0.5 || *q == 255)));
    }

    #[test]
    fn a_column_that_never_changes_has_steps_of_one() {
        let rows = Rows::new(&[2.0, 2.0], 2, 1, 1);
        assert_eq!(int8(rows, &Ranges::of(rows).unwrap()), [-128, -128]);
        assert_eq!(Ranges::of(rows.range(0..1)), Err(VectorsError::TooFew { needed: 2, found: 1 }));
    }

    #[test]
    fn bits_begin_at_the_highest_place() {
        let mut data = vec![-1.0; 10];
        (data[0], data[7], data[9], data[1]) = (1.0, 0.1, 3.0, 0.0);
        let rows = Rows::new(&data, 1, 10, 10);
        assert_eq!(ubinary(rows), [0b1000_0001, 0b0100_0000]);
        assert_eq!(binary(rows), [1, -64]);
    }
}
