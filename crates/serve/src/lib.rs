//! HTTP to workflows: one process that answers for embeddings, search, labels and similarities, in the shapes that clients of
//! OpenAI and of text-embeddings-inference speak. It alone brings an async runtime. What is computed, and how, is `maana`'s.
#![forbid(unsafe_code)]

mod admission;
mod app;
mod body;
mod connection;
mod cors;
mod docs;
mod embed;
mod error;
mod fault;
mod host;
mod index;
mod inputs;
mod job;
mod keys;
mod log;
mod metrics;
mod models;
mod queue;
mod reply;
mod routes;
mod server;
mod settings;
mod tls;
mod worker;

pub use error::ServeError;
pub use server::{Ended, Running, start};
pub use settings::{Dims, Hook, Limits, LogForm, Settings, Source, Times, Tls};
