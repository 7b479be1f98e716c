//! Benchmarks of `maana bench`: the limits of this machine, and the share of them that is reached.
//! They return numbers, medians of several runs, which the command prints.
#![forbid(unsafe_code)]

mod costs;
mod lengths;
mod products;
mod rounds;
mod search;
mod texts;
mod timing;

pub use costs::{Growth, Part, growth, parts};
pub use lengths::{LengthCost, length_of_encoding, length_of_training};
pub use products::{PRODUCT_SHAPES, ProductShape, attention, encoding, product, weight_gradient};
pub use rounds::{Round, encode_rounds, evaluate_rounds, median_round, rerank_rounds, train_rounds};
pub use search::{
    Method, SearchBenchError, SearchRound, search_rounds, synthetic_vectors, write_true_neighbours, write_vectors,
};
pub use texts::{PairSource, pairs_of_card_lengths, with_passages};
