//! Lengths of the texts of a column.

use serde::Serialize;

/// Unit of lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Tokens of the model, special ones included.
    Tokens,
    /// Words: runs of letters and digits.
    Words,
}

impl Unit {
    /// Returns the name for display.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Words => "words",
        }
    }
}

/// A bar of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Shortest length.
    pub from: u32,
    /// Longest length.
    pub to: u32,
    /// Number of texts.
    pub texts: usize,
}

/// Lengths of the texts of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lengths {
    /// Shortest text.
    pub min: u32,
    /// Mean.
    pub mean: f64,
    /// Half of the texts are not longer.
    pub median: u32,
    /// 95 % of the texts are not longer.
    pub p95: u32,
    /// Longest text.
    pub max: u32,
    /// Number of texts by length; each bar is twice as wide as the one before.
    pub histogram: Vec<Bucket>,
}

impl Lengths {
    /// Summarises lengths, of which there is at least one.
    pub(super) fn of(mut lengths: Vec<u32>) -> Self {
        lengths.sort_unstable();
        let at = |share: f64| lengths[((lengths.len() - 1) as f64 * share).round() as usize];
        let (min, max) = (lengths[0], lengths[lengths.len() - 1]);
        let sum: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        let mut histogram: Vec<Bucket> = Vec::new();
        let (mut from, mut start) = (0, 0);
        while start < lengths.len() {
            let to = if from == 0 { 4 } else { (from - 1) * 2 };
            let end = lengths.partition_point(|&length| length <= to);
            if end > start || !histogram.is_empty() {
                histogram.push(Bucket { from, to, texts: end - start });
            }
            (from, start) = (to + 1, end);
        }
        Self { min, mean: sum as f64 / lengths.len() as f64, median: at(0.5), p95: at(0.95), max, histogram }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_doubling_bars() {
        let lengths = Lengths::of(vec![3, 5, 6, 17, 100]);
        assert_eq!((lengths.min, lengths.median, lengths.max, lengths.mean), (3, 6, 100, 26.2));
        let bars: Vec<_> = lengths.histogram.iter().map(|bar| (bar.from, bar.to, bar.texts)).collect();
        assert_eq!(bars, [(0, 4, 1), (5, 8, 2), (9, 16, 0), (17, 32, 1), (33, 64, 0), (65, 128, 1)]);
        assert_eq!(Lengths::of(vec![200]).histogram.len(), 1);
    }
}
