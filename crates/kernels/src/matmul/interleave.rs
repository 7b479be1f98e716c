//! Interleaving of packed operands.

use crate::aligned::Element;

/// Converts `WIDTH` values, or fewer at the edge of a matrix, and stores them `STEP` elements
/// apart.
#[inline(always)]
pub(super) fn store_strided<T: Element, const WIDTH: usize, const STEP: usize>(
    values: &[f32],
    into: &mut [T],
    convert: impl Fn(f32, usize) -> T,
) {
    let into = &mut into[..(WIDTH - 1) * STEP + 1];
    // With a constant number of values the compiler copies whole registers.
    if let Ok(values) = <&[f32; WIDTH]>::try_from(values) {
        for index in 0..WIDTH {
            into[index * STEP] = convert(values[index], index);
        }
    } else {
        for (index, value) in values.iter().enumerate() {
            into[index * STEP] = convert(*value, index);
        }
    }
}
