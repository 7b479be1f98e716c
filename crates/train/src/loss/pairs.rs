//! Losses of cross-encoders, whose "embedding" of a pair of texts is its logits. All but
//! [`CrossEntropy`] are losses of one score for each pair: an activation of its only logit.

mod adr_mse;
mod binary_cross_entropy;
mod cross_entropy;
mod lambda;
mod list_net;
mod logit_activation;
mod margin_mse;
mod mse;
mod multiple_negatives_ranking;
mod plist_mle;
mod scores;
mod weighting_scheme;

pub use adr_mse::AdrMse;
pub use binary_cross_entropy::BinaryCrossEntropy;
pub use cross_entropy::CrossEntropy;
pub use lambda::{Lambda, LogBase};
pub use list_net::ListNet;
pub use logit_activation::LogitActivation;
pub use margin_mse::MarginMse;
pub use mse::Mse;
pub use multiple_negatives_ranking::MultipleNegativesRanking;
pub use plist_mle::PlistMle;
pub use scores::{OfScores, ScoreLoss, ScoredPairs};
pub use weighting_scheme::WeightingScheme;
