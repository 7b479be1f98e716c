//! Columns and labels that a loss requires, and the checks of the data before a run.

use crate::error::TrainError;
use maana_data::{Place, Source};
use std::ops::RangeInclusive;

/// Columns and labels that a loss requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Allowed numbers of text columns.
    pub columns: RangeInclusive<usize>,
    /// Required labels.
    pub labels: Labels,
    /// Number of text columns from which a single row in a batch has a loss. With fewer it is
    /// compared only with other rows, so that a batch of one row has no gradient.
    pub columns_alone: usize,
}

/// Labels that a loss requires. `C` is the number of text columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// None; labels are ignored.
    Unused,
    /// Any that the data have, or none.
    Optional,
    /// A number.
    Score,
    /// A number for two columns; for more it may be absent.
    ScoreOfPairs,
    /// A cosine: a number from −1 to 1.
    Cosine,
    /// 1 or 0.
    Binary,
    /// A class: a whole number.
    Class,
    /// The margins of the first document to each further one, `C − 2` numbers, or the scores of all
    /// documents, `C − 1`.
    Margins,
    /// The scores of all documents, `C − 1` numbers.
    CandidateScores,
    /// An embedding with this number of columns, for all text columns or one after the other for
    /// each.
    Embeddings(usize),
    /// Embeddings of a guide, one after the other for each text column.
    GuideEmbeddings,
    /// A number from 0 to 1, not the same in all rows.
    Share,
    /// A number, not the same in all rows.
    DifferentScores,
    /// One of this number of classes: a whole number from 0.
    ClassOf(usize),
    /// One of this number of classes, or a list of their probabilities.
    ClassOrShares(usize),
    /// A number for each document: of a list, or of `C − 1` columns.
    Documents,
}

/// The largest class: up to it, `f32` has every whole number.
const MAX_CLASS: f32 = 16_777_216.0;

/// Distance from 1 that the sum of probabilities may have.
const SHARES_TOLERANCE: f32 = 1e-3;

/// Distance from the range −1 to 1 that cosines may have, because they were rounded.
const COSINE_TOLERANCE: f32 = 1e-3;

impl Labels {
    /// Returns a description of the label for `columns` text columns.
    fn describe(self, columns: usize) -> Option<String> {
        let negatives = columns.saturating_sub(2);
        Some(match self {
            Self::Unused | Self::Optional => return None,
            Self::ScoreOfPairs if columns > 2 => return None,
            Self::Score | Self::ScoreOfPairs => "a label".into(),
            Self::Cosine => "a label from -1 to 1".into(),
            Self::Binary => "a label of 0 or 1".into(),
            Self::Class => "a label that is a whole number, the class".into(),
            Self::Margins if negatives == 1 => {
                "a label with the margin between both documents, or a list of their 2 scores".into()
            }
            Self::Margins => {
                format!("a label that is a list of {negatives} margins or of {} scores", negatives + 1)
            }
            Self::CandidateScores => {
                format!("a label that is a list of {} scores, one for each document", columns.saturating_sub(1))
            }
            Self::Embeddings(dimension) => {
                let each = if columns > 1 {
                    format!(", or of {} for each column", dimension * columns)
                } else {
                    String::new()
                };
                format!("`teacher`, or a label that is a list of {dimension} numbers, the teacher's embedding{each}")
            }
            Self::GuideEmbeddings => "`guide`".into(),
            Self::Share => "a label from 0 to 1".into(),
            Self::DifferentScores => "a label".into(),
            Self::ClassOf(classes) => {
                format!("a label that is a class, a whole number from 0 to {}", classes.saturating_sub(1))
            }
            Self::ClassOrShares(classes) => format!(
                "a label that is a class, a whole number from 0 to {}, or a list of {classes} probabilities",
                classes.saturating_sub(1)
            ),
            Self::Documents => "a label that is a list of numbers, one for each document".into(),
        })
    }

