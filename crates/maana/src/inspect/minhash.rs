//! Near-duplicates by MinHash (Broder, 1997): the share of equal minima of many hash functions over
//! the character n-grams of two texts estimates the Jaccard similarity of their sets of n-grams.
//! Candidates share a band of several minima, so that not every pair is compared.

use super::error::InspectError;
use maana_data::Source;
use maana_files::{Groups, SplitMix64, mix};
use serde::Serialize;
use std::sync::LazyLock;

/// Distinct texts that are compared; more would take more memory.
pub(super) const MOST_TEXTS: usize = 2_000_000;
/// Share of equal minima from which texts are near-duplicates.
pub(super) const NEAR: f64 = 0.8;

/// Characters of an n-gram.
pub(super) const GRAM: usize = 5;
/// Bands of a signature, and minima of a band. Texts of similarity 0.8 share a band with a
/// probability of 0.99.
const BANDS: usize = 12;
const BAND: usize = 5;
/// Minima of a signature.
pub(super) const MINIMA: usize = BANDS * BAND;
/// Texts of a band with which another is compared.
const COMPARED: usize = 8;
/// Signatures of a band that are compared with a given one.
const LOOKED_UP: usize = 64;
/// Pairs that are shown.
const SHOWN: usize = 3;

/// Near-duplicates among the distinct texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Near {
    /// Distinct texts that were compared.
    pub compared: usize,
    /// False if there are more texts than are compared.
    pub is_complete: bool,
    /// Groups of texts that are near-duplicates.
    pub groups: usize,
    /// Texts of all groups.
    pub texts: usize,
    /// Some pairs.
    pub examples: Vec<NearPair>,
}

/// Two near-duplicates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NearPair {
    /// Estimated Jaccard similarity of their n-grams.
    pub similarity: f64,
    /// The texts.
    pub texts: [String; 2],
}

/// The minima of a text, reduced to 16 bits.
pub(super) type Signature = [u16; MINIMA];

/// Odd factors and summands of the hash functions.
static FUNCTIONS: LazyLock<[(u64, u64); MINIMA]> = LazyLock::new(|| {
    let mut random = SplitMix64::new(0x6d61_616e_6121);
    [(); MINIMA].map(|()| (random.next_u64() | 1, random.next_u64()))
});

/// Returns the signature of a text, or `None` without letters and digits. Case, punctuation and
/// white space do not count.
pub(super) fn signature(text: &str) -> Option<Signature> {
    let mut letters: Vec<u32> = vec![u32::from(' ')];
    for letter in text.chars().flat_map(char::to_lowercase) {
        let letter = if letter.is_alphanumeric() { u32::from(letter) } else { u32::from(' ') };
        if letter != u32::from(' ') || letters.last() != Some(&letter) {
            letters.push(letter);
        }
    }
    if letters.last() != Some(&u32::from(' ')) {
        letters.push(u32::from(' '));
    }
    if letters.len() < 3 {
        return None;
    }
    let mut minima = [u32::MAX; MINIMA];
    for gram in letters.windows(GRAM.min(letters.len())) {
        let hash = gram.iter().fold(0, |hash, letter| mix(hash ^ u64::from(*letter)));
        for (minimum, (factor, summand)) in minima.iter_mut().zip(FUNCTIONS.iter()) {
            *minimum = (*minimum).min((hash.wrapping_mul(*factor).wrapping_add(*summand) >> 32) as u32);
        }
    }
    Some(minima.map(|minimum| minimum as u16))
}

/// Returns the share of equal minima, which estimates the Jaccard similarity.
pub(super) fn estimate(a: &Signature, b: &Signature) -> f64 {
    let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
    equal as f64 / MINIMA as f64
}

/// Returns the key of a band.
fn band_key(signature: &Signature, band: usize) -> u64 {
    signature[band * BAND..][..BAND].iter().fold(band as u64, |key, minimum| mix(key ^ u64::from(*minimum)))
}

/// Signatures by band, to look up those that share one.
pub(super) struct BandIndex {
    /// For each band the keys with the numbers of their signatures, ascending.
    bands: Vec<Vec<(u64, u32)>>,
}

impl BandIndex {
    pub(super) fn new(signatures: &[Option<Signature>]) -> Self {
        Self { bands: (0..BANDS).map(|band| sorted(signatures, band)).collect() }
    }

    /// Returns the numbers of near signatures with their similarities, each once.
    pub(super) fn near(&self, signatures: &[Option<Signature>], wanted: &Signature) -> Vec<(usize, f64)> {
        let mut near: Vec<(usize, f64)> = Vec::new();
        for (band, keys) in self.bands.iter().enumerate() {
            let key = band_key(wanted, band);
            let start = keys.partition_point(|(other, _)| *other < key);
            for (_, number) in keys[start..].iter().take_while(|(other, _)| *other == key).take(LOOKED_UP) {
                let number = *number as usize;
                let Some(other) = &signatures[number] else { continue };
                let similarity = estimate(wanted, other);
                if similarity >= NEAR && near.iter().all(|(known, _)| *known != number) {
                    near.push((number, similarity));
                }
            }
        }
        near
    }
}

