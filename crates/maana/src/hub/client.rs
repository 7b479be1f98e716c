//! The hub's routes over HTTP. Redirects are followed here, so that the token is sent only to the
//! endpoint; timeouts and retries handle silent servers and lost connections. Independent of the
//! cache.

use super::address::{Origin, escape, join, shown};
use super::names::is_component;
use super::{EventHandler, HubError, HubEvent, HubOptions};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestBuilder, SendBody, Timeout};

const REDIRECTS: usize = 10;
const INFO_BYTES: u64 = 64 << 20;
/// Longest wait for the answer to a request that writes, in timeouts of other requests.
const COMMIT_TIMEOUTS: u32 = 6;

/// One model on the hub.
pub(super) struct Client<'a> {
    agent: Agent,
    pub(super) options: &'a HubOptions,
    origin: Origin,
    pub(super) id: &'a str,
    pub(super) revision: &'a str,
    /// Set once the server has answered; before that, a failed connection is not retried.
    answered: Cell<bool>,
}

/// A revision on the hub.
pub(super) struct Info {
    pub(super) commit: String,
    /// The files and, if known, their lengths.
    pub(super) files: BTreeMap<String, Option<u64>>,
}

/// Metadata of a file on the hub.
pub(super) struct Metadata {
    /// Valid as a file name.
    pub(super) etag: String,
    pub(super) size: Option<u64>,
}

/// A failed request.
pub(super) struct Failure {
    pub(super) error: Box<HubError>,
    /// `true` if a retry may succeed.
    pub(super) retry: bool,
    /// Wait that the server requests.
    pub(super) wait: Option<Duration>,
    /// `true` if enough bytes arrived to reset the count of retries.
    pub(super) progressed: bool,
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self { error: Box::new(error), retry: false, wait: None, progressed: false }
    }
}

impl Failure {
    /// Creates a failure that a retry may resolve.
    pub(super) fn transient(error: HubError) -> Self {
        Self { retry: true, ..error.into() }
    }
}

