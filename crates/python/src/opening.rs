//! Code that the constructors of models share.

use maana::hub::{HubEvent, HubOptions, Token};
use maana::kernels::{InstructionSet, Precision};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::PathBuf;

/// Where and how a model is looked for: a dictionary of all of them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Access {
    cache_folder: Option<PathBuf>,
    token: Option<String>,
    local_files_only: bool,
}

impl Access {
    /// Returns the options of the hub.
    pub(crate) fn options(self) -> HubOptions {
        let mut options = HubOptions::from_environment();
        options.cache = self.cache_folder.unwrap_or(options.cache);
        options.token = self.token.and_then(|token| Token::new(&token)).or(options.token);
        options.offline = self.local_files_only.then(|| "local_files_only".into()).or(options.offline);
        options
    }
}

/// Adds the text of a notice to `notices`.
pub(crate) fn note(notices: &mut Vec<String>, event: &HubEvent<'_>) {
    if let HubEvent::Notice(text) = event {
        notices.push((*text).to_owned());
    }
}

/// Returns the precision with a name of PyTorch or of the command line.
pub(crate) fn precision_named(name: &str) -> PyResult<Precision> {
    match name {
        "float32" | "f32" => Ok(Precision::F32),
        "bfloat16" | "bf16" => Ok(Precision::Bf16),
        "int8" => Ok(Precision::Int8),
        "auto" if InstructionSet::active().has_bf16() => Ok(Precision::Bf16),
        "auto" => Ok(Precision::F32),
        other => {
            Err(PyValueError::new_err(format!("precision is {other:?}; expected float32, bfloat16, int8 or auto")))
        }
    }
}
