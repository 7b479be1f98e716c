//! Arguments and notes that the commands with cross-encoders share.

use crate::precision::PrecisionArgument;
use anyhow::{Context as _, Result};
use maana::kernels::Context;
use maana::model::CrossEncoder;

/// Arguments for scoring pairs with a cross-encoder.
#[derive(clap::Args)]
pub(crate) struct CrossEncoderArguments {
    /// Prompt of every first text: the name of a prompt of the model, a text, or none [default: the
    /// model's default prompt]
    #[arg(long, value_name = "NAME|TEXT|none")]
    prompt: Option<String>,
    /// Cut pairs to N tokens, the longer text first [default: the model's limit]
    #[arg(long, value_name = "N", value_parser = crate::number::one_or_more)]
    max_length: Option<usize>,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgument,
}

impl CrossEncoderArguments {
    /// Opens a cross-encoder by folder or name.
    pub(crate) fn open(&self, name: &str, context: &Context) -> Result<CrossEncoder> {
        let mut encoder = crate::terminal::open_cross_encoder(name, context, self.precision.precision)?.model;
        if let Some(tokens) = self.max_length {
            encoder = encoder.with_max_length(tokens).context("--max-length")?;
        }
        if let Some(prompt) = &self.prompt {
            let prompt = encoder.spec().prompt_or_text(prompt)?;
            encoder = encoder.with_prompt(&prompt)?;
        }
        if !encoder.prompt().is_empty() {
            errln!("first texts behind {:?}", encoder.prompt());
        }
        Ok(encoder)
    }
}

/// Prints the number of pairs that were cut, if any were.
pub(crate) fn print_truncated(encoder: &CrossEncoder) {
    let limit = encoder.max_length();
    match encoder.truncated() {
        0 => {}
        1 => errln!("note: 1 pair has more than {limit} tokens and was cut, the longer text first"),
        pairs => errln!("note: {pairs} pairs have more than {limit} tokens and were cut, the longer text first"),
    }
}
