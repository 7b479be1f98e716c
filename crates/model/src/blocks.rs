//! Building blocks of encoders. A block declares its parameters and activations once and has
//! forward and backward. Gradients: `d_x` is that of `x`.

mod attention;
mod dense;
mod embedding_dropout;
mod embedding_norm;
mod embeddings;
mod feed_forward;
mod gated_feed_forward;
mod linear;
mod norm;
mod pooling;
mod relative_position;
mod rotary_positions;
mod sentence_module;
#[cfg(test)]
mod testing;

pub(crate) use attention::{AttentionNames, AttentionVariant, SelfAttention};
pub(crate) use dense::{Dense, activation_of_class, class_of_activation, known_classes};
pub(crate) use embedding_dropout::EmbeddingDropout;
pub(crate) use embedding_norm::EmbeddingNorm;
pub(crate) use embeddings::Embeddings;
pub(crate) use feed_forward::FeedForward;
pub(crate) use gated_feed_forward::GatedFeedForward;
pub(crate) use linear::Linear;
pub(crate) use norm::LayerNorm;
pub(crate) use pooling::{POOLING_NAMES, Pooling, concatenation_rank};
pub(crate) use relative_position::RelativePositionBias;
pub(crate) use rotary_positions::RotaryPositions;
pub(crate) use sentence_module::SentenceModule;

use crate::activations::ActivationLayout;
use crate::weights::Layout;

/// Declarations of blocks: parameters and activations, in the order of the calls.
pub(crate) struct Declarations {
    pub(crate) parameters: Layout,
    pub(crate) activations: ActivationLayout,
}
