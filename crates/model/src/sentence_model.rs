//! `SentenceModel`: tokenizer, encoder and the modules behind it, as one folder holds them. It is what training improves;
//! [`crate::Embedder`] is its use. Knows nothing of files: see `folder`.

use crate::activations::{Cut, EncoderActivations};
use crate::bert::{Bert, Pass};
use crate::folder::{Origin, sums};
use crate::modules::{Module, Pooling};
use crate::summary::{ModelSummary, ModuleSummary};
use crate::trainable::{Noise, Tensor, Trainable};
use crate::{EncoderConfig, ModelError, Similarity};
use maana_kernels::{Context, Matrix, PoolingMode, Precision, Rows};
use maana_text::{TokenBatch, Tokenizer};
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// A sentence encoder with everything that its folder says.
pub struct SentenceModel {
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) bert: Bert,
    pub(crate) pooling: Pooling,
    pub(crate) modules: Vec<Module>,
    /// The encoder's parameters, then those of dense modules. Of a model that was opened to encode, those that are not packed.
    pub(crate) parameters: Vec<f32>,
    /// Of a model that was opened to encode: sums of the parameters that have no place among them, by tensor, once they are known.
    pub(crate) packed_sums: Option<OnceLock<Vec<Vec<u128>>>>,
    /// Names as the arena has them: those of dense modules with their folder before them.
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) settings: Settings,
    pub(crate) origin: Origin,
}

/// What a folder says beside shapes and weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Tokens of a text that are read; the rest is cut.
    pub max_seq_length: usize,
    /// Whether texts are lower-cased whatever the tokenizer says.
    pub do_lower_case: bool,
    /// Prompts by name, in the order of the file.
    pub prompts: Vec<(String, String)>,
    /// The prompt for texts that come without a role.
    pub default_prompt_name: Option<String>,
    /// How embeddings are compared.
    pub similarity: Similarity,
    /// Columns to keep of every embedding, if not all.
    pub truncate_dim: Option<usize>,
}

/// What [`Trainable::forward`] of a [`SentenceModel`] keeps.
#[derive(Default)]
pub struct Activations {
    pub(crate) encoder: EncoderActivations,
    /// What enters each module behind pooling.
    stages: Vec<Matrix>,
}

impl Activations {
    /// Bytes that passes have used.
    pub fn bytes(&self) -> usize {
        self.encoder.bytes() + self.stages.iter().map(|stage| 4 * stage.data().len()).sum::<usize>()
    }
}

impl SentenceModel {
    /// The encoder's shape.
    pub fn config(&self) -> &EncoderConfig {
        &self.bert.config
    }

    /// What the folder says beside shapes and weights.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The tokenizer, which others may keep while the model learns.
    pub fn tokenizer(&self) -> Arc<Tokenizer> {
        Arc::clone(&self.tokenizer)
    }

    /// Token ids of the texts, each cut to `max_seq_length`.
    ///
    /// # Errors
    /// If a text cannot be tokenised.
    pub fn tokenize(&self, texts: &[&str]) -> Result<TokenBatch, ModelError> {
        Ok(self.tokenizer.encode(texts, self.settings.max_seq_length)?)
    }

    /// Changes how many tokens of a text are read.
    ///
    /// # Errors
    /// If the encoder has fewer positions, or there is no room beside the special tokens.
    pub fn set_max_seq_length(&mut self, tokens: usize) -> Result<(), ModelError> {
        let longest = self.config().longest();
        if tokens > longest {
            let reason =
                format!("max_seq_length {tokens} exceeds the model's {longest} positions; use {longest} or less");
            return Err(ModelError::Request(reason));
        }
        self.tokenizer.check_length(tokens)?;
        self.settings.max_seq_length = tokens;
        Ok(())
    }

    /// What the operands of its matrix products are rounded to.
    pub fn precision(&self) -> Precision {
        self.bert.precision()
    }

    /// Computes products in another precision from now on. The parameters stay as they are.
    ///
    /// # Panics
    /// If the model was opened to encode.
    pub fn set_precision(&mut self, precision: Precision) {
        self.assert_whole();
        self.bert.set_precision(precision);
    }

    /// Bytes of the weights as the products take them that are held: of all layers in a model that was opened to encode, else of
    /// the one that was computed last.
    pub fn packed_bytes(&self) -> usize {
        self.bert.packed_bytes()
    }

