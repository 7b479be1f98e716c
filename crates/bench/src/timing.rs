//! Timing, and inputs without special values.

use std::time::Instant;

/// Returns the median time of at least five runs and half a second. Long runs have less noise: of
/// those above half a second three are timed, of those above two seconds one. The first run is not
/// counted.
pub(crate) fn median_seconds(mut run: impl FnMut()) -> f64 {
    let mut timed = || {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    let least = match timed() {
        first if first > 2.0 => 1,
        first if first > 0.5 => 3,
        _ => 5,
    };
    let mut seconds = Vec::new();
    while seconds.len() < least || seconds.iter().sum::<f64>() < 0.5 {
        seconds.push(timed());
    }
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Returns `count` pseudo-random numbers in `[-1, 1)`.
pub(crate) fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let number = |index: usize| {
        let hash = (index as u32).wrapping_mul(0x9E37_79B9).wrapping_add(seed).wrapping_mul(0x85EB_CA6B);
        (hash >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(number).collect()
}
