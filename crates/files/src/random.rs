//! Pseudo-random numbers that are the same on every machine.

/// Increment of the state between two numbers, an odd number near 2⁶⁴ divided by the golden ratio.
const INCREMENT: u64 = 0x9E37_79B9_7F4A_7C15;

/// The generator SplitMix64 (Steele, Lea and Flood, 2014): a counter whose values are mixed. Not
/// for cryptography.
///
/// ```
/// let mut random = maana_files::SplitMix64::new(0);
/// assert_eq!(random.next_u64(), 0xE220_A839_7B1D_CDAF);
/// ```
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Creates a generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Creates a generator whose state is the product of the seed and the increment, so that small
    /// seeds are far apart.
    pub fn spread(seed: u64) -> Self {
        Self(seed.wrapping_mul(INCREMENT))
    }

    /// Returns the next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(INCREMENT);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Hashes a number: the first number of a generator with this seed, so that near numbers have
/// unrelated hashes.
pub fn mix(number: u64) -> u64 {
    SplitMix64::new(number).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_published_ones() {
        let mut random = SplitMix64::new(1_234_567);
        let expected = [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([(); 3].map(|()| random.next_u64()), expected);
    }

    #[test]
    fn a_spread_seed_is_multiplied() {
        assert_eq!(SplitMix64::spread(3).next_u64(), mix(INCREMENT.wrapping_mul(3)));
    }
}
