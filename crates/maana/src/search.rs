//! The workflows of search: documents into a store, queries to the store. A folder and a database
//! implement the same traits.

mod contents;
mod corpus;
#[cfg(feature = "postgres")]
mod database;
mod error;
mod fill;
mod folder;
mod graph;
mod location;
mod request;
mod searcher;
mod store_trait;
mod terms;

pub use corpus::Fields;
pub use error::SearchError;
pub use fill::{Indexed, add, add_documents, index};
pub use folder::create;
pub use graph::GRAPH_FROM;
pub use location::StoreLocation;
pub use maana_eval::metric;
pub use maana_vectors::store;
pub use request::{Answers, Content, Found, SearchOptions, SearchStrategy};
pub use searcher::Searcher;
pub use store_trait::{Added, Compacted, Damaged, Deleted, Description, GraphReport, ReadStore, Verified, WriteStore};

pub(crate) use terms::terms;

use crate::texts::embed_role;
use maana_kernels::Context;
use maana_model::{Role, TextEncoder};

/// Finds the nearest documents of each query.
///
/// # Errors
/// If another model made the store, a filter names a field that no document has, or the store
/// cannot be read.
pub fn search(
    store: &dyn ReadStore,
    encoder: &TextEncoder,
    context: &Context,
    queries: &[&str],
    options: &SearchOptions,
) -> Result<Answers, SearchError> {
    store.expect_fingerprint(&encoder.fingerprint(), store.made_by())?;
    store.expect_fields(&options.filters)?;
    let vectors = embed_role(encoder, queries, Role::Query)?;
    store.nearest(context, queries, &vectors, options)
}
