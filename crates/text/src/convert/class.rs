//! The Python classes of tokenizers whose files are converted.

use super::added_token::{AddedToken, Given};

/// Fields that name special tokens, in the order in which Python adds them to a vocabulary.
pub(crate) const FIELDS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A Python class of tokenizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// WordPiece with BERT's special tokens.
    Bert,
    /// WordPiece with MPNet's special tokens.
    MpNet,
    /// Byte-level BPE.
    Roberta,
    /// SentencePiece with four special tokens before the pieces.
    XlmRoberta,
    /// SentencePiece with five special tokens before the pieces.
    Camembert,
}

impl Class {
    /// Names of the classes. Each is also the name of its fast variant, with `Fast` at its end.
    pub(super) const NAMES: [(&str, Self); 7] = [
        ("BertTokenizer", Self::Bert),
        ("DistilBertTokenizer", Self::Bert),
        ("ElectraTokenizer", Self::Bert),
        ("MPNetTokenizer", Self::MpNet),
        ("RobertaTokenizer", Self::Roberta),
        ("XLMRobertaTokenizer", Self::XlmRoberta),
        ("CamembertTokenizer", Self::Camembert),
    ];

    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.strip_suffix("Fast").unwrap_or(name);
        Self::NAMES.into_iter().find_map(|(known, class)| (known == name).then_some(class))
    }

    /// Returns the special token of a field that the folder does not set.
    pub(crate) fn default_token(self, field: &str) -> Option<&'static str> {
        Some(match (self, field) {
            (Self::Bert, "bos_token" | "eos_token") => return None,
            (Self::Bert, "sep_token") => "[SEP]",
            (Self::Bert, "pad_token") => "[PAD]",
            (Self::Bert, "cls_token") => "[CLS]",
            (Self::Bert, "mask_token") => "[MASK]",
            (Self::Bert | Self::MpNet, "unk_token") => "[UNK]",
            (_, "bos_token" | "cls_token") => "<s>",
            (_, "eos_token" | "sep_token") => "</s>",
            (_, "unk_token") => "<unk>",
            (_, "pad_token") => "<pad>",
            (_, "mask_token") => "<mask>",
            _ => return None,
        })
    }

    /// Returns the token of a field with the flags that the class gives to those without flags.
    pub(super) fn with_flags(self, field: &str, given: Given) -> Given {
        match (self, field, given) {
            (Self::MpNet, field, Given::Text(content)) if FIELDS.contains(&field) => {
                Given::Token(AddedToken { lstrip: field == "mask_token", ..AddedToken::plain(content) })
            }
            (Self::Camembert, "mask_token", Given::Text(content)) => {
                Given::Token(AddedToken { lstrip: true, ..AddedToken::special(content) })
            }
            (_, _, given) => given,
        }
    }
}
