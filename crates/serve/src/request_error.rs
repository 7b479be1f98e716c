//! Errors of requests, in the format of the API that the client speaks. Status codes are those of
//! the imitated servers where these have one for the case.

/// The API of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// `{"error": {"message", "type", "param", "code"}}`
    OpenAi,
    /// `{"message", "detail", "error_type"}`: Cohere's clients read `message`, Jina's `detail`.
    Cohere,
    /// `{"error", "error_type"}`, as in text-embeddings-inference, and for Maana's own routes.
    Tei,
}

impl Api {
    /// Returns the API of a path: `/v1`, its short form, and `/openai` as in Azure are OpenAI's,
    /// except for rerankers.
    pub(crate) fn of(path: &str) -> Self {
        if path == "/v1/rerank" || path.starts_with("/v2/") {
            return Self::Cohere;
        }
        let of_openai = path.starts_with("/v1/") || path.starts_with("/openai/") || path == "/embeddings";
        if of_openai { Self::OpenAi } else { Self::Tei }
    }
}

/// Kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The body is not JSON.
    Syntax,
    /// A list of texts is empty.
    Empty,
    /// A field has an invalid value.
    Invalid,
    /// More texts, bytes or tokens than a request may have.
    TooLarge,
    /// Unknown model.
    NoModel,
    /// Unknown route.
    NoRoute,
    /// The host is not this server's.
    Host,
    /// Unsupported compression of the body.
    Coding,
    /// Unsupported framing of the request.
    Unsupported,
    /// The route has another method.
    Method,
    /// No key, or an unknown one.
    Key,
    /// A text that cannot be tokenised as requested.
    Tokenizer,
    /// The body did not arrive in time.
    Slow,
    /// The queue is full, or a key exceeds its rate.
    Overloaded,
    /// Too many connections are busy.
    Connections,
    /// The answer would come too late.
    Late,
    /// The server starts or ends, or there is no memory for the model.
    Unready,
    /// Computing failed.
    Backend,
}

/// Error of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    /// The invalid field.
    pub(crate) param: Option<&'static str>,
    /// Seconds after which the request can be repeated.
    pub(crate) retry_after: Option<u64>,
    /// The methods of the route.
    pub(crate) allow: Option<String>,
}

impl RequestError {
    /// Creates an error.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, retry_after: None, allow: None }
    }

    /// Creates an error about the value of a field.
    pub(crate) fn field(param: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param), ..Self::new(ErrorKind::Invalid, message) }
    }

    /// Names the field.
    pub(crate) fn in_field(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }

    /// Names the methods of the route.
    pub(crate) fn allowing(self, methods: String) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// Creates an error about too much load; the request can be repeated after some seconds.
    pub(crate) fn overloaded(message: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(ErrorKind::Overloaded, message) }
    }

    /// Creates the error of an answer that would come too late because of load.
    pub(crate) fn late() -> Self {
        Self::new(ErrorKind::Late, "the answer was not ready in time; send less at once, or try again later")
    }

    /// Creates the error of a failure in the server itself.
    pub(crate) fn backend() -> Self {
        Self::new(ErrorKind::Backend, "computing failed; the server still runs, and its log says more")
    }

    /// Creates the error of a mapped file that was changed, after which only a restart helps.
    pub(crate) fn changed(what: &str) -> Self {
        let remedy = "replace files by renaming, then start the server again";
        Self::new(ErrorKind::Unready, format!("{what} changed on the disk while in use; {remedy}"))
    }

    /// Returns the status code.
    pub(crate) fn status(&self, api: Api) -> u16 {
        match (self.kind, api) {
            (ErrorKind::Syntax | ErrorKind::Empty, _) => 400,
            (ErrorKind::Invalid | ErrorKind::Tokenizer, Api::OpenAi | Api::Cohere) => 400,
            (ErrorKind::Invalid | ErrorKind::Tokenizer, Api::Tei) => 422,
            (ErrorKind::Key, _) => 401,
            (ErrorKind::Host, _) => 403,
            (ErrorKind::NoModel | ErrorKind::NoRoute, _) => 404,
            (ErrorKind::Method, _) => 405,
            (ErrorKind::Slow, _) => 408,
            (ErrorKind::TooLarge, _) => 413,
            (ErrorKind::Coding, _) => 415,
            (ErrorKind::Overloaded, _) => 429,
            (ErrorKind::Backend, _) => 500,
            (ErrorKind::Unsupported, _) => 501,
            (ErrorKind::Connections | ErrorKind::Late | ErrorKind::Unready, _) => 503,
        }
    }

    /// Returns `type` of OpenAI's format.
    pub(crate) fn openai_type(&self) -> &'static str {
        match self.kind {
            ErrorKind::Overloaded => "rate_limit_error",
            ErrorKind::Backend | ErrorKind::Unready | ErrorKind::Late | ErrorKind::Connections => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// Returns `code` of OpenAI's format.
    pub(crate) fn openai_code(&self) -> Option<&'static str> {
        match self.kind {
            ErrorKind::NoModel => Some("model_not_found"),
            ErrorKind::Key => Some("invalid_api_key"),
            ErrorKind::Overloaded => Some("rate_limit_exceeded"),
            _ => None,
        }
    }

    /// Returns `error_type` of text-embeddings-inference's format.
    pub(crate) fn tei_type(&self) -> &'static str {
        match self.kind {
            ErrorKind::Empty => "empty",
            ErrorKind::Tokenizer => "tokenizer",
            ErrorKind::Overloaded | ErrorKind::Late | ErrorKind::Connections => "overloaded",
            ErrorKind::Unready => "unhealthy",
            ErrorKind::Backend => "backend",
            _ => "validation",
        }
    }
}
