//! The native module of the Python package `maana`. It converts arguments and results, and calls
//! the workflows; it computes nothing itself. `python/maana` has the classes that people use.
#![forbid(unsafe_code)]

mod arrays;
mod encoder;
mod error;
mod evaluator;
mod hub;
mod interrupt;
mod loss;
mod module;
mod of_process;
mod opening;
mod pair_encoder;
mod scored_pairs;
mod static_model;
mod store;
mod texts;
mod threads;
mod tokens;
mod train;
mod vectors;

use pyo3::prelude::*;

/// Native functions and classes of `maana`.
#[pymodule]
mod _maana {
    #[pymodule_export]
    use crate::encoder::Encoder;
    #[pymodule_export]
    use crate::hub::push;
    #[pymodule_export]
    use crate::module::write_tensors;
    #[pymodule_export]
    use crate::pair_encoder::PairEncoder;
    #[pymodule_export]
    use crate::scored_pairs::{measure_binary, measure_classes, measure_correlation, measure_reranking};
    #[pymodule_export]
    use crate::static_model::{distill_static, static_table};
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::threads::set_threads;
    #[pymodule_export]
    use crate::tokens::Tokenizer;
    #[pymodule_export]
    use crate::train::{train, trainer_settings, write_lines};
    #[pymodule_export]
    use crate::vectors::{
        communities, hard_negatives, paraphrases, quantize, ranges, search, similarity, similarity_pairwise,
    };

    use super::*;

    /// Runs the command line `maana`, of which the first argument is the name of the program.
    #[pyfunction]
    fn main(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
        py.detach(|| maana_cli::main(arguments))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
