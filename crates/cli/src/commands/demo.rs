//! `maana demo`

use anyhow::{Result, bail};
use maana::data::RetrievalSet;
use maana::finetune::{RunFolder, prepare};
use maana::kernels::Context;
use maana::model::WeightStorage;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Run a complete example: fine-tune a small model on Swahili pairs, evaluate, save, search.
///
/// The model is all-MiniLM-L6-v2, which has seen hardly any Swahili; the 3,000 pairs come from
/// `maana synthesize`.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  maana demo --out /tmp/demo")]
pub(crate) struct Demo {
    /// Folder for the data, the run and the model
    #[arg(long, default_value = "maana-demo", value_name = "DIR")]
    out: PathBuf,
    /// Change a setting of the demo's recipe: table.key=value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

impl Demo {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let start = Instant::now();
        let folder = RunFolder::new(self.out.join("run"));
        let temporary = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".incomplete");
        let occupied = self.out.is_file()
            || self.out.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| !temporary(&entry.file_name())));
        // An interrupted demo is resumed.
        let unfinished = self.out.join(maana::demo::NAME).is_file() && !folder.path().join("model").exists();
        if occupied && !unfinished {
            bail!("{}: exists already; remove it, or choose another folder with --out", self.out.display());
        }
        let located = maana::demo::unpack(&self.out, &self.settings)?;
        let set = RetrievalSet::open(located.path(&located.recipe.evaluation.retrieval[0]))?;
        let prepared = crate::terminal::fetching(|notify| prepare(located, context, notify))?;
        let recipe = self.out.join(maana::demo::NAME);
        let resume_command = super::train::resuming(&recipe, folder.path(), &self.settings);
        let resume = folder.path().join("recipe.toml").exists();
        super::train::run(prepared, context, &folder, resume, &resume_command)?;
        let model = folder.path().join("model");
        let opened = crate::terminal::open_model(
            WeightStorage::Packed,
            &model.display().to_string(),
            context,
            Some(crate::precision::Choice::F32),
        )?;
        let encoder = opened.model;
        let queries = [0, set.queries.len() / 3, 2 * set.queries.len() / 3];
        outln!("\nThree searches in {} documents (✓ marks relevant documents):", set.corpus.len())?;
        for search in maana::demo::searches(&encoder, context, &set, &queries)? {
            outln!("\n  {}", search.query)?;
            for (score, text, relevant) in &search.hits {
                outln!("  {} {score:.3}  {text}", if *relevant { "✓" } else { " " })?;
            }
        }
        let dev = self.out.join("demo/dev");
        let shell = |path: &Path| crate::terminal::shell(&path.display().to_string());
        outln!(
            "\nTry next:
  maana similarity {model} \"Mwanamke anashona.\" \"Mama anashona nguo.\" \"Bei ya mahindi imepanda.\"
  maana evaluate {model} {dev} --dims 384,128,32
  maana synthesize --pairs 20000 --out swahili
  maana train {recipe} --set data.train='[\"your-pairs.jsonl\"]' --out runs/mine
and open {run}/report.html

The demo took {:.0} s.",
            start.elapsed().as_secs_f64(),
            model = shell(&model),
            dev = shell(&dev),
            recipe = shell(&recipe),
            run = folder.path().display(),
        )?;
        Ok(())
    }
}
