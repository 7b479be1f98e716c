//! Training of a model on examples. Knows no metrics and no model folders.
#![forbid(unsafe_code)]

mod arguments;
mod batches;
mod best_parameters;
mod checkpoint;
mod dev_loss;
mod error;
mod groups;
mod interval;
mod keep_best;
mod linear_layer;
mod log;
pub mod loss;
mod loss_layers;
mod memory;
mod named;
mod observer;
mod optimizer;
mod plan;
mod record;
mod rows;
mod run;
mod schedule;
mod sets;
mod step;
mod summary;
mod tensorboard;

pub use arguments::{Arguments, Precision, Version};
pub use batches::PairTokenizer;
pub use dev_loss::{dev_loss, dev_loss_of_pairs};
pub use error::{Failure, RowsOfSet, TrainError};
pub use groups::{GroupSummary, ResolvedGroups};
pub use interval::{Evaluate, Interval};
pub use keep_best::KeepBest;
pub use linear_layer::LinearLayer;
pub use loss::{Inputs, Loss, LossArguments, LossName, LossSummary};
pub use maana_data::Sampler as BatchSampler;
pub use memory::peak_memory_bytes;
pub use observer::{Event, Observer, Progress};
pub use optimizer::{Adafactor, Group, Optimizer};
pub use plan::{Moment, Plan};
pub use record::{LogRow, Times, TrainingRecord};
pub use rows::pairs_of_rows;
pub use run::{Outcome, Run};
pub use schedule::{
    CosineWithMinLr, CosineWithRestarts, Curve, InverseSqrt, Polynomial, ReduceLrOnPlateau, Schedule, ThresholdMode,
    WarmupStableDecay,
};
pub use sets::{ColumnTower, TrainingSet};
