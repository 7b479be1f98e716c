//! Terminal output of the commands: results, notes, errors and progress.

use crate::precision::{self, Choice};
use anyhow::{Context as _, Result, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, WeakProgressBar};
use maana::finetune::RunEvent;
use maana::hub::{EventHandler, HubEvent, HubOptions};
use maana::kernels::{Context, Precision};
use maana::model::{CrossEncoder, InferenceModel, TextEncoder, TrainingModel, WeightStorage};
use maana::train::{Event, LogRow};
use std::borrow::Cow;
use std::fmt::Arguments;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Prints a line to standard output, like `println!`; returns an error if it cannot be written.
macro_rules! outln {
    ($($argument:tt)*) => { $crate::terminal::print(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Prints a line to standard error, like `eprintln!`; ignores errors.
macro_rules! errln {
    ($($argument:tt)*) => { $crate::terminal::print_error_line(format_args!($($argument)*)) };
}

/// Writes to standard output. A closed pipe, as in `maana info MODEL | head -3`, is not an error.
pub(crate) fn print(text: Arguments<'_>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = match out.is_terminal() {
        true => out.write_all(printable(&text.to_string()).as_bytes()),
        false => out.write_fmt(text),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}

/// Writes a line to standard error.
pub(crate) fn print_error_line(text: Arguments<'_>) {
    let write = || {
        let mut out = std::io::stderr().lock();
        // A missing reader of notes is no reason to stop.
        let _ = match out.is_terminal() {
            true => writeln!(out, "{}", printable(&text.to_string())),
            false => writeln!(out, "{text}"),
        };
    };
    let counter = COUNTER.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    match counter {
        Some(counter) => counter.suspend(write),
        None => write(),
    }
}

/// Escapes control characters except tabs and newlines: texts, ids, labels and names are untrusted,
/// and a terminal would execute escape sequences in them.
fn printable(text: &str) -> Cow<'_, str> {
    let is_control = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_control(letter) { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    Cow::Owned(shown)
}

/// The latest progress counter, which is hidden while a line is printed.
static COUNTER: LazyLock<Mutex<WeakProgressBar>> = LazyLock::new(Mutex::default);

/// The user stopped the command; the message has been printed.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub(crate) struct Stopped;

/// Prints an error with its causes, one per line.
pub(crate) fn print_error(error: &anyhow::Error) {
    if error.is::<Stopped>() {
        return;
    }
    errln!("error: {error}");
    let mut printed = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Many errors already contain their cause.
        if !printed.contains(&cause) {
            errln!("  because: {cause}");
            printed = cause;
        }
    }
    let system = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    if let Some(remedy) = system.and_then(|error| remedy(error.kind())) {
        errln!("  remedy: {remedy}");
    }
}

/// Returns the remedy of a system error.
fn remedy(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Some("free space or choose another disk; existing files are unchanged")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Some("choose a folder that you can read and write, or change its permissions")
        }
        ErrorKind::NotFound => Some("check the name; folders for output must exist"),
        _ => None,
    }
}

/// Checks that `--out` names a folder for a new model, before it is made.
pub(crate) fn check_destination(folder: &Path) -> Result<()> {
    let occupied = maana::model::check_destination(folder)?;
    ensure!(!occupied, "{}: a model is there already; give --out another path, or remove it", folder.display());
    Ok(())
}

