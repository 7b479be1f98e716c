//! The pass over the rows: facts of each distinct text, computed in parallel.

use super::error::InspectError;
use super::leaks::{DevTexts, Match};
use super::lengths::Unit;
use super::minhash::{self, MOST_TEXTS, Signature};
use super::scripts::main_script;
use crate::texts::words;
use maana_data::Source;
use maana_kernels::Context;
use maana_model::TextEncoder;
use maana_text::{TextError, Tokenizer};

/// Rows that are read before their texts are examined.
const BLOCK: usize = 8192;

/// Tokens of a text that are counted.
pub(super) const MOST_TOKENS: usize = 8192;

/// Facts of the distinct texts, by their keys.
pub(super) struct Scanned {
    pub(super) unit: Unit,
    pub(super) lengths: Vec<u32>,
    pub(super) scripts: Vec<&'static str>,
    /// Of the first [`MOST_TEXTS`] texts.
    pub(super) signatures: Vec<Option<Signature>>,
    /// The row in which each text occurs first.
    pub(super) first_rows: Vec<u32>,
    /// Rows with a blank text.
    pub(super) blank_rows: usize,
}

/// Facts of one text.
struct TextFacts {
    length: Result<u32, TextError>,
    script: &'static str,
    signature: Option<Signature>,
    matches: Vec<Match>,
}

/// Reads all rows, examines their texts, and notes those of evaluation sets in `dev`.
pub(super) fn scan(
    source: &dyn Source,
    model: Option<&TextEncoder>,
    context: &Context,
    dev: &mut DevTexts,
) -> Result<Scanned, InspectError> {
    let tokenizer = model.map(|model| model.spec().tokenizer());
    let unit = if model.is_some() { Unit::Tokens } else { Unit::Words };
    let mut scanned = Scanned {
        unit,
        lengths: Vec::new(),
        scripts: Vec::new(),
        signatures: Vec::new(),
        first_rows: Vec::new(),
        blank_rows: 0,
    };
    let (keys, columns) = (source.text_keys(), source.columns().len());
    let mut known = 0;
    for start in (0..source.len()).step_by(BLOCK) {
        let mut texts: Vec<String> = Vec::new();
        for row in start..(start + BLOCK).min(source.len()) {
            let example = source.get(row)?;
            scanned.blank_rows += usize::from(example.texts.iter().any(|text| text.trim().is_empty()));
            for (text, &key) in example.texts.into_iter().zip(&keys[row * columns..][..columns]) {
                // Keys number the texts in the order in which they occur first.
                if key as usize == known {
                    known += 1;
                    texts.push(text);
                    scanned.first_rows.push(row as u32);
                }
            }
        }
        let first = scanned.lengths.len();
        let mut facts: Vec<Option<TextFacts>> = texts.iter().map(|_| None).collect();
        context.for_each_chunk(&mut facts, 1, |number, facts| {
            let text = &texts[number];
            let is_compared = first + number < MOST_TEXTS;
            let signature = if is_compared { minhash::signature(text) } else { None };
            facts[0] = Some(TextFacts {
                length: length(text, tokenizer.as_deref()),
                script: main_script(text),
                matches: dev.matches(text, signature.as_ref()),
                signature,
            });
        });
        for (number, facts) in facts.into_iter().flatten().enumerate() {
            scanned.lengths.push(facts.length?);
            scanned.scripts.push(facts.script);
            if first + number < MOST_TEXTS {
                scanned.signatures.push(facts.signature);
            }
            dev.note(&facts.matches, (first + number) as u32, scanned.first_rows[first + number]);
        }
    }
    Ok(scanned)
}

/// Returns the length in tokens, or without a tokenizer in words.
fn length(text: &str, tokenizer: Option<&Tokenizer>) -> Result<u32, TextError> {
    match tokenizer {
        // A blank text has no tokens in some tokenizers, which is an error elsewhere.
        Some(_) if text.trim().is_empty() => Ok(0),
        Some(tokenizer) => Ok(tokenizer.encode(&[text], MOST_TOKENS)?.tokens() as u32),
        None => Ok(words(text).count() as u32),
    }
}
