//! Tokenizers.

use crate::error::of_any;
use maana::model::ModelSpec;
use maana::text::PairTemplate;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// Id, text and span in characters of a token; the span of a special token is `None`.
type Token = (u32, String, Option<(usize, usize)>);

/// Special tokens before, between and after the texts of a pair, each as id and segment, and the
/// segments of the texts.
type Template = (Vec<(u32, u32)>, Vec<(u32, u32)>, Vec<(u32, u32)>, [u32; 2]);

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

    /// Returns the special tokens and the segments of pairs of texts.
    fn pair_template(&self) -> PyResult<Template> {
        let template = self.tokenizer.pair_template().map_err(|error| of_any(&error))?;
        let PairTemplate { before, between, after, segments } = template.clone();
        Ok((before, between, after, segments))
    }

    /// Special tokens of the Python class, with the fields that replace them.
    #[getter]
    fn class_tokens(&self) -> Vec<(&'static str, &'static str)> {
        self.tokenizer.class_tokens().collect()
    }

    /// True if calls of the Python class return segments.
    #[getter]
    fn returns_segments(&self) -> bool {
        self.tokenizer.returns_segments()
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