    /// Whether embeddings have length 1.
    pub fn normalizes(&self) -> bool {
        matches!(self.modules.last(), Some(Module::Normalize))
    }

    /// Takes the memory for [`SentenceModel::infer`] of batches of at most `tokens` tokens, of 8,192 at most: passes over them take
    /// no more. Where there is not so much, they take it when they need it.
    pub fn reserve_to_infer(&self, tokens: usize, keep: &mut Activations) {
        let tokens = tokens.min(8192);
        let _ = keep.encoder.reserve(self.bert.extent(tokens, tokens, false));
    }

    /// Embeddings without keeping anything for backward: `(sequences, dimension)`. The first `prompt_length` tokens of each
    /// sequence are a prompt.
    pub fn infer(&self, context: &Context, batch: &TokenBatch, prompt_length: usize, keep: &mut Activations) -> Matrix {
        let plain = self.infer_plain(context, batch, prompt_length, keep);
        if self.normalizes() { unit(context, plain.view()) } else { plain }
    }

    /// As [`SentenceModel::infer`], but for the normalisation that ends it, if one does: [`SentenceModel::finish`] makes it up.
    pub fn infer_plain(
        &self,
        context: &Context,
        batch: &TokenBatch,
        prompt_length: usize,
        keep: &mut Activations,
    ) -> Matrix {
        let tokens = self.pooling.tokens(&batch.offsets, prompt_length);
        let pass = Pass { batch, noise: Noise::Off, wanted: tokens.as_deref(), trains: false };
        let states = self.bert.forward(context, &self.parameters, pass, &mut keep.encoder);
        let mut x = self.pooled(context, batch, tokens.as_deref(), prompt_length, states);
        let modules = self.modules.len() - usize::from(self.normalizes());
        for module in &self.modules[..modules] {
            x = module.forward(context, &self.parameters, &x);
        }
        x
    }

    /// One embedding of each sequence, of what left the encoder: all tokens, or the one of each sequence that is wanted.
    fn pooled(
        &self,
        context: &Context,
        batch: &TokenBatch,
        wanted: Option<&[usize]>,
        prompt_length: usize,
        states: &[f32],
    ) -> Matrix {
        let hidden = self.bert.config.hidden;
        match wanted {
            Some(tokens) => Matrix::from_vec(tokens.len(), hidden, states.to_vec()),
            None => self.pooling.forward(context, states, hidden, &batch.offsets, prompt_length),
        }
    }

    /// What leaves the encoder for every token, before pooling: `(tokens, hidden)`.
    pub fn infer_tokens(&self, context: &Context, batch: &TokenBatch, keep: &mut Activations) -> Matrix {
        let pass = Pass { batch, noise: Noise::Off, wanted: None, trains: false };
        let states = self.bert.forward(context, &self.parameters, pass, &mut keep.encoder);
        Matrix::from_vec(batch.tokens(), self.bert.config.hidden, states.to_vec())
    }

    /// The first `dimension` columns of what [`SentenceModel::infer_plain`] gave, of length 1 as the folder's embeddings are,
    /// or as `normalize` says.
    pub fn finish(&self, context: &Context, plain: Rows<'_>, dimension: usize, normalize: Option<bool>) -> Matrix {
        if !normalize.unwrap_or(self.normalizes()) {
            return plain.prefix(dimension).to_matrix();
        }
        let whole = unit(context, plain);
        if dimension == whole.columns() { whole } else { unit(context, whole.view().prefix(dimension)) }
    }

    /// Whether the tokens of a prompt are left out of the embedding.
    pub fn leaves_prompt_out(&self) -> bool {
        !self.pooling.include_prompt
    }

