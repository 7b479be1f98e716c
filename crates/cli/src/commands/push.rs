//! `maana push`.

use crate::terminal::fetching;
use anyhow::Result;
use maana::hub::{HubOptions, PushPlan, PushSettings, plan_push, push};
use std::path::PathBuf;

/// Push the folder of a model to the Hugging Face hub, and print the page of the commit.
///
/// Everything is committed at once, so that readers see the old version or the new one. Files that
/// the hub has already are not sent again.
#[derive(clap::Args)]
#[command(after_help = "\
The token comes from HF_TOKEN, else from the file that `hf auth login` writes. Checkpoints, the state of the optimizer, logs and \
hidden files are left out. Examples in the card that say `path/to/this/folder` say the name on the hub instead.

Examples:
  maana push runs/first/model me/swahili-embeddings --dry-run
  maana push runs/first/model me/swahili-embeddings --private
  maana push runs/first/model me/swahili-embeddings --revision second-try --message \"four epochs\"")]
pub(crate) struct Push {
    /// The folder of the model
    folder: PathBuf,
    /// Its name on the hub: organisation/model or user/model
    name: String,
    /// Create a private repository; refuse to push to a public one
    #[arg(long)]
    private: bool,
    /// Branch to push to, created if necessary [default: main]
    #[arg(long, value_name = "BRANCH")]
    revision: Option<String>,
    /// Summary of the commit
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Open a pull request instead of changing the branch
    #[arg(long)]
    create_pr: bool,
    /// List the files with what would happen to each, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Push {
    pub(crate) fn run(self) -> Result<()> {
        let options = HubOptions::from_environment();
        let settings = PushSettings {
            private: self.private,
            revision: self.revision,
            message: self.message,
            pull_request: self.create_pr,
            keep_card: false,
        };
        let (folder, name) = (&self.folder, &self.name);
        if self.dry_run {
            let plan = fetching(|notify| plan_push(folder, name, &settings, &options, notify))?;
            return print_plan(&plan, &options.endpoint, name, self.private);
        }
        let pushed = fetching(|notify| push(folder, name, &settings, &options, notify))?;
        let unchanged = match pushed.unchanged {
            0 => String::new(),
            number => format!("; the hub had {number} already"),
        };
        errln!("{} files committed{unchanged}", pushed.files);
        outln!("{}", pushed.address)
    }
}

fn print_plan(plan: &PushPlan, endpoint: &str, name: &str, private: bool) -> Result<()> {
    let state = match (plan.new, private) {
        (true, true) => "would be created, private",
        (true, false) => "would be created",
        (false, _) => "exists",
    };
    outln!("{endpoint}/{name}  {state}")?;
    for file in &plan.files {
        let action = if file.unchanged { "unchanged" } else { "send" };
        outln!("{action:<10} {:>13}  {}", file.size, file.name)?;
    }
    for name in &plan.left_out {
        outln!("{:<10} {:>13}  {name}", "left out", "")?;
    }
    let sent = || plan.files.iter().filter(|file| !file.unchanged);
    outln!("{} files with {} bytes would be sent", sent().count(), sent().map(|file| file.size).sum::<u64>())
}
