//! Writing of data files: JSONL and judgements of relevance. Files are replaced atomically.

use std::borrow::Borrow;
use std::io::{BufWriter, Write};
use std::path::Path;

use maana_files::NewFile;
use serde::Serialize;

use crate::DataError;

/// Writes one JSON object per line: pairs, or the queries or corpus of a [`crate::RetrievalSet`].
/// The folder must exist; an existing file is replaced when the new one is complete.
///
/// # Errors
/// If the file cannot be written, or a row cannot be serialized as JSON.
pub fn write_jsonl<R: Serialize>(path: impl AsRef<Path>, rows: impl IntoIterator<Item = R>) -> Result<(), DataError> {
    write_whole(path.as_ref(), |out| {
        for row in rows {
            serde_json::to_writer(&mut *out, &row)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Writes pairs of a query id and the id of a relevant document as judgements that
/// [`crate::RetrievalSet::open`] reads. The folder must exist; an existing file is replaced when
/// the new one is complete.
///
/// # Errors
/// If the file cannot be written, or an id contains a tab or a line break.
pub fn write_qrels<P: Borrow<(String, String)>>(
    path: impl AsRef<Path>,
    relevant: impl IntoIterator<Item = P>,
) -> Result<(), DataError> {
    let path = path.as_ref();
    let mut bad_id = None;
    let written = write_whole(path, |out| {
        writeln!(out, "query-id\tcorpus-id\tscore")?;
        for pair in relevant {
            let (query, document) = pair.borrow();
            if let Some(id) = [query, document].into_iter().find(|id| id.contains(['\t', '\n', '\r'])) {
                bad_id = Some(id.clone());
                return Err(std::io::ErrorKind::InvalidInput.into());
            }
            writeln!(out, "{query}\t{document}\t1")?;
        }
        Ok(())
    });
    match bad_id {
        Some(id) => Err(DataError::BadId { path: path.display().to_string(), id }),
        None => written,
    }
}

/// Replaces a file by the output of `write`, with errors as [`DataError`].
fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<NewFile>) -> std::io::Result<()>,
) -> Result<(), DataError> {
    maana_files::replace(path, write).map_err(|source| DataError::Io { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair {
        positive: &'static str,
        anchor: &'static str,
    }

    fn names(folder: &Path) -> Vec<String> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn rows_keep_their_order_and_old_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        write_jsonl(&path, [Pair { positive: "old", anchor: "" }]).unwrap();
        write_jsonl(&path, [Pair { positive: "a\n\"b\"", anchor: "ñ" }, Pair { positive: "c", anchor: "d" }]).unwrap();
        let wanted = "{\"positive\":\"a\\n\\\"b\\\"\",\"anchor\":\"ñ\"}\n{\"positive\":\"c\",\"anchor\":\"d\"}\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), wanted);
        assert_eq!(names(folder.path()), ["pairs.jsonl"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qrels.tsv");
        write_qrels(&path, [("q".to_string(), "d".to_string())]).unwrap();
        let error = write_qrels(&path, [("q".to_string(), "d\t1".to_string())]).unwrap_err();
        assert!(matches!(&error, DataError::BadId { id, .. } if id == "d\t1"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "query-id\tcorpus-id\tscore\nq\td\t1\n");
        assert_eq!(names(folder.path()), ["qrels.tsv"]);

        let nowhere = folder.path().join("missing/pairs.jsonl");
        let error = write_jsonl(&nowhere, [1, 2]).unwrap_err();
        assert!(error.to_string().contains("missing/pairs.jsonl"), "{error}");
    }
}
