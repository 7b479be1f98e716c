//! Questions to a folder's store. What was prepared for one question, such as a plane of few bits or the words of all documents, is kept
//! for the next.

use super::{Kept, SearchError, kept};
use crate::texts::words;
use maana_kernels::{Context, Matrix, Rows};
use maana_vectors::bm25::Bm25;
use maana_vectors::fusion::{USUAL_CONSTANT, fuse};
use maana_vectors::index::{Graph, Hnsw, HnswSettings, Index, Reached};
use maana_vectors::search::{Choice, Filter, Funnel, Hit, MeasuredOn, Plane, Search, Wish, choose, search};
use maana_vectors::store::Store;
use serde::Serialize;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// The share of the true hits that is enough. Where there is no graph, a shortlist by fewer columns and bits is scored in
    /// full; of a graph, 0.99 unless it is said.
    pub recall: Option<f64>,
    /// Whether the shortlist is chosen by the queries of this question, and not by the store's own vectors alone.
    pub measure_on_queries: bool,
    /// Compare every vector, also where there is a graph.
    pub exact: bool,
    /// Dimensions at which hits are scored once more, to be compared.
    pub also_at: Vec<usize>,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            k: 10,
            dim: None,
            filters: Vec::new(),
            hybrid: false,
            recall: None,
            measure_on_queries: false,
            exact: false,
            also_at: Vec::new(),
        }
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

/// How the nearest vectors were looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// Every vector was compared.
    Exact,
    /// What was measured to choose a shortlist, and which was chosen; none was, if it would not have been cheaper.
    Shortlist(Choice),
    /// Along the graph, as wide as finds this share of the truth.
    Graph {
        /// The width, and what it finds.
        reached: Reached,
        /// Queries that this was measured on; none by an earlier version, whose graph may miss copies.
        on: Option<MeasuredOn>,
        /// Rows behind the graph's, which were compared one by one.
        later: usize,
    },
    /// In the words of a store that chooses by itself.
    Told(String),
}

/// What was found, and how it was looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The hits of each query, nearest first.
    pub hits: Vec<Vec<Found>>,
    /// How they were looked for.
    pub way: Way,
}

/// A state of a store that is asked.
pub struct Searcher {
    store: Store,
    graph: Option<Arc<Graph>>,
    shortlist: Mutex<Option<Shortlist>>,
    words: Mutex<Option<Arc<WordIndex>>>,
}

/// Of each query the rows that were found, and how.
type Ranked = (Vec<Vec<Hit>>, Way);

/// What was chosen for a wish.
#[derive(Clone)]
struct Shortlist {
    k: usize,
    recall: f64,
    choice: Choice,
    plane: Option<Arc<Plane>>,
}

impl Searcher {
    /// Opens the state that a folder has now.
    ///
    /// # Errors
    /// No store, or a damaged one.
    pub fn open(folder: &Path) -> Result<Self, SearchError> {
        Self::of(Store::open(folder)?)
    }

    /// Of a state that is open.
    ///
    /// # Errors
    /// A damaged graph.
    pub fn of(store: Store) -> Result<Self, SearchError> {
        let graph = Graph::of(&store)?.map(Arc::new);
        Ok(Self { store, graph, shortlist: Mutex::default(), words: Mutex::default() })
    }

    /// The state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The graph, if there is one over the store's first rows.
    pub fn graph(&self) -> Option<&Arc<Graph>> {
        self.graph.as_ref()
    }

