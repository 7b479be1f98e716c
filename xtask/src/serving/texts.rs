//! Synthetic Swahili texts of typical lengths, and the random draws for them and for arrival times.

use maana_files::SplitMix64;
use maana_swahili::Synthesis;
use std::collections::HashSet;

/// Distribution of text lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lengths {
    /// Queries: 4 to 12 words.
    Short,
    /// 8 to 300 words, as many from 8 to 16 as from 16 to 32, and so on.
    Mixed,
}

impl Lengths {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Mixed => "mixed",
        }
    }

    fn draw(self, draws: &mut Draws) -> usize {
        match self {
            Self::Short => 4 + (draws.share() * 9.0) as usize,
            Self::Mixed => (8.0 * (300.0_f64 / 8.0).powf(draws.share())).round() as usize,
        }
    }
}

/// `count` texts that all differ, the same for the same seed.
pub(crate) fn texts(lengths: Lengths, count: usize, seed: u64) -> Vec<String> {
    let mut draws = Draws::new(seed);
    // A pair has some thirty words; a mixed text eighty on average.
    let synthesis = Synthesis { pairs: count * 6 + 64, queries: 0, seed };
    let sentences = synthesis.pairs().flat_map(|pair| [pair.anchor, pair.positive]);
    let words: Vec<String> =
        sentences.flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let mut words = words.iter().cycle();
    let mut told = HashSet::new();
    std::iter::from_fn(|| {
        let length = lengths.draw(&mut draws);
        Some(words.by_ref().take(length).map(String::as_str).collect::<Vec<_>>().join(" "))
    })
    .filter(|text| told.insert(text.clone()))
    .take(count)
    .collect()
}

/// Random numbers by SplitMix64: the same seed gives the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Draws(SplitMix64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// At least 0, less than 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.share() * bound as f64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_and_have_the_lengths_that_were_asked_for() {
        for (lengths, bounds, average) in [(Lengths::Short, 4..=12, 7.0..9.0), (Lengths::Mixed, 8..=300, 70.0..90.0)] {
            let texts = texts(lengths, 300, 5);
            let words: Vec<usize> = texts.iter().map(|text| text.split(' ').count()).collect();
            assert!(words.iter().all(|count| bounds.contains(count)), "{words:?}");
            let mean = words.iter().sum::<usize>() as f64 / words.len() as f64;
            assert!(average.contains(&mean), "{mean}");
            assert_eq!(texts.iter().collect::<HashSet<_>>().len(), 300);
            assert_eq!(texts, super::texts(lengths, 300, 5));
        }
    }
}