/// Quotes a word for a shell.
pub(crate) fn shell(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "_-./=:,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// An encoder and its origin.
pub(crate) type Opened = maana::open::Opened<TextEncoder>;

/// Opens a model by folder or name; notices go to standard error. Without an explicit precision,
/// long work prints a note on faster ones.
pub(crate) fn open_model(
    storage: WeightStorage,
    name: &str,
    context: &Context,
    choice: Option<Choice>,
) -> Result<Opened> {
    let options = HubOptions::from_environment();
    let precision = precision::of(choice);
    let opened = fetching(|notify| maana::open::open_with(storage, name, context, precision, &options, notify));
    let opened = opened.with_context(|| format!("model `{name}`"))?;
    if choice.is_none() && !opened.model.is_static() {
        precision::suggest_faster_when_long();
    }
    Ok(opened)
}

/// Opens a model of any task, as [`open_model`] opens a model of embeddings.
pub(crate) fn open_any(
    storage: WeightStorage,
    name: &str,
    context: &Context,
    choice: Option<Choice>,
) -> Result<maana::open::Opened<InferenceModel>> {
    let (options, precision) = (HubOptions::from_environment(), precision::of(choice));
    let opened =
        fetching(|notify| maana::open::open_for_inference(storage, name, context, precision, &options, notify));
    opened.with_context(|| format!("model `{name}`"))
}

/// Opens a cross-encoder, as [`open_model`] opens a model of embeddings.
pub(crate) fn open_cross_encoder(
    name: &str,
    context: &Context,
    choice: Option<Choice>,
) -> Result<maana::open::Opened<CrossEncoder>> {
    let (options, precision) = (HubOptions::from_environment(), precision::of(choice));
    let opened = fetching(|notify| {
        maana::open_cross_encoder_with(WeightStorage::Packed, name, context, precision, &options, notify)
    });
    opened.with_context(|| format!("model `{name}`"))
}

/// Opens a model to train, as [`open_model`] does. Training supports f32 and bf16.
pub(crate) fn open_for_training(name: &str, context: &Context, choice: Option<Choice>) -> Result<TrainingModel> {
    let (options, precision) = (HubOptions::from_environment(), precision::of(choice));
    ensure!(precision != Precision::Int8, "--precision int8: training supports f32 and bf16");
    let opened = fetching(|notify| maana::open::open_for_training(name, context, precision, &options, notify));
    Ok(opened.with_context(|| format!("model `{name}`"))?.model)
}

/// Returns the storage of weights for encoding texts of this total size: for a single pass, packing
/// all weights would take longer than the pass itself.
pub(crate) fn storage_for(bytes: usize) -> WeightStorage {
    const ONE_PASS: usize = 4096;
    if bytes <= ONE_PASS { WeightStorage::Mapped } else { WeightStorage::Packed }
}

/// Returns the encoder of the model's embeddings, or of their first `dim` columns.
pub(crate) fn encoder(opened: &Opened, dim: Option<usize>) -> Result<TextEncoder> {
    let encoder = opened.model.clone();
    Ok(match dim {
        Some(dim) => encoder.with_dimension(dim)?,
        None => encoder,
    })
}

/// Writes lines to a file, atomically, or to standard output.
pub(crate) fn write_lines(output: Option<&Path>, mut lines: impl Iterator<Item = Result<String>>) -> Result<()> {
    let Some(path) = output else { return lines.try_for_each(|line| outln!("{}", line?)) };
    let mut failed = None;
    let written = maana::files::replace(path, |out| {
        lines.try_for_each(|line| match line {
            Ok(line) => writeln!(out, "{line}"),
            // An error of the lines prevents the file.
            Err(error) => {
                failed = Some(error);
                Err(ErrorKind::Other.into())
            }
        })
    });
    match failed {
        Some(error) => Err(error),
        None => written.map_err(|error| {
            let text = format!("{}: {error}", path.display());
            anyhow::Error::new(error).context(text)
        }),
    }
}

/// Returns whether the file is in the format of JSON lines.
pub(crate) fn is_jsonl(path: Option<&Path>) -> bool {
    path.and_then(Path::extension).is_some_and(|ending| ending == "jsonl")
}

/// Prints the number of skipped blank texts.
pub(crate) fn print_skipped(skipped: usize) {
    match skipped {
        0 => {}
        1 => errln!("note: 1 blank text was skipped"),
        _ => errln!("note: {skipped} blank texts were skipped"),
    }
}

/// Prepares a text for a tab-separated column.
pub(crate) fn tab_cell(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

/// Runs work that may fetch a model; prints notices and shows the progress of downloads.
pub(crate) fn fetching<T>(work: impl FnOnce(&mut EventHandler<'_>) -> T) -> T {
    let template = "{bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    let bar = ProgressBar::no_length().with_style(style);
    bar.set_draw_target(ProgressDrawTarget::hidden());
    let mut notify = |event: HubEvent<'_>| match event {
        HubEvent::Notice(notice) => bar.suspend(|| errln!("note: {notice}")),
        HubEvent::Progress { done, total } => {
            if bar.length().is_none() && std::io::stderr().is_terminal() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_length(total);
            bar.set_position(done);
            if done == total {
                bar.finish_and_clear();
            }
        }
    };
    let done = work(&mut notify);
    bar.finish_and_clear();
    done
}

/// Creates a progress counter, which is visible only on a terminal.
pub(crate) fn count(what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = format!("{{spinner}} {{pos}} {what}, {{rate}}, {{elapsed}}");
    let style = ProgressStyle::with_template(&template).expect("the template is valid");
    let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = out.write_str(&rate(state.per_sec()));
    });
    let counter = ProgressBar::no_length().with_style(style);
    *COUNTER.lock().unwrap_or_else(PoisonError::into_inner) = counter.downgrade();
    counter
}

/// Formats a rate per second, without decimals from ten on.
fn rate(per_second: f64) -> String {
    let places = usize::from(per_second < 9.95);
    format!("{per_second:.places$}/s")
}

/// Formats a duration.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3600.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}

/// Display of a training run: a progress bar on a terminal, plain lines elsewhere.
pub(crate) struct TrainingDisplay {
    bar: Option<ProgressBar>,
}

