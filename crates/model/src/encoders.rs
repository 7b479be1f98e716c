//! Encoders, one page for each family: token ids to token embeddings, and gradients back.

mod bert;
mod mpnet;
mod names;

use crate::activations::{ActivationLayout, Passes, Slot};
use crate::blocks::Declarations;
use crate::config::{Architecture, EncoderConfig};
use crate::pass::Pass;
use crate::weights::{Layout, Scope};

/// An encoder that knows where its parameters and activations lie, and holds neither.
pub(crate) trait Encoder: Send + Sync {
    /// Computes token embeddings of the last layer, which are left in [`Encoder::output`].
    fn forward(&self, pass: &mut Pass<'_>);

    /// Adds the gradients of all parameters, given that of the token embeddings in the second slot of [`Encoder::output`].
    fn backward(&self, pass: &mut Pass<'_>, gradients: &mut [f32]);

    /// The token embeddings, `(tokens, hidden)`, and their gradient.
    fn output(&self) -> [Slot; 2];
}

/// An encoder with the layout of its parameters and activations.
pub(crate) struct Network {
    pub(crate) encoder: Box<dyn Encoder>,
    pub(crate) parameters: Layout,
    pub(crate) activations: ActivationLayout,
}

impl Network {
    /// Declares the encoder of a configuration for passes of one kind.
    pub(crate) fn new(config: &EncoderConfig, scope: Scope, passes: Passes) -> Self {
        let mut declarations =
            Declarations { parameters: Layout::new(scope), activations: ActivationLayout::new(passes) };
        let encoder: Box<dyn Encoder> = match config.architecture {
            Architecture::MpNet => Box::new(mpnet::declare(config, &mut declarations)),
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
