//! What pages of other origins may do, as browsers ask for it.

use crate::error::ServeError;
use crate::reply::Reply;
use hyper::header::{HeaderMap, HeaderValue};

/// The origin whose pages may ask.
pub(crate) struct Cors(HeaderValue);

impl Cors {
    /// Of `--cors`: an origin, or `*`.
    pub(crate) fn new(origin: &str) -> Result<Self, ServeError> {
        let wrong = |remedy: &str| ServeError::Settings(format!("--cors {origin}: is no origin; {remedy}"));
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
                Err(wrong("browsers write it in small letters"))
            }
            Some(_) => Ok(Self(value)),
            None => Err(wrong(example)),
        }
    }

    /// Whether the page that asks is let.
    fn allows(&self, asked: &HeaderMap) -> bool {
        asked.get("origin").is_some_and(|origin| self.0 == "*" || self.0 == *origin)
    }

    /// The answer to the question which requests may be made.
    pub(crate) fn preflight(&self, asked: &HeaderMap) -> Reply {
        let mut reply = Reply::text("text/plain", "");
        reply.status = 204;
        if self.allows(asked) {
            // Clients have headers of their own: what a page is let ask, it is let ask with any.
            let headers = asked.get("access-control-request-headers").and_then(|headers| headers.to_str().ok());
            let usual = "authorization, api-key, content-type, x-priority, x-request-id";
            reply.header("access-control-allow-headers", headers.unwrap_or(usual));
            reply.header("access-control-allow-methods", "GET, POST, OPTIONS");
            reply.header("access-control-max-age", "3600");
        }
        reply
    }

    /// Adds to an answer that the page may read it.
    pub(crate) fn mark(&self, answer: &mut HeaderMap, asked: &HeaderMap) {
        answer.insert("vary", HeaderValue::from_static("origin, access-control-request-headers"));
        if self.allows(asked) {
            answer.insert("access-control-allow-origin", self.0.clone());
            answer.insert("access-control-expose-headers", HeaderValue::from_static("*"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_browser_would_send_is_no_origin() {
        for origin in ["*", "null", "https://example.org", "http://localhost:3000", "app://x"] {
            assert!(Cors::new(origin).is_ok(), "{origin}");
        }
        for origin in ["https://a/", "https://a/b", "example.org", "", "https://", "https://A.b", "https://a b", "a\nb"]
        {
            let error = Cors::new(origin).err().unwrap_or_else(|| panic!("{origin}")).to_string();
            assert!(error.contains("is no origin; "), "{error}");
        }
    }
}
