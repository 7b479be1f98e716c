//! The routes of OpenAI: `/v1/embeddings` and `/v1/models`. Beside OpenAI's fields it knows those of text-embeddings-inference.

use crate::app::{App, Asked};
use crate::body::Held;
use crate::embed::Ask;
use crate::fault::{Fault, Kind};
use crate::inputs::{Direction, Inputs, overlong, parse};
use crate::job::Wanted;
use crate::reply::{Reply, write_json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maana::kernels::Matrix;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
pub(crate) struct EmbeddingsRequest {
    input: Inputs,
    model: Option<String>,
    dimensions: Option<u64>,
    encoding_format: Option<Encoding>,
    /// Who asks: OpenAI watches for abuse with it.
    #[serde(rename = "user")]
    _user: Option<IgnoredAny>,
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

pub(super) async fn embeddings(app: &App, asked: Asked, body: &Held) -> Result<Reply, Fault> {
    let request: EmbeddingsRequest = parse(&body.bytes)?;
    let model = app.models.get(request.model.as_deref()).await?;
    let dimension = model.dimension(request.dimensions)?;
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
    let models: Vec<Value> = app.models.names().into_iter().map(described).collect();
    Reply::json(&json!({"object": "list", "data": models}))
}

pub(super) fn model(app: &App, path: &str) -> Result<Reply, Fault> {
    let id = path.strip_prefix("/v1/models/").unwrap_or_default();
    let id = decoded(id);
    match app.models.names().into_iter().find(|name| *name == id) {
        Some(name) => Ok(Reply::json(&described(name))),
        None => {
            let message = format!("there is no model `{id}`; there are: {}", app.models.names().join(", "));
            Err(Fault::new(Kind::NoModel, message).in_field("model"))
        }
    }
}

fn described(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": "maana"})
}

/// A part of a path as it was before `%`-escapes.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let escaped = text.get(place + 1..place + 3).filter(|_| bytes[place] == b'%');
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                place += 3;
            }
            None => {
                out.push(bytes[place]);
                place += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn escapes_of_a_path_are_read() {
        assert_eq!(decoded("a%2Fb%20c"), "a/b c");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%4"), "%zz%4");
        assert_eq!(decoded("%c3%a9"), "é");
    }
}
