//! The path of every request: its id, its host, its key, its route, a limit on time, and then the
//! response with its headers, counted and logged.

use crate::app::App;
use crate::body::RequestBody;
use crate::class::Class;
use crate::connections::Connection;
use crate::cors::Cors;
use crate::host::Hosts;
use crate::keys::Keys;
use crate::reply::{Reply, Usage};
use crate::reply_body::ReplyBody;
use crate::request::Request;
use crate::request_error::{Api, ErrorKind, RequestError};
use crate::routes::{self, Route};
use crate::system::timeout_at;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Answers requests.
pub(crate) struct Handler {
    pub(crate) app: Arc<App>,
    pub(crate) keys: Option<Arc<Keys>>,
    hosts: Hosts,
    cors: Option<Cors>,
    /// Prefix of request ids, which differs between two runs.
    start: u64,
    requests: AtomicU64,
}

/// An answer with what the log says about it.
struct Outcome {
    reply: Reply,
    key: Option<String>,
    error: Option<RequestError>,
}

impl Handler {
    /// Creates the handler of an app.
    pub(crate) fn new(app: Arc<App>, keys: Option<Arc<Keys>>, hosts: Hosts, cors: Option<Cors>) -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        Self { app, keys, hosts, cors, start, requests: AtomicU64::new(0) }
    }

    /// Answers a request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<ReplyBody> {
        let arrival = self.app.system.now();
        let (head, body) = request.into_parts();
        let id = self.request_id(&head.headers);
        let path = routes::normal(head.uri.path()).into_owned();
        let route = routes::find(&head.method, &path);
        let name = route.as_ref().map_or("other", |(_, name)| name);
        let is_reserve = connection.is_reserve();
        let body = RequestBody::new(body, &head.headers, connection);
        let Outcome { reply, key, error } =
            self.outcome(&head, &path, route.map(|(route, _)| route), arrival, is_reserve, body).await;
        let time = self.app.system.now().saturating_duration_since(arrival);
        self.app.metrics.request(name, reply.status, time, reply.usage.as_ref());
        self.log(&id, &format!("{} {path}", head.method), key, time, &reply, error.as_ref());
        let mut response = self.response(reply, &id, time, &head.headers);
        if is_reserve || self.app.is_ending() {
            response.headers_mut().insert("connection", HeaderValue::from_static("close"));
        }
        response
    }

    /// Checks and answers a request.
    async fn outcome(
        &self,
        head: &Parts,
        path: &str,
        route: Result<Route, RequestError>,
        arrival: Instant,
        is_reserve: bool,
        body: RequestBody,
    ) -> Outcome {
        let mut key = None;
        let answer = async {
            self.hosts.check(head)?;
            if let Some(cors) = self.cors.as_ref().filter(|_| head.method == Method::OPTIONS) {
                return Ok(cors.preflight(&head.headers));
            }
            key = self.check_key(&head.headers, route.as_ref().ok().copied())?;
            let route = route?;
            if is_reserve && !route.is_immediate() {
                let message = "too many connections at once; try again later";
                return Err(RequestError::new(ErrorKind::Connections, message));
            }
            let request = Request { path: path.to_owned(), arrival, class: priority(&head.headers)?, body };
            let deadline = arrival + self.app.settings.times.answer;
            // Texts of an answer that is given up are removed from the queue.
            let answer = timeout_at(&*self.app.system, deadline, routes::answer(&self.app, route, request)).await;
            answer.unwrap_or_else(|| Err(RequestError::late()))
        };
        match answer.await {
            Ok(reply) => Outcome { reply, key, error: None },
            Err(error) => Outcome { reply: Reply::error(&error, Api::of(path)), key, error: Some(error) },
        }
    }

    /// Returns the name of the request's key, if one is needed.
    fn check_key(&self, headers: &HeaderMap, route: Option<Route>) -> Result<Option<String>, RequestError> {
        let Some(keys) = &self.keys else { return Ok(None) };
        if route.is_some_and(Route::is_open) {
            return Ok(None);
        }
        let header = |name| headers.get(name).map(HeaderValue::as_bytes);
        keys.check(header("authorization"), header("api-key")).map(Some)
    }

    /// Returns the id that the client has given the request, or a new one.
    fn request_id(&self, headers: &HeaderMap) -> String {
        let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
        if let Some(id) =
            given.filter(|id| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic()))
        {
            return id.to_owned();
        }
        format!("{:x}-{}", self.start, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    fn log(
        &self,
        id: &str,
        line: &str,
        key: Option<String>,
        time: Duration,
        reply: &Reply,
        error: Option<&RequestError>,
    ) {
        if !self.app.log.is_on() {
            return;
        }
        let mut fields = serde_json::Map::new();
        fields.insert("id".into(), id.into());
        fields.insert("status".into(), reply.status.into());
        fields.insert("ms".into(), ((time.as_secs_f64() * 1e6).round() / 1e3).into());
        if let Some(key) = key {
            fields.insert("key".into(), key.into());
        }
        if let Some(usage) = &reply.usage {
            if usage.texts > 0 {
                fields.insert("texts".into(), usage.texts.into());
            }
            if usage.pairs > 0 {
                fields.insert("pairs".into(), usage.pairs.into());
            }
            fields.insert("tokens".into(), usage.tokens.into());
            if self.app.settings.log_texts {
                fields.insert("inputs".into(), usage.logged.clone().into());
            }
        }
        if let Some(error) = error {
            // Messages may repeat texts.
            fields.insert("error".into(), format!("{:?}", error.kind).to_lowercase().into());
        }
        let level = if reply.status >= 500 { "warning" } else { "request" };
        self.app.log.line(level, line, fields);
    }

    fn response(&self, reply: Reply, id: &str, time: Duration, request: &HeaderMap) -> Response<ReplyBody> {
        let Reply { status, content_type, headers, body, usage } = reply;
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let into = response.headers_mut();
        into.insert("content-type", HeaderValue::from_static(content_type));
        into.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        insert(into, "x-request-id", id);
        insert(into, "x-total-time", &time.as_millis().to_string());
        if let Some(usage) = &usage {
            usage_headers(into, usage, time);
        }
        for (name, value) in &headers {
            insert(into, name, value);
        }
        if let Some(cors) = &self.cors {
            cors.add_headers(into, request);
        }
        response
    }
}

