//! `maana fetch`.

use crate::terminal::fetching;
use anyhow::{Context as _, Result};
use maana::hub::{HubOptions, fetch_again, resolve};

/// Fetch a model from the Hugging Face hub into the local cache, and print its folder.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana fetch sentence-transformers/all-MiniLM-L6-v2
  maana fetch sentence-transformers/all-MiniLM-L6-v2 --again   after `the file is damaged`")]
pub(crate) struct Fetch {
    /// A name on the Hugging Face hub, or name@revision
    model: String,
    /// Compare files that are in the cache with their checksums on the hub, and replace those that
    /// differ
    #[arg(long)]
    again: bool,
}

impl Fetch {
    pub(crate) fn run(self) -> Result<()> {
        let options = HubOptions::from_environment();
        let fetch = if self.again { fetch_again } else { resolve };
        let resolved = fetching(|tell| fetch(&self.model, &options, tell));
        let resolved = resolved.with_context(|| format!("model `{}`", self.model))?;
        outln!("{}", resolved.folder.display())
    }
}
