//! The model folder of Sentence Transformers, in and out: the only place that knows its files.
//! Read in every form that versions 2 to 6 write; written in the third version's form, which all of them open.

#[allow(unsafe_code, reason = "maps files")]
mod map;
mod read;
mod weights;
mod write;

pub use read::{Opened, Purpose, open, open_for};
pub(crate) use weights::{MappedTensor, WeightFiles, sums};

use serde_json::Value;

/// What a folder holds that the model does not compute with but gives back when it is saved.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// `config.json` as it was read.
    pub(crate) config: Value,
    /// Files of the tokenizer beside `tokenizer.json`, with their bytes.
    pub(crate) tokenizer_files: Vec<(String, Vec<u8>)>,
    /// Tensors of the weights file that take no part (the pooler, buffers).
    pub(crate) carried: Vec<weights::Carried>,
    /// The type of the weights in the file.
    pub(crate) dtype: safetensors::Dtype,
    /// Whether the parameters have changed since they were read.
    pub(crate) trained: bool,
}

impl Origin {
    pub(crate) fn carried_elements(&self) -> usize {
        let floating = self.carried.iter().filter(|tensor| weights::is_floating(tensor.dtype));
        floating.map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }
}

/// Files that belong to a tokenizer, beside `tokenizer.json`.
const TOKENIZER_FILES: [&str; 8] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "added_tokens.json",
];
