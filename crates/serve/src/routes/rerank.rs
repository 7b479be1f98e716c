//! `/rerank`, in the shape of text-embeddings-inference, by similarity of embeddings: there is no cross-encoder behind it.

use crate::app::{App, Asked};
use crate::body::Held;
use crate::embed::Ask;
use crate::fault::{Fault, Kind};
use crate::inputs::{Direction, Input, overlong, parse};
use crate::job::Wanted;
use crate::reply::Reply;
use maana::model::Similarity;
use maana::similarity::compare;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(crate) struct RerankRequest {
    query: String,
    texts: Vec<String>,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
    model: Option<String>,
}

/// A text and where it stands.
#[derive(Serialize)]
struct Ranked<'a> {
    index: usize,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

pub(super) async fn rerank(app: &App, asked: Asked, body: &Held) -> Result<Reply, Fault> {
    let request: RerankRequest = parse(&body.bytes)?;
    let model = app.models.get(request.model.as_deref()).await?;
    if request.texts.is_empty() {
        return Err(Fault::new(Kind::Empty, "`texts`: the list is empty"));
    }
    let class = asked.class(1 + request.texts.len());
    let overlong = overlong(&model, request.truncate, request.truncation_direction);
    let ask = |inputs: Vec<Input>, prompt: &str| Ask {
        model: model.clone(),
        inputs,
        prompt: prompt.to_owned(),
        overlong,
        wanted: Wanted::Embedding,
        class,
        came: asked.came,
    };
    // Queries and documents may stand behind different prompts.
    let documents: Vec<Input> = request.texts.iter().cloned().map(Input::Text).collect();
    let (query, documents) =
        (ask(vec![Input::Text(request.query)], &model.query_prompt), ask(documents, &model.document_prompt));
    let query = app.embed(query).await?;
    let documents = app.embed(documents).await?;
    let [left, right] = [&query, &documents].map(|embedded| embedded.finish(&app.one, model.dimension, None));
    let scores = compare(&app.one, Similarity::Cosine, left.view(), right.view());
    let mut ranked: Vec<(usize, f32)> = scores.data().iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let described = |(index, score): (usize, f32)| Ranked {
        index,
        // As a probability would, what is not raw lies between 0 and 1.
        score: if request.raw_scores { score } else { f32::midpoint(1.0, score).clamp(0.0, 1.0) },
        text: request.return_text.then_some(request.texts[index].as_str()),
    };
    let ranked: Vec<Ranked<'_>> = ranked.into_iter().map(described).collect();
    Ok(Reply::json(&ranked).with_effort(query.effort.with(&documents.effort)))
}
