//! The workflows of search: texts into a store, questions to the store. The store knows vectors and bytes; that these bytes are
//! a text and its fields is known here alone.

use crate::texts::{TextsError, embed};
use maana_data::{DataError, RecordStream, Table};
use maana_kernels::{Context, Rows};
use maana_model::{Embedder, Encoder};
#[cfg(feature = "postgres")]
use maana_postgres::PostgresError;
use maana_vectors::VectorsError;
use maana_vectors::index::{Graph, Hnsw, HnswSettings, prefix_for};
use maana_vectors::search::Wish;
use maana_vectors::store::{Store, StoreError, StoreHeader, Stored, Writer};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

#[cfg(feature = "postgres")]
mod database;
mod folder;
mod place;
mod searcher;

pub use maana_eval::metric;
#[cfg(feature = "postgres")]
pub use maana_postgres as postgres;
pub use maana_vectors::store;
pub use place::{Compacted, Damaged, Deleted, Info, Place, ReadStore, Verified, WriteStore};
pub use searcher::{Answers, Found, Question, Searcher, Way};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The texts or their embeddings.
    #[error(transparent)]
    Texts(#[from] TextsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vectors.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// The database.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(PostgresError),
    /// An address of a database, and no code for it.
    #[cfg(not(feature = "postgres"))]
    #[error(
        "{place}: this program was built without PostgreSQL; build it with the feature `postgres`, or name a folder"
    )]
    NoPostgres {
        /// The address, as far as it may be told.
        place: String,
    },
    /// Bytes of a document that are no text with fields.
    #[error("document `{id}`: what is kept beside its vector was not written by `maana index`")]
    Foreign {
        /// The document.
        id: String,
    },
    /// Vectors in another precision than the store's.
    #[error(
        "the store was made in {store}, and these vectors are made in {ours}; leave --precision out, or index anew"
    )]
    OtherPrecision {
        /// The precision that the store names.
        store: String,
        /// The embedder's.
        ours: &'static str,
    },
    /// Documents behind another prompt than the store's.
    #[error(
        "documents of the store were embedded behind {store:?}, and these would stand behind {ours:?}; leave \
         --document-prompt out, or index anew"
    )]
    OtherPrompt {
        /// The prompt that the store names.
        store: String,
        /// The embedder's.
        ours: String,
    },
    /// A filter for a field that no document has.
    #[error("no document has a field `{field}`; kept are: {present}")]
    NoField {
        /// The field.
        field: String,
        /// The fields that documents have.
        present: String,
    },
}

impl From<DataError> for SearchError {
    fn from(error: DataError) -> Self {
        Self::Texts(error.into())
    }
}

#[cfg(feature = "postgres")]
impl From<PostgresError> for SearchError {
    fn from(error: PostgresError) -> Self {
        match error {
            // What both kinds of store can say, they say as one.
            PostgresError::Store(error) => Self::Store(error),
            PostgresError::Vectors(error) => Self::Vectors(error),
            PostgresError::NoField { field, present } => Self::NoField { field, present },
            other => Self::Postgres(other),
        }
    }
}

/// Which fields of a corpus are what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The one with the id; if not named, `_id` or `id` where there is one, else documents are numbered by line.
    pub id: Option<String>,
    /// The one with the text; if not named, `text` (behind `title`, where there is one, as in BEIR), else the first of texts.
    pub text: Option<String>,
    /// Those that are kept beside.
    pub keep: Vec<String>,
    /// The names of the columns of a CSV or TSV file that does not name them itself.
    pub header: Option<Vec<String>>,
}

/// What is kept beside a vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The text.
    pub text: String,
    /// Other fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// Makes a store for the embedder's vectors in a folder; `Place::begin` makes one anywhere.
///
/// # Errors
/// If there is a store already, or the folder cannot be written.
pub fn create(folder: &Path, embedder: &Embedder<'_>, made_by: &str, stored: Stored) -> Result<Writer, SearchError> {
    Ok(Writer::create(folder, header(embedder, made_by, stored))?)
}

