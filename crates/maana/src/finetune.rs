//! The workflow of `maana train`: trains a model as a recipe describes, evaluates it before and
//! after, and saves it with its card. Introduces training, evaluation, the model folder and the
//! card to one another.

mod advice;
mod blending;
mod error;
mod estimate;
mod event;
mod facts;
mod folder;
mod hold_out;
mod measures;
mod notes;
mod prepare;
mod set_loss;
mod sets;
mod teacher;
mod text_twice;

pub use advice::Advice;
pub use error::FinetuneError;
pub use estimate::Estimate;
pub use event::RunEvent;
pub use folder::RunFolder;
pub use prepare::{Prepared, prepare};
pub use set_loss::SetLoss;
pub use sets::{FirstRow, PreparedSet};

use crate::card::CardFacts;
use crate::recipe::ModelKind;
use blending::Blended;
use folder::MeasuredSets;
use maana_eval::Scores;
use maana_files::hex;
use maana_kernels::Context;
use maana_model::TrainingModel;
use maana_train::{Event, Failure, Moment, Observer, Outcome, Progress, Run, TrainingRecord, TrainingSet};
use measures::{Measures, START};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Outcome of a run.
pub enum Finetuned {
    /// The run is complete, and the model is saved.
    Finished {
        /// Folder of the model.
        model: PathBuf,
        /// Content of its card.
        facts: Box<CardFacts>,
        /// Blends with the base that could be made; none if the recipe has `[blend]`.
        advice: Option<Advice>,
    },
    /// The run was stopped, and can be resumed.
    Interrupted {
        /// The checkpoint to resume from.
        checkpoint: Option<PathBuf>,
        /// The log so far.
        record: TrainingRecord,
    },
}

