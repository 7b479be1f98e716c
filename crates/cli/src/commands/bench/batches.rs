//! `maana bench batches`.

use crate::precision::PrecisionArgument;
use anyhow::{Result, bail};
use maana::kernels::Context;
use maana::model::Trainable;
use maana::train::{Adafactor, Arguments, Optimizer};
use maana_bench::PairSource;

#[derive(clap::Args)]
pub(super) struct Batches {
    /// A folder, a name on the hub, or name@revision
    #[arg(default_value = "sentence-transformers/all-MiniLM-L6-v2", value_name = "MODEL")]
    model: String,
    /// Pairs of a batch, in rising order, as the peak of memory never falls
    #[arg(long, value_delimiter = ',', value_name = "N,N,…", default_values_t = [32, 64, 128])]
    batch_sizes: Vec<u32>,
    /// Texts that pass through the model together [default: all of a batch]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    mini_batch_size: Option<u32>,
    /// Tokens that pass through the model together [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    mini_batch_tokens: Option<u32>,
    /// Keep only the input of each layer, and recompute the rest
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Optimizer of the update
    #[arg(long, value_parser = ["adamw", "adafactor"], default_value = "adamw", value_name = "NAME")]
    optimizer: String,
    /// Update only those rows of the word table that have a gradient, with adamw
    #[arg(long)]
    lazy_embeddings: bool,
    #[command(flatten)]
    precision: PrecisionArgument,
}

impl Batches {
    /// Prints a table in Markdown, for `docs/performance.md`.
    pub(super) fn run(self, context: &Context, processor: &str) -> Result<()> {
        if self.batch_sizes.is_empty() || self.batch_sizes.contains(&0) || !self.batch_sizes.is_sorted() {
            bail!("--batch-sizes {:?}: expected numbers of at least 1 in rising order", self.batch_sizes);
        }
        let model = &mut crate::terminal::open_for_training(&self.model, context, self.precision.precision)?;
        let passes = Arguments {
            mini_batch_size: self.mini_batch_size.map(|size| size as usize),
            mini_batch_tokens: self.mini_batch_tokens.map(|tokens| tokens as usize),
            gradient_checkpointing: self.gradient_checkpointing,
            optimizer: match self.optimizer.as_str() {
                "adafactor" => Optimizer::Adafactor(Adafactor::default()),
                _ => Optimizer::AdamW,
            },
            lazy_embeddings: self.lazy_embeddings,
            ..Arguments::default()
        };
        let (threads, precision) = (context.threads(), model.precision().name());
        outln!("{processor}, {threads} threads; {}, {precision}\n", self.model)?;
        outln!("| pairs of a batch | tokens | s a step | ms a pair | peak memory, GB |\n|---:|---:|---:|---:|---:|")?;
        for pairs in self.batch_sizes {
            let rows = PairSource::new(maana_bench::pairs_of_card_lengths(pairs as usize, 8));
            let wanted = if pairs > 128 { 1 } else { 3 };
            let (dimension, mut rounds) = (model.dimension(), Vec::new());
            maana_bench::train_rounds(model, context, &rows, vec![dimension], &passes, &mut |round| {
                rounds.extend(round);
                rounds.len() < wanted
            })?;
            let median = maana_bench::median_round(rounds);
            outln!(
                "| {pairs} | {} | {:.2} | {:.1} | {:.2} |",
                median.tokens,
                median.seconds,
                1e3 * median.seconds / f64::from(pairs),
                median.peak_bytes as f64 / 1e9
            )?;
        }
        Ok(())
    }
}
