//! Rotary positions (Su et al. 2021, arXiv:2104.09864): pairs of columns of queries and keys, half
//! a head apart, are rotated by an angle that grows with the position of the token.

use crate::context::Context;
use crate::instruction_set::multiversion;

/// Tokens of a task.
const TOKENS: usize = 64;

/// Cosines and sines of the angles, `(positions, head_dim / 2)`.
#[derive(Clone, Debug)]
pub struct RotaryTables {
    frequencies: Vec<f32>,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl RotaryTables {
    /// Returns empty tables for heads of `head_dim` columns: pair `i` is rotated by `θ^(−2 i /
    /// head_dim)` for each position.
    ///
    /// # Panics
    /// If the number of columns is odd.
    pub fn new(theta: f64, head_dim: usize) -> Self {
        assert!(head_dim.is_multiple_of(2), "heads of {head_dim} columns");
        // Exponent, power and quotient are rounded to f32, as in the reference: at far positions a
        // last place of the frequency is a visible angle.
        let power = |exponent: f32| libm::pow(theta, f64::from(exponent)) as f32;
        let frequency = |pair: usize| 1.0 / power((2 * pair) as f32 / head_dim as f32);
        Self { frequencies: (0..head_dim / 2).map(frequency).collect(), cosines: Vec::new(), sines: Vec::new() }
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.cosines.len() / self.frequencies.len().max(1)
    }

    /// Adds positions up to `positions`. Those that are there do not change.
    pub fn extend(&mut self, positions: usize) {
        for position in self.positions()..positions {
            for frequency in &self.frequencies {
                // The angle is rounded to f32, as in the reference; its sine and cosine are not.
                let (sine, cosine) = libm::sincos(f64::from(position as f32 * frequency));
                self.cosines.push(cosine as f32);
                self.sines.push(sine as f32);
            }
        }
    }

    /// Cosines and sines of a position.
    fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let pairs = self.frequencies.len();
        let range = position * pairs..(position + 1) * pairs;
        (&self.cosines[range.clone()], &self.sines[range])
    }
}

/// Rotates queries and keys of `qkv`, `(tokens, 3, heads, head_dim)`, in place. `offsets` are the
/// start of each sequence, followed by the end of the last.
///
/// # Panics
/// If a sequence is longer than the tables, or shapes differ.
pub fn rotary(context: &Context, tables: &RotaryTables, offsets: &[usize], heads: usize, qkv: &mut [f32]) {
    rotate(context, tables, offsets, heads, qkv, false);
}

/// Replaces the gradients of rotated queries and keys by those of queries and keys, in place: the
/// rotation in the other direction.
///
/// # Panics
/// As [`rotary`].
pub fn rotary_backward(context: &Context, tables: &RotaryTables, offsets: &[usize], heads: usize, d_qkv: &mut [f32]) {
    rotate(context, tables, offsets, heads, d_qkv, true);
}

fn rotate(context: &Context, tables: &RotaryTables, offsets: &[usize], heads: usize, qkv: &mut [f32], backwards: bool) {
    let width = heads * 2 * tables.frequencies.len();
    let tokens = *offsets.last().expect("offsets begin with 0");
    assert_eq!(qkv.len(), tokens * 3 * width, "{tokens} tokens of {width}");
    let isa = context.isa();
    context.for_each_chunk(qkv, TOKENS * 3 * width, |task, qkv| {
        let first = task * TOKENS;
        let mut sequence = offsets.partition_point(|start| *start <= first) - 1;
        for (token, row) in (first..).zip(qkv.chunks_exact_mut(3 * width)) {
            while token >= offsets[sequence + 1] {
                sequence += 1;
            }
            let (cosines, sines) = tables.at(token - offsets[sequence]);
            rotate_row(isa, cosines, sines, backwards, &mut row[..2 * width]);
        }
    });
}

