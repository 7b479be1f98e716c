//! Static models that imitate an encoder.

use crate::encoder::Encoder;
use crate::error::of_any;
use crate::interrupt::interruptible;
use maana::distill_static::{Progress, Settings, Vocabulary, distill, save};
use maana::hub::Resolved;
use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Settings of a distillation: a dictionary of all of them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct StaticSettings {
    dimension: usize,
    vocabulary: String,
    words: usize,
    sif: Option<f64>,
    epochs: usize,
    learning_rate: f64,
    seed: u64,
}

/// Makes a static model that imitates an encoder, and writes its folder. `name` is that of the
/// encoder on the hub, if it has one.
#[pyfunction]
pub(crate) fn distill_static(
    py: Python<'_>,
    encoder: &Encoder,
    name: Option<String>,
    texts: Vec<String>,
    folder: PathBuf,
    settings: StaticSettings,
) -> PyResult<()> {
    let vocabulary = match &settings.vocabulary[..] {
        "both" => Vocabulary::Both,
        "texts" => Vocabulary::Texts,
        "tokenizer" => Vocabulary::Tokenizer,
        other => {
            let text = format!("vocabulary is {other:?}; expected both, texts or tokenizer");
            return Err(PyValueError::new_err(text));
        }
    };
    let StaticSettings { dimension, words, sif, epochs, learning_rate, seed, .. } = settings;
    let settings = Settings { dimension, vocabulary, words, sif, epochs, learning_rate, seed };
    let (teacher, origin) = (encoder.encoder()?, Resolved { folder: encoder.folder()?.into(), name, revision: None });
    interruptible(py, |stop| {
        let teacher = teacher.with_stop(Arc::clone(stop));
        let made = distill(&teacher, &texts, &settings, &mut |_: Progress| {});
        if stop.load(Ordering::Relaxed) {
            return Err(PyKeyboardInterrupt::new_err("stopped"));
        }
        let model = made.map_err(|error| of_any(&error))?;
        save(&model, &origin, texts.len(), &settings, &folder).map_err(|error| of_any(&error))
    })
}
