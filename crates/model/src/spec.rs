//! Everything of a model but its weights: configuration, tokenizer, pooling, modules and settings.

use crate::blocks::{POOLING_NAMES, Pooling, SentenceModule};
use crate::router::Router;
use crate::similarity::Role;
use crate::summary::{ModelSummary, ModuleSummary, RouteSummary, limit};
use crate::task::{Scoring, Task};
use crate::weights::is_floating;
use crate::{Architecture, EncoderConfig, ModelError, Similarity};
use maana_kernels::{Context, Matrix, Rows, normalized};
use maana_text::{TokenBatch, Tokenizer};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything of a model but its weights.
#[derive(Clone)]
pub struct ModelSpec {
    pub(crate) config: EncoderConfig,
    pub(crate) task: Task,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) pooling: Pooling,
    /// Modules behind pooling, in order.
    pub(crate) modules: Vec<SentenceModule>,
    pub(crate) settings: Settings,
    /// Number of parameters that embeddings depend on.
    pub(crate) parameters: usize,
    pub(crate) origin: Origin,
}

/// Settings of a model folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Tokens of a text that are read; the rest is cut.
    pub max_seq_length: usize,
    /// True if texts are lower-cased before they are tokenised.
    pub do_lower_case: bool,
    /// Prompts by name, in the order of the file.
    pub prompts: Vec<(String, String)>,
    /// Name of the prompt for texts without a role.
    pub default_prompt_name: Option<String>,
    /// Measure by which embeddings are compared.
    pub similarity: Similarity,
    /// Columns to keep of every embedding, if not all.
    pub truncate_dim: Option<usize>,
}

/// Content of a folder that takes no part in computing and is written back when the model is saved.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// `config.json` as it was read.
    pub(crate) config: Value,
    /// Files of the tokenizer other than `tokenizer.json`, by name.
    pub(crate) tokenizer_files: Vec<(String, Vec<u8>)>,
    /// Tensors of the weights file that take no part (the pooler, buffers).
    pub(crate) carried: Vec<Carried>,
    /// Type of the weights in the file.
    pub(crate) dtype: safetensors::Dtype,
    /// True if the head of a cross-encoder is new, and its weights are in no file.
    pub(crate) new_head: bool,
    /// The folder from which the encoder was read.
    pub(crate) encoder: PathBuf,
    /// The folders in which the parts are written.
    pub(crate) folders: Folders,
}

/// Names of the folders of a model's parts within its own; empty for that itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folders {
    pub(crate) encoder: String,
    pub(crate) pooling: String,
    /// Folders of the modules behind pooling, in order.
    pub(crate) modules: Vec<String>,
}

impl Folders {
    /// The folders of a model without a router, with modules of these kinds behind pooling.
    pub(crate) fn plain<'a>(kinds: impl Iterator<Item = &'a str>) -> Self {
        let modules = (2..).zip(kinds).map(|(number, kind)| format!("{number}_{kind}")).collect();
        Self { encoder: String::new(), pooling: "1_Pooling".into(), modules }
    }
}

