//! Where a store lies, and the seam that both kinds stand behind: a folder of this machine, or a schema of a PostgreSQL
//! database. What crosses it is plain data; `tests/stores.rs` holds both to one contract.

#[cfg(feature = "postgres")]
use super::postgres;
use super::{Added, Answers, Kept, Question, SearchError, Searcher, header, store};
use maana_kernels::{Context, Matrix, Rows};
use maana_model::{Embedder, Encoder};
use maana_vectors::index::Graph;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a store lies.
#[derive(Clone, Debug)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A schema of a database.
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Target>),
}

/// A store that is open for reading.
pub trait ReadStore: Send + Sync {
    /// Dims of a vector.
    fn dims(&self) -> usize;

    /// The name of what made the vectors.
    fn made_by(&self) -> &str;

    /// Precision of the products that made the vectors, if it was noted.
    fn precision(&self) -> Option<&str>;

    /// The text that stood before every document when it was embedded, if it was noted.
    fn document_prompt(&self) -> Option<&str>;

    /// That the vectors were made by what has this fingerprint.
    ///
    /// # Errors
    /// They were not; `made_by` is told to people.
    fn expect_fingerprint(&self, fingerprint: &[u8], made_by: &str) -> Result<(), SearchError>;

    /// Documents that can be found.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn documents(&self) -> Result<usize, SearchError>;

    /// The names of fields that the first documents have.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn fields(&self) -> Result<Vec<String>, SearchError>;

    /// The store opened anew where this one no longer answers from the latest state: after a change of a folder, and after a
    /// database has closed the connection or holds another store under the name. `None` where this one does.
    ///
    /// # Errors
    /// As [`Place::read`].
    fn reopened(&self) -> Result<Option<Box<dyn ReadStore>>, SearchError>;

    /// That each field of the filters is one that some document has; in an empty store every field is.
    ///
    /// # Errors
    /// The first that none has.
    fn expect_fields(&self, filters: &[(String, String)]) -> Result<(), SearchError>;

    /// The nearest documents of each query, of which the text and the vector are given. All of them see one state. Scores are
    /// `Metric::score` of the vectors as they are kept; of equal ones the document that was added earlier comes first.
    ///
    /// # Errors
    /// Vectors of other dims or with values that are not finite, a prefix that is none, or a store that cannot be read.
    fn nearest(
        &self,
        context: &Context,
        queries: &[&str],
        vectors: &Matrix,
        question: &Question,
    ) -> Result<Answers, SearchError>;

    /// What can be told about the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn info(&self) -> Result<Info, SearchError>;
}

/// A store that is open for changes. What a call has returned for is kept, and each call is done whole or not at all.
pub trait WriteStore: ReadStore {
    /// Adds documents with their vectors; one with an id that is there takes its place, at the end.
    ///
    /// # Errors
    /// Other dims, values that are not finite, an id twice, or what the system refuses.
    fn add(&mut self, documents: &[(String, Kept)], vectors: Rows<'_>) -> Result<Added, SearchError>;

    /// Returns for each document whether it is there already, with this text and these fields.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn holds(&self, documents: &[(String, Kept)]) -> Result<Vec<bool>, SearchError>;

    /// The ids of all documents.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn ids(&self) -> Result<Vec<String>, SearchError>;

    /// Says that all documents have come into a store that was begun: from now on it can be read.
    ///
    /// # Errors
    /// What the system refuses.
    fn finish(&mut self) -> Result<(), SearchError>;

    /// Deletes the documents with these ids, and says which were not there.
    ///
    /// # Errors
    /// What the system refuses.
    fn delete(&mut self, ids: &[&str]) -> Result<Deleted, SearchError>;

    /// Gives back the room of documents that were deleted or replaced, and makes anew what makes searching quick. In a database
    /// that is measured by the vectors of these queries, where there are any.
    ///
    /// # Errors
    /// What the system refuses.
    fn compact(&mut self, context: &Context, queries: Option<Rows<'_>>) -> Result<Compacted, SearchError>;

    /// Makes the graph over a folder's vectors, if there is none over all of them, and measures it by the vectors of these
    /// queries, where there are any. Makes none in a database, which has its index when it is compacted.
    ///
    /// # Errors
    /// What the system refuses.
    fn make_graph(&mut self, context: &Context, queries: Option<Rows<'_>>) -> Result<Option<Graph>, SearchError>;
}

/// What can be told about a store, in the words of its kind.
#[derive(Clone)]
pub enum Info {
    /// Of a folder's.
    Folder {
        /// What is stored.
        store: store::StoreInfo,
        /// The graph over its vectors.
        graph: Option<Arc<Graph>>,
    },
    /// Of a database's.
    #[cfg(feature = "postgres")]
    Postgres(postgres::Info),
}

/// What `delete` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Documents that were deleted.
    pub documents: usize,
    /// Ids that no document had, each once.
    pub missing: Vec<String>,
}

/// What `compact` did.
#[derive(Clone, Debug, PartialEq)]
pub struct Compacted {
    /// Bytes before.
    pub before: u64,
    /// And after.
    pub after: u64,
    /// Whether there was anything to do.
    pub changed: bool,
    /// The index over vectors that a database made.
    #[cfg(feature = "postgres")]
    pub graph: Option<postgres::Graph>,
}

/// What was read to see whether a store is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files or documents that were read.
    pub parts: usize,
    /// Which of both: "files" or "documents".
    pub named: &'static str,
    /// Bytes of files.
    pub bytes: Option<u64>,
    /// What is damaged; empty for a store that is whole.
    pub damages: Vec<Damaged>,
}

/// A part of a store that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// A file, or a document of a database.
    pub part: String,
    /// What is wrong with it.
    pub what: String,
}

