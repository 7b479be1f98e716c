//! bf16, the upper half of an f32. Rounds to nearest, ties to even, as processors do.

use crate::context::Context;
use crate::instruction_set::multiversion;

/// Returns the bits of the nearest bf16, ties to even. NaN stays NaN; finite values beyond the
/// range become infinite.
#[inline(always)]
pub fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    // A NaN whose payload is in the lower half would round to infinity.
    let quiet = (bits >> 16) | 0x40;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { quiet } else { rounded }) as u16
}

/// Returns the f32 with the value of a bf16.
#[inline(always)]
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rounds a value to the nearest bf16.
#[inline(always)]
pub(crate) fn rounded(value: f32) -> f32 {
    from_bf16(to_bf16(value))
}

/// Elements of a task.
const CHUNK: usize = 1 << 14;

/// Rounds every value to the nearest bf16, in place.
pub fn round_to_bf16(context: &Context, values: &mut [f32]) {
    let isa = context.isa();
    context.for_each_chunk(values, CHUNK, |_, values| round(isa, values));
}

/// Fills `into` with the nearest bf16 of every value.
pub fn narrow(context: &Context, values: &[f32], into: &mut [u16]) {
    assert_eq!(values.len(), into.len(), "an element for each value");
    let isa = context.isa();
    context.for_each_chunk(into, CHUNK, |task, into| narrow_chunk(isa, &values[task * CHUNK..][..into.len()], into));
}

/// Fills `into` with the f32 of every bf16.
pub fn widen(context: &Context, values: &[u16], into: &mut [f32]) {
    assert_eq!(values.len(), into.len(), "an element for each value");
    let isa = context.isa();
    context.for_each_chunk(into, CHUNK, |task, into| widen_chunk(isa, &values[task * CHUNK..][..into.len()], into));
}

multiversion! {
    fn round(values: &mut [f32]) {
        for value in values {
            *value = rounded(*value);
        }
    }
}

multiversion! {
    pub(crate) fn narrow_chunk(values: &[f32], into: &mut [u16]) {
        for (into, value) in into.iter_mut().zip(values) {
            *into = to_bf16(*value);
        }
    }
}

multiversion! {
    pub(crate) fn widen_chunk(values: &[u16], into: &mut [f32]) {
        for (into, value) in into.iter_mut().zip(values) {
            *into = from_bf16(*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_rounds_alike() {
        let values: Vec<f32> =
            crate::testing::noise(1000, 1).into_iter().chain([f32::NAN, f32::INFINITY, 1e-40]).collect();
        let expected: Vec<u16> = values.iter().map(|value| to_bf16(*value)).collect();
        for isa in crate::InstructionSet::available() {
            let (mut rounded, mut narrowed, mut widened) = (values.clone(), vec![0; 1003], vec![0.0; 1003]);
            round(isa, &mut rounded);
            narrow_chunk(isa, &values, &mut narrowed);
            widen_chunk(isa, &narrowed, &mut widened);
            assert_eq!(narrowed, expected, "{}", isa.name());
            assert!(widened.iter().zip(&rounded).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", isa.name());
        }
        let mut narrowed = vec![0; 1003];
        narrow(&Context::new(2), &values, &mut narrowed);
        assert_eq!(narrowed, expected);
    }

    #[test]
    fn rounding_is_to_the_nearest_and_halves_to_even() {
        for (x, expected) in [(1.0, 1.0), (1.003_906_3, 1.0), (1.011_718_8, 1.015_625), (-3.3, -3.296_875), (0.0, 0.0)]
        {
            assert_eq!(from_bf16(to_bf16(x)), expected, "{x}");
        }
        assert_eq!(from_bf16(to_bf16(f32::MAX)), f32::INFINITY);
        assert_eq!(from_bf16(to_bf16(f32::NEG_INFINITY)), f32::NEG_INFINITY);
        assert!(from_bf16(to_bf16(f32::from_bits(0x7f80_0001))).is_nan());
        for bits in 0..=u16::MAX {
            let value = from_bf16(bits);
            assert!(value.is_nan() || to_bf16(value) == bits, "{bits:x}");
        }
    }
}
