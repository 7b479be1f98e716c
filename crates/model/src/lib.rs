//! Tokens to embeddings, and the gradients of embeddings to those of parameters; the model folder, in and out.
//! Knows nothing of losses, data sets or measures.
#![deny(unsafe_code)]

mod activations;
mod bert;
mod config;
mod embedder;
mod encoder;
mod error;
mod folder;
mod layer_weights;
mod modules;
mod parameters;
mod random;
mod sentence_model;
mod summary;
mod trainable;

pub use config::{Architecture, EncoderConfig};
pub use embedder::{DEFAULT_BATCH_TOKENS, Embedder, RolePrompts};
pub use encoder::{Encoder, Role, Similarity};
pub use error::ModelError;
pub use folder::{Opened, Purpose, open, open_for};
pub use random::Shape;
pub use sentence_model::{Activations, SentenceModel, Settings};
pub use summary::{ModelSummary, ModuleSummary};
pub use trainable::{Noise, Tensor, Trainable};
