//! Texts of a file in memory, with what stands beside them, and their embeddings: what most workflows begin with.

use maana_data::{DataError, RecordStream, record_columns, text_column};
use maana_kernels::Matrix;
use maana_model::{Embedder, Encoder, ModelError};
use std::path::Path;

/// Which columns of a file are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The one with the text; if not named, `text`, else the first.
    pub text: Option<String>,
    /// The names of the columns of a CSV or TSV file that does not name them itself.
    pub header: Option<Vec<String>>,
}

/// What can go wrong with texts and their embeddings.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// The file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model gave something that is no number.
    #[error("text {0} (counted from 1) has an embedding that is not a number; the model's weights are damaged")]
    NotFinite(usize),
}

/// Texts, and for each the further columns that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The texts.
    pub texts: Vec<String>,
    /// Of each text the fields, in the order asked for.
    pub fields: Vec<Vec<String>>,
}

/// Reads a file's texts, and the columns `beside` them. A field that is missing is empty.
///
/// # Errors
/// If the file cannot be read, lacks a column, or has no texts.
pub fn read(path: &Path, columns: &Columns, beside: &[&str]) -> Result<Texts, DataError> {
    let header = columns.header.as_deref();
    let present = record_columns(path, header)?;
    let text = match &columns.text {
        Some(text) => text.clone(),
        None => text_column(&present, beside).unwrap_or_default(),
    };
    let wanted: Vec<String> = std::iter::once(text).chain(beside.iter().map(|name| name.to_string())).collect();
    let mut read = Texts::default();
    for record in RecordStream::open(path, &wanted, header)? {
        let mut values = record?.values.into_iter().map(Option::unwrap_or_default);
        read.texts.push(values.next().unwrap_or_default());
        read.fields.push(values.collect());
    }
    if read.texts.is_empty() {
        return Err(DataError::NoRows { path: path.display().to_string() });
    }
    Ok(read)
}

/// Texts that are embedded together.
const CHUNK: usize = 1024;

/// Embeds all texts behind `prompt`; `progress` is told how many are done.
///
/// # Errors
/// If a text cannot be tokenised, or an embedding is not finite.
pub fn embed<T: AsRef<str>>(
    embedder: &Embedder<'_>,
    texts: &[T],
    prompt: &str,
    progress: &mut dyn FnMut(u64),
) -> Result<Matrix, TextsError> {
    let columns = embedder.dimension();
    let mut all = Matrix::zeros(texts.len(), columns);
    for (number, chunk) in texts.chunks(CHUNK).enumerate() {
        let borrowed: Vec<&str> = chunk.iter().map(AsRef::as_ref).collect();
        let rows = embedder.embed(&borrowed, prompt)?;
        let start = number * CHUNK;
        if let Some(row) = (0..rows.rows()).find(|row| rows.row(*row).iter().any(|value| !value.is_finite())) {
            return Err(TextsError::NotFinite(start + row + 1));
        }
        all.data_mut()[start * columns..(start + chunk.len()) * columns].copy_from_slice(rows.data());
        progress((start + chunk.len()) as u64);
    }
    Ok(all)
}

/// The words of a text, in small letters: runs of letters and digits of any script, with the apostrophe inside them, which
/// belongs to Swahili words such as `ng'ombe`.
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
