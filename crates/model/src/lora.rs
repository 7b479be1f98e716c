//! Low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685): a weight W of a linear layer becomes
//! W + α/r · B A, where only A and B train.
//!
//! Passes read the sum, which is computed after each update: forward takes no longer than without
//! adapters. Backward gives the gradient of the sum, from which those of A and B follow. Nothing
//! else has a gradient, so that backward skips more than a third of its products.

mod dropout;
mod target;

use crate::ModelError;
use crate::config::Architecture;
use crate::trainable::DropoutSeed;
use crate::weights::{GradientPlace, Gradients, Layout, ParameterArena, Tensor, named_within, overlap};
pub(crate) use dropout::AdapterDropout;
use maana_files::SplitMix64;
use maana_kernels::{Context, Precision, Rows};
use std::collections::BTreeSet;
use std::ops::Range;
use target::Target;

/// Rows of a task of a merge.
const ROWS: usize = 32;

/// The settings of adapters, with the names of PEFT.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraSettings {
    /// Number of columns of B and rows of A (PEFT: `r`).
    pub rank: usize,
    /// α; the product is multiplied by α / rank (PEFT: `lora_alpha`).
    pub alpha: f64,
    /// Probability with which an adapter drops an element of its input in training (PEFT:
    /// `lora_dropout`).
    pub dropout: f64,
    /// Names of linear layers, or the ends of their names (PEFT: `target_modules`). Empty: query
    /// and value of each layer.
    pub targets: Vec<String>,
    /// Routes whose towers have adapters, of a model with a router. Empty: all that have linear
    /// layers.
    pub routes: Vec<String>,
    /// Name or path of the base model, by which the adapters find it.
    pub base: String,
    /// True if the model is saved with the adapters merged into its weights; else only the adapters
    /// are saved.
    pub merge: bool,
}

impl LoraSettings {
    /// Factor of the product.
    fn scale(&self) -> f32 {
        (self.alpha / self.rank as f64) as f32
    }
}

/// The adapters of a model that trains.
pub(crate) struct Lora {
    pub(crate) settings: LoraSettings,
    /// A and B of each target.
    pub(crate) arena: ParameterArena,
    towers: Vec<AdaptedTower>,
    targets: Vec<Target>,
    /// Weights of the targets without adapters.
    weights: Vec<f32>,
    /// Gradients of the sums, since the last [`Lora::project`].
    gradients: Vec<f32>,
    places: Vec<GradientPlace>,
}

/// An encoder that gets adapters.
pub(crate) struct ToAdapt<'a> {
    /// The folder of the encoder within that of the model, whose name precedes those of tensors.
    pub(crate) folder: &'a str,
    /// Name or path of its base model.
    pub(crate) base: String,
    pub(crate) architecture: Architecture,
    pub(crate) layout: &'a Layout,
}

/// An encoder with adapters.
pub(crate) struct AdaptedTower {
    folder: String,
    /// Name or path of its base model.
    pub(crate) base: String,
    /// Names of linear layers, or their ends.
    pub(crate) targets: Vec<String>,
    /// Its tensors, with the names in its own file.
    pub(crate) tensors: Vec<Tensor>,
}

impl Architecture {
    /// Returns the ends of the names of query and value, which are adapted by default.
    fn adapted(self) -> &'static [&'static str] {
        match self {
            Self::DistilBert => &["q_lin", "v_lin"],
            Self::MpNet => &["q", "v"],
            Self::Bert | Self::Roberta | Self::Camembert | Self::XlmRoberta => &["query", "value"],
            // PEFT has no default for it; query, key and value are one layer.
            Self::ModernBert => &["Wqkv"],
            Self::Static => &[],
        }
    }
}

impl Lora {
    /// Returns the parameters with every B set to 0.
    pub(crate) fn idle(&self) -> Vec<f32> {
        let mut parameters = self.arena.parameters().to_vec();
        self.targets.iter().for_each(|target| parameters[target.b.clone()].fill(0.0));
        parameters
    }

