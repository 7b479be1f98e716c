//! The workflows of `maana classify`: fits a head on embeddings to labelled examples, and predicts
//! labels with probabilities. The head is a file, `classifier.json`, that names its model.

use crate::texts::{TextsError, embed};
use maana_chart::escape;
use maana_files::{FileError, hex};
use maana_kernels::{Context, Matrix, Rows};
use maana_model::TextEncoder;
use maana_vectors::VectorsError;
use maana_vectors::classify::{
    Calibration, Confusion, CrossValidated, Fit, Fitted, Logistic, Nearest, Probabilities, Vote, calibration_error,
    fit, log_loss,
};
use maana_vectors::search::Metric;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Name of a classifier's file.
pub const FILE: &str = "classifier.json";
const FORMAT: u32 = 1;
/// Beginning of the last field of the file.
const CHECKSUM: &str = ",\"checksum\":\"";

/// An error of classification.
#[derive(Debug, thiserror::Error)]
pub enum ClassifyError {
    /// The texts or their embeddings.
    #[error(transparent)]
    Texts(#[from] TextsError),
    /// The vectors or settings.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A malformed classifier.
    #[error("{path}: {reason}; fit the classifier again")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// A classifier of another model.
    #[error("the classifier was fitted on the embeddings of {made_by}, and these come from another model or dimension")]
    OtherModel {
        /// The model of the classifier.
        made_by: String,
    },
    /// Examples of one label only.
    #[error("all examples have the label `{0}`; a classifier needs two or more")]
    OneLabel(String),
    /// An unknown label.
    #[error("the classifier has no label `{label}`; its labels are {known}")]
    UnknownLabel {
        /// The label.
        label: String,
        /// The known labels.
        known: String,
    },
}

/// A head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Head {
    /// Multinomial logistic regression.
    Logistic(Logistic),
    /// The labels of the nearest examples.
    Nearest {
        /// Number of neighbours that vote.
        k: usize,
        /// Columns of an example.
        columns: usize,
        /// The examples, row by row.
        examples: Vec<f32>,
        /// The label of each.
        labels: Vec<usize>,
    },
}

/// A head with its labels and its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classifier {
    format: u32,
    /// Name of the model.
    pub made_by: String,
    /// Fingerprint of the embeddings, in hexadecimal digits.
    fingerprint: String,
    /// Precision of the products that made the embeddings, if it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Dimension of the embeddings.
    pub dim: usize,
    /// The labels, in the order of probabilities.
    pub labels: Vec<String>,
    head: Head,
    /// SHA-256 of the file up to this field; only in the file, and not in those of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

/// Kind of a head to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Logistic regression, with cross-validated regularisation and calibrated probabilities.
    Logistic,
    /// Vote of this number of nearest examples.
    Nearest(usize),
}

/// Report of a fit.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The chosen regularisation, C.
    pub c: Option<f64>,
    /// Results of all tried values of C.
    pub tried: Vec<CrossValidated>,
    /// Confusion of held-out examples.
    pub confusion: Option<Confusion>,
    /// Calibration of the probabilities.
    pub calibration: Option<Calibration>,
}

/// Fits a head to texts and their labels.
///
/// # Errors
/// If a text cannot be embedded, or there are fewer than two labels.
pub fn fit_head(
    encoder: &TextEncoder,
    context: &Context,
    made_by: &str,
    texts: &[String],
    labels: &[String],
    kind: Kind,
    progress: &mut dyn FnMut(u64),
) -> Result<(Classifier, Report), ClassifyError> {
    let mut names: Vec<String> = labels.to_vec();
    names.sort();
    names.dedup();
    if let [only] = &names[..] {
        return Err(ClassifyError::OneLabel(only.clone()));
    }
    let numbers = numbers(labels, &names)?;
    let rows = embed(encoder, texts, encoder.default_prompt(), progress)?;
    let (head, report) = match kind {
        Kind::Logistic => {
            let Fitted { model, c, tried, confusion, calibration } =
                fit(context, rows.view(), &numbers, names.len(), &Fit::default())?;
            (Head::Logistic(model), Report { c: Some(c), tried, confusion, calibration })
        }
        Kind::Nearest(k) => {
            let head = Head::Nearest { k, columns: rows.columns(), examples: rows.data().to_vec(), labels: numbers };
            (head, Report::default())
        }
    };
    let fingerprint = hex(&encoder.fingerprint());
    let dim = encoder.dimension();
    let precision = Some(encoder.precision().name().to_owned());
    let classifier = Classifier {
        format: FORMAT,
        made_by: made_by.into(),
        fingerprint,
        precision,
        dim,
        labels: names,
        head,
        checksum: None,
    };
    Ok((classifier, report))
}

fn sum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn numbers(labels: &[String], names: &[String]) -> Result<Vec<usize>, ClassifyError> {
    let number = |label: &String| {
        names
            .binary_search(label)
            .map_err(|_| ClassifyError::UnknownLabel { label: label.clone(), known: names.join(", ") })
    };
    labels.iter().map(number).collect()
}

