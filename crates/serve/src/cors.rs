//! Cross-origin requests (CORS).

use crate::error::ServeError;
use crate::reply::Reply;
use hyper::header::{HeaderMap, HeaderValue};

/// The origin whose pages may send requests.
pub(crate) struct Cors(HeaderValue);

impl Cors {
    /// Reads `--cors`: an origin, or `*`.
    pub(crate) fn new(origin: &str) -> Result<Self, ServeError> {
        let wrong = |remedy: &str| ServeError::Settings(format!("--cors {origin}: not an origin; {remedy}"));
        let example = "write it as in https://example.org, or * for all";
        let value = HeaderValue::from_str(origin).map_err(|_| wrong(example))?;
        if origin == "*" || origin == "null" {
            return Ok(Self(value));
        }
        let host = origin.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).map(|(_, host)| host);
        match host {
            Some(host) if host.is_empty() || host.contains(char::is_whitespace) => Err(wrong(example)),
            Some(host) if host.contains(['/', '?', '#']) => {
                Err(wrong("it ends with the host and the port, and has no path, not even a /"))
            }
            Some(_) if origin.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Err(wrong("browsers send it in lower case"))
            }
            Some(_) => Ok(Self(value)),
            None => Err(wrong(example)),
        }
    }

    /// Returns true if the page that sends a request may.
    fn allows(&self, request: &HeaderMap) -> bool {
        request.get("origin").is_some_and(|origin| self.0 == "*" || self.0 == *origin)
    }

    /// Answers a preflight request.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> Reply {
        let mut reply = Reply::new("text/plain", "");
        reply.status = 204;
        if self.allows(request) {
            // Clients have headers of their own: a page that may send requests may send any
            // headers.
            let headers = request.get("access-control-request-headers").and_then(|headers| headers.to_str().ok());
            let usual = "authorization, api-key, content-type, x-priority, x-request-id";
            reply.header("access-control-allow-headers", headers.unwrap_or(usual));
            reply.header("access-control-allow-methods", "GET, POST, OPTIONS");
            reply.header("access-control-max-age", "3600");
        }
        reply
    }

    /// Adds the headers of an answer that the page may read.
    pub(crate) fn add_headers(&self, answer: &mut HeaderMap, request: &HeaderMap) {
        answer.insert("vary", HeaderValue::from_static("origin, access-control-request-headers"));
        if self.allows(request) {
            answer.insert("access-control-allow-origin", self.0.clone());
            answer.insert("access-control-expose-headers", HeaderValue::from_static("*"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_that_no_browser_sends_are_refused() {
        for origin in ["*", "null", "https://example.org", "http://localhost:3000", "app://x"] {
            assert!(Cors::new(origin).is_ok(), "{origin}");
        }
        for origin in ["https://a/", "https://a/b", "example.org", "", "https://", "https://A.b", "https://a b", "a\nb"]
        {
            let error = Cors::new(origin).err().unwrap_or_else(|| panic!("{origin}")).to_string();
            assert!(error.contains("not an origin; "), "{error}");
        }
    }
}
