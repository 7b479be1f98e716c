//! `maana train`.

use crate::{interrupt, terminal};
use anyhow::{Context as _, Result, ensure};
use maana::card::BlendFacts;
use maana::eval::Kind;
use maana::finetune::{Advice, Finetuned, Prepared, PreparedSet, RunEvent, RunFolder, finetune, prepare};
use maana::from_card::recipe_from_card;
use maana::kernels::Context;
use maana::recipe::LocatedRecipe;
use maana::train::GroupSummary;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Fine-tune a model with a recipe, and evaluate it before and after.
///
/// Writes the best model with its card and report, the log of the run, and checkpoints.
#[derive(clap::Args)]
#[command(after_help = "\
A recipe is a TOML file with the tables [model], [data], [loss], [training], [evaluation] and [card]; the folder \
`recipes` has examples, and `--dry-run` prints all settings. Ctrl-C writes a checkpoint; --resume continues bit-identically.

Examples:
  maana train recipe.toml --dry-run
  maana train recipe.toml --out runs/first --set training.epochs=1 --set model.base=./my-model
  maana train recipe.toml --out runs/first --resume
  maana train --from-card README.md --out-recipe recipe.toml   a recipe from a card of Sentence Transformers")]
pub(crate) struct Train {
    /// The recipe
    #[arg(required_unless_present = "from_card")]
    recipe: Option<PathBuf>,
    /// Make a recipe of a model card (README.md) of Sentence Transformers, and print it
    #[arg(long, value_name = "CARD", conflicts_with_all = ["recipe", "settings", "out", "resume", "dry_run"])]
    from_card: Option<PathBuf>,
    /// Write the recipe of the card to this new file
    #[arg(long, value_name = "FILE", requires = "from_card")]
    out_recipe: Option<PathBuf>,
    /// Change a setting of the recipe: table.key=value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Folder of the run [default: runs/NAME for a recipe NAME.toml]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue from the latest checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Read and check everything, and print the plan of the run
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
}

impl Train {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        if let Some(card) = &self.from_card {
            return make_recipe(card, self.out_recipe.as_deref());
        }
        let recipe = self.recipe.expect("clap requires it");
        let located = LocatedRecipe::read(&recipe, &self.settings)?;
        let mut prepared = terminal::fetching(|notify| prepare(located, context, notify))?;
        if self.dry_run {
            return print_plan(&mut prepared, context);
        }
        let out = self.out.unwrap_or_else(|| {
            let stem = recipe.file_stem().unwrap_or_else(|| "recipe".as_ref());
            PathBuf::from("runs").join(stem)
        });
        let resume_command = resuming(&recipe, &out, &self.settings);
        run(prepared, context, &RunFolder::new(out), self.resume, &resume_command)?;
        Ok(())
    }
}

/// Makes a recipe of a card, and writes it to a file that does not exist, or prints it.
fn make_recipe(card: &Path, out: Option<&Path>) -> Result<()> {
    let made = recipe_from_card(card).with_context(|| card.display().to_string())?;
    for note in &made.notes {
        errln!("note: {note}");
    }
    let Some(out) = out else { return outln!("{}", made.toml.trim_end()) };
    ensure!(!out.exists(), "{}: exists; choose another file with --out-recipe", out.display());
    maana::files::write(out, &made.toml).map_err(maana::files::FileError::at(out))?;
    errln!("{} is written; name the files of the data in it", out.display());
    Ok(())
}

/// Returns the command that resumes a run, with the settings of its start.
pub(super) fn resuming(recipe: &Path, out: &Path, settings: &[String]) -> String {
    let quoted = |path: &Path| terminal::shell(&path.display().to_string());
    let settings: String = settings.iter().map(|setting| format!(" --set {}", terminal::shell(setting))).collect();
    format!("maana train {} --out {}{settings} --resume", quoted(recipe), quoted(out))
}

/// Runs the training and displays its progress. `resume_command` resumes it.
pub(super) fn run(
    prepared: Prepared,
    context: &Context,
    folder: &RunFolder,
    resume: bool,
    resume_command: &str,
) -> Result<Box<maana::card::CardFacts>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    // The second signal ends the process at once; earlier checkpoints remain.
    let first = interrupt::on_first(move || {
        seen.store(true, Ordering::Relaxed);
        errln!("\nstopping: writing a checkpoint (press Ctrl-C again to stop at once)");
    });
    let mut display = terminal::TrainingDisplay::new();
    let ended = finetune(prepared, context, folder, resume, &stop, &mut |event: &RunEvent<'_>| display.show(event))?;
    drop(first);
    display.clear();
    match ended {
        Finetuned::Finished { model, facts, advice } => {
            if !facts.after.is_empty() {
                outln!("\nbefore\n{}", maana::evaluation::table(&facts.before))?;
                outln!("after\n{}", maana::evaluation::table(&facts.after))?;
            }
            if let Some(blend) = &facts.blend {
                print_blends(blend)?;
            }
            if let Some(times) = facts.record.times.summary() {
                outln!("time    {times}")?;
            }
            outln!("model   {}", model.display())?;
            outln!("report  {}", folder.path().join("report.html").display())?;
            if let Some(advice) = &advice {
                print_advice(advice, &model, folder)?;
            }
            Ok(facts)
        }
        Finetuned::Interrupted { checkpoint, .. } => {
            if let Some(checkpoint) = checkpoint {
                outln!("stopped; the latest checkpoint is {}", checkpoint.display())?;
            }
            outln!("continue with: {resume_command}")?;
            Err(terminal::Stopped.into())
        }
    }
}

