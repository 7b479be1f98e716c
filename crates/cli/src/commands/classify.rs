//! `maana classify fit`, `predict` and `evaluate`

use crate::precision::PrecisionArgument;
use crate::terminal::write_lines;
use anyhow::{Context as _, Result};
use maana::classify::{Classifier, Kind, Report, confusion_picture, confusion_table, fit_head};
use maana::data::Blanks;
use maana::kernels::Context;
use maana::model::{TextEncoder, WeightStorage};
use maana::texts::{Columns, Texts, read};
use maana::vectors::classify::{Calibration, Confusion};
use std::path::{Path, PathBuf};

/// Train a classifier on labelled texts, apply it, and evaluate it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana classify fit train.csv --model MODEL --out DIR
  maana classify evaluate test.csv --classifier DIR --picture confusion.svg
  maana classify predict texts.txt --classifier DIR --output labels.jsonl
  printf 'bei ya mahindi\\n' | maana classify predict - --classifier DIR
  maana classify fit train.tsv --header text,label --model MODEL --out DIR --nearest 5")]
pub(crate) struct Classify {
    #[command(subcommand)]
    part: Part,
}

#[derive(clap::Subcommand)]
enum Part {
    /// Train on labelled texts: cross-validated and calibrated logistic regression, or nearest
    /// neighbours
    Fit {
        /// File of labelled texts
        file: PathBuf,
        /// Model: a folder, a name on the hub, or name@revision
        #[arg(long, value_name = "MODEL")]
        model: String,
        /// Folder for `classifier.json`; `maana serve` finds it in the model's folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Column with the label
        #[arg(long, value_name = "NAME", default_value = "label")]
        label: String,
        /// Use the votes of the N nearest examples instead of logistic regression
        #[arg(long, value_name = "N", value_parser = crate::number::one_or_more)]
        nearest: Option<usize>,
        /// Use only the first N dimensions of every embedding
        #[arg(long, value_name = "N")]
        dim: Option<usize>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Predict the label of each text
    Predict {
        /// File of texts, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        using: Using,
        /// Write to this file instead of standard output: .jsonl as JSON lines, else tab-separated
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Evaluate a classifier on labelled texts
    Evaluate {
        /// File of labelled texts
        file: PathBuf,
        #[command(flatten)]
        using: Using,
        /// Column with the label
        #[arg(long, value_name = "NAME", default_value = "label")]
        label: String,
        /// Draw the confusion matrix (.svg)
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
        #[command(flatten)]
        reading: Reading,
    },
}

#[derive(clap::Args)]
struct Reading {
    /// Column with the text [default: `text`, else the first column of texts]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Column names for a .csv or .tsv file without header; quotes in such a .tsv are ordinary
    /// characters
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    header: Option<Vec<String>>,
    #[command(flatten)]
    precision: PrecisionArgument,
}

impl Reading {
    fn texts(&self, path: &Path, labels: &[&str], blanks: Blanks) -> Result<Texts> {
        let columns = Columns { text: self.column.clone(), header: self.header.clone() };
        let read = read(path, &columns, labels, blanks)?;
        crate::terminal::print_skipped(read.skipped);
        Ok(read)
    }
}

#[derive(clap::Args)]
struct Using {
    /// Folder with `classifier.json`
    #[arg(long, value_name = "DIR")]
    classifier: PathBuf,
    /// The model, if it has moved since the classifier was trained
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

impl Using {
    /// Opens the classifier and its model, and calls `work` with both.
    fn with<R>(
        &self,
        context: &Context,
        precision: &PrecisionArgument,
        work: impl FnOnce(&Classifier, &TextEncoder) -> Result<R>,
    ) -> Result<R> {
        let classifier = Classifier::open(&self.classifier)?;
        let name = self.model.as_deref().unwrap_or(&classifier.made_by);
        let opened = crate::terminal::open_model(WeightStorage::Packed, name, context, precision.precision)
            .context("the classifier's model; if it has moved, name its new location with --model")?;
        let encoder = crate::terminal::encoder(&opened, Some(classifier.dim))?;
        work(&classifier, &encoder)
    }
}

impl Classify {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let progress = crate::terminal::count("texts");
        let mut notify = |done| progress.set_position(done);
        match self.part {
            Part::Fit { file, model, out, label, nearest, dim, reading } => {
                let written = out.join(maana::classify::FILE);
                if written.exists() {
                    crate::outputs::check(&[&file, Path::new(&model)], &[("--out", Some(&written))])?;
                }
                let examples = reading.texts(&file, &[&label], Blanks::Skip)?;
                let labels: Vec<String> = examples.labels.into_iter().flatten().collect();
                let opened =
                    crate::terminal::open_model(WeightStorage::Packed, &model, context, reading.precision.precision)?;
                let encoder = crate::terminal::encoder(&opened, dim)?;
                let kind = nearest.map_or(Kind::Logistic, Kind::Nearest);
                let made_by = crate::store_arguments::name_of(&opened)?;
                let (classifier, report) =
                    fit_head(&encoder, context, &made_by, &examples.texts, &labels, kind, &mut notify)?;
                progress.finish_and_clear();
                outln!("{} examples of {} labels", examples.texts.len(), classifier.labels.len())?;
                for tried in &report.tried {
                    outln!("C {:<8} log loss {:.4}  accuracy {:.4}", tried.c, tried.log_loss, tried.accuracy)?;
                }
                if let Some(confusion) = &report.confusion {
                    outln!("\non held-out examples:")?;
                    print_confusion(confusion, &classifier.labels)?;
                }
                if let Some(calibration) = &report.calibration {
                    let Calibration { before, after, temperature, .. } = calibration;
                    outln!(
                        "log loss       {before:.4} before calibration, {after:.4} after (temperature {temperature:.3})"
                    )?;
                }
                print_calibration_note(&report, kind, &labels);
                outln!("\n{}", classifier.save(&out)?.display())
            }
            Part::Predict { file, using, output, reading } => {
                crate::outputs::check(&[&file, &using.classifier], &[("--output", output.as_deref())])?;
                // Line n of the output belongs to text n.
                let texts = reading.texts(&file, &[], Blanks::Refuse)?.texts;
                let (labels, found) = using.with(context, &reading.precision, |classifier, encoder| {
                    Ok((classifier.labels.clone(), classifier.predict(encoder, context, &texts, &mut notify)?))
                })?;
                progress.finish_and_clear();
                let json = output.as_ref().and_then(|path| path.extension()).is_some_and(|ending| ending == "jsonl");
                let best = found.labels();
                let line = |(row, text): (usize, &String)| {
                    let shares = found.row(row);
                    let label = &labels[best[row]];
                    if json {
                        let all: serde_json::Map<String, serde_json::Value> =
                            labels.iter().cloned().zip(shares.iter().map(|share| (*share).into())).collect();
                        return serde_json::json!({"text": text, "label": label, "probabilities": all}).to_string();
                    }
                    format!("{label}\t{:.4}\t{}", shares[best[row]], text.replace(['\t', '\n', '\r'], " "))
                };
                write_lines(output.as_deref(), texts.iter().enumerate().map(line).map(Ok))
            }
            Part::Evaluate { file, using, label, picture, reading } => {
                crate::outputs::check(&[&file, &using.classifier], &[("--picture", picture.as_deref())])?;
                let read = reading.texts(&file, &[&label], Blanks::Skip)?;
                let truth: Vec<String> = read.labels.into_iter().flatten().collect();
                let (labels, evaluation) = using.with(context, &reading.precision, |classifier, encoder| {
                    let evaluation = classifier.evaluate(encoder, context, &read.texts, &truth, &mut notify)?;
                    Ok((classifier.labels.clone(), evaluation))
                })?;
                progress.finish_and_clear();
                print_confusion(&evaluation.confusion, &labels)?;
                outln!("log loss       {:.4}", evaluation.log_loss)?;
                outln!("calibration    {:.4} expected error", evaluation.calibration_error)?;
                if let Some(path) = &picture {
                    write_lines(Some(path), std::iter::once(Ok(confusion_picture(&evaluation.confusion, &labels))))?;
                    outln!("picture        {}", path.display())?;
                }
                Ok(())
            }
        }
    }
}

/// Prints a note if the probabilities are not calibrated, or calibrated on too little.
fn print_calibration_note(report: &Report, kind: Kind, labels: &[String]) {
    match &report.calibration {
        Some(calibration) if calibration.errors == 0 => errln!(
            "note: the classifier made no error on the {} held-out examples, so they cannot calibrate its \
             probabilities; these are limited to the confidence that this number of examples supports, {:.4} on \
             average",
            calibration.examples,
            calibration.bound()
        ),
        Some(_) => {}
        None if kind == Kind::Logistic => {
            let rare = labels.iter().find(|label| labels.iter().filter(|other| other == label).count() == 1);
            errln!(
                "note: the probabilities are not calibrated and C was not selected: the label `{}` has only one \
                 example; at least two per label are needed",
                rare.map_or("", String::as_str)
            );
        }
        None => errln!("note: the probabilities are shares of the nearest examples' votes; they are not calibrated"),
    }
}

fn print_confusion(confusion: &Confusion, labels: &[String]) -> Result<()> {
    // A larger table is wider than a terminal.
    if labels.len() <= 20 {
        outln!("{}", confusion_table(confusion, labels))?;
    }
    outln!("accuracy       {:.4}", confusion.accuracy())?;
    outln!("macro F1       {:.4}", confusion.macro_f1())
}
