//! The best parameters of a run that has no folder to keep them in.

use crate::loss_layers::LossLayers;
use maana_model::{StatePart, Trainable};

/// Parameters of a model and of the layers that losses own.
pub(crate) struct BestParameters {
    model: Vec<f32>,
    losses: Vec<Vec<f32>>,
}

impl BestParameters {
    /// Copies the parameters.
    pub(crate) fn of(model: &impl Trainable, losses: &LossLayers<'_>) -> Self {
        let elements = model.tensors().iter().map(|tensor| tensor.range.len()).sum();
        let mut parameters = vec![0.0; elements];
        model.read_state(StatePart::Parameters, 0, &mut parameters);
        Self { model: parameters, losses: losses.parameters() }
    }

    /// Writes them back.
    pub(crate) fn restore(&self, model: &mut impl Trainable, losses: &LossLayers<'_>) {
        model.write_state(StatePart::Parameters, 0, &self.model);
        losses.set_parameters(&self.losses);
    }
}
