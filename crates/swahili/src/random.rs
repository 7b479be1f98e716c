//! Named pseudo-random choices: each is a hash of a seed, an index and the name of the choice. In
//! contrast to drawing in sequence, changing one choice leaves all others unchanged.

use maana_files::mix;

/// A source of named choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choices(u64);

impl Choices {
    /// Creates the choices of item `index` in the stream `seed`.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        Self(mix(mix(seed).wrapping_add(index)))
    }

    /// Returns independent choices for one part of the item.
    pub(crate) fn part(&self, name: &str) -> Self {
        Self(self.number(name))
    }

    /// Returns independent choices for another attempt at the same item.
    pub(crate) fn attempt(&self, attempt: u64) -> Self {
        Self(mix(self.0.wrapping_add(attempt)))
    }

    /// Returns the 64 bits of the choice `name`.
    pub(crate) fn number(&self, name: &str) -> u64 {
        mix(self.0 ^ hash(name))
    }

    /// Returns a whole number below `bound` for the choice `name`.
    pub(crate) fn below(&self, name: &str, bound: usize) -> usize {
        assert!(bound > 0, "nothing to choose from for {name:?}");
        ((u128::from(self.number(name)) * bound as u128) >> 64) as usize
    }

    /// Returns true with a probability of `percent` in a hundred.
    pub(crate) fn chance(&self, name: &str, percent: usize) -> bool {
        self.below(name, 100) < percent
    }

    /// Picks one of the `items`.
    pub(crate) fn pick<'a, T>(&self, name: &str, items: &'a [T]) -> &'a T {
        &items[self.below(name, items.len())]
    }

    /// Picks the index of one of the `weights`, in proportion to its weight.
    pub(crate) fn weighted(&self, name: &str, weights: &[usize]) -> usize {
        let mut rest = self.below(name, weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if rest < weight {
                return index;
            }
            rest -= weight;
        }
        unreachable!("the number is below the sum of the weights")
    }
}

/// Returns the FNV-1a hash of a text, which is the same on every machine and in every version.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_depends_only_on_its_name() {
        let choices = Choices::new(42, 7);
        let colour = choices.below("colour", 1000);
        choices.below("place", 1000);
        assert_eq!(choices.below("colour", 1000), colour);
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
