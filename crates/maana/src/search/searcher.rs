//! Searches in a folder's store. Structures built for one request, such as a plane of few bits or
//! the words of all documents, serve the next requests too.

use super::contents::content;
use super::error::SearchError;
use super::request::{Answers, Found, SearchOptions, SearchStrategy};
use super::terms::terms;
use maana_kernels::{Context, Matrix, Rows};
use maana_vectors::bm25::Bm25;
use maana_vectors::fusion::{USUAL_CONSTANT, fuse};
use maana_vectors::index::{Graph, Hnsw, HnswSettings, Index};
use maana_vectors::search::{Choice, Filter, Funnel, Hit, Plane, RecallTarget, Search, choose, search};
use maana_vectors::store::Store;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Searches one state of a store.
pub struct Searcher {
    store: Store,
    graph: Option<Arc<Graph>>,
    shortlist: Mutex<Option<Shortlist>>,
    words: Mutex<Option<Arc<WordIndex>>>,
}

/// Hits of each query, and the strategy that found them.
type Ranked = (Vec<Vec<Hit>>, SearchStrategy);

/// The shortlist chosen for a number of hits and a target recall.
#[derive(Clone)]
struct Shortlist {
    k: usize,
    recall: f64,
    choice: Choice,
    plane: Option<Arc<Plane>>,
}

impl Searcher {
    /// Opens the latest state of a folder.
    ///
    /// # Errors
    /// If there is no store, or it is damaged.
    pub fn open(folder: &Path) -> Result<Self, SearchError> {
        Self::of(Store::open(folder)?)
    }

    /// Creates a searcher of a state that is open.
    ///
    /// # Errors
    /// If the graph is damaged.
    pub fn of(store: Store) -> Result<Self, SearchError> {
        let graph = Graph::of(&store)?.map(Arc::new);
        Ok(Self { store, graph, shortlist: Mutex::default(), words: Mutex::default() })
    }

    /// Returns the state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the graph over the store's first rows, if there is one.
    pub fn graph(&self) -> Option<&Arc<Graph>> {
        self.graph.as_ref()
    }

    /// Finds the nearest documents of queries with these vectors, `(queries, dims)`.
    ///
    /// # Errors
    /// If vectors have another dimension or are not finite, or a file is damaged.
    pub fn nearest(
        &self,
        context: &Context,
        queries: &[&str],
        vectors: &Matrix,
        options: &SearchOptions,
    ) -> Result<Answers, SearchError> {
        let store = &self.store;
        let allowed = |row: usize| {
            let fields = content(store, row).map(|content| content.fields).unwrap_or_default();
            options.filters.iter().all(|(field, value)| fields.get(field) == Some(value))
        };
        let filter: Option<Filter<'_>> = if options.filters.is_empty() { None } else { Some(&allowed) };
        // Fusion reads both rankings further down than the hits it returns.
        let k = if options.hybrid { options.k.max(100) } else { options.k };
        let settings = Search { k, metric: store.header().metric, dim: options.dim, filter, ..Search::default() };
        let (mut hits, strategy) = self.by_vectors(context, vectors.view(), &settings, options)?;
        if options.hybrid {
            let index = self.words()?;
            for (query, hits) in queries.iter().zip(&mut hits) {
                let by_words = index.0.search(&terms(query), k, filter);
                *hits = fuse(&[(hits, 1.0), (&by_words, 1.0)], USUAL_CONSTANT, options.k);
            }
        }
        let found = |(query, hits): (usize, &Vec<Hit>)| {
            hits.iter().map(|hit| self.found(vectors.row(query), hit, &options.also_at)).collect()
        };
        let hits = hits.iter().enumerate().map(found).collect::<Result<_, SearchError>>()?;
        store.check_unchanged()?;
        self.graph.as_ref().map_or(Ok(()), |graph| graph.check_unchanged())?;
        Ok(Answers { hits, strategy })
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
        Ok(Found { id: document.id.to_owned(), score: hit.score, content: content(&self.store, hit.row)?, scores })
    }

    fn by_vectors(
        &self,
        context: &Context,
        queries: Rows<'_>,
        settings: &Search<'_>,
        options: &SearchOptions,
    ) -> Result<Ranked, SearchError> {
        if options.exact || options.dim.is_some() {
            return Ok((self.store.search(context, queries, settings)?, SearchStrategy::Exact));
        }
        let recall = options.target_recall()?;
        if let Some(found) = self.along_the_graph(context, queries, settings, recall)? {
            return Ok(found);
        }
        let Some(recall) = recall else {
            return Ok((self.store.search(context, queries, settings)?, SearchStrategy::Exact));
        };
        let measured_by = options.measure_on_queries.then_some(queries);
        let Shortlist { choice, plane, .. } = self.shortlist(context, settings, recall, measured_by)?;
        let hits = match (&choice.funnel, plane) {
            (Some(measured), Some(plane)) => {
                let funnel = Funnel::over(self.store.corpus(), settings.metric, measured.settings, plane);
                funnel.search(context, queries, settings.k, settings.filter)?
            }
            _ => self.store.search(context, queries, settings)?,
        };
        Ok((hits, SearchStrategy::Shortlist(choice)))
    }

    /// Walks along the graph, if there is one that reaches the recall, and compares the later rows
    /// one by one.
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
        Ok(Some((hits, SearchStrategy::Graph { reached, on: graph.measured_on(), later })))
    }

    /// Chooses a shortlist for the target recall, or returns the earlier choice.
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
        let choice = choose(
            context,
            &corpus,
            metric,
            &RecallTarget { k: settings.k, recall, queries, ..RecallTarget::default() },
        )?;
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

/// BM25 over all rows of a store; deleted rows have no words.
struct WordIndex(Bm25);

impl WordIndex {
    fn of(store: &Store) -> Result<Self, SearchError> {
        let mut documents = vec![Vec::new(); store.corpus().rows()];
        for row in store.rows() {
            documents[row] = terms(&content(store, row)?.text);
        }
        Ok(Self(Bm25::build(documents, Default::default())))
    }
}
