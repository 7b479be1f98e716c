//! Tokenizers.

use crate::error::of_any;
use maana::model::ModelSpec;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// Id, text and span in characters of a token; the span of a special token is `None`.
type Token = (u32, String, Option<(usize, usize)>);

/// The tokenizer of a model: the native part of `tokenizer`.
#[pyclass(module = "maana._maana", frozen)]
pub(crate) struct Tokenizer {
    tokenizer: Arc<maana::text::Tokenizer>,
}

impl Tokenizer {
    /// Returns the tokenizer of a model.
    pub(crate) fn of(spec: &ModelSpec) -> Self {
        Self { tokenizer: spec.tokenizer() }
    }
}

#[pymethods]
impl Tokenizer {
    /// Returns the tokens of a text, which are not cut.
    fn tokens(&self, text: &str, add_special_tokens: bool) -> PyResult<Vec<Token>> {
        let tokens = self.tokenizer.explain(text, add_special_tokens).map_err(|error| of_any(&error))?;
        Ok(tokens.into_iter().map(|token| (token.id, token.text, token.span)).collect())
    }

    /// Returns the text of token ids.
    fn decode(&self, ids: Vec<u32>, skip_special_tokens: bool) -> PyResult<String> {
        self.tokenizer.decode(&ids, skip_special_tokens).map_err(|error| of_any(&error))
    }

    /// The bytes of `tokenizer.json`.
    fn json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.tokenizer.file_bytes())
    }
}