/// A tensor that is written back as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Carried {
    pub(crate) name: String,
    pub(crate) dtype: safetensors::Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl ModelSpec {
    /// Configuration of the encoder.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The task: embeddings of texts, or scores of pairs.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Labels and activation of a cross-encoder.
    ///
    /// # Errors
    /// Returns an error with the remedy if the model embeds single texts.
    pub fn scoring(&self) -> Result<&Scoring, ModelError> {
        self.task.scoring().ok_or_else(|| {
            let reason = "the model embeds single texts (a bi-encoder) and cannot score pairs; use it with `maana encode` or \
                          `maana search`, name a cross-encoder, or train one from it (`kind = \"cross_encoder\"` in the \
                          recipe's `[model]`)";
            ModelError::Request(reason.into())
        })
    }

    /// Checks that the model embeds single texts.
    ///
    /// # Errors
    /// Returns an error with the remedy if the model is a cross-encoder.
    pub fn check_embeds(&self) -> Result<(), ModelError> {
        match self.task {
            Task::Embed => Ok(()),
            Task::Score(_) => {
                let reason = "the model scores pairs of texts (a cross-encoder) and has no embeddings; use it with \
                              `maana rerank`, `maana score`, `maana search --rerank` or `maana serve --reranker \
                              NAME=PATH`, or name a bi-encoder";
                Err(ModelError::Request(reason.into()))
            }
        }
    }

    /// The class that Python loads the transformer as.
    pub fn class_name(&self) -> String {
        let encoder = self.config.architecture.class_name();
        match self.has_head_in_encoder() {
            false => encoder.into(),
            true => format!("{}ForSequenceClassification", encoder.trim_end_matches("Model")),
        }
    }

    /// Returns true if the model is a cross-encoder whose head lies in the file of its encoder, as
    /// transformers writes it; false if modules of their own compute its scores.
    pub(crate) fn has_head_in_encoder(&self) -> bool {
        self.modules.iter().any(SentenceModule::is_in_encoder)
    }

    /// Returns true if the model is a cross-encoder whose head began with random weights.
    pub fn has_new_head(&self) -> bool {
        self.origin.new_head
    }

    /// Settings of the folder.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The tokenizer, shared.
    pub fn tokenizer(&self) -> Arc<Tokenizer> {
        Arc::clone(&self.tokenizer)
    }

    /// Tokenises texts, each cut to `max_seq_length`.
    ///
    /// # Errors
    /// Returns an error if a text cannot be tokenised.
    pub fn tokenize(&self, texts: &[&str]) -> Result<TokenBatch, ModelError> {
        Ok(self.tokenizer.encode(texts, self.settings.max_seq_length)?)
    }

    /// Tokenises pairs of texts, each pair cut to `max_seq_length`, the longer text first.
    ///
    /// # Errors
    /// Returns an error if a text cannot be tokenised, or the tokenizer has no template for pairs.
    pub fn tokenize_pairs(&self, pairs: &[(&str, &str)]) -> Result<TokenBatch, ModelError> {
        Ok(self.tokenizer.encode_pairs(pairs, self.settings.max_seq_length)?)
    }

    /// Sets how many tokens of a text are read.
    ///
    /// # Errors
    /// Returns an error if the encoder has fewer positions, or if only special tokens would fit.
    pub fn set_max_seq_length(&mut self, tokens: usize) -> Result<(), ModelError> {
        self.check_max_seq_length(tokens)?;
        self.settings.max_seq_length = tokens;
        Ok(())
    }

    /// Checks a number of tokens to read of a text.
    ///
    /// # Errors
    /// Returns an error if the encoder has fewer positions, or if only special tokens would fit.
    pub(crate) fn check_max_seq_length(&self, tokens: usize) -> Result<(), ModelError> {
        let longest = self.config.longest();
        if tokens > longest {
            let reason =
                format!("max_seq_length {tokens} exceeds the model's {longest} positions; use {longest} or less");
            return Err(ModelError::Request(reason));
        }
        Ok(self.task.check_length(&self.tokenizer, tokens)?)
    }

    /// Tokens of a text that are read; none if texts of any length are.
    pub fn longest_text(&self) -> Option<usize> {
        limit(self.settings.max_seq_length)
    }

    /// Returns whether the model is a table of static embeddings.
    pub fn is_static(&self) -> bool {
        self.config.architecture == Architecture::Static
    }

    /// Number of columns of an embedding.
    pub fn dimension(&self) -> usize {
        let pooled = self.pooling.modes.len() * self.config.hidden;
        self.modules.iter().fold(pooled, |columns, module| module.outputs(columns))
    }

    /// Returns whether embeddings have length 1.
    pub fn normalizes(&self) -> bool {
        self.modules_before_normalization() < self.modules.len()
    }

    /// Number of modules that are computed before the final normalisation: all without one.
    pub(crate) fn modules_before_normalization(&self) -> usize {
        let last = self.modules.iter().rposition(|module| !matches!(module, SentenceModule::Dropout(_)));
        last.filter(|last| matches!(self.modules[*last], SentenceModule::Normalize)).unwrap_or(self.modules.len())
    }

    /// Returns whether the tokens of a prompt are left out of the embedding.
    pub fn excludes_prompt(&self) -> bool {
        !self.pooling.include_prompt
    }

    /// Names of the pooling modes in newer versions: `mean`, `cls`, …
    pub fn pooling_names(&self) -> Vec<&'static str> {
        let name = |mode| POOLING_NAMES.iter().find(|(other, ..)| other == mode).map(|(_, _, name)| *name);
        self.pooling.modes.iter().filter_map(name).collect()
    }

    /// Number of parameters that embeddings depend on.
    pub fn parameter_count(&self) -> usize {
        self.parameters
    }

    /// Cuts rows that lack the final normalisation to `dimension` columns and normalises them as
    /// the folder says, or as `normalize` says.
    pub fn finish(&self, context: &Context, rows: Rows<'_>, dimension: usize, normalize: Option<bool>) -> Matrix {
        if !normalize.unwrap_or(self.normalizes()) {
            return rows.prefix(dimension).to_matrix();
        }
        let whole = normalized(context, rows);
        if dimension == whole.columns() { whole } else { normalized(context, whole.view().prefix(dimension)) }
    }

    /// Summary for cards and reports.
    pub fn summary(&self) -> ModelSummary {
        summary_of_towers(&[self], None)
    }

    fn module_summaries(&self) -> Vec<ModuleSummary> {
        let config = &self.config;
        if self.has_head_in_encoder() {
            return vec![self.summary_of_transformer(true)];
        }
        if self.task != Task::Embed {
            return self.summary_of_pair_modules();
        }
        let module = |kind: &str, settings| ModuleSummary { kind: kind.into(), settings, ..ModuleSummary::default() };
        let transformer = vec![
            ("max_seq_length".into(), self.settings.max_seq_length.to_string()),
            ("do_lower_case".into(), python(self.settings.do_lower_case)),
        ];
        let mut pooling = vec![("word_embedding_dimension".into(), config.hidden.to_string())];
        for (mode, key, _) in POOLING_NAMES {
            pooling.push((key.into(), python(self.pooling.modes.contains(&mode))));
        }
        pooling.push(("include_prompt".into(), python(self.pooling.include_prompt)));
        let architecture = Some(self.class_name());
        let transformer = ModuleSummary { architecture, ..module("Transformer", transformer) };
        let mut modules = match self.is_static() {
            true => vec![module("StaticEmbedding", Vec::new())],
            false => vec![transformer, module("Pooling", pooling)],
        };
        modules.extend(self.modules.iter().map(|own| module(own.kind(), module_settings(own))));
        modules
    }

    /// The modules of a cross-encoder without a head, with their settings as the reference prints
    /// them.
    fn summary_of_pair_modules(&self) -> Vec<ModuleSummary> {
        let module = |kind: &str, settings| ModuleSummary { kind: kind.into(), settings, ..ModuleSummary::default() };
        let names: Vec<String> = self.pooling_names().into_iter().map(|name| format!("'{name}'")).collect();
        let modes = if let [name] = &names[..] { name.clone() } else { format!("({})", names.join(", ")) };
        let pooling = vec![
            ("embedding_dimension".into(), self.config.hidden.to_string()),
            ("pooling_mode".into(), modes),
            ("include_prompt".into(), python(self.pooling.include_prompt)),
        ];
        let mut modules = vec![self.summary_of_transformer(false), module("Pooling", pooling)];
        modules.extend(self.modules.iter().map(|own| module(own.kind(), module_settings(own))));
        if let Some(last) = modules.last_mut() {
            last.settings.push(("module_output_name".into(), "'scores'".into()));
        }
        modules
    }

    /// The transformer of a cross-encoder, with or without its head, with its settings as the
    /// reference prints them.
    fn summary_of_transformer(&self, head: bool) -> ModuleSummary {
        let [task, output, name] = match head {
            true => ["sequence-classification", "logits", "scores"],
            false => ["feature-extraction", "last_hidden_state", "token_embeddings"],
        };
        let settings = [
            ("transformer_task", format!("'{task}'")),
            ("modality_config", format!("{{'text': {{'method': 'forward', 'method_output_name': '{output}'}}}}")),
            ("module_output_name", format!("'{name}'")),
        ];
        ModuleSummary {
            kind: "Transformer".into(),
            settings: settings.map(|(name, value)| (name.into(), value)).to_vec(),
            architecture: Some(self.class_name()),
            ..ModuleSummary::default()
        }
    }
}

