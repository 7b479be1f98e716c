//! A store of documents and their vectors on PostgreSQL with pgvector, in a schema of a database:
//! the counterpart of `maana_vectors::store`, which is a folder. Knows vectors, texts with fields,
//! and SQL. It knows no model: it only compares the fingerprint.
//!
//! A store named NAME is the schema NAME with two tables: `documents` (id, seq, embedding, payload,
//! checksum) and `meta` (one row: format version, dims, metric, fingerprint, …). Each change is one
//! transaction that first locks the row of `meta`, so that writers take turns and a change is
//! visible completely or not at all. A reader sees one state, in one transaction.
//!
//! SQL only selects candidates. Scores are `Metric::score` of the stored vectors, so that both
//! kinds of store give the same bits.
#![forbid(unsafe_code)]

mod compact;
mod error;
mod graph;
mod read;
mod schema;
mod store;
mod target;
mod tls;
mod verify;
mod wire;

pub use compact::Compacted;
pub use error::PostgresError;
pub use graph::{Graph, Measured};
pub use read::{Near, Reader, Row, Search};
pub use schema::Header;
pub use store::{Document, Info, Store};
pub use target::Target;
pub use verify::{Damage, Verified};
