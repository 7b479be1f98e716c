//! The table of all routes, and one file for each family. A route extracts its request, calls what
//! computes, and writes its answer.

mod classify;
mod embed;
mod openai;
mod predict;
mod rerank;
mod search;
mod similarity;
mod status;
mod tokens;

use crate::app::App;
use crate::reply::Reply;
use crate::request::Request;
use crate::request_error::{ErrorKind, RequestError};
use hyper::Method;
use std::borrow::Cow;

/// A route.
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
    Predict,
    Search,
    Classify,
}

/// Method, path and route of each; `{id}` is a name, which may contain slashes.
pub(crate) const ROUTES: [(&str, &str, Route); 27] = [
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
    ("POST", "/v1/rerank", Route::Rerank),
    ("POST", "/v2/rerank", Route::Rerank),
    ("POST", "/predict", Route::Predict),
    ("POST", "/search", Route::Search),
    ("POST", "/classify", Route::Classify),
];

impl Route {
    /// True if it is served without a key: health, and pages without data. The page for people asks
    /// them for the key.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Ready | Self::Live | Self::Page | Self::Docs | Self::OpenApi)
    }

    /// True if it is served without computing or waiting, also when all connections are busy.
    pub(crate) fn is_immediate(self) -> bool {
        self.is_open() || matches!(self, Self::Metrics | Self::OpenAiModels | Self::OpenAiModel)
    }
}

/// Returns the route of a path, and its name for the metrics.
///
/// # Errors
/// If there is no such route, or it has another method.
pub(crate) fn find(method: &Method, path: &str) -> Result<(Route, &'static str), RequestError> {
    let fits = |pattern: &str| if pattern.contains(ID) { named(pattern, path).is_some() } else { path == pattern };
    // The connection omits the body of an answer to HEAD.
    let requested = if method == Method::HEAD { "GET" } else { method.as_str() };
    let known: Vec<_> = ROUTES.iter().filter(|(_, pattern, _)| fits(pattern)).collect();
    if known.is_empty() {
        return Err(RequestError::new(ErrorKind::NoRoute, "there is no such route; `GET /docs` lists all"));
    }
    if let Some((_, path, route)) = known.iter().find(|(method, ..)| *method == requested) {
        return Ok((*route, *path));
    }
    let methods: Vec<&str> = known.iter().map(|(method, ..)| *method).collect();
    let methods = methods.join(", ");
    Err(RequestError::new(ErrorKind::Method, format!("this route takes {methods} only")).allowing(methods))
}

/// Placeholder of a name in a route's path.
const ID: &str = "{id}";

/// Returns the name in a path of this form, without `%`-escapes.
fn named(pattern: &str, path: &str) -> Option<String> {
    let (before, behind) = pattern.split_once(ID)?;
    let name = path.strip_prefix(before)?.strip_suffix(behind)?;
    (!name.is_empty()).then(|| unescaped(name))
}

/// Decodes the `%`-escapes of a part of a path.
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

/// Removes repeated and final slashes: clients that append `/embed` to an address with a final
/// slash send `//embed`.
pub(crate) fn normal(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path });
    }
    let parts = path.split('/').filter(|part| !part.is_empty());
    let joined = parts.fold(String::new(), |path, part| path + "/" + part);
    Cow::Owned(if joined.is_empty() { "/".into() } else { joined })
}

/// Answers a request.
///
/// # Errors
/// If it is invalid, refused, or cannot be answered.
pub(crate) async fn answer(app: &App, route: Route, request: Request) -> Result<Reply, RequestError> {
    match route {
        Route::Page => Ok(status::page()),
        Route::Docs => Ok(status::docs()),
        Route::OpenApi => Ok(status::openapi()),
        Route::Live => status::live(app),
        Route::Ready => status::ready(app),
        Route::Metrics => Ok(status::metrics(app)),
        Route::Info => status::info(app).await,
        Route::OpenAiModels => Ok(openai::models(app)),
        Route::OpenAiModel => openai::model(app, named("/v1/models/{id}", &request.path)),
        Route::OpenAiEmbeddings => openai::embeddings(app, request, None).await,
        Route::AzureEmbeddings => {
            let deployment = named("/openai/deployments/{id}/embeddings", &request.path);
            openai::embeddings(app, request, deployment).await
        }
        Route::Root => embed::root(app, request).await,
        Route::Embed => embed::embed(app, request).await,
        Route::EmbedAll => embed::embed_all(app, request).await,
        Route::Tokenize => tokens::tokenize(app, request).await,
        Route::Decode => tokens::decode(app, request).await,
        Route::Similarity => similarity::similarity(app, request).await,
        Route::Matrix => similarity::matrix(app, request).await,
        Route::Rerank => rerank::rerank(app, request).await,
        Route::Predict => predict::predict(app, request).await,
        Route::Search => search::search(app, request).await,
        Route::Classify => classify::classify(app, request).await,
    }
}

#[cfg(test)]
mod drift;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Result<Route, ErrorKind> {
        find(&method.parse().unwrap(), path).map(|(route, _)| route).map_err(|error| error.kind)
    }

    #[test]
    fn every_route_is_found_by_its_own_path_only() {
        for (method, path, route) in ROUTES {
            assert_eq!(found(method, &path.replace("{id}", "a/b")), Ok(route));
            assert_eq!(found("DELETE", &path.replace("{id}", "x")), Err(ErrorKind::Method));
        }
        assert_eq!(found("HEAD", "/health"), Ok(Route::Ready));
        for path in ["", "/embed/", "/v1", "/v1/models/", "//", "/EMBED", "/openai/deployments//embeddings"] {
            assert_eq!(found("GET", path), Err(ErrorKind::NoRoute), "{path}");
        }
    }

    #[test]
    fn repeated_and_final_slashes_are_removed() {
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
    fn escapes_of_a_path_are_decoded() {
        assert_eq!(named("/v1/models/{id}", "/v1/models/a%2Fb%20c").as_deref(), Some("a/b c"));
        assert_eq!(named("/d/{id}/embeddings", "/d/a/b/embeddings").as_deref(), Some("a/b"));
        assert_eq!(named("/d/{id}/embeddings", "/d//embeddings"), None);
        for (text, expected) in [("100%", "100%"), ("%zz%4", "%zz%4"), ("%c3%a9", "é")] {
            assert_eq!(unescaped(text), expected);
        }
    }
}