/// Prints the measured blends, the chosen one marked, and the verdict.
fn print_blends(blend: &BlendFacts) -> Result<()> {
    outln!("{}\nverdict {}\n", blend_table(blend), blend.verdict_line())
}

/// Formats a line for each blend, below the names of the metrics.
fn blend_table(blend: &BlendFacts) -> String {
    /// Characters of a value.
    const VALUE: usize = 6;
    let width = |name: &str| name.chars().count().max(VALUE) + 2;
    let head: String = blend.metrics().map(|name| format!("{name:<width$}", width = width(name))).collect();
    let mut table = format!("blends  α      {}", head.trim_end());
    for (index, point) in blend.points.iter().enumerate() {
        let cells = point.values().zip(blend.metrics());
        let cells: String = cells.map(|(value, name)| format!("{value:<width$.4}", width = width(name))).collect();
        let mark = if index == blend.chosen { "←" } else { "" };
        table += &format!("\n        {:<5}  {cells}{mark}", point.alpha);
    }
    table
}

/// Prints what blends with the base would give, if it was measured, and the command for one.
fn print_advice(advice: &Advice, model: &Path, folder: &RunFolder) -> Result<()> {
    if let Some(error) = &advice.failure {
        errln!("note: blends with the base could not be measured: {error}");
    }
    if !advice.points.is_empty() {
        outln!("\nA blend with the base forgets less. {} by the share of this model:", advice.metric)?;
        for (alpha, value) in &advice.points {
            outln!("  {alpha:<4} {value:.4}")?;
        }
    }
    let (base, quoted) = (terminal::shell(&advice.base), |path: &Path| terminal::shell(&path.display().to_string()));
    let out = quoted(&folder.path().join("blend"));
    outln!("blend   maana blend {base} {} --weights 0.3,0.7 --out {out}", quoted(model))
}

fn print_plan(prepared: &mut Prepared, context: &Context) -> Result<()> {
    let plan = prepared.plan();
    outln!("{}", prepared.located().to_toml())?;
    outln!("# Plan")?;
    outln!("rows          {}", plan.rows)?;
    if let [set] = prepared.training_sets() {
        outln!("columns       {}", maana::roles::assignments(set.roles(), set.source().columns()))?;
    }
    outln!("micro-batches {} per epoch, {} in all", plan.batches_per_epoch, plan.micro_batches)?;
    let scheduled = match plan.scheduled_updates {
        scheduled if scheduled == plan.updates => String::new(),
        scheduled => format!(" (the schedule assumes {scheduled})"),
    };
    outln!("updates       {}{scheduled}", plan.updates)?;
    outln!("warmup        {}", plan.warmup_updates)?;
    for group in prepared.groups() {
        outln!("{}", parameter_group(group))?;
    }
    let dims: Vec<String> = prepared.dims().iter().map(ToString::to_string).collect();
    for set in prepared.sets() {
        let dims = if set.kind() == Kind::Loss || dims.is_empty() {
            String::new()
        } else {
            format!(", at dims {}", dims.join(", "))
        };
        outln!("evaluated on  {}: {}{dims}", set.title(), set.size())?;
    }
    if let Some(patience) = prepared.located().recipe.training.early_stopping_patience {
        outln!("ends early    after {patience} evaluations in a row without an improvement of keep_best")?;
    }
    if let Some(table) = &prepared.located().recipe.blend {
        let alphas: Vec<String> = table.alphas.iter().map(ToString::to_string).collect();
        let guards: Vec<&str> = prepared.guards().collect();
        let guards = if guards.is_empty() { "none".into() } else { guards.join(", ") };
        outln!("blends        α = {}; guards: {guards}", alphas.join(", "))?;
    }
    outln!("evaluations   step → epoch: {}", moments(&plan.evaluations))?;
    outln!("log rows      step → epoch: {}", moments(&plan.log_rows))?;
    print_sets(prepared)?;
    let estimate = prepared.estimate(context)?;
    outln!("tokens        {:.1} per row, {:.0} per second", estimate.tokens_per_row, estimate.tokens_per_second)?;
    outln!(
        "time          about {} of training and {} of evaluations, with {} threads",
        terminal::duration(estimate.training_seconds),
        terminal::duration(estimate.evaluation_seconds),
        context.threads()
    )?;
    outln!(
        "memory        about {:.2} GB: {:.2} GB for parameters, gradients and moments, {:.2} GB for a batch",
        estimate.memory_bytes as f64 / 1e9,
        estimate.parameter_bytes as f64 / 1e9,
        estimate.activation_bytes as f64 / 1e9
    )?;
    Ok(())
}

