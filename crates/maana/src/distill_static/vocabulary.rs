//! The vocabulary of a distilled model, and the ranks of its tokens by frequency.

use super::error::DistillError;
use super::settings::{Settings, Vocabulary};
use maana_model::TextEncoder;
use maana_text::{Revised, Tokenizer, Word};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Texts in which a word must occur to become a token.
const LEAST_COUNT: usize = 3;
/// Tokens of a text that are counted.
const LONGEST: usize = 1 << 16;

/// Returns the tokenizer of the distilled model, and the number of words that became tokens.
pub(super) fn revise(
    teacher: &TextEncoder,
    texts: &[String],
    settings: &Settings,
) -> Result<(Revised, usize), DistillError> {
    let bytes = teacher.spec().tokenizer().file_bytes().to_vec();
    let tokenizer = Tokenizer::from_bytes_bare(bytes, Path::new("tokenizer.json"))?;
    if settings.vocabulary == Vocabulary::Tokenizer {
        return Ok((tokenizer.revised(None, &[])?, 0));
    }
    let (mut counts, mut seen) = (HashMap::<String, (usize, Word)>::new(), HashSet::new());
    for text in texts {
        for word in tokenizer.words(text)? {
            seen.extend(word.ids.iter().copied());
            if word.ids.len() > 1 {
                counts.entry(word.text.clone()).or_insert((0, word)).0 += 1;
            }
        }
    }
    let mut words: Vec<(usize, Word)> = counts.into_values().filter(|(count, _)| *count >= LEAST_COUNT).collect();
    words.sort_by(|(a, first), (b, second)| b.cmp(a).then_with(|| first.text.cmp(&second.text)));
    words.truncate(settings.words);
    let words: Vec<Word> = words.into_iter().map(|(_, word)| word).collect();
    let keep = (settings.vocabulary == Vocabulary::Texts).then_some(&seen);
    Ok((tokenizer.revised(keep, &words)?, words.len()))
}

/// Returns the rank of each token by the number of times that it occurs in the texts. Of tokens
/// that occur as often, the one with the smaller id comes first, as vocabularies are in the order
/// of frequency.
pub(super) fn ranks(tokenizer: &Tokenizer, tokens: usize, texts: &[String]) -> Result<Vec<usize>, DistillError> {
    let mut counts = vec![0u64; tokens];
    for text in texts {
        tokenizer.encode(&[text], LONGEST)?.ids.into_iter().for_each(|id| counts[id as usize] += 1);
    }
    let mut order: Vec<usize> = (0..tokens).collect();
    order.sort_by_key(|token| std::cmp::Reverse(counts[*token]));
    let mut ranks = vec![0; tokens];
    order.into_iter().enumerate().for_each(|(rank, token)| ranks[token] = rank);
    Ok(ranks)
}
