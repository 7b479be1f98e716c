//! `/rerank`, in the format of text-embeddings-inference, by similarity of embeddings; there is no
//! cross-encoder.

use crate::app::App;
use crate::inputs::{Direction, Input};
use crate::model::Output;
use crate::reply::Reply;
use crate::request::{Common, Fields, Request};
use crate::request_error::{ErrorKind, RequestError};
use maana::model::{Role, Similarity};
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

impl Fields for RerankRequest {
    fn common(&mut self) -> Common {
        Common {
            model: self.model.take(),
            truncate: self.truncate,
            truncation_direction: self.truncation_direction,
            texts: 1 + self.texts.len(),
            ..Common::default()
        }
    }
}

/// A text with its score.
#[derive(Serialize)]
struct Ranked<'a> {
    index: usize,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

pub(super) async fn rerank(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, plan) = request.extract::<RerankRequest>(app).await?;
    let model = &plan.model;
    if fields.texts.is_empty() {
        return Err(RequestError::new(ErrorKind::Empty, "`texts`: the list is empty"));
    }
    // Queries and documents may have different prompts.
    let query = vec![Input::Text(fields.query)];
    let query = plan.embed_after(app, model.role_prompt(Role::Query), query, Output::Embedding).await?;
    let documents = fields.texts.iter().cloned().map(Input::Text).collect();
    let documents = plan.embed_after(app, model.role_prompt(Role::Document), documents, Output::Embedding).await?;
    let [left, right] =
        [&query, &documents].map(|embedded| model.finish(&app.single, embedded.rows.view(), plan.dimension, None));
    let scores = compare(&app.single, Similarity::Cosine, left.view(), right.view());
    let mut ranked: Vec<(usize, f32)> = scores.data().iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let described = |(index, score): (usize, f32)| Ranked {
        index,
        // Scores that are not raw are between 0 and 1, as probabilities are.
        score: if fields.raw_scores { score } else { f32::midpoint(1.0, score).clamp(0.0, 1.0) },
        text: fields.return_text.then_some(fields.texts[index].as_str()),
    };
    let ranked: Vec<Ranked<'_>> = ranked.into_iter().map(described).collect();
    Ok(Reply::json(&ranked).with_usage(query.usage.with(&documents.usage)))
}
