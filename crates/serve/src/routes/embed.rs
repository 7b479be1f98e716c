//! `/embed` and `/embed_all`, as in text-embeddings-inference, and `/`, which clients of Hugging
//! Face use.

use super::rerank::{RerankRequest, ranked};
use super::similarity::{SimilarityRequest, similarities};
use crate::app::App;
use crate::embedding::Embedded;
use crate::inputs::{Direction, Inputs};
use crate::json::{parse, write_json};
use crate::network::Output;
use crate::reply::Reply;
use crate::reply_body::Pieces;
use crate::request::{Common, Fields, Plan, Request};
use crate::request_error::RequestError;
use crate::rows::{FinishedRows, JsonRows, SHORT_NUMBERS};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub(crate) struct EmbedRequest {
    inputs: Inputs,
    model: Option<String>,
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
    prompt_name: Option<String>,
    normalize: Option<bool>,
    dimensions: Option<u64>,
}

impl Fields for EmbedRequest {
    fn common(&mut self) -> Common {
        Common {
            model: self.model.take(),
            dimensions: self.dimensions,
            prompt: self.prompt_name.take().into(),
            truncate: self.truncate,
            truncation_direction: self.truncation_direction,
            texts: self.inputs.0.len(),
        }
    }
}

/// A request to `/`: one of `/similarity` or `/rerank` if it has the form of it, else one of
/// `/embed`.
enum RootRequest {
    Similarity(SimilarityRequest),
    Embed(EmbedRequest),
    Rerank(RerankRequest),
}

impl Fields for RootRequest {
    fn common(&mut self) -> Common {
        match self {
            Self::Similarity(fields) => fields.common(),
            Self::Embed(fields) => fields.common(),
            Self::Rerank(fields) => fields.common(),
        }
    }
}

impl RootRequest {
    fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let similarity_or_embed = parse(body).map(Self::Similarity).or_else(|_| parse(body).map(Self::Embed));
        similarity_or_embed.or_else(|error| parse(body).map(Self::Rerank).map_err(|_| error))
    }
}

pub(super) async fn root(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, common, origin) = request.read(app, RootRequest::parse).await?;
    match fields {
        RootRequest::Similarity(fields) => similarities(app, fields, &Plan::new(app, common, origin).await?).await,
        RootRequest::Embed(fields) => embeddings(app, fields, &Plan::new(app, common, origin).await?).await,
        RootRequest::Rerank(fields) => ranked(app, fields, common, origin).await,
    }
}

pub(super) async fn embed(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, plan) = request.extract(app).await?;
    embeddings(app, fields, &plan).await
}

async fn embeddings(app: &App, fields: EmbedRequest, plan: &Plan) -> Result<Reply, RequestError> {
    let embedded = plan.embed(app, fields.inputs.0, Output::Embedding).await?;
    let usage = embedded.usage.clone();
    let is_short = usage.texts * plan.dimension <= SHORT_NUMBERS;
    let rows = FinishedRows::new(embedded, Arc::clone(&app.single), plan.dimension, fields.normalize);
    Ok(Reply::streamed(&app.system, &app.log, JsonRows::new(rows), is_short).await?.with_usage(usage))
}

#[derive(Deserialize)]
pub(crate) struct EmbedAllRequest {
    inputs: Inputs,
    model: Option<String>,
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
    prompt_name: Option<String>,
}

impl Fields for EmbedAllRequest {
    fn common(&mut self) -> Common {
        Common {
            model: self.model.take(),
            dimensions: None,
            prompt: self.prompt_name.take().into(),
            truncate: self.truncate,
            truncation_direction: self.truncation_direction,
            texts: self.inputs.0.len(),
        }
    }
}

pub(super) async fn embed_all(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, plan) = request.extract::<EmbedAllRequest>(app).await?;
    let embedded = plan.embed(app, fields.inputs.0, Output::Tokens).await?;
    let usage = embedded.usage.clone();
    let is_short = embedded.rows.data().len() <= SHORT_NUMBERS;
    Ok(Reply::streamed(&app.system, &app.log, TokenRows { embedded, text: 0, row: 0 }, is_short)
        .await?
        .with_usage(usage))
}

/// For each text the rows of its tokens.
struct TokenRows {
    embedded: Embedded,
    text: usize,
    row: usize,
}

impl Pieces for TokenRows {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        let (first, end) = (self.embedded.offsets[self.text], self.embedded.offsets[self.text + 1]);
        if self.row == first {
            out.extend_from_slice(if self.text == 0 { b"[[" } else { b",[" });
        }
        if self.row < end {
            if self.row > first {
                out.push(b',');
            }
            write_json(out, self.embedded.rows.row(self.row));
            self.row += 1;
        }
        if self.row < end {
            return Ok(true);
        }
        out.push(b']');
        self.text += 1;
        let more = self.text + 1 < self.embedded.offsets.len();
        if !more {
            out.push(b']');
        }
        Ok(more)
    }
}