    /// Returns adapters of the encoders of a model with these parameters that change nothing yet: A
    /// is drawn as PEFT does (Kaiming, uniform), B is 0.
    ///
    /// # Errors
    /// Returns an error if the settings do not fit the model.
    pub(crate) fn new(
        mut settings: LoraSettings,
        encoders: &[ToAdapt<'_>],
        parameters: &[f32],
        seed: u64,
    ) -> Result<Self, ModelError> {
        if encoders.iter().all(|encoder| encoder.layout.linears.is_empty()) {
            let reason = "a static model has no linear layers to adapt; train it without adapters";
            return Err(ModelError::Request(reason.into()));
        }
        if !(settings.alpha.is_finite() && settings.alpha > 0.0) {
            return Err(ModelError::Request(format!("alpha is {}; expected a number above 0", settings.alpha)));
        }
        if !(0.0..1.0).contains(&settings.dropout) {
            let reason = format!("dropout is {}; expected a number from 0 to below 1", settings.dropout);
            return Err(ModelError::Request(reason));
        }
        check_targets(&settings.targets, encoders)?;
        let mut adapters = Adapters::default();
        let mut towers = Vec::new();
        for encoder in encoders {
            towers.push(adapters.add(encoder, &settings, parameters, seed)?);
        }
        let names: BTreeSet<&String> = towers.iter().flat_map(|tower| &tower.targets).collect();
        settings.targets = names.into_iter().cloned().collect();
        let Adapters { tensors, values, targets, weights, gradients, places } = adapters;
        let arena = ParameterArena::new(tensors, values);
        Ok(Self { settings, arena, towers, targets, weights, gradients: vec![0.0; gradients], places })
    }

    /// Returns the adapters of the encoder in the folder `folder` of the model, if it has any.
    pub(crate) fn tower(&self, folder: &str) -> Option<&AdaptedTower> {
        self.towers.iter().find(|tower| tower.folder == folder)
    }

    /// Returns the dropout of the adapters in a pass; none if nothing is dropped.
    pub(crate) fn dropout(&self, seed: DropoutSeed) -> Option<AdapterDropout<'_>> {
        let settings = (self.settings.scale(), self.settings.dropout);
        AdapterDropout::new(&self.targets, self.arena.parameters(), settings, seed)
    }

    /// Returns the gradients of the sums, to be added to, and the dropout of a pass.
    pub(crate) fn for_backward(&mut self, seed: DropoutSeed) -> (Gradients<'_>, Option<AdapterDropout<'_>>) {
        let Self { settings, arena, targets, gradients, places, .. } = self;
        let dropout = AdapterDropout::new(targets, arena.parameters(), (settings.scale(), settings.dropout), seed);
        (Gradients::of_some(gradients, places), dropout)
    }

    /// Writes the sums to the parameters of the model, of those targets whose adapters have an
    /// element in `changed`, a range of the adapters' arena.
    pub(crate) fn merge(&self, context: &Context, changed: &Range<usize>, parameters: &mut [f32]) {
        let (adapters, rank, scale) = (self.arena.parameters(), self.settings.rank, self.settings.scale());
        for target in &self.targets {
            if ![&target.a, &target.b].into_iter().any(|range| overlap(range, changed)) {
                continue;
            }
            let (own, a, b) =
                (&self.weights[target.own.clone()], &adapters[target.a.clone()], &adapters[target.b.clone()]);
            let inputs = target.inputs;
            context.for_each_chunk(&mut parameters[target.weight.clone()], ROWS * inputs, |task, weight| {
                weight.copy_from_slice(&own[task * ROWS * inputs..][..weight.len()]);
                add_product(weight, inputs, a, &b[task * ROWS * rank..], scale);
            });
        }
    }

