//! A set of row numbers, one bit a row.

/// Which rows are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    length: usize,
}

impl Bits {
    /// No row of `length`.
    pub fn none(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(64)], length }
    }

    /// From words in which row r is bit r % 64 of word r / 64; bits beyond the length must be 0.
    pub fn from_words(words: Vec<u64>, length: usize) -> Option<Self> {
        let spare = words.len() * 64 - length.min(words.len() * 64);
        let fits = words.len() == length.div_ceil(64);
        let clean = spare == 0 || words.last().is_none_or(|last| last.leading_zeros() as usize >= spare);
        (fits && clean).then_some(Self { words, length })
    }

    /// The words.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Rows, in or out.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Returns whether it covers no rows.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns whether the set contains `row`.
    pub fn contains(&self, row: usize) -> bool {
        assert!(row < self.length, "row {row} of {}", self.length);
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Puts `row` in; false if it was in.
    pub fn insert(&mut self, row: usize) -> bool {
        let new = !self.contains(row);
        self.words[row / 64] |= 1 << (row % 64);
        new
    }

    /// Rows that are in.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_once() {
        let mut bits = Bits::none(70);
        assert!(bits.insert(69) && !bits.insert(69) && bits.insert(0));
        assert_eq!((bits.count(), bits.contains(69), bits.contains(1)), (2, true, false));
        assert_eq!(Bits::from_words(bits.words().to_vec(), 70), Some(bits.clone()));
        assert_eq!(Bits::from_words(vec![0, 1 << 6], 70), None);
        assert_eq!(Bits::from_words(vec![0], 70), None);
    }
}
