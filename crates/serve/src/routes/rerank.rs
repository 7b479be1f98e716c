//! `/rerank`, `/v1/rerank` and `/v2/rerank`: documents in the order of their relevance to a query.
//! A list of `texts`, as text-embeddings-inference takes it, is answered in its form; `documents`
//! are answered in the form of Cohere, Jina and Infinity.

use crate::app::App;
use crate::inputs::Direction;
use crate::json::{parse, write_json};
use crate::origin::Origin;
use crate::ranking::{Documents, Ranking, rank};
use crate::reply::Reply;
use crate::reply_body::Pieces;
use crate::request::{Common, Fields, Request};
use crate::request_error::{ErrorKind, RequestError};
use crate::rows::SHORT_NUMBERS;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;

#[derive(Deserialize)]
pub(crate) struct RerankRequest {
    query: String,
    texts: Option<Vec<String>>,
    documents: Option<Vec<Document>>,
    top_n: Option<u64>,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
    return_documents: Option<bool>,
    max_tokens_per_doc: Option<u64>,
    rank_fields: Option<Vec<String>>,
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
    model: Option<String>,
}

impl Fields for RerankRequest {
    fn common(&mut self) -> Common {
        let documents = self.documents.as_ref().map_or(0, Vec::len);
        Common {
            model: self.model.take(),
            truncate: self.truncate,
            truncation_direction: self.truncation_direction,
            texts: 1 + self.texts.as_ref().map_or(documents, Vec::len),
            ..Common::default()
        }
    }
}

/// A document: a string, or an object with a `text`.
pub(crate) struct Document {
    text: String,
    /// The fields of the object other than `text`.
    fields: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, or an object with a `text`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Document, E> {
        Ok(Document { text: text.to_owned(), fields: Map::new() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            fields.insert(name, value);
        }
        match fields.remove("text") {
            Some(Value::String(text)) => Ok(Document { text, fields }),
            Some(_) => Err(A::Error::custom("the `text` of a document is not a string")),
            None => Err(A::Error::custom("a document has no `text`; others (images) are not read")),
        }
    }
}

pub(super) async fn rerank(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, common, origin) = request.read(app, parse::<RerankRequest>).await?;
    ranked(app, fields, common, origin).await
}

/// Ranks the documents of a request.
pub(super) async fn ranked(
    app: &App,
    fields: RerankRequest,
    common: Common,
    origin: Origin,
) -> Result<Reply, RequestError> {
    let most = |field: &'static str, value: Option<u64>| match value {
        Some(0) => Err(RequestError::field(field, format!("`{field}`: 0 is not allowed; leave it out for all"))),
        value => Ok(value.map(|value| usize::try_from(value).unwrap_or(usize::MAX))),
    };
    let top_n = most("top_n", fields.top_n)?;
    let document_tokens = most("max_tokens_per_doc", fields.max_tokens_per_doc)?;
    if fields.rank_fields.is_some_and(|names| names != ["text"]) {
        let message = "`rank_fields`: only `text` is read; join the fields into it";
        return Err(RequestError::field("rank_fields", message));
    }
    let (form, texts, others) = match (fields.texts, fields.documents) {
        (Some(texts), None) => (Form::Texts, texts, Vec::new()),
        (None, Some(documents)) => {
            let (texts, others) = documents.into_iter().map(|document| (document.text, document.fields)).unzip();
            (Form::Documents, texts, others)
        }
        (None, None) => return Err(RequestError::field("documents", "`documents` (or `texts`) is missing")),
        (Some(_), Some(_)) => {
            return Err(RequestError::field("documents", "`documents` and `texts` exclude each other"));
        }
    };
    if texts.is_empty() {
        return Err(RequestError::new(ErrorKind::Empty, format!("`{}`: the list is empty", form.field())));
    }
    let returns_texts = match form {
        Form::Texts => fields.return_text,
        Form::Documents => fields.return_documents.unwrap_or(false),
    };
    let documents = Documents { query: fields.query, texts, document_tokens, raw: fields.raw_scores };
    let mut ranking = rank(app, documents, common, origin).await?;
    ranking.order.truncate(top_n.unwrap_or(usize::MAX));
    let usage = ranking.usage.clone();
    let is_short = !returns_texts && ranking.order.len() <= SHORT_NUMBERS;
    let pieces = Ranked { form, ranking, others, returns_texts, next: 0 };
    Ok(Reply::streamed(&app.system, &app.log, pieces, is_short).await?.with_usage(usage))
}

/// Form of a request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Of text-embeddings-inference: `texts`, and a list.
    Texts,
    /// Of Cohere, Jina and Infinity: `documents`, and an object with `results`.
    Documents,
}

impl Form {
    fn field(self) -> &'static str {
        match self {
            Self::Texts => "texts",
            Self::Documents => "documents",
        }
    }
}

/// The answer.
struct Ranked {
    form: Form,
    ranking: Ranking,
    /// The fields of each document other than its text.
    others: Vec<Map<String, Value>>,
    returns_texts: bool,
    next: usize,
}

/// A text with its score.
#[derive(Serialize)]
struct RankedText<'a> {
    index: usize,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

/// A document with its score.
#[derive(Serialize)]
struct RankedDocument<'a> {
    index: usize,
    relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<ReturnedDocument<'a>>,
}

#[derive(Serialize)]
struct ReturnedDocument<'a> {
    text: &'a str,
    #[serde(flatten)]
    fields: &'a Map<String, Value>,
}

impl Ranked {
    fn begin(&self, out: &mut Vec<u8>) {
        match self.form {
            Form::Texts => out.push(b'['),
            Form::Documents => {
                out.extend_from_slice(br#"{"object":"rerank","model":"#);
                write_json(out, &self.ranking.model);
                out.extend_from_slice(br#","results":["#);
            }
        }
    }

    fn end(&self, out: &mut Vec<u8>) {
        out.push(b']');
        if self.form == Form::Documents {
            let tokens = self.ranking.usage.tokens;
            out.extend_from_slice(br#","usage":"#);
            write_json(out, &json!({"prompt_tokens": tokens, "total_tokens": tokens}));
            out.extend_from_slice(br#","meta":"#);
            write_json(out, &json!({"tokens": {"input_tokens": tokens}}));
            out.push(b'}');
        }
    }
}

impl Pieces for Ranked {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        if self.next == 0 {
            self.begin(out);
        } else {
            out.push(b',');
        }
        let Ranking { order, texts, .. } = &self.ranking;
        let (index, score) = order[self.next];
        let text = self.returns_texts.then(|| texts[index].as_str());
        match self.form {
            Form::Texts => write_json(out, &RankedText { index, score, text }),
            Form::Documents => {
                let document = text.map(|text| ReturnedDocument { text, fields: &self.others[index] });
                write_json(out, &RankedDocument { index, relevance_score: score, document });
            }
        }
        self.next += 1;
        let more = self.next < order.len();
        if !more {
            self.end(out);
        }
        Ok(more)
    }
}
