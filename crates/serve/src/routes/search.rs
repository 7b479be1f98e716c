//! `/search`: documents of the loaded store by meaning.

use crate::app::App;
use crate::inputs::{Input, Texts};
use crate::json::write_json;
use crate::network::Output;
use crate::reply::Reply;
use crate::reply_body::Pieces;
use crate::request::{Common, Fields, Prompt, Request};
use crate::request_error::{ErrorKind, RequestError};
use maana::files::FileChanged;
use maana::search::{Content, Found, SearchError, SearchOptions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most queries of a request.
const QUERIES: usize = 256;

/// Most hits of a query.
const HITS: u64 = 1000;

#[derive(Deserialize)]
pub(crate) struct SearchRequest {
    query: Texts,
    #[serde(default = "ten")]
    k: u64,
    dimensions: Option<u64>,
    #[serde(default)]
    filter: Option<BTreeMap<String, String>>,
    #[serde(default)]
    hybrid: bool,
    #[serde(default)]
    all_dimensions: bool,
}

fn ten() -> u64 {
    10
}

impl Fields for SearchRequest {
    fn common(&mut self) -> Common {
        Common { prompt: Prompt::Query, texts: self.query.0.len(), ..Common::default() }
    }
}

pub(super) async fn search(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, plan) = request.extract::<SearchRequest>(app).await?;
    let Some(store) = app.store.get().map(Arc::clone) else {
        return Err(RequestError::new(ErrorKind::NoRoute, "no store is loaded; start the server with --index STORE"));
    };
    let (model, dims) = (&plan.model, store.dims());
    let dim = match fields.dimensions {
        Some(requested) if requested != dims as u64 => {
            let dim = model.dimension(Some(requested))?;
            if dim > dims {
                let message = format!("`dimensions`: {dim} is more than the {dims} of the store");
                return Err(RequestError::field("dimensions", message));
            }
            Some(dim)
        }
        _ => None,
    };
    if fields.k == 0 || fields.k > HITS {
        return Err(RequestError::field("k", format!("`k`: {} is not from 1 to {HITS}", fields.k)));
    }
    if fields.query.0.len() > QUERIES {
        let message = format!("`query`: there are {} queries, and {QUERIES} are allowed", fields.query.0.len());
        return Err(RequestError::field("query", message));
    }
    let mut also_at: Vec<usize> = model.dims.iter().copied().filter(|dim| *dim < dims).collect();
    also_at.insert(0, dims);
    let options = SearchOptions {
        k: fields.k as usize,
        dim,
        filters: fields.filter.unwrap_or_default().into_iter().collect(),
        hybrid: fields.hybrid,
        recall: None,
        measure_on_queries: false,
        exact: false,
        also_at: if fields.all_dimensions { also_at } else { Vec::new() },
    };
    let queries = fields.query.0;
    let inputs = queries.iter().cloned().map(Input::Text).collect();
    let embedded = plan.embed(app, inputs, Output::Embedding).await?;
    let usage = embedded.usage.clone();
    let (single, context, log) = (Arc::clone(&app.single), Arc::clone(&app.context), app.log.clone());
    let search = move || {
        let vectors = embedded.model.finish(&single, embedded.rows.view(), dims, None);
        let texts: Vec<&str> = queries.iter().map(String::as_str).collect();
        let state = store.state();
        state.expect_fields(&options.filters)?;
        let hits = state.nearest(&context, &texts, &vectors, &options)?.hits;
        Ok(Results { queries, hits, query: 0, hit: 0 })
    };
    // A scan uses the threads that compute batches, between two steps of a batch.
    let results = app.offload.run(true, search).await?.map_err(|error: SearchError| match error {
        SearchError::NoField { .. } => RequestError::field("filter", format!("`filter`: {error}")),
        error if FileChanged::caused(&error) => {
            log.warn(&error.to_string());
            RequestError::changed("the store of documents")
        }
        error if error.is_unavailable() => {
            log.warn(&error.to_string());
            RequestError::new(ErrorKind::Unready, "the store is not available now; the server's log says why")
        }
        error => {
            log.warn(&error.to_string());
            RequestError::new(ErrorKind::Backend, "the store cannot be searched; the server's log says why")
        }
    })?;
    Ok(Reply::streamed(&app.system, &app.log, results, true).await?.with_usage(usage))
}

/// The hits of each query.
struct Results {
    queries: Vec<String>,
    hits: Vec<Vec<Found>>,
    /// The next query and its next hit.
    query: usize,
    hit: usize,
}

impl Pieces for Results {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        let hits = &self.hits[self.query];
        if self.hit == 0 {
            out.extend_from_slice(if self.query == 0 { br#"{"results":[{"query":"# } else { br#",{"query":"# });
            write_json(out, &self.queries[self.query]);
            out.extend_from_slice(br#","hits":["#);
        }
        if let Some(found) = hits.get(self.hit) {
            if self.hit > 0 {
                out.push(b',');
            }
            write_json(out, &Hit::of(found));
            self.hit += 1;
        }
        if self.hit < hits.len() {
            return Ok(true);
        }
        out.extend_from_slice(b"]}");
        (self.query, self.hit) = (self.query + 1, 0);
        let more = self.query < self.hits.len();
        if !more {
            out.extend_from_slice(b"]}");
        }
        Ok(more)
    }
}

#[derive(Serialize)]
struct Hit<'a> {
    id: &'a str,
    score: f32,
    text: &'a str,
    fields: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    scores: &'a BTreeMap<usize, f32>,
}

impl<'a> Hit<'a> {
    fn of(found: &'a Found) -> Self {
        let Content { text, fields } = &found.content;
        Self { id: &found.id, score: found.score, text, fields, scores: &found.scores }
    }
}