    /// Adds the gradients of A and B, given those of the sums, W' = W + s B A: `d_A = s Bᵀ d_W'`
    /// and `d_B = s d_W' Aᵀ`. Sets the gradients of the sums to zero.
    pub(crate) fn project(&mut self, context: &Context) {
        let (rank, scale) = (self.settings.rank, self.settings.scale());
        let (adapters, mut gradients) = self.arena.for_backward();
        let scaled: Vec<f32> = adapters.iter().map(|value| scale * value).collect();
        for Target { gradient, a, b, outputs, inputs, .. } in &self.targets {
            let d_weight = Rows::new(&self.gradients[gradient.clone()], *outputs, *inputs, *inputs);
            let scaled_a = Rows::new(&scaled[a.clone()], rank, *inputs, *inputs);
            let scaled_b = Rows::new(&scaled[b.clone()], *outputs, rank, rank);
            if let Some(d_a) = gradients.of(a) {
                maana_kernels::matmul_weight_gradient(context, Precision::F32, scaled_b, d_weight, d_a);
            }
            if let Some(d_b) = gradients.of(b) {
                maana_kernels::matmul_transposed(context, d_weight, scaled_a, d_b, true);
            }
        }
        drop(gradients);
        self.gradients.fill(0.0);
    }

    /// Bytes of the adapters, of the frozen weights, and of the gradients of the sums.
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.arena.parameters().len() + self.weights.len() + self.gradients.len())
    }
}

/// Adapters of the encoders so far.
#[derive(Default)]
struct Adapters {
    /// A and B of each target, with the folders of their encoders in front of their names.
    tensors: Vec<Tensor>,
    values: Vec<f32>,
    targets: Vec<Target>,
    weights: Vec<f32>,
    /// Number of gradients.
    gradients: usize,
    places: Vec<GradientPlace>,
}

impl Adapters {
    /// Adds the adapters of an encoder.
    fn add(
        &mut self,
        encoder: &ToAdapt<'_>,
        settings: &LoraSettings,
        parameters: &[f32],
        seed: u64,
    ) -> Result<AdaptedTower, ModelError> {
        let (rank, layout) = (settings.rank, encoder.layout);
        let names = match settings.targets.is_empty() {
            true => encoder.architecture.adapted().iter().map(|name| String::from(*name)).collect(),
            false => settings.targets.clone(),
        };
        let mut own_tensors = Vec::new();
        for linear in &layout.linears {
            let stacked = &layout.tensors[linear.weight.tensors.clone()];
            let mut adapted = stacked.iter().filter(|tensor| is_target(&tensor.name, &names)).peekable();
            if adapted.peek().is_none() {
                continue;
            }
            let (all, start) = (&linear.weight.range, self.gradients);
            self.places.push(GradientPlace { parameter: all.clone(), gradient: start..start + all.len() });
            for tensor in adapted {
                let [outputs, inputs] = tensor.shape[..] else { unreachable!("the weight of a linear layer") };
                if rank == 0 || rank > outputs.min(inputs) {
                    let least = outputs.min(inputs);
                    return Err(ModelError::Request(format!(
                        "rank is {rank}; expected 1 to {least}, the size of `{}`",
                        tensor.name
                    )));
                }
                let gradient = start + tensor.range.start - all.start;
                let a = self.values.len()..self.values.len() + rank * inputs;
                let b = a.end..a.end + outputs * rank;
                let number = self.tensors.len() + own_tensors.len();
                draw(&mut self.values, a.len(), inputs, seed.wrapping_add(number as u64));
                self.values.resize(b.end, 0.0);
                own_tensors.extend([
                    Tensor { name: adapter_name(&tensor.name, "A"), shape: vec![rank, inputs], range: a.clone() },
                    Tensor { name: adapter_name(&tensor.name, "B"), shape: vec![outputs, rank], range: b.clone() },
                ]);
                let own = self.weights.len()..self.weights.len() + tensor.range.len();
                self.weights.extend_from_slice(&parameters[tensor.range.clone()]);
                let (weight, gradient) = (tensor.range.clone(), gradient..gradient + tensor.range.len());
                self.targets.push(Target { weight, own, gradient, a, b, outputs, inputs });
            }
            self.gradients += all.len();
        }
        self.tensors.extend(named_within(encoder.folder, own_tensors.iter().cloned()));
        Ok(AdaptedTower {
            folder: encoder.folder.to_owned(),
            base: encoder.base.clone(),
            targets: names,
            tensors: own_tensors,
        })
    }
}

