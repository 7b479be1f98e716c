//! The workflows of search: texts into a store, questions to the store. The store knows vectors and bytes; that these bytes are
//! a text and its fields is known here alone.

use crate::texts::{TextsError, embed, words};
use maana_data::{DataError, RecordStream, record_columns, text_column};
use maana_kernels::{Matrix, Pool};
use maana_model::{Embedder, Encoder};
use maana_vectors::VectorsError;
use maana_vectors::bm25::Bm25;
use maana_vectors::fusion::{USUAL_CONSTANT, fuse};
use maana_vectors::index::Index;
use maana_vectors::search::{Choice, Funnel, Hit, Search, Wish, choose};
use maana_vectors::store::{Document, Store, StoreError, StoreHeader, Stored, Writer};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex};

pub use maana_eval::metric;
pub use maana_vectors::store;

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
    /// A document without an id.
    #[error("{path}, line {line}: the field `{field}` is missing; every document needs an id, or leave --id out")]
    NoId {
        /// The file.
        path: String,
        /// The line or row.
        line: u64,
        /// The field that should hold it.
        field: String,
    },
    /// Bytes of a document that are no text with fields.
    #[error("document `{id}`: what is kept beside its vector was not written by `maana index`")]
    Foreign {
        /// The document.
        id: String,
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

/// Which fields of a corpus are what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The one with the id; if not named, `_id` or `id` where there is one, else documents are numbered by line.
    pub id: Option<String>,
    /// The one with the text; if not named, `text` (behind `title`, where there is one, as in BEIR), else the first.
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

/// Makes a store for the embedder's vectors.
///
/// # Errors
/// If there is a store already, or the folder cannot be written.
pub fn create(folder: &Path, embedder: &Embedder<'_>, made_by: &str, stored: Stored) -> Result<Writer, SearchError> {
    let metric = metric(embedder.similarity());
    let header = StoreHeader::new(embedder.dimension(), metric, stored, &embedder.fingerprint(), made_by);
    Ok(Writer::create(folder, header)?)
}

/// Documents that are embedded and written together.
const CHUNK: usize = 2048;

/// What [`add`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Documents of new ids.
    pub new: usize,
    /// Documents that took the place of others with their id.
    pub replaced: usize,
}

/// Embeds the documents of a file and adds them. Every few thousand are on the disk before the next are read; `progress` is
/// told how many are.
///
/// # Errors
/// If the store was made by another model, the file cannot be read, lacks a field or has an id twice, or the disk is full.
/// Documents that `progress` was told of stay.
pub fn add(
    embedder: &Embedder<'_>,
    writer: &mut Writer,
    corpus: &Path,
    fields: &Fields,
    progress: &mut dyn FnMut(u64),
) -> Result<Added, SearchError> {
    let made_by = writer.store().header().made_by.clone();
    writer.store().expect_fingerprint(&embedder.fingerprint(), &made_by)?;
    let mut reader = Reader::open(corpus, fields)?;
    let mut added = Added::default();
    loop {
        let chunk = reader.next_chunk()?;
        if chunk.is_empty() {
            break;
        }
        let texts: Vec<&str> = chunk.iter().map(|(_, kept)| kept.text.as_str()).collect();
        let vectors = embed(embedder, &texts, embedder.role_prompt(maana_model::Role::Document), &mut |_| {})?;
        let payloads: Vec<Vec<u8>> =
            chunk.iter().map(|(_, kept)| serde_json::to_vec(kept).expect("texts are JSON")).collect();
        let documents: Vec<Document<'_>> =
            chunk.iter().zip(&payloads).map(|((id, _), payload)| Document { id, payload }).collect();
        let outcome = writer.add(&documents, vectors.view())?;
        added.new += outcome.new;
        added.replaced += outcome.replaced;
        progress((added.new + added.replaced) as u64);
    }
    if added == Added::default() {
        return Err(DataError::NoRows { path: corpus.display().to_string() }.into());
    }
    Ok(added)
}

/// Documents of a file.
struct Reader {
    path: String,
    records: RecordStream,
    /// Whether the first field is the id, and its name.
    id: Option<String>,
    titled: bool,
    keep: Vec<String>,
    seen: HashMap<String, u64>,
}

