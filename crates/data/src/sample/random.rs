//! The random numbers of the reference: MT19937 with a 32-bit seed, and its permutations. Knows no
//! batches.

const STATE: usize = 624;
const SHIFT: usize = 397;

/// Number of items from which the reference draws 64-bit numbers; data sets are smaller.
const MAX_ITEMS: usize = (u32::MAX / 20) as usize;

/// The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), seeded as the reference's CPU
/// generator.
#[derive(Clone)]
pub struct Mt19937 {
    state: [u32; STATE],
    used: usize,
}

impl Mt19937 {
    /// Creates a generator from the lower 32 bits of `seed`; the reference ignores the upper ones
    /// as well.
    pub fn new(seed: u64) -> Self {
        let mut state = [0; STATE];
        state[0] = seed as u32;
        for i in 1..STATE {
            let previous: u32 = state[i - 1];
            state[i] = (previous ^ (previous >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, used: STATE }
    }

    /// Returns the next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == STATE {
            self.twist();
        }
        let mut bits = self.state[self.used];
        self.used += 1;
        bits ^= bits >> 11;
        bits ^= (bits << 7) & 0x9d2c_5680;
        bits ^= (bits << 15) & 0xefc6_0000;
        bits ^ (bits >> 18)
    }

    /// Returns a permutation of `0..items`. The next call continues the sequence.
    ///
    /// # Panics
    /// If there are 2³²/20 or more items.
    pub fn permutation(&mut self, items: usize) -> Vec<u32> {
        assert!(items < MAX_ITEMS, "a permutation of {items} items, of at most {MAX_ITEMS}");
        let mut order: Vec<u32> = (0..items as u32).collect();
        for i in 0..items.saturating_sub(1) {
            let left = (items - i) as u32;
            order.swap(i, i + (self.next_u32() % left) as usize);
        }
        order
    }

    fn twist(&mut self) {
        for i in 0..STATE {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % STATE] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % STATE] ^ (joined >> 1) ^ odd;
        }
        self.used = 0;
    }
}

/// Returns the permutation of `0..items` that the reference's `randperm` draws from a CPU generator
/// with seed `seed`.
///
/// # Panics
/// If there are 2³²/20 or more items.
pub fn randperm(items: usize, seed: u64) -> Vec<u32> {
    Mt19937::new(seed).permutation(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_thousandth_number_is_the_published_one() {
        let mut random = Mt19937::new(5489);
        for _ in 0..9_999 {
            random.next_u32();
        }
        assert_eq!(random.next_u32(), 4_123_659_995);
    }

    #[test]
    fn permutations_equal_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/sampler.json");
        let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let cases = golden["randperm"].as_array().unwrap();
        assert_eq!(cases.len(), 3);
        for case in cases {
            let wanted: Vec<u32> = serde_json::from_value(case["randperm"].clone()).unwrap();
            assert_eq!(randperm(wanted.len(), case["seed"].as_u64().unwrap()), wanted);
        }
    }

    #[test]
    fn no_items_and_one_item() {
        assert_eq!(randperm(0, 1), Vec::<u32>::new());
        assert_eq!(randperm(1, 1), vec![0]);
    }
}
