//! Helpers of the tests: reproducible numbers, and comparisons.

/// Returns numbers between -1 and 1.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Checks that every element differs by at most `tolerance`, absolute and relative.
pub(crate) fn assert_close(ours: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    for (index, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let difference = (f64::from(*ours) - expected).abs();
        assert!(difference <= tolerance * (1.0 + expected.abs()), "{what}: element {index} is {ours}, not {expected}");
    }
}

/// Returns the derivative of `value` with respect to each element of `x`, by central differences.
pub(crate) fn finite_differences(x: &[f64], value: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let step = 1e-5;
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|index| {
            moved[index] = x[index] + step;
            let above = value(&moved);
            moved[index] = x[index] - step;
            let below = value(&moved);
            moved[index] = x[index];
            (above - below) / (2.0 * step)
        })
        .collect()
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}