    fn accepts(self, columns: usize, length: usize) -> bool {
        match self {
            Self::Unused | Self::Optional => true,
            Self::ScoreOfPairs if columns > 2 => length <= 1,
            Self::Score
            | Self::ScoreOfPairs
            | Self::Cosine
            | Self::Binary
            | Self::Class
            | Self::Share
            | Self::DifferentScores
            | Self::ClassOf(_) => length == 1,
            Self::Margins => length + 2 == columns || length + 1 == columns,
            Self::CandidateScores | Self::Documents => length + 1 == columns,
            Self::Embeddings(dimension) => length == dimension || length == dimension * columns,
            Self::ClassOrShares(classes) => length == 1 || length == classes,
            Self::GuideEmbeddings => length > 0 && length.is_multiple_of(columns),
        }
    }
}

impl Needs {
    /// Checks the names of the columns, in order, and the number of numbers of a label, 0 without
    /// labels.
    ///
    /// # Errors
    /// If the loss with the name `loss` does not accept them.
    pub fn check(&self, loss: &str, columns: &[String], label_length: usize) -> Result<(), TrainError> {
        let fits = self.columns.contains(&columns.len());
        if fits && self.labels.accepts(columns.len(), label_length) {
            return Ok(());
        }
        let (least, most) = (*self.columns.start(), *self.columns.end());
        let number = match least {
            1 => "1 text column".to_string(),
            least => format!("{least} text columns"),
        };
        let number = if most == usize::MAX { format!("at least {number}") } else { format!("exactly {number}") };
        let described = if fits { columns.len() } else { least };
        let found = format!("{} ({})", columns.len(), columns.join(", "));
        // A label for the columns that the data have, such as a teacher's, is no fault of its own.
        let of_found = label_length > 0 && self.labels.accepts(columns.len(), label_length);
        let (needed, found) = match self.labels.describe(described) {
            Some(labels) if !of_found && !self.labels.accepts(described, label_length) => {
                let label = match label_length {
                    0 => "no label".to_string(),
                    1 => "a label".to_string(),
                    length => format!("a label of {length} numbers"),
                };
                (format!("{number} and {labels}"), format!("{found} and {label}"))
            }
            _ => (number, found),
        };
        Err(TrainError::Columns { loss: loss.to_string(), needed, found, file: None })
    }

