//! Fingerprints of evaluation sets: a run compares measurements only if they are of the same sets.

use super::content::{Content, Labelled};
use sha2::{Digest, Sha256};

impl Content {
    /// Returns the SHA-256 of texts, scores and labels.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Hash::default();
        match self {
            Self::Retrieval(set) => return set.fingerprint(),
            Self::Loss(rows) => return rows.fingerprint(),
            Self::Similarity { pairs, scores } => {
                hash.columns(pairs);
                hash.numbers(scores.iter().map(|score| score.to_bits()));
            }
            Self::Binary { pairs, alike } => {
                hash.columns(pairs);
                hash.numbers(alike.iter().map(|&alike| alike.into()));
            }
            Self::Classification { pairs, classes } => {
                hash.columns(pairs);
                hash.numbers(classes.iter().map(|&class| class as u64));
            }
            Self::Triplet(columns) => hash.columns(columns),
            Self::Translation { pairs, has_roles } => {
                hash.columns(pairs);
                hash.numbers([u64::from(*has_roles)]);
            }
            Self::Reranking { lists, at_k } => {
                hash.texts(&lists.queries);
                hash.texts(&lists.documents);
                hash.numbers(lists.candidates.iter().flat_map(|list| [list.positives as u64, list.negatives as u64]));
                hash.numbers(lists.orders.iter().flatten().map(|&relevant| relevant.into()));
                hash.numbers([*at_k as u64]);
            }
            Self::Mining { texts, known } => {
                hash.texts(texts);
                let mut known: Vec<_> = known.iter().collect();
                known.sort_unstable();
                hash.numbers(known.iter().flat_map(|(one, other)| [*one as u64, *other as u64]));
            }
            Self::Labels { train, test } => {
                for Labelled { texts, labels } in [train, test] {
                    hash.texts(texts);
                    hash.texts(labels);
                }
            }
        }
        hash.0.finalize().into()
    }
}

/// A hash of lists, each with its length in front.
#[derive(Default)]
struct Hash(Sha256);

impl Hash {
    fn numbers(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let numbers: Vec<u64> = numbers.into_iter().collect();
        self.length(numbers.len());
        numbers.iter().for_each(|number| self.0.update(number.to_le_bytes()));
    }

    fn texts(&mut self, texts: &[String]) {
        self.length(texts.len());
        for text in texts {
            self.length(text.len());
            self.0.update(text);
        }
    }

    fn columns(&mut self, columns: &[Vec<String>]) {
        columns.iter().for_each(|texts| self.texts(texts));
    }

    fn length(&mut self, length: usize) {
        self.0.update((length as u64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fingerprints_differ_when_the_content_does() {
        let pairs = |one: &[&str], other: &[&str]| [texts(one), texts(other)];
        let labels = |labels: &[&str]| Content::Labels {
            train: Labelled { texts: texts(&["a", "b"]), labels: texts(labels) },
            test: Labelled::default(),
        };
        let mining = |known: &[(usize, usize)]| Content::Mining {
            texts: texts(&["a", "b", "c"]),
            known: known.iter().copied().collect(),
        };
        let contents = [
            Content::Similarity { pairs: pairs(&["a"], &["b"]), scores: vec![0.5] },
            Content::Similarity { pairs: pairs(&["a"], &["b"]), scores: vec![0.25] },
            Content::Similarity { pairs: pairs(&["ab"], &[""]), scores: vec![0.5] },
            Content::Binary { pairs: pairs(&["a"], &["b"]), alike: vec![true] },
            Content::Binary { pairs: pairs(&["a"], &["b"]), alike: vec![false] },
            Content::Classification { pairs: pairs(&["a"], &["b"]), classes: vec![2] },
            Content::Triplet([texts(&["a"]), texts(&["b"]), texts(&["c"])]),
            Content::Translation { pairs: pairs(&["c"], &["b"]), has_roles: true },
            mining(&[(0, 1)]),
            mining(&[(0, 2)]),
            labels(&["x", "y"]),
            labels(&["x", "x"]),
        ];
        let distinct: HashSet<[u8; 32]> = contents.iter().map(Content::fingerprint).collect();
        assert_eq!(distinct.len(), contents.len());
        let order = [mining(&[(0, 1), (1, 2)]), mining(&[(1, 2), (0, 1)])];
        assert_eq!(order[0].fingerprint(), order[1].fingerprint());
    }
}
