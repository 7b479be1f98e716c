//! A set of data files as one [`Source`]: an index in memory, and rows that are read on demand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::options::ReadOptions;
use crate::read::{self, Format, RowFile};
use crate::selection::{self, Selection};
use crate::{DataError, Example, Place, Source};

/// Maximum number of rows: the limit up to which the reference's `randperm` uses 32-bit numbers.
const MAX_ROWS: usize = (u32::MAX / 20) as usize - 1;

/// Rows of JSONL, CSV, TSV, Parquet and plain text files, in the order of the files.
///
/// The index holds for each row its position (12 bytes, none for Parquet), a checksum (4 bytes),
/// the keys of its texts (4 bytes each) and its label if that is a single number (4 bytes). Opening
/// reads every file once.
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
    shared: Arc<Shared>,
    /// The epoch, if epochs differ.
    view: Option<View>,
}

/// The files with their index.
struct Shared {
    files: Vec<File>,
    selection: Selection,
    columns: Vec<String>,
    index: Index,
    fingerprint: [u8; 32],
}

/// The rows of an epoch that draws some of the texts.
struct View {
    epoch: u64,
    keys: Vec<u32>,
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
        let selection = selection::select(&files, limit, &options)?;
        let (names, columns) = (selection.names(), selection.texts());
        let mut content = Content::new(&selection, &columns);
        let mut index = Index::new(&selection, columns.len());
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
                    refuse_blank(&example, &selection, place)?;
                }
                if index.checks.len() == MAX_ROWS {
                    return Err(DataError::TooManyRows { path: name.clone(), limit: MAX_ROWS });
                }
                if let (Some(label), Some(column)) = (&example.label, &selection.label) {
                    let documents = selection.has_lists().then(|| example.texts.len() - 1);
                    index.check_length(label, documents, column, place)?;
                }
                index.add(&example, &mut content);
                Ok(index.checks.len() < limit)
            };
            let rows = format.scan(path, &names, &mut visit)?;
            opened.push(File { path: path.clone(), format: *format, first_row, rows });
        }
        if index.checks.is_empty() {
            let names: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
            return Err(DataError::NoRows { path: names.join(", ") });
        }
        index.shrink();
        let fingerprint = content.hash.finalize().into();
        let shared = Arc::new(Shared { files: opened, selection, columns, index, fingerprint });
        let view = shared.view(0);
        Ok(Self { shared, view })
    }

    fn file_of(&self, index: usize) -> &File {
        let files = &self.shared.files;
        &files[files.partition_point(|file| file.first_row <= index) - 1]
    }

    /// Returns the number of rows whose list has fewer texts than each epoch draws, so that some
    /// come twice.
    pub fn rows_with_repeated_texts(&self) -> usize {
        let Shared { selection, index, .. } = &*self.shared;
        let short = |row: usize| index.row_keys(row).len() < self.shared.columns.len();
        if selection.drawn.is_some() { (0..self.len()).filter(|&row| short(row)).count() } else { 0 }
    }
}

impl Shared {
    /// Returns what differs in an epoch, if anything does.
    fn view(&self, epoch: u64) -> Option<View> {
        self.selection.drawn.is_some().then(|| {
            let rows = 0..self.index.checks.len();
            let keys = rows.flat_map(|row| self.selection.draw(self.index.row_keys(row).to_vec(), epoch, row));
            View { epoch, keys: keys.collect() }
        })
    }
}

impl Source for Dataset {
    fn len(&self) -> usize {
        self.shared.index.checks.len()
    }

    fn columns(&self) -> &[String] {
        &self.shared.columns
    }

    fn has_labels(&self) -> bool {
        self.shared.selection.label.is_some()
    }

    fn label_column(&self) -> Option<&str> {
        self.shared.selection.label.as_deref()
    }

    fn label_length(&self) -> usize {
        self.shared.index.label_length.unwrap_or(0)
    }

    fn has_lists(&self) -> bool {
        self.shared.selection.has_lists()
    }

    fn scores(&self) -> &[f32] {
        &self.shared.index.scores
    }

    fn place(&self, index: usize) -> Place {
        let file = self.file_of(index);
        Place::Row(file.path.display().to_string(), (index - file.first_row) as u64 + 1)
    }

    fn get(&self, index: usize) -> Result<Example, DataError> {
        assert!(index < self.len(), "row {index} of {}", self.len());
        let Shared { selection, index: known, .. } = &*self.shared;
        let file = self.file_of(index);
        let row = index - file.first_row;
        let place = || self.place(index);
        let read = file.rows.read(row).and_then(|values| selection.example(values, file.format, &place));
        match read {
            Ok(mut example) if check_sum(&example, &text_hashes(&example)) == known.checks[index] => {
                if let Some(View { epoch, .. }) = self.view {
                    example.texts = selection.draw(example.texts, epoch, index);
                }
                Ok(example)
            }
            Err(error @ DataError::Io { .. }) => Err(error),
            // Every row was valid when it was indexed.
            _ => Err(DataError::Changed { path: file.path.display().to_string(), row: row + 1 }),
        }
    }

