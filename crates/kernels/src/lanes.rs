//! Reductions in a fixed order: sixteen parallel sums, which are then added in halves. They give
//! the same bits on every instruction set, and are fast, as the compiler keeps the sums in
//! registers.

pub(crate) const LANES: usize = 16;

/// 1.5 · 2²³: the last place of a sum with it has the value 1.
const MAGIC: f32 = 12_582_912.0;

/// Returns Σ f(elements i of the slices) for all i; the slices have one length.
#[inline(always)]
pub(crate) fn sum<const N: usize>(slices: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    let length = slices[0].len();
    let slices = slices.map(|values| values[..length].as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for index in 0..length / LANES {
        let chunks = slices.map(|(chunks, _)| &chunks[index]);
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += f(chunks.map(|chunk| chunk[lane]));
        }
    }
    for (lane, sum) in sums.iter_mut().enumerate().take(length % LANES) {
        *sum += f(slices.map(|(_, rest)| rest[lane]));
    }
    total(sums)
}

/// Returns the sum of all lanes, added in halves.
#[inline(always)]
pub(crate) fn total(mut sums: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// Returns the largest value, or -∞ for an empty slice. NaN is ignored.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let larger = |value: f32, best: f32| if value > best { value } else { best };
    let mut best = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (best, value) in best.iter_mut().zip(chunk) {
            *best = larger(*value, *best);
        }
    }
    for (best, value) in best.iter_mut().zip(rest) {
        *best = larger(*value, *best);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            best[lane] = larger(best[lane + width], best[lane]);
        }
        width /= 2;
    }
    best[0]
}

/// Returns the least and the greatest of the values and 0, and a third number: NaN if a value is
/// NaN or infinite, otherwise 0.
#[inline(always)]
pub(crate) fn range(values: &[f32]) -> (f32, f32, f32) {
    // Integers in the order of the floats: the compiler keeps several registers of extremes of
    // integers, but not of floats. The order is its own inverse.
    let ordered = |bits: i32| bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed();
    let (least, greatest) = values.iter().fold((0, 0), |(least, greatest): (i32, i32), value| {
        let place = ordered(value.to_bits().cast_signed());
        (least.min(place), greatest.max(place))
    });
    let [least, greatest] = [least, greatest].map(|place| f32::from_bits(ordered(place).cast_unsigned()));
    (least, greatest, least * 0.0 + greatest * 0.0)
}

/// Returns the nearest integer, ties to even, of a number below 2²².
#[inline(always)]
pub(crate) fn round_to_whole(x: f32) -> i32 {
    (x + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed()
}

/// Returns the nearest integer, ties to even, of a number below 2²².
#[inline(always)]
pub(crate) fn round(x: f32) -> f32 {
    (x + MAGIC) - MAGIC
}

/// Returns eˣ with an error below 2 units in the last place, or 0 below -87.3: 2ⁿ · e^r with |r| ≤
/// ½ ln 2 and a polynomial of degree 6 (Cephes).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let clamped = if x > 88.3 { 88.3 } else { x };
    let clamped = if clamped < -87.33 { -87.33 } else { clamped };
    let whole = clamped * std::f32::consts::LOG2_E + MAGIC;
    let n = whole - MAGIC;
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let e = p * r * r + r + 1.0;
    let power = f32::from_bits(whole.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23);
    let value = e * power;
    if x < -87.33 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_agree_with_f64_for_every_length() {
        for length in 0..70 {
            let values = crate::testing::noise(length, 3);
            let expected: f64 = values.iter().map(|value| f64::from(*value)).sum();
            assert!((f64::from(sum([&values], |[value]| value)) - expected).abs() < 1e-5);
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max(&values), largest);
        }
        assert_eq!(max(&[f32::NAN, 1.0]), 1.0);
    }

    #[test]
    fn ranges_are_those_of_the_plain_order_for_every_length() {
        for length in 0..70 {
            let values = crate::testing::noise(length, 5);
            let extreme = |order: fn(f32, f32) -> f32| values.iter().copied().fold(0.0, order);
            assert_eq!(range(&values), (extreme(f32::min), extreme(f32::max), 0.0));
        }
        assert_eq!(range(&[1.0, 2.0]), (0.0, 2.0, 0.0));
        assert_eq!(range(&[-0.0, -3.0]), (-3.0, 0.0, 0.0));
        for value in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(range(&[1.0, value, -1.0]).2.is_nan(), "{value}");
        }
    }

    #[test]
    fn exp_is_right_to_two_units_in_the_last_place() {
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) - expected).abs() <= 2.5e-7 * expected, "{x}: {} is not {expected}", exp(x));
        }
        assert_eq!((exp(-200.0), exp(f32::NEG_INFINITY), exp(0.0)), (0.0, 0.0, 1.0));
        assert!(exp(f32::NAN).is_nan());
    }
}
