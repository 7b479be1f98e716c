//! Percentiles of all samples. There are at most a few hundred thousand, so that no buckets are
//! needed.

use std::time::Duration;

/// Latencies in ascending order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn new(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds, the least that `share` of the samples do not exceed.
    pub(crate) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let rank = (self.0.len() as f64 * share).ceil().max(1.0) as usize;
        self.0.get(rank - 1).map(|latency| latency.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_by_rank() {
        let latencies = Latencies::new((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| latencies.quantile_ms(share)), [1.0, 50.0, 99.0, 100.0].map(Some));
        assert_eq!(Latencies::default().quantile_ms(0.5), None);
    }
}