    /// Checks columns and labels of the data, including the value of every single label.
    ///
    /// # Errors
    /// If the loss with the name `loss` does not accept them.
    pub fn check_data(&self, loss: &str, source: &dyn Source) -> Result<(), TrainError> {
        self.check(loss, source.columns(), source.label_length()).map_err(|error| match error {
            TrainError::Columns { loss, needed, found, .. } => {
                TrainError::Columns { loss, needed, found, file: Some(file_of(source).into()) }
            }
            other => other,
        })?;
        self.check_lists(loss, source)?;
        let scores = source.scores();
        let label = |row: usize, needed: &'static str| TrainError::Label {
            place: source.place(row),
            loss: loss.to_string(),
            value: scores[row],
            needed,
        };
        let find = |wrong: &dyn Fn(f32) -> bool| scores.iter().position(|&score| wrong(score));
        match self.labels {
            Labels::Cosine => match find(&|score| score.abs() > 1.0 + COSINE_TOLERANCE) {
                Some(row) => Err(label(row, "a cosine from -1 to 1 (divide scores by the largest possible one)")),
                None => Ok(()),
            },
            Labels::Binary => match find(&|score| score != 0.0 && score != 1.0) {
                Some(row) => Err(label(row, "0 or 1")),
                None => Ok(()),
            },
            Labels::Class => match find(&|score| score.fract() != 0.0 || score.abs() > MAX_CLASS) {
                Some(row) => Err(label(row, "a whole number, the class of the text")),
                None if scores.windows(2).all(|pair| pair[0] == pair[1]) => {
                    let (file, column) = (file_of(source), label_column(source));
                    Err(TrainError::OneClass { file, column, loss: loss.to_string() })
                }
                None => Ok(()),
            },
            Labels::Share => match find(&|score| !(0.0..=1.0).contains(&score)) {
                Some(row) => Err(label(row, "from 0 to 1")),
                None => Ok(()),
            },
            Labels::ClassOf(classes) => {
                match find(&|score| score.fract() != 0.0 || score < 0.0 || score >= classes as f32) {
                    Some(row) => Err(TrainError::NoSuchClass {
                        place: source.place(row),
                        loss: loss.to_string(),
                        value: scores[row],
                        classes,
                    }),
                    None => Ok(()),
                }
            }
            Labels::ClassOrShares(classes) if source.label_length() == 1 => {
                match find(&|score| score.fract() != 0.0 || score < 0.0 || score >= classes as f32) {
                    Some(row) => Err(label(row, "a class, a whole number from 0 and below `num_labels`")),
                    None => Ok(()),
                }
            }
            Labels::ClassOrShares(_) => check_shares(loss, source),
            _ => Ok(()),
        }
    }

    /// Checks that a loss of cross-encoders or of classes can learn something of the labels, which
    /// are not the same in all rows or lists.
    ///
    /// # Errors
    /// If they are, or a row cannot be read.
    pub fn check_differences(&self, loss: &str, source: &dyn Source) -> Result<(), TrainError> {
        let differ = |labels: &[f32]| labels.windows(2).any(|pair| pair[0] != pair[1]);
        let found = match self.labels {
            Labels::Share | Labels::DifferentScores | Labels::ClassOf(_) | Labels::ClassOrShares(_) => {
                source.scores().is_empty() || differ(source.scores())
            }
            Labels::Documents => {
                let in_row = |row: usize| {
                    let example = source.get(row).map_err(|source| TrainError::Data { row, source })?;
                    Ok(differ(&example.label.unwrap_or_default()))
                };
                let mut rows = (0..source.len()).map(in_row);
                rows.find(|found| !matches!(found, Ok(false))).unwrap_or(Ok(false))?
            }
            _ => true,
        };
        if found {
            return Ok(());
        }
        Err(TrainError::OneLabel { file: file_of(source), column: label_column(source), loss: loss.to_string() })
    }

    /// Checks that lists of documents meet a loss of lists.
    fn check_lists(&self, loss: &str, source: &dyn Source) -> Result<(), TrainError> {
        let columns = || source.columns().join(", ");
        match (self.labels, source.has_lists()) {
            (Labels::Documents, false) if source.columns().len() < 3 => Err(TrainError::Columns {
                loss: loss.to_string(),
                needed: "several documents for each query: a list of texts, or further columns, and a label that is a \
                         list of numbers, one for each document"
                    .into(),
                found: format!("one document in each row ({})", columns()),
                file: Some(file_of(source).into()),
            }),
            (Labels::Documents | Labels::Optional, _) | (_, false) => Ok(()),
            (_, true) => Err(TrainError::Columns {
                loss: loss.to_string(),
                needed: "one text in each column".into(),
                found: format!("lists of texts ({})", columns()),
                file: Some(file_of(source).into()),
            }),
        }
    }
}

/// Returns the file of the first row.
fn file_of(source: &dyn Source) -> Place {
    if source.is_empty() { Place::File("the data".into()) } else { source.place(0).of_file() }
}

/// Returns the name of the column of labels; labels of a teacher have none.
fn label_column(source: &dyn Source) -> String {
    source.label_column().unwrap_or("label").to_owned()
}

/// Checks that the labels of all rows are probabilities.
fn check_shares(loss: &str, source: &dyn Source) -> Result<(), TrainError> {
    for row in 0..source.len() {
        let example = source.get(row).map_err(|source| TrainError::Data { row, source })?;
        let shares = example.label.ok_or(TrainError::NoLabel { row })?;
        let sum: f32 = shares.iter().sum();
        let wrong = shares.iter().copied().find(|share| !(0.0..=1.0).contains(share));
        if let Some(value) = wrong.or(((sum - 1.0).abs() > SHARES_TOLERANCE).then_some(sum)) {
            let needed = "a list of probabilities of the classes, from 0 to 1 and with the sum 1";
            return Err(TrainError::Label { place: source.place(row), loss: loss.to_string(), value, needed });
        }
    }
    Ok(())
}
