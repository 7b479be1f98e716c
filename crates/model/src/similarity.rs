//! Roles of texts and measures of similarity.

/// The role of a text, for which a model may have a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A query: takes the prompt `query` if the model has one.
    Query,
    /// A document to be found: takes the prompt `document` if the model has one.
    Document,
}

/// Measure by which embeddings are compared (`similarity_fn_name`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Similarity {
    /// Cosine of the angle.
    #[default]
    Cosine,
    /// Dot product.
    Dot,
    /// Negated Euclidean distance.
    Euclidean,
    /// Negated Manhattan distance.
    Manhattan,
}
