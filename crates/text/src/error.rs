//! Errors of tokenizers and of the texts given to them.

use std::path::PathBuf;

/// An error of a tokenizer or of a text.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// `tokenizer.json` does not exist and cannot be built.
    #[error(
        "{path}: no such file, and {reason}. Fetch the model again (`maana fetch NAME --again`), or write the file in \
         Python: `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`"
    )]
    Missing {
        /// The expected file.
        path: PathBuf,
        /// Reason why it cannot be built from the other files of the folder.
        reason: String,
    },
    /// A file of a tokenizer cannot be read.
    #[error(
        "{path}: {reason}. The file is damaged or of another kind; fetch the model again (`maana fetch NAME --again`)"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Reason of the failure.
        reason: String,
    },
    /// A field of a file is invalid.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The field and its fault.
        reason: String,
    },
    /// A text could not be tokenized.
    #[error("text {index}: {reason}")]
    Encode {
        /// Index of the text, from 0.
        index: usize,
        /// Reason of the failure.
        reason: String,
    },
    /// A text has too many tokens and must not be truncated.
    #[error(
        "text {index}: it has {tokens} tokens{}, but the limit is {max_length}; shorten it, or allow truncation",
        if *or_more { " or more" } else { "" }
    )]
    TooLong {
        /// Index of the text, from 0.
        index: usize,
        /// Its tokens, including special tokens.
        tokens: usize,
        /// True if it may have more, because only a part of it was tokenized.
        or_more: bool,
        /// Allowed tokens.
        max_length: usize,
    },
    /// A pair of texts has too many tokens and must not be truncated.
    #[error(
        "pair {index}: its texts have {tokens} tokens{}, but the limit is {max_length}; shorten them, or allow truncation",
        if *or_more { " or more" } else { "" }
    )]
    PairTooLong {
        /// Index of the pair, from 0.
        index: usize,
        /// Its tokens, including special tokens.
        tokens: usize,
        /// True if it may have more, because only a part of it was tokenized.
        or_more: bool,
        /// Allowed tokens.
        max_length: usize,
    },
    /// The tokenizer does not say how two texts become one sequence.
    #[error(
        "the tokenizer has no template for pairs of texts, so the model cannot score them; add `pair` to \
         `post_processor` of `tokenizer.json`, or name the tokenizer's class in `tokenizer_config.json`"
    )]
    NoPairs,
    /// A text has no tokens and the tokenizer adds no special ones, so that there is nothing to
    /// embed.
    #[error("text {index}: it has no tokens, and the tokenizer adds no special tokens; leave it out")]
    NoTokens {
        /// Index of the text, from 0.
        index: usize,
    },
    /// A token id is not in the vocabulary.
    #[error("text {index}: there is no token {id}; ids go from 0 to {}", vocabulary - 1)]
    NoToken {
        /// Index of the text, from 0.
        index: usize,
        /// The id.
        id: u32,
        /// One more than the greatest id.
        vocabulary: usize,
    },
    /// The special tokens leave no room for a text.
    #[error(
        "max_seq_length {max_length} leaves no room for a text: {special} special tokens are added; use {} or more",
        special + 1
    )]
    TooShort {
        /// Allowed tokens.
        max_length: usize,
        /// Special tokens that are added to every text.
        special: usize,
    },
}

impl TextError {
    /// Returns the error of a part of several texts as that of all of them, with `before` texts
    /// before the part.
    pub fn after_texts(mut self, before: usize) -> Self {
        if let Self::Encode { index, .. }
        | Self::TooLong { index, .. }
        | Self::PairTooLong { index, .. }
        | Self::NoTokens { index }
        | Self::NoToken { index, .. } = &mut self
        {
            *index += before;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_part_has_its_number_among_all() {
        let errors = [
            TextError::Encode { index: 2, reason: "reason".into() },
            TextError::TooLong { index: 2, tokens: 9, or_more: false, max_length: 8 },
            TextError::NoTokens { index: 2 },
            TextError::NoToken { index: 2, id: 9, vocabulary: 8 },
        ];
        for error in errors {
            let said = error.after_texts(40).to_string();
            assert!(said.starts_with("text 42: "), "{said}");
        }
    }
}
