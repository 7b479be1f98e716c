//! Servers under load: what `bench-serve` and `soak` are made of. Knows HTTP, texts, clocks and processes; what is measured and what
//! is asked of it stands in those two.

pub(crate) mod embeddings;
pub(crate) mod expected;
pub(crate) mod http;
pub(crate) mod latency;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod texts;
