//! The server as its clients meet it: every test starts one around a small model, and speaks HTTP to it.

mod admission;
mod ending;
mod exactness;
mod faults;
mod fuzz;
mod keys;
mod models;
mod routes;
mod schema;
mod search;
mod support;
mod tls;
