//! Comparisons of quantized vectors. Sums are integers, which have the same bits on every
//! instruction set.

use crate::instruction_set::{InstructionSet, multiversion};
use crate::lanes::round_to_whole;
use crate::prefetch::prefetch;

/// Fills `outᵢ = Σ weight · code` for the selected `rows` of `codes`, a matrix with as many columns
/// as `weights`. Prefetches all rows first, as they may be far apart. Sums must fit into 32 bits.
///
/// # Panics
/// If a row lies outside `codes`, or `out` does not have an element for each row.
pub fn dot_codes(weights: &[i16], codes: &[i8], rows: &[u32], out: &mut [i32]) {
    assert_eq!(rows.len(), out.len(), "an element for each row");
    dot_codes_on(InstructionSet::active(), weights, codes, rows, out);
}

/// Fills `outᵢ = Σ weight · code` for all rows of `codes`.
///
/// # Panics
/// If `out` does not have an element for each row.
pub fn dot_all_codes(weights: &[i16], codes: &[i8], out: &mut [i32]) {
    assert_eq!(weights.len() * out.len(), codes.len(), "an element for each row");
    dot_all_codes_on(InstructionSet::active(), weights, codes, out);
}

/// Fills `outᵢ = baseᵢ + codeᵢ · stepᵢ`, rounded to the nearest integer: the values of a row of
/// codes as weights for [`dot_codes`].
///
/// # Panics
/// If lengths differ.
pub fn weights_of_codes(codes: &[i8], base: &[f32], steps: &[f32], out: &mut [i16]) {
    assert_eq!([codes.len(), base.len(), steps.len()], [out.len(); 3], "a base and a step for each code");
    weights_of_codes_on(InstructionSet::active(), codes, base, steps, out);
}

/// Fills `out` with the Hamming distance of `query` to each row of `bits`, a matrix with as many
/// columns as `query`.
///
/// # Panics
/// If `out` does not have an element for each row.
pub fn different_bits(query: &[u64], bits: &[u64], out: &mut [u32]) {
    assert_eq!(query.len() * out.len(), bits.len(), "an element for each row");
    different_bits_on(InstructionSet::active(), query, bits, out);
}

#[inline(always)]
fn dot(weights: &[i16], codes: &[i8]) -> i32 {
    weights.iter().zip(codes).map(|(weight, code)| i32::from(*weight) * i32::from(*code)).sum()
}

multiversion! {
    fn dot_codes_on(weights: &[i16], codes: &[i8], rows: &[u32], out: &mut [i32]) {
        let columns = weights.len();
        for row in rows {
            prefetch(&codes[*row as usize * columns..][..columns]);
        }
        for (row, out) in rows.iter().zip(out) {
            *out = dot(weights, &codes[*row as usize * columns..][..columns]);
        }
    }
}

multiversion! {
    fn dot_all_codes_on(weights: &[i16], codes: &[i8], out: &mut [i32]) {
        for (codes, out) in codes.chunks_exact(weights.len().max(1)).zip(out) {
            *out = dot(weights, codes);
        }
    }
}

multiversion! {
    fn weights_of_codes_on(codes: &[i8], base: &[f32], steps: &[f32], out: &mut [i16]) {
        for (((out, code), base), step) in out.iter_mut().zip(codes).zip(base).zip(steps) {
            *out = round_to_whole(base + f32::from(*code) * step) as i16;
        }
    }
}

multiversion! {
    fn different_bits_on(query: &[u64], bits: &[u64], out: &mut [u32]) {
        for (bits, out) in bits.chunks_exact(query.len().max(1)).zip(out) {
            *out = query.iter().zip(bits).map(|(a, b)| (a ^ b).count_ones()).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_agrees_with_the_formula() {
        for columns in [1usize, 2, 7, 16, 31, 32, 64, 100, 130] {
            let number = |i: usize| (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 13;
            let weights: Vec<i16> = (0..columns).map(|i| (number(i) % 64_001) as i16).collect();
            let codes: Vec<i8> = (0..5 * columns).map(|i| number(i + 1000) as i8).collect();
            let bits: Vec<u64> = (0..5 * columns).map(|i| number(i).wrapping_mul(number(i + 9))).collect();
            let query = &bits[2 * columns..3 * columns];
            let rows = [4u32, 0, 2, 2];
            let expected = |row: usize| -> i32 {
                (0..columns).map(|i| i32::from(weights[i]) * i32::from(codes[row * columns + i])).sum()
            };
            let different = |row: usize| -> u32 {
                let differs = |bit: usize| (query[bit / 64] ^ bits[row * columns + bit / 64]) >> (bit % 64) & 1;
                (0..64 * columns).map(|bit| differs(bit) as u32).sum()
            };
            let parts: Vec<f32> = (0..columns).map(|i| (number(i) % 1000) as f32 / 7.0).collect();
            let weight = |i: usize| (parts[i] + f32::from(codes[i]) * parts[columns - 1 - i]).round_ties_even() as i16;
            for isa in InstructionSet::available() {
                let mut made = vec![0; columns];
                weights_of_codes_on(
                    isa,
                    &codes[..columns],
                    &parts,
                    &parts.iter().rev().copied().collect::<Vec<_>>(),
                    &mut made,
                );
                assert_eq!(made, (0..columns).map(weight).collect::<Vec<_>>(), "{} columns on {}", columns, isa.name());
                let (mut some, mut all, mut bits_of) = ([0; 4], [0; 5], [0; 5]);
                dot_codes_on(isa, &weights, &codes, &rows, &mut some);
                dot_all_codes_on(isa, &weights, &codes, &mut all);
                different_bits_on(isa, query, &bits, &mut bits_of);
                assert_eq!(some, rows.map(|row| expected(row as usize)), "{} columns on {}", columns, isa.name());
                assert_eq!(all, [0, 1, 2, 3, 4].map(expected), "{} columns on {}", columns, isa.name());
                assert_eq!(bits_of, [0, 1, 2, 3, 4].map(different), "{} words on {}", columns, isa.name());
            }
        }
    }
}
