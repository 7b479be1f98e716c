//! The template of pairs: special tokens around two texts, and the segments of all tokens.

use crate::description::PairFrame;
use tokenizers::Encoding;

/// A token id and its segment.
pub(crate) type Framed = (u32, u32);

/// Special tokens around both texts of a pair, and the segments of the texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairTemplate {
    /// Special tokens in front of the first text.
    pub before: Vec<Framed>,
    /// Special tokens between the texts.
    pub between: Vec<Framed>,
    /// Special tokens behind the second text.
    pub after: Vec<Framed>,
    /// Segments of the texts.
    pub segments: [u32; 2],
}

impl PairTemplate {
    /// Returns the template of a class of tokenizers if it has one and adds one token before and
    /// one after a single text, else that of the description, or `None` without any.
    pub(crate) fn of(tokenizer: &tokenizers::Tokenizer, frame: PairFrame, single: &[Vec<u32>; 2]) -> Option<Self> {
        let PairFrame { separators, segments } = frame;
        let mut template = match (separators, &single[0][..], &single[1][..]) {
            (Some(separators), [begin], [end]) => Self {
                before: vec![(*begin, 0)],
                between: vec![(*end, 0); separators],
                after: vec![(*end, 1)],
                segments: [0, 1],
            },
            _ => Self::described(tokenizer)?,
        };
        if !segments {
            let specials = [&mut template.before, &mut template.between, &mut template.after];
            specials.into_iter().flatten().for_each(|(_, segment)| *segment = 0);
            template.segments = [0, 0];
        }
        Some(template)
    }

    /// Returns the template of the description, taken from a pair of single tokens.
    fn described(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        let text = |id| Encoding::from_tokens(vec![tokenizers::Token::new(id, String::new(), (0, 0))], 0);
        let whole = tokenizer.post_process(text(0), Some(text(1)), true).ok()?;
        let specials = whole.get_special_tokens_mask();
        let framed: Vec<Framed> = whole.get_ids().iter().copied().zip(whole.get_type_ids().iter().copied()).collect();
        let texts: Vec<usize> = (0..framed.len()).filter(|index| specials[*index] == 0).collect();
        let [first, second] = texts[..] else { return None };
        (framed[first].0 == 0 && framed[second].0 == 1).then(|| Self {
            before: framed[..first].to_vec(),
            between: framed[first + 1..second].to_vec(),
            after: framed[second + 1..].to_vec(),
            segments: [framed[first].1, framed[second].1],
        })
    }

    /// Number of special tokens around a pair.
    pub(crate) fn special_count(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len()
    }

    /// The greatest segment of a token.
    pub(crate) fn max_segment(&self) -> u32 {
        let specials = [&self.before, &self.between, &self.after].into_iter().flatten();
        specials.map(|(_, segment)| *segment).chain(self.segments).max().unwrap_or(0)
    }
}
