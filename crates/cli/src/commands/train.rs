//! `maana train`

use crate::{interrupt, terminal};
use anyhow::Result;
use maana::finetune::{Finetuned, Prepared, RunFolder, Told, finetune, prepare};
use maana::kernels::Context;
use maana::recipe::LocatedRecipe;
use std::path::{Path, PathBuf};
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
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let located = LocatedRecipe::read(&self.recipe, &self.settings)?;
        let prepared = terminal::fetching(|tell| prepare(located, context, tell))?;
        if self.dry_run {
            return print_plan(&prepared, context);
        }
        let out = self.out.unwrap_or_else(|| {
            let stem = self.recipe.file_stem().unwrap_or_else(|| "recipe".as_ref());
            PathBuf::from("runs").join(stem)
        });
        let go_on = resuming(&self.recipe, &out, &self.settings);
        run(prepared, context, &RunFolder::new(out), self.resume, &go_on)?;
        Ok(())
    }
}

/// The command that goes on with a run: with its settings, for a run goes on only as it began.
pub(super) fn resuming(recipe: &Path, out: &Path, settings: &[String]) -> String {
    let place = |path: &Path| terminal::shell(&path.display().to_string());
    let settings: String = settings.iter().map(|setting| format!(" --set {}", terminal::shell(setting))).collect();
    format!("maana train {} --out {}{settings} --resume", place(recipe), place(out))
}

/// Runs what is prepared and tells the terminal about it. `go_on` is the command that resumes it.
pub(super) fn run(
    prepared: Prepared,
    context: &Context,
    folder: &RunFolder,
    resume: bool,
    go_on: &str,
) -> Result<Box<maana::card::CardFacts>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    // Asked twice, it ends at once: what was saved before stands.
    let first = interrupt::on_first(move || {
        seen.store(true, Ordering::Relaxed);
        tell!("\nstopping: writing a checkpoint (once more Ctrl-C to stop without)");
    });
    let mut display = terminal::TrainingDisplay::new();
    let ended = finetune(prepared, context, folder, resume, &stop, &mut |told: &Told<'_>| display.show(told))?;
    drop(first);
    display.clear();
    match ended {
        Finetuned::Finished { model, facts } => {
            if !facts.after.is_empty() {
                say!("\nbefore\n{}", maana::evaluate::table(&facts.before))?;
                say!("after\n{}", maana::evaluate::table(&facts.after))?;
            }
            if let Some(times) = facts.record.times.told() {
                say!("time    {times}")?;
            }
            say!("model   {}", model.display())?;
            say!("report  {}", folder.path().join("report.html").display())?;
            Ok(facts)
        }
        Finetuned::Interrupted { checkpoint, .. } => {
            if let Some(checkpoint) = checkpoint {
                say!("stopped; the run stands in {}", checkpoint.display())?;
            }
            say!("go on with: {go_on}")?;
            Err(terminal::Stopped.into())
        }
    }
}

fn print_plan(prepared: &Prepared, context: &Context) -> Result<()> {
    let plan = prepared.plan();
    say!("{}", prepared.located().to_toml())?;
    say!("# The plan")?;
    say!("rows          {}", plan.rows)?;
    say!("columns       {}", maana::roles::told(prepared.roles(), prepared.source().columns()))?;
    say!("micro-batches {} an epoch, {} in all", plan.batches_per_epoch, plan.micro_batches)?;
    let scheduled = match plan.scheduled_updates {
        scheduled if scheduled == plan.updates => String::new(),
        scheduled => format!(" (the schedule counts with {scheduled})"),
    };
    say!("updates       {}{scheduled}", plan.updates)?;
    say!("warmup        {}", plan.warmup_updates)?;
    let dims: Vec<String> = prepared.dims().iter().map(ToString::to_string).collect();
    for (name, queries, documents) in prepared.sets() {
        say!("measured on   {name}: {queries} queries, {documents} documents, at dims {}", dims.join(", "))?;
    }
    say!("evaluations   step → epoch: {}", moments(&plan.evaluations))?;
    say!("log rows      step → epoch: {}", moments(&plan.log_rows))?;
    print_first_rows(prepared)?;
    let estimate = prepared.estimate(context)?;
    say!("tokens        {:.1} a row, {:.0} a second", estimate.tokens_per_row, estimate.tokens_per_second)?;
    say!(
        "time          about {} of training and {} of evaluations, with {} threads",
        terminal::duration(estimate.training_seconds),
        terminal::duration(estimate.evaluation_seconds),
        context.threads()
    )?;
    say!(
        "memory        about {:.2} GB: {:.2} GB for parameters, gradients and moments, {:.2} GB for a batch",
        estimate.memory_bytes as f64 / 1e9,
        estimate.parameter_bytes as f64 / 1e9,
        estimate.activation_bytes as f64 / 1e9
    )?;
    Ok(())
}

/// Steps and epochs in a line; of very many the first and the last.
fn moments(moments: &[maana::train::Moment]) -> String {
    const SHOWN: usize = 500;
    let list = |moments: &[maana::train::Moment]| {
        let shown = moments.iter().map(|moment| format!("{} → {:.4}", moment.step, moment.epoch));
        shown.collect::<Vec<_>>().join(", ")
    };
    match moments.len().checked_sub(SHOWN + 1) {
        None | Some(0) => list(moments),
        Some(hidden) => {
            format!("{}, … {hidden} more …, {}", list(&moments[..SHOWN]), list(&moments[moments.len() - 1..]))
        }
    }
}

/// Prints the first rows as the loss takes them: the texts by their roles, and how many tokens of each are read.
fn print_first_rows(prepared: &Prepared) -> Result<()> {
    const ROWS: usize = 3;
    const LETTERS: usize = 100;
    let width = prepared.roles().iter().map(String::len).max().unwrap_or(0).max("label".len());
    for (number, row) in prepared.first_rows(ROWS)?.iter().enumerate() {
        let mut head = format!("row {}", number + 1);
        for ((role, text), tokens) in prepared.roles().iter().zip(&row.texts).zip(&row.tokens) {
            let plain: String =
                text.chars().take(LETTERS).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
            let more = if text.chars().nth(LETTERS).is_some() { "…" } else { "" };
            say!("{head:<13} {role:<width$}  {tokens:>4} tokens  {plain}{more}")?;
            head.clear();
        }
        if let Some(label) = row.label {
            say!("{head:<13} {:<width$}  {label}", "label")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use maana::train::{Arguments, Plan};

    #[test]
    fn of_very_many_moments_the_first_and_the_last_are_shown() {
        let log_rows = |updates: u64| {
            let arguments = Arguments { max_steps: Some(updates), log_every: 1, ..Arguments::default() };
            super::moments(&Plan::new(80, &arguments).unwrap().log_rows)
        };
        assert!(!log_rows(501).contains('…') && log_rows(501).contains("250 → "));
        let many = log_rows(10_000);
        assert!(many.contains("500 → 50.0000, … 9499 more …, 10000 → 1000.0000"), "{many}");
    }
}