    /// How token embeddings become one, by the newer versions' names: `mean`, `cls`, …
    pub fn pooling_names(&self) -> Vec<&'static str> {
        let name = |mode: &PoolingMode| POOLING_KEYS.iter().find(|(other, ..)| other == mode).map(|(_, _, name)| *name);
        self.pooling.modes.iter().filter_map(name).collect()
    }

    /// Whether all parameters are held, so that it can learn and be saved.
    pub fn is_whole(&self) -> bool {
        self.packed_sums.is_none()
    }

    fn assert_whole(&self) {
        assert!(
            self.is_whole(),
            "a model that was opened to encode has only packed weights; `open` it to train or change it"
        );
    }

    /// Number of parameters that it computes with.
    pub fn parameter_count(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }

    /// Bytes of weights that it holds: packed, and as they are. What lies in the file alone is not counted.
    pub fn held_bytes(&self) -> usize {
        self.packed_bytes() + 4 * self.parameters.len()
    }

    /// SHA-256 of everything that embeddings depend on but the precision of products, as those of one model in two precisions
    /// may be compared; of the weights through sums that hold against accident, not malice.
    pub fn fingerprint(&self, context: &Context) -> [u8; 32] {
        let packed = self.packed_sums.as_ref().map(|sums| sums.get_or_init(|| self.bert.sums(context)));
        let mut hash = Sha256::new();
        hash.update(b"maana sentence model 2\n");
        hash.update(format!("{}{:?}{:?}", self.bert.config.fingerprint_text(), self.pooling, self.settings));
        hash.update(self.module_kinds().join(","));
        hash.update((self.tokenizer.file_bytes().len() as u64).to_le_bytes());
        hash.update(self.tokenizer.file_bytes());
        hash.update(self.tokenizer.adjustments());
        for (number, tensor) in self.tensors.iter().enumerate() {
            match packed.and_then(|sums| sums.get(number)).filter(|sums| !sums.is_empty()) {
                Some(sums) => sums.iter().for_each(|sum| hash.update(sum.to_le_bytes())),
                None => sums(&self.parameters[tensor.range.clone()]).for_each(|sum| hash.update(sum.to_le_bytes())),
            }
        }
        hash.finalize().into()
    }

    /// Makes sure that all weights are numbers: needed for a model alone that was opened for few texts, whose weights were not
    /// looked at so far.
    ///
    /// # Errors
    /// The tensor that holds something else.
    pub fn check_weights(&self, context: &Context) -> Result<(), ModelError> {
        self.bert.check(context)
    }

    fn module_kinds(&self) -> Vec<String> {
        let kind = |module: &Module| match module {
            Module::Dense(dense) => format!("{:?}", dense.activation),
            Module::Normalize => "Normalize".into(),
        };
        self.modules.iter().map(kind).collect()
    }

    /// What people want to know of the model.
    pub fn summary(&self) -> ModelSummary {
        let config = self.config();
        let python = |flag: bool| if flag { "True" } else { "False" }.to_string();
        let mut modules = vec![ModuleSummary {
            kind: "Transformer".into(),
            settings: vec![
                ("max_seq_length".into(), self.settings.max_seq_length.to_string()),
                ("do_lower_case".into(), python(self.settings.do_lower_case)),
            ],
            architecture: Some(config.architecture.class_name().into()),
        }];
        let mut settings = vec![("word_embedding_dimension".into(), config.hidden.to_string())];
        for (mode, key, _) in POOLING_KEYS {
            settings.push((key.into(), python(self.pooling.modes.contains(&mode))));
        }
        settings.push(("include_prompt".into(), python(self.pooling.include_prompt)));
        modules.push(ModuleSummary { kind: "Pooling".into(), settings, architecture: None });
        modules.extend(self.modules.iter().map(|module| match module {
            Module::Dense(dense) => ModuleSummary {
                kind: "Dense".into(),
                settings: vec![
                    ("in_features".into(), dense.inputs.to_string()),
                    ("out_features".into(), dense.outputs.to_string()),
                    ("bias".into(), python(dense.bias.is_some())),
                    ("activation_function".into(), format!("'{}'", dense.activation_class())),
                ],
                architecture: None,
            },
            Module::Normalize => ModuleSummary { kind: "Normalize".into(), settings: Vec::new(), architecture: None },
        }));
        ModelSummary {
            model_type: config.architecture.model_type().into(),
            modules,
            max_seq_length: self.settings.max_seq_length,
            dimension: self.dimension(),
            similarity: self.settings.similarity,
            parameters: self.parameter_count() + self.origin.carried_elements(),
            layers: config.layers,
            hidden_size: config.hidden,
            heads: config.heads,
            vocabulary: config.vocabulary,
            prompts: self.settings.prompts.clone(),
            default_prompt_name: self.settings.default_prompt_name.clone(),
        }
    }
}

