//! `/similarity`, as text-embeddings-inference has it, and `/similarity/matrix`: all texts with all, at several dimensions.

use crate::app::{App, Asked};
use crate::body::Held;
use crate::embed::Ask;
use crate::fault::Fault;
use crate::inputs::{Direction, Input, Texts, overlong, parse};
use crate::job::Wanted;
use crate::reply::{Reply, write_json, write_rows};
use maana::similarity::compare;
use serde::Deserialize;
use std::sync::Arc;

/// Texts of a matrix: the answer grows with their square.
const MATRIX_TEXTS: usize = 512;

#[derive(Deserialize)]
pub(crate) struct SimilarityRequest {
    inputs: SimilarityInputs,
    #[serde(default)]
    parameters: SimilarityParameters,
    model: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct SimilarityInputs {
    source_sentence: String,
    sentences: Vec<String>,
}

#[derive(Default, Deserialize)]
pub(crate) struct SimilarityParameters {
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
    prompt_name: Option<String>,
}

pub(super) async fn similarity(app: &App, asked: Asked, body: &Held) -> Result<Reply, Fault> {
    let SimilarityRequest { inputs, parameters, model } = parse(&body.bytes)?;
    let model = app.models.get(model.as_deref()).await?;
    let prompt = model.prompt(parameters.prompt_name.as_deref())?;
    if inputs.sentences.is_empty() {
        return Err(Fault::new(crate::fault::Kind::Empty, "`sentences`: the list is empty"));
    }
    let texts = std::iter::once(inputs.source_sentence).chain(inputs.sentences);
    let inputs: Vec<Input> = texts.map(Input::Text).collect();
    let class = asked.class(inputs.len());
    let overlong = overlong(&model, parameters.truncate, parameters.truncation_direction);
    let ask = Ask { model, inputs, prompt, overlong, wanted: Wanted::Embedding, class, came: asked.came };
    let embedded = app.embed(ask).await?;
    let rows = embedded.finish(&app.one, embedded.model.dimension, None);
    let (source, sentences) = (rows.view().range(0..1), rows.view().range(1..rows.rows()));
    let similarity = embedded.model.sentence.spec().settings().similarity;
    let scores = compare(&app.one, similarity, source, sentences);
    Ok(Reply::json(&scores.data()).with_effort(embedded.effort))
}

#[derive(Deserialize)]
pub(crate) struct MatrixRequest {
    inputs: Texts,
    dimensions: Option<Vec<u64>>,
    prompt_name: Option<String>,
    model: Option<String>,
    truncate: Option<bool>,
}

pub(super) async fn matrix(app: &App, asked: Asked, body: &Held) -> Result<Reply, Fault> {
    let request: MatrixRequest = parse(&body.bytes)?;
    let model = app.models.get(request.model.as_deref()).await?;
    let dims = match &request.dimensions {
        Some(dims) => dims.iter().map(|dim| model.dimension(Some(*dim))).collect::<Result<Vec<_>, _>>()?,
        None => model.dims.clone(),
    };
    let mut dims_once = dims.clone();
    dims_once.sort_unstable();
    dims_once.dedup();
    if dims_once.len() < dims.len() || dims.is_empty() || dims.len() > 32 {
        return Err(Fault::field("dimensions", "`dimensions`: 1 to 32 of them, each once"));
    }
    let count = request.inputs.0.len();
    if count > MATRIX_TEXTS {
        let message = format!("`inputs`: there are {count} texts, and a matrix has at most {MATRIX_TEXTS}");
        return Err(Fault::field("inputs", message));
    }
    let prompt = model.prompt(request.prompt_name.as_deref())?;
    let inputs = request.inputs.0.into_iter().map(Input::Text).collect();
    // A matrix is looked at by somebody.
    let class = asked.class(1);
    let overlong = overlong(&model, request.truncate, None);
    let ask = Ask { model, inputs, prompt, overlong, wanted: Wanted::Embedding, class, came: asked.came };
    let embedded = app.embed(ask).await?;
    let effort = embedded.effort.clone();
    let one = Arc::clone(&app.one);
    let write = move || {
        let similarity = embedded.model.sentence.spec().settings().similarity;
        let mut out = br#"{"dimensions":"#.to_vec();
        write_json(&mut out, &dims);
        out.extend_from_slice(br#","matrices":{"#);
        for (index, dim) in dims.iter().enumerate() {
            let rows = embedded.finish(&one, *dim, None);
            let scores = compare(&one, similarity, rows.view(), rows.view());
            out.extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
            out.extend_from_slice(dim.to_string().as_bytes());
            out.extend_from_slice(b"\":");
            write_rows(&mut out, scores.view());
        }
        out.extend_from_slice(b"}}");
        out
    };
    let body = app.write(count * count * 64, write).await?;
    Ok(Reply::ready_json(body).with_effort(effort))
}
