//! Words of texts as numbers, for BM25.

use crate::texts::words;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Returns a hash of each word of a text.
pub(crate) fn terms(text: &str) -> Vec<u64> {
    let hash = |word: String| {
        let mut hasher = DefaultHasher::new();
        word.hash(&mut hasher);
        hasher.finish()
    };
    words(text).map(hash).collect()
}
