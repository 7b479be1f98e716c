//! `/embed` and `/embed_all`, as text-embeddings-inference has them, and the address itself, which clients of Hugging Face ask.

use super::similarity::SimilarityRequest;
use crate::app::{App, Asked};
use crate::body::Held;
use crate::embed::Ask;
use crate::fault::Fault;
use crate::inputs::{Direction, Inputs, overlong, parse};
use crate::job::Wanted;
use crate::reply::{Reply, write_rows};
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

/// What `/embed` answers, or `/similarity` if that is the form of the inputs.
pub(super) async fn root(app: &App, asked: Asked, body: &Held) -> Result<Reply, Fault> {
    if parse::<SimilarityRequest>(&body.bytes).is_ok() {
        return super::similarity::similarity(app, asked, body).await;
    }
    embed(app, asked, body).await
}

pub(super) async fn embed(app: &App, asked: Asked, body: &Held) -> Result<Reply, Fault> {
    let request: EmbedRequest = parse(&body.bytes)?;
    let model = app.models.get(request.model.as_deref()).await?;
    let dimension = model.dimension(request.dimensions)?;
    let prompt = model.prompt(request.prompt_name.as_deref())?;
    let class = asked.class(request.inputs.0.len());
    let overlong = overlong(&model, request.truncate, request.truncation_direction);
    let inputs = request.inputs.0;
    let ask = Ask { model, inputs, prompt, overlong, wanted: Wanted::Embedding, class, came: asked.came };
    let embedded = app.embed(ask).await?;
    let effort = embedded.effort.clone();
    let one = Arc::clone(&app.one);
    let write = move || {
        let mut out = Vec::new();
        write_rows(&mut out, embedded.finish(&one, dimension, request.normalize).view());
        out
    };
    let body = app.write(effort.texts * dimension, write).await?;
    Ok(Reply::ready_json(body).with_effort(effort))
}

#[derive(Deserialize)]
pub(crate) struct EmbedAllRequest {
    inputs: Inputs,
    model: Option<String>,
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
    prompt_name: Option<String>,
}

pub(super) async fn embed_all(app: &App, asked: Asked, body: &Held) -> Result<Reply, Fault> {
    let request: EmbedAllRequest = parse(&body.bytes)?;
    let model = app.models.get(request.model.as_deref()).await?;
    let prompt = model.prompt(request.prompt_name.as_deref())?;
    let class = asked.class(request.inputs.0.len());
    let overlong = overlong(&model, request.truncate, request.truncation_direction);
    let inputs = request.inputs.0;
    let ask = Ask { model, inputs, prompt, overlong, wanted: Wanted::Tokens, class, came: asked.came };
    let embedded = app.embed(ask).await?;
    let effort = embedded.effort.clone();
    let numbers = embedded.rows.data().len();
    let write = move || {
        let mut out = vec![b'['];
        for (index, range) in embedded.offsets.windows(2).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_rows(&mut out, embedded.rows.view().range(range[0]..range[1]));
        }
        out.push(b']');
        out
    };
    Ok(Reply::ready_json(app.write(numbers, write).await?).with_effort(effort))
}
