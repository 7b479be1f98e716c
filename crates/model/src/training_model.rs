//! A model that trains: parameters, gradients and moments in arenas. To use it, see
//! [`TrainingModel::inference`].

use crate::ModelError;
use crate::activations::{Activations, Passes};
use crate::blocks::SentenceModule;
use crate::encoders::Network;
use crate::fingerprint::{fingerprint, fingerprint_of_towers};
use crate::inference_model::{InferenceEncoder, InferenceModel, InferenceParts};
use crate::lora::{AdapterDropout, Lora, LoraSettings, ToAdapt};
use crate::pass::{Compute, Pass};
use crate::router::Router;
use crate::similarity::{Role, Similarity};
use crate::spec::{ModelSpec, Origin, RoleSpecs, summary_of_towers};
use crate::summary::ModelSummary;
use crate::trainable::{DropoutSeed, PassLimit, Trainable};
use crate::weights::{
    ArenaWeights, Gradients, InferenceWeights, Layout, Linears, PackingSlots, ParameterArena, Scope, StatePart, Tensor,
    UpdatePlan, checksums,
};
use maana_kernels::{Context, Matrix, Precision, Rows};
use maana_text::TokenBatch;
use std::ops::Range;
use std::sync::Arc;

/// A sentence encoder with all of its parameters, to be trained and saved: one tower, or those of a
/// router.
pub struct TrainingModel {
    pub(crate) towers: Vec<Tower>,
    pub(crate) router: Option<Router>,
    /// All parameters; with adapters, the sums that passes read, which do not train by themselves.
    pub(crate) arena: ParameterArena,
    pub(crate) lora: Option<Lora>,
    precision: Precision,
    /// True if backward computes each layer once more.
    recompute: bool,
    /// True if the parameters have changed since they were read.
    pub(crate) trained: bool,
}

/// An encoder with the modules behind it.
pub(crate) struct Tower {
    pub(crate) spec: Arc<ModelSpec>,
    pub(crate) network: Network,
    slots: PackingSlots,
    /// The place of the encoder's parameters in the arena.
    start: usize,
    /// The number of the encoder's word table; towers may share an encoder.
    table: usize,
}

impl Tower {
    /// Returns the parameters of the encoder and the modules, in order, with the names in their
    /// files.
    fn tensors(&self) -> impl Iterator<Item = Tensor> {
        let of_modules = self.spec.modules.iter().flat_map(SentenceModule::tensors);
        self.network.parameters.tensors.iter().cloned().chain(of_modules)
    }
}

impl TrainingModel {
    /// Returns a model of towers with the places of their encoders in the arena. Modules behind
    /// pooling have their places.
    pub(crate) fn new(
        towers: Vec<(ModelSpec, usize)>,
        router: Option<Router>,
        mut arena: ParameterArena,
        precision: Precision,
    ) -> Self {
        let (mut declared, mut tables) = (Vec::new(), Vec::new());
        for (spec, start) in towers {
            let network =
                Network::behind(start, &spec.config, Scope::All, Passes::Training { precision, recompute: false });
            let table = &network.parameters.tensors[network.parameters.word_embeddings].range;
            let number = tables.iter().position(|known| known == table).unwrap_or_else(|| {
                tables.push(table.clone());
                let tensor = arena.tensors().iter().position(|tensor| tensor.range == *table);
                arena.add_word_table(tensor.expect("the arena holds all parameters"));
                tables.len() - 1
            });
            let slots = PackingSlots::new(network.parameters.roles());
            declared.push(Tower { spec: Arc::new(spec), network, slots, start, table: number });
        }
        Self { towers: declared, router, arena, lora: None, precision, recompute: false, trained: false }
    }

    /// Everything of the model but its weights; with a router, of the tower of texts without a
    /// role.
    pub fn spec(&self) -> &ModelSpec {
        &self.towers[0].spec
    }

