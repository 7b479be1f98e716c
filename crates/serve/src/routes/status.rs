//! Routes about the server itself: its page, the description of its API, its models and limits, its
//! health, and its metrics.

use crate::app::App;
use crate::model::Model;
use crate::network::Network;
use crate::reply::Reply;
use crate::request_error::{ErrorKind, RequestError};
use crate::reranker::Reranker;
use crate::slot::Kind;
use maana::kernels::Precision;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const PAGE: &str = include_str!("../../page/index.html");
const OPENAPI: &str = include_str!("../../openapi.json");

/// Content security policy of the pages: their own styles and script, and requests to this server.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn page() -> Reply {
    html(PAGE)
}

pub(super) fn docs() -> Reply {
    html(crate::docs::page())
}

pub(super) fn openapi() -> Reply {
    Reply::new("application/json", OPENAPI)
}

fn html(text: &'static str) -> Reply {
    let mut reply = Reply::new("text/html; charset=utf-8", text);
    reply.header("content-security-policy", POLICY);
    reply.header("referrer-policy", "no-referrer");
    reply
}

/// Reports that the process can work. It cannot after a mapped file was changed: a supervisor then
/// restarts it.
pub(super) fn live(app: &App) -> Result<Reply, RequestError> {
    app.check_files()?;
    Ok(healthy("alive"))
}

/// Reports a status, and the time of the server's clock, as Infinity does.
fn healthy(status: &str) -> Reply {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Reply::json(&json!({"status": status, "unix": since.as_secs_f64()}))
}

pub(super) fn ready(app: &App) -> Result<Reply, RequestError> {
    if app.is_ready() {
        app.check_files()?;
        return Ok(healthy("ready"));
    }
    Err(RequestError::new(ErrorKind::Unready, "the server is starting or ending"))
}

pub(super) fn metrics(app: &App) -> Reply {
    Reply::new("text/plain; version=0.0.4; charset=utf-8", app.metrics.to_text(&app.gauges()))
}

pub(super) async fn info(app: &App) -> Result<Reply, RequestError> {
    let (model, reranker) = (app.models.first(), app.models.first_reranker());
    let network: &dyn Network = match (&model, &reranker) {
        (Some(model), _) => &**model,
        (None, Some(reranker)) => &**reranker,
        (None, None) => {
            return Err(RequestError::new(ErrorKind::Unready, "the model is being read; try again in a moment"));
        }
    };
    let mut info = about_server(app, network);
    info.extend(about_embeddings(model.as_deref()));
    info.extend(about_rerankers(app, reranker.as_deref()));
    let index = match app.store.get().map(Arc::clone) {
        None => None,
        Some(store) => {
            let (dims, summary) = (store.dims(), app.offload.run(true, move || store.summary()).await?);
            let (documents, fields) = summary.map(|it| (it.documents, it.fields)).unzip();
            Some(json!({"documents": documents, "dims": dims, "fields": fields.unwrap_or_default()}))
        }
    };
    info.insert("index".into(), index.into());
    Ok(Reply::json(&info))
}

/// Describes the limits of the server, and its default model.
fn about_server(app: &App, network: &dyn Network) -> Map<String, Value> {
    let (limits, times) = (&app.settings.limits, &app.settings.times);
    object(json!({
        "model_id": network.name(),
        "model_sha": null,
        "model_dtype": dtype(network.precision()),
        "max_concurrent_requests": limits.connections,
        "max_input_length": network.spec().settings().max_seq_length,
        "max_batch_tokens": limits.batch_tokens,
        "max_batch_requests": null,
        "max_client_batch_size": limits.inputs,
        "max_queued_tokens": limits.queued_tokens,
        "max_body_bytes": limits.body,
        "answer_seconds": times.answer.as_secs_f64(),
        "keep_alive_seconds": times.keep_alive.as_secs_f64(),
        "auto_truncate": true,
        "tokenization_workers": app.context.threads(),
        "version": env!("CARGO_PKG_VERSION"),
        "models": app.models.names(Kind::Embedder),
        "answers_to_any_name": app.models.answers_to_any_name(Kind::Embedder),
        "token_ids": app.settings.token_ids,
        "isa": maana::kernels::InstructionSet::active().name(),
        "threads": app.context.threads(),
    }))
}

/// Describes the embeddings of the first model, if there is one.
fn about_embeddings(model: Option<&Model>) -> Map<String, Value> {
    let Some(model) = model else {
        return object(json!({
            "dimensions": [],
            "dimensions_any": false,
            "default_dimension": null,
            "normalized": null,
            "similarity": null,
            "default_model": null,
            "prompts": [],
            "default_prompt": null,
            "classifier": null,
        }));
    };
    let (spec, settings) = (model.spec(), model.spec().settings());
    let prompts: Vec<&str> = settings.prompts.iter().map(|(name, _)| name.as_str()).collect();
    object(json!({
        "model_type": {"embedding": {"pooling": spec.pooling_names().join("+")}},
        "dimensions": model.dims,
        "dimensions_any": model.any_dimension,
        "default_dimension": model.default_dimension(),
        "normalized": spec.normalizes(),
        "similarity": format!("{:?}", settings.similarity).to_lowercase(),
        "default_model": model.name(),
        "prompts": prompts,
        "default_prompt": settings.default_prompt_name,
        "classifier": model.classifier.as_ref().map(|it| json!({"labels": it.labels})),
    }))
}

/// Describes the first reranker, if there is one. Without a model of embeddings it is the type of
/// the server, as in text-embeddings-inference.
fn about_rerankers(app: &App, reranker: Option<&Reranker>) -> Map<String, Value> {
    let described = reranker.map(|reranker| {
        json!({
            "model_id": reranker.name(),
            "model_dtype": dtype(reranker.precision()),
            "labels": reranker.labels(),
            "max_input_length": reranker.max_length(),
            "answers_to_any_name": app.models.answers_to_any_name(Kind::Reranker),
        })
    });
    let mut info = object(json!({"rerankers": app.models.names(Kind::Reranker), "default_reranker": described}));
    if let Some(reranker) = reranker.filter(|_| app.models.names(Kind::Embedder).is_empty()) {
        let labels = reranker.labels();
        let id2label: Map<String, Value> =
            labels.iter().enumerate().map(|(number, label)| (number.to_string(), label.as_str().into())).collect();
        let label2id: Map<String, Value> =
            labels.iter().enumerate().map(|(number, label)| (label.clone(), number.into())).collect();
        let kind = if labels.len() == 1 { "reranker" } else { "classifier" };
        info.insert("model_type".into(), json!({kind: {"id2label": id2label, "label2id": label2id}}));
    }
    info
}

fn dtype(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "float32",
        Precision::Bf16 => "bfloat16",
        Precision::Int8 => "int8",
    }
}

/// Returns the fields of a JSON object.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