impl Classifier {
    /// Opens `classifier.json` of a folder, or the file itself.
    ///
    /// # Errors
    /// If it does not exist or is malformed.
    pub fn open(path: &Path) -> Result<Self, ClassifyError> {
        let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let bytes = maana_files::read(&path).map_err(FileError::at(&path))?;
        let invalid = |reason: String| ClassifyError::Invalid { path: path.clone(), reason };
        let mut classifier: Self = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        if classifier.format != FORMAT {
            return Err(invalid(format!("its format is {}, this program reads {FORMAT}", classifier.format)));
        }
        if let Some(written) = classifier.checksum.take() {
            let end = bytes.windows(CHECKSUM.len()).rposition(|part| part == CHECKSUM.as_bytes()).unwrap_or(0);
            if written != sum(&bytes[..end]) {
                let reason =
                    "its checksum is wrong, it was changed after it was written; restore it from a copy, or fit again";
                return Err(invalid(reason.to_owned()));
            }
        }
        classifier.check().map_err(invalid)?;
        Ok(classifier)
    }

    /// Checks that lengths are consistent, since the file may be untrusted.
    fn check(&self) -> Result<(), String> {
        let classes = self.labels.len();
        let valid = match &self.head {
            Head::Logistic(logistic) => {
                let rows = if logistic.present.len() == 2 { 1 } else { logistic.present.len() };
                logistic.columns == self.dim
                    && logistic.classes == classes
                    && logistic.intercepts.len() == rows
                    && logistic.weights.len() == rows * self.dim
                    && logistic.present.iter().all(|class| *class < classes)
                    && logistic.temperature > 0.0
            }
            Head::Nearest { k, columns, examples, labels } => {
                *k > 0
                    && *columns == self.dim
                    && !labels.is_empty()
                    && examples.len() == labels.len() * self.dim
                    && labels.iter().all(|label| *label < classes)
            }
        };
        let sorted = self.labels.is_sorted() && classes > 1;
        if valid && sorted { Ok(()) } else { Err("its numbers are inconsistent".into()) }
    }

    /// Writes `classifier.json` into a folder, which is created if necessary.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<PathBuf, ClassifyError> {
        let path = folder.join(FILE);
        let json = serde_json::to_string(self).expect("a classifier is plain data");
        let body = json.strip_suffix('}').expect("it is an object");
        let sealed = format!("{body}{CHECKSUM}{}\"}}", sum(body.as_bytes()));
        let written = std::fs::create_dir_all(folder).and_then(|()| maana_files::write(&path, sealed));
        written.map_err(FileError::at(&path))?;
        Ok(path)
    }

    /// Predicts the probability of each label for each text.
    ///
    /// # Errors
    /// If the encoder is not that of the classifier, or a text cannot be embedded.
    pub fn predict(
        &self,
        encoder: &TextEncoder,
        context: &Context,
        texts: &[String],
        progress: &mut dyn FnMut(u64),
    ) -> Result<Probabilities, ClassifyError> {
        self.expect_encoder(encoder)?;
        let rows: Matrix = embed(encoder, texts, encoder.default_prompt(), progress)?;
        self.predict_rows(context, rows.view())
    }

    /// Checks that the classifier was fitted on embeddings of this encoder.
    ///
    /// # Errors
    /// If it was fitted on others.
    pub fn expect_encoder(&self, encoder: &TextEncoder) -> Result<(), ClassifyError> {
        if hex(&encoder.fingerprint()) == self.fingerprint {
            return Ok(());
        }
        Err(ClassifyError::OtherModel { made_by: self.made_by.clone() })
    }

    /// Predicts the probability of each label for each embedding, made with the default prompt by
    /// an encoder that [`Classifier::expect_encoder`] accepts.
    ///
    /// # Errors
    /// If the embeddings have another dimension.
    pub fn predict_rows(&self, context: &Context, rows: Rows<'_>) -> Result<Probabilities, ClassifyError> {
        Ok(match &self.head {
            Head::Logistic(logistic) => logistic.probabilities(context, rows)?,
            Head::Nearest { k, columns, examples, labels } => {
                let examples = Rows::new(examples, labels.len(), *columns, *columns);
                let nearest = Nearest { k: *k, metric: Metric::Cosine, vote: Vote::Similarity };
                nearest.probabilities(context, examples, labels, self.labels.len(), rows)?
            }
        })
    }

    /// Evaluates the classifier on labelled texts.
    ///
    /// # Errors
    /// As [`Classifier::predict`], or if a label is unknown.
    pub fn evaluate(
        &self,
        encoder: &TextEncoder,
        context: &Context,
        texts: &[String],
        labels: &[String],
        progress: &mut dyn FnMut(u64),
    ) -> Result<Evaluation, ClassifyError> {
        let truth = numbers(labels, &self.labels)?;
        let probabilities = self.predict(encoder, context, texts, progress)?;
        Ok(Evaluation {
            confusion: Confusion::new(&truth, &probabilities.labels(), self.labels.len()),
            log_loss: log_loss(&probabilities, &truth),
            calibration_error: calibration_error(&probabilities, &truth, 10),
        })
    }
}

