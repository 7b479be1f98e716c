//! Folders of Sentence Transformers and Hugging Face: the only place that knows the names of their
//! files. Reads every form that versions 2 to 6 write; writes that of version 3, which all of them
//! open.

mod adapter;
mod folder_parts;
mod head;
mod kind;
mod module_config;
mod module_entry;
mod module_parts;
mod modules;
mod names;
mod open;
mod router_config;
mod scoring;
mod settings;
mod static_table;
mod tensor_file;
mod tower;
mod tower_weights;
mod weight_files;
mod weight_paths;
mod write;
mod write_static;
mod written;

pub use adapter::adapter_bases;
pub use folder_parts::Opened;
pub use head::HeadSettings;
pub use open::{new_static, open_adapter, open_for_inference, open_for_scoring, open_for_training};
pub use tower_weights::WeightStorage;
pub use weight_paths::weight_bytes;
pub use write::check_destination;
pub use written::write_tensors;
