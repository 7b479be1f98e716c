//! `maana demo`

use anyhow::{Result, bail};
use maana::data::RetrievalSet;
use maana::finetune::{RunFolder, prepare};
use maana::kernels::Pool;
use maana::model::Embedder;
use std::path::PathBuf;
use std::time::Instant;

/// The whole way once: fine-tune a small model on Swahili pairs, measure, save, search.
///
/// The model is all-MiniLM-L6-v2, which has hardly seen Swahili; the 3,000 pairs are made up by `maana synthesize`.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  maana demo --out /tmp/demo")]
pub(crate) struct Demo {
    /// Folder for data, run and model
    #[arg(long, default_value = "maana-demo", value_name = "DIR")]
    out: PathBuf,
    /// Change a setting of the demo's recipe: table.key=value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

impl Demo {
    pub(crate) fn run(self, pool: &Pool) -> Result<()> {
        let start = Instant::now();
        let occupied = self.out.is_file() || self.out.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            bail!("{}: is there already; remove it, or choose another folder with --out", self.out.display());
        }
        let located = maana::demo::unpack(&self.out, &self.settings)?;
        let set = RetrievalSet::open(located.path(&located.recipe.evaluation.retrieval[0]))?;
        let prepared = prepare(located, pool, &mut |notice| eprintln!("note: {notice}"))?;
        let folder = RunFolder::new(self.out.join("run"));
        let recipe = self.out.join("demo.toml");
        let run = folder.path().display().to_string();
        let go_on = format!("maana train {} --out {run} --resume", recipe.display());
        super::train::run(prepared, pool, &folder, false, &go_on)?;
        let model = folder.path().join("model");
        let opened = crate::terminal::open_model(&model.display().to_string(), pool, crate::precision::Choice::Auto)?;
        let embedder = Embedder::new(&opened.model, pool)?;
        let queries = [0, set.queries.len() / 3, 2 * set.queries.len() / 3];
        println!("\nThree searches in {} documents (✓ marks what answers):", set.corpus.len());
        for search in maana::demo::searches(&embedder, pool, &set, &queries)? {
            println!("\n  {}", search.query);
            for (score, text, relevant) in &search.hits {
                println!("  {} {score:.3}  {text}", if *relevant { "✓" } else { " " });
            }
        }
        let dev = self.out.join("demo/dev");
        println!(
            "\nTry next:
  maana similarity {model} \"Mwanamke anashona.\" \"Mama anashona nguo.\" \"Bei ya mahindi imepanda.\"
  maana evaluate {model} {dev} --dims 384,128,32
  maana synthesize --pairs 20000 --out swahili
  maana train {recipe} --set data.train='[\"your-pairs.jsonl\"]' --out runs/mine
and open {run}/report.html

The demo took {:.0} s.",
            start.elapsed().as_secs_f64(),
            model = model.display(),
            dev = dev.display(),
            recipe = recipe.display(),
        );
        Ok(())
    }
}