/// Metrics of a classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Texts by true and predicted label.
    pub confusion: Confusion,
    /// The mean of −ln of the true label's probability.
    pub log_loss: f64,
    /// Expected calibration error in ten bins.
    pub calibration_error: f64,
}

/// Formats the counts as a table: a row per true label, a column per predicted label.
pub fn confusion_table(confusion: &Confusion, labels: &[String]) -> String {
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let mut table = format!("{:width$}", "");
    (1..=labels.len()).for_each(|number| table.push_str(&format!("{number:>6}")));
    table.push_str("   precision  recall      F1\n");
    for (truth, label) in labels.iter().enumerate() {
        table.push_str(&format!("{label:width$}"));
        for found in 0..labels.len() {
            match confusion.count(truth, found) {
                0 => table.push_str("     ·"),
                count => table.push_str(&format!("{count:>6}")),
            }
        }
        let scores = confusion.class(truth);
        table.push_str(&format!("      {:.4}  {:.4}  {:.4}\n", scores.precision, scores.recall, scores.f1));
    }
    table
}

/// Draws the counts as SVG: the greater the share of a label's texts, the darker the cell.
pub fn confusion_picture(confusion: &Confusion, labels: &[String]) -> String {
    const CELL: usize = 34;
    const TOP: usize = 40;
    let left = 20 + 8 * labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let (width, height) = (left + (CELL * labels.len()).max(200) + 20, TOP + left + CELL * labels.len() + 10);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\"><title>Labels: true in rows, predicted in columns</title><rect width=\"{width}\" height=\"{height}\" \
         fill=\"#fff\"/><g font-family=\"system-ui,'Noto Sans','DejaVu Sans',sans-serif\" font-size=\"13\" fill=\"#1b1b1b\">\n\
         <text x=\"{left}\" y=\"16\">rows: true label</text><text x=\"{left}\" y=\"32\">columns: predicted label</text>\n"
    );
    for (row, label) in labels.iter().enumerate() {
        let support = confusion.class(row).support.max(1) as f64;
        let (y, label) = (TOP + CELL * row, escape(label));
        svg.push_str(&format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>\n",
            left - 8,
            y + CELL / 2 + 5
        ));
        let x = left + CELL * row + CELL / 2 + 5;
        let below = TOP + CELL * labels.len() + 8;
        svg.push_str(&format!(
            "<text transform=\"translate({x} {below}) rotate(-90)\" text-anchor=\"end\">{label}</text>\n"
        ));
        for (column, found) in labels.iter().enumerate() {
            let count = confusion.count(row, column);
            let share = count as f64 / support;
            // White text is legible only on the darkest cells.
            let (x, ink) = (left + CELL * column, if share > 0.9 { "#fff" } else { "#1b1b1b" });
            let shade = (255.0 - 205.0 * share) as u8;
            svg.push_str(&format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"rgb({shade},{},{})\" stroke=\"#ddd\">\
                 <title>{label} predicted as {}: {count}</title></rect>\n",
                (255.0 - 140.0 * share) as u8,
                (255.0 - 90.0 * share) as u8,
                escape(found)
            ));
            if count > 0 {
                svg.push_str(&format!(
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{ink}\">{count}</text>\n",
                    x + CELL / 2,
                    y + CELL / 2 + 5
                ));
            }
        }
    }
    svg + "</g></svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_classifier_is_refused_and_one_without_a_checksum_opens() {
        let rows = Rows::new(&[-2.0, -1.0, 1.0, 2.0], 4, 1, 1);
        let settings = maana_vectors::classify::LogisticSettings::default();
        let (logistic, _) = Logistic::fit(&Context::new(1), rows, &[0, 0, 1, 1], 2, &settings).unwrap();
        let classifier = Classifier {
            format: FORMAT,
            made_by: "a model".into(),
            fingerprint: "00".into(),
            precision: None,
            dim: 1,
            labels: vec!["mchezo".into(), "soko".into()],
            head: Head::Logistic(logistic),
            checksum: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = classifier.save(folder.path()).unwrap();
        assert_eq!(Classifier::open(&path).unwrap(), classifier);
        let written = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, written.replace("soko", "sokb")).unwrap();
        let error = Classifier::open(&path).unwrap_err().to_string();
        assert!(error.contains("its checksum is wrong"), "{error}");
        let earlier = written.split(",\"checksum\"").next().unwrap().to_owned() + "}";
        std::fs::write(&path, earlier).unwrap();
        assert_eq!(Classifier::open(&path).unwrap(), classifier);
    }
}
