//! `/search`: documents of the loaded store by meaning.

use crate::app::{App, Asked};
use crate::body::Held;
use crate::embed::Ask;
use crate::fault::{Fault, Kind};
use crate::inputs::{Input, Texts, overlong, parse};
use crate::job::Wanted;
use crate::reply::Reply;
use maana::files::FileChanged;
use maana::search::{Content, Found, SearchError, SearchOptions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Queries of a request.
const QUERIES: usize = 256;

/// Hits of a query.
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

pub(super) async fn search(app: &App, asked: Asked, body: &Held) -> Result<Reply, Fault> {
    let request: SearchRequest = parse(&body.bytes)?;
    let model = app.models.get(None).await?;
    let Some(index) = app.index.get() else {
        return Err(Fault::new(Kind::NoRoute, "no store is loaded; start the server with --index STORE"));
    };
    let (index, dims) = (Arc::clone(index), index.dims());
    let dim = match request.dimensions {
        Some(asked) if asked != dims as u64 => {
            let dim = model.dimension(Some(asked))?;
            if dim > dims {
                let message = format!("`dimensions`: {dim} is more than the {dims} that the store has");
                return Err(Fault::field("dimensions", message));
            }
            Some(dim)
        }
        _ => None,
    };
    if request.k == 0 || request.k > HITS {
        return Err(Fault::field("k", format!("`k`: {} is not from 1 to {HITS}", request.k)));
    }
    if request.query.0.len() > QUERIES {
        let message = format!("`query`: there are {} queries, and {QUERIES} are allowed", request.query.0.len());
        return Err(Fault::field("query", message));
    }
    let mut also_at: Vec<usize> = model.dims.iter().copied().filter(|dim| *dim < dims).collect();
    also_at.insert(0, dims);
    let question = SearchOptions {
        k: request.k as usize,
        dim,
        filters: request.filter.unwrap_or_default().into_iter().collect(),
        hybrid: request.hybrid,
        recall: None,
        measure_on_queries: false,
        exact: false,
        also_at: if request.all_dimensions { also_at } else { Vec::new() },
    };
    let queries = request.query.0;
    let inputs = queries.iter().cloned().map(Input::Text).collect();
    let prompt = model.query_prompt.clone();
    let class = asked.class(queries.len());
    let overlong = overlong(&model, None, None);
    let ask = Ask { model, inputs, prompt, overlong, wanted: Wanted::Embedding, class, came: asked.came };
    let embedded = app.embed(ask).await?;
    let effort = embedded.effort.clone();
    let (one, context) = (Arc::clone(&app.one), Arc::clone(&app.context));
    let look = move || {
        let vectors = embedded.finish(&one, dims, None);
        let texts: Vec<&str> = queries.iter().map(String::as_str).collect();
        let state = index.state();
        state.expect_fields(&question.filters)?;
        let answers = state.nearest(&context, &texts, &vectors, &question)?;
        let results = queries.iter().zip(&answers.hits);
        let results = results.map(|(query, hits)| Of { query, hits: hits.iter().map(Hit::of).collect() }).collect();
        Ok(Reply::json(&Results { results }))
    };
    // Scanning takes the threads that compute, between two steps of a batch.
    let reply = app.elsewhere(true, look).await?;
    reply.map(|reply| reply.with_effort(effort)).map_err(|error: SearchError| match error {
        SearchError::NoField { .. } => Fault::field("filter", format!("`filter`: {error}")),
        error if FileChanged::caused(&error) => {
            app.log.warn(&error.to_string());
            Fault::changed("the store of documents")
        }
        error => {
            app.log.warn(&error.to_string());
            Fault::new(Kind::Backend, "the store cannot be searched; the server's log says why")
        }
    })
}

#[derive(Serialize)]
struct Results<'a> {
    results: Vec<Of<'a>>,
}

/// What was found for a query.
#[derive(Serialize)]
struct Of<'a> {
    query: &'a str,
    hits: Vec<Hit<'a>>,
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