/// The rows, each of length 1.
fn unit(context: &Context, rows: Rows<'_>) -> Matrix {
    let mut unit = Matrix::zeros(rows.rows(), rows.columns());
    maana_kernels::normalize(context, rows, unit.data_mut());
    unit
}

/// Every pooling mode with the flag of the third version of the folder, in the order in which that writes them, and with the
/// name of the newer versions.
pub(crate) const POOLING_KEYS: [(PoolingMode, &str, &str); 6] = [
    (PoolingMode::Cls, "pooling_mode_cls_token", "cls"),
    (PoolingMode::Mean, "pooling_mode_mean_tokens", "mean"),
    (PoolingMode::Max, "pooling_mode_max_tokens", "max"),
    (PoolingMode::MeanSqrtLen, "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    (PoolingMode::WeightedMean, "pooling_mode_weightedmean_tokens", "weightedmean"),
    (PoolingMode::LastToken, "pooling_mode_lasttoken", "lasttoken"),
];

/// The rank of a mode where flags say which modes stand side by side: the order of the reference, which is not that of the flags.
pub(crate) fn concatenation_rank(mode: PoolingMode) -> usize {
    match mode {
        PoolingMode::Cls => 0,
        PoolingMode::Max => 1,
        PoolingMode::Mean => 2,
        PoolingMode::MeanSqrtLen => 3,
        PoolingMode::WeightedMean => 4,
        PoolingMode::LastToken => 5,
    }
}

impl Trainable for SentenceModel {
    type Activations = Activations;

    fn dimension(&self) -> usize {
        let dense = self.modules.iter().rev().find_map(|module| match module {
            Module::Dense(dense) => Some(dense.outputs),
            Module::Normalize => None,
        });
        dense.unwrap_or(self.pooling.modes.len() * self.bert.config.hidden)
    }

    fn reserve(&self, sequences: usize, keep: &mut Activations) {
        let mut tokens = sequences.saturating_mul(self.settings.max_seq_length).min(1 << 20);
        while tokens > 0 && !keep.encoder.reserve(self.bert.extent(tokens, tokens, true)) {
            tokens /= 2;
        }
    }

    fn forward(&self, context: &Context, batch: &TokenBatch, noise: Noise, keep: &mut Activations) -> Matrix {
        self.assert_whole();
        let wanted = self.pooling.tokens(&batch.offsets, 0);
        let pass = Pass { batch, noise, wanted: wanted.as_deref(), trains: true };
        let states = self.bert.forward(context, &self.parameters, pass, &mut keep.encoder);
        let mut x = self.pooled(context, batch, wanted.as_deref(), 0, states);
        keep.stages.clear();
        for module in &self.modules {
            let y = module.forward(context, &self.parameters, &x);
            keep.stages.push(std::mem::replace(&mut x, y));
        }
        x
    }

    fn backward(
        &self,
        context: &Context,
        batch: &TokenBatch,
        noise: Noise,
        keep: &mut Activations,
        d_embeddings: Rows<'_>,
        gradients: &mut [f32],
    ) {
        assert_eq!(gradients.len(), self.parameters.len(), "one gradient for each parameter");
        let hidden = self.bert.config.hidden;
        let mut d_x = d_embeddings.to_matrix();
        for (module, x) in self.modules.iter().zip(&keep.stages).rev() {
            d_x = module.backward(context, &self.parameters, x, d_x.view(), gradients);
        }
        let wanted = self.pooling.tokens(&batch.offsets, 0);
        let Cut { hidden: states, scratch, .. } = keep.encoder.cut();
        let d_hidden = scratch.d_hidden;
        if wanted.is_some() {
            d_hidden[..d_x.data().len()].copy_from_slice(d_x.data());
        } else {
            d_hidden.fill(0.0);
            self.pooling.backward(context, states, hidden, &batch.offsets, &d_x, d_hidden);
        }
        let pass = Pass { batch, noise, wanted: wanted.as_deref(), trains: true };
        self.bert.backward(context, &self.parameters, pass, &mut keep.encoder, gradients);
    }

    fn parameters(&self) -> &[f32] {
        self.assert_whole();
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [f32] {
        self.assert_whole();
        &mut self.parameters
    }

    fn parameters_changed(&mut self) {
        self.bert.parameters_changed();
        self.origin.trained = true;
    }

    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }
}
