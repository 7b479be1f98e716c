//! Linear scales and their ticks.

use crate::number::grouped;

/// A linear map from values to positions in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Values at both ends.
    pub values: (f64, f64),
    /// Positions of both ends.
    pub positions: (f64, f64),
}

impl Scale {
    /// Returns the position of a value.
    pub fn position(&self, value: f64) -> f64 {
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        self.positions.0 + share * (self.positions.1 - self.positions.0)
    }
}

/// Returns a range, widened if it is empty.
pub(crate) fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if high - low > 1e-12 * low.abs().max(high.abs()).max(1e-300) {
        return (low, high);
    }
    let by = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
    if low >= 0.0 { ((low - by).max(0.0), high + by) } else { (low - by, high + by) }
}

/// Returns about `count` round numbers that cover the range, at least two: steps of 1, 2 or 5 times
/// a power of ten.
pub fn ticks((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let raw = (high - low) / (count.max(2) - 1) as f64;
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|nice| nice * magnitude >= raw * (1.0 - 1e-9)).unwrap_or(10.0)
        * magnitude;
    let first = (low / step + 1e-9).floor() as i64;
    let last = ((high / step - 1e-9).ceil() as i64).max(first + 1);
    (first..=last).map(|number| number as f64 * step).collect()
}

/// Formats the number of a tick with the decimals of its step.
pub fn tick_label(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !(9.99e-5..1e6).contains(&step) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let places = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
    grouped(&format!("{value:.places$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_linear() {
        let scale = Scale { values: (1.0, 3.0), positions: (100.0, 0.0) };
        assert_eq!([1.0, 1.5, 3.0].map(|value| scale.position(value)), [100.0, 75.0, 0.0]);
    }

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks((0.0, 1.0), 5), [0.0, 0.5, 1.0]);
        assert_eq!(ticks((0.0, 10.0), 6), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        let mut state = 1u64;
        for _ in 0..2000 {
            let mut draw = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as f64 / (1u64 << 31) as f64
            };
            let low = (draw() - 0.5) * 10f64.powf(draw() * 12.0 - 6.0);
            let high = low + 10f64.powf(draw() * 12.0 - 6.0);
            let all = ticks((low, high), 5);
            let step = all[1] - all[0];
            assert!((2..=8).contains(&all.len()), "{} ticks for {low}..{high}", all.len());
            assert!(
                all[0] <= low + 1e-6 * step && all[all.len() - 1] >= high - 1e-6 * step,
                "{all:?} for {low}..{high}"
            );
            let mantissa = step / 10f64.powf(step.log10().floor());
            assert!([1.0, 2.0, 5.0, 10.0].iter().any(|nice| (mantissa - nice).abs() < 1e-3), "a step of {step}");
        }
    }

    #[test]
    fn labels_have_the_places_that_their_step_needs() {
        assert_eq!(tick_label(0.5, 0.5), "0.5");
        assert_eq!(tick_label(12000.0, 2000.0), "12,000");
        assert_eq!(tick_label(2e-5, 5e-6), "2e-5");
        assert_eq!(tick_label(1.5e-5, 5e-6), "1.5e-5");
        assert_eq!(tick_label(0.0, 5e-6), "0");
    }
}