/// Formats a group of parameters.
fn parameter_group(group: &GroupSummary) -> String {
    let GroupSummary { pattern, tensors, parameters, frozen, learning_rates, weight_decay } = group;
    let name = pattern.as_ref().map_or_else(|| "parameters".to_owned(), |pattern| format!("group {pattern:?}"));
    let rates = match learning_rates {
        [least, most] if least == most => format!("learning rate {most}"),
        [least, most] => format!("learning rates from {least} to {most}"),
    };
    let settings = if *frozen { "frozen".to_owned() } else { format!("{rates}, weight decay {weight_decay}") };
    format!("{name:<13} {parameters} in {tensors} tensors: {settings}")
}

/// Formats steps and epochs in a line; long lists are shortened.
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

/// Prints the training sets, each with its size and first rows.
fn print_sets(prepared: &Prepared) -> Result<()> {
    let sets = prepared.training_sets();
    for (set, batches) in sets.iter().zip(&prepared.plan().set_batches) {
        if sets.len() > 1 {
            let loss = set.loss().describe();
            outln!("\ndata set      {}", set.name())?;
            outln!("rows          {}, {batches} micro-batches per epoch", set.source().len())?;
            outln!("columns       {}", maana::roles::assignments(set.roles(), set.source().columns()))?;
            outln!("loss          {}, with weight {}", loss.recipe_name(), set.weight())?;
        }
        print_first_rows(prepared, set)?;
    }
    if sets.len() > 1 {
        outln!("")?;
    }
    Ok(())
}

/// Prints the first rows as the loss receives them: texts with their prompts, roles and numbers of
/// tokens.
fn print_first_rows(prepared: &Prepared, set: &PreparedSet) -> Result<()> {
    const ROWS: usize = 3;
    const LETTERS: usize = 100;
    let width = set.roles().iter().map(String::len).max().unwrap_or(0).max("label".len());
    for (number, row) in set.first_rows(prepared.model().spec(), ROWS)?.iter().enumerate() {
        let mut head = format!("row {}", number + 1);
        for ((role, text), tokens) in set.roles().iter().zip(&row.texts).zip(&row.tokens) {
            let plain: String =
                text.chars().take(LETTERS).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
            let more = if text.chars().nth(LETTERS).is_some() { "…" } else { "" };
            outln!("{head:<13} {role:<width$}  {tokens:>4} tokens  {plain}{more}")?;
            head.clear();
        }
        if let Some(label) = &row.label {
            outln!("{head:<13} {:<width$}  {}", "label", shown_label(label))?;
        }
    }
    Ok(())
}

/// Formats the numbers of a label; a long list is shortened.
fn shown_label(label: &[f32]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<String> = label.iter().take(SHOWN).map(ToString::to_string).collect();
    match label.len() {
        1 => shown.concat(),
        2..=SHOWN => format!("[{}]", shown.join(", ")),
        length => format!("[{}, …], {length} numbers", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use maana::card::{BlendFacts, BlendPoint, GuardFacts, Verdict};
    use maana::train::{Arguments, Plan};

    #[test]
    fn values_of_metrics_with_short_names_have_columns_of_their_own() {
        let point = |alpha, value, loss| BlendPoint { alpha, value, guards: vec![loss], fallen: Vec::new() };
        let blend = BlendFacts {
            metric: "map".into(),
            guards: vec![GuardFacts { name: "loss".into(), metric: "loss".into() }],
            by_chance: false,
            points: vec![point(0.0, 0.6261, 0.075), point(0.5, 0.75, 10.5)],
            chosen: 1,
            verdict: Verdict::Win,
        };
        let lines =
            ["blends  α      map     loss", "        0      0.6261  0.0750  ", "        0.5    0.7500  10.5000 ←"];
        assert_eq!(super::blend_table(&blend), lines.join("\n"));
    }

    #[test]
    fn long_lists_of_moments_are_shortened() {
        let log_rows = |updates: u64| {
            let arguments = Arguments { max_steps: Some(updates), log_every: 1.into(), ..Arguments::default() };
            super::moments(&Plan::new(80, &arguments).unwrap().log_rows)
        };
        assert!(!log_rows(501).contains('…') && log_rows(501).contains("250 → "));
        let many = log_rows(10_000);
        assert!(many.contains("500 → 50.0000, … 9499 more …, 10000 → 1000.0000"), "{many}");
    }
}
