//! Texts for benchmarks, with realistic lengths.

use crate::timing::numbers;
use maana::data::{DataError, Example, Source};
use maana_swahili::{Pair, Synthesis};

/// A log-normal distribution of lengths in tokens.
struct Lengths {
    median: f64,
    /// Standard deviation of the logarithm.
    sigma: f64,
}

/// Lengths of positives in the training set of the model card of *BGE base Swahili Matryoshka*: in
/// 1,000 samples 5 to 78 tokens, 20.1 on average. The distribution has the same mean, and the same
/// extremes in 1,000 draws.
const POSITIVES: Lengths = Lengths { median: 17.7, sigma: 0.5 };
/// Lengths of anchors in the same set: 6 to 184 tokens, 38.64 on average.
const ANCHORS: Lengths = Lengths { median: 33.2, sigma: 0.55 };

/// Ratio of BERT's English vocabulary on these sentences.
const CHARACTERS_PER_TOKEN: f64 = 2.5;
/// The tokens `[CLS]` and `[SEP]`.
const SPECIAL_TOKENS: f64 = 2.0;

impl Lengths {
    /// Returns the lengths in characters at `count` equidistant quantiles, in pseudo-random order.
    fn characters(&self, count: usize, seed: u32) -> Vec<usize> {
        let tokens = |index: usize| {
            let share = (index as f64 + 0.5) / count as f64;
            self.median * (self.sigma * normal_quantile(share)).exp()
        };
        let characters = |tokens: f64| (CHARACTERS_PER_TOKEN * (tokens - SPECIAL_TOKENS)).round().max(1.0) as usize;
        let keys = numbers(count, seed);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        order.into_iter().map(|index| characters(tokens(index))).collect()
    }
}

/// Returns Tukey's approximation of the standard normal quantile, with an error of at most 0.01 for
/// shares from 0.001 to 0.999.
fn normal_quantile(share: f64) -> f64 {
    4.91 * (share.powf(0.14) - (1.0 - share).powf(0.14))
}

/// Returns synthetic pairs with the lengths of the card's training set: a few long texts among many
/// short ones, in random order. They are truncated to length, possibly within a word, since only
/// their number of tokens matters.
pub fn pairs_of_card_lengths(count: usize, seed: u64) -> Vec<Pair> {
    let source: Vec<Pair> = Synthesis { pairs: count.max(64), queries: 0, seed }.pairs().collect();
    let text = |pick: fn(&Pair) -> &str, first: usize, characters: usize| {
        let mut text = String::new();
        for pair in source.iter().cycle().skip(first) {
            text = [&text, pick(pair)].join(if text.is_empty() { "" } else { " " });
            if let Some((end, _)) = text.char_indices().nth(characters) {
                text.truncate(end);
                break;
            }
        }
        text
    };
    let (positives, anchors) = (POSITIVES.characters(count, 1), ANCHORS.characters(count, 2));
    let pair = |(index, (&positive, &anchor)): (usize, (&usize, &usize))| Pair {
        positive: text(|pair| &pair.positive, index, positive),
        anchor: text(|pair| &pair.anchor, index, anchor),
    };
    positives.iter().zip(&anchors).enumerate().map(pair).collect()
}

/// Replaces the positives of pairs by passages of this number of words.
pub fn with_passages(pairs: Vec<Pair>, words: usize) -> Vec<Pair> {
    let passage = |first: usize| {
        let all = pairs.iter().cycle().skip(first).flat_map(|pair| pair.positive.split_whitespace());
        all.take(words).collect::<Vec<_>>().join(" ")
    };
    let pair = |(index, pair): (usize, &Pair)| Pair { positive: passage(index), anchor: pair.anchor.clone() };
    pairs.iter().enumerate().map(pair).collect()
}

/// Pairs in memory as a source of training data.
pub struct PairSource {
    pairs: Vec<Pair>,
    columns: Vec<String>,
    keys: Vec<u32>,
}

impl PairSource {
    /// Creates a source of these pairs, with the columns `positive` and `anchor`.
    pub fn new(pairs: Vec<Pair>) -> Self {
        let keys = (0..2 * pairs.len() as u32).collect();
        Self { pairs, columns: vec!["positive".into(), "anchor".into()], keys }
    }
}

impl Source for PairSource {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn has_labels(&self) -> bool {
        false
    }

    fn get(&self, index: usize) -> Result<Example, DataError> {
        let Pair { positive, anchor } = self.pairs[index].clone();
        Ok(Example { texts: vec![positive, anchor], label: None })
    }

    fn text_keys(&self) -> &[u32] {
        &self.keys
    }

    fn fingerprint(&self) -> [u8; 32] {
        [0; 32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares minimum, mean and maximum with the card.
    #[test]
    fn lengths_are_those_of_the_card() {
        for (lengths, least, mean, most) in [(POSITIVES, 5.0, 20.1, 78.0), (ANCHORS, 6.0, 38.64, 184.0)] {
            let characters = lengths.characters(1000, 1);
            let tokens = |characters: usize| characters as f64 / CHARACTERS_PER_TOKEN + SPECIAL_TOKENS;
            let all: Vec<f64> = characters.into_iter().map(tokens).collect();
            let average = all.iter().sum::<f64>() / 1000.0;
            let near = |got: f64, expected: f64, tolerance: f64| (got / expected - 1.0).abs() < tolerance;
            assert!(near(average, mean, 0.02), "{average} on average, not {mean}");
            let (min, max) = all.iter().fold((f64::MAX, 0.0f64), |(min, max), &n| (min.min(n), max.max(n)));
            assert!(near(max, most, 0.15), "{max} at most, not {most}");
            assert!((min - least).abs() < 2.0, "{min} at least, not {least}");
        }
    }

    #[test]
    fn passages_have_the_number_of_words() {
        let pairs = with_passages(pairs_of_card_lengths(20, 8), 100);
        assert!(pairs.iter().all(|pair| pair.positive.split_whitespace().count() == 100));
        assert_ne!(pairs[0].positive, pairs[1].positive);
        assert_eq!(pairs[7].anchor, pairs_of_card_lengths(20, 8)[7].anchor);
    }

    #[test]
    fn pairs_have_the_lengths_and_are_reproducible() {
        let pairs = pairs_of_card_lengths(32, 8);
        let characters = POSITIVES.characters(32, 1);
        assert_eq!(pairs.len(), 32);
        assert!(pairs.iter().zip(&characters).all(|(pair, &length)| pair.positive.chars().count() == length));
        assert_eq!(pairs, pairs_of_card_lengths(32, 8));
    }
}
