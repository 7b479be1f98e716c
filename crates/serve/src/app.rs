//! `App`: what every request shares, and the way that all of them go: a name for it, the key, the route, the answer, headers,
//! counting and the log.

use crate::admission::Admission;
use crate::body::Sent;
use crate::connection::Waiting;
use crate::cors::Cors;
use crate::error::ServeError;
use crate::fault::{Api, Fault, Kind};
use crate::host::Hosts;
use crate::index::Index;
use crate::job::Class;
use crate::keys::Keys;
use crate::log::Log;
use crate::metrics::{Metrics, Now};
use crate::models::Models;
use crate::queue::Queue;
use crate::reply::{Effort, Reply};
use crate::routes::{self, Route};
use crate::settings::Settings;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use maana::kernels::Context;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// What every request shares.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) models: Arc<Models>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Log,
    /// The threads that compute.
    pub(crate) context: Arc<Context>,
    /// A pool of the calling thread alone, for what is computed beside the queue.
    pub(crate) one: Arc<Context>,
    pub(crate) index: OnceLock<Arc<Index>>,
    /// Memory for bodies.
    pub(crate) bodies: Arc<Semaphore>,
    /// Turns on the threads for what takes long.
    pub(crate) turns: Semaphore,
    pub(crate) connections: AtomicUsize,
    /// Those that can give way to others.
    pub(crate) waiting: Waiting,
    /// Whether requests are answered: after the first model is there, and until the end begins.
    pub(crate) ready: AtomicBool,
    /// Whether the server ends.
    pub(crate) ending: AtomicBool,
    pub(crate) keys: Option<Keys>,
    hosts: Hosts,
    cors: Option<Cors>,
    /// Where names of requests begin, so that those of two runs differ.
    first_request: u64,
    requests: AtomicU64,
}

/// What a route is given beside the body.
pub(crate) struct Asked {
    pub(crate) came: Instant,
    /// What the request says of its own class.
    priority: Option<Class>,
}

impl Asked {
    /// The class of a request of so many texts.
    pub(crate) fn class(&self, texts: usize) -> Class {
        const FEW_TEXTS: usize = 8;
        self.priority.unwrap_or(if texts <= FEW_TEXTS { Class::Interactive } else { Class::Bulk })
    }
}

