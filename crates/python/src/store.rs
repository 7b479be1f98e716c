//! A store of documents with their vectors.

use crate::encoder::Encoder;
use crate::error::{of_model, of_search};
use crate::interrupt::interruptible;
use maana::model::{RolePrompts, TextEncoder};
use maana::search::{Content, Found, SearchOptions, StoreLocation, add_documents};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A store in a folder or in a PostgreSQL database.
#[pyclass(module = "maana._maana", frozen)]
pub(crate) struct Store {
    location: StoreLocation,
    encoder: Py<Encoder>,
    dimension: Option<usize>,
    prompts: RolePrompts,
}

/// A document: id, text and fields.
type Document = (Option<String>, String, BTreeMap<String, String>);

/// A document that was found: id, score, text and fields.
type Hit = (String, f32, String, BTreeMap<String, String>);

impl Store {
    fn encoder(&self) -> PyResult<TextEncoder> {
        let mut encoder = self.encoder.get().encoder()?;
        if let Some(dimension) = self.dimension {
            encoder = encoder.with_dimension(dimension).map_err(of_model)?;
        }
        Ok(encoder.with_prompts(self.prompts.clone()))
    }
}

#[pymethods]
impl Store {
    /// Names a store, which need not exist.
    #[new]
    #[pyo3(signature = (path, encoder, dimension=None, query_prompt=None, document_prompt=None))]
    fn new(
        path: PathBuf,
        encoder: Py<Encoder>,
        dimension: Option<usize>,
        query_prompt: Option<String>,
        document_prompt: Option<String>,
    ) -> PyResult<Self> {
        let location = StoreLocation::parse(&path).map_err(of_search)?;
        let prompts = RolePrompts { query: query_prompt, document: document_prompt };
        Ok(Self { location, encoder, dimension, prompts })
    }

    /// Creates an empty store for the vectors of the encoder.
    #[pyo3(signature = (made_by, half=false))]
    fn create(&self, py: Python<'_>, made_by: &str, half: bool) -> PyResult<()> {
        let encoder = self.encoder()?;
        interruptible(py, |_| {
            let mut store = self.location.begin(&encoder, made_by, half).map_err(of_search)?;
            store.finish().map_err(of_search)
        })
    }

    /// Number of documents.
    fn documents(&self, py: Python<'_>) -> PyResult<usize> {
        interruptible(py, |_| self.location.read().and_then(|store| store.documents()).map_err(of_search))
    }

    /// Ids of all documents.
    fn ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        interruptible(py, |_| self.location.write().and_then(|store| store.ids()).map_err(of_search))
    }

    /// Embeds documents and adds them; one with an id of the store replaces it, one without an id
    /// gets the next number. Returns the numbers of new and of replaced documents.
    fn add(&self, py: Python<'_>, documents: Vec<Document>) -> PyResult<(usize, usize)> {
        let encoder = self.encoder()?;
        interruptible(py, |stop| {
            let encoder = encoder.with_stop(std::sync::Arc::clone(stop));
            let mut store = self.location.write().map_err(of_search)?;
            let documents = documents.into_iter().map(|(id, text, fields)| (id, Content { text, fields })).collect();
            let added = add_documents(&encoder, &mut *store, documents).map_err(of_search)?;
            Ok((added.new, added.replaced))
        })
    }

    /// Deletes documents. Returns their number, and the ids that no document had.
    fn delete(&self, py: Python<'_>, ids: Vec<String>) -> PyResult<(usize, Vec<String>)> {
        interruptible(py, |_| {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let deleted = self.location.write().and_then(|mut store| store.delete(&ids)).map_err(of_search)?;
            Ok((deleted.documents, deleted.missing))
        })
    }

    /// Finds the nearest documents of each query.
    #[pyo3(signature = (queries, top_k=10, filters=Vec::new(), hybrid=false, recall=None, exact=false, dim=None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords of a Python function")]
    fn search(
        &self,
        py: Python<'_>,
        queries: Vec<String>,
        top_k: usize,
        filters: Vec<(String, String)>,
        hybrid: bool,
        recall: Option<f64>,
        exact: bool,
        dim: Option<usize>,
    ) -> PyResult<Vec<Vec<Hit>>> {
        let encoder = self.encoder()?;
        let options = SearchOptions { k: top_k, dim, filters, hybrid, recall, exact, ..SearchOptions::default() };
        let answers = interruptible(py, |_| {
            let store = self.location.read().map_err(of_search)?;
            let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
            maana::search::search(&*store, &encoder, encoder.context(), &queries, &options).map_err(of_search)
        })?;
        let hit = |found: Found| (found.id, found.score, found.content.text, found.content.fields);
        Ok(answers.hits.into_iter().map(|hits| hits.into_iter().map(hit).collect()).collect())
    }

    /// Frees the space of deleted documents.
    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        let encoder = self.encoder()?;
        interruptible(py, |_| {
            let mut store = self.location.write().map_err(of_search)?;
            store.compact(encoder.context(), None).map(drop).map_err(of_search)
        })
    }

    /// Builds a graph over the vectors, which makes searches of large stores fast.
    fn build_graph(&self, py: Python<'_>) -> PyResult<bool> {
        let encoder = self.encoder()?;
        interruptible(py, |_| {
            let mut store = self.location.write().map_err(of_search)?;
            Ok(store.build_graph(encoder.context(), None).map_err(of_search)?.is_some())
        })
    }

    /// Description of the store as JSON.
    fn describe(&self, py: Python<'_>) -> PyResult<String> {
        let describe = || self.location.read().and_then(|store| store.describe());
        interruptible(py, |_| Ok(describe().map_err(of_search)?.json.to_string()))
    }
}
