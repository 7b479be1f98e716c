//! The routes: one table of all of them, and one file for each family. A route reads its body, asks `App` to compute, writes
//! its answer; what is computed is not known here.

mod classify;
mod embed;
mod openai;
mod rerank;
mod search;
mod similarity;
mod status;
mod tokens;

use crate::app::{App, Asked};
use crate::body::Sent;
use crate::fault::{Fault, Kind};
use crate::reply::Reply;
use hyper::Method;
use std::borrow::Cow;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Page,
    Docs,
    OpenApi,
    Info,
    Ready,
    Live,
    Metrics,
    OpenAiEmbeddings,
    AzureEmbeddings,
    OpenAiModels,
    OpenAiModel,
    Root,
    Embed,
    EmbedAll,
    Tokenize,
    Decode,
    Similarity,
    Matrix,
    Rerank,
    Search,
    Classify,
}

/// Every route: method, path, what it is. `{id}` stands for a name, which may have slashes.
pub(crate) const ROUTES: [(&str, &str, Route); 24] = [
    ("GET", "/", Route::Page),
    ("GET", "/docs", Route::Docs),
    ("GET", "/openapi.json", Route::OpenApi),
    ("GET", "/info", Route::Info),
    ("GET", "/health", Route::Ready),
    ("GET", "/health/ready", Route::Ready),
    ("GET", "/health/live", Route::Live),
    ("GET", "/ping", Route::Ready),
    ("GET", "/metrics", Route::Metrics),
    ("POST", "/v1/embeddings", Route::OpenAiEmbeddings),
    ("POST", "/embeddings", Route::OpenAiEmbeddings),
    ("POST", "/openai/deployments/{id}/embeddings", Route::AzureEmbeddings),
    ("GET", "/v1/models", Route::OpenAiModels),
    ("GET", "/v1/models/{id}", Route::OpenAiModel),
    ("POST", "/", Route::Root),
    ("POST", "/embed", Route::Embed),
    ("POST", "/embed_all", Route::EmbedAll),
    ("POST", "/tokenize", Route::Tokenize),
    ("POST", "/decode", Route::Decode),
    ("POST", "/similarity", Route::Similarity),
    ("POST", "/similarity/matrix", Route::Matrix),
    ("POST", "/rerank", Route::Rerank),
    ("POST", "/search", Route::Search),
    ("POST", "/classify", Route::Classify),
];

impl Route {
    /// Whether it is answered without a key: what tells machines that the server lives, and pages that hold no data. That for
    /// people asks them for the key.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Ready | Self::Live | Self::Page | Self::Docs | Self::OpenApi)
    }
}

/// The route of a path and its name for the metrics, or why there is none.
pub(crate) fn find(method: &Method, path: &str) -> Result<(Route, &'static str), Fault> {
    let fits = |pattern: &str| if pattern.contains(ID) { named(pattern, path).is_some() } else { path == pattern };
    // Whoever asks for the head of an answer alone is given that by the connection.
    let asked = if method == Method::HEAD { "GET" } else { method.as_str() };
    let known: Vec<_> = ROUTES.iter().filter(|(_, pattern, _)| fits(pattern)).collect();
    if known.is_empty() {
        return Err(Fault::new(Kind::NoRoute, "there is nothing here; `GET /docs` lists what can be asked"));
    }
    if let Some((_, path, route)) = known.iter().find(|(method, ..)| *method == asked) {
        return Ok((*route, *path));
    }
    let methods: Vec<&str> = known.iter().map(|(method, ..)| *method).collect();
    let methods = methods.join(", ");
    Err(Fault::new(Kind::Method, format!("this can be asked with {methods} alone")).allowing(methods))
}

/// What stands for a name in a route's path.
const ID: &str = "{id}";

/// The name in a path of this form, as it was before `%`-escapes.
fn named(pattern: &str, path: &str) -> Option<String> {
    let (before, behind) = pattern.split_once(ID)?;
    let name = path.strip_prefix(before)?.strip_suffix(behind)?;
    (!name.is_empty()).then(|| unescaped(name))
}