    /// Texts are identified by 128 bits of XXH3: the probability that two of n distinct texts share
    /// a key is below n² / 2¹²⁹, for 10⁹ texts 2·10⁻²¹.
    fn text_keys(&self) -> &[u32] {
        let Index { keys, list_keys, .. } = &self.shared.index;
        let keys = if self.has_lists() { list_keys } else { keys };
        self.view.as_ref().map_or(keys, |view| &view.keys)
    }

    fn row_keys(&self, index: usize) -> &[u32] {
        self.shared.index.row_keys(index)
    }

    fn epoch(&self, epoch: u64) -> Option<Arc<dyn Source>> {
        let view = Some(self.shared.view(epoch)?);
        Some(Arc::new(Self { shared: Arc::clone(&self.shared), view }))
    }

    /// SHA-256 of the names of the columns and of the texts and label of every row, with all texts
    /// of a list. It is the same for the same rows in any format and number of files.
    fn fingerprint(&self) -> [u8; 32] {
        self.shared.fingerprint
    }
}

/// Keys and checksums of the rows.
struct Index {
    checks: Vec<u32>,
    keys: Vec<u32>,
    /// Keys of the first text and of the whole list, where rows hold lists.
    list_keys: Vec<u32>,
    rows: KeyRows,
    label_length: Option<usize>,
    scores: Vec<f32>,
}

/// Division of keys into rows.
enum KeyRows {
    /// Each row has this number.
    Equal(usize),
    /// Starts of the rows, and the end of the last.
    Ragged(Vec<usize>),
}

impl Index {
    fn new(selection: &Selection, columns: usize) -> Self {
        let is_ragged = selection.drawn.is_some() || selection.has_lists();
        let rows = if is_ragged { KeyRows::Ragged(vec![0]) } else { KeyRows::Equal(columns) };
        let (checks, keys, list_keys) = (Vec::new(), Vec::new(), Vec::new());
        Self { checks, keys, list_keys, rows, label_length: None, scores: Vec::new() }
    }

    /// Checks that the label has as many numbers as those before, or as its row has documents.
    fn check_length(
        &mut self,
        label: &[f32],
        documents: Option<usize>,
        column: &str,
        place: impl Fn() -> Place,
    ) -> Result<(), DataError> {
        let found = label.len();
        let expected = *self.label_length.get_or_insert(if documents.is_some() { 1 } else { found });
        match documents {
            Some(documents) if found != documents => {
                Err(DataError::ListLabels { place: place(), column: column.into(), found, documents })
            }
            None if found != expected => {
                Err(DataError::LabelLength { place: place(), column: column.into(), found, expected })
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, example: &Example, content: &mut Content) {
        let hashes = text_hashes(example);
        for (text, &hash) in example.texts.iter().zip(&hashes) {
            add_text(&mut content.hash, text);
            let next = u32::try_from(content.texts.len()).expect("fewer distinct texts than 2^32");
            self.keys.push(*content.texts.entry(hash).or_insert(next));
        }
        if content.has_lists {
            let list: Vec<u8> = hashes[1..].iter().flat_map(|hash| hash.to_le_bytes()).collect();
            let next = u32::try_from(content.texts.len()).expect("fewer distinct texts than 2^32");
            let key = *content.texts.entry(xxh3_128(&list)).or_insert(next);
            self.list_keys.extend([self.keys[self.keys.len() - hashes.len()], key]);
        }
        content.hash.update(label_bytes(example));
        if let (Some([score]), false) = (example.label.as_deref(), content.has_lists) {
            self.scores.push(*score);
        }
        if let KeyRows::Ragged(starts) = &mut self.rows {
            content.hash.update((hashes.len() as u64).to_le_bytes());
            starts.push(self.keys.len());
        }
        self.checks.push(check_sum(example, &hashes));
    }

    /// Returns the keys of all texts of a row.
    fn row_keys(&self, row: usize) -> &[u32] {
        match &self.rows {
            KeyRows::Equal(columns) => &self.keys[row * columns..][..*columns],
            KeyRows::Ragged(starts) => &self.keys[starts[row]..starts[row + 1]],
        }
    }

    fn shrink(&mut self) {
        self.keys.shrink_to_fit();
        self.list_keys.shrink_to_fit();
        self.checks.shrink_to_fit();
        self.scores.shrink_to_fit();
    }
}

/// State of the first reading.
struct Content {
    hash: Sha256,
    texts: HashMap<u128, u32>,
    has_lists: bool,
}

impl Content {
    fn new(selection: &Selection, columns: &[String]) -> Self {
        let mut hash = Sha256::new();
        for name in columns.iter().map(String::as_str).chain(selection.label.as_deref()) {
            add_text(&mut hash, name);
        }
        hash.update([u8::from(selection.label.is_some())]);
        Self { hash, texts: HashMap::new(), has_lists: selection.has_lists() }
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

fn refuse_blank(example: &Example, selection: &Selection, place: impl Fn() -> Place) -> Result<(), DataError> {
    match example.texts.iter().position(|text| text.trim().is_empty()) {
        Some(text) => {
            let column = selection.column_of(text, example.texts.len());
            Err(DataError::BlankText { place: place(), column })
        }
        None => Ok(()),
    }
}