/// The header of a folder's store for the embedder's vectors.
fn header(embedder: &Embedder<'_>, made_by: &str, stored: Stored) -> StoreHeader {
    let metric = metric(embedder.similarity());
    let header = StoreHeader::new(embedder.dimension(), metric, stored, &embedder.fingerprint(), made_by);
    let header = header.with_precision(embedder.precision().name());
    header.with_document_prompt(embedder.role_prompt(maana_model::Role::Document))
}

/// Documents that are embedded and written together.
const CHUNK: usize = 2048;

/// What [`add`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Documents of new ids.
    pub new: usize,
    /// Documents that took the place of others with their id.
    pub replaced: usize,
    /// Documents whose text was blank, which were passed over.
    pub skipped: usize,
    /// The column of the texts, where none was named and others hold texts, too: a sentence.
    pub chosen: Option<String>,
}

/// What [`index`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// What came into the store.
    pub added: Added,
    /// Documents that were there from an earlier try.
    pub held: usize,
    /// Documents of an earlier try that this file does not have.
    pub removed: usize,
}

/// Embeds the documents of a file and adds them. Every few thousand are on the disk before the next are read; `progress` is
/// told how many are. Documents without ids are numbered onwards from the greatest number that is an id in the store.
///
/// # Errors
/// If the store was made by another model, in another precision or behind another prompt, the file cannot be read, lacks a field or has an id twice, or
/// the disk is full. Documents that `progress` was told of stay.
pub fn add(
    embedder: &Embedder<'_>,
    writer: &mut dyn WriteStore,
    corpus: &Path,
    fields: &Fields,
    progress: &mut dyn FnMut(u64),
) -> Result<Added, SearchError> {
    let mut reader = Reader::open(corpus, fields)?;
    if !reader.has_id {
        reader.numbered_from = writer.ids()?.iter().filter_map(|id| id.parse().ok()).max().unwrap_or(0);
    }
    Ok(fill(embedder, writer, &mut reader, false, progress)?.added)
}

/// Fills a store that was begun with the documents of a file: those that an earlier try has left are kept, and what it has left
/// of another file is removed. The store is to be finished after it.
///
/// # Errors
/// As [`add`].
pub fn index(
    embedder: &Embedder<'_>,
    writer: &mut dyn WriteStore,
    corpus: &Path,
    fields: &Fields,
    progress: &mut dyn FnMut(u64),
) -> Result<Indexed, SearchError> {
    let mut reader = Reader::open(corpus, fields)?;
    let goes_on = writer.documents()? > 0;
    let mut indexed = fill(embedder, writer, &mut reader, goes_on, progress)?;
    if goes_on {
        let ids = writer.ids()?;
        let others: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !reader.seen.contains_key(*id)).collect();
        indexed.removed = writer.delete(&others)?.documents;
    }
    Ok(indexed)
}

