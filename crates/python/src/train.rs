//! Training by recipes.

use crate::error::of_any;
use crate::evaluator::PythonEvaluator;
use crate::interrupt::interruptible_with_calls;
use crate::loss::{Failed, PythonLoss};
use crate::threads::context;
use maana::finetune::{Finetuned, RunEvent, RunFolder, finetune, prepare};
use maana::from_card::trainer_settings as settings_of_trainer;
use maana::recipe::{LocatedRecipe, OwnEvaluator, OwnLosses};
use maana::train::{Event, Inputs, LogRow};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Trains by a recipe, given as JSON with paths relative to `folder`, and writes the run to `out`.
/// `observe` receives events with their values as JSON, and returns true to end the run. `losses`
/// are functions for losses `own`: the name of each, its parameters as JSON, and the function.
/// `evaluator` is the function for `[evaluation] own`. Returns the folder of the model and its
/// scores as JSON.
#[pyfunction]
#[pyo3(signature = (recipe, folder, out, resume, observe, losses=Vec::new(), evaluator=None))]
#[expect(clippy::too_many_arguments, reason = "they are those of Python")]
pub(crate) fn train(
    py: Python<'_>,
    recipe: &str,
    folder: PathBuf,
    out: PathBuf,
    resume: bool,
    observe: Py<PyAny>,
    losses: Vec<(String, String, Py<PyAny>)>,
    evaluator: Option<Py<PyAny>>,
) -> PyResult<(String, String)> {
    let mut located = LocatedRecipe::from_json(recipe, folder).map_err(|error| of_any(&error))?;
    let context = context()?;
    interruptible_with_calls(py, |stop, thread| {
        let failed = Failed::new(stop);
        if let Some(function) = evaluator {
            let (function, thread, failed) = (Arc::new(function), thread.clone(), Arc::clone(&failed));
            located.evaluator = OwnEvaluator::new(Arc::new(PythonEvaluator { function, thread, failed }));
        }
        let on_pairs = located.recipe.model.inputs() == Inputs::Pairs;
        let mut own = OwnLosses::default();
        for (class, parameters, function) in losses {
            let parameters: serde_json::Map<_, _> =
                serde_json::from_str(&parameters).map_err(|error| of_any(&error))?;
            let (parameters, failed) = (parameters.into_iter().collect(), Arc::clone(&failed));
            own.add(class.clone(), Arc::new(PythonLoss { function, class, parameters, failed, on_pairs }));
        }
        located.losses = own;
        let prepared = prepare(located, &context, &mut |_| {}).map_err(|error| of_any(&error))?;
        let mut notify = |event: &RunEvent<'_>| {
            let Some((name, values)) = described(event) else { return };
            let called = Python::attach(|py| observe.call1(py, (name, values.to_string()))?.extract::<bool>(py));
            match called {
                Ok(false) => {}
                Ok(true) => stop.store(true, Ordering::Relaxed),
                Err(error) => failed.set(error),
            }
        };
        let ended = finetune(prepared, &context, &RunFolder::new(out), resume, stop, &mut notify);
        if let Some(error) = failed.take() {
            return Err(error);
        }
        match ended.map_err(|error| of_any(&error))? {
            Finetuned::Finished { model, facts, .. } => {
                let scores = maana::eval::to_json(&facts.after);
                Ok((model.display().to_string(), serde_json::Value::from(scores).to_string()))
            }
            Finetuned::Interrupted { checkpoint: Some(path), .. } => Err(interrupted(&path)),
            Finetuned::Interrupted { checkpoint: None, .. } => Err(PyRuntimeError::new_err("stopped")),
        }
    })
}

/// Returns name and values of an event, with the names of the Hugging Face trainer's log.
fn described(event: &RunEvent<'_>) -> Option<(&'static str, serde_json::Value)> {
    let RunEvent::Training(event) = event else { return None };
    match event {
        Event::Progress(progress) => {
            let values = json!({
                "step": progress.step,
                "updates": progress.updates,
                "epoch": progress.epoch,
                "loss": progress.loss,
                "learning_rate": progress.learning_rate,
            });
            Some(("step", values))
        }
        Event::Logged(row) => {
            let mut values = json!({"step": row.step()});
            for (name, value) in row.logged() {
                values[name] = json!(value);
            }
            Some((if matches!(row, LogRow::Training { .. }) { "log" } else { "evaluate" }, values))
        }
        Event::Best { value, .. } => Some(("best", json!({"best_metric": value}))),
        _ => None,
    }
}

/// Returns the exception of a run that was stopped, with the path of its newest checkpoint.
fn interrupted(checkpoint: &Path) -> PyErr {
    let checkpoint = checkpoint.display().to_string();
    let text = format!("stopped; the latest checkpoint is {checkpoint}; continue with resume_from_checkpoint=True");
    let exception = PyKeyboardInterrupt::new_err(text);
    Python::attach(|py| exception.value(py).setattr("checkpoint", checkpoint)).err().unwrap_or(exception)
}

/// Returns arguments of the reference's trainer, as its model cards print them, as settings of a
/// recipe: JSON with `training`, `sampler` and `notes` on what is not supported.
#[pyfunction]
pub(crate) fn trainer_settings(arguments: Vec<(String, String)>) -> String {
    let settings = settings_of_trainer(&arguments);
    json!({"training": settings.training, "sampler": settings.sampler, "notes": settings.notes}).to_string()
}

/// Writes lines to a file, atomically. Missing folders are created.
#[pyfunction]
pub(crate) fn write_lines(py: Python<'_>, path: PathBuf, lines: Vec<String>) -> PyResult<()> {
    py.detach(|| {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut text = lines.join("\n");
        text.push('\n');
        maana::files::write(&path, text.as_bytes())
    })
    .map_err(|error| of_any(&maana::files::FileError::at(&path)(error)))
}
