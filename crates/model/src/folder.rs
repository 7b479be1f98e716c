//! Folders of Sentence Transformers and Hugging Face: the only place that knows the names of their
//! files. Reads every form that versions 2 to 6 write; writes that of version 3, which all of them
//! open.

mod modules;
mod open;
mod settings;
mod weight_files;
mod write;

pub use open::{Opened, WeightStorage, open_for_inference, open_for_training};