impl<'a> Client<'a> {
    /// Creates a client; `at_most` limits the options' timeout of connections.
    pub(super) fn new(
        id: &'a str,
        revision: &'a str,
        options: &'a HubOptions,
        at_most: Duration,
    ) -> Result<Self, HubError> {
        let connect_timeout = options.connect_timeout.min(at_most);
        let origin = Origin::of(&options.check_endpoint()?).ok_or(HubError::Endpoint(options.endpoint.clone()))?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("maana/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(certificates(options)?).build())
            .timeout_resolve(Some(connect_timeout))
            .timeout_connect(Some(connect_timeout))
            .timeout_send_request(Some(options.timeout))
            .timeout_recv_response(Some(options.timeout))
            .timeout_per_write(Some(options.timeout))
            .timeout_per_read(Some(options.timeout));
        if origin.is_this_machine() {
            config = config.proxy(None);
        }
        let agent = config.build().new_agent();
        Ok(Self { agent, options, origin, id, revision, answered: Cell::new(false) })
    }

    /// Requests the commit and the files of the revision.
    pub(super) fn info(&self, notify: &mut EventHandler<'_>) -> Result<Info, HubError> {
        let url = format!(
            "{}/api/models/{}/revision/{}?blobs=true",
            self.options.endpoint,
            self.id,
            escape(self.revision, false)
        );
        self.attempts(notify, |_| {
            let json = self.get_json(&url)?;
            let commit = json["sha"].as_str().filter(|sha| is_commit(sha));
            let commit = commit.ok_or_else(|| self.protocol(&url, "the answer has no commit in `sha`".into()))?;
            let siblings = json["siblings"].as_array();
            let siblings = siblings.ok_or_else(|| self.protocol(&url, "the answer has no `siblings`".into()))?;
            let file = |entry: &Value| Some((entry["rfilename"].as_str()?.into(), entry["size"].as_u64()));
            Ok(Info { commit: commit.into(), files: siblings.iter().filter_map(file).collect() })
        })
    }

    /// Returns the address of a file.
    pub(super) fn file_url(&self, commit: &str, file: &str) -> String {
        format!("{}/{}/resolve/{commit}/{}", self.options.endpoint, self.id, escape(file, true))
    }

    /// Requests the metadata of a file from the hub, not from its storage server.
    pub(super) fn metadata(&self, url: &str, commit: &str) -> Result<Metadata, Failure> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let response = self.call(true, &url, 0)?;
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            let next = redirect(&response).map(|location| self.join(&url, location)).transpose()?;
            if let Some(next) = &next
                && header("x-linked-etag").is_none()
                && self.is_endpoint(next)
            {
                url = next.clone();
                continue;
            }
            if header("x-repo-commit").is_some_and(|given| given != commit) {
                return Err(self.protocol(&url, format!("the answer is not of the commit {commit}")).into());
            }
            let etag = header("x-linked-etag").or_else(|| header("etag")).and_then(plain_etag);
            let etag = etag.ok_or_else(|| self.protocol(&url, "the answer has no ETag that can name a file".into()))?;
            let own = || header("content-length").filter(|_| next.is_none());
            let size = header("x-linked-size").or_else(own).and_then(|size| size.parse().ok());
            return Ok(Metadata { etag, size });
        }
        Err(self.protocol(&url, format!("more than {REDIRECTS} redirects")).into())
    }

    /// Requests a file, from `offset` on if the server supports ranges.
    pub(super) fn get(&self, url: &str, offset: u64) -> Result<Response<Body>, Failure> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let response = self.call(false, &url, offset)?;
            match redirect(&response) {
                Some(location) => url = self.join(&url, location)?,
                None => return Ok(response),
            }
        }
        Err(self.protocol(&url, format!("more than {REDIRECTS} redirects")).into())
    }

    /// Requests an answer in JSON.
    pub(super) fn get_json(&self, url: &str) -> Result<Value, Failure> {
        let mut response = self.get(url, 0)?;
        let body = response.body_mut().with_config().limit(INFO_BYTES).read_to_vec();
        Ok(self.json(url, &body.map_err(|error| self.broken(url, error))?)?)
    }

    /// Parses an answer in JSON.
    pub(super) fn json(&self, url: &str, bytes: &[u8]) -> Result<Value, HubError> {
        serde_json::from_slice(bytes).map_err(|error| self.protocol(url, format!("the answer is not JSON ({error})")))
    }

    /// Sends a request with a body that can be sent again, and reads the answer, whatever its
    /// status.
    pub(super) fn post(&self, url: &str, kind: &str, body: &[u8]) -> Result<Response<Vec<u8>>, Failure> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            // A commit takes the hub longer than other answers.
            let wait = Some(COMMIT_TIMEOUTS * self.options.timeout);
            let request = self.agent.post(&url).config().timeout_recv_response(wait).build();
            let request = request.header("content-type", kind).header("accept", kind);
            let response = self.read(&url, self.authorized(&url, request).send(body))?;
            // A renamed model keeps its old address; other redirects would turn this into a GET.
            match redirect(&response).filter(|_| matches!(response.status().as_u16(), 307 | 308)) {
                Some(location) => url = self.join(&url, location)?,
                None => return Ok(response),
            }
        }
        Err(self.protocol(&url, format!("more than {REDIRECTS} redirects")).into())
    }

    /// Sends `length` bytes to a storage server, without the token, and reads the answer, whatever
    /// its status.
    pub(super) fn put(&self, url: &str, length: u64, mut body: impl Read) -> Result<Response<Vec<u8>>, Failure> {
        let request = self.agent.put(url).header("content-length", length);
        self.read(url, request.send(SendBody::from_reader(&mut body)))
    }

    fn read(&self, url: &str, sent: Result<Response<Body>, ureq::Error>) -> Result<Response<Vec<u8>>, Failure> {
        let response = sent.map_err(|error| self.broken(url, error))?;
        self.answered.set(true);
        let (head, mut body) = response.into_parts();
        let body = body.with_config().limit(INFO_BYTES).read_to_vec().map_err(|error| self.broken(url, error))?;
        Ok(Response::from_parts(head, body))
    }

    /// Adds the token to a request to the endpoint.
    fn authorized<T>(&self, url: &str, request: RequestBuilder<T>) -> RequestBuilder<T> {
        match self.options.token.as_ref().filter(|_| self.is_endpoint(url)) {
            Some(token) => request.header("authorization", token.header()),
            None => request,
        }
    }

    /// Runs an action, and retries transient failures after increasing pauses.
    pub(super) fn attempts<T>(
        &self,
        notify: &mut EventHandler<'_>,
        mut action: impl FnMut(&mut EventHandler<'_>) -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        let mut failed = 0;
        loop {
            let failure = match action(notify) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if failure.progressed {
                failed = 0;
            }
            if !failure.retry || failed == self.options.retries {
                return Err(*failure.error);
            }
            let wait = failure.wait.unwrap_or(self.options.backoff * (1 << failed.min(6)));
            failed += 1;
            notify(HubEvent::Notice(&format!("{}; retrying in {:.1} s", cause(&failure.error), wait.as_secs_f64())));
            std::thread::sleep(wait);
        }
    }

    /// Sends one request. Returns success, redirects and status 416; every other status is a
    /// failure.
    fn call(&self, head: bool, url: &str, offset: u64) -> Result<Response<Body>, Failure> {
        let mut request = if head { self.agent.head(url) } else { self.agent.get(url) };
        // Length and checksum refer to uncompressed bytes.
        request = request.header("accept-encoding", "identity");
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        let sent = self.authorized(url, request).call();
        let mut response = sent.map_err(|error| self.broken(url, error))?;
        self.answered.set(true);
        let status = response.status();
        if status.is_success() || status.is_redirection() || (status == StatusCode::RANGE_NOT_SATISFIABLE && offset > 0)
        {
            return Ok(response);
        }
        let _ = response.body_mut().with_config().limit(1 << 16).read_to_vec();
        Err(self.refusal(url, &response))
    }

    pub(super) fn is_endpoint(&self, url: &str) -> bool {
        url.parse().ok().and_then(|address| Origin::of(&address)).is_some_and(|origin| origin == self.origin)
    }

    /// Resolves the location of a redirect.
    fn join(&self, url: &str, location: &str) -> Result<String, HubError> {
        let wrong = || self.protocol(url, format!("redirects to {:?}, which is not followed", shown(location)));
        join(url, location).ok_or_else(wrong)
    }

    pub(super) fn protocol(&self, url: &str, reason: String) -> HubError {
        HubError::Protocol { url: shown(url), reason }
    }

    /// Explains a missing or interrupted answer.
    pub(super) fn broken(&self, url: &str, error: ureq::Error) -> Failure {
        use ureq::Error;
        let reason = match &error {
            Error::HostNotFound => "the host name is unknown".to_owned(),
            Error::Timeout(Timeout::Resolve) => "resolving the host name timed out".into(),
            Error::Timeout(Timeout::Connect) => "the connection timed out".into(),
            Error::Timeout(_) => format!("the server was silent for {:?}", self.options.timeout),
            Error::BodyExceedsLimit(limit) => format!("the answer is longer than {limit} bytes"),
            Error::Rustls(error) => certificate_reason(&error.to_string()),
            other => certificate_reason(&other.to_string()),
        };
        if matches!(error, Error::BadUri(_) | Error::Http(_) | Error::BodyExceedsLimit(_)) {
            return self.protocol(url, reason).into();
        }
        let connected = matches!(&error, Error::Timeout(t) if !matches!(t, Timeout::Resolve | Timeout::Connect));
        if self.answered.get() || connected {
            return Failure::transient(HubError::Interrupted { url: shown(url), reason });
        }
        HubError::Unreachable {
            name: self.id.into(),
            missing: String::new(),
            endpoint: self.options.endpoint.clone(),
            reason,
            tried: String::new(),
        }
        .into()
    }

    /// Explains a status of 400 and above.
    fn refusal(&self, url: &str, response: &Response<Body>) -> Failure {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let (code, message) = (header("x-error-code").unwrap_or_default(), header("x-error-message"));
        let status = response.status().as_u16();
        let (id, endpoint) = (self.id.to_owned(), self.options.endpoint.clone());
        let hidden =
            |message: &str| self.options.token.as_ref().map_or(message.to_owned(), |token| token.removed_from(message));
        let message_part = message.map(|message| format!(": {}", hidden(message))).unwrap_or_default();
        let hint = match &self.options.token {
            Some(_) => {
                "The token that was sent (from HF_TOKEN or `hf auth login`) is not valid for this model: check that it has not \
                 expired and has read access"
            }
            None => "No token was sent: if you have access, set HF_TOKEN (from the hub's page Settings, Access Tokens)",
        };
        let invalid = message.is_some_and(|message| message.starts_with("Invalid credentials"));
        match (status, code) {
            // A storage server takes no token: the address has expired, or the server is broken.
            _ if !self.is_endpoint(url) => {
                Failure::transient(HubError::Server { url: shown(url), status, message: message_part })
            }
            (_, "RevisionNotFound") => HubError::NoRevision { id, revision: self.revision.into(), endpoint }.into(),
            (_, "EntryNotFound") => HubError::NoFile { url: shown(url) }.into(),
            (401 | 403, "GatedRepo") => HubError::Gated { id, endpoint, hint }.into(),
            // A missing or private model gives 401 without a token, 404 with one.
            (_, "RepoNotFound") => HubError::NoModel { id, endpoint, hint }.into(),
            (404, _) if url.contains("/api/models/") => HubError::NoModel { id, endpoint, hint }.into(),
            (401, _) if !invalid && url.contains("/api/models/") => HubError::NoModel { id, endpoint, hint }.into(),
            (404, _) => HubError::NoFile { url: shown(url) }.into(),
            (401 | 403, _) => HubError::Refused { url: shown(url), status, message: message_part, hint }.into(),
            _ => {
                let retry = matches!(status, 408 | 429 | 500 | 502 | 503 | 504);
                let wait = requested_wait(response.headers());
                Failure { retry, wait, ..HubError::Server { url: shown(url), status, message: message_part }.into() }
            }
        }
    }
}

