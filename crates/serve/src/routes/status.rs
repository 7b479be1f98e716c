//! Routes about the server itself: its page, the description of its API, its models and limits, its
//! health, and its metrics.

use crate::app::App;
use crate::reply::Reply;
use crate::request_error::{ErrorKind, RequestError};
use maana::kernels::Precision;
use serde_json::json;
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
    let model = app
        .models
        .first()
        .ok_or_else(|| RequestError::new(ErrorKind::Unready, "the model is being read; try again in a moment"))?;
    let limits = &app.settings.limits;
    let (spec, settings) = (model.spec(), model.spec().settings());
    let index = match app.store.get().map(Arc::clone) {
        None => None,
        Some(store) => {
            let (dims, summary) = (store.dims(), app.offload.run(true, move || store.summary()).await?);
            let (documents, fields) = summary.map(|it| (it.documents, it.fields)).unzip();
            Some(json!({"documents": documents, "dims": dims, "fields": fields.unwrap_or_default()}))
        }
    };
    let prompts: Vec<&str> = settings.prompts.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Reply::json(&json!({
        "model_id": model.name,
        "model_sha": null,
        "model_dtype": match model.precision() {
            Precision::F32 => "float32",
            Precision::Bf16 => "bfloat16",
            Precision::Int8 => "int8",
        },
        "model_type": {"embedding": {"pooling": spec.pooling_names().join("+")}},
        "max_concurrent_requests": limits.connections,
        "max_input_length": settings.max_seq_length,
        "max_batch_tokens": limits.batch_tokens,
        "max_batch_requests": null,
        "max_client_batch_size": limits.inputs,
        "max_queued_tokens": limits.queued_tokens,
        "max_body_bytes": limits.body,
        "answer_seconds": app.settings.times.answer.as_secs_f64(),
        "keep_alive_seconds": app.settings.times.keep_alive.as_secs_f64(),
        "auto_truncate": true,
        "tokenization_workers": app.context.threads(),
        "version": env!("CARGO_PKG_VERSION"),
        "dimensions": model.dims,
        "dimensions_any": model.any_dimension,
        "default_dimension": model.default_dimension(),
        "normalized": spec.normalizes(),
        "similarity": format!("{:?}", settings.similarity).to_lowercase(),
        "models": app.models.names(),
        "answers_to_any_name": app.models.answers_to_any_name(),
        "token_ids": app.settings.token_ids,
        "default_model": model.name,
        "prompts": prompts,
        "default_prompt": settings.default_prompt_name,
        "index": index,
        "classifier": model.classifier.as_ref().map(|it| json!({"labels": it.labels})),
        "isa": maana::kernels::InstructionSet::active().name(),
        "threads": app.context.threads(),
    })))
}