impl Reader {
    fn open(path: &Path, fields: &Fields) -> Result<Self, DataError> {
        let header = fields.header.as_deref();
        let present = record_columns(path, header)?;
        let has = |name: &str| present.iter().any(|column| column == name);
        let id = fields.id.clone().or_else(|| ["_id", "id"].into_iter().find(|name| has(name)).map(String::from));
        let titled = fields.text.is_none() && has("title") && has("text");
        let mut others: Vec<&str> = fields.keep.iter().map(String::as_str).collect();
        others.extend(id.as_deref());
        let text = fields.text.clone().or_else(|| text_column(&present, &others)).unwrap_or_default();
        let title = titled.then(|| "title".to_owned());
        let wanted: Vec<String> =
            id.iter().cloned().chain([text]).chain(title).chain(fields.keep.iter().cloned()).collect();
        let records = RecordStream::open(path, &wanted, header)?;
        let path = path.display().to_string();
        Ok(Self { path, records, id, titled, keep: fields.keep.clone(), seen: HashMap::new() })
    }

    fn next_chunk(&mut self) -> Result<Vec<(String, Kept)>, SearchError> {
        let mut chunk = Vec::with_capacity(CHUNK);
        while chunk.len() < CHUNK {
            let Some(record) = self.records.next() else { break };
            let record = record?;
            let line = record.number;
            let mut values = record.values.into_iter();
            let id = match &self.id {
                None => line.to_string(),
                Some(field) => values
                    .next()
                    .flatten()
                    .filter(|id| !id.is_empty())
                    .ok_or_else(|| SearchError::NoId { path: self.path.clone(), line, field: field.clone() })?,
            };
            if let Some(first_line) = self.seen.insert(id.clone(), line) {
                return Err(DataError::DuplicateId { path: self.path.clone(), line, id, first_line }.into());
            }
            let mut text = values.next().flatten().unwrap_or_default();
            if self.titled
                && let Some(title) = values.next().flatten().filter(|title| !title.is_empty())
            {
                text = format!("{title} {text}");
            }
            let kept = self.keep.iter().cloned().zip(values).filter_map(|(name, value)| Some((name, value?)));
            chunk.push((id, Kept { text, fields: kept.collect() }));
        }
        Ok(chunk)
    }
}

/// What is asked of a store beside the queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Hits of each query.
    pub k: usize,
    /// Compare the first columns only.
    pub dim: Option<usize>,
    /// Fields and the values that they must have.
    pub filters: Vec<(String, String)>,
    /// Whether words count too: BM25 over the texts, fused with the ranking by vectors.
    pub hybrid: bool,
    /// The share of the true hits that is enough: a shortlist by fewer columns and bits is then scored in full.
    pub recall: Option<f64>,
    /// Dimensions at which hits are scored once more, to be compared.
    pub also_at: Vec<usize>,
}

impl Default for Question {
    fn default() -> Self {
        Self { k: 10, dim: None, filters: Vec::new(), hybrid: false, recall: None, also_at: Vec::new() }
    }
}

/// A document that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Greater is nearer; with `hybrid` the sum of reciprocal ranks.
    pub score: f32,
    /// Its text and fields.
    #[serde(flatten)]
    pub kept: Kept,
    /// By the first so many columns, for the dimensions that were asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<usize, f32>,
}

/// What was found, and how it was looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The hits of each query, nearest first.
    pub hits: Vec<Vec<Found>>,
    /// What was measured to choose a shortlist, if one was asked for.
    pub choice: Option<Choice>,
}

/// Finds the nearest documents of each query.
///
/// # Errors
/// If the store was made by another model, a filter names a field that no document has, or a file is damaged.
pub fn search(
    store: &Store,
    embedder: &Embedder<'_>,
    pool: &Pool,
    queries: &[&str],
    question: &Question,
) -> Result<Answers, SearchError> {
    store.expect_fingerprint(&embedder.fingerprint(), &store.header().made_by)?;
    check_filters(store, &question.filters)?;
    let vectors = embed(embedder, queries, embedder.role_prompt(maana_model::Role::Query), &mut |_| {})?;
    Searcher::new(store.clone()).search(pool, queries, &vectors, question)
}

/// A state of a store that is asked many times: what words need is made once, when they are first asked for.
pub struct Searcher {
    store: Store,
    words: Mutex<Option<Arc<WordIndex>>>,
}

impl Searcher {
    /// Searches in this state.
    pub fn new(store: Store) -> Self {
        Self { store, words: Mutex::new(None) }
    }