impl App {
    /// An app that listens at this address, whose models are not read yet.
    pub(crate) fn new(
        settings: Settings,
        address: IpAddr,
        context: Arc<Context>,
        log: Log,
    ) -> Result<Self, ServeError> {
        let keys = settings.keys.as_deref().map(Keys::open).transpose()?;
        let cors = settings.cors.as_deref().map(Cors::new).transpose()?;
        let hosts = Hosts::new(&settings, address);
        let limits = &settings.limits;
        let threads = context.threads();
        Ok(Self {
            models: Arc::new(Models::new(&settings, Arc::clone(&context), log.clone())?),
            queue: Arc::new(Queue::new(limits.batch_tokens)),
            admission: Admission::new(limits.queued_tokens, settings.times.answer),
            metrics: Arc::default(),
            one: Arc::new(Context::new(1)),
            index: OnceLock::new(),
            bodies: Arc::new(Semaphore::new((limits.bodies / 1024).clamp(1, Semaphore::MAX_PERMITS))),
            turns: Semaphore::new(threads),
            connections: AtomicUsize::new(0),
            waiting: Waiting::default(),
            ready: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            keys,
            hosts,
            cors,
            first_request: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64),
            requests: AtomicU64::new(0),
            settings,
            context,
            log,
        })
    }

    /// Answers a request.
    pub(crate) async fn answer(self: Arc<Self>, head: Parts, body: Sent) -> Response<Full<Bytes>> {
        let came = Instant::now();
        let id = self.request_id(&head.headers);
        let path = &*routes::normal(head.uri.path());
        let (route, api) = (routes::find(&head.method, path), Api::of(path));
        let name = route.as_ref().map_or("other", |(_, name)| name);
        let mut key = None;
        let outcome = match (self.hosts.check(&head), &self.cors) {
            (Err(fault), _) => Err(fault),
            (Ok(()), Some(cors)) if head.method == Method::OPTIONS => Ok(cors.preflight(&head.headers)),
            (Ok(()), _) => match self.admit(&head.headers, route.as_ref().ok().map(|(route, _)| *route)) {
                Ok(named) => {
                    key = named;
                    let asked = priority(&head.headers).map(|priority| Asked { came, priority });
                    match (route, asked) {
                        (Ok((route, _)), Ok(asked)) => self.in_time(self.route(route, path, asked, body)).await,
                        (Err(fault), _) | (_, Err(fault)) => Err(fault),
                    }
                }
                Err(fault) => Err(fault),
            },
        };
        let (mut reply, fault) = match outcome {
            Ok(reply) => (reply, None),
            Err(fault) => (fault.reply(api), Some(fault)),
        };
        if reply.status == 401 {
            reply.header("www-authenticate", "Bearer");
        }
        let time = came.elapsed();
        self.metrics.request(name, reply.status, time, reply.effort.as_ref());
        self.log_request(&id, head.method.as_str(), path, key.as_deref(), time, &reply, fault.as_ref());
        self.response(reply, &id, time, &head.headers)
    }

    /// Gives an answer up that takes too long; what of it waits is then dropped.
    async fn in_time(&self, answer: impl Future<Output = Result<Reply, Fault>>) -> Result<Reply, Fault> {
        tokio::time::timeout(self.settings.times.answer, answer).await.unwrap_or_else(|_| Err(Fault::late()))
    }

    /// The name of whoever asks, if a key is needed.
    fn admit(&self, headers: &HeaderMap, route: Option<Route>) -> Result<Option<String>, Fault> {
        let Some(keys) = &self.keys else { return Ok(None) };
        if route.is_some_and(Route::is_open) {
            return Ok(None);
        }
        let shown = |name| headers.get(name).map(HeaderValue::as_bytes);
        keys.check(shown("authorization"), shown("api-key")).map(Some)
    }

    /// The name that whoever asks gave the request, or one of our own.
    fn request_id(&self, headers: &HeaderMap) -> String {
        let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
        if let Some(id) =
            given.filter(|id| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic()))
        {
            return id.to_owned();
        }
        format!("{:x}-{}", self.first_request, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// What a request may be, for people.
    pub(crate) fn limits(&self) -> String {
        let (limits, times) = (&self.settings.limits, &self.settings.times);
        format!(
            "a request may have {} texts and {} bytes, and is answered within {:?} or given up; {} tokens may wait at once",
            limits.inputs, limits.body, times.answer, limits.queued_tokens
        )
    }

    /// What is as it is now, for the metrics.
    pub(crate) fn now(&self) -> Now {
        let held = self.admission.held();
        Now {
            waiting: self.queue.waiting(),
            held_tokens: held.tokens,
            held_requests: held.requests,
            tokens_per_second: held.speed,
            connections: self.connections.load(Ordering::Relaxed),
            models: self.models.in_memory(),
            model_bytes: self.models.bytes(),
            ready: self.is_ready(),
        }
    }

    /// Checks that no mapped file of a model in memory or of the store was changed, which makes all later answers errors.
    pub(crate) fn check_files(&self) -> Result<(), Fault> {
        let store = || self.index.get().map_or(Ok(()), |index| index.check_unchanged());
        self.models.check_unchanged().map_err(|_| Fault::changed("the weights of a model"))?;
        store().map_err(|_| Fault::changed("the store of documents"))
    }

    /// Whether requests are answered.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.ending.load(Ordering::Acquire)
    }

    #[allow(clippy::too_many_arguments, reason = "what a line of the log is made of")]
    fn log_request(
        &self,
        id: &str,
        method: &str,
        path: &str,
        key: Option<&str>,
        time: Duration,
        reply: &Reply,
        fault: Option<&Fault>,
    ) {
        if !self.log.is_on() {
            return;
        }
        let mut fields = serde_json::Map::new();
        fields.insert("id".into(), id.into());
        fields.insert("status".into(), reply.status.into());
        fields.insert("ms".into(), ((time.as_secs_f64() * 1e6).round() / 1e3).into());
        if let Some(key) = key {
            fields.insert("key".into(), key.into());
        }
        if let Some(effort) = &reply.effort {
            fields.insert("texts".into(), effort.texts.into());
            fields.insert("tokens".into(), effort.tokens.into());
            if self.settings.log_texts {
                fields.insert("inputs".into(), effort.logged.clone().into());
            }
        }
        if let Some(fault) = fault {
            fields.insert("error".into(), fault.told().into());
        }
        let level = if reply.status >= 500 { "warning" } else { "request" };
        self.log.line(level, &format!("{method} {path}"), fields);
    }

    fn response(&self, reply: Reply, id: &str, time: Duration, asked: &HeaderMap) -> Response<Full<Bytes>> {
        let Reply { status, content_type, headers, body, effort } = reply;
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let into = response.headers_mut();
        into.insert("content-type", HeaderValue::from_static(content_type));
        into.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        insert(into, "x-request-id", id);
        insert(into, "x-total-time", &time.as_millis().to_string());
        if let Some(effort) = &effort {
            effort_headers(into, effort, time);
        }
        for (name, value) in &headers {
            insert(into, name, value);
        }
        if let Some(cors) = &self.cors {
            cors.mark(into, asked);
        }
        if self.ending.load(Ordering::Acquire) {
            into.insert("connection", HeaderValue::from_static("close"));
        }
        response
    }
}

/// The class that a request gives itself.
fn priority(headers: &HeaderMap) -> Result<Option<Class>, Fault> {
    match headers.get("x-priority").map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"interactive") => Ok(Some(Class::Interactive)),
        Some(b"bulk") => Ok(Some(Class::Bulk)),
        Some(_) => Err(Fault::new(Kind::Invalid, "the header `x-priority` is `interactive` or `bulk`")),
    }
}

fn effort_headers(into: &mut HeaderMap, effort: &Effort, total: Duration) {
    let Effort { model, tokens, characters, tokenization, queue, inference, .. } = effort;
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

/// Sets a header; a value that none may have (a model's name with line breaks) is left out.
fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

impl Fault {
    /// What the log says: the kind, as messages may repeat what was sent.
    fn told(&self) -> String {
        format!("{:?}", self.kind).to_lowercase()
    }
}

impl Api {
    /// `/v1` is OpenAI's, its short form, and `/openai` as Azure has it.
    pub(crate) fn of(path: &str) -> Self {
        let of_openai = path.starts_with("/v1/") || path.starts_with("/openai/") || path == "/embeddings";
        if of_openai { Self::OpenAi } else { Self::Tei }
    }
}
