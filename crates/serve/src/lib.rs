//! The HTTP server: embeddings, search, labels, similarities and rankings in the formats of OpenAI,
//! text-embeddings-inference, Cohere and Jina. It is the only crate with an async runtime. All
//! computing is done by `maana`.
#![forbid(unsafe_code)]

mod admission;
mod app;
mod body;
mod budget;
mod class;
mod connection;
mod connections;
mod cors;
mod docs;
mod embedding;
mod error;
mod front;
mod handler;
mod host;
mod inputs;
mod job;
mod json;
mod keys;
mod log;
mod metrics;
mod model;
mod models;
mod network;
mod offload;
mod origin;
mod pipeline;
mod queue;
mod ranking;
mod reply;
mod reply_body;
mod request;
mod request_error;
mod reranker;
mod routes;
mod rows;
mod scoring;
mod server;
mod settings;
mod signals;
#[cfg(test)]
mod simulation;
mod slot;
mod store;
mod system;
mod threads;
mod timed_stream;
mod tls;
mod worker;

pub use error::ServeError;
pub use server::{Ended, Running, start};
pub use settings::{Dims, Hook, Limits, LogForm, Settings, Source, Times, Tls};
