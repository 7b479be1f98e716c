//! Updates of the parameters by AdamW (arXiv:1711.05101) as PyTorch computes it, or by Adafactor
//! (arXiv:1804.04235).

use super::{ParameterArena, part};
use crate::weights::update_plan::{Algorithm, TensorSettings, factored_len};
use maana_kernels::{Adafactor, AdamW, Context};
use std::ops::Range;
use std::sync::Arc;

impl ParameterArena {
    /// Makes update `step`, from 1, with the summed gradients times `gradient_scale`, and sets them
    /// to zero. A run with weight decay omits tensors that never had a gradient, as the reference
    /// does.
    pub fn update(&mut self, context: &Context, step: u64, learning_rate: f64, gradient_scale: f32) {
        part(&mut self.gradients, self.parameters.len());
        if gradient_scale != 1.0 {
            for range in self.live() {
                maana_kernels::scale(context, &mut self.gradients[range], gradient_scale);
            }
        }
        match self.plan.algorithm {
            Algorithm::AdamW { beta1, beta2, epsilon, lazy_embeddings } => {
                let settings = AdamW { learning_rate, beta1, beta2, epsilon, weight_decay: 0.0, step };
                self.update_by_adamw(context, &settings, lazy_embeddings);
            }
            Algorithm::Adafactor { clip_threshold, decay_rate, scale_parameter } => {
                let settings =
                    Adafactor { learning_rate, weight_decay: 0.0, clip_threshold, decay_rate, scale_parameter, step };
                self.update_by_adafactor(context, &settings);
            }
        }
        self.clear_gradients();
    }

    fn update_by_adamw(&mut self, context: &Context, settings: &AdamW, lazy: bool) {
        let settings_of = |tensor: &TensorSettings| AdamW {
            learning_rate: settings.learning_rate * tensor.learning_rate_factor,
            weight_decay: tensor.weight_decay,
            ..*settings
        };
        part(&mut self.first_moments, self.parameters.len());
        part(&mut self.second_moments, self.parameters.len());
        let decays = self.plan.tensors.iter().any(|tensor| tensor.weight_decay != 0.0);
        let lazy_tables = if lazy { &self.touched[..] } else { &[] };
        // Adjacent tensors with the same settings are one range.
        let mut parts: Vec<(Range<usize>, &TensorSettings)> = Vec::new();
        let mut tables = Vec::new();
        for (tensor, settings) in self.plan.trained(&self.tensors) {
            let range = tensor.range.clone();
            if let Some(touched) = lazy_tables.iter().find(|touched| touched.range == range) {
                tables.push((touched, settings));
                continue;
            }
            if decays && !nonzero(&self.gradients, &range) && !nonzero(&self.second_moments, &range) {
                continue;
            }
            match parts.last_mut() {
                Some((last, of)) if last.end == range.start && *of == settings => last.end = range.end,
                _ => parts.push((range, settings)),
            }
        }
        let parameters = Arc::make_mut(&mut self.parameters);
        for (range, tensor) in parts {
            maana_kernels::adamw(
                context,
                &mut parameters[range.clone()],
                &self.gradients[range.clone()],
                &mut self.first_moments[range.clone()],
                &mut self.second_moments[range],
                &settings_of(tensor),
            );
        }
        for (touched, tensor) in tables {
            let range = touched.range.clone();
            let (gradients, columns) = (&self.gradients[range.clone()], touched.columns);
            let mut rows = touched.sorted();
            // A row is updated if it has a gradient, not because its token occurs, so that the
            // update depends only on numbers that a checkpoint has.
            rows.retain(|row| nonzero(gradients, &(*row as usize * columns..(*row as usize + 1) * columns)));
            let arenas = [&mut parameters[..], &mut self.first_moments[..], &mut self.second_moments[..]];
            let table = arenas.map(|arena| &mut arena[range.clone()]);
            maana_kernels::adamw_rows(context, table, gradients, columns, &rows, &settings_of(tensor));
        }
    }

    fn update_by_adafactor(&mut self, context: &Context, settings: &Adafactor) {
        let moments = self.second_moments_len();
        let moments = part(&mut self.second_moments, moments);
        let parameters = Arc::make_mut(&mut self.parameters);
        let mut start = 0;
        for (tensor, of) in self.plan.trained(&self.tensors) {
            let range = tensor.range.clone();
            let settings = Adafactor {
                learning_rate: settings.learning_rate * of.learning_rate_factor,
                weight_decay: of.weight_decay,
                ..*settings
            };
            let count = factored_len(tensor);
            let moments = &mut moments[start..start + count];
            start += count;
            if !nonzero(&self.gradients, &range) && moments.iter().all(|moment| *moment == 0.0) {
                continue;
            }
            let (parameters, gradients) = (&mut parameters[range.clone()], &self.gradients[range]);
            match tensor.matrix() {
                Some([rows, _]) => {
                    let (rows, columns) = moments.split_at_mut(rows);
                    maana_kernels::adafactor_matrix(context, parameters, gradients, rows, columns, &settings);
                }
                None => maana_kernels::adafactor_vector(context, parameters, gradients, moments, &settings),
            }
        }
    }
}

/// Returns true if a range has a number other than zero.
fn nonzero(values: &[f32], range: &Range<usize>) -> bool {
    values[range.clone()].iter().any(|value| *value != 0.0)
}
