//! The tables of a store in SQL, and the rows' content.

use maana_files::hex;
use maana_vectors::search::Metric;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::Xxh3;

/// Format version that is written, and the latest that is read.
pub(crate) const VERSION: i32 = 1;
/// Comment of a schema that is a store.
pub(crate) const COMMENT: &str = "maana store";
/// Comment of a schema that is a store to which documents are still added for the first time.
pub(crate) const UNFINISHED: &str = "maana store, unfinished";

/// Properties of a whole store that never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Dimension of the vectors.
    pub dims: usize,
    /// Metric that compares the vectors.
    pub metric: Metric,
    /// `true` if values are rounded to f16 (`halfvec`), two bytes instead of four.
    pub half: bool,
    /// Fingerprint of the model, in hexadecimal digits; only compared.
    pub fingerprint: String,
    /// Name of the model.
    pub made_by: String,
    /// Precision of the products that made the vectors, if it was recorded.
    pub precision: Option<String>,
    /// Prompt of the documents, if it was recorded.
    pub document_prompt: Option<String>,
}

impl Header {
    /// Creates a header; the fingerprint is any bytes.
    pub fn new(dims: usize, metric: Metric, half: bool, fingerprint: &[u8], made_by: &str) -> Self {
        let fingerprint = hex(fingerprint);
        Self { dims, metric, half, fingerprint, made_by: made_by.to_owned(), precision: None, document_prompt: None }
    }

    /// Records the precision of the products that make the vectors.
    pub fn with_precision(self, name: &str) -> Self {
        Self { precision: Some(name.to_owned()), ..self }
    }

    /// Records the prompt of the documents.
    pub fn with_document_prompt(self, prompt: &str) -> Self {
        Self { document_prompt: Some(prompt.to_owned()), ..self }
    }

    /// Returns the leading columns of a vector in SQL, as `vector`.
    pub(crate) fn prefix(&self, embedding: &str, dim: usize) -> String {
        let full = if self.half { format!("{embedding}::vector") } else { embedding.to_owned() };
        if dim < self.dims { format!("subvector({full}, 1, {dim})") } else { full }
    }
}

/// Returns pgvector's operator of the distance for a metric; a smaller distance is nearer.
pub(crate) fn operator(metric: Metric) -> &'static str {
    match metric {
        Metric::Cosine => "<=>",
        Metric::Dot => "<#>",
        Metric::Euclidean => "<->",
        Metric::Manhattan => "<+>",
    }
}

/// Payload of a document, a `jsonb`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub(crate) text: String,
    pub(crate) fields: BTreeMap<String, String>,
}

/// Returns a document's payload as bytes, and the checksum of id, vector and payload.
pub(crate) fn encode(id: &str, vector: &[f32], payload: &Payload) -> (Vec<u8>, i64) {
    let payload = serde_json::to_vec(payload).expect("texts are JSON");
    let mut hasher = Xxh3::new();
    hasher.update(id.as_bytes());
    hasher.update(&[0]);
    vector.iter().for_each(|value| hasher.update(&value.to_le_bytes()));
    hasher.update(&payload);
    (payload, hasher.digest().cast_signed())
}

/// Quotes a name for SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the full name of a table or index of the store called `name`.
pub(crate) fn table(name: &str, table: &str) -> String {
    format!("{}.{table}", quoted(name))
}

/// Returns the statement that sets the comment of the schema.
pub(crate) fn comment(name: &str, comment: &str) -> String {
    format!("COMMENT ON SCHEMA {} IS '{comment}';", quoted(name))
}

/// Returns the statements that create the schema.
pub(crate) fn schema(name: &str, header: &Header, kind: &str) -> String {
    let (comment, name, dims) = (comment(name, kind), quoted(name), header.dims);
    let stored = if header.half { "halfvec" } else { "vector" };
    format!(
        "CREATE SCHEMA {name};
         {comment}
         CREATE TABLE {name}.meta (
             version integer NOT NULL, generation bigint NOT NULL, dims integer NOT NULL, metric text NOT NULL,
             half boolean NOT NULL, fingerprint text NOT NULL, made_by text NOT NULL, precision text,
             document_prompt text, graph text,
             single boolean NOT NULL DEFAULT true UNIQUE CHECK (single));
         CREATE TABLE {name}.documents (
             id text PRIMARY KEY, seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE, embedding {stored}({dims}) NOT NULL,
             payload jsonb NOT NULL, checksum bigint NOT NULL);"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_names_are_escaped() {
        assert_eq!(quoted("a\"; DROP SCHEMA public; --"), "\"a\"\"; DROP SCHEMA public; --\"");
    }
}
