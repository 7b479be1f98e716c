//! A model that encodes: its weights are packed, memory-mapped, or shared with a model that trains.
//! It has no gradients.

use crate::ModelError;
use crate::activations::Activations;
use crate::encoders::Network;
use crate::fingerprint::{fingerprint, fingerprint_of_towers};
use crate::pass::{Compute, Pass};
use crate::router::Router;
use crate::similarity::Role;
use crate::spec::{ModelSpec, summary_of_towers};
use crate::summary::ModelSummary;
use crate::trainable::DropoutSeed;
use crate::weights::{InferenceWeights, Tensor, checksums};
use maana_kernels::{Context, Matrix, Precision, normalized};
use maana_text::TokenBatch;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// A sentence encoder for use: one tower, or that of texts without a role and with it the others
/// of a router.
pub struct InferenceModel {
    spec: Arc<ModelSpec>,
    encoder: Arc<InferenceEncoder>,
    /// Parameters of the modules behind pooling, or with them those of the encoder.
    modules: Arc<Vec<f32>>,
    module_tensors: Vec<Tensor>,
    towers: Option<Towers>,
}

/// The other towers of a model with a router, from number 1 on.
struct Towers {
    router: Router,
    others: Vec<Arc<InferenceModel>>,
}

/// An encoder with its weights, which several towers may share.
pub(crate) struct InferenceEncoder {
    network: Network,
    weights: InferenceWeights,
    /// Checksums of the tensors that are not among the parameters, by number, once they are known.
    checksums: OnceLock<Vec<Vec<u128>>>,
}

/// The weights of a tower.
pub(crate) struct InferenceParts {
    pub(crate) encoder: Arc<InferenceEncoder>,
    pub(crate) modules: Arc<Vec<f32>>,
    pub(crate) module_tensors: Vec<Tensor>,
}

impl InferenceEncoder {
    /// Returns an encoder with the checksums of the packed and mapped tensors, if they are known.
    pub(crate) fn new(network: Network, weights: InferenceWeights, checksums: Option<Vec<Vec<u128>>>) -> Self {
        Self { network, weights, checksums: checksums.map_or_else(OnceLock::new, OnceLock::from) }
    }
}

impl InferenceModel {
    /// Returns a model of one tower.
    pub(crate) fn new(spec: impl Into<Arc<ModelSpec>>, parts: InferenceParts) -> Self {
        let InferenceParts { encoder, modules, module_tensors } = parts;
        Self { spec: spec.into(), encoder, modules, module_tensors, towers: None }
    }

    /// Returns a model of the towers of a router, or of one without it.
    pub(crate) fn of_towers(towers: Vec<Self>, router: Option<Router>) -> Self {
        let mut towers = towers.into_iter();
        let first = towers.next().expect("a model has a tower");
        let others = towers.map(Arc::new).collect();
        Self { towers: router.map(|router| Towers { router, others }), ..first }
    }

    /// Returns the tower of texts of a role, if the model has towers by role.
    pub(crate) fn tower(self: &Arc<Self>, role: Role) -> Option<Arc<Self>> {
        let towers = self.towers.as_ref()?;
        Some(match towers.router.tower(role) {
            0 => Arc::clone(self),
            number => Arc::clone(&towers.others[number - 1]),
        })
    }

    /// Returns true if texts need a role, because no tower is that of texts without one.
    pub(crate) fn needs_role(&self) -> bool {
        self.towers.as_ref().is_some_and(|towers| !towers.router.has_default)
    }