/// The towers of a model by the role of a text; one tower in models without a router.
#[derive(Clone, Copy)]
pub struct RoleSpecs<'a> {
    /// The tower of texts without a role.
    pub any: &'a ModelSpec,
    /// The number of the tower of queries, and its specification.
    pub query: (usize, &'a ModelSpec),
    /// The number of the tower of documents, and its specification.
    pub document: (usize, &'a ModelSpec),
    /// True if the model has a router.
    pub routed: bool,
}

impl<'a> RoleSpecs<'a> {
    /// Returns those of a model without a router.
    pub fn single(spec: &'a ModelSpec) -> Self {
        Self { any: spec, query: (0, spec), document: (0, spec), routed: false }
    }

    /// Returns the specification of the tower of texts with a role, or without.
    pub fn of(&self, role: Option<Role>) -> &'a ModelSpec {
        match role {
            None => self.any,
            Some(Role::Query) => self.query.1,
            Some(Role::Document) => self.document.1,
        }
    }

    /// Returns the number of the tower of texts with a role, or without.
    pub fn number(&self, role: Option<Role>) -> usize {
        match role {
            None => 0,
            Some(Role::Query) => self.query.0,
            Some(Role::Document) => self.document.0,
        }
    }
}

/// Summary of a model of one tower, or of those of a router.
pub(crate) fn summary_of_towers(towers: &[&ModelSpec], router: Option<&Router>) -> ModelSummary {
    let spec = towers[0];
    let (config, scoring) = (&spec.config, spec.task.scoring());
    let modules = match router {
        None => spec.module_summaries(),
        Some(router) => {
            let routes = router.routes.iter().zip(towers).map(|(name, tower)| RouteSummary {
                name: name.clone(),
                modules: tower.module_summaries(),
                max_seq_length: tower.longest_text(),
            });
            let default = if router.has_default { format!("'{}'", router.routes[0]) } else { "None".into() };
            vec![ModuleSummary {
                kind: "Router".into(),
                settings: vec![("default_route".into(), default)],
                architecture: None,
                routes: routes.collect(),
            }]
        }
    };
    // Parts that towers share count once.
    let mut parts: HashMap<&str, usize> = HashMap::new();
    for tower in towers {
        let own = tower.modules.iter().filter(|module| !module.is_in_encoder());
        let of_modules = own.map(SentenceModule::elements);
        let encoder = tower.parameters - of_modules.clone().sum::<usize>() + tower.origin.carried_elements();
        parts.insert(&tower.origin.folders.encoder, encoder);
        parts.extend(tower.origin.folders.modules.iter().map(String::as_str).zip(of_modules));
    }
    ModelSummary {
        model_type: config.architecture.model_type().into(),
        modules,
        max_seq_length: towers.iter().map(|tower| tower.settings.max_seq_length).max().unwrap_or_default(),
        dimension: spec.dimension(),
        labels: scoring.map_or_else(Vec::new, |scoring| scoring.labels.clone()),
        activation: scoring.map(|scoring| scoring.activation.class().into()),
        similarity: spec.settings.similarity,
        parameters: parts.values().sum(),
        layers: config.layers,
        hidden_size: config.hidden,
        heads: config.heads,
        vocabulary: config.vocabulary,
        prompts: spec.settings.prompts.clone(),
        default_prompt_name: spec.settings.default_prompt_name.clone(),
    }
}

