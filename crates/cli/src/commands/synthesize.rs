//! `maana synthesize`

use anyhow::Result;
use std::path::PathBuf;

/// Write made-up Swahili sentence pairs and a retrieval set.
#[derive(clap::Args)]
#[command(after_help = "\
Writes OUT/train.jsonl with lines {\"positive\": …, \"anchor\": …} and OUT/dev with queries, corpus and qrels in the \
layout of BEIR. The same seed gives the same bytes on every machine; texts of dev never occur in training.

Example:
  maana synthesize --pairs 20000 --seed 7 --out swahili")]
pub(crate) struct Synthesize {
    /// Pairs to write
    #[arg(long, default_value_t = 3000, value_name = "N")]
    pairs: usize,
    /// Queries of the retrieval set
    #[arg(long, default_value_t = 300, value_name = "N")]
    queries: usize,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
    /// Folder to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Synthesize {
    pub(crate) fn run(self) -> Result<()> {
        let written = maana::synthesize::synthesize(self.pairs, self.queries, self.seed, &self.out)?;
        println!(
            "{}: {} pairs; {}: {} queries, {} documents",
            self.out.join("train.jsonl").display(),
            written.pairs,
            self.out.join("dev").display(),
            written.queries,
            written.documents
        );
        Ok(())
    }
}
