//! A store of documents and their vectors on PostgreSQL with pgvector: what `vectors/store` keeps in a folder, in a schema of
//! a database. Knows vectors, texts with fields, and SQL; never a model, whose fingerprint it only compares.
//!
//! A store named NAME is the schema NAME with two tables: `documents` (id, seq, embedding, payload, checksum) and `meta` (one
//! row: version of the format, dims, metric, fingerprint, …). Each change is one transaction that first locks the row of
//! `meta`: writers take turns, and a change is there whole or not at all. A reader works in one transaction and sees one state.
//!
//! Candidates come from SQL, scores never: they are `Metric::score` of the vectors as they are kept, so that both kinds of
//! store give the same bits.
#![forbid(unsafe_code)]

mod compact;
mod error;
mod graph;
mod read;
mod store;
mod target;
mod tls;
mod verify;
mod wire;

pub use compact::Compacted;
pub use error::PostgresError;
pub use graph::{Graph, Measured};
pub use read::{Near, Reader, Row, Search};
pub use store::{Document, Header, Info, Store};
pub use target::Target;
pub use verify::{Damage, Verified};
