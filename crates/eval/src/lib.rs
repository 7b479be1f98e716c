//! Evaluation: an encoder and a data set to scores. Independent of training.
#![forbid(unsafe_code)]

mod csv;
mod error;
mod kind;
mod metrics;
mod pairs;
mod retrieval;
mod scored_pairs;
mod scores;

pub use csv::{csv_name, write_csv};
pub use error::EvalError;
pub use kind::Kind;
pub use metrics::{Cutoffs, measures_of_rankings};
pub use pairs::{
    Candidates, SIMILARITIES, average_precision, metric, pair_classification, paraphrase_mining, pearson, reranking,
    semantic_similarity, translation, triplets,
};
pub use retrieval::{
    Embedded, EncodeTexts, EncoderFunction, Primary, RetrievalOptions, evaluate_embeddings, evaluate_function,
    evaluate_retrieval,
};
pub use scored_pairs::{ScoredList, binary_classification, classification, correlation, reranking_of_scores};
pub use scores::{Scores, sequential_score, to_json};
