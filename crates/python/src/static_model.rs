//! Static models that imitate an encoder.

use crate::arrays::of_matrix;
use crate::encoder::Encoder;
use crate::error::{of_any, of_model};
use crate::interrupt::interruptible;
use crate::threads;
use maana::distill_static::{Progress, Settings, Vocabulary, distill, save};
use maana::hub::Resolved;
use maana::kernels::{Matrix, Precision};
use maana::model::open_for_training;
use numpy::PyArray2;
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

/// Returns the table of a static model in a folder: `(tokens, columns)`.
#[pyfunction]
pub(crate) fn static_table(py: Python<'_>, folder: PathBuf) -> PyResult<Bound<'_, PyArray2<f32>>> {
    let context = threads::context()?;
    let table = interruptible(py, |_| {
        let model = open_for_training(&folder, &context, Precision::F32).map_err(of_model)?.model;
        if !model.spec().is_static() {
            let text =
                format!("{}: not a static model; expected one of Model2Vec or StaticEmbedding", folder.display());
            return Err(PyValueError::new_err(text));
        }
        let config = model.spec().config();
        let (rows, columns) = (config.vocabulary, config.hidden);
        Ok(Matrix::from_vec(rows, columns, model.parameters()[..rows * columns].to_vec()))
    })?;
    of_matrix(py, table)
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
