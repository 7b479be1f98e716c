//! Fused multiply-add, `a · b + c` rounded once, for processors that are not known to have an
//! instruction for it. It gives the bits of the instruction, so that products have the same bits on
//! every instruction set.
//!
//! In f64 the product of two f32 is exact, and the sum with `c` is rounded to 53 bits. A second
//! rounding, to f32, gives a wrong result only if the first one produced a tie of the second. Such
//! sums end with 28 zeros; they are rare, and are rounded to odd first (Boldo and Melquiond,
//! <https://hal.science/inria-00080427>), which keeps the information that a remainder was cut off.

/// Columns that are computed together.
pub(crate) const LANES: usize = 16;

/// True if the compiler may use an instruction: on Arm always, on x86-64 only if it compiles for a
/// processor that has it.
const INSTRUCTION: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

/// Returns `lhs · rhsᵢ + sumsᵢ`, each rounded once.
#[inline(always)]
pub(crate) fn multiply_add(sums: [f32; LANES], lhs: f32, rhs: [f32; LANES]) -> [f32; LANES] {
    if INSTRUCTION {
        return std::array::from_fn(|lane| lhs.mul_add(rhs[lane], sums[lane]));
    }
    in_software(sums, lhs, rhs)
}

#[inline(always)]
fn in_software(sums: [f32; LANES], lhs: f32, rhs: [f32; LANES]) -> [f32; LANES] {
    let wide_lhs = f64::from(lhs);
    let wide: [f64; LANES] = std::array::from_fn(|lane| wide_lhs * f64::from(rhs[lane]) + f64::from(sums[lane]));
    let narrow = wide.map(|wide| wide as f32);
    // The highest bit of `doubt` is set if any sum is in doubt. The cheap test first: 28 zeros at
    // the end.
    let doubt = wide.iter().fold(0, |doubt, wide| doubt | (wide.to_bits() & 0x0fff_ffff).wrapping_sub(1));
    if doubt >> 63 == 0 {
        return narrow;
    }
    // Most of these sums are exact instead of ties, above all products with 0. Subnormal f32 have
    // ties at other bits.
    let tie = wide.iter().fold(0, |doubt, wide| doubt | ((wide.to_bits() & 0x1fff_ffff) ^ 0x1000_0000).wrapping_sub(1));
    let tiny = narrow.iter().fold(0, |doubt, narrow| {
        let size = narrow.to_bits() & 0x7fff_ffff;
        doubt | (size.wrapping_sub(0x0080_0001) & !size.wrapping_sub(1))
    });
    if (tie >> 63) as u32 | (tiny >> 31) == 0 {
        return narrow;
    }
    std::array::from_fn(|lane| by_odd(wide_lhs * f64::from(rhs[lane]), f64::from(sums[lane])))
}

/// Adds the exact product of two f32 and an f32, and rounds the sum to f32 once.
#[inline(always)]
fn by_odd(product: f64, addend: f64) -> f32 {
    let sum = product + addend;
    // The exact remainder of the addition (Knuth's TwoSum); NaN for infinities, which are exact.
    let added = sum - product;
    let cut = (product - (sum - added)) + (addend - added);
    let bits = sum.to_bits();
    // An even last bit becomes odd in the direction of the remainder; an odd one already records
    // it.
    let away = 1u64.wrapping_sub(2 * ((cut.to_bits() ^ bits) >> 63));
    let step = if (cut > 0.0) | (cut < 0.0) { away } else { 0 };
    let step = if bits & 1 == 0 { step } else { 0 };
    f64::from_bits(bits.wrapping_add(step)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Compares all paths with the platform's `fmaf`.
    fn check(a: f32, b: f32, c: f32) {
        let expected = a.mul_add(b, c);
        let odd = by_odd(f64::from(a) * f64::from(b), f64::from(c));
        // Neighbours with and without a doubt, which must not change the result.
        let row = in_software([0.1, c, c, 1.0, c, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, c], a, [b; LANES]);
        let uniform = in_software([c; LANES], a, [b; LANES]);
        for ours in [odd, row[1], row[15], uniform[0], multiply_add([c; LANES], a, [b; LANES])[7]] {
            let same = ours.to_bits() == expected.to_bits() || (ours.is_nan() && expected.is_nan());
            assert!(same, "{a:e} · {b:e} + {c:e}: {ours:e} is not {expected:e}");
        }
    }

    /// Numbers at the edges of every range, in all combinations.
    #[test]
    fn edges_are_rounded_as_the_platform_rounds_them() {
        let ends = [
            0.0,
            1.0,
            1.0 + f32::EPSILON,
            1.0 - f32::EPSILON / 2.0,
            1.5,
            3.0,
            f32::MIN_POSITIVE,
            f32::MAX,
            f32::INFINITY,
            f32::NAN,
            f32::from_bits(1),
            f32::from_bits(3),
            f32::from_bits(0x7f_ffff),
            f32::from_bits(0x80_0001),
            2f32.powi(-75),
            2f32.powi(-74),
            2f32.powi(-63),
            2f32.powi(63),
            2f32.powi(64),
            2f32.powi(-126) * 1.5,
            16_777_215.0,
            16_777_217.0,
        ];
        let ends: Vec<f32> = ends.into_iter().flat_map(|x: f32| [x, -x]).collect();
        for a in &ends {
            for b in &ends {
                for c in &ends {
                    check(*a, *b, *c);
                }
            }
        }
    }

    /// Products of integers with an addend whose last bit has twice the value of theirs: ties and
    /// their neighbours.
    #[test]
    fn ties_are_rounded_as_the_platform_rounds_them() {
        for scale in [1.0, 2f32.powi(-70), 2f32.powi(-74)] {
            for low in 1..200u32 {
                for shift in 0..50 {
                    let c = (16_777_213 + low % 5) as f32 * 2f32.powi(shift - 24) * scale * scale;
                    for a in [low as f32, -(low as f32), (8_388_608 + low) as f32] {
                        check(a * scale, scale, c);
                        check(a * scale, 3.0 * scale, -c);
                        check(a * scale, (8_388_609 + low) as f32 * 2f32.powi(-23) * scale, c);
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Any bits, and addends whose exponent is near that of the product, with few and with many
        /// bits.
        #[test]
        fn any_bits_are_rounded_as_the_platform_rounds_them(
            a in any::<u32>(), b in any::<u32>(), c in any::<u32>(), distance in -40i32..30, zeros in 0u32..24, near in any::<bool>(),
        ) {
            let cut = |bits: u32| f32::from_bits(bits & (u32::MAX << zeros));
            let (a, b) = (cut(a), cut(b));
            let exponent = (((a * b).to_bits() >> 23) & 0xff).cast_signed() + distance;
            let near_product = f32::from_bits((c & 0x807f_ffff) | (exponent.clamp(0, 255) as u32) << 23);
            check(a, b, if near { near_product } else { f32::from_bits(c) });
        }
    }
}