fn sorted(signatures: &[Option<Signature>], band: usize) -> Vec<(u64, u32)> {
    let key = |(number, signature): (usize, &Option<Signature>)| {
        signature.as_ref().map(|signature| (band_key(signature, band), number as u32))
    };
    let mut keys: Vec<(u64, u32)> = signatures.iter().enumerate().filter_map(key).collect();
    keys.sort_unstable();
    keys
}

/// Finds groups of near-duplicates among the distinct texts.
pub(super) fn near(
    signatures: &[Option<Signature>],
    first_rows: &[u32],
    source: &dyn Source,
) -> Result<Near, InspectError> {
    let mut groups = Groups::new(signatures.len());
    let mut pairs: Vec<(f64, u32, u32)> = Vec::new();
    for band in 0..BANDS {
        for bucket in sorted(signatures, band).chunk_by(|a, b| a.0 == b.0) {
            for (place, &(_, b)) in bucket.iter().enumerate().skip(1) {
                for &(_, a) in &bucket[..place.min(COMPARED)] {
                    if groups.find(a) == groups.find(b) {
                        continue;
                    }
                    let (Some(x), Some(y)) = (&signatures[a as usize], &signatures[b as usize]) else { continue };
                    let similarity = estimate(x, y);
                    if similarity >= NEAR {
                        groups.join(a, b);
                        pairs.push((similarity, a, b));
                    }
                }
            }
        }
    }
    let mut sizes = vec![0_u32; signatures.len()];
    for text in 0..signatures.len() as u32 {
        sizes[groups.find(text) as usize] += 1;
    }
    let large = sizes.iter().filter(|size| **size > 1);
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let example = |&(similarity, a, b): &(f64, u32, u32)| -> Result<NearPair, InspectError> {
        let text = |number: u32| text_of(source, number, first_rows[number as usize]);
        Ok(NearPair { similarity, texts: [text(a)?, text(b)?] })
    };
    // Pairs in the middle say more than equal texts in other letters.
    let step = (pairs.len() / SHOWN).max(1);
    Ok(Near {
        compared: signatures.len(),
        is_complete: signatures.len() < MOST_TEXTS,
        groups: large.clone().count(),
        texts: large.map(|size| *size as usize).sum(),
        examples: pairs.iter().step_by(step).take(SHOWN).map(example).collect::<Result<_, _>>()?,
    })
}

/// Reads a text by its key from the row in which it occurs first.
pub(super) fn text_of(source: &dyn Source, key: u32, row: u32) -> Result<String, InspectError> {
    let columns = source.columns().len();
    let keys = &source.text_keys()[row as usize * columns..][..columns];
    let column = keys.iter().position(|other| *other == key).unwrap_or(0);
    Ok(source.get(row as usize)?.texts.swap_remove(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similarity(a: &str, b: &str) -> f64 {
        estimate(&signature(a).unwrap(), &signature(b).unwrap())
    }

    #[test]
    fn case_and_punctuation_do_not_count() {
        assert_eq!(similarity("Habari ya asubuhi!", "habari, ya  ASUBUHI"), 1.0);
        assert_eq!(signature("… !"), None);
        assert!(signature("a").is_some());
    }

    /// The standard error of the estimate is 0.06 at most.
    #[test]
    fn estimates_are_near_the_jaccard_similarity() {
        let a = "Bei ya mahindi imepanda sana katika soko la Kariakoo wiki hii kutokana na mvua nyingi";
        let grams = |text: &str| -> std::collections::HashSet<String> {
            let letters: Vec<char> = format!(" {} ", text.to_lowercase()).chars().collect();
            letters.windows(GRAM).map(|gram| gram.iter().collect()).collect()
        };
        for b in [
            "Bei ya mahindi imepanda sana katika soko la Kariakoo wiki hii kutokana na mvua chache",
            "Bei ya mchele imepanda sana katika soko la Kisutu wiki hii kutokana na mvua nyingi",
            "Mtoto anacheza mpira uwanjani na rafiki zake baada ya shule kila siku jioni",
        ] {
            let (x, y) = (grams(a), grams(b));
            let exact = x.intersection(&y).count() as f64 / x.union(&y).count() as f64;
            assert!((similarity(a, b) - exact).abs() < 0.2, "{} is not {exact}", similarity(a, b));
        }
    }

    #[test]
    fn a_near_text_is_found_and_others_are_not() {
        let texts = [
            "Serikali imetangaza bei mpya za mafuta kuanzia mwezi ujao nchini kote",
            "Timu ya taifa imeshinda mchezo wake wa kwanza wa kufuzu kombe la dunia",
        ];
        let signatures: Vec<_> = texts.iter().map(|text| signature(text)).collect();
        let index = BandIndex::new(&signatures);
        let wanted = signature("serikali imetangaza bei mpya za mafuta, kuanzia mwezi ujao nchini kote").unwrap();
        assert_eq!(index.near(&signatures, &wanted), [(0, 1.0)]);
        assert_eq!(index.near(&signatures, &signature("Watoto wanapenda kusoma vitabu").unwrap()), []);
    }
}
