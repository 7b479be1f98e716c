//! Tokens to embeddings, and gradients of embeddings to those of parameters; model folders in and
//! out.
//!
//! A folder opens as a [`TrainingModel`] ([`open_for_training`]) or as an [`InferenceModel`]
//! ([`open_for_inference`]). With the latter, a [`TextEncoder`] turns strings into embeddings, or a
//! [`CrossEncoder`] pairs of strings into scores, as the model's [`Task`] is. Knows nothing of
//! losses, data sets or metrics.
#![forbid(unsafe_code)]

mod activations;
mod blocks;
mod compatibility;
mod config;
mod cross_encoder;
mod encoders;
mod error;
mod fingerprint;
mod folder;
mod inference_model;
mod json;
mod lora;
mod pass;
mod prompt;
mod random;
mod router;
mod runner;
mod similarity;
mod spec;
mod static_model;
mod summary;
mod task;
mod text_encoder;
mod torch_file;
mod trainable;
mod training_model;
mod weights;

pub use activations::Activations;
pub use config::{Architecture, ClassifierConfig, EncoderConfig, LayerAttention, ModernBertConfig};
pub use cross_encoder::CrossEncoder;
pub use error::ModelError;
pub use folder::{
    HeadSettings, Opened, WeightStorage, adapter_bases, check_destination, new_static, open_adapter,
    open_for_inference, open_for_scoring, open_for_training, weight_bytes, write_tensors,
};
pub use inference_model::InferenceModel;
pub use lora::LoraSettings;
pub use prompt::Prompt;
pub use random::Shape;
pub use similarity::{Role, Similarity};
pub use spec::{ModelSpec, RoleSpecs, Settings};
pub use summary::{ModelSummary, ModuleSummary, RouteSummary};
pub use task::{ScoreActivation, Scoring, Task};
pub use text_encoder::{DEFAULT_BATCH_TOKENS, RolePrompts, TextEncoder};
pub use trainable::{DropoutSeed, PassLimit, Trainable};
pub use training_model::TrainingModel;
pub use weights::{Algorithm, Gradients, ParameterArena, StatePart, Tensor, TensorSettings, UpdatePlan};