impl TrainingDisplay {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} updates  {msg}").expect("the template is valid");
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::no_length().with_style(style));
        Self { bar }
    }

    pub(crate) fn show(&mut self, event: &RunEvent<'_>) {
        match event {
            RunEvent::BaseEvaluated(scores) => {
                for scores in *scores {
                    let value = scores.get(&scores.primary).unwrap_or(f64::NAN);
                    self.line(&format!("before training  {} {value:.4}", scores.prefixed_key(&scores.primary)));
                }
            }
            RunEvent::Teaching { model, done: 0, texts } => {
                self.line(&format!("teaching  {model} embeds {texts} texts"));
            }
            RunEvent::Teaching { model, done, texts } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("{model}: {done} of {texts} texts"));
                }
            }
            RunEvent::Training(event) => self.training(event),
            RunEvent::Blended { alpha, metric, value } => self.line(&format!("blend {alpha:<5} {metric} {value:.4}")),
        }
    }

    fn training(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { plan } => {
                self.line(&format!("training  {} rows, {} updates", plan.rows, plan.updates));
                if let Some(bar) = &self.bar {
                    bar.set_length(plan.updates);
                }
            }
            Event::Progress(progress) => {
                if let Some(bar) = &self.bar {
                    bar.set_position(progress.step);
                    bar.set_message(format!(
                        "epoch {:.2}  loss {:.4}  lr {:.2e}  {:.0} tokens/s  {} left",
                        progress.epoch,
                        progress.loss,
                        progress.learning_rate,
                        progress.tokens_per_second,
                        duration(progress.seconds_left)
                    ));
                }
            }
            Event::Logged(LogRow::Training {
                step,
                epoch,
                loss,
                learning_rate,
                gradient_norm,
                tokens_per_second,
                set_losses,
                ..
            }) => {
                let of_sets: String = set_losses.iter().map(|(set, loss)| format!("  {set} {loss:.4}")).collect();
                self.line(&format!(
                    "step {step}  epoch {epoch:.4}  loss {loss:.4}  lr {learning_rate:.3e}  norm {gradient_norm:.3}  {tokens_per_second:.0} tokens/s{of_sets}"
                ));
            }
            Event::Logged(LogRow::Evaluation { step, epoch, seconds, .. }) => {
                self.line(&format!("step {step}  epoch {epoch:.4}  evaluated in {seconds:.1} s"));
            }
            Event::LeftOut { epoch, batches } => {
                self.line(&format!("note: because of repeated texts, {batches} batches of epoch {epoch} are dropped"));
            }
            Event::Evaluating { .. } => {}
            Event::Best { step, metric, value } => self.line(&format!("step {step}  best so far: {metric} {value:.4}")),
            Event::StoppedEarly { step, evaluations } => {
                self.line(&format!("step {step}  stopping early: {evaluations} evaluations without an improvement"));
            }
            Event::Saved { checkpoint } => self.line(&format!("saved  {}", checkpoint.display())),
            Event::Removed { .. } => {}
            Event::Restored { step } => self.line(&format!("restored the parameters of step {step}, the best")),
            Event::Resumed { checkpoint, step, epoch } => {
                self.line(&format!("resuming from {} (step {step}, epoch {epoch:.4})", checkpoint.display()));
            }
            Event::Unusable { checkpoint, reason } => {
                self.line(&format!("note: {} cannot be used: {reason}; using an earlier one", checkpoint.display()));
            }
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(printable(text)),
            None => errln!("{text}"),
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, printable, rate, shell};

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("habari\tya\nasubuhi ñ 🌍"), "habari\tya\nasubuhi ñ 🌍");
        let hostile = "id\u{1b}[2J\u{1b}]0;title\u{7}\r\u{9b}31m\u{7f}\0";
        let shown = "id\\u{1b}[2J\\u{1b}]0;title\\u{7}\\r\\u{9b}31m\\u{7f}\\u{0}";
        assert_eq!(printable(hostile), shown);
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        let cases = [("runs/first", "runs/first"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''")];
        for (word, expected) in cases.into_iter().chain([("data.train=[\"x\"]", "'data.train=[\"x\"]'")]) {
            assert_eq!(shell(word), expected);
        }
    }

    #[test]
    fn rates_are_rounded() {
        let cases = [(1235.465, "1235/s"), (10.0, "10/s"), (9.96, "10/s"), (9.94, "9.9/s"), (0.25, "0.2/s")];
        for (per_second, expected) in cases {
            assert_eq!(rate(per_second), expected);
        }
    }

    #[test]
    fn durations_have_a_suitable_unit() {
        let cases = [(4.4, "4 s"), (61.0, "1 min 01 s"), (3600.0, "1 h 00 min"), (100_000.0, "27 h 46 min")];
        for (seconds, expected) in cases {
            assert_eq!(duration(seconds), expected);
        }
    }
}
