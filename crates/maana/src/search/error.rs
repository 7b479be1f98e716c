//! Errors of the search workflows.

use crate::texts::TextsError;
use maana_data::DataError;
#[cfg(feature = "postgres")]
use maana_postgres::PostgresError;
use maana_vectors::VectorsError;
use maana_vectors::store::StoreError;

/// An error of the search workflows.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The texts or their embeddings.
    #[error(transparent)]
    Texts(#[from] TextsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vectors.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// The database.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(PostgresError),
    /// The address of a database in a program that was built without PostgreSQL.
    #[cfg(not(feature = "postgres"))]
    #[error(
        "{address}: this program was built without PostgreSQL; build it with the feature `postgres`, or name a folder"
    )]
    NoPostgres {
        /// The address without user and password.
        address: String,
    },
    /// A document whose payload is not a text with fields.
    #[error("document `{id}`: its text and fields were not written by `maana index`")]
    Foreign {
        /// The document.
        id: String,
    },
    /// Vectors in another precision than the store's.
    #[error(
        "the vectors of the store were computed in {store}, and these are computed in {ours}; omit --precision, or \
         create the store again"
    )]
    OtherPrecision {
        /// Precision of the store.
        store: String,
        /// Precision of the encoder.
        ours: &'static str,
    },
    /// Documents with another prompt than the store's.
    #[error(
        "documents of the store were embedded with the prompt {store:?}, and these would be embedded with {ours:?}; \
         omit --document-prompt, or create the store again"
    )]
    OtherPrompt {
        /// Prompt of the store.
        store: String,
        /// Prompt of the encoder.
        ours: String,
    },
    /// A filter for a field that no document has.
    #[error("no document has a field `{field}`; the fields are: {present}")]
    NoField {
        /// The field.
        field: String,
        /// The fields that documents have.
        present: String,
    },
}

impl SearchError {
    /// Returns whether the server of the store cannot be used, in contrast to a store that is
    /// missing or damaged.
    pub fn is_unavailable(&self) -> bool {
        #[cfg(feature = "postgres")]
        return matches!(self, Self::Postgres(error) if !matches!(error, PostgresError::NotAStore { .. }));
        #[cfg(not(feature = "postgres"))]
        false
    }
}

impl From<DataError> for SearchError {
    fn from(error: DataError) -> Self {
        Self::Texts(error.into())
    }
}

#[cfg(feature = "postgres")]
impl From<PostgresError> for SearchError {
    fn from(error: PostgresError) -> Self {
        match error {
            // Errors of both kinds of store have the same message.
            PostgresError::Store(error) => Self::Store(error),
            PostgresError::Vectors(error) => Self::Vectors(error),
            PostgresError::NoField { field, present } => Self::NoField { field, present },
            other => Self::Postgres(other),
        }
    }
}