/// A part of a path as it was before `%`-escapes.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let escaped = text.get(place + 1..place + 3).filter(|_| bytes[place] == b'%');
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                place += 3;
            }
            None => {
                out.push(bytes[place]);
                place += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A path as routes are written: clients that put an address before `/embed` make `//embed` of one that ends in a slash.
pub(crate) fn normal(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path });
    }
    let parts = path.split('/').filter(|part| !part.is_empty());
    let joined = parts.fold(String::new(), |path, part| path + "/" + part);
    Cow::Owned(if joined.is_empty() { "/".into() } else { joined })
}

impl App {
    /// Answers what a route is asked.
    pub(crate) async fn route(&self, route: Route, path: &str, asked: Asked, body: Sent) -> Result<Reply, Fault> {
        match route {
            Route::Page => Ok(status::page()),
            Route::Docs => Ok(status::docs()),
            Route::OpenApi => Ok(status::openapi()),
            Route::Live => status::live(self),
            Route::Ready => status::ready(self),
            Route::Metrics => Ok(status::metrics(self)),
            Route::Info => status::info(self).await,
            Route::OpenAiModels => Ok(openai::models(self)),
            Route::OpenAiModel => openai::model(self, named("/v1/models/{id}", path)),
            Route::OpenAiEmbeddings => openai::embeddings(self, asked, None, &self.read_body(body).await?).await,
            Route::AzureEmbeddings => {
                let deployment = named("/openai/deployments/{id}/embeddings", path);
                openai::embeddings(self, asked, deployment, &self.read_body(body).await?).await
            }
            Route::Root => embed::root(self, asked, &self.read_body(body).await?).await,
            Route::Embed => embed::embed(self, asked, &self.read_body(body).await?).await,
            Route::EmbedAll => embed::embed_all(self, asked, &self.read_body(body).await?).await,
            Route::Tokenize => tokens::tokenize(self, &self.read_body(body).await?).await,
            Route::Decode => tokens::decode(self, &self.read_body(body).await?).await,
            Route::Similarity => similarity::similarity(self, asked, &self.read_body(body).await?).await,
            Route::Matrix => similarity::matrix(self, asked, &self.read_body(body).await?).await,
            Route::Rerank => rerank::rerank(self, asked, &self.read_body(body).await?).await,
            Route::Search => search::search(self, asked, &self.read_body(body).await?).await,
            Route::Classify => classify::classify(self, asked, &self.read_body(body).await?).await,
        }
    }
}

#[cfg(test)]
mod drift;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Result<Route, Kind> {
        find(&method.parse().unwrap(), path).map(|(route, _)| route).map_err(|fault| fault.kind)
    }

    #[test]
    fn every_route_is_found_by_its_own_path_and_no_other_way() {
        for (method, path, route) in ROUTES {
            assert_eq!(found(method, &path.replace("{id}", "a/b")), Ok(route));
            assert_eq!(found("DELETE", &path.replace("{id}", "x")), Err(Kind::Method));
        }
        assert_eq!(found("HEAD", "/health"), Ok(Route::Ready));
        for path in ["", "/embed/", "/v1", "/v1/models/", "//", "/EMBED", "/openai/deployments//embeddings"] {
            assert_eq!(found("GET", path), Err(Kind::NoRoute), "{path}");
        }
    }

    #[test]
    fn a_path_is_the_same_with_slashes_twice_and_at_the_end() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("///", "/"),
            ("/embed", "/embed"),
            ("//embed", "/embed"),
            ("/embed/", "/embed"),
            ("/v1//embeddings//", "/v1/embeddings"),
            ("", ""),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn escapes_of_a_path_are_read() {
        assert_eq!(named("/v1/models/{id}", "/v1/models/a%2Fb%20c").as_deref(), Some("a/b c"));
        assert_eq!(named("/d/{id}/embeddings", "/d/a/b/embeddings").as_deref(), Some("a/b"));
        assert_eq!(named("/d/{id}/embeddings", "/d//embeddings"), None);
        for (text, expected) in [("100%", "100%"), ("%zz%4", "%zz%4"), ("%c3%a9", "é")] {
            assert_eq!(unescaped(text), expected);
        }
    }
}
