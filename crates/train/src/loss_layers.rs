//! The layers that losses own, which train with the model.
//!
//! As in the reference, the optimizer has their parameters, with the weight decay of the run, but
//! they do not count in the norm of the gradient, nor are they clipped. A layer without a gradient
//! is not updated, as when no batch of its data set was in the update.

use crate::groups::ResolvedGroups;
use crate::linear_layer::LinearLayer;
use crate::{Arguments, TrainError, TrainingSet};
use maana_kernels::Context;
use maana_model::StatePart;

/// The layers of all losses of a run, each once.
pub(crate) struct LossLayers<'a> {
    layers: Vec<&'a LinearLayer>,
}

impl<'a> LossLayers<'a> {
    /// Returns the layers of the losses, with the optimizer of the run. Groups of parameters are of
    /// the model only.
    pub(crate) fn new(sets: &[TrainingSet<'a>], arguments: &Arguments) -> Result<Self, TrainError> {
        let mut layers: Vec<&LinearLayer> = Vec::new();
        for layer in sets.iter().filter_map(|set| set.loss.trained_layer()) {
            if !layers.iter().any(|known| std::ptr::eq(*known, layer)) {
                layers.push(layer);
            }
        }
        let arguments = Arguments { groups: Vec::new(), layer_decay: 1.0, ..arguments.clone() };
        for layer in &layers {
            let mut arena = layer.arena();
            let plan = ResolvedGroups::new(&arguments, arena.tensors())?.plan;
            arena.set_update_plan(plan);
        }
        Ok(Self { layers })
    }

    /// The layers, in the order of their sets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a LinearLayer> {
        self.layers.iter().copied()
    }

    /// Returns false if a gradient is not finite.
    pub(crate) fn are_finite(&self, context: &Context) -> bool {
        self.iter().all(|layer| layer.arena().gradient_norm(context).is_finite())
    }

    /// Makes an update of every layer with a gradient; `updates` counts those of each.
    pub(crate) fn update(&self, context: &Context, learning_rate: f64, updates: &mut Vec<u64>) {
        updates.resize(self.layers.len(), 0);
        for (layer, updates) in self.iter().zip(updates) {
            let mut arena = layer.arena();
            if arena.gradients().iter().any(|gradient| *gradient != 0.0) {
                *updates += 1;
                arena.update(context, *updates, learning_rate, 1.0);
            }
        }
    }

    /// As [`maana_model::Trainable::update_average`], of all layers.
    pub(crate) fn update_average(&self, context: &Context, decay: f64, step: u64) {
        self.iter().for_each(|layer| layer.arena().update_average(context, decay, step));
    }

    /// As [`maana_model::Trainable::swap_average`], of all layers.
    pub(crate) fn swap_average(&self) {
        self.iter().for_each(|layer| layer.arena().swap_average());
    }

    /// Returns the parameters of each layer.
    pub(crate) fn parameters(&self) -> Vec<Vec<f32>> {
        self.iter().map(LinearLayer::parameters).collect()
    }

    /// Sets the parameters of each layer.
    pub(crate) fn set_parameters(&self, parameters: &[Vec<f32>]) {
        self.iter().zip(parameters).for_each(|(layer, values)| layer.arena().write(StatePart::Parameters, 0, values));
    }
}
