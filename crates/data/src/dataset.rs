//! A set of data files as one [`Source`]: an index in memory, and rows that are read on demand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::read::{self, Format, RowFile};
use crate::selection::{self, Selection};
use crate::{DataError, Example, Place, Source};

/// Maximum number of rows: the limit up to which the reference's `randperm` uses 32-bit numbers.
const MAX_ROWS: usize = (u32::MAX / 20) as usize - 1;

/// Options of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Columns in the order of the loss; one of [`crate::LABEL_COLUMNS`] among them, at any
    /// position, is the label. `None` reads every column in the order of the first file.
    pub columns: Option<Vec<String>>,
    /// Maximum number of rows, from the start.
    pub limit: Option<usize>,
    /// Allows texts that are empty or only white space, which in training are nearly always a
    /// mistake.
    pub allow_blank: bool,
}

/// Rows of JSONL, CSV, TSV, Parquet and plain text files, in the order of the files.
///
/// The index holds for each row its position (12 bytes, none for Parquet), a checksum (4 bytes), the
/// keys of its texts (4 bytes each) and its label if that is a single number (4 bytes). Opening reads
/// every file once.
///
/// Without names of columns the first file determines them: by its schema (Parquet), or by all its
/// rows (JSON: the names in any object). Every column except the label must hold texts, or lists of
/// texts of one length, each of which becomes a column; others are an error. A missing value is an
/// error. Plain text has the single column `text`. Empty lines, and in plain text blank ones, are
/// not rows.
///
/// Any number of threads may read. Reading a row of Parquet decodes its row group, unless that is
/// among the last 256 MB decoded; for shuffled reading of larger files, row groups of a few
/// thousand rows or another format are faster.
pub struct Dataset {
    files: Vec<File>,
    selection: Selection,
    columns: Vec<String>,
    checks: Vec<u32>,
    keys: Vec<u32>,
    label_length: usize,
    scores: Vec<f32>,
    fingerprint: [u8; 32],
}

struct File {
    path: PathBuf,
    format: Format,
    first_row: usize,
    rows: Box<dyn RowFile>,
}

impl Dataset {
    /// Opens files, folders (their data files in the order of names) and patterns such as
    /// `data/*.jsonl`.
    ///
    /// # Errors
    /// If an input, a file or a row is invalid: see [`DataError`].
    pub fn open<P: AsRef<Path>>(inputs: &[P], options: ReadOptions) -> Result<Self, DataError> {
        let files = read::files(inputs)?;
        let limit = options.limit.unwrap_or(usize::MAX);
        let selection = selection::select(&files, options.columns.as_deref(), limit)?;
        let (names, columns) = (selection.names(), selection.texts());
        let mut index = Index::new(&columns, selection.label.as_deref());
        let mut opened = Vec::with_capacity(files.len());
        for (path, format) in &files {
            let first_row = index.checks.len();
            if first_row >= limit {
                break;
            }
            let name = path.display().to_string();
            let mut visit = |number, values| {
                let place = || format.place(&name, number);
                let example = selection.example(values, *format, &place)?;
                if !options.allow_blank {
                    refuse_blank(&example, &columns, place)?;
                }
                if let (Some(label), Some(column)) = (&example.label, &selection.label) {
                    index.check_length(label, column, place)?;
                }
                if index.checks.len() == MAX_ROWS {
                    return Err(DataError::TooManyRows { path: name.clone(), limit: MAX_ROWS });
                }
                index.add(&example);
                Ok(index.checks.len() < limit)
            };
            let rows = format.scan(path, &names, &mut visit)?;
            opened.push(File { path: path.clone(), format: *format, first_row, rows });
        }
        if index.checks.is_empty() {
            let names: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
            return Err(DataError::NoRows { path: names.join(", ") });
        }
        index.keys.shrink_to_fit();
        index.checks.shrink_to_fit();
        index.scores.shrink_to_fit();
        Ok(Self {
            files: opened,
            columns,
            selection,
            checks: index.checks,
            keys: index.keys,
            label_length: index.label_length.unwrap_or(0),
            scores: index.scores,
            fingerprint: index.content.finalize().into(),
        })
    }

    fn file_of(&self, index: usize) -> &File {
        &self.files[self.files.partition_point(|file| file.first_row <= index) - 1]
    }
}

