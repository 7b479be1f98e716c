//! Settings and progress of a distillation.

use super::error::DistillError;

/// Tokens of a distilled model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vocabulary {
    /// Those of the encoder's tokenizer.
    Tokenizer,
    /// Those of the tokenizer that occur in the texts, and frequent words of the texts.
    Texts,
    /// Those of the tokenizer, and frequent words of the texts.
    #[default]
    Both,
}

/// Settings of a distillation.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Columns of the table. Default 256.
    pub dimension: usize,
    /// Tokens of the table.
    pub vocabulary: Vocabulary,
    /// The most words of the texts that become tokens. Default 20,000.
    pub words: usize,
    /// The factor a of the weights a / (a + p) of tokens with the probability p (Arora et al.
    /// 2017). Nothing for equal weights. Default 1e-4.
    pub sif: Option<f64>,
    /// Passes over the texts to train the table. Default 0.
    pub epochs: usize,
    /// Learning rate of the training. Default 0.01.
    pub learning_rate: f64,
    /// Seed of the order of the texts in training.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let vocabulary = Vocabulary::default();
        Self { dimension: 256, vocabulary, words: 20_000, sif: Some(1e-4), epochs: 0, learning_rate: 0.01, seed: 42 }
    }
}

/// Progress of a distillation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// The table has this many tokens, of which some are words of the texts.
    Vocabulary {
        /// Number of tokens.
        tokens: usize,
        /// Number of words among them.
        words: usize,
    },
    /// The share of the variance of token embeddings that the table keeps.
    Variance(f64),
    /// The number of epochs of training, and the mean cosine with the embeddings of the encoder.
    Epoch(usize, f64),
}

impl Settings {
    /// Checks the settings.
    pub(super) fn check(&self) -> Result<(), DistillError> {
        let invalid = |reason: String| Err(DistillError::Setting(reason));
        if self.dimension == 0 {
            return invalid("dimension is 0; expected at least 1".into());
        }
        if let Some(sif) = self.sif.filter(|sif| !(*sif > 0.0 && *sif < 1.0)) {
            return invalid(format!("sif is {sif}; expected a number above 0 and below 1"));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return invalid(format!("learning_rate is {}; expected a number above 0", self.learning_rate));
        }
        Ok(())
    }
}
