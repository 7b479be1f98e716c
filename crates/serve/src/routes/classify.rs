//! `/classify`: the labels of texts, by the classifier on top of the first model.

use crate::app::{App, Asked};
use crate::body::Held;
use crate::embed::Ask;
use crate::fault::{Fault, Kind};
use crate::inputs::{Input, Texts, overlong, parse};
use crate::job::Wanted;
use crate::reply::Reply;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
pub(crate) struct ClassifyRequest {
    inputs: Texts,
    truncate: Option<bool>,
    model: Option<String>,
}

pub(super) async fn classify(app: &App, asked: Asked, body: &Held) -> Result<Reply, Fault> {
    let request: ClassifyRequest = parse(&body.bytes)?;
    let model = app.models.get(request.model.as_deref()).await?;
    if model.head.is_none() {
        let message = format!("the model `{}` has no classifier; fit one with `maana classify fit`", model.name);
        return Err(Fault::new(Kind::NoRoute, message));
    }
    let inputs: Vec<Input> = request.inputs.0.into_iter().map(Input::Text).collect();
    let class = asked.class(inputs.len());
    let prompt = model.default_prompt.clone();
    let overlong = overlong(&model, request.truncate, None);
    let ask = Ask { model, inputs, prompt, overlong, wanted: Wanted::Embedding, class, came: asked.came };
    let embedded = app.embed(ask).await?;
    let Some(head) = &embedded.model.head else { return Err(Fault::backend()) };
    let rows = embedded.finish(&app.one, head.dim, None);
    let probabilities = head.predict_rows(&app.one, rows.view()).map_err(|error| {
        app.log.warn(&error.to_string());
        Fault::backend()
    })?;
    let answer: Vec<Vec<Value>> =
        (0..probabilities.rows()).map(|row| ranked(&head.labels, probabilities.row(row))).collect();
    Ok(Reply::json(&answer).with_effort(embedded.effort))
}

/// Labels with their probabilities, the likeliest first.
fn ranked(labels: &[String], probabilities: &[f64]) -> Vec<Value> {
    let mut ranked: Vec<(&String, f64)> = labels.iter().zip(probabilities.iter().copied()).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    ranked.into_iter().map(|(label, score)| json!({"label": label, "score": score})).collect()
}