    /// The towers by role.
    pub fn role_specs(&self) -> RoleSpecs<'_> {
        let tower = |role| {
            let number = self.router.as_ref().map_or(0, |router| router.tower(role));
            (number, &*self.towers[number].spec)
        };
        let (query, document) = (tower(Role::Query), tower(Role::Document));
        RoleSpecs { any: self.spec(), query, document, routed: self.router.is_some() }
    }

    /// Summary for cards and reports.
    pub fn summary(&self) -> ModelSummary {
        let towers: Vec<&ModelSpec> = self.towers.iter().map(|tower| &*tower.spec).collect();
        summary_of_towers(&towers, self.router.as_ref())
    }

    /// Sets how many tokens of a text are read.
    ///
    /// # Errors
    /// Returns an error if the encoder has fewer positions, or if only special tokens would fit.
    pub fn set_max_seq_length(&mut self, tokens: usize) -> Result<(), ModelError> {
        self.towers.iter().try_for_each(|tower| tower.spec.check_max_seq_length(tokens))?;
        self.towers.iter_mut().try_for_each(|tower| Arc::make_mut(&mut tower.spec).set_max_seq_length(tokens))
    }

    /// Sets the prompts, the name of that for texts without a role, and the measure by which
    /// embeddings are compared.
    ///
    /// # Errors
    /// Returns an error if the default prompt has no such name.
    pub fn set_usage(
        &mut self,
        prompts: Vec<(String, String)>,
        default_prompt_name: Option<String>,
        similarity: Similarity,
    ) -> Result<(), ModelError> {
        if let Some(name) = &default_prompt_name
            && !prompts.iter().any(|(other, _)| other == name)
        {
            return Err(ModelError::Request(format!("no prompt has the name `{name}` of the default prompt")));
        }
        for tower in &mut self.towers {
            let settings = &mut Arc::make_mut(&mut tower.spec).settings;
            (settings.prompts, settings.default_prompt_name) = (prompts.clone(), default_prompt_name.clone());
            settings.similarity = similarity;
        }
        Ok(())
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

    /// Adds low-rank adapters. From now on only they train: [`Trainable`] has only their tensors.
    ///
    /// # Errors
    /// Returns an error if the settings do not fit the model, or if its head is new.
    pub fn add_lora(&mut self, settings: LoraSettings, seed: u64) -> Result<(), ModelError> {
        if self.spec().origin.new_head {
            let reason = "the model gets a new head with random weights, which low-rank adapters leave as it is; train it \
                          without adapters, or start from a cross-encoder";
            return Err(ModelError::Request(reason.into()));
        }
        let encoders: Vec<ToAdapt<'_>> = self.to_adapt(&settings)?;
        self.lora = Some(Lora::new(settings, &encoders, self.arena.parameters(), seed)?);
        Ok(())
    }

    /// Returns the encoders that get adapters: with a router those of the routes in `settings`, or
    /// without any all that have linear layers.
    fn to_adapt(&self, settings: &LoraSettings) -> Result<Vec<ToAdapt<'_>>, ModelError> {
        let names = self.router.as_ref().map_or(&[][..], |router| &router.routes);
        if let Some(unknown) = settings.routes.iter().find(|route| !names.contains(route)) {
            let known = if names.is_empty() { "none".into() } else { names.join(", ") };
            return Err(ModelError::Request(format!(
                "routes: the model has no route `{unknown}`; its routes: {known}"
            )));
        }
        let mut starts = Vec::new();
        let mut encoders = Vec::new();
        for (number, tower) in self.towers.iter().enumerate() {
            let layout = &tower.network.parameters;
            let is_chosen = match &settings.routes[..] {
                [] => self.router.is_none() || !layout.linears.is_empty(),
                routes => routes.contains(&names[number]),
            };
            if !is_chosen || starts.contains(&tower.start) {
                continue;
            }
            if !settings.routes.is_empty() && layout.linears.is_empty() {
                return Err(ModelError::Request(format!(
                    "routes: the tower of the route `{}` is a static model, which has no linear layers to adapt; name others",
                    names[number]
                )));
            }
            starts.push(tower.start);
            let Origin { folders, encoder, .. } = &tower.spec.origin;
            let base = match &self.router {
                None => settings.base.clone(),
                // Python opens the base model of a tower by its path.
                Some(_) => std::fs::canonicalize(encoder).unwrap_or_else(|_| encoder.clone()).display().to_string(),
            };
            let (folder, architecture) = (&*folders.encoder, tower.spec.config.architecture);
            encoders.push(ToAdapt { folder, base, architecture, layout });
        }
        Ok(encoders)
    }

    /// Adds adapters of a folder to the parameters of a tower, whose layout `merge` receives.
    pub(crate) fn merge_adapter(
        &mut self,
        tower: usize,
        merge: impl FnOnce(&Layout, &mut [f32]) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        merge(&self.towers[tower].network.parameters, self.arena.parameters_mut())?;
        self.changed(&Context::new(1), &self.everything());
        Ok(())
    }

    /// Lists the tensors of the head of a cross-encoder; none of other models.
    pub fn head_tensors(&self) -> Vec<Tensor> {
        let scoring = self.towers.iter().filter(|tower| tower.spec.task.scoring().is_some());
        scoring.flat_map(|tower| tower.spec.modules.iter().flat_map(SentenceModule::tensors)).collect()
    }

    /// Returns the parameters of the adapters, in the order of [`Trainable::tensors`], with every B
    /// set to 0, so that they change nothing; nothing without adapters.
    pub fn idle_adapters(&self) -> Option<Vec<f32>> {
        self.lora.as_ref().map(Lora::idle)
    }

    /// The settings of the adapters, if the model trains adapters.
    pub fn lora(&self) -> Option<&LoraSettings> {
        self.lora.as_ref().map(|lora| &lora.settings)
    }

    /// Returns true if a text has other embeddings in each training pass: an encoder, a module
    /// behind pooling, or the adapters have dropout.
    pub fn has_dropout(&self) -> bool {
        let drops =
            |module: &SentenceModule| matches!(module, SentenceModule::Dropout(dropout) if dropout.probability() > 0.0);
        let in_tower = |tower: &Tower| tower.spec.config.has_dropout() || tower.spec.modules.iter().any(drops);
        self.towers.iter().any(in_tower) || self.lora().is_some_and(|settings| settings.dropout > 0.0)
    }

    /// Bytes of all parameters, with the gradients and moments of those that train.
    pub fn parameter_bytes(&self) -> usize {
        let (plan, tensors) = (self.trained().update_plan(), self.trained().tensors());
        let trained = plan.gradient_bytes(tensors) + plan.moment_bytes(tensors);
        4 * self.arena.parameters().len() + self.lora.as_ref().map_or(0, Lora::bytes) + trained
    }

    /// Bytes of the moments of the parameters that train.
    pub fn moment_bytes(&self) -> usize {
        self.trained().update_plan().moment_bytes(self.trained().tensors())
    }

    /// The parameters that train.
    fn trained(&self) -> &ParameterArena {
        self.lora.as_ref().map_or(&self.arena, |lora| &lora.arena)
    }

    /// As [`TrainingModel::trained`], to be changed.
    fn trained_mut(&mut self) -> &mut ParameterArena {
        self.lora.as_mut().map_or(&mut self.arena, |lora| &mut lora.arena)
    }

    fn declare(&mut self) {
        let passes = Passes::Training { precision: self.precision, recompute: self.recompute };
        for tower in &mut self.towers {
            tower.network = Network::behind(tower.start, &tower.spec.config, Scope::All, passes);
            tower.slots = PackingSlots::new(tower.network.parameters.roles());
        }
    }

    /// All parameters, in the order of [`Trainable::tensors`]; those of adapters are added to the
    /// weights of their layers.
    pub fn parameters(&self) -> &[f32] {
        self.arena.parameters()
    }

    /// Gradients of the parameters that train, summed since the last update, in the order of
    /// [`Trainable::tensors`]; empty before the first backward pass.
    pub fn gradients(&self) -> &[f32] {
        self.trained().gradients()
    }

    /// Returns a model that encodes with the parameters as they are now. It shares them; the next
    /// update copies them if the result is still in use.
    pub fn inference(&self) -> InferenceModel {
        let parameters = self.arena.share();
        let mut encoders: Vec<Arc<InferenceEncoder>> = Vec::new();
        for (number, tower) in self.towers.iter().enumerate() {
            let known = self.towers[..number].iter().position(|other| other.start == tower.start);
            encoders.push(match known {
                Some(known) => Arc::clone(&encoders[known]),
                None => {
                    let network = Network::behind(tower.start, &tower.spec.config, Scope::All, Passes::Inference);
                    let weights = InferenceWeights {
                        parameters: Arc::clone(&parameters),
                        word_embeddings: None,
                        linears: Linears::Shared(PackingSlots::new(network.parameters.roles())),
                        precision: self.precision,
                        mapped: Vec::new(),
                    };
                    Arc::new(InferenceEncoder::new(network, weights, None))
                }
            });
        }
        let towers = self.towers.iter().zip(encoders).map(|(tower, encoder)| {
            let module_tensors = tower.spec.modules.iter().flat_map(SentenceModule::tensors).collect();
            let parts = InferenceParts { encoder, modules: Arc::clone(&parameters), module_tensors };
            InferenceModel::new(Arc::clone(&tower.spec), parts)
        });
        InferenceModel::of_towers(towers.collect(), self.router.clone())
    }

    /// Bytes of the packed weights that are held: of one layer at a time.
    pub fn packed_bytes(&self) -> usize {
        self.towers.iter().map(|tower| tower.slots.bytes()).sum()
    }

    /// Fingerprint of everything that embeddings depend on but the precision of matrix products.
    pub fn fingerprint(&self) -> [u8; 32] {
        let parameters = self.arena.parameters();
        let mut towers = self.towers.iter().map(|tower| {
            fingerprint(&tower.spec, tower.tensors().flat_map(|tensor| checksums(&parameters[tensor.range])))
        });
        match &self.router {
            Some(router) => fingerprint_of_towers(router, towers),
            None => towers.next().expect("a model has a tower"),
        }
    }

    /// Returns the embeddings of the last layer, and of some lower ones.
    fn embed(
        &self,
        context: &Context,
        batch: &TokenBatch,
        dropout: DropoutSeed,
        layers: &[usize],
        activations: &mut Activations,
    ) -> (Matrix, Vec<Matrix>) {
        let Tower { spec, network, slots, .. } = &self.towers[activations.tower];
        let parameters = self.arena.parameters();
        let weights = ArenaWeights { parameters, slots, precision: self.precision };
        let adapters = self.lora.as_ref().and_then(|lora| lora.dropout(dropout));
        let compute = Compute { context, weights: &weights, precision: self.precision, adapters };
        let pooled = spec.pooling.tokens(batch);
        let Activations { buffers, module_inputs, .. } = activations;
        let mut pass = Pass::new(compute, batch, dropout, pooled.as_deref(), &network.activations, buffers);
        let (x, mut lower) = network.encoder.forward_pooled(&mut pass, &spec.pooling, spec.config.hidden, layers);
        module_inputs.clear();
        let mut behind_encoder = |mut x: Matrix, dropout| {
            for module in &spec.modules {
                let y = module.forward(context, parameters, &x, dropout);
                module_inputs.push(std::mem::replace(&mut x, y));
            }
            x
        };
        let embeddings = behind_encoder(x, dropout);
        for (x, layer) in lower.iter_mut().zip(layers) {
            *x = behind_encoder(std::mem::take(x), dropout.of_layer(*layer));
        }
        (embeddings, lower)
    }

    /// The range of all parameters that train.
    fn everything(&self) -> Range<usize> {
        0..self.trained().parameters().len()
    }

    /// Updates what depends on the parameters, after those of a range that train have changed.
    fn changed(&mut self, context: &Context, range: &Range<usize>) {
        if let Some(lora) = &self.lora {
            lora.merge(context, range, self.arena.parameters_mut());
        }
        self.towers.iter_mut().for_each(|tower| tower.slots.invalidate());
        self.trained = true;
    }
}