/// Fine-tunes the prepared model and writes everything below `folder`; with `resume` it continues
/// an interrupted run. When `stop` becomes true, it writes a checkpoint and returns; an interrupted
/// evaluation is repeated when the run is resumed.
///
/// # Errors
/// If anything cannot be read, computed or written; earlier checkpoints remain.
pub fn finetune(
    mut prepared: Prepared,
    context: &Context,
    folder: &RunFolder,
    resume: bool,
    stop: &Arc<AtomicBool>,
    notify: &mut dyn FnMut(&RunEvent<'_>),
) -> Result<Finetuned, FinetuneError> {
    let _lock = folder.begin(&prepared.located, resume)?;
    let stopped_before = || Finetuned::Interrupted { checkpoint: None, record: TrainingRecord::default() };
    for (number, set) in prepared.sets.iter_mut().enumerate() {
        let file = folder.path().join("teacher").join(format!("{number}.embeddings"));
        let mut progress = |model: &str, done, texts| notify(&RunEvent::Teaching { model, done, texts });
        // Taken, so that its weights take no memory while the model is trained.
        if let Some(teacher) = set.teacher.take()
            && !teacher.compute(prepared.plan.epochs, &file, stop, &mut progress)?
        {
            return Ok(stopped_before());
        }
    }
    let guards = prepared.guards.iter().flat_map(|guards| guards.own.fingerprints());
    let guards = guards.map(|(name, fingerprint)| (format!("guard {name}"), fingerprint));
    let sets = prepared.measures.fingerprints().chain(guards);
    let sets = MeasuredSets::new(&prepared.located.recipe.evaluation, sets);
    let has_measured = folder.has_measured(&sets, resume)?;
    let before = match folder.read_scores("before")? {
        Some(scores) if has_measured => scores,
        _ => match prepared.evaluate(&prepared.model, context, stop, START)? {
            Some(scores) => scores,
            None => return Ok(stopped_before()),
        },
    };
    Measures::check_measured(&prepared.located, &before)?;
    folder.write_scores("before", &before)?;
    notify(&RunEvent::BaseEvaluated(&before));

    let base = hex(&prepared.model.fingerprint());
    let place = blending::Place { context, folder, stop };
    let mut blends = None;
    if prepared.guards.is_some() {
        blends = blending::begin(&prepared, &base, &before, place, resume)?;
        if blends.is_none() {
            return Ok(stopped_before());
        }
    }
    let tokenizer = prepared.model.spec().tokenizer();
    let max_length = prepared.model.spec().settings().max_seq_length;
    let mut watcher =
        Watcher { measures: &prepared.measures, sets: &prepared.sets, context, stop, notify, epoch: START.epoch };
    let training_sets: Vec<TrainingSet<'_>> = prepared.sets.iter().map(PreparedSet::to_train).collect();
    let tokenize_pairs = |texts: [&[&str]; 2], pairs: &[[usize; 2]]| {
        tokenizer.encode_numbered_pairs(texts, pairs, max_length).map_err(Failure::from)
    };
    let run = Run {
        context,
        sets: &training_sets,
        sampler: prepared.located.recipe.data.sampler,
        tokenize: |texts: &[&str]| tokenizer.encode(texts, max_length),
        tokenize_pairs: Some(&tokenize_pairs),
        arguments: &prepared.located.recipe.training,
        base: Some(&base),
        folder: Some(folder.path()),
        resume,
    };
    let record = match run.train(&mut prepared.model, &mut watcher)? {
        Outcome::Finished(record) => record,
        Outcome::Interrupted { record, checkpoint } => return Ok(Finetuned::Interrupted { checkpoint, record }),
    };
    let began = Instant::now();
    let end = Moment { step: record.steps, epoch: watcher.epoch };
    let (after, blend) = match &mut blends {
        Some(blends) => match blending::run(&mut prepared, blends, &base, place, end, notify)? {
            Some(Blended { after, facts }) => (after, Some(facts)),
            None => return Ok(Finetuned::Interrupted { checkpoint: None, record }),
        },
        None => match prepared.evaluate(&prepared.model, context, stop, end)? {
            Some(after) => (after, None),
            None => return Ok(Finetuned::Interrupted { checkpoint: None, record }),
        },
    };
    let evaluation_seconds = began.elapsed().as_secs_f64();
    folder.write_scores("after", &after)?;
    let facts = CardFacts { blend, ..facts::gather(&prepared, context, before, after, record)? };
    let model = folder.publish(&prepared.model, &facts)?;
    let advice = match facts.blend {
        Some(_) => None,
        // A base without the head has no measures with which a blend could be compared.
        None if prepared.model.spec().has_new_head() => None,
        // A new table has the tokenizer of the base, and nothing else.
        None if prepared.located.recipe.model.kind == ModelKind::Static => None,
        // The evaluators of the program see the model at its moments only, not blends of it.
        None if !prepared.located.recipe.evaluation.own.is_empty() => None,
        None => Some(advice::advise(&mut prepared, &base, &facts, evaluation_seconds, place)),
    };
    Ok(Finetuned::Finished { model, facts: Box::new(facts), advice })
}

/// Runs evaluations for training, which does not know them.
struct Watcher<'a> {
    measures: &'a Measures,
    sets: &'a [PreparedSet],
    context: &'a Context,
    stop: &'a Arc<AtomicBool>,
    notify: &'a mut dyn FnMut(&RunEvent<'_>),
    /// Completed epochs.
    epoch: f64,
}

impl Observer<TrainingModel> for Watcher<'_> {
    fn evaluate(&mut self, model: &TrainingModel, step: u64, epoch: f64) -> Result<Vec<(String, f64)>, Failure> {
        let moment = Moment { step, epoch };
        let scores = self.measures.measure(model, self.sets, self.context, self.stop, moment)?;
        Ok(scores.iter().flat_map(Scores::prefixed).collect())
    }

    fn save_model(&mut self, model: &TrainingModel, folder: &Path) -> Result<(), Failure> {
        Ok(model.write_into(folder, &[])?)
    }

    fn event(&mut self, event: &Event<'_>) {
        if let Event::Progress(Progress { epoch, .. }) | Event::Resumed { epoch, .. } = event {
            self.epoch = *epoch;
        }
        (self.notify)(&RunEvent::Training(event));
    }

    fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
