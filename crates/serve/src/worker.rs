//! The compute thread: takes batch after batch from the queue, and survives a batch that panics.

use crate::admission::Admission;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::network::Output;
use crate::queue::{Batch, Queue};
use crate::request_error::RequestError;
use crate::settings::Hook;
use crate::system::System;
use maana::kernels::{Context, Matrix};
use maana::model::Activations;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// State of the compute thread.
pub(crate) struct Worker {
    pub(crate) queue: Arc<Queue>,
    pub(crate) context: Arc<Context>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Log,
    pub(crate) system: Arc<dyn System>,
    pub(crate) before_batch: Option<Hook>,
    pub(crate) progress: Progress,
}

/// Progress of the worker.
#[derive(Default)]
pub(crate) struct Progress {
    activations: Activations,
    /// Number of batches.
    batches: u64,
    /// End of the last batch, unless it panicked.
    computed: Option<Instant>,
    /// Texts of a batch that panicked, each a batch of its own.
    split: VecDeque<Batch>,
}

/// A batch with its rows, or without them if computing panicked.
pub(crate) struct Computed {
    batch: Batch,
    start: Instant,
    rows: Option<Matrix>,
}

impl Worker {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Some(batch) = self.ready().or_else(|| self.queue.next()) {
            let computed = self.compute(batch);
            self.finish(computed);
        }
    }

    /// Returns the next batch if there is one now.
    pub(crate) fn ready(&mut self) -> Option<Batch> {
        while let Some(batch) = self.progress.split.pop_front() {
            if batch.is_awaited(self.system.now()) {
                return Some(batch);
            }
        }
        let batch = self.queue.ready()?;
        if let Some(computed) = self.progress.computed {
            // Texts were waiting meanwhile.
            self.metrics.between_batches(self.system.now().saturating_duration_since(computed));
        }
        Some(batch)
    }

    /// Computes a batch.
    pub(crate) fn compute(&mut self, batch: Batch) -> Computed {
        let start = self.system.now();
        let activations = &mut self.progress.activations;
        let rows = catch_unwind(AssertUnwindSafe(|| {
            if let Some(hook) = &self.before_batch {
                hook(batch.tokens.tokens());
            }
            let (network, output) = (&batch.texts[0].0.network, batch.group.output);
            network.infer(&self.context, &batch.tokens, output, self.queue.batch_tokens(), activations)
        }));
        Computed { batch, start, rows: rows.ok() }
    }

    /// Delivers the rows of a batch. If it panicked, its texts are computed again one by one, so
    /// that only requests whose own text panics fail.
    pub(crate) fn finish(&mut self, computed: Computed) {
        let Computed { batch, start, rows } = computed;
        self.progress.batches += 1;
        let Some(rows) = rows else {
            // Memory that a panic has left in an unknown state is not used again.
            self.progress.activations = Activations::default();
            self.progress.computed = None;
            self.metrics.panicked();
            self.log
                .warn("computing a batch panicked; its texts are computed one by one, and those that panic again fail");
            let split = batch.split();
            if split.is_empty() {
                batch.fail();
            }
            self.progress.split.extend(split);
            return;
        };
        let now = self.system.now();
        let time = now.saturating_duration_since(start);
        self.progress.computed = Some(now);
        self.admission.computed(batch.tokens.tokens(), time);
        self.metrics.batch(batch.texts.len(), batch.tokens.tokens(), time);
        if let Err(error) = batch.texts[0].0.network.check_unchanged() {
            self.log.warn(&error.to_string());
            batch.texts.iter().for_each(|(job, _)| job.fail(RequestError::changed("the weights of the model")));
            return;
        }
        for (place, (job, index)) in batch.texts.iter().enumerate() {
            let range = match batch.group.output {
                Output::Embedding => place..place + 1,
                Output::Tokens => batch.tokens.offsets[place]..batch.tokens.offsets[place + 1],
            };
            let columns = rows.columns();
            let values = &rows.data()[range.start * columns..range.end * columns];
            if values.iter().all(|value| value.is_finite()) {
                job.deliver(*index, values, self.progress.batches, time, now);
            } else {
                self.log.warn("a result is not finite; the model's weights are damaged");
                job.fail(RequestError::backend());
            }
        }
    }
}
