//! Adaptive layers: any loss of the embeddings of the last layer and of lower ones, which also
//! learn to be similar to the last, so that a model may be cut behind any layer.
//! <https://arxiv.org/abs/2402.14776>
//!
//! ```text
//! w_last · loss(last) + Σ_layer (w_layer · w_prior / n · loss(layer)
//!     + T · w_kl · KL(softmax(last / T), softmax(layer / T)))
//! ```
//!
//! The divergence is the mean over the texts of all columns; it has no gradient for the last layer.

use super::needs::Needs;
use super::number_or_all::NumberOrAll;
use super::objective::{Embedded, Loss, LossSummary};
use crate::linear_layer::LinearLayer;
use libm::{exp, log};
use maana_files::mix;
use maana_kernels::{Context, Matrix, Rows};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Settings of [`AdaptiveLayers`], with the names and defaults of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveLayerSettings {
    /// Number of lower layers that are drawn for each micro-batch.
    pub n_layers_per_step: NumberOrAll,
    /// Factor of the loss of the last layer.
    pub last_layer_weight: f64,
    /// Factor of the losses of lower layers.
    pub prior_layers_weight: f64,
    /// Factor of the divergence of lower layers from the last.
    pub kl_div_weight: f64,
    /// T; without a divergence if it is 0.
    pub kl_temperature: f64,
    /// Weights of the losses of lower layers.
    pub layer_weighting: LayerWeighting,
}

impl Default for AdaptiveLayerSettings {
    fn default() -> Self {
        Self {
            n_layers_per_step: NumberOrAll::Number(1),
            last_layer_weight: 1.0,
            prior_layers_weight: 1.0,
            kl_div_weight: 1.0,
            kl_temperature: 0.3,
            layer_weighting: LayerWeighting::Uniform,
        }
    }
}

/// Weights of layers, of which number 0 is the embeddings of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerWeighting {
    /// 1 each.
    #[default]
    Uniform,
    /// `1 / (1 + ln(1 + layer))`
    Log,
    /// `1 / (1 + layer)`
    Linear,
}

impl LayerWeighting {
    fn of(self, layer: usize) -> f64 {
        match self {
            Self::Uniform => 1.0,
            Self::Log => 1.0 / (1.0 + log(1.0 + layer as f64)),
            Self::Linear => 1.0 / (1.0 + layer as f64),
        }
    }
}

/// A loss over several layers. The reference's `AdaptiveLayerLoss`; over Matryoshka its
/// `Matryoshka2dLoss`.
pub struct AdaptiveLayers {
    /// The loss of each layer.
    pub inner: Box<dyn Loss>,
    /// Number of layers below the last, at least one.
    pub lower_layers: usize,
    /// The settings.
    pub settings: AdaptiveLayerSettings,
    /// Seed of the run, which determines the drawn layers.
    pub seed: u64,
}

impl AdaptiveLayers {
    /// Adds `weight` × the divergence of the embeddings of a lower layer from those of the last.
    fn divergence(&self, last: &[Rows<'_>], lower: &[Rows<'_>], weight: f32, d_lower: &mut [Matrix]) -> f32 {
        let temperature = self.settings.kl_temperature;
        let texts: usize = lower.iter().map(Rows::rows).sum();
        let weight = f64::from(weight) * temperature * self.settings.kl_div_weight / texts as f64;
        let mut sum = 0.0;
        for ((last, lower), d_lower) in last.iter().zip(lower).zip(d_lower) {
            for row in 0..lower.rows() {
                let [teacher, student] = [last, lower].map(|rows| log_softmax(rows.row(row), temperature));
                for ((teacher, student), d) in teacher.iter().zip(&student).zip(d_lower.row_mut(row)) {
                    let probability = exp(*teacher);
                    sum += probability * (teacher - student);
                    *d += (weight * (exp(*student) - probability) / temperature) as f32;
                }
            }
        }
        (weight * sum) as f32
    }
}

/// Returns the logarithm of the softmax of `row / temperature`.
fn log_softmax(row: &[f32], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f64> = row.iter().map(|x| f64::from(*x) / temperature).collect();
    let greatest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = greatest + log(scaled.iter().map(|x| exp(x - greatest)).sum());
    scaled.into_iter().map(|x| x - total).collect()
}

