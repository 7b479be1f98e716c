//! Texts to measure with, as long as those that the model is meant for.

use super::numbers;
use maana_swahili::{Pair, Synthesis};

/// How long texts are, in tokens: a log-normal distribution.
struct Lengths {
    median: f64,
    /// Standard deviation of the logarithm.
    sigma: f64,
}

/// The lengths of the training set that the model card of *BGE base Swahili Matryoshka* gives, of 1,000 samples: positives of 5
/// to 78 tokens, 20.1 on average, and anchors of 6 to 184, 38.64 on average. These distributions have the same averages, and
/// the same ends in 1,000 draws.
const POSITIVES: Lengths = Lengths { median: 17.7, sigma: 0.5 };
const ANCHORS: Lengths = Lengths { median: 33.2, sigma: 0.55 };

/// What BERT's English vocabulary makes of these sentences.
const CHARACTERS_PER_TOKEN: f64 = 2.5;
/// `[CLS]` and `[SEP]`.
const SPECIAL_TOKENS: f64 = 2.0;

impl Lengths {
    /// Characters of the texts at `count` equally likely places of the distribution, in an order that looks like chance.
    fn characters(&self, count: usize, seed: u32) -> Vec<usize> {
        let tokens = |place: usize| {
            let share = (place as f64 + 0.5) / count as f64;
            self.median * (self.sigma * normal_quantile(share)).exp()
        };
        let characters = |tokens: f64| (CHARACTERS_PER_TOKEN * (tokens - SPECIAL_TOKENS)).round().max(1.0) as usize;
        let keys = numbers(count, seed);
        let mut places: Vec<usize> = (0..count).collect();
        places.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        places.into_iter().map(|place| characters(tokens(place))).collect()
    }
}

/// Tukey's approximation of the standard normal distribution's quantile, 0.01 from it at most where shares are from 0.001 to 0.999.
fn normal_quantile(share: f64) -> f64 {
    4.91 * (share.powf(0.14) - (1.0 - share).powf(0.14))
}

/// Made-up pairs with the lengths of the card's training set: a few long texts among many short ones, in random order. They are cut
/// where they are long enough, in the middle of a word if need be: they have tokens, not meaning.
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
    let pair = |(place, (&positive, &anchor)): (usize, (&usize, &usize))| Pair {
        positive: text(|pair| &pair.positive, place, positive),
        anchor: text(|pair| &pair.anchor, place, anchor),
    };
    positives.iter().zip(&anchors).enumerate().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the card says of its columns: the least, the average and the most.
    #[test]
    fn lengths_are_those_of_the_card() {
        for (lengths, least, mean, most) in [(POSITIVES, 5.0, 20.1, 78.0), (ANCHORS, 6.0, 38.64, 184.0)] {
            let characters = lengths.characters(1000, 1);
            let tokens = |characters: usize| characters as f64 / CHARACTERS_PER_TOKEN + SPECIAL_TOKENS;
            let all: Vec<f64> = characters.into_iter().map(tokens).collect();
            let average = all.iter().sum::<f64>() / 1000.0;
            let near = |got: f64, asked: f64, tolerance: f64| (got / asked - 1.0).abs() < tolerance;
            assert!(near(average, mean, 0.02), "{average} on average, not {mean}");
            let (min, max) = all.iter().fold((f64::MAX, 0.0f64), |(min, max), &n| (min.min(n), max.max(n)));
            assert!(near(max, most, 0.15), "{max} at most, not {most}");
            assert!((min - least).abs() < 2.0, "{min} at least, not {least}");
        }
    }

    #[test]
    fn pairs_are_cut_to_length_and_the_same_each_time() {
        let pairs = pairs_of_card_lengths(32, 8);
        let characters = POSITIVES.characters(32, 1);
        assert_eq!(pairs.len(), 32);
        assert!(pairs.iter().zip(&characters).all(|(pair, &length)| pair.positive.chars().count() == length));
        assert_eq!(pairs, pairs_of_card_lengths(32, 8));
    }
}