    /// The state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Finds the nearest documents of each query, whose vectors are those of the store's model, behind its prompt for queries.
    ///
    /// # Errors
    /// If a filter names a field that no document has, a dimension is none, or a file is damaged.
    pub fn search(
        &self,
        pool: &Pool,
        queries: &[&str],
        vectors: &Matrix,
        question: &Question,
    ) -> Result<Answers, SearchError> {
        let store = &self.store;
        check_filters(store, &question.filters)?;
        let allowed = |row: usize| {
            let fields = kept(store, row).map(|kept| kept.fields).unwrap_or_default();
            question.filters.iter().all(|(field, value)| fields.get(field) == Some(value))
        };
        let filter: Option<&(dyn Fn(usize) -> bool + Sync)> =
            if question.filters.is_empty() { None } else { Some(&allowed) };
        // Fusing looks further down both rankings than it gives.
        let k = if question.hybrid { question.k.max(100) } else { question.k };
        let settings = Search { k, metric: store.header().metric, dim: question.dim, filter, ..Search::default() };
        let (mut hits, choice) = by_vectors(store, pool, vectors, &settings, question)?;
        if question.hybrid {
            let words = self.words()?;
            for (query, hits) in queries.iter().zip(&mut hits) {
                let by_words = words.0.search(&terms(query), k, filter);
                *hits = fuse(&[(hits, 1.0), (&by_words, 1.0)], USUAL_CONSTANT, question.k);
            }
        }
        let found = |(query, hits): (usize, &Vec<Hit>)| {
            hits.iter().map(|hit| self.found(vectors.row(query), hit, &question.also_at)).collect()
        };
        let hits = hits.iter().enumerate().map(found).collect::<Result<_, SearchError>>()?;
        Ok(Answers { hits, choice })
    }

    fn found(&self, query: &[f32], hit: &Hit, also_at: &[usize]) -> Result<Found, SearchError> {
        let header = self.store.header();
        let mut scores = BTreeMap::new();
        if !also_at.is_empty() {
            let mut row = vec![0.0; header.dims];
            self.store.corpus().copy_row(hit.row, &mut row);
            let dims = also_at.iter().filter(|dim| **dim > 0 && **dim <= header.dims);
            scores.extend(dims.map(|dim| (*dim, header.metric.score(&query[..*dim], &row[..*dim]))));
        }
        let document = self.store.document(hit.row)?;
        Ok(Found { id: document.id.to_owned(), score: hit.score, kept: kept(&self.store, hit.row)?, scores })
    }

    fn words(&self) -> Result<Arc<WordIndex>, SearchError> {
        // Whoever panicked while holding it left it as it was.
        let mut words = self.words.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(words) = &*words {
            return Ok(Arc::clone(words));
        }
        Ok(Arc::clone(words.insert(Arc::new(WordIndex::of(&self.store)?))))
    }
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

fn by_vectors(
    store: &Store,
    pool: &Pool,
    queries: &Matrix,
    settings: &Search<'_>,
    question: &Question,
) -> Result<(Vec<Vec<Hit>>, Option<Choice>), SearchError> {
    let Some(recall) = question.recall.filter(|_| question.dim.is_none()) else {
        return Ok((store.search(pool, queries.view(), settings)?, None));
    };
    let wish = Wish { k: settings.k, recall, ..Wish::default() };
    let choice = choose(pool, &store.corpus(), settings.metric, &wish)?;
    let hits = match &choice.funnel {
        None => store.search(pool, queries.view(), settings)?,
        Some(measured) => {
            let funnel = Funnel::build(pool, store.corpus(), settings.metric, measured.settings)?;
            Index::search(&funnel, pool, queries.view(), settings.k, settings.filter)?
        }
    };
    Ok((hits, Some(choice)))
}

/// The text and fields of a row.
///
/// # Errors
/// A damaged file, or a document that `add` has not written.
pub fn kept(store: &Store, row: usize) -> Result<Kept, SearchError> {
    let document = store.document(row)?;
    serde_json::from_slice(document.payload).map_err(|_| SearchError::Foreign { id: document.id.to_owned() })
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

/// BM25 over all rows of a store; those that are deleted have no words.
struct WordIndex(Bm25);

impl WordIndex {
    fn of(store: &Store) -> Result<Self, SearchError> {
        let mut documents = vec![Vec::new(); store.corpus().rows()];
        for row in store.rows() {
            documents[row] = terms(&kept(store, row)?.text);
        }
        Ok(Self(Bm25::build(documents, Default::default())))
    }
}

fn terms(text: &str) -> Vec<u64> {
    let number = |word: String| {
        let mut hasher = DefaultHasher::new();
        word.hash(&mut hasher);
        hasher.finish()
    };
    words(text).map(number).collect()
}