    /// Finds the nearest documents of queries whose vectors are known, `(queries, dims)`.
    ///
    /// # Errors
    /// Vectors of other dims or that are not finite, or a damaged file.
    pub fn nearest(
        &self,
        context: &Context,
        queries: &[&str],
        vectors: &Matrix,
        question: &Question,
    ) -> Result<Answers, SearchError> {
        let store = &self.store;
        let allowed = |row: usize| {
            let fields = kept(store, row).map(|kept| kept.fields).unwrap_or_default();
            question.filters.iter().all(|(field, value)| fields.get(field) == Some(value))
        };
        let filter: Option<Filter<'_>> = if question.filters.is_empty() { None } else { Some(&allowed) };
        // Fusing looks further down both rankings than it gives.
        let k = if question.hybrid { question.k.max(100) } else { question.k };
        let settings = Search { k, metric: store.header().metric, dim: question.dim, filter, ..Search::default() };
        let (mut hits, way) = self.by_vectors(context, vectors.view(), &settings, question)?;
        if question.hybrid {
            let index = self.words()?;
            for (query, hits) in queries.iter().zip(&mut hits) {
                let by_words = index.0.search(&terms(query), k, filter);
                *hits = fuse(&[(hits, 1.0), (&by_words, 1.0)], USUAL_CONSTANT, question.k);
            }
        }
        let found = |(query, hits): (usize, &Vec<Hit>)| {
            hits.iter().map(|hit| self.found(vectors.row(query), hit, &question.also_at)).collect()
        };
        let hits = hits.iter().enumerate().map(found).collect::<Result<_, SearchError>>()?;
        Ok(Answers { hits, way })
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

    fn by_vectors(
        &self,
        context: &Context,
        queries: Rows<'_>,
        settings: &Search<'_>,
        question: &Question,
    ) -> Result<Ranked, SearchError> {
        if question.exact || question.dim.is_some() {
            return Ok((self.store.search(context, queries, settings)?, Way::Exact));
        }
        if let Some(found) = self.along_the_graph(context, queries, settings, question.recall)? {
            return Ok(found);
        }
        let Some(recall) = question.recall else {
            return Ok((self.store.search(context, queries, settings)?, Way::Exact));
        };
        let measured_by = question.measure_on_queries.then_some(queries);
        let Shortlist { choice, plane, .. } = self.shortlist(context, settings, recall, measured_by)?;
        let hits = match (&choice.funnel, plane) {
            (Some(measured), Some(plane)) => {
                let funnel = Funnel::over(self.store.corpus(), settings.metric, measured.settings, plane);
                funnel.search(context, queries, settings.k, settings.filter)?
            }
            _ => self.store.search(context, queries, settings)?,
        };
        Ok((hits, Way::Shortlist(choice)))
    }

    /// Walks along the graph, if there is one that finds as much as is asked, and compares the rows behind it.
    fn along_the_graph(
        &self,
        context: &Context,
        queries: Rows<'_>,
        settings: &Search<'_>,
        recall: Option<f64>,
    ) -> Result<Option<Ranked>, SearchError> {
        let Some(graph) = &self.graph else { return Ok(None) };
        let Some(cut) = self.store.cut(graph.rows()) else { return Ok(None) };
        let (first, k) = (graph.rows(), settings.k);
        let widest = || if recall.is_none() { graph.reached_for(k).last() } else { None };
        let Some(reached) = graph.width_for(k, recall.unwrap_or(0.99)).or_else(widest) else { return Ok(None) };
        let widths = HnswSettings { width: reached.width, scored: reached.scored, ..HnswSettings::default() };
        let walk = Hnsw::over(cut.head, Arc::clone(graph), &widths);
        let mut hits = walk.search(context, queries, k, settings.filter)?;
        let later = cut.tail.rows();
        if later > 0 {
            let behind = settings.filter.map(|filter| move |row: usize| filter(first + row));
            let filter = behind.as_ref().map(|filter| filter as Filter<'_>);
            let found = search(context, &cut.tail, queries, &Search { filter, ..*settings })?;
            for (hits, found) in hits.iter_mut().zip(found) {
                hits.extend(found.into_iter().map(|hit| Hit { row: first + hit.row, ..hit }));
                hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
                hits.truncate(k);
            }
        }
        Ok(Some((hits, Way::Graph { reached, on: graph.measured_on(), later })))
    }

    /// What was chosen for the wish, now or before.
    fn shortlist(
        &self,
        context: &Context,
        settings: &Search<'_>,
        recall: f64,
        queries: Option<Rows<'_>>,
    ) -> Result<Shortlist, SearchError> {
        let mut last = self.shortlist.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &&Shortlist| known.k == settings.k && known.recall == recall && queries.is_none();
        if let Some(known) = last.as_ref().filter(same) {
            return Ok(known.clone());
        }
        let (corpus, metric) = (self.store.corpus(), settings.metric);
        let choice = choose(context, &corpus, metric, &Wish { k: settings.k, recall, queries, ..Wish::default() })?;
        let plane = match &choice.funnel {
            Some(measured) => {
                let settings = measured.settings;
                Some(Arc::new(Plane::build(context, &corpus, metric, settings.prefix, settings.precision)?))
            }
            None => None,
        };
        Ok(last.insert(Shortlist { k: settings.k, recall, choice, plane }).clone())
    }

    fn words(&self) -> Result<Arc<WordIndex>, SearchError> {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(words) = &*words {
            return Ok(Arc::clone(words));
        }
        Ok(Arc::clone(words.insert(Arc::new(WordIndex::of(&self.store)?))))
    }
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

pub(super) fn terms(text: &str) -> Vec<u64> {
    let number = |word: String| {
        let mut hasher = DefaultHasher::new();
        word.hash(&mut hasher);
        hasher.finish()
    };
    words(text).map(number).collect()
}
