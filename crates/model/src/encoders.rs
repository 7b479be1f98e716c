//! Encoders, one page for each family: token ids to token embeddings, and gradients back.

mod bert;
mod encoder;
mod modern_bert;
mod mpnet;
mod names;
mod static_embedding;

use crate::activations::{ActivationLayout, Passes};
use crate::blocks::Declarations;
use crate::config::{Architecture, EncoderConfig};
use crate::weights::{Layout, Scope};
use encoder::Encoder;
use static_embedding::StaticEmbedding;
pub(crate) use static_embedding::TABLE;

/// An encoder with the layout of its parameters and activations.
pub(crate) struct Network {
    pub(crate) encoder: Box<dyn Encoder>,
    pub(crate) parameters: Layout,
    pub(crate) activations: ActivationLayout,
}

impl Network {
    /// Declares the encoder of a configuration for passes of one kind.
    pub(crate) fn new(config: &EncoderConfig, scope: Scope, passes: Passes) -> Self {
        Self::behind(0, config, scope, passes)
    }

    /// As [`Network::new`], for parameters that begin at `start` in their arena.
    pub(crate) fn behind(start: usize, config: &EncoderConfig, scope: Scope, passes: Passes) -> Self {
        let mut declarations =
            Declarations { parameters: Layout::new(scope, start), activations: ActivationLayout::new(passes) };
        let encoder: Box<dyn Encoder> = match config.architecture {
            Architecture::Static => Box::new(StaticEmbedding::declare(config, &mut declarations)),
            Architecture::MpNet => Box::new(mpnet::declare(config, &mut declarations)),
            Architecture::ModernBert => {
                let modern = config.modern_bert.as_ref().expect("its configuration was read with these settings");
                Box::new(modern_bert::ModernBert::declare(config, modern, &mut declarations))
            }
            Architecture::Bert
            | Architecture::Roberta
            | Architecture::Camembert
            | Architecture::XlmRoberta
            | Architecture::DistilBert => Box::new(bert::Bert::declare(config, &mut declarations, None)),
        };
        let Declarations { parameters, activations } = declarations;
        Self { encoder, parameters, activations }
    }
}