    /// All towers: the model itself, then the others.
    fn towers(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.towers.iter().flat_map(|towers| &towers.others).map(|tower| &**tower))
    }

    /// Returns whether all towers are tables of static embeddings, which are added in f32 in every
    /// precision.
    pub fn is_static(&self) -> bool {
        self.towers().all(|tower| tower.spec.is_static())
    }

    /// The encoders of all towers, each once.
    fn encoders(&self) -> impl Iterator<Item = &InferenceEncoder> {
        let mut seen: Vec<*const InferenceEncoder> = Vec::new();
        self.towers().filter_map(move |tower| {
            let place = Arc::as_ptr(&tower.encoder);
            (!seen.contains(&place)).then(|| {
                seen.push(place);
                &*tower.encoder
            })
        })
    }

    /// Summary for cards and reports.
    pub fn summary(&self) -> ModelSummary {
        let towers: Vec<&ModelSpec> = self.towers().map(|tower| &*tower.spec).collect();
        summary_of_towers(&towers, self.towers.as_ref().map(|towers| &towers.router))
    }

    /// Everything of the model but its weights.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Precision of the matrix-product operands.
    pub fn precision(&self) -> Precision {
        self.encoder.weights.precision
    }

    /// Bytes of the packed weights.
    pub fn packed_bytes(&self) -> usize {
        self.encoders().map(|encoder| encoder.weights.packed_bytes()).sum()
    }

    /// Bytes of weights in memory, without those that are only mapped.
    pub fn held_bytes(&self) -> usize {
        let of_encoders = self.encoders().map(|encoder| &encoder.weights.parameters);
        let arenas = of_encoders.chain(self.towers().map(|tower| &tower.modules));
        let arenas: HashMap<_, usize> = arenas.map(|arena| (Arc::as_ptr(arena), arena.len())).collect();
        self.packed_bytes() + 4 * arenas.values().sum::<usize>()
    }

    /// Reserves the memory for passes over at most `tokens` tokens, but not for more than 8,192.
    /// Where there is not so much, passes allocate.
    pub fn reserve(&self, tokens: usize, activations: &mut Activations) {
        let _ = activations.buffers.reserve(&self.encoder.network.activations, tokens.min(8192));
    }

    /// Embeds every sequence: `(sequences, dimension)`.
    pub fn embed(&self, context: &Context, batch: &TokenBatch, activations: &mut Activations) -> Matrix {
        let rows = self.embed_unfinished(context, batch, activations);
        if self.spec.normalizes() { normalized(context, rows.view()) } else { rows }
    }

    /// As [`InferenceModel::embed`], without the final normalisation; [`ModelSpec::finish`] makes
    /// up for it.
    pub fn embed_unfinished(&self, context: &Context, batch: &TokenBatch, activations: &mut Activations) -> Matrix {
        let pooled = self.spec.pooling.tokens(batch);
        let mut pass = self.pass(context, batch, pooled.as_deref(), activations);
        let encoder = &self.encoder.network.encoder;
        let (mut x, _) = encoder.forward_pooled(&mut pass, &self.spec.pooling, self.spec.config.hidden, &[]);
        for module in &self.spec.modules[..self.spec.modules_before_normalization()] {
            x = module.forward(context, &self.modules, &x, DropoutSeed::Off);
        }
        x
    }

    /// Returns the token embeddings of the last layer: `(tokens, hidden)`.
    pub fn embed_tokens(&self, context: &Context, batch: &TokenBatch, activations: &mut Activations) -> Matrix {
        let mut pass = self.pass(context, batch, None, activations);
        self.encoder.network.encoder.forward(&mut pass, &mut |_, _, _| {});
        let [output, _] = self.encoder.network.encoder.output();
        let [rows] = pass.slices(batch.tokens(), [output]);
        Matrix::from_vec(batch.tokens(), self.spec.config.hidden, rows.to_vec())
    }

    fn pass<'a>(
        &'a self,
        context: &'a Context,
        batch: &'a TokenBatch,
        pooled: Option<&'a [usize]>,
        activations: &'a mut Activations,
    ) -> Pass<'a> {
        let InferenceEncoder { network, weights, .. } = &*self.encoder;
        let compute = Compute { context, weights, precision: weights.precision, adapters: None };
        let buffers = &mut activations.buffers;
        Pass::new(compute, batch, DropoutSeed::Off, pooled, &network.activations, buffers)
    }

    /// Fingerprint of everything that embeddings depend on but the precision of matrix products.
    pub fn fingerprint(&self, context: &Context) -> [u8; 32] {
        let own = self.fingerprint_of_tower(context);
        let Some(Towers { router, others }) = &self.towers else { return own };
        let others = others.iter().map(|tower| tower.fingerprint_of_tower(context));
        fingerprint_of_towers(router, std::iter::once(own).chain(others))
    }

    fn fingerprint_of_tower(&self, context: &Context) -> [u8; 32] {
        let InferenceEncoder { network, weights, checksums: known } = &*self.encoder;
        let layout = &network.parameters;
        let of_mapped = known.get_or_init(|| {
            let mut sums = vec![Vec::new(); layout.tensors.len()];
            let summed = weights.each_mapped::<std::convert::Infallible>(context, layout, |number, tensor, floats| {
                sums[number] = tensor.checksums(context, floats);
                Ok(())
            });
            let Ok(()) = summed;
            sums
        });
        let of_encoder = layout.tensors.iter().zip(of_mapped).flat_map(|(tensor, known)| match known.is_empty() {
            true => checksums(&weights.parameters[tensor.range.clone()]).collect(),
            false => known.clone(),
        });
        let of_modules = self.module_tensors.iter().flat_map(|tensor| checksums(&self.modules[tensor.range.clone()]));
        fingerprint(&self.spec, of_encoder.chain(of_modules))
    }

    /// Checks that the memory-mapped files of weights were not written into or cut since the model
    /// was opened. Callers of [`InferenceModel::embed`] call this before they use the embeddings;
    /// [`crate::TextEncoder`] does.
    ///
    /// # Errors
    /// Returns an error that names the changed file.
    pub fn check_unchanged(&self) -> Result<(), ModelError> {
        let mapped = self.encoders().flat_map(|encoder| &encoder.weights.mapped);
        mapped.into_iter().try_for_each(|file| file.check().map_err(ModelError::io(file.path())))
    }

    /// Checks that all memory-mapped tensors are finite, which was not done when the model was
    /// opened.
    ///
    /// # Errors
    /// Returns an error that names the first tensor that is not.
    pub fn check_weights(&self, context: &Context) -> Result<(), ModelError> {
        self.encoders().try_for_each(|InferenceEncoder { network, weights, .. }| {
            weights
                .each_mapped(context, &network.parameters, |_, tensor, floats| tensor.check(context, floats).map(drop))
        })
    }
}
