//! Texts of a file in memory, with their labels and embeddings: the start of most workflows.

use maana_data::{Blanks, DataError, Table};
use maana_kernels::Matrix;
use maana_model::{ModelError, Role, TextEncoder};
use std::path::Path;

/// Columns of a file to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Column of texts. By default `text`, else the first column of texts.
    pub text: Option<String>,
    /// Names of the columns of a CSV or TSV file without a header.
    pub header: Option<Vec<String>>,
}

/// An error of texts and their embeddings.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// The file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An embedding with a value that is NaN or infinite.
    #[error("the embedding of text {0} (counted from 1) is not finite; the model's weights are damaged")]
    NotFinite(usize),
}

/// Texts with their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The texts.
    pub texts: Vec<String>,
    /// Labels of each text, in the requested order.
    pub labels: Vec<Vec<String>>,
    /// Number of each text among the records of the file, counted from 1; the line in plain text.
    pub numbers: Vec<usize>,
    /// Blank texts that were skipped.
    pub skipped: usize,
    /// A note on the choice of the column, if none was named and several columns hold texts.
    pub chosen: Option<String>,
}

/// Returns a note on the chosen column if other columns than the `known` ones hold texts too,
/// unless its name is `text`.
pub(crate) fn ambiguity(table: &Table, text: &str, known: &[&str]) -> Option<String> {
    let other = |name: &str| name != text && !known.contains(&name);
    let others = table.columns().iter().filter(|column| other(&column.name) && column.holds_texts());
    let others: Vec<String> = others.map(|column| format!("`{}`", column.name)).collect();
    let doubt = text != "text" && !others.is_empty();
    doubt.then(|| format!("reading the column `{text}`, not {}", others.join(", ")))
}

/// Reads a file's texts, or those of standard input if the path is `-`, and the columns `labels`.
///
/// # Errors
/// If the file cannot be read, lacks a column, or has no texts; if a text is missing or null, or
/// blank and `blanks` refuses that; if a label is missing or blank.
pub fn read(path: &Path, columns: &Columns, labels: &[&str], blanks: Blanks) -> Result<Texts, DataError> {
    let table = Table::open(path, columns.header.as_deref())?;
    let text = columns.text.clone().map_or_else(|| table.text_column(labels), Ok)?;
    let names: Vec<String> = std::iter::once(text.clone()).chain(labels.iter().map(|name| name.to_string())).collect();
    let chosen = if columns.text.is_none() { ambiguity(&table, &text, labels) } else { None };
    let mut read = Texts { chosen, ..Texts::default() };
    for (row, record) in table.read(&names)?.enumerate() {
        let record = record?;
        let content = record.text(0)?;
        if blanks != Blanks::Keep && content.trim().is_empty() {
            if blanks == Blanks::Refuse {
                return Err(DataError::BlankText { place: record.place(), column: text });
            }
            read.skipped += 1;
            continue;
        }
        read.texts.push(content);
        read.labels.push((1..names.len()).map(|label| record.required(label)).collect::<Result<_, _>>()?);
        read.numbers.push(row + 1);
    }
    match read.texts.is_empty() {
        true => Err(DataError::NoRows { path: path.display().to_string() }),
        false => Ok(read),
    }
}

/// Pairs of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// The pairs.
    pub pairs: Vec<[String; 2]>,
    /// Pairs with a blank text that were skipped.
    pub skipped: usize,
}

/// Reads two columns of a table as pairs.
///
/// # Errors
/// If the table cannot be read, lacks a column, or has no pairs; if a text is missing or null, or
/// blank and `blanks` refuses that.
pub fn read_pairs(table: Table, columns: [&str; 2], blanks: Blanks) -> Result<Pairs, DataError> {
    let names = columns.map(String::from);
    let path = table.path().to_owned();
    let mut read = Pairs::default();
    for record in table.read(&names)? {
        let record = record?;
        let pair = [record.text(0)?, record.text(1)?];
        match pair.iter().position(|text| text.trim().is_empty()) {
            Some(blank) if blanks == Blanks::Refuse => {
                return Err(DataError::BlankText { place: record.place(), column: names[blank].clone() });
            }
            Some(_) if blanks == Blanks::Skip => read.skipped += 1,
            _ => read.pairs.push(pair),
        }
    }
    match read.pairs.is_empty() {
        true => Err(DataError::NoRows { path }),
        false => Ok(read),
    }
}

/// Texts per call of the encoder.
const CHUNK: usize = 1024;

/// Embeds all texts with `prompt`; `progress` receives the number of finished texts.
///
/// # Errors
/// If a text cannot be tokenised, or an embedding is not finite.
pub fn embed<T: AsRef<str>>(
    encoder: &TextEncoder,
    texts: &[T],
    prompt: &str,
    progress: &mut dyn FnMut(u64),
) -> Result<Matrix, TextsError> {
    let columns = encoder.dimension();
    let mut all = Matrix::zeros(texts.len(), columns);
    for (number, chunk) in texts.chunks(CHUNK).enumerate() {
        let borrowed: Vec<&str> = chunk.iter().map(AsRef::as_ref).collect();
        let start = number * CHUNK;
        let rows = encoder.embed(&borrowed, prompt).map_err(|error| error.after_texts(start))?;
        if let Some(row) = (0..rows.rows()).find(|row| rows.row(*row).iter().any(|value| !value.is_finite())) {
            return Err(TextsError::NotFinite(start + row + 1));
        }
        all.data_mut()[start * columns..(start + chunk.len()) * columns].copy_from_slice(rows.data());
        progress((start + chunk.len()) as u64);
    }
    Ok(all)
}

/// As [`embed`], through the tower and behind the prompt of a role.
///
/// # Errors
/// As [`embed`].
pub fn embed_role<T: AsRef<str>>(encoder: &TextEncoder, texts: &[T], role: Role) -> Result<Matrix, TextsError> {
    embed(&encoder.for_role(role), texts, encoder.role_prompt(role), &mut |_| {})
}

/// Splits a text into lower-case words: runs of letters and digits of any script, with inner
/// apostrophes, as in the Swahili `ng'ombe`.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let inside = |letter: char| letter.is_alphanumeric() || letter == '\'' || letter == '’';
    let trimmed = |word: &str| word.trim_matches(['\'', '’']).replace('’', "'").to_lowercase();
    text.split(move |letter| !inside(letter)).map(trimmed).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_keep_their_apostrophes() {
        let words: Vec<String> = super::words("Ng’ombe wa 'babu', 3 — ng'ombe!").collect();
        assert_eq!(words, ["ng'ombe", "wa", "babu", "3", "ng'ombe"]);
    }
}
