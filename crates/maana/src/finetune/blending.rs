//! Blends of the base and the trained model at the end of a run: each is measured on the sets of
//! the run and on the guards, and the best that keeps the guards is chosen.

mod chance;
mod choice;
mod guards;
mod record;

pub(super) use choice::{deciding, value};
pub(super) use guards::Guards;
pub(super) use record::{BlendRecord, Point};

use super::error::FinetuneError;
use super::event::RunEvent;
use super::folder::RunFolder;
use super::measures::START;
use super::prepare::{Prepared, open_base};
use crate::blend::linear;
use crate::card::BlendFacts;
use maana_eval::Scores;
use maana_files::hex;
use maana_kernels::Context;
use maana_model::{StatePart, Trainable, TrainingModel};
use maana_train::Moment;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The parameters that train, of the base and of the trained model. With adapters they are those
/// of the adapters, and the base is the model in which they change nothing. A head that the base
/// lacks is that of the trained model in every blend.
pub(super) struct Ends {
    base: Vec<f32>,
    tuned: Vec<f32>,
}

impl Ends {
    /// Reads the base again; the prepared model has the parameters after training.
    pub(super) fn read(prepared: &Prepared, fingerprint: &str, context: &Context) -> Result<Self, FinetuneError> {
        let model = &prepared.model;
        let mut tuned = vec![0.0; model.tensors().iter().map(|tensor| tensor.range.len()).sum()];
        model.read_state(StatePart::Parameters, 0, &mut tuned);
        if let Some(base) = model.idle_adapters() {
            return Ok(Self { base, tuned });
        }
        let mut base = open_base(&prepared.located, context, model.precision(), &mut |_| {})?.model;
        base.set_max_seq_length(model.spec().settings().max_seq_length)?;
        if hex(&base.fingerprint()) != fingerprint {
            let reason = "the base model has changed since the run began; restore it to blend with it";
            return Err(FinetuneError::Fit(format!("{}: {reason}", prepared.located.base())));
        }
        let mut base = base.parameters().to_vec();
        if model.spec().has_new_head() {
            for tensor in model.head_tensors() {
                base[tensor.range.clone()].copy_from_slice(&tuned[tensor.range]);
            }
        }
        Ok(Self { base, tuned })
    }

    /// Sets the parameters of a model to the blend with this share of the trained model.
    pub(super) fn blend(&self, alpha: f64, model: &mut TrainingModel) {
        let blended = linear(&[1.0 - alpha, alpha], &[&self.base, &self.tuned]);
        model.write_state(StatePart::Parameters, 0, &blended);
    }
}

/// Threads, folder and wish to stop of a run.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) context: &'a Context,
    pub(super) folder: &'a RunFolder,
    pub(super) stop: &'a Arc<AtomicBool>,
}

/// The result of the blends: the scores of the chosen one, whose parameters the model has.
pub(super) struct Blended {
    pub(super) after: Vec<Scores>,
    pub(super) facts: BlendFacts,
}

/// Opens the record of an interrupted run or starts one, and measures the guards with the base.
/// Returns nothing if it was stopped.
pub(super) fn begin(
    prepared: &Prepared,
    base: &str,
    before: &[Scores],
    Place { context, folder, stop }: Place<'_>,
    resume: bool,
) -> Result<Option<BlendRecord>, FinetuneError> {
    let mut record = BlendRecord::new(&prepared.located.recipe, base.to_owned());
    if let Some(earlier) = folder.read_blends()?.filter(|_| resume) {
        record.check(&earlier, &folder.blends())?;
        record = earlier;
    }
    if !record.has(0.0) {
        let guards = prepared.guards.as_ref().expect("the recipe has [blend]");
        let Some(own) = prepared.evaluate_guards(&prepared.model, context, stop)? else { return Ok(None) };
        let mut dev = before.to_vec();
        // Scores that an earlier start has written are without their items.
        if guards.by_chance() && dev.iter().all(|scores| scores.items.is_empty()) {
            let Some(measured) = prepared.evaluate(&prepared.model, context, stop, START)? else { return Ok(None) };
            dev = measured;
        }
        record.add(guards.point(0.0, dev, own));
        folder.write_blends(&record)?;
    }
    Ok(Some(record))
}

/// Measures the blends that the record lacks, chooses one, and sets the model's parameters to it.
/// If no share of the recipe keeps the guards, smaller ones are searched. Every blend is written to
/// the record as soon as it is measured. Returns nothing if it was stopped.
pub(super) fn run(
    prepared: &mut Prepared,
    record: &mut BlendRecord,
    base: &str,
    Place { context, folder, stop }: Place<'_>,
    end: Moment,
    notify: &mut dyn FnMut(&RunEvent<'_>),
) -> Result<Option<Blended>, FinetuneError> {
    let table = prepared.located.recipe.blend.clone().unwrap_or_default();
    record.of_trained_model(hex(&prepared.model.fingerprint()));
    let ends = Ends::read(prepared, base, context)?;
    let keep_best = deciding(&prepared.located.recipe.training.keep_best, record.dev(0.0));
    let mut shares = VecDeque::from(table.alphas.clone());
    let facts = loop {
        let Some(alpha) = shares.pop_front() else {
            let guards = prepared.guards.as_ref().expect("the recipe has [blend]");
            let facts = choice::choose(record, &table, &keep_best, guards.all());
            match choice::smaller_share(&facts, &table.alphas) {
                Some(alpha) => shares.push_back(alpha),
                None => break facts,
            }
            continue;
        };
        if !record.has(alpha) {
            ends.blend(alpha, &mut prepared.model);
            let Some(dev) = prepared.evaluate(&prepared.model, context, stop, end)? else { return Ok(None) };
            let Some(own) = prepared.evaluate_guards(&prepared.model, context, stop)? else { return Ok(None) };
            record.add(prepared.guards.as_ref().expect("the recipe has [blend]").point(alpha, dev, own));
            folder.write_blends(record)?;
        }
        let (metric, value) = (&keep_best.to_string(), value(&keep_best, record.dev(alpha)));
        notify(&RunEvent::Blended { alpha, metric, value });
    };
    let alpha = facts.chosen().alpha;
    ends.blend(alpha, &mut prepared.model);
    Ok(Some(Blended { after: record.dev(alpha).to_vec(), facts }))
}
