//! `maana train`

use crate::terminal;
use anyhow::{Context, Result};
use maana::finetune::{Finetuned, Prepared, RunFolder, Told, finetune, prepare};
use maana::kernels::Pool;
use maana::recipe::LocatedRecipe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Fine-tune a model as a recipe says, and measure it before and after.
///
/// Writes the best model with its card and report, the record of the run, and checkpoints to go on from.
#[derive(clap::Args)]
#[command(after_help = "\
A recipe is a TOML file with the tables [model], [data], [loss], [training], [evaluation] and [card]; the folder \
`recipes` has examples, and `--dry-run` prints every setting. Ctrl-C writes a checkpoint; --resume goes on from it to the same bits.

Examples:
  maana train recipe.toml --dry-run
  maana train recipe.toml --out runs/first --set training.epochs=1 --set model.base=./my-model
  maana train recipe.toml --out runs/first --resume")]
pub(crate) struct Train {
    /// The recipe
    recipe: PathBuf,
    /// Change a setting of the recipe: table.key=value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Folder of the run [default: runs/ and the recipe's name]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on from the newest checkpoint of the folder
    #[arg(long)]
    resume: bool,
    /// Read and check everything, print the plan, and do nothing
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
}

impl Train {
    pub(crate) fn run(self, pool: &Pool) -> Result<()> {
        let located = LocatedRecipe::read(&self.recipe, &self.settings)?;
        let prepared = prepare(located, pool, &mut |notice| eprintln!("note: {notice}"))?;
        if self.dry_run {
            return print_plan(&prepared, pool);
        }
        let out = self.out.unwrap_or_else(|| {
            let stem = self.recipe.file_stem().unwrap_or_else(|| "recipe".as_ref());
            PathBuf::from("runs").join(stem)
        });
        let go_on = format!("maana train {} --out {} --resume", self.recipe.display(), out.display());
        run(prepared, pool, &RunFolder::new(out), self.resume, &go_on)?;
        Ok(())
    }
}

/// Runs what is prepared and tells the terminal about it. `go_on` is the command that resumes it.
pub(super) fn run(
    prepared: Prepared,
    pool: &Pool,
    folder: &RunFolder,
    resume: bool,
    go_on: &str,
) -> Result<Box<maana::card::CardFacts>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            // Asked twice: at once. What was saved before stands.
            std::process::exit(130);
        }
        eprintln!("\nstopping: writing a checkpoint (once more Ctrl-C to stop without)");
    })
    .context("the handler of Ctrl-C")?;
    let mut display = terminal::TrainingDisplay::new();
    let ended = finetune(prepared, pool, folder, resume, &stop, &mut |told: &Told<'_>| display.show(told))?;
    display.clear();
    match ended {
        Finetuned::Finished { model, facts } => {
            println!("\nbefore\n{}", maana::evaluate::table(&facts.before));
            println!("after\n{}", maana::evaluate::table(&facts.after));
            println!("model   {}", model.display());
            println!("report  {}", folder.path().join("report.html").display());
            Ok(facts)
        }
        Finetuned::Interrupted { checkpoint, .. } => {
            if let Some(checkpoint) = checkpoint {
                println!("stopped; the run stands in {}", checkpoint.display());
            }
            println!("go on with: {go_on}");
            Err(terminal::Stopped.into())
        }
    }
}

fn print_plan(prepared: &Prepared, pool: &Pool) -> Result<()> {
    let plan = prepared.plan();
    println!("{}", prepared.located().to_toml());
    println!("# The plan");
    println!("rows          {}", plan.rows);
    println!("columns       {}", prepared.source().columns().join(", "));
    println!("micro-batches {} an epoch, {} in all", plan.batches_per_epoch, plan.micro_batches);
    println!("updates       {}", plan.updates);
    println!("warmup        {}", plan.warmup_updates);
    let dims: Vec<String> = prepared.dims().iter().map(ToString::to_string).collect();
    for (name, queries, documents) in prepared.sets() {
        println!("measured on   {name}: {queries} queries, {documents} documents, at dims {}", dims.join(", "));
    }
    let moments = |moments: &[maana::train::Moment]| {
        let shown = moments.iter().map(|moment| format!("{} → {:.4}", moment.step, moment.epoch));
        shown.collect::<Vec<_>>().join(", ")
    };
    println!("evaluations   step → epoch: {}", moments(&plan.evaluations));
    println!("log rows      step → epoch: {}", moments(&plan.log_rows));
    let estimate = prepared.estimate(pool)?;
    println!("tokens        {:.1} a row, {:.0} a second", estimate.tokens_per_row, estimate.tokens_per_second);
    println!(
        "time          about {} of training and {} of evaluations, with {} threads",
        terminal::duration(estimate.training_seconds),
        terminal::duration(estimate.evaluation_seconds),
        pool.threads()
    );
    println!(
        "memory        about {:.2} GB: {:.2} GB for parameters, gradients and moments, {:.2} GB for a batch",
        (estimate.parameter_bytes + estimate.activation_bytes) as f64 / 1e9,
        estimate.parameter_bytes as f64 / 1e9,
        estimate.activation_bytes as f64 / 1e9
    );
    Ok(())
}
