//! Answer of a route, before it becomes a response of HTTP.

use crate::json::write_json;
use crate::log::Log;
use crate::reply_body::{Pieces, ReplyBody, Written};
use crate::request_error::{Api, ErrorKind, RequestError};
use crate::system::{System, blocking};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: ReplyBody,
    /// Work that the answer took, where texts were embedded or scored.
    pub(crate) usage: Option<Usage>,
}

/// Work that an answer took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) model: String,
    /// Embedded texts.
    pub(crate) texts: usize,
    /// Scored pairs.
    pub(crate) pairs: usize,
    /// The texts, if they are logged.
    pub(crate) logged: Vec<String>,
    pub(crate) tokens: usize,
    pub(crate) characters: usize,
    pub(crate) tokenization: Duration,
    pub(crate) queue: Duration,
    pub(crate) inference: Duration,
}

impl Usage {
    /// Adds the work of a second request for the same model.
    pub(crate) fn with(self, other: &Self) -> Self {
        Self {
            logged: [self.logged, other.logged.clone()].concat(),
            model: self.model,
            texts: self.texts + other.texts,
            pairs: self.pairs + other.pairs,
            tokens: self.tokens + other.tokens,
            characters: self.characters + other.characters,
            tokenization: self.tokenization + other.tokenization,
            queue: self.queue + other.queue,
            inference: self.inference + other.inference,
        }
    }
}

impl Reply {
    /// Creates an answer of a content type.
    pub(crate) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::of(content_type, ReplyBody::whole(body.into()))
    }

    fn of(content_type: &'static str, body: ReplyBody) -> Self {
        Self { status: 200, content_type, headers: Vec::new(), body, usage: None }
    }

    /// Creates an answer from a value.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        let mut body = Vec::with_capacity(256);
        write_json(&mut body, value);
        Self::new("application/json", body)
    }

    /// Creates an answer of JSON that is written piece by piece. A short one is written at once
    /// where it is computed; the pieces of a long one are written on threads for such work.
    ///
    /// # Errors
    /// The error of the first piece.
    pub(crate) async fn streamed(
        system: &Arc<dyn System>,
        log: &Log,
        pieces: impl Pieces + 'static,
        is_short: bool,
    ) -> Result<Self, RequestError> {
        let (length, pieces) = (pieces.length(), Box::new(pieces));
        let first = if is_short {
            Written::next(pieces)?
        } else {
            blocking(&**system, move || Written::next(pieces)).await.ok_or_else(RequestError::backend)??
        };
        Ok(Self::of("application/json", ReplyBody::streamed(first, length, Arc::clone(system), log.clone())))
    }

    /// Creates the answer that reports an error, in the format of an API.
    pub(crate) fn error(error: &RequestError, api: Api) -> Self {
        let body = match api {
            Api::OpenAi => json!({"error": {
                "message": error.message,
                "type": error.openai_type(),
                "param": error.param,
                "code": error.openai_code(),
            }}),
            Api::Cohere => {
                json!({"message": error.message, "detail": error.message, "error_type": error.tei_type()})
            }
            Api::Tei => json!({"error": error.message, "error_type": error.tei_type()}),
        };
        let mut reply = Self::json(&body);
        reply.status = error.status(api);
        if matches!(error.kind, ErrorKind::Overloaded | ErrorKind::Unready | ErrorKind::Late | ErrorKind::Connections) {
            reply.header("retry-after", error.retry_after.unwrap_or(1).to_string());
        }
        if error.kind == ErrorKind::Coding {
            reply.header("accept-encoding", "gzip, deflate, identity");
        }
        if error.kind == ErrorKind::Key {
            reply.header("www-authenticate", "Bearer");
        }
        if let Some(methods) = &error.allow {
            reply.header("allow", methods.as_str());
        }
        reply
    }

    /// Adds the work that the answer took.
    pub(crate) fn with_usage(self, usage: Usage) -> Self {
        Self { usage: Some(usage), ..self }
    }

    /// Adds a header.
    pub(crate) fn header(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.push((name, value.into()));
    }
}
