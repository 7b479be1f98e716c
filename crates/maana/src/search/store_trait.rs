//! The traits of a store, the same for a folder and a database. `tests/stores.rs` holds both kinds
//! to one contract.

use super::error::SearchError;
use super::request::{Answers, Content, SearchOptions};
use maana_kernels::{Context, Matrix, Rows};
use maana_vectors::index::Reached;
use maana_vectors::search::MeasuredOn;

/// A store that is open for reading.
pub trait ReadStore: Send + Sync {
    /// Returns the dimension of the vectors.
    fn dims(&self) -> usize;

    /// Returns the name of the model that made the vectors.
    fn made_by(&self) -> &str;

    /// Returns the precision of the products that made the vectors, if it was recorded.
    fn precision(&self) -> Option<&str>;

    /// Returns the prompt of the documents, if it was recorded.
    fn document_prompt(&self) -> Option<&str>;

    /// Checks that the vectors were made by the model with this fingerprint.
    ///
    /// # Errors
    /// If another model made them; `made_by` names this one in the message.
    fn expect_fingerprint(&self, fingerprint: &[u8], made_by: &str) -> Result<(), SearchError>;

    /// Returns the number of documents.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn documents(&self) -> Result<usize, SearchError>;

    /// Returns the names of the fields of the first documents.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn fields(&self) -> Result<Vec<String>, SearchError>;

    /// Opens the store again if this one no longer has the latest state: after a change of a
    /// folder, or after a database closed the connection or replaced the store. Returns `None` if
    /// this one is current.
    ///
    /// # Errors
    /// As [`StoreLocation::read`](super::StoreLocation::read).
    fn reopened(&self) -> Result<Option<Box<dyn ReadStore>>, SearchError>;

    /// Checks that no file of the store that this one has mapped was written into or cut.
    /// [`ReadStore::nearest`] does so before it returns. A database has no such files.
    ///
    /// # Errors
    /// If a file was changed, by name.
    fn check_unchanged(&self) -> Result<(), SearchError> {
        Ok(())
    }

    /// Checks that some document has each field of the filters; an empty store has every field.
    ///
    /// # Errors
    /// Names the first missing field.
    fn expect_fields(&self, filters: &[(String, String)]) -> Result<(), SearchError>;

    /// Finds the nearest documents of each query, given its text and its vector, all in one state
    /// of the store. Scores are `Metric::score` of the stored vectors; of equal scores, the
    /// document that was added earlier comes first.
    ///
    /// # Errors
    /// If vectors have another dimension or are not finite, if `dim` is not from 1 to the
    /// dimension, or if the store cannot be read.
    fn nearest(
        &self,
        context: &Context,
        queries: &[&str],
        vectors: &Matrix,
        options: &SearchOptions,
    ) -> Result<Answers, SearchError>;

    /// Describes the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn describe(&self) -> Result<Description, SearchError>;
}

/// A store that is open for changes. A call changes the store completely or not at all; once it
/// returns, the change is durable.
pub trait WriteStore: ReadStore {
    /// Adds documents with their vectors. A document replaces the one with the same id and moves to
    /// the end.
    ///
    /// # Errors
    /// If vectors have another dimension or are not finite, if an id occurs twice, or if the store
    /// cannot be written.
    fn add(&mut self, documents: &[(String, Content)], vectors: Rows<'_>) -> Result<Added, SearchError>;

    /// Returns for each document whether the store has it with the same text and fields.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn holds(&self, documents: &[(String, Content)]) -> Result<Vec<bool>, SearchError>;

    /// Returns the ids of all documents.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn ids(&self) -> Result<Vec<String>, SearchError>;

    /// Finishes a store that was begun; from then on it can be opened for reading.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn finish(&mut self) -> Result<(), SearchError>;

    /// Deletes the documents with these ids, and returns the ids that are missing.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn delete(&mut self, ids: &[&str]) -> Result<Deleted, SearchError>;

    /// Frees the space of deleted and replaced documents. A database also rebuilds its index over
    /// vectors, and measures it by these queries if there are any.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn compact(&mut self, context: &Context, queries: Option<Rows<'_>>) -> Result<Compacted, SearchError>;

    /// Builds a graph over all vectors, unless there is one, and measures its recall by these
    /// queries if there are any. Returns `None` if nothing was built or measured; a database never
    /// does, because it builds its index in [`WriteStore::compact`].
    ///
    /// # Errors
    /// If the store cannot be written.
    fn build_graph(&mut self, context: &Context, queries: Option<Rows<'_>>)
    -> Result<Option<GraphReport>, SearchError>;
}

/// Description of a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Labels and values in the order in which they are printed.
    pub lines: Vec<(&'static str, String)>,
    /// The same as JSON.
    pub json: serde_json::Value,
}

/// Number of documents that were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Documents with new ids.
    pub new: usize,
    /// Documents that replaced others with the same id.
    pub replaced: usize,
}

/// Result of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Number of documents that were deleted.
    pub documents: usize,
    /// Ids that no document had, without repetition.
    pub missing: Vec<String>,
}

/// Result of a compaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Compacted {
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
    /// `true` if anything was changed.
    pub changed: bool,
    /// Description of the index over vectors that was built, if any.
    pub index: Option<String>,
}

/// A graph over vectors, as it was built and measured.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphReport {
    /// Vectors in the graph.
    pub rows: usize,
    /// Leading columns that the walk compares.
    pub columns: usize,
    /// Recall for each width of the walk.
    pub reached: Vec<Reached>,
    /// Queries of the measurement.
    pub measured_on: Option<MeasuredOn>,
}

/// Result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of files or documents that were read.
    pub parts: usize,
    /// Name of the parts: "files" or "documents".
    pub unit: &'static str,
    /// Bytes of the files.
    pub bytes: Option<u64>,
    /// Damaged parts; empty for an intact store.
    pub damages: Vec<Damaged>,
}

/// A damaged part of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The file, or the document of a database.
    pub part: String,
    /// Description of the damage.
    pub what: String,
}
