//! Chance that depends on nothing but numbers: every choice is a hash of a seed, an index and the name of what is chosen.
//! Naming the choice, instead of drawing in sequence, lets one choice change while all the others stay as they were.

/// A source of named choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choices(u64);

impl Choices {
    /// The choices of item `index` in the stream `seed`.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        Self(mix(mix(seed).wrapping_add(index)))
    }

    /// Independent choices for one part of the item.
    pub(crate) fn part(&self, name: &str) -> Self {
        Self(self.number(name))
    }

    /// Independent choices for another attempt at the same item.
    pub(crate) fn attempt(&self, attempt: u64) -> Self {
        Self(mix(self.0.wrapping_add(attempt)))
    }

    /// All 64 bits of the choice `name`.
    pub(crate) fn number(&self, name: &str) -> u64 {
        mix(self.0 ^ hash(name))
    }

    /// A whole number below `bound`, for the choice `name`.
    pub(crate) fn below(&self, name: &str, bound: usize) -> usize {
        assert!(bound > 0, "nothing to choose from for {name:?}");
        ((u128::from(self.number(name)) * bound as u128) >> 64) as usize
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&self, name: &str, percent: usize) -> bool {
        self.below(name, 100) < percent
    }

    /// One of the `items`.
    pub(crate) fn pick<'a, T>(&self, name: &str, items: &'a [T]) -> &'a T {
        &items[self.below(name, items.len())]
    }

    /// The index of one of the `weights`, as often as its share of their sum.
    pub(crate) fn weighted(&self, name: &str, weights: &[usize]) -> usize {
        let mut left = self.below(name, weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("a number below the sum of the weights falls into one of them")
    }
}

/// FNV-1a of a text: the same on every machine and in every version.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finaliser of SplitMix64.
pub(crate) fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_splitmix64() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn a_choice_depends_on_its_name_alone() {
        let choices = Choices::new(42, 7);
        let alone = choices.below("colour", 1000);
        choices.below("place", 1000);
        assert_eq!(choices.below("colour", 1000), alone);
        assert_ne!(choices.number("colour"), choices.number("place"));
        assert_ne!(Choices::new(42, 8).number("colour"), choices.number("colour"));
    }

    #[test]
    fn choices_are_spread_evenly() {
        let mut counts = [0usize; 5];
        for index in 0..10_000 {
            counts[Choices::new(1, index).below("which", 5)] += 1;
        }
        assert!(counts.iter().all(|&count| (1850..2150).contains(&count)), "{counts:?}");
    }

    #[test]
    fn weights_are_kept() {
        let threes = (0..10_000).filter(|&index| Choices::new(1, index).weighted("which", &[1, 0, 3]) == 2).count();
        assert!((7300..7700).contains(&threes), "{threes}");
    }
}