impl Source for Dataset {
    fn len(&self) -> usize {
        self.checks.len()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn has_labels(&self) -> bool {
        self.selection.label.is_some()
    }

    fn label_length(&self) -> usize {
        self.label_length
    }

    fn scores(&self) -> &[f32] {
        &self.scores
    }

    fn place(&self, index: usize) -> Place {
        let file = self.file_of(index);
        Place::Row(file.path.display().to_string(), (index - file.first_row) as u64 + 1)
    }

    fn get(&self, index: usize) -> Result<Example, DataError> {
        assert!(index < self.len(), "row {index} of {}", self.len());
        let file = self.file_of(index);
        let row = index - file.first_row;
        let place = || Place::Row(file.path.display().to_string(), row as u64 + 1);
        let read = file.rows.read(row).and_then(|values| self.selection.example(values, file.format, &place));
        match read {
            Ok(example) if check_sum(&example, &text_hashes(&example)) == self.checks[index] => Ok(example),
            Err(error @ DataError::Io { .. }) => Err(error),
            // Every row was valid when it was indexed.
            _ => Err(DataError::Changed { path: file.path.display().to_string(), row: row + 1 }),
        }
    }

    /// Texts are identified by 128 bits of XXH3: the probability that two of n distinct texts share
    /// a key is below n² / 2¹²⁹, for 10⁹ texts 2·10⁻²¹.
    fn text_keys(&self) -> &[u32] {
        &self.keys
    }

    /// SHA-256 of the names of the columns and of the texts and label of every row. It is the same
    /// for the same rows in any format and number of files.
    fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

/// The index, during the first reading.
struct Index {
    content: Sha256,
    checks: Vec<u32>,
    keys: Vec<u32>,
    known: HashMap<u128, u32>,
    label_length: Option<usize>,
    scores: Vec<f32>,
}

impl Index {
    fn new(columns: &[String], label: Option<&str>) -> Self {
        let mut content = Sha256::new();
        for name in columns.iter().map(String::as_str).chain(label) {
            add_text(&mut content, name);
        }
        content.update([u8::from(label.is_some())]);
        Self {
            content,
            checks: Vec::new(),
            keys: Vec::new(),
            known: HashMap::new(),
            label_length: None,
            scores: Vec::new(),
        }
    }

    /// Checks that the label has as many numbers as those before.
    fn check_length(&mut self, label: &[f32], column: &str, place: impl Fn() -> Place) -> Result<(), DataError> {
        let expected = *self.label_length.get_or_insert(label.len());
        if label.len() == expected {
            return Ok(());
        }
        Err(DataError::LabelLength { place: place(), column: column.into(), found: label.len(), expected })
    }

    fn add(&mut self, example: &Example) {
        let hashes = text_hashes(example);
        for (text, &hash) in example.texts.iter().zip(&hashes) {
            add_text(&mut self.content, text);
            let next = u32::try_from(self.known.len()).expect("fewer distinct texts than 2^32");
            self.keys.push(*self.known.entry(hash).or_insert(next));
        }
        self.content.update(label_bytes(example));
        if let Some([score]) = example.label.as_deref() {
            self.scores.push(*score);
        }
        self.checks.push(check_sum(example, &hashes));
    }
}

fn add_text(content: &mut Sha256, text: &str) {
    content.update((text.len() as u64).to_le_bytes());
    content.update(text);
}

fn text_hashes(example: &Example) -> Vec<u128> {
    example.texts.iter().map(|text| xxh3_128(text.as_bytes())).collect()
}

fn check_sum(example: &Example, hashes: &[u128]) -> u32 {
    let mut bytes = Vec::with_capacity(16 * hashes.len() + 4);
    hashes.iter().for_each(|hash| bytes.extend(hash.to_le_bytes()));
    bytes.extend(label_bytes(example));
    xxh3_64(&bytes) as u32
}

/// Returns the bytes of the label's numbers; those of 0 without a label.
fn label_bytes(example: &Example) -> Vec<u8> {
    let numbers = example.label.as_deref().unwrap_or(&[0.0]);
    numbers.iter().flat_map(|number| number.to_bits().to_le_bytes()).collect()
}

fn refuse_blank(example: &Example, columns: &[String], place: impl Fn() -> Place) -> Result<(), DataError> {
    match example.texts.iter().position(|text| text.trim().is_empty()) {
        Some(column) => Err(DataError::BlankText { place: place(), column: columns[column].clone() }),
        None => Ok(()),
    }
}