/// Returns the class that a request names.
fn priority(headers: &HeaderMap) -> Result<Option<Class>, RequestError> {
    match headers.get("x-priority").map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"interactive") => Ok(Some(Class::Interactive)),
        Some(b"bulk") => Ok(Some(Class::Bulk)),
        Some(_) => Err(RequestError::new(ErrorKind::Invalid, "the header `x-priority` is `interactive` or `bulk`")),
    }
}

fn usage_headers(into: &mut HeaderMap, usage: &Usage, total: Duration) {
    let Usage { model, tokens, characters, tokenization, queue, inference, .. } = usage;
    insert(into, "x-model-id", model);
    into.insert("x-compute-type", HeaderValue::from_static("cpu"));
    for (name, time) in
        [("x-tokenization-time", tokenization), ("x-queue-time", queue), ("x-inference-time", inference)]
    {
        insert(into, name, &time.as_millis().to_string());
    }
    insert(into, "x-compute-tokens", &tokens.to_string());
    insert(into, "x-compute-characters", &characters.to_string());
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    let timing = format!(
        "tokenization;dur={:.3}, queue;dur={:.3}, inference;dur={:.3}, total;dur={:.3}",
        ms(tokenization),
        ms(queue),
        ms(inference),
        ms(&total)
    );
    insert(into, "server-timing", &timing);
}

/// Sets a header; a value that HTTP does not allow (a model's name with line breaks) is left out.
fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
