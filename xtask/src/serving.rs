//! Parts shared by `bench-serve` and `soak`: an HTTP client, texts, load, latencies and server
//! processes.

pub(crate) mod embeddings;
pub(crate) mod expected;
pub(crate) mod http;
pub(crate) mod latency;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod texts;