impl Trainable for TrainingModel {
    type Activations = Activations;

    fn dimension(&self) -> usize {
        self.spec().dimension()
    }

    fn activations(&self, tower: usize) -> Activations {
        Activations { tower, ..Activations::default() }
    }

    fn reserve(&self, sequences: usize, limit: PassLimit, activations: &mut Activations) {
        let Tower { spec, network, .. } = &self.towers[activations.tower];
        let longest = spec.settings.max_seq_length;
        let most = sequences.min(limit.sequences).saturating_mul(longest);
        let mut tokens = most.min(limit.tokens.max(longest)).min(1 << 20);
        if let Some(bias) = network.encoder.position_bias() {
            bias.reserve(&mut activations.buffers.position_bias, spec.config.layers, sequences);
        }
        while tokens > 0 && !activations.buffers.reserve(&network.activations, tokens) {
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
        self.embed(context, batch, dropout, &[], activations).0
    }

    fn backward_part(
        &mut self,
        context: &Context,
        batch: &TokenBatch,
        dropout: DropoutSeed,
        activations: &mut Activations,
        d_embeddings: Rows<'_>,
    ) {
        self.backward_layers_part(context, batch, dropout, &[], activations, &[d_embeddings]);
    }

    fn lower_layers(&self) -> usize {
        match &self.towers[..] {
            [tower] => tower.spec.config.layers,
            _ => 0,
        }
    }

    fn forward_layers(
        &self,
        context: &Context,
        batch: &TokenBatch,
        dropout: DropoutSeed,
        layers: &[usize],
        activations: &mut Activations,
    ) -> Vec<Matrix> {
        let (embeddings, lower) = self.embed(context, batch, dropout, layers, activations);
        std::iter::once(embeddings).chain(lower).collect()
    }

    fn backward_layers_part(
        &mut self,
        context: &Context,
        batch: &TokenBatch,
        dropout: DropoutSeed,
        layers: &[usize],
        activations: &mut Activations,
        d_embeddings: &[Rows<'_>],
    ) {
        let Tower { spec, network, slots, table, .. } = &self.towers[activations.tower];
        if self.lora.is_none() {
            self.arena.touch_rows(*table, &batch.ids);
        }
        let (parameters, mut gradients, adapters) = for_backward(&mut self.arena, &mut self.lora, dropout);
        let Activations { buffers, module_inputs, .. } = activations;
        let mut behind_encoder = |d_embeddings: Rows<'_>, inputs: &[Matrix], dropout| {
            let mut d_x = d_embeddings.to_matrix();
            for (module, x) in spec.modules.iter().zip(inputs).rev() {
                d_x = module.backward(context, parameters, x, &d_x, dropout, &mut gradients);
            }
            d_x
        };
        let (inputs, lower_inputs) = module_inputs.split_at(spec.modules.len());
        let d_pooled = behind_encoder(d_embeddings[0], inputs, dropout);
        let lower = layers.iter().zip(&d_embeddings[1..]).enumerate().map(|(index, (layer, d_embeddings))| {
            let inputs = &lower_inputs[index * spec.modules.len()..];
            behind_encoder(*d_embeddings, inputs, dropout.of_layer(*layer))
        });
        let d_lower: Vec<Matrix> = lower.collect();
        let weights = ArenaWeights { parameters, slots, precision: self.precision };
        let compute = Compute { context, weights: &weights, precision: self.precision, adapters };
        let pooled = spec.pooling.tokens(batch);
        let mut pass = Pass::new(compute, batch, dropout, pooled.as_deref(), &network.activations, buffers).backward();
        let pooling = (&spec.pooling, spec.config.hidden);
        network.encoder.backward_pooled(&mut pass, pooling, &d_pooled, (layers, &d_lower), &mut gradients);
    }

    fn finish_parts(&mut self, context: &Context, activations: &mut Activations) {
        let (_, mut gradients, _) = for_backward(&mut self.arena, &mut self.lora, DropoutSeed::Off);
        if let Some(bias) = self.towers[activations.tower].network.encoder.position_bias() {
            bias.add_gradients(&mut activations.buffers.position_bias, &mut gradients);
        }
        drop(gradients);
        if let Some(lora) = &mut self.lora {
            lora.project(context);
        }
    }

    fn describe_settings(&self) -> String {
        let Some(Lora { settings: LoraSettings { alpha, dropout, .. }, .. }) = &self.lora else { return String::new() };
        let dropout = if *dropout == 0.0 { String::new() } else { format!(" and dropout {dropout}") };
        format!("LoRA with alpha {alpha}{dropout}")
    }

    fn clear_gradients(&mut self) {
        self.trained_mut().clear_gradients();
    }

    fn gradient_norm(&self, context: &Context) -> f64 {
        self.trained().gradient_norm(context)
    }

    fn set_update_plan(&mut self, plan: UpdatePlan) {
        self.trained_mut().set_update_plan(plan);
    }

    fn update(&mut self, context: &Context, step: u64, learning_rate: f64, gradient_scale: f32) {
        self.trained_mut().update(context, step, learning_rate, gradient_scale);
        self.changed(context, &self.everything());
    }

    fn update_average(&mut self, context: &Context, decay: f64, step: u64) {
        self.trained_mut().update_average(context, decay, step);
    }

    fn swap_average(&mut self) {
        self.trained_mut().swap_average();
        self.changed(&Context::new(1), &self.everything());
    }

    fn tensors(&self) -> &[Tensor] {
        self.trained().tensors()
    }

    fn state_tensors(&self, part: StatePart) -> Vec<Tensor> {
        self.trained().state_tensors(part)
    }

    fn read_state(&self, part: StatePart, first: usize, into: &mut [f32]) {
        self.trained().read(part, first, into);
    }

    fn write_state(&mut self, part: StatePart, first: usize, values: &[f32]) {
        self.trained_mut().write(part, first, values);
        if part == StatePart::Parameters {
            self.changed(&Context::new(1), &(first..first + values.len()));
        }
    }
}

/// The parameters that passes read, the gradients that backward adds to, and the dropout of
/// adapters.
fn for_backward<'a>(
    arena: &'a mut ParameterArena,
    lora: &'a mut Option<Lora>,
    dropout: DropoutSeed,
) -> (&'a [f32], Gradients<'a>, Option<AdapterDropout<'a>>) {
    match lora {
        Some(lora) => {
            let (gradients, adapters) = lora.for_backward(dropout);
            (arena.parameters(), gradients, adapters)
        }
        None => {
            let (parameters, gradients) = arena.for_backward();
            (parameters, gradients, None)
        }
    }
}
