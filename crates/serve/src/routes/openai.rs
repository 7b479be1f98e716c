//! The routes of OpenAI: `/v1/embeddings` and `/v1/models`. In addition to OpenAI's fields they
//! take those of text-embeddings-inference.

use crate::app::App;
use crate::inputs::{Direction, Input, Inputs};
use crate::json::{parse, write_json};
use crate::network::{Network, Output};
use crate::reply::Reply;
use crate::reply_body::Pieces;
use crate::request::{Common, Fields, Request};
use crate::request_error::RequestError;
use crate::rows::{FinishedRows, SHORT_NUMBERS};
use crate::slot::Kind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::sync::Arc;

/// The refusal of token ids.
const TOKEN_IDS: &str = "`input`: token ids are refused, because clients of OpenAI send those of OpenAI's own tokenizers, \
                         which mean other words here; send texts (in LangChain: check_embedding_ctx_length=False), or start \
                         the server with --token-ids if the ids are the model's";

#[derive(Deserialize)]
pub(crate) struct EmbeddingsRequest {
    input: Inputs,
    model: Option<String>,
    dimensions: Option<u64>,
    encoding_format: Option<Encoding>,
    /// The end user: OpenAI watches for abuse with it.
    #[serde(rename = "user")]
    _user: Option<IgnoredAny>,
    /// Kind of the inputs: Infinity also has models of images and sounds.
    #[serde(rename = "modality")]
    _modality: Option<Modality>,
    prompt_name: Option<String>,
    normalize: Option<bool>,
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
}

/// Format of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    /// Numbers.
    Float,
    /// Base64 of four bytes for each number, in little-endian order.
    Base64,
}

/// Kind of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Modality {
    Text,
}

impl Fields for EmbeddingsRequest {
    fn common(&mut self) -> Common {
        Common {
            model: self.model.take(),
            // Infinity's client sends 0 for all dimensions.
            dimensions: self.dimensions.filter(|dimensions| *dimensions > 0),
            prompt: self.prompt_name.take().into(),
            truncate: self.truncate,
            truncation_direction: self.truncation_direction,
            texts: self.input.0.len(),
        }
    }
}

/// Answers with embeddings; `deployment` is the model in the path, if it names one.
pub(super) async fn embeddings(app: &App, request: Request, deployment: Option<String>) -> Result<Reply, RequestError> {
    let takes_ids = app.settings.token_ids;
    let read = move |body: &[u8]| {
        let fields: EmbeddingsRequest = parse(body)?;
        let has_ids = fields.input.0.iter().any(|input| matches!(input, Input::Ids(_)));
        if has_ids && !takes_ids { Err(RequestError::field("input", TOKEN_IDS)) } else { Ok(fields) }
    };
    let (fields, plan) = request.extract_by(app, deployment, read).await?;
    let embedded = plan.embed(app, fields.input.0, Output::Embedding).await?;
    let usage = embedded.usage.clone();
    let is_short = usage.texts * plan.dimension <= SHORT_NUMBERS;
    let rows = FinishedRows::new(embedded, Arc::clone(&app.single), plan.dimension, fields.normalize);
    let encoding = fields.encoding_format.unwrap_or(Encoding::Float);
    Ok(Reply::streamed(&app.system, &app.log, Embeddings { rows, encoding, next: 0 }, is_short)
        .await?
        .with_usage(usage))
}

const BEGIN: &[u8] = br#"{"object":"list","data":["#;
const INDEX: &[u8] = br#"{"object":"embedding","index":"#;
const EMBEDDING: &[u8] = br#","embedding":"#;

/// The answer with embeddings.
struct Embeddings {
    rows: FinishedRows,
    encoding: Encoding,
    next: usize,
}

impl Embeddings {
    /// Returns the end of the answer.
    fn end(&self) -> Vec<u8> {
        let tokens = self.rows.embedded.usage.tokens;
        let mut end = br#"],"model":"#.to_vec();
        write_json(&mut end, self.rows.embedded.model.name());
        end.extend_from_slice(br#","usage":"#);
        write_json(&mut end, &json!({"prompt_tokens": tokens, "total_tokens": tokens}));
        end.push(b'}');
        end
    }
}

impl Pieces for Embeddings {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        out.extend_from_slice(if self.next == 0 { BEGIN } else { b"," });
        out.extend_from_slice(INDEX);
        write_json(out, &self.next);
        out.extend_from_slice(EMBEDDING);
        let row = self.rows.row(self.next);
        match self.encoding {
            Encoding::Float => write_json(out, row),
            Encoding::Base64 => {
                let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
                write_json(out, &STANDARD.encode(bytes));
            }
        }
        out.push(b'}');
        self.next += 1;
        let more = self.next < self.rows.count();
        if !more {
            out.extend(self.end());
        }
        Ok(more)
    }

    fn length(&self) -> Option<u64> {
        // Base64 has the same length for every row.
        if self.encoding == Encoding::Float {
            return None;
        }
        let rows = self.rows.count();
        let digits: usize = (0..rows).map(|index| index.checked_ilog10().map_or(1, |log| log as usize + 1)).sum();
        let base64 = (4 * self.rows.dimension).div_ceil(3) * 4 + 2;
        let each = INDEX.len() + EMBEDDING.len() + base64 + 1;
        let commas = rows.saturating_sub(1);
        Some((BEGIN.len() + rows * each + digits + commas + self.end().len()) as u64)
    }
}

pub(super) fn models(app: &App) -> Reply {
    let of_kind = |kind| app.models.names(kind).into_iter().map(move |name| description(app, name, kind));
    let models: Vec<Value> = of_kind(Kind::Embedder).chain(of_kind(Kind::Reranker)).collect();
    Reply::json(&json!({"object": "list", "data": models}))
}

pub(super) fn model(app: &App, id: Option<String>) -> Result<Reply, RequestError> {
    let (name, kind) = app.models.named(id.as_deref().unwrap_or_default())?;
    Ok(Reply::json(&description(app, name, kind)))
}

fn description(app: &App, name: &str, kind: Kind) -> Value {
    json!({
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "maana",
        // As in Infinity.
        "capabilities": match kind {
            Kind::Embedder => ["embed"],
            Kind::Reranker => ["rerank"],
        },
        "answers_to_any_name": app.models.answers_to_any_name(kind),
    })
}