impl Place {
    /// What a path means: an address of a database, else a folder. An address without a password takes that of the
    /// environment variable `PGPASSWORD`.
    ///
    /// # Errors
    /// An address that cannot be understood, or one where there is no code for it.
    pub fn of(path: &Path) -> Result<Self, SearchError> {
        #[cfg(feature = "postgres")]
        if let Some(url) = path.to_str().filter(|word| postgres::Target::is_one(word)) {
            let target = postgres::Target::parse(url)?.or_password(std::env::var("PGPASSWORD").ok());
            return Ok(Self::Postgres(Box::new(target)));
        }
        #[cfg(not(feature = "postgres"))]
        if let Some(url) = path.to_str().filter(|word| word.starts_with("postgres")).filter(|word| word.contains("://"))
        {
            let place = url.rsplit('@').next().unwrap_or_default().to_owned();
            return Err(SearchError::NoPostgres { place });
        }
        Ok(Self::Folder(path.to_owned()))
    }

    /// Opens the store for reading.
    ///
    /// # Errors
    /// No store, a later format, damage, or no way to it.
    pub fn read(&self) -> Result<Box<dyn ReadStore>, SearchError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(Searcher::open(folder)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => Box::new(postgres::Store::open(target)?),
        })
    }

    /// Opens the store for changes. A folder has one writer at a time; in a database writers take turns.
    ///
    /// # Errors
    /// As `read`, or another writer.
    pub fn write(&self) -> Result<Box<dyn WriteStore>, SearchError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(store::Writer::open(folder)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => Box::new(postgres::Store::open(target)?),
        })
    }

    /// Makes a store for the embedder's vectors that is not to be read until [`WriteStore::finish`] is called, or goes on with
    /// one that was begun so for the same vectors; one for others is replaced. With `half` they take half the room, rounded to
    /// bf16 in a folder and to f16 in a database.
    ///
    /// # Errors
    /// If there is a finished store already, or it cannot be made.
    pub fn begin(
        &self,
        embedder: &Embedder<'_>,
        made_by: &str,
        half: bool,
    ) -> Result<Box<dyn WriteStore>, SearchError> {
        Ok(match self {
            Self::Folder(folder) => {
                let stored = if half { store::Stored::Bf16 } else { store::Stored::F32 };
                Box::new(store::Writer::begin(folder, header(embedder, made_by, stored))?)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => {
                let metric = super::metric(embedder.similarity());
                let fingerprint = embedder.fingerprint();
                let header = postgres::Header::new(embedder.dimension(), metric, half, &fingerprint, made_by);
                let header = header.with_precision(embedder.precision().name());
                let header = header.with_document_prompt(embedder.role_prompt(maana_model::Role::Document));
                Box::new(postgres::Store::begin(target, header)?)
            }
        })
    }

    /// Removes a store, finished or not. Files that are not the store's stay in its folder.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn remove(&self) -> Result<(), SearchError> {
        match self {
            Self::Folder(folder) => Ok(store::Writer::remove_at(folder)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => Ok(postgres::Store::remove_at(target)?),
        }
    }

    /// Reads everything that is kept, and says what is not as it was written.
    ///
    /// # Errors
    /// No store, or what the system refuses. Damage is no error: it is what is asked for.
    pub fn verify(&self) -> Result<Verified, SearchError> {
        match self {
            Self::Folder(folder) => super::folder::verify(folder),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => super::database::verify(target),
        }
    }
}

impl Display for Place {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(out),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => target.fmt(out),
        }
    }
}
