//! The thread that computes: takes batch after batch from the queue, and outlives a batch that panics.

use crate::admission::Admission;
use crate::fault::Fault;
use crate::job::Wanted;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::queue::{Batch, Queue};
use crate::settings::Hook;
use maana::kernels::{Context, Matrix};
use maana::model::Activations;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// What the thread works with.
pub(crate) struct Worker {
    pub(crate) queue: Arc<Queue>,
    pub(crate) context: Arc<Context>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Log,
    pub(crate) before_batch: Option<Hook>,
}

impl Worker {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(&self) {
        let mut activations = Activations::default();
        let (mut number, mut computed) = (0, None::<Instant>);
        while let Some(batch) = self.next(computed) {
            number += 1;
            computed = self.answer(&batch, number, &mut activations);
            if computed.is_none() {
                // One text is to blame: the requests that it came together with do not fail with it.
                let each_alone = batch.each_alone();
                if each_alone.is_empty() {
                    batch.fail();
                }
                for alone in each_alone {
                    number += 1;
                    if alone.is_wanted() && self.answer(&alone, number, &mut activations).is_none() {
                        alone.fail();
                    }
                }
            }
        }
    }

    /// The next batch, at once if texts wait: then the time since the last one was computed is lost for computing.
    fn next(&self, computed: Option<Instant>) -> Option<Batch> {
        let Some(batch) = self.queue.ready() else { return self.queue.next() };
        if let Some(computed) = computed {
            self.metrics.between_batches(computed.elapsed());
        }
        Some(batch)
    }

    /// Computes a batch and hands out its rows. Returns when it was computed, or nothing if computing panicked.
    fn answer(&self, batch: &Batch, number: u64, activations: &mut Activations) -> Option<Instant> {
        let start = Instant::now();
        let Ok(rows) = catch_unwind(AssertUnwindSafe(|| self.compute(batch, activations))) else {
            // Memory that a panic has left half written is not used again.
            *activations = Activations::default();
            self.metrics.panicked();
            self.log.warn(
                "computing a batch panicked; each of its texts is computed alone, and what panics again is told so",
            );
            return None;
        };
        let computed = Instant::now();
        let time = computed - start;
        self.admission.computed(batch.tokens.tokens(), time);
        self.metrics.batch(batch.texts.len(), batch.tokens.tokens(), time);
        if let Err(error) = batch.texts[0].0.model.sentence.model().check_unchanged() {
            self.log.warn(&error.to_string());
            batch.texts.iter().for_each(|(job, _)| job.fail(Fault::changed("the weights of the model")));
            return Some(computed);
        }
        for (place, (job, index)) in batch.texts.iter().enumerate() {
            let range = match batch.group.wanted {
                Wanted::Embedding => place..place + 1,
                Wanted::Tokens => batch.tokens.offsets[place]..batch.tokens.offsets[place + 1],
            };
            let columns = rows.columns();
            let values = &rows.data()[range.start * columns..range.end * columns];
            if values.iter().all(|value| value.is_finite()) {
                job.deliver(*index, values, number, time);
            } else {
                self.log.warn("an embedding is not a number; the model's weights are damaged");
                job.fail(Fault::backend());
            }
        }
        Some(computed)
    }

    fn compute(&self, batch: &Batch, activations: &mut Activations) -> Matrix {
        if let Some(hook) = &self.before_batch {
            hook(batch.tokens.tokens());
        }
        let model = batch.texts[0].0.model.sentence.model();
        model.reserve(self.queue.batch_tokens(), activations);
        match batch.group.wanted {
            Wanted::Embedding => {
                model.embed_unfinished(&self.context, &batch.tokens, batch.group.prompt_length, activations)
            }
            Wanted::Tokens => model.embed_tokens(&self.context, &batch.tokens, activations),
        }
    }
}
