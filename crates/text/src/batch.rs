//! Token ids of several texts, back to back and without padding.

use std::ops::Range;

/// Ragged token ids: sequence `i` is `ids[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenBatch {
    /// Token ids of all sequences. `(tokens)`
    pub ids: Vec<u32>,
    /// Segment of each token, 0 for a single text. `(tokens)`
    pub type_ids: Vec<u32>,
    /// Start of each sequence, followed by the number of tokens. `(sequences + 1)`, beginning with
    /// 0.
    pub offsets: Vec<usize>,
    /// Number of leading tokens of each sequence that belong to a prompt. `(sequences)`, or empty
    /// if no sequence has a prompt.
    pub prompt_lengths: Vec<usize>,
}

impl TokenBatch {
    /// Creates an empty batch.
    pub fn new() -> Self {
        Self { offsets: vec![0], ..Self::default() }
    }

    /// Appends a sequence.
    ///
    /// # Panics
    /// If the slices have different lengths.
    pub fn push(&mut self, ids: &[u32], type_ids: &[u32]) {
        assert_eq!(ids.len(), type_ids.len(), "a segment for each token");
        self.ids.extend_from_slice(ids);
        self.type_ids.extend_from_slice(type_ids);
        self.end_sequence();
    }

    /// Ends a sequence whose ids were appended to `ids`. Those without a segment have segment 0.
    pub(crate) fn end_sequence(&mut self) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.type_ids.resize(self.ids.len(), 0);
        self.offsets.push(self.ids.len());
        if !self.prompt_lengths.is_empty() {
            self.prompt_lengths.push(0);
        }
    }

    /// Appends all sequences of `other`.
    pub fn extend(&mut self, other: &TokenBatch) {
        self.extend_with(other, 0..other.sequences());
    }

    /// Appends the sequences of `other` with these numbers.
    ///
    /// # Panics
    /// If `other` has no such sequence.
    pub fn extend_with(&mut self, other: &TokenBatch, sequences: Range<usize>) {
        for index in sequences.clone() {
            let range = other.offsets[index]..other.offsets[index + 1];
            self.push(&other.ids[range.clone()], &other.type_ids[range]);
        }
        if !other.prompt_lengths.is_empty() {
            let sequences_before = self.sequences() - sequences.len();
            self.prompt_lengths.resize(sequences_before, 0);
            self.prompt_lengths.extend(&other.prompt_lengths[sequences]);
        }
    }

    /// Declares that the first `tokens` tokens of every sequence belong to a prompt. A shorter
    /// sequence consists of the prompt only.
    pub fn set_prompt_length(&mut self, tokens: usize) {
        self.prompt_lengths = match tokens {
            0 => Vec::new(),
            _ => (0..self.sequences()).map(|index| tokens.min(self.length(index))).collect(),
        };
    }

    /// Returns a batch of some of the sequences.
    pub fn part(&self, sequences: Range<usize>) -> Self {
        let mut part = Self::new();
        part.extend_with(self, sequences);
        part
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Token ids of sequence `index`.
    pub fn sequence(&self, index: usize) -> &[u32] {
        &self.ids[self.offsets[index]..self.offsets[index + 1]]
    }

    /// Number of tokens of sequence `index`.
    pub fn length(&self, index: usize) -> usize {
        self.offsets[index + 1] - self.offsets[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lengths: &[usize], prompt_length: usize) -> TokenBatch {
        let mut batch = TokenBatch::new();
        lengths.iter().for_each(|&length| batch.push(&vec![7; length], &vec![0; length]));
        batch.set_prompt_length(prompt_length);
        batch
    }

    #[test]
    fn prompt_lengths_stay_with_their_sequences() {
        let (with, without) = (batch(&[5, 2, 4], 3), batch(&[6, 1], 0));
        assert_eq!((&with.prompt_lengths[..], without.prompt_lengths.len()), (&[3, 2, 3][..], 0));
        let mut all = without.clone();
        all.extend(&with);
        assert_eq!(all.prompt_lengths, [0, 0, 3, 2, 3]);
        all.extend(&without);
        assert_eq!(all.prompt_lengths, [0, 0, 3, 2, 3, 0, 0]);
        let part = all.part(1..4);
        assert_eq!((part.offsets, part.prompt_lengths), (vec![0, 1, 6, 8], vec![0, 3, 2]));
    }
}
