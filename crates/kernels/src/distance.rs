//! Comparisons of two vectors, each a sum in a fixed order. They are too short for threads and take
//! no context: they use the active instruction set.

use crate::instruction_set::{InstructionSet, multiversion};
use crate::lanes::sum;

/// Returns the dot product Σ aᵢ bᵢ.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of {} and {}", a.len(), b.len());
    dot_on(InstructionSet::active(), a, b)
}

/// Returns the squared Euclidean distance Σ (aᵢ − bᵢ)².
pub fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of {} and {}", a.len(), b.len());
    squared_distance_on(InstructionSet::active(), a, b)
}

/// Returns the Manhattan distance Σ |aᵢ − bᵢ|.
pub fn manhattan(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of {} and {}", a.len(), b.len());
    manhattan_on(InstructionSet::active(), a, b)
}

multiversion! {
    fn dot_on(a: &[f32], b: &[f32]) -> f32 {
        sum([a, b], |[a, b]| a * b)
    }
}

multiversion! {
    fn squared_distance_on(a: &[f32], b: &[f32]) -> f32 {
        sum([a, b], |[a, b]| (a - b) * (a - b))
    }
}

multiversion! {
    fn manhattan_on(a: &[f32], b: &[f32]) -> f32 {
        sum([a, b], |[a, b]| (a - b).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn every_instruction_set_gives_the_same_bits_and_agrees_with_the_formula() {
        for length in 0..70 {
            let (a, b) = (noise(length, 1), noise(length, 2));
            let pairs = || a.iter().zip(&b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
            let expected = [
                pairs().map(|(a, b)| a * b).sum::<f64>(),
                pairs().map(|(a, b)| (a - b).powi(2)).sum(),
                pairs().map(|(a, b)| (a - b).abs()).sum(),
            ];
            for isa in InstructionSet::available() {
                let ours = [dot_on(isa, &a, &b), squared_distance_on(isa, &a, &b), manhattan_on(isa, &a, &b)];
                assert_eq!(ours, [dot(&a, &b), squared_distance(&a, &b), manhattan(&a, &b)], "{}", isa.name());
                assert!(ours.iter().zip(expected).all(|(ours, expected)| (f64::from(*ours) - expected).abs() < 1e-5));
            }
        }
    }
}
