//! The routes of OpenAI: `/v1/embeddings` and `/v1/models`. Beside OpenAI's fields it knows those of text-embeddings-inference.

use crate::app::{App, Asked};
use crate::body::Held;
use crate::embed::Ask;
use crate::fault::Fault;
use crate::inputs::{Direction, Input, Inputs, overlong, parse};
use crate::job::Wanted;
use crate::reply::{Reply, write_json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maana::kernels::Matrix;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::sync::Arc;

/// Why token ids are refused.
const TOKEN_IDS: &str = "`input`: token ids are refused, since clients of OpenAI send those of OpenAI's own tokenizers, which \
                         stand for other words here; send texts (in LangChain: check_embedding_ctx_length=False), or start the \
                         server with --token-ids if the ids are the model's";

#[derive(Deserialize)]
pub(crate) struct EmbeddingsRequest {
    input: Inputs,
    model: Option<String>,
    dimensions: Option<u64>,
    encoding_format: Option<Encoding>,
    /// Who asks: OpenAI watches for abuse with it.
    #[serde(rename = "user")]
    _user: Option<IgnoredAny>,
    /// What the inputs are: Infinity has models of images and sounds, too.
    #[serde(rename = "modality")]
    _modality: Option<Modality>,
    prompt_name: Option<String>,
    normalize: Option<bool>,
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    /// As numbers.
    Float,
    /// As the base64 of their four bytes each, the lowest first.
    Base64,
}

/// What is embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Modality {
    Text,
}

/// Answers with embeddings; `deployment` is the model where the path names it.
pub(super) async fn embeddings(
    app: &App,
    asked: Asked,
    deployment: Option<String>,
    body: &Held,
) -> Result<Reply, Fault> {
    let request: EmbeddingsRequest = parse(&body.bytes)?;
    if !app.settings.token_ids && request.input.0.iter().any(|input| matches!(input, Input::Ids(_))) {
        return Err(Fault::field("input", TOKEN_IDS));
    }
    let model = app.models.get(deployment.or(request.model).as_deref()).await?;
    // Infinity's client asks for 0 dimensions where it wants all.
    let dimension = model.dimension(request.dimensions.filter(|dimensions| *dimensions > 0))?;
    let prompt = model.prompt(request.prompt_name.as_deref())?;
    let class = asked.class(request.input.0.len());
    let overlong = overlong(&model, request.truncate, request.truncation_direction);
    let inputs = request.input.0;
    let ask = Ask { model, inputs, prompt, overlong, wanted: Wanted::Embedding, class, came: asked.came };
    let embedded = app.embed(ask).await?;
    let effort = embedded.effort.clone();
    let encoding = request.encoding_format.unwrap_or(Encoding::Float);
    let one = Arc::clone(&app.one);
    let write = move || {
        let rows = embedded.finish(&one, dimension, request.normalize);
        write(&rows, encoding, &embedded.model.name, embedded.effort.tokens)
    };
    let body = app.write(effort.texts * dimension, write).await?;
    Ok(Reply::ready_json(body).with_effort(effort))
}

fn write(rows: &Matrix, encoding: Encoding, model: &str, tokens: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.data().len() * 13 + 256);
    out.extend_from_slice(br#"{"object":"list","data":["#);
    for index in 0..rows.rows() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"object":"embedding","index":"#);
        write_json(&mut out, &index);
        out.extend_from_slice(br#","embedding":"#);
        match encoding {
            Encoding::Float => write_json(&mut out, &rows.row(index)),
            Encoding::Base64 => {
                let bytes: Vec<u8> = rows.row(index).iter().flat_map(|value| value.to_le_bytes()).collect();
                write_json(&mut out, &STANDARD.encode(bytes));
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(br#"],"model":"#);
    write_json(&mut out, &model);
    out.extend_from_slice(br#","usage":"#);
    write_json(&mut out, &json!({"prompt_tokens": tokens, "total_tokens": tokens}));
    out.push(b'}');
    out
}

pub(super) fn models(app: &App) -> Reply {
    let models: Vec<Value> = app.models.names().into_iter().map(|name| described(app, name)).collect();
    Reply::json(&json!({"object": "list", "data": models}))
}

pub(super) fn model(app: &App, id: Option<String>) -> Result<Reply, Fault> {
    app.models.named(id.as_deref()).map(|name| Reply::json(&described(app, name)))
}

fn described(app: &App, name: &str) -> Value {
    let any_name = app.models.answer_to_any_name();
    json!({"id": name, "object": "model", "created": 0, "owned_by": "maana", "answers_to_any_name": any_name})
}
