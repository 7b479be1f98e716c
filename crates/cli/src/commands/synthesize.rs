//! `maana synthesize`

use anyhow::{Result, bail};
use std::path::PathBuf;

/// Generate Swahili sentence pairs and a retrieval set.
#[derive(clap::Args)]
#[command(after_help = "\
Writes OUT/train.jsonl with lines {\"positive\": …, \"anchor\": …} and OUT/dev with queries, corpus and qrels in the \
layout of BEIR. The same seed gives the same bytes on every machine. No text of dev occurs in the training pairs.

Example:
  maana synthesize --pairs 20000 --seed 7 --out swahili")]
pub(crate) struct Synthesize {
    /// Number of pairs
    #[arg(long, default_value_t = 3000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pairs: u32,
    /// Number of queries in the retrieval set
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    queries: u32,
    /// Seed of the random generator
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
    /// Output folder; created if it does not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Synthesize {
    pub(crate) fn run(self) -> Result<()> {
        // Existing files may not be reproducible, so they are never overwritten.
        if let Some(there) = ["train.jsonl", "dev"].map(|name| self.out.join(name)).iter().find(|path| path.exists()) {
            bail!("{}: exists already; remove it, or choose another folder with --out", there.display());
        }
        let (pairs, queries) = (self.pairs as usize, self.queries as usize);
        let written = maana::synthesize::synthesize(pairs, queries, self.seed, &self.out)?;
        outln!(
            "{}: {} pairs; {}: {} queries, {} documents",
            self.out.join("train.jsonl").display(),
            written.pairs,
            self.out.join("dev").display(),
            written.queries,
            written.documents
        )?;
        Ok(())
    }
}
