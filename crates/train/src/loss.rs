//! Losses. A loss sees embeddings and labels only: no model, no token, no text.

mod arguments;
mod cosent;
mod cosine;
mod cosine_similarity;
mod in_batch_negatives;
mod matryoshka;
mod needs;
mod objective;
mod symmetric;
mod triplet;

pub use arguments::{LossArguments, LossName};
pub use cosent::CoSent;
pub use cosine_similarity::CosineSimilarity;
pub use in_batch_negatives::InBatchNegatives;
pub use matryoshka::Matryoshka;
pub use needs::{Labels, Needs};
pub use objective::{Embedded, Loss, LossSummary};
pub use symmetric::SymmetricInBatchNegatives;
pub use triplet::Triplet;
