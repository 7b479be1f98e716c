//! An observer of runs of real models.

use maana_model::TrainingModel;
use maana_train::{Event, Failure, Observer};
use std::path::Path;

/// Watches a run that may be stopped after a number of micro-batches.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) stop_after: Option<u64>,
    pub(crate) passes: u64,
}

impl Observer<TrainingModel> for Watch {
    fn evaluate(&mut self, _: &TrainingModel, _: u64, _: f64) -> Result<Vec<(String, f64)>, Failure> {
        Ok(Vec::new())
    }

    fn save_model(&mut self, _: &TrainingModel, _: &Path) -> Result<(), Failure> {
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) {
        self.passes += u64::from(matches!(event, Event::Progress(_)));
    }

    fn stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|after| self.passes >= after)
    }
}
