//! Token ids of several texts, back to back and without padding.

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
}

impl TokenBatch {
    /// Creates an empty batch.
    pub fn new() -> Self {
        Self { ids: Vec::new(), type_ids: Vec::new(), offsets: vec![0] }
    }

    /// Appends a sequence.
    ///
    /// # Panics
    /// If the slices have different lengths.
    pub fn push(&mut self, ids: &[u32], type_ids: &[u32]) {
        assert_eq!(ids.len(), type_ids.len(), "a segment for each token");
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.ids.extend_from_slice(ids);
        self.type_ids.extend_from_slice(type_ids);
        self.offsets.push(self.ids.len());
    }

    /// Appends all sequences of `other`.
    pub fn extend(&mut self, other: &TokenBatch) {
        for index in 0..other.sequences() {
            let range = other.offsets[index]..other.offsets[index + 1];
            self.push(&other.ids[range.clone()], &other.type_ids[range]);
        }
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