impl Loss for AdaptiveLayers {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        if !embedded.trains {
            return self.inner.loss(context, embedded, weight, d_columns);
        }
        let of_last = weight * self.settings.last_layer_weight as f32;
        let layers = self.layers(embedded.pass);
        let columns = embedded.columns.len() / (layers.len() + 1);
        let (last, lower) = embedded.columns.split_at(columns);
        let (d_last, d_lower) = d_columns.split_at_mut(columns);
        let mut value = self.inner.loss(context, &Embedded { columns: last, ..*embedded }, of_last, d_last);
        let all_lower = self.settings.prior_layers_weight / layers.len() as f64;
        let by_layer = layers.iter().zip(lower.chunks(columns)).zip(d_lower.chunks_mut(columns));
        for ((layer, lower), d_lower) in by_layer {
            // Each layer draws for itself what the loss draws, such as dimensions.
            let pass = mix(embedded.pass ^ mix(*layer as u64 + 1));
            let embedded = Embedded { columns: lower, pass, ..*embedded };
            let of_layer = weight * (self.settings.layer_weighting.of(*layer) * all_lower) as f32;
            value += self.inner.loss(context, &embedded, of_layer, d_lower);
            if self.settings.kl_temperature > 0.0 {
                value += self.divergence(last, lower, weight, d_lower);
            }
        }
        value
    }

    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn layers(&self, pass: u64) -> Vec<usize> {
        let mut left: Vec<usize> = (0..self.lower_layers).collect();
        let NumberOrAll::Number(number) = self.settings.n_layers_per_step else { return left };
        let mut state = mix(self.seed ^ mix(!pass));
        let mut drawn = Vec::new();
        for _ in 0..number.min(left.len()) {
            state = mix(state);
            drawn.push(left.swap_remove((state % left.len() as u64) as usize));
        }
        drawn.sort_unstable();
        drawn
    }

    fn trained_layer(&self) -> Option<&LinearLayer> {
        self.inner.trained_layer()
    }

    fn describe(&self) -> LossSummary {
        let inner = self.inner.describe();
        let settings = &self.settings;
        let per_step = match settings.n_layers_per_step {
            NumberOrAll::Number(number) => json!(number),
            NumberOrAll::All => json!(-1),
        };
        let own = vec![
            ("loss".into(), json!(inner.class)),
            ("n_layers_per_step".into(), per_step),
            ("last_layer_weight".into(), json!(settings.last_layer_weight)),
            ("prior_layers_weight".into(), json!(settings.prior_layers_weight)),
            ("kl_div_weight".into(), json!(settings.kl_div_weight)),
            ("kl_temperature".into(), json!(settings.kl_temperature)),
            ("layer_weighting".into(), json!(settings.layer_weighting)),
        ];
        match inner.inner {
            // The reference has a class of both, whose parameters are those of both.
            Some(innermost) => LossSummary {
                name: "adaptive_layers".into(),
                class: "Matryoshka2dLoss".into(),
                parameters: inner.parameters.into_iter().chain(own.into_iter().skip(1)).collect(),
                inner: Some(innermost),
            },
            None => LossSummary {
                name: "adaptive_layers".into(),
                class: "AdaptiveLayerLoss".into(),
                parameters: own,
                inner: Some(Box::new(inner)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::InBatchNegatives;

    fn drawing(number: NumberOrAll, seed: u64) -> AdaptiveLayers {
        let settings = AdaptiveLayerSettings { n_layers_per_step: number, ..AdaptiveLayerSettings::default() };
        AdaptiveLayers { inner: Box::new(InBatchNegatives::new(20.0)), lower_layers: 4, settings, seed }
    }

    #[test]
    fn layers_are_distinct_and_ascending_and_depend_on_seed_and_pass_only() {
        let mut seen = std::collections::HashMap::new();
        for pass in 0..600 {
            let drawn = drawing(NumberOrAll::Number(2), 42).layers(pass);
            assert!(drawn.len() == 2 && drawn[0] < drawn[1], "{drawn:?}");
            assert_eq!(drawn, drawing(NumberOrAll::Number(2), 42).layers(pass));
            *seen.entry(drawn).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6, "all pairs of four come");
        assert!(seen.values().all(|times| (60..140).contains(times)), "about equally often: {seen:?}");
        assert!((0..20).any(|pass| {
            drawing(NumberOrAll::Number(2), 43).layers(pass) != drawing(NumberOrAll::Number(2), 42).layers(pass)
        }));
        for all in [NumberOrAll::All, NumberOrAll::Number(9)] {
            assert_eq!(drawing(all, 42).layers(7), [0, 1, 2, 3]);
        }
    }
}