multiversion! {
    /// Rotates all heads of a row, or backwards.
    fn rotate_row(cosines: &[f32], sines: &[f32], backwards: bool, row: &mut [f32]) {
        let pairs = cosines.len();
        let sign = if backwards { -1.0 } else { 1.0 };
        for head in row.chunks_exact_mut(2 * pairs) {
            let (first, second) = head.split_at_mut(pairs);
            for ((x, y), (cosine, sine)) in first.iter_mut().zip(second).zip(cosines.iter().zip(sines)) {
                let sine = sign * sine;
                (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::InstructionSet;
    use crate::testing::{assert_close, finite_differences, noise, wide};

    const HEADS: usize = 3;
    const DIM: usize = 10;
    const THETA: f64 = 10_000.0;
    const OFFSETS: [usize; 5] = [0, 1, 1, 90, 200];

    fn reference(qkv: &[f64]) -> Vec<f64> {
        let mut rotated = qkv.to_vec();
        for pair in OFFSETS.windows(2) {
            for token in pair[0]..pair[1] {
                for head in 0..2 * HEADS {
                    let start = (token * 3 * HEADS + head) * DIM;
                    for i in 0..DIM / 2 {
                        let angle = (token - pair[0]) as f64 / THETA.powf(2.0 * i as f64 / DIM as f64);
                        let (x, y) = (qkv[start + i], qkv[start + i + DIM / 2]);
                        rotated[start + i] = x * angle.cos() - y * angle.sin();
                        rotated[start + i + DIM / 2] = y * angle.cos() + x * angle.sin();
                    }
                }
            }
        }
        rotated
    }

    fn tables() -> RotaryTables {
        let mut tables = RotaryTables::new(THETA, DIM);
        tables.extend(7);
        tables.extend(110);
        tables
    }

    #[test]
    fn every_instruction_set_gives_the_rotation_and_its_gradient_in_the_same_bits() {
        let tokens = OFFSETS[4];
        let (qkv, d_rotated) = (noise(tokens * 3 * HEADS * DIM, 1), noise(tokens * 3 * HEADS * DIM, 2));
        let mut all = Vec::new();
        for isa in InstructionSet::available() {
            for threads in [1, 3] {
                let context = Context::with_instruction_set(threads, isa);
                let (mut rotated, mut d_qkv) = (qkv.clone(), d_rotated.clone());
                rotary(&context, &tables(), &OFFSETS, HEADS, &mut rotated);
                rotary_backward(&context, &tables(), &OFFSETS, HEADS, &mut d_qkv);
                all.push((rotated, d_qkv));
            }
            println!("rotary: {} checked", isa.name());
        }
        let (rotated, d_qkv) = &all[0];
        assert!(all.iter().all(|other| *other == all[0]));
        assert_close(rotated, &reference(&wide(&qkv)), 1e-5, "rotated");
        // The rotation is linear: a few tokens suffice.
        let value = |qkv: &[f64]| -> f64 {
            let mut whole = wide(&d_rotated);
            whole[..qkv.len()].copy_from_slice(qkv);
            reference(&whole).iter().zip(&d_rotated).map(|(x, d)| x * f64::from(*d)).sum()
        };
        let few = 4 * 3 * HEADS * DIM;
        assert_close(&d_qkv[..few], &finite_differences(&wide(&qkv[..few]), value), 2e-5, "d_qkv");
    }

    #[test]
    fn positions_do_not_depend_on_the_length_of_the_tables() {
        let mut long = RotaryTables::new(160_000.0, 64);
        long.extend(8192);
        let mut short = RotaryTables::new(160_000.0, 64);
        short.extend(100);
        assert_eq!((long.positions(), short.positions()), (8192, 100));
        assert_eq!(long.at(99), short.at(99));
        let (cosines, sines) = long.at(8191);
        assert!((f64::from(cosines[0]) - 8191f64.cos()).abs() < 1e-7);
        assert!(cosines.iter().zip(sines).all(|(cosine, sine)| (cosine * cosine + sine * sine - 1.0).abs() < 1e-6));
    }

    #[test]
    #[should_panic(expected = "range")]
    fn sequences_beyond_the_tables_panic() {
        rotary(&Context::new(1), &tables(), &[0, 111], 1, &mut vec![0.0; 111 * 3 * DIM]);
    }
}