/// Settings of a module behind pooling.
fn module_settings(module: &SentenceModule) -> Vec<(String, String)> {
    match module {
        SentenceModule::Dense(dense) => {
            let mut settings = vec![
                ("in_features".into(), dense.inputs.to_string()),
                ("out_features".into(), dense.outputs.to_string()),
                ("bias".into(), python(dense.has_bias())),
                ("activation_function".into(), format!("'{}'", dense.activation_class())),
            ];
            if dense.has_residual() {
                settings.push(("use_residual".into(), python(true)));
            }
            settings
        }
        SentenceModule::Normalize => Vec::new(),
        SentenceModule::LayerNorm(norm) => vec![("dimension".into(), norm.width.to_string())],
        SentenceModule::Dropout(dropout) => vec![("dropout".into(), dropout.probability().to_string())],
    }
}

/// Writes a flag as Python does.
fn python(flag: bool) -> String {
    if flag { "True" } else { "False" }.into()
}

impl Origin {
    /// Returns the origin of a model that was read from no folder.
    pub(crate) fn without_files(config: Value, folders: Folders) -> Self {
        let dtype = safetensors::Dtype::F32;
        let (tokenizer_files, carried, encoder) = (Vec::new(), Vec::new(), PathBuf::new());
        Self { config, tokenizer_files, carried, dtype, new_head: false, encoder, folders }
    }

    fn carried_elements(&self) -> usize {
        let floating = self.carried.iter().filter(|tensor| is_floating(tensor.dtype));
        floating.map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }
}
