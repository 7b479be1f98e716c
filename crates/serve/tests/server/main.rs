//! The server from the view of its clients: every test starts one with a small model and speaks
//! HTTP to it.

mod admission;
mod ending;
mod exactness;
mod faults;
mod fuzz;
mod keys;
mod models;
mod rerank;
mod router;
mod routes;
mod schema;
mod search;
mod support;
mod tls;
