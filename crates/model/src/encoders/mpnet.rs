//! MPNet (Song et al. 2020, arXiv:2004.09297): BERT without segments, and with a bias of the
//! attention scores by relative position, which all layers share:
//!
//! ```text
//! score(query, key) = q · k / √d + bias[bucket(key − query)]
//! ```
//!
//! Forward and backward of the layers are on the page of BERT; the gradient of the bias is the sum
//! over all layers.

use super::bert::Bert;
use crate::blocks::{Declarations, RelativePositionBias};
use crate::config::EncoderConfig;
use std::sync::Arc;

/// Declares the encoder.
pub(crate) fn declare(config: &EncoderConfig, declarations: &mut Declarations) -> Bert {
    let name = "encoder.relative_attention_bias.weight";
    let bias = RelativePositionBias::declare(declarations, name, config.heads, config.longest());
    Bert::declare(config, declarations, Some(&Arc::new(bias)))
}