/// Returns the wait that a server requests, a minute at most.
pub(super) fn requested_wait(headers: &HeaderMap) -> Option<Duration> {
    const LONGEST: u64 = 60;
    let seconds: u64 = headers.get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST)))
}

/// Returns the message of an error without the remedy.
fn cause(error: &HubError) -> String {
    match error {
        HubError::Interrupted { url, reason } => format!("{url}: {reason}"),
        HubError::Server { url, status, message } => {
            format!("{url}: the server failed (status {status}{message})")
        }
        other => other.to_string(),
    }
}

fn certificate_reason(reason: &str) -> String {
    let advice = if reason.to_lowercase().contains("certificate") {
        "; behind a proxy with its own certificates, set SSL_CERT_FILE to their file"
    } else {
        ""
    };
    format!("{reason}{advice}")
}

fn certificates(options: &HubOptions) -> Result<RootCerts, HubError> {
    let Some(path) = &options.certificates else { return Ok(RootCerts::WebPki) };
    let pem = maana_files::read(path).map_err(|source| {
        let reason = format!("the certificates of SSL_CERT_FILE cannot be read ({source})");
        HubError::io(path)(std::io::Error::new(source.kind(), reason))
    })?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<Certificate<'static>> = parse_pem(&pem).filter_map(certificate).collect();
    Ok(RootCerts::from(found))
}

fn redirect<T>(response: &Response<T>) -> Option<&str> {
    let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response.headers().get("location").filter(|_| moved).and_then(|value| value.to_str().ok())
}

fn is_commit(text: &str) -> bool {
    (40..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns an ETag without `W/` and quotation marks, if it is valid as a file name.
pub(super) fn plain_etag(etag: &str) -> Option<String> {
    let etag = etag.trim().trim_start_matches("W/").trim_matches('"');
    is_component(etag).then(|| etag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_become_file_names_or_nothing() {
        assert_eq!(plain_etag("\"abc-1\"").as_deref(), Some("abc-1"));
        assert_eq!(plain_etag("W/\"abc\"").as_deref(), Some("abc"));
        for wrong in ["", "\"\"", "\"../x\"", "\"a/b\"", "\"a b\"", "\".x\""] {
            assert_eq!(plain_etag(wrong), None, "{wrong}");
        }
    }
}
