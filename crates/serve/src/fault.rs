//! `Fault`: why a request is not answered, said in the shape of the API that was asked. Status codes are those of the imitated
//! servers where these have one for the case.

use crate::reply::Reply;
use serde_json::json;

/// The API whose clients a route speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// `{"error": {"message", "type", "param", "code"}}`
    OpenAi,
    /// `{"error", "error_type"}`, as text-embeddings-inference; ours are so too.
    Tei,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The body is no JSON.
    Syntax,
    /// Nothing is asked.
    Empty,
    /// A field has a value that makes no sense.
    Invalid,
    /// More texts, bytes or tokens than a request may have.
    TooLarge,
    /// There is no such model.
    NoModel,
    /// There is no such route.
    NoRoute,
    /// The host is not this server's.
    Host,
    /// The body is compressed in a way that is not read.
    Coding,
    /// The request is framed in a way that is not read.
    Unsupported,
    /// The route has another method.
    Method,
    /// No key, or one that is not known.
    Key,
    /// A text cannot be tokenised as asked.
    Tokenizer,
    /// The body did not come in time.
    Slow,
    /// Too much waits already, or a key asks too often.
    Overloaded,
    /// The answer would come too late.
    Late,
    /// The server begins or ends, or the model finds no room.
    Unready,
    /// Computing failed.
    Backend,
}

/// Why a request is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// The field that is wrong.
    param: Option<&'static str>,
    /// Seconds after which asking again makes sense.
    retry_after: Option<u64>,
    /// The methods that are right.
    allow: Option<String>,
}

impl Fault {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, retry_after: None, allow: None }
    }

    /// A field with a value that makes no sense.
    pub(crate) fn field(param: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param), ..Self::new(Kind::Invalid, message) }
    }

    pub(crate) fn in_field(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }

    pub(crate) fn allowing(self, methods: String) -> Self {
        Self { allow: Some(methods), ..self }
    }

    pub(crate) fn overloaded(message: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Kind::Overloaded, message) }
    }

    /// The answer would come, or came, too late because there was too much to do.
    pub(crate) fn late() -> Self {
        Self::new(Kind::Late, "the answer did not come in time; ask for less or later")
    }

    /// Computing failed, for a reason that is the server's own.
    pub(crate) fn backend() -> Self {
        Self::new(Kind::Backend, "computing failed; the server goes on, and its log says more")
    }

    /// A file that the server has mapped was changed. Only a new start helps.
    pub(crate) fn changed(what: &str) -> Self {
        let remedy = "replace files by renaming, then start the server again";
        Self::new(Kind::Unready, format!("{what} changed on the disk while in use; {remedy}"))
    }

    pub(crate) fn status(&self, api: Api) -> u16 {
        match (self.kind, api) {
            (Kind::Syntax | Kind::Empty, _) => 400,
            (Kind::Invalid | Kind::Tokenizer, Api::OpenAi) => 400,
            (Kind::Invalid | Kind::Tokenizer, Api::Tei) => 422,
            (Kind::Key, _) => 401,
            (Kind::Host, _) => 403,
            (Kind::NoModel | Kind::NoRoute, _) => 404,
            (Kind::Method, _) => 405,
            (Kind::Slow, _) => 408,
            (Kind::TooLarge, _) => 413,
            (Kind::Coding, _) => 415,
            (Kind::Overloaded, _) => 429,
            (Kind::Backend, _) => 500,
            (Kind::Unsupported, _) => 501,
            (Kind::Late | Kind::Unready, _) => 503,
        }
    }

    /// The answer that says it.
    pub(crate) fn reply(&self, api: Api) -> Reply {
        let body = match api {
            Api::OpenAi => json!({"error": {
                "message": self.message,
                "type": self.openai_type(),
                "param": self.param,
                "code": self.openai_code(),
            }}),
            Api::Tei => json!({"error": self.message, "error_type": self.tei_type()}),
        };
        let mut reply = Reply::json(&body);
        reply.status = self.status(api);
        if matches!(self.kind, Kind::Overloaded | Kind::Unready | Kind::Late) {
            reply.header("retry-after", self.retry_after.unwrap_or(1).to_string());
        }
        if self.kind == Kind::Coding {
            reply.header("accept-encoding", "gzip, deflate, identity");
        }
        if let Some(methods) = &self.allow {
            reply.header("allow", methods.as_str());
        }
        reply
    }

    fn openai_type(&self) -> &'static str {
        match self.kind {
            Kind::Overloaded => "rate_limit_error",
            Kind::Backend | Kind::Unready | Kind::Late => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn openai_code(&self) -> Option<&'static str> {
        match self.kind {
            Kind::NoModel => Some("model_not_found"),
            Kind::Key => Some("invalid_api_key"),
            Kind::Overloaded => Some("rate_limit_exceeded"),
            _ => None,
        }
    }

    fn tei_type(&self) -> &'static str {
        match self.kind {
            Kind::Empty => "empty",
            Kind::Tokenizer => "tokenizer",
            Kind::Overloaded | Kind::Late => "overloaded",
            Kind::Unready => "unhealthy",
            Kind::Backend => "backend",
            _ => "validation",
        }
    }
}
