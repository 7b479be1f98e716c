//! Pseudo-random numbers that are the same on every machine.

use maana_files::SplitMix64;

/// A stream of numbers of several distributions.
#[derive(Clone, Debug)]
pub struct Random(SplitMix64);

impl Random {
    /// Creates the stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// Returns the next number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number below `limit`, uniform up to one part in 2³².
    pub fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.number()) * limit as u128) >> 64) as usize
    }

    /// Returns a number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns `count` distinct numbers below `limit`, ascending.
    pub fn sample(&mut self, limit: usize, count: usize) -> Vec<usize> {
        let count = count.min(limit);
        // Floyd's algorithm: a number that is taken is replaced by the greatest one of the step.
        let mut chosen = std::collections::BTreeSet::new();
        for last in limit - count..limit {
            let number = self.below(last + 1);
            if !chosen.insert(number) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_distinct() {
        let mut random = Random::new(1);
        for (limit, count) in [(0, 3), (1, 1), (10, 10), (1000, 17)] {
            let sample = random.sample(limit, count);
            assert_eq!(sample.len(), count.min(limit));
            assert!(sample.windows(2).all(|pair| pair[0] < pair[1]) && sample.iter().all(|number| *number < limit));
        }
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