/// Adds `scale · B A` to a weight, `(outputs, inputs)`, row after row.
pub(crate) fn add_product(weight: &mut [f32], inputs: usize, a: &[f32], b: &[f32], scale: f32) {
    let rank = a.len() / inputs;
    for (weight, b) in weight.chunks_exact_mut(inputs).zip(b.chunks_exact(rank)) {
        for (b, a) in b.iter().zip(a.chunks_exact(inputs)) {
            let factor = scale * b;
            weight.iter_mut().zip(a).for_each(|(weight, a)| *weight += factor * a);
        }
    }
}

/// Returns the name of an adapter's tensor: `query.lora_A.weight` for `query.weight`.
pub(crate) fn adapter_name(weight: &str, part: &str) -> String {
    format!("{}.lora_{part}.weight", module(weight))
}

fn module(weight: &str) -> &str {
    weight.strip_suffix(".weight").unwrap_or(weight)
}

/// Returns whether a weight belongs to a target: its module has that name, or the name ends with
/// it, as in PEFT.
fn is_target(weight: &str, targets: &[String]) -> bool {
    let module = module(weight);
    targets.iter().any(|target| {
        module.strip_suffix(target.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// Checks that every target is a linear layer of one of the encoders.
fn check_targets(targets: &[String], encoders: &[ToAdapt<'_>]) -> Result<(), ModelError> {
    let weights = || {
        encoders.iter().flat_map(|encoder| {
            let linears = encoder.layout.linears.iter();
            let tensors = linears.flat_map(|linear| &encoder.layout.tensors[linear.weight.tensors.clone()]);
            tensors.map(|tensor| &*tensor.name)
        })
    };
    for target in targets {
        if !weights().any(|name| is_target(name, std::slice::from_ref(target))) {
            // The names in the first layer stand for those of all.
            let known: Vec<&str> = weights().map(module).filter_map(|name| Some(name.split_once(".0.")?.1)).collect();
            return Err(ModelError::Request(format!(
                "targets: no linear layer's name ends with `{target}`; the layers have {}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// Appends uniform numbers between ±1/√inputs.
fn draw(values: &mut Vec<f32>, count: usize, inputs: usize, seed: u64) {
    let mut random = SplitMix64::spread(seed);
    let bound = 1.0 / (inputs as f32).sqrt();
    values.extend((0..count).map(|_| {
        let unit = (random.next_u64() >> 40) as f32 / (1u64 << 24) as f32;
        (2.0 * unit - 1.0) * bound
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_added_row_by_row() {
        let mut weight = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        add_product(&mut weight, 3, &[1.0, 0.0, 2.0], &[1.0, -1.0], 0.5);
        assert_eq!(weight, [1.5, 2.0, 4.0, 3.5, 5.0, 5.0]);
    }

    #[test]
    fn targets_are_names_or_whole_ends_of_names() {
        let targets = ["query".to_owned(), "output.dense".to_owned()];
        assert!(is_target("encoder.layer.0.attention.self.query.weight", &targets));
        assert!(is_target("encoder.layer.0.output.dense.weight", &targets));
        assert!(is_target("query.weight", &targets));
        assert!(!is_target("encoder.layer.0.subquery.weight", &targets));
        assert!(!is_target("encoder.layer.0.intermediate.dense.weight", &targets));
    }
}
