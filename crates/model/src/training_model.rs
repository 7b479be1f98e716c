//! A model that trains: parameters, gradients and moments in arenas. To use it, see
//! [`TrainingModel::inference`].

use crate::ModelError;
use crate::activations::{Activations, Passes};
use crate::encoders::Network;
use crate::fingerprint::fingerprint;
use crate::inference_model::InferenceModel;
use crate::pass::{Compute, Pass};
use crate::spec::ModelSpec;
use crate::trainable::{DropoutSeed, PassLimit, Trainable};
use crate::weights::{ArenaWeights, PackingSlots, ParameterArena, Scope, StatePart, Tensor, checksums};
use maana_kernels::{AdamW, Context, Matrix, Precision, Rows};
use maana_text::TokenBatch;
use std::sync::Arc;

/// A sentence encoder with all of its parameters, to be trained and saved.
pub struct TrainingModel {
    pub(crate) spec: Arc<ModelSpec>,
    network: Network,
    pub(crate) arena: ParameterArena,
    slots: PackingSlots,
    precision: Precision,
    /// True if backward computes each layer once more.
    recompute: bool,
    /// True if the parameters have changed since they were read.
    pub(crate) trained: bool,
}

impl TrainingModel {
    /// Returns a model of parameters in the layout of [`TrainingModel::layout`], followed by those
    /// of dense modules.
    pub(crate) fn new(spec: ModelSpec, arena: ParameterArena, precision: Precision) -> Self {
        let recompute = false;
        let network = Network::new(&spec.config, Scope::All, Passes::Training { precision, recompute });
        let slots = PackingSlots::new(network.parameters.roles());
        Self { spec: Arc::new(spec), network, arena, slots, precision, recompute, trained: false }
    }

    /// Everything of the model but its weights.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Sets how many tokens of a text are read.
    ///
    /// # Errors
    /// Returns an error if the encoder has fewer positions, or if only special tokens would fit.
    pub fn set_max_seq_length(&mut self, tokens: usize) -> Result<(), ModelError> {
        Arc::make_mut(&mut self.spec).set_max_seq_length(tokens)
    }

    /// Precision of the matrix-product operands.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Sets the precision of the matrix-product operands. The parameters do not change.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
        self.declare();
    }

    /// Sets whether forward saves only the input of each layer, and backward recomputes the rest
    /// (gradient checkpointing, arXiv:1604.06174). Changes no bit of the results.
    pub fn set_gradient_checkpointing(&mut self, recompute: bool) {
        self.recompute = recompute;
        self.declare();
    }

    fn declare(&mut self) {
        let passes = Passes::Training { precision: self.precision, recompute: self.recompute };
        self.network = Network::new(&self.spec.config, Scope::All, passes);
        self.slots = PackingSlots::new(self.network.parameters.roles());
    }

    /// All parameters, in the order of [`Trainable::tensors`].
    pub fn parameters(&self) -> &[f32] {
        self.arena.parameters()
    }

    /// Gradients summed since the last update, in the same order; empty before the first backward
    /// pass.
    pub fn gradients(&self) -> &[f32] {
        self.arena.gradients()
    }

    /// Returns a model that encodes with the parameters as they are now. It shares them; the next
    /// update copies them if the result is still in use.
    pub fn inference(&self) -> InferenceModel {
        InferenceModel::sharing(
            Arc::clone(&self.spec),
            self.arena.share(),
            self.arena.tensors().to_vec(),
            self.precision,
        )
    }

    /// Bytes of the packed weights that are held: of one layer at a time.
    pub fn packed_bytes(&self) -> usize {
        self.slots.bytes()
    }

    /// Fingerprint of everything that embeddings depend on but the precision of matrix products.
    pub fn fingerprint(&self) -> [u8; 32] {
        let tensors = self.arena.tensors().iter();
        fingerprint(&self.spec, tensors.flat_map(|tensor| checksums(&self.arena.parameters()[tensor.range.clone()])))
    }

    fn changed(&mut self) {
        self.slots.invalidate();
        self.trained = true;
    }
}

impl Trainable for TrainingModel {
    type Activations = Activations;

