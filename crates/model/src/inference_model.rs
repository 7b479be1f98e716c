//! A model that encodes: its weights are packed, memory-mapped, or shared with a model that trains.
//! It has no gradients.

use crate::ModelError;
use crate::activations::{Activations, Passes};
use crate::encoders::Network;
use crate::fingerprint::fingerprint;
use crate::pass::{Compute, Pass};
use crate::spec::ModelSpec;
use crate::trainable::DropoutSeed;
use crate::weights::{InferenceWeights, Linears, PackingSlots, Scope, Tensor, checksums};
use maana_kernels::{Context, Matrix, Precision, normalized};
use maana_text::TokenBatch;
use std::sync::{Arc, OnceLock};

/// A sentence encoder for use.
pub struct InferenceModel {
    spec: Arc<ModelSpec>,
    network: Network,
    weights: InferenceWeights,
    /// All parameters, those of modules behind pooling last.
    tensors: Vec<Tensor>,
    /// Checksums of the tensors that are not among the parameters, by number, once they are known.
    checksums: OnceLock<Vec<Vec<u128>>>,
}

/// Everything of a model with weights of its own but its specification.
pub(crate) struct InferenceParts {
    pub(crate) network: Network,
    pub(crate) weights: InferenceWeights,
    pub(crate) tensors: Vec<Tensor>,
    /// Checksums of the packed and mapped tensors, if they are known.
    pub(crate) checksums: Option<Vec<Vec<u128>>>,
}

impl InferenceModel {
    /// Returns a model with weights of its own.
    pub(crate) fn new(spec: ModelSpec, parts: InferenceParts) -> Self {
        let InferenceParts { network, weights, tensors, checksums } = parts;
        let checksums = checksums.map_or_else(OnceLock::new, OnceLock::from);
        Self { spec: Arc::new(spec), network, weights, tensors, checksums }
    }

    /// Returns a model with the parameters of one that trains.
    pub(crate) fn sharing(
        spec: Arc<ModelSpec>,
        parameters: Arc<Vec<f32>>,
        tensors: Vec<Tensor>,
        precision: Precision,
    ) -> Self {
        let network = Network::new(&spec.config, Scope::All, Passes::Inference);
        let linears = Linears::Shared(PackingSlots::new(network.parameters.roles()));
        let weights = InferenceWeights { parameters, word_embeddings: None, linears, precision, mapped: Vec::new() };
        Self { spec, network, weights, tensors, checksums: OnceLock::new() }
    }

    /// Everything of the model but its weights.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Precision of the matrix-product operands.
    pub fn precision(&self) -> Precision {
        self.weights.precision
    }

    /// Bytes of the packed weights.
    pub fn packed_bytes(&self) -> usize {
        self.weights.packed_bytes()
    }

    /// Bytes of weights in memory, without those that are only mapped.
    pub fn held_bytes(&self) -> usize {
        self.packed_bytes() + 4 * self.weights.parameters.len()
    }

    /// Reserves the memory for passes over at most `tokens` tokens, but not for more than 8,192.
    /// Where there is not so much, passes allocate.
    pub fn reserve(&self, tokens: usize, activations: &mut Activations) {
        let _ = activations.buffers.reserve(&self.network.activations, tokens.min(8192));
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
        let mut x = self.network.encoder.forward_pooled(&mut pass, &self.spec.pooling, self.spec.config.hidden);
        for module in &self.spec.modules[..self.spec.modules_before_normalization()] {
            x = module.forward(context, &self.weights.parameters, &x, DropoutSeed::Off);
        }
        x
    }

    /// Returns the token embeddings of the last layer: `(tokens, hidden)`.
    pub fn embed_tokens(&self, context: &Context, batch: &TokenBatch, activations: &mut Activations) -> Matrix {
        let mut pass = self.pass(context, batch, None, activations);
        self.network.encoder.forward(&mut pass);
        let [output, _] = self.network.encoder.output();
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
        let compute = Compute { context, weights: &self.weights, precision: self.weights.precision };
        let buffers = &mut activations.buffers;
        Pass::new(compute, batch, DropoutSeed::Off, pooled, &self.network.activations, buffers)
    }

    /// Fingerprint of everything that embeddings depend on but the precision of matrix products.
    pub fn fingerprint(&self, context: &Context) -> [u8; 32] {
        let layout = &self.network.parameters;
        let of_mapped = self.checksums.get_or_init(|| {
            let mut sums = vec![Vec::new(); layout.tensors.len()];
            let summed =
                self.weights.each_mapped::<std::convert::Infallible>(context, layout, |number, tensor, floats| {
                    sums[number] = tensor.checksums(context, floats);
                    Ok(())
                });
            let Ok(()) = summed;
            sums
        });
        let parameters = &self.weights.parameters;
        let sums = self.tensors.iter().enumerate().flat_map(|(number, tensor)| {
            let known = of_mapped.get(number).filter(|sums| !sums.is_empty()).cloned();
            known.unwrap_or_else(|| checksums(&parameters[tensor.range.clone()]).collect())
        });
        fingerprint(&self.spec, sums)
    }

    /// Checks that the memory-mapped files of weights were not written into or cut since the model
    /// was opened. Callers of [`InferenceModel::embed`] call this before they use the embeddings;
    /// [`crate::TextEncoder`] does.
    ///
    /// # Errors
    /// Returns an error that names the changed file.
    pub fn check_unchanged(&self) -> Result<(), ModelError> {
        self.weights.mapped.iter().try_for_each(|file| file.check().map_err(ModelError::io(file.path())))
    }

    /// Checks that all memory-mapped tensors are finite, which was not done when the model was
    /// opened.
    ///
    /// # Errors
    /// Returns an error that names the first tensor that is not.
    pub fn check_weights(&self, context: &Context) -> Result<(), ModelError> {
        self.weights
            .each_mapped(context, &self.network.parameters, |_, tensor, floats| tensor.check(context, floats).map(drop))
    }
}
