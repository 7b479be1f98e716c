//! Saves what is whole of a damaged store into a new one.

use super::manifest::Manifest;
use super::segment::Segment;
use super::snapshot::{open_dead, open_segment};
use super::{Document, StoreError, Writer};
use crate::search::{Corpus, Part};
use maana_kernels::Rows;
use std::path::Path;

/// Documents that are copied together.
const BATCH: usize = 2048;

/// Result of a salvage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Documents in the new store.
    pub documents: usize,
    /// The damage, and its consequences.
    pub damages: Vec<SegmentDamage>,
}

/// A segment that is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentDamage {
    /// The fault, with the name of the file.
    pub what: String,
    /// Ids of documents that were lost, where they can still be read.
    pub lost: Vec<String>,
    /// Documents that were lost and cannot be named.
    pub unnamed: usize,
    /// The deleted rows are unknown, so that they may be back.
    pub deleted_unknown: bool,
}

/// Copies all documents whose vectors, ids and payloads are as they were written into a new store;
/// a damaged index of ids is made anew. Of a segment with damaged vectors or documents none is
/// copied, as one checksum covers all of them.
///
/// # Errors
/// No store, a damaged manifest, a place where no store can be created, or what the system refuses.
pub fn salvage(folder: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<Salvaged, StoreError> {
    let folder = folder.as_ref();
    let manifest = Manifest::read(folder)?;
    let mut writer = Writer::begin(out, manifest.header.clone())?;
    let mut salvaged = Salvaged::default();
    for entry in &manifest.segments {
        let damage = |error: &StoreError, lost, unnamed| SegmentDamage {
            what: error.to_string(),
            lost,
            unnamed,
            deleted_unknown: false,
        };
        let segment = match open_segment(folder, entry, &manifest.header) {
            Ok(segment) => segment,
            Err(error @ (StoreError::Damaged { .. } | StoreError::Missing { .. })) => {
                salvaged.damages.push(damage(&error, Vec::new(), entry.rows as usize));
                continue;
            }
            Err(error) => return Err(error),
        };
        let dead = entry.dead.as_ref().map(|dead| open_dead(folder, dead, segment.rows())).transpose();
        let (dead, unknown) = match dead {
            Ok(dead) => (dead, None),
            Err(error) => (None, Some(error)),
        };
        let rows: Vec<usize> =
            (0..segment.rows()).filter(|row| dead.as_ref().is_none_or(|dead| !dead.contains(*row))).collect();
        if let Err(error) = segment.check_documents() {
            salvaged.damages.push(damage(&error, Vec::new(), rows.len()));
            continue;
        }
        if let Err(error) = segment.check_vectors() {
            let ids = rows.iter().map(|row| Ok(segment.document(*row)?.id.to_owned()));
            salvaged.damages.push(damage(&error, ids.collect::<Result<_, StoreError>>()?, 0));
            continue;
        }
        if let Some(error) = unknown {
            salvaged.damages.push(SegmentDamage { deleted_unknown: true, ..damage(&error, Vec::new(), 0) });
        }
        rows.chunks(BATCH).try_for_each(|rows| copy(&segment, rows, &mut writer))?;
        segment.check_unchanged()?;
    }
    writer.finish()?;
    salvaged.documents = writer.store().len();
    Ok(salvaged)
}

fn copy(segment: &Segment, rows: &[usize], writer: &mut Writer) -> Result<(), StoreError> {
    let dims = segment.dims();
    let corpus = Corpus::new(dims, vec![Part { values: segment.values(), dead: None }]);
    let mut vectors = vec![0.0; rows.len() * dims];
    for (row, vector) in rows.iter().zip(vectors.chunks_exact_mut(dims)) {
        corpus.copy_row(*row, vector);
    }
    let documents: Vec<Document<'_>> = rows.iter().map(|row| segment.document(*row)).collect::<Result<_, _>>()?;
    writer.add(&documents, Rows::new(&vectors, rows.len(), dims, dims)).map(|_| ())
}
