//! Errors of the workflows as exceptions of Python.

use maana::hub::HubError;
use maana::model::ModelError;
use maana::open::OpenError;
use maana::search::SearchError;
use maana::search::store::StoreError;
use maana::texts::TextsError;
use pyo3::exceptions::{
    PyFileExistsError, PyFileNotFoundError, PyKeyError, PyOSError, PyPermissionError, PyRuntimeError, PyValueError,
};
use pyo3::prelude::*;
use std::error::Error;
use std::io::ErrorKind;

/// Returns the exception for an error of a model or a text.
pub(crate) fn of_model(error: ModelError) -> PyErr {
    match &error {
        ModelError::Missing { .. } => PyFileNotFoundError::new_err(error.to_string()),
        ModelError::Stopped => PyRuntimeError::new_err(error.to_string()),
        _ => of_any(&error),
    }
}

/// Returns the exception for an error of embedding texts.
pub(crate) fn of_texts(error: TextsError) -> PyErr {
    match error {
        TextsError::Model(error) => of_model(error),
        error => of_any(&error),
    }
}

/// Returns the exception for an error of opening a model.
pub(crate) fn of_open(error: OpenError) -> PyErr {
    match error {
        OpenError::Model(error) => of_model(error),
        OpenError::Hub(HubError::Name(_) | HubError::NoModel { .. } | HubError::NoRevision { .. }) => {
            PyFileNotFoundError::new_err(error.to_string())
        }
        OpenError::Hub(_) => PyOSError::new_err(error.to_string()),
    }
}

/// Returns the exception for an error of a store.
pub(crate) fn of_search(error: SearchError) -> PyErr {
    if let SearchError::Texts(error) = error {
        return of_texts(error);
    }
    match &error {
        SearchError::Store(StoreError::NotAStore { .. }) => PyFileNotFoundError::new_err(error.to_string()),
        SearchError::Store(StoreError::AlreadyExists { .. }) => PyFileExistsError::new_err(error.to_string()),
        SearchError::NoField { .. } => PyKeyError::new_err(error.to_string()),
        _ => of_any(&error),
    }
}

/// Returns an exception of the kind of the system's error among the causes, else `ValueError`, with
/// the texts of all causes.
pub(crate) fn of_any(error: &(dyn Error + 'static)) -> PyErr {
    let text = with_causes(error);
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                ErrorKind::NotFound => PyFileNotFoundError::new_err(text),
                ErrorKind::PermissionDenied => PyPermissionError::new_err(text),
                _ => PyOSError::new_err(text),
            };
        }
        cause = error.source();
    }
    PyValueError::new_err(text)
}

/// Returns the text of an error and of those causes that it does not contain.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let of_cause = error.to_string();
        if !text.contains(&of_cause) {
            text = format!("{text}: {of_cause}");
        }
        cause = error.source();
    }
    text
}
