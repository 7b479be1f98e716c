//! `Encoder`: what searching and judging need of a model. Strings in, f32 rows out; prompts are its business alone.

use maana_kernels::{Matrix, Precision};

/// What a text is to the encoder, which may have a prompt for each role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A question, put before the `query` prompt if the model has one.
    Query,
    /// A text to be found, put before the `document` prompt if the model has one.
    Document,
}

/// How the model's embeddings are compared (`similarity_fn_name`).
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

/// A model that turns strings into embeddings.
pub trait Encoder {
    /// Embeds the texts: `(texts, dimension)`, rows in the order of the texts. A row does not depend on its neighbours.
    ///
    /// # Errors
    /// If a text cannot be tokenised.
    fn encode(&self, texts: &[&str], role: Role) -> Result<Matrix, crate::ModelError>;

    /// The number of columns of an embedding.
    fn dimension(&self) -> usize;

    /// Opaque bytes that differ whenever the embeddings could.
    fn fingerprint(&self) -> [u8; 32];

    /// How these embeddings are to be compared.
    fn similarity(&self) -> Similarity;

    /// Precision of the matrix products that make the embeddings, to be kept with what is made of them. Embeddings in two
    /// precisions may be compared, so that the fingerprint is the same.
    fn precision(&self) -> Precision {
        Precision::F32
    }
}
