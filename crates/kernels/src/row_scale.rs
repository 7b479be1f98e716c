//! Quantization of a row to unsigned bytes.

use crate::lanes::{range, round_to_whole};

/// Meaning of the bytes of a row: `x ≈ scale · (byte − zero)`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowScale {
    pub(crate) scale: f32,
    pub(crate) zero: i32,
}

impl RowScale {
    /// Returns the scale and zero point of a row, and 1 / scale. Zero is represented exactly, and
    /// the range from the least to the greatest value covers 255 steps.
    #[inline(always)]
    pub(crate) fn of(row: &[f32]) -> (RowScale, f32) {
        // NaN and infinity make the whole row NaN instead of disappearing in the rounding.
        let (least, greatest, nan) = range(row);
        let scale = (greatest - least) / 255.0 + nan;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let zero = round_to_whole(-least * inverse);
        (RowScale { scale, zero }, inverse)
    }

    /// Returns the byte of a value, given 1 / scale.
    #[inline(always)]
    pub(crate) fn byte(self, value: f32, inverse: f32) -> u8 {
        round_to_whole(value * inverse).wrapping_add(self.zero).clamp(0, 255) as u8
    }
}
