//! The store in a folder, behind the seam.

use super::place::{Compacted, Damaged, Info, ReadStore, Verified, WriteStore};
use super::{Added, Answers, Kept, Question, SearchError};
use maana_kernels::{Matrix, Pool, Rows};
use maana_vectors::store::{Document, Store, Writer};
use std::path::Path;

impl ReadStore for Store {
    fn dims(&self) -> usize {
        self.header().dims
    }

    fn made_by(&self) -> &str {
        &self.header().made_by
    }

    fn expect_fingerprint(&self, fingerprint: &[u8], made_by: &str) -> Result<(), SearchError> {
        Ok(Store::expect_fingerprint(self, fingerprint, made_by)?)
    }

    fn documents(&self) -> Result<usize, SearchError> {
        Ok(self.len())
    }

    fn expect_fields(&self, filters: &[(String, String)]) -> Result<(), SearchError> {
        super::check_filters(self, filters)
    }

    fn nearest(
        &self,
        pool: &Pool,
        queries: &[&str],
        vectors: &Matrix,
        question: &Question,
    ) -> Result<Answers, SearchError> {
        super::nearest(self, pool, queries, vectors, question)
    }

    fn info(&self) -> Result<Info, SearchError> {
        Ok(Info::Folder(Store::info(self)))
    }
}

impl ReadStore for Writer {
    fn dims(&self) -> usize {
        ReadStore::dims(self.store())
    }

    fn made_by(&self) -> &str {
        ReadStore::made_by(self.store())
    }

    fn expect_fingerprint(&self, fingerprint: &[u8], made_by: &str) -> Result<(), SearchError> {
        ReadStore::expect_fingerprint(self.store(), fingerprint, made_by)
    }

    fn documents(&self) -> Result<usize, SearchError> {
        ReadStore::documents(self.store())
    }

    fn expect_fields(&self, filters: &[(String, String)]) -> Result<(), SearchError> {
        ReadStore::expect_fields(self.store(), filters)
    }

    fn nearest(
        &self,
        pool: &Pool,
        queries: &[&str],
        vectors: &Matrix,
        question: &Question,
    ) -> Result<Answers, SearchError> {
        ReadStore::nearest(self.store(), pool, queries, vectors, question)
    }

    fn info(&self) -> Result<Info, SearchError> {
        ReadStore::info(self.store())
    }
}

impl WriteStore for Writer {
    fn add(&mut self, documents: &[(String, Kept)], vectors: Rows<'_>) -> Result<Added, SearchError> {
        let payloads: Vec<Vec<u8>> =
            documents.iter().map(|(_, kept)| serde_json::to_vec(kept).expect("texts are JSON")).collect();
        let documents: Vec<Document<'_>> =
            documents.iter().zip(&payloads).map(|((id, _), payload)| Document { id, payload }).collect();
        let added = Writer::add(self, &documents, vectors)?;
        Ok(Added { new: added.new, replaced: added.replaced })
    }

    fn delete(&mut self, ids: &[&str]) -> Result<usize, SearchError> {
        Ok(Writer::delete(self, ids)?)
    }

    fn compact(&mut self, _: &Pool) -> Result<Compacted, SearchError> {
        let before = self.store().info().bytes;
        let changed = Writer::compact(self)?;
        let after = self.store().info().bytes;
        Ok(Compacted {
            before,
            after,
            changed,
            #[cfg(feature = "postgres")]
            graph: None,
        })
    }
}

pub(super) fn verify(folder: &Path) -> Result<Verified, SearchError> {
    let verified = maana_vectors::store::verify(folder)?;
    let damages = verified.damages.into_iter().map(|damage| Damaged { part: damage.file, what: damage.what });
    Ok(Verified { parts: verified.files, named: "files", bytes: Some(verified.bytes), damages: damages.collect() })
}
