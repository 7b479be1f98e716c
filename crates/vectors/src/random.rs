//! Numbers that only look random: the same for a seed on every machine (SplitMix64).

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// All 64 bits of the next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, each as likely as the others to one part in 2³².
    pub fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.number()) * limit as u128) >> 64) as usize
    }

    /// A number from 0 to 1, 1 excluded.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `count` different numbers below `limit`, ascending.
    pub fn sample(&mut self, limit: usize, count: usize) -> Vec<usize> {
        let count = count.min(limit);
        // Floyd: each new number is free, or the largest one allowed is taken instead.
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
    fn samples_have_no_number_twice() {
        let mut random = Random::new(1);
        for (limit, count) in [(0, 3), (1, 1), (10, 10), (1000, 17)] {
            let sample = random.sample(limit, count);
            assert_eq!(sample.len(), count.min(limit));
            assert!(sample.windows(2).all(|pair| pair[0] < pair[1]) && sample.iter().all(|number| *number < limit));
        }
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
