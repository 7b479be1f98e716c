//! The workflow of `maana train`: a recipe to a better model in a folder, measured before and after, with its card.
//! It introduces to each other what does not know each other: training, evaluation, the model's folder and the card.

mod base;
mod estimate;
mod facts;
mod folder;
mod notes;
mod prepare;

pub use estimate::Estimate;
pub use folder::RunFolder;
pub use prepare::{FirstRow, Prepared, prepare};

use crate::card::CardFacts;
use crate::recipe::RecipeError;
use maana_data::DataError;
use maana_eval::{EvalError, Scores};
use maana_kernels::Context;
use maana_model::{Embedder, ModelError, SentenceModel};
use maana_train::{Event, Failure, Observer, Outcome, Run, TrainError, TrainingRecord};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a model could not be fine-tuned.
#[derive(Debug, thiserror::Error)]
pub enum FinetuneError {
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The base model.
    #[error(transparent)]
    Open(#[from] crate::open::OpenError),
    /// The model's folder.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The measures.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// The recipe does not fit the model or the data.
    #[error("{0}")]
    Fit(String),
    /// A file of the run cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What whoever started the run is told.
pub enum Told<'a> {
    /// The base model was measured.
    Before(&'a [Scores]),
    /// Something happened in training.
    Training(&'a Event<'a>),
}

/// How the run ended.
pub enum Finetuned {
    /// The model is saved.
    Finished {
        /// Its folder.
        model: PathBuf,
        /// Everything that its card tells.
        facts: Box<CardFacts>,
    },
    /// It was asked to stop, and can be resumed.
    Interrupted {
        /// The checkpoint to go on from.
        checkpoint: Option<PathBuf>,
        /// What was logged so far.
        record: TrainingRecord,
    },
}

/// Fine-tunes as prepared. Everything is written below `folder`; with `resume` the run goes on where it was left. When `stop`
/// becomes true, a checkpoint is written and the run returns; a measure that is being taken is broken off and taken again later.
///
/// # Errors
/// If anything cannot be read, computed or written; what was saved before stands.
pub fn finetune(
    mut prepared: Prepared,
    context: &Context,
    folder: &RunFolder,
    resume: bool,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(&Told<'_>),
) -> Result<Finetuned, FinetuneError> {
    let _lock = folder.begin(&prepared.located, resume)?;
    let before = match folder.read_scores("before")? {
        Some(scores) if resume => scores,
        _ => match prepared.evaluate(&prepared.model, context, stop)? {
            Some(scores) => scores,
            None => return Ok(Finetuned::Interrupted { checkpoint: None, record: TrainingRecord::default() }),
        },
    };
    folder.write_scores("before", &before)?;
    tell(&Told::Before(&before));

    let base: String = prepared.model.fingerprint(context).iter().map(|byte| format!("{byte:02x}")).collect();
    let tokenizer = prepared.model.tokenizer();
    let max_length = prepared.model.settings().max_seq_length;
    let mut watcher = Watcher { prepared: &prepared.measures, context, stop, tell };
    let run = Run {
        context,
        source: &prepared.source,
        tokenize: |texts: &[&str]| tokenizer.encode(texts, max_length),
        loss: prepared.loss.as_ref(),
        arguments: &prepared.located.recipe.training,
        base: Some(&base),
        folder: Some(folder.path()),
        resume,
    };
    let record = match run.train(&mut prepared.model, &mut watcher)? {
        Outcome::Finished(record) => record,
        Outcome::Interrupted { record, checkpoint } => return Ok(Finetuned::Interrupted { checkpoint, record }),
    };
    let Some(after) = prepared.evaluate(&prepared.model, context, stop)? else {
        return Ok(Finetuned::Interrupted { checkpoint: None, record });
    };
    folder.write_scores("after", &after)?;
    let facts = facts::gather(&prepared, context, before, after, record)?;
    let model = folder.publish(&prepared.model, &facts)?;
    Ok(Finetuned::Finished { model, facts: Box::new(facts) })
}

/// Stands between training, which knows no measure, and evaluation, which knows no training.
struct Watcher<'a> {
    prepared: &'a prepare::Measures,
    context: &'a Context,
    stop: &'a AtomicBool,
    tell: &'a mut dyn FnMut(&Told<'_>),
}

impl Observer<SentenceModel> for Watcher<'_> {
    fn evaluate(&mut self, model: &SentenceModel, _step: u64, _epoch: f64) -> Result<Vec<(String, f64)>, Failure> {
        let scores = self.prepared.measure(model, self.context, self.stop)?;
        Ok(scores.iter().flat_map(Scores::prefixed).collect())
    }

    fn save_model(&mut self, model: &SentenceModel, folder: &Path) -> Result<(), Failure> {
        Ok(model.write_into(folder, &[])?)
    }

    fn event(&mut self, event: &Event<'_>) {
        (self.tell)(&Told::Training(event));
    }

    fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl prepare::Measures {
    fn measure(
        &self,
        model: &SentenceModel,
        context: &Context,
        stop: &AtomicBool,
    ) -> Result<Vec<Scores>, FinetuneError> {
        let whole = maana_model::Trainable::dimension(model);
        let embedder = Embedder::new(model, context)?.with_dimension(whole)?.with_stop(stop);
        Ok(crate::evaluate::evaluate(&embedder, context, &self.sets, &self.dims, &self.options)?)
    }
}
