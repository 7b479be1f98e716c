//! Pushes to the hub.

use crate::error::{of_any, of_open};
use crate::interrupt::interruptible;
use maana::hub::{HubError, HubOptions, PushSettings, Token, plan_push, push as push_folder};
use maana::open::OpenError;
use pyo3::exceptions::PyFileExistsError;
use pyo3::prelude::*;
use std::path::PathBuf;

/// Settings of a push: a dictionary of all of them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    token: Option<String>,
    private: bool,
    revision: Option<String>,
    message: Option<String>,
    pull_request: bool,
    /// Refuses to push to a repository that exists.
    only_new: bool,
    keep_card: bool,
}

/// Pushes the folder of a model to `name` on the hub. Returns the page of the commit or of the pull
/// request.
#[pyfunction]
pub(crate) fn push(py: Python<'_>, folder: PathBuf, name: String, settings: Settings) -> PyResult<String> {
    let Settings { token, private, revision, message, pull_request, only_new, keep_card } = settings;
    let mut options = HubOptions::from_environment();
    options.token = token.and_then(|token| Token::new(&token)).or(options.token);
    let settings = PushSettings { private, revision, message, pull_request, keep_card };
    interruptible(py, |_| {
        if only_new && !plan_push(&folder, &name, &settings, &options, &mut |_| {}).map_err(of_push)?.new {
            let text = format!("{name} exists on the hub; push to it with exist_ok=True, or choose another name");
            return Err(PyFileExistsError::new_err(text));
        }
        Ok(push_folder(&folder, &name, &settings, &options, &mut |_| {}).map_err(of_push)?.address)
    })
}

fn of_push(error: HubError) -> PyErr {
    match error {
        HubError::PushName(_) | HubError::BranchName(_) | HubError::PushToken { .. } => of_any(&error),
        error => of_open(OpenError::Hub(error)),
    }
}