    fn dimension(&self) -> usize {
        self.spec.dimension()
    }

    fn reserve(&self, sequences: usize, limit: PassLimit, activations: &mut Activations) {
        let longest = self.spec.settings.max_seq_length;
        let most = sequences.min(limit.sequences).saturating_mul(longest);
        let mut tokens = most.min(limit.tokens.max(longest)).min(1 << 20);
        self.network.encoder.reserve(sequences, &mut activations.buffers);
        while tokens > 0 && !activations.buffers.reserve(&self.network.activations, tokens) {
            tokens /= 2;
        }
    }

    fn part_multiple(&self) -> usize {
        // Instructions for bf16 add the products of two tokens before they round.
        if self.precision == Precision::F32 { 1 } else { 2 }
    }

    fn forward(
        &self,
        context: &Context,
        batch: &TokenBatch,
        dropout: DropoutSeed,
        activations: &mut Activations,
    ) -> Matrix {
        let parameters = self.arena.parameters();
        let weights = ArenaWeights { parameters, slots: &self.slots, precision: self.precision };
        let compute = Compute { context, weights: &weights, precision: self.precision };
        let pooled = self.spec.pooling.tokens(batch);
        let Activations { buffers, module_inputs } = activations;
        let layout = &self.network.activations;
        let mut pass = Pass::new(compute, batch, dropout, pooled.as_deref(), layout, buffers);
        self.network.encoder.forward(&mut pass);
        let [output, _] = self.network.encoder.output();
        let mut x = self.spec.pooling.pool(&mut pass, output, self.spec.config.hidden);
        module_inputs.clear();
        for module in &self.spec.modules {
            let y = module.forward(context, parameters, &x);
            module_inputs.push(std::mem::replace(&mut x, y));
        }
        x
    }

    fn backward_part(
        &mut self,
        context: &Context,
        batch: &TokenBatch,
        dropout: DropoutSeed,
        activations: &mut Activations,
        d_embeddings: Rows<'_>,
    ) {
        let (parameters, gradients) = self.arena.for_backward();
        let Activations { buffers, module_inputs } = activations;
        let mut d_x = d_embeddings.to_matrix();
        for (module, x) in self.spec.modules.iter().zip(&*module_inputs).rev() {
            d_x = module.backward(context, parameters, x, d_x.view(), gradients);
        }
        let weights = ArenaWeights { parameters, slots: &self.slots, precision: self.precision };
        let compute = Compute { context, weights: &weights, precision: self.precision };
        let pooled = self.spec.pooling.tokens(batch);
        let layout = &self.network.activations;
        let mut pass = Pass::new(compute, batch, dropout, pooled.as_deref(), layout, buffers).backward();
        self.spec.pooling.pool_backward(&mut pass, self.network.encoder.output(), self.spec.config.hidden, &d_x);
        self.network.encoder.backward(&mut pass, gradients);
    }

    fn finish_parts(&mut self, activations: &mut Activations) {
        let (_, gradients) = self.arena.for_backward();
        self.network.encoder.finish_backward(&mut activations.buffers, gradients);
    }

    fn clear_gradients(&mut self) {
        self.arena.clear_gradients();
    }

    fn gradient_norm(&self, context: &Context) -> f64 {
        self.arena.gradient_norm(context)
    }

    fn update(&mut self, context: &Context, settings: &AdamW, gradient_scale: f32) {
        self.arena.update(context, settings, gradient_scale);
        self.changed();
    }

    fn update_average(&mut self, context: &Context, decay: f64, step: u64) {
        self.arena.update_average(context, decay, step);
    }

    fn swap_average(&mut self) {
        self.arena.swap_average();
        self.changed();
    }

    fn tensors(&self) -> &[Tensor] {
        self.arena.tensors()
    }

    fn read_state(&self, part: StatePart, first: usize, into: &mut [f32]) {
        self.arena.read(part, first, into);
    }

    fn write_state(&mut self, part: StatePart, first: usize, values: &[f32]) {
        self.arena.write(part, first, values);
        if part == StatePart::Parameters {
            self.changed();
        }
    }
}