/// Adds the documents of a file, but those that are there already, where these are to be kept.
fn fill(
    embedder: &Embedder<'_>,
    writer: &mut dyn WriteStore,
    reader: &mut Reader,
    keep_held: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Indexed, SearchError> {
    writer.expect_fingerprint(&embedder.fingerprint(), writer.made_by())?;
    let ours = embedder.precision().name();
    if let Some(store) = writer.precision().filter(|store| *store != ours) {
        return Err(SearchError::OtherPrecision { store: store.to_owned(), ours });
    }
    let ours = embedder.role_prompt(maana_model::Role::Document);
    if let Some(store) = writer.document_prompt().filter(|store| *store != ours) {
        return Err(SearchError::OtherPrompt { store: store.to_owned(), ours: ours.to_owned() });
    }
    let mut indexed = Indexed::default();
    indexed.added.chosen = reader.chosen.take();
    loop {
        let mut chunk = reader.next_chunk()?;
        if chunk.is_empty() {
            break;
        }
        if keep_held {
            let mut held = writer.holds(&chunk)?.into_iter();
            let before = chunk.len();
            chunk.retain(|_| !held.next().expect("an answer for each document"));
            indexed.held += before - chunk.len();
        }
        let texts: Vec<&str> = chunk.iter().map(|(_, kept)| kept.text.as_str()).collect();
        let vectors = embed(embedder, &texts, embedder.role_prompt(maana_model::Role::Document), &mut |_| {})?;
        let outcome = writer.add(&chunk, vectors.view())?;
        let added = &mut indexed.added;
        added.new += outcome.new;
        added.replaced += outcome.replaced;
        added.skipped = reader.skipped;
        progress((added.new + added.replaced + indexed.held) as u64);
    }
    if indexed.added.new + indexed.added.replaced + indexed.held == 0 {
        return Err(DataError::NoRows { path: reader.path.clone() }.into());
    }
    Ok(indexed)
}

/// Documents of a file.
struct Reader {
    path: String,
    records: RecordStream,
    /// Whether the first field is the id.
    has_id: bool,
    titled: bool,
    keep: Vec<String>,
    seen: HashMap<String, u64>,
    skipped: usize,
    chosen: Option<String>,
    /// What is added to the number of a line that is an id.
    numbered_from: u64,
}

impl Reader {
    fn open(path: &Path, fields: &Fields) -> Result<Self, DataError> {
        let table = Table::open(path, fields.header.as_deref())?;
        let id = fields.id.clone().or_else(|| ["_id", "id"].into_iter().find(|name| table.has(name)).map(String::from));
        let mut others: Vec<&str> = fields.keep.iter().map(String::as_str).collect();
        others.extend(id.as_deref());
        let text = fields.text.clone().map_or_else(|| table.text_column(&others), Ok)?;
        let chosen = if fields.text.is_none() { crate::texts::chosen(&table, &text, &others) } else { None };
        // A title that was chosen to be the id stays no less a title.
        let titled = fields.text.is_none() && text == "text" && table.has("title");
        let title = titled.then(|| "title".to_owned());
        let wanted: Vec<String> =
            id.iter().cloned().chain([text]).chain(title).chain(fields.keep.iter().cloned()).collect();
        Ok(Self {
            path: path.display().to_string(),
            records: table.read(&wanted)?,
            has_id: id.is_some(),
            titled,
            keep: fields.keep.clone(),
            seen: HashMap::new(),
            skipped: 0,
            chosen,
            numbered_from: 0,
        })
    }

    fn next_chunk(&mut self) -> Result<Vec<(String, Kept)>, SearchError> {
        let mut chunk = Vec::with_capacity(CHUNK);
        while chunk.len() < CHUNK {
            let Some(record) = self.records.next() else { break };
            let record = record?;
            let line = record.number();
            let text_place = usize::from(self.has_id);
            let keep_place = text_place + 1 + usize::from(self.titled);
            let mut text = record.text(text_place)?;
            if self.titled
                && let Some(title) = record.field(text_place + 1)?
            {
                text = format!("{title} {text}");
            }
            if text.trim().is_empty() {
                self.skipped += 1;
                continue;
            }
            let number = || self.numbered_from.saturating_add(line).to_string();
            let id = if self.has_id { record.required(0)? } else { number() };
            if let Some(first_line) = self.seen.insert(id.clone(), line) {
                return Err(DataError::DuplicateId { path: self.path.clone(), line, id, first_line }.into());
            }
            let mut fields = BTreeMap::new();
            for (place, name) in self.keep.iter().enumerate() {
                if let Some(value) = record.field(keep_place + place)? {
                    fields.insert(name.clone(), value);
                }
            }
            chunk.push((id, Kept { text, fields }));
        }
        Ok(chunk)
    }
}

/// From so many documents on a store is given a graph; below, comparing every vector takes a fraction of a second.
pub const GRAPH_FROM: usize = 1_000_000;

/// Builds a graph over the vectors of a store and puts it into the store: from then on a search walks along it, and compares
/// one by one only what was added later. The prefix that is walked by, and what each width finds, are measured by the vectors of
/// these queries, or of the store's own, perturbed. The store is compacted first, so that no later change moves the rows.
///
/// # Errors
/// What the system refuses, or a damaged file; a graph that was there stays.
pub fn build_graph(writer: &mut Writer, context: &Context, queries: Option<Rows<'_>>) -> Result<Graph, SearchError> {
    writer.compact()?;
    let (corpus, metric) = (writer.store().corpus(), writer.store().header().metric);
    let wish = Wish { queries, ..Wish::default() };
    let settings =
        HnswSettings { prefix: Some(prefix_for(context, &corpus, metric, &wish)?), ..HnswSettings::default() };
    let mut built = Hnsw::build(context, corpus, metric, &settings)?;
    built.measure(context, &wish)?;
    let graph = built.into_graph();
    graph.keep(writer)?;
    Ok(graph)
}

/// Measures anew what a graph over all rows of a store finds.
///
/// # Errors
/// As `build_graph`.
pub fn measure_graph(
    writer: &Writer,
    context: &Context,
    graph: Graph,
    queries: Option<Rows<'_>>,
) -> Result<Graph, SearchError> {
    let mut walked = Hnsw::over(writer.store().corpus(), graph.into(), &HnswSettings::default());
    walked.measure(context, &Wish { queries, ..Wish::default() })?;
    let graph = walked.into_graph();
    graph.keep(writer)?;
    Ok(graph)
}

/// Finds the nearest documents of each query.
///
/// # Errors
/// If the store was made by another model, a filter names a field that no document has, or the store cannot be read.
pub fn search(
    store: &dyn ReadStore,
    embedder: &Embedder<'_>,
    context: &Context,
    queries: &[&str],
    question: &Question,
) -> Result<Answers, SearchError> {
    store.expect_fingerprint(&embedder.fingerprint(), store.made_by())?;
    store.expect_fields(&question.filters)?;
    let vectors = embed(embedder, queries, embedder.role_prompt(maana_model::Role::Query), &mut |_| {})?;
    store.nearest(context, queries, &vectors, question)
}

/// The text and fields of a row.
///
/// # Errors
/// A damaged file, or a document that `add` has not written.
pub fn kept(store: &Store, row: usize) -> Result<Kept, SearchError> {
    let document = store.document(row)?;
    serde_json::from_slice(document.payload).map_err(|_| SearchError::Foreign { id: document.id.to_owned() })
}

/// The names of fields that the first documents of a store have.
///
/// # Errors
/// A damaged file, or a document that `add` has not written.
pub fn fields(store: &Store) -> Result<Vec<String>, SearchError> {
    const LOOKED_AT: usize = 1000;
    let mut names = BTreeSet::new();
    for row in store.rows().take(LOOKED_AT) {
        names.extend(kept(store, row)?.fields.into_keys());
    }
    Ok(names.into_iter().collect())
}

fn check_filters(store: &Store, filters: &[(String, String)]) -> Result<(), SearchError> {
    let mut left: Vec<&str> = filters.iter().map(|(field, _)| field.as_str()).collect();
    let mut present = BTreeMap::new();
    for row in store.rows() {
        if left.is_empty() {
            return Ok(());
        }
        let fields = kept(store, row)?.fields;
        left.retain(|field| !fields.contains_key(*field));
        fields.into_keys().for_each(|field| *present.entry(field).or_insert(0) += 1);
    }
    let Some(field) = left.first().filter(|_| !store.is_empty()) else { return Ok(()) };
    let present: Vec<String> = present.into_keys().collect();
    let present = if present.is_empty() { "none (index with --keep)".to_owned() } else { present.join(", ") };
    Err(SearchError::NoField { field: field.to_string(), present })
}
