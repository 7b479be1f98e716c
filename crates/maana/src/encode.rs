//! The workflow of `maana encode`: embeds a stream of texts into a file, in constant memory.

mod output;
mod ranges;

pub use output::{Dtype, Format, Output, OutputError};
pub use ranges::{read_ranges, write_ranges};

use maana_data::{DataError, TextStream};
use maana_kernels::Matrix;
use maana_model::{ModelError, TextEncoder};
use maana_vectors::quantize::Ranges;
use std::io::Write;

/// Texts that are read, embedded and written together.
const CHUNK_ROWS: usize = 1024;

/// An error of encoding.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The texts.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The file.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// An input without texts.
    #[error("{0}: the input has no texts")]
    Nothing(String),
    /// An embedding with a value that is NaN or infinite.
    #[error("the embedding of text {0} (counted from 1) is not finite; the model's weights are damaged")]
    NotFinite(u64),
}

/// Result of encoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Number of texts.
    pub rows: u64,
    /// Dimension of the embeddings.
    pub dimension: usize,
    /// Ranges of the rounding, if they are those of these embeddings.
    pub ranges: Option<Ranges>,
}

/// Embeds every text of the stream with `prompt`, and writes the embeddings in order. `progress`
/// receives the number of texts so far.
///
/// # Errors
/// If a text cannot be read or tokenised, or the file cannot be written; no partial file remains.
pub fn encode(
    encoder: &TextEncoder,
    prompt: &str,
    texts: TextStream,
    name: &str,
    mut output: Output,
    progress: &mut dyn FnMut(u64),
) -> Result<Encoded, EncodeError> {
    let mut write = |texts: &[&str], embeddings: &Matrix| Ok(output.write(texts, embeddings)?);
    let rows = in_chunks(encoder, prompt, texts, name, &mut write, progress)?;
    let ranges = output.finish()?;
    Ok(Encoded { rows, dimension: encoder.dimension(), ranges })
}

/// Embeds every text of the stream and prints one JSON object per line, as in a `.jsonl` file.
/// `ranges` are required if `dtype` needs them.
///
/// # Errors
/// If a text cannot be read or tokenised, or `out` cannot be written.
pub fn encode_to(
    encoder: &TextEncoder,
    prompt: &str,
    texts: TextStream,
    name: &str,
    dtype: Dtype,
    ranges: Option<&Ranges>,
    out: &mut dyn Write,
) -> Result<Encoded, EncodeError> {
    let dimension = encoder.dimension();
    let io = |source| OutputError::Io { path: "standard output".into(), source };
    let mut write = |texts: &[&str], embeddings: &Matrix| {
        for line in output::json_lines(texts, embeddings.view(), dtype, ranges) {
            writeln!(out, "{line}").map_err(io)?;
        }
        Ok(out.flush().map_err(io)?)
    };
    let rows = in_chunks(encoder, prompt, texts, name, &mut write, &mut |_| {})?;
    Ok(Encoded { rows, dimension, ranges: None })
}

/// Receives the texts of a chunk and their embeddings.
type WriteChunk<'a> = dyn FnMut(&[&str], &Matrix) -> Result<(), EncodeError> + 'a;

/// Embeds the texts in chunks and passes each chunk to `write`; returns the number of texts.
fn in_chunks(
    encoder: &TextEncoder,
    prompt: &str,
    texts: TextStream,
    name: &str,
    write: &mut WriteChunk<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, EncodeError> {
    let mut rows = 0;
    let mut chunk: Vec<String> = Vec::with_capacity(CHUNK_ROWS);
    let mut flush = |chunk: &mut Vec<String>, rows: &mut u64| -> Result<(), EncodeError> {
        let borrowed: Vec<&str> = chunk.iter().map(String::as_str).collect();
        let embeddings = encoder.embed(&borrowed, prompt)?;
        check(&embeddings, *rows)?;
        write(&borrowed, &embeddings)?;
        *rows += chunk.len() as u64;
        chunk.clear();
        progress(*rows);
        Ok(())
    };
    for text in texts {
        chunk.push(text?);
        if chunk.len() == CHUNK_ROWS {
            flush(&mut chunk, &mut rows)?;
        }
    }
    if !chunk.is_empty() {
        flush(&mut chunk, &mut rows)?;
    }
    if rows == 0 { Err(EncodeError::Nothing(name.to_owned())) } else { Ok(rows) }
}

fn check(embeddings: &Matrix, before: u64) -> Result<(), EncodeError> {
    let wrong = (0..embeddings.rows()).find(|&row| embeddings.row(row).iter().any(|value| !value.is_finite()));
    match wrong {
        Some(row) => Err(EncodeError::NotFinite(before + row as u64 + 1)),
        None => Ok(()),
    }
}
