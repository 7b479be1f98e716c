//! BM25 (Robertson & Zaragoza 2009, idf as in Lucene) over terms that are opaque numbers: who has
//! the texts cuts them into words and names each word by a number, a hash or a place in a list. In
//! memory, built in one go.

use crate::search::{Best, Filter, Hit};
use std::collections::HashMap;

/// Weights of terms and of document lengths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bm25Settings {
    /// Saturation of a term's frequency in a document.
    pub k1: f32,
    /// Strength of the normalisation by document length, from 0 to 1.
    pub b: f32,
}

impl Default for Bm25Settings {
    fn default() -> Self {
        Self { k1: 1.2, b: 0.75 }
    }
}

/// Documents that contain each term.
#[derive(Clone, Debug)]
pub struct Bm25 {
    settings: Bm25Settings,
    /// Where the entries of a term are.
    terms: HashMap<u64, (u32, u32)>,
    /// Document and count, by term, documents ascending.
    entries: Vec<(u32, u32)>,
    /// k1 · (1 − b + b · length / mean length) of each document.
    held_back: Vec<f32>,
}

impl Bm25 {
    /// An index of documents, each a list of its terms in any order, repeated as they stand.
    /// Documents are numbered in order, so that the numbers are those of the rows next to which the
    /// texts lie.
    ///
    /// ```
    /// use maana_vectors::bm25::Bm25;
    ///
    /// let index = Bm25::build([[1u64, 2, 3].as_slice(), &[2, 2], &[4]], Default::default());
    /// let hits = index.search(&[2], 10, None);
    /// assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [1, 0]);
    /// ```
    pub fn build<D: AsRef<[u64]>>(documents: impl IntoIterator<Item = D>, settings: Bm25Settings) -> Self {
        // Term, document: sorted, equal ones lie together.
        let mut all: Vec<(u64, u32)> = Vec::new();
        let mut lengths: Vec<u32> = Vec::new();
        for document in documents {
            let number = u32::try_from(lengths.len()).expect("fewer than 2³² documents");
            let terms = document.as_ref();
            all.extend(terms.iter().map(|term| (*term, number)));
            lengths.push(terms.len() as u32);
        }
        all.sort_unstable();
        let mut terms: HashMap<u64, (u32, u32)> = HashMap::new();
        let mut entries: Vec<(u32, u32)> = Vec::new();
        for group in all.chunk_by(|a, b| a.0 == b.0) {
            let start = entries.len() as u32;
            entries.extend(group.chunk_by(|a, b| a.1 == b.1).map(|same| (same[0].1, same.len() as u32)));
            terms.insert(group[0].0, (start, entries.len() as u32));
        }
        let mean = lengths.iter().map(|length| f64::from(*length)).sum::<f64>() / lengths.len().max(1) as f64;
        let share = |length: &u32| if mean > 0.0 { (f64::from(*length) / mean) as f32 } else { 1.0 };
        let Bm25Settings { k1, b } = settings;
        let held_back = lengths.iter().map(|length| k1 * (1.0 - b + b * share(length))).collect();
        Self { settings, terms, entries, held_back }
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.held_back.len()
    }

    /// The k best documents of those with any of the terms, best first, of equal ones the lower; a
    /// term that occurs twice in the query counts twice.
    pub fn search(&self, query: &[u64], k: usize, filter: Option<Filter<'_>>) -> Vec<Hit> {
        // In the order of numbers, so that sums are the same whatever the order of the query.
        let mut query = query.to_vec();
        query.sort_unstable();
        let mut scores: HashMap<u32, f32> = HashMap::new();
        let documents = self.documents() as f32;
        for same in query.chunk_by(|a, b| a == b) {
            let Some((start, end)) = self.terms.get(&same[0]) else { continue };
            let entries = &self.entries[*start as usize..*end as usize];
            let with = entries.len() as f32;
            let weight = same.len() as f32 * (1.0 + (documents - with + 0.5) / (with + 0.5)).ln();
            for (document, count) in entries {
                let count = *count as f32;
                let part = weight * count * (self.settings.k1 + 1.0) / (count + self.held_back[*document as usize]);
                *scores.entry(*document).or_default() += part;
            }
        }
        let mut best = Best::new(k.min(scores.len()));
        for (document, score) in scores {
            if score >= best.threshold() && filter.is_none_or(|filter| filter(document as usize)) {
                best.offer(score, document);
            }
        }
        best.into_sorted().into_iter().map(|(score, row)| Hit { row: row as usize, score }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference_score(documents: &[Vec<u64>], query: &[u64], document: usize, settings: Bm25Settings) -> f64 {
        let n = documents.len() as f64;
        let mean = documents.iter().map(Vec::len).sum::<usize>() as f64 / n;
        let (k1, b) = (f64::from(settings.k1), f64::from(settings.b));
        let term = |term: &u64| {
            let with = documents.iter().filter(|document| document.contains(term)).count() as f64;
            let count = documents[document].iter().filter(|other| *other == term).count() as f64;
            let idf = (1.0 + (n - with + 0.5) / (with + 0.5)).ln();
            idf * count * (k1 + 1.0) / (count + k1 * (1.0 - b + b * documents[document].len() as f64 / mean))
        };
        query.iter().map(term).sum()
    }

    proptest! {
        #[test]
        fn agrees_with_the_formula(
            documents in prop::collection::vec(prop::collection::vec(0u64..12, 0..15), 1..25),
            query in prop::collection::vec(0u64..14, 0..6), k in 0usize..30,
        ) {
            let settings = Bm25Settings::default();
            let hits = Bm25::build(&documents, settings).search(&query, k, None);
            let mut expected: Vec<(usize, f64)> = (0..documents.len())
                .map(|document| (document, reference_score(&documents, &query, document, settings)))
                .filter(|(document, _)| documents[*document].iter().any(|term| query.contains(term)))
                .collect();
            expected.sort_by(|a, b| b.1.total_cmp(&a.1));
            expected.truncate(k);
            prop_assert_eq!(hits.len(), expected.len());
            for (hit, (_, score)) in hits.iter().zip(&expected) {
                prop_assert!((f64::from(hit.score) - score).abs() < 1e-4);
                let own = reference_score(&documents, &query, hit.row, settings);
                prop_assert!((f64::from(hit.score) - own).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn nothing_and_filters() {
        let none = Bm25::build(Vec::<Vec<u64>>::new(), Bm25Settings::default());
        assert!(none.search(&[1], 5, None).is_empty());
        let index = Bm25::build([vec![1u64], vec![1], vec![]], Bm25Settings::default());
        assert_eq!(index.documents(), 3);
        let not_first = |row: usize| row != 0;
        let hits = index.search(&[1, 9], 5, Some(&not_first));
        assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [1]);
    }
}
