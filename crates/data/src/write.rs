//! Data files of our own making: JSONL and judgements of relevance. A file is there whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::DataError;

/// Writes one JSON object a line: pairs, or the queries or corpus of a [`crate::RetrievalSet`]. The folder must exist;
/// a file of this name is replaced once the new one is whole.
///
/// # Errors
/// If the file cannot be written, or a row cannot be told in JSON.
pub fn write_jsonl<R: Serialize>(path: impl AsRef<Path>, rows: impl IntoIterator<Item = R>) -> Result<(), DataError> {
    write_whole(path.as_ref(), |out| {
        for row in rows {
            serde_json::to_writer(&mut *out, &row)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Writes judgements (query id, document id, score) under a header, as [`crate::RetrievalSet::open`] reads them. The
/// folder must exist; a file of this name is replaced once the new one is whole.
///
/// # Errors
/// If the file cannot be written, or an id holds a tab or a line break.
pub fn write_qrels<Q: AsRef<str>, D: AsRef<str>>(
    path: impl AsRef<Path>,
    judgements: impl IntoIterator<Item = (Q, D, u32)>,
) -> Result<(), DataError> {
    let path = path.as_ref();
    let mut bad_id = None;
    let written = write_whole(path, |out| {
        writeln!(out, "query-id\tcorpus-id\tscore")?;
        for (query, document, score) in judgements {
            let (query, document) = (query.as_ref(), document.as_ref());
            if let Some(id) = [query, document].into_iter().find(|id| id.contains(['\t', '\n', '\r'])) {
                bad_id = Some(id.to_string());
                return Err(std::io::ErrorKind::InvalidInput.into());
            }
            writeln!(out, "{query}\t{document}\t{score}")?;
        }
        Ok(())
    });
    match bad_id {
        Some(id) => Err(DataError::BadId { path: path.display().to_string(), id }),
        None => written,
    }
}

/// Writes beside the target, syncs, and renames; whatever fails, the old file stays and nothing else is left behind.
fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<(), DataError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".incomplete");
    let unfinished: PathBuf = path.with_file_name(name);
    let finish = || {
        let mut out = BufWriter::new(File::create(&unfinished)?);
        write(&mut out)?;
        out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        sync_folder(path)
    };
    finish().map_err(|source| {
        let _ = std::fs::remove_file(&unfinished);
        DataError::Io { path: path.display().to_string(), source }
    })
}

/// Makes a rename last through a power cut, where folders can be synced.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
