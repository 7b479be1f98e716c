//! A tower of a folder: an encoder with its tokenizer, its settings and the modules behind it. Most
//! models have one; those with a router one for each route.

use super::head::{self, HeadSettings, NewWeights};
use super::kind::Kind;
use super::module_parts::ModuleParts;
use super::modules::ModuleList;
use super::scoring::read_scoring;
use super::settings::{read_max_seq_length, read_settings, sentence_config_path};
use super::static_table::StaticTable;
use crate::json::{Fields, read_object};
use crate::spec::{Carried, Folders, ModelSpec, Origin};
use crate::task::Task;
use crate::{Architecture, EncoderConfig, ModelError, Settings};
use maana_text::Tokenizer;
use safetensors::Dtype;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tokens of a text that an encoder for long texts reads if its folder does not set them.
const DEFAULT_LONGEST: usize = 512;

/// Files of a tokenizer other than `tokenizer.json`.
const TOKENIZER_FILES: [&str; 8] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "added_tokens.json",
];

/// The encoder of a text and the modules behind it.
pub(super) struct TowerParts {
    pub(super) task: Task,
    pub(super) transformer: PathBuf,
    /// The folder of the encoder within the model: that of the transformer, or of its adapters.
    pub(super) own: PathBuf,
    /// The folder of the tokenizer: that of the transformer, or of its adapters.
    tokenizer: PathBuf,
    pub(super) config: EncoderConfig,
    config_json: Value,
    /// The table of a static model.
    pub(super) table: Option<StaticTable>,
    pub(super) modules: ModuleParts,
    settings: Settings,
    /// `max_seq_length`, if the folder sets it.
    max_seq_length: Option<usize>,
}

/// A tower whose weights were read, without them, and the tensors of its files that take no part.
pub(super) struct Loaded {
    pub(super) modules: ModuleParts,
    /// Number of parameters, whether the arena holds them or not.
    pub(super) parameters: usize,
    pub(super) carried: Vec<Carried>,
    pub(super) dtype: Dtype,
    pub(super) unused: Vec<String>,
}

impl TowerParts {
    /// Reads the modules of a folder whose encoder lies in `transformer`, and its settings and
    /// perhaps its tokenizer in `own`.
    pub(super) fn read(
        folder: &Path,
        kind: Kind<'_>,
        (list, folders): (&ModuleList, Folders),
        [transformer, own]: [&Path; 2],
        notices: &mut Vec<String>,
    ) -> Result<Self, ModelError> {
        if list.is_static {
            return Self::read_static(folder, kind, (list, folders), transformer.to_owned());
        }
        let config_path = transformer.join("config.json");
        let config_json = read_object(&config_path)?.ok_or_else(|| ModelError::Missing {
            path: config_path.clone(),
            remedy: "The folder needs the encoder's `config.json`; fetch the model again \
                     (`maana fetch NAME --again`)"
                .into(),
        })?;
        let config = EncoderConfig::from_json(&config_json, &config_path)?;

        let has_head = matches!(kind, Kind::CrossEncoder(_)) && !list.scores;
        let path = sentence_config_path(own);
        let json = read_object(&path)?.unwrap_or(Value::Object(Default::default()));
        let do_lower_case = Fields { json: &json, path: &path }.flag_or("do_lower_case", false)?;
        let max_seq_length = read_max_seq_length(&json, &path, &config, has_head, notices)?;
        let fields = Fields { json: &config_json, path: &config_path };
        let (task, modules) = match kind {
            Kind::BiEncoder => (Task::Embed, ModuleParts::read(folder, list, folders, &config)?),
            Kind::CrossEncoder(settings) if list.scores => {
                let modules = ModuleParts::read(folder, list, folders, &config)?;
                modules.refuse_excluded_prompt(folder)?;
                let outputs = Some(modules.dimension(config.hidden));
                (Task::Score(read_scoring(folder, &fields, outputs, settings, notices)?), modules)
            }
            Kind::CrossEncoder(settings) => read_head(folder, &config, &fields, settings, None, notices)?,
            Kind::NewHead(settings) => {
                let weights = NewWeights::of(&config, &fields, settings.seed)?;
                read_head(folder, &config, &fields, Some(settings), Some(weights), notices)?
            }
        };
        let settings = match kind {
            // The reference leaves out the settings of a model that becomes another one.
            Kind::NewHead(_) => Settings { do_lower_case, ..Settings::default() },
            _ => read_settings(
                folder,
                do_lower_case,
                modules.dimension(config.hidden),
                matches!(kind, Kind::CrossEncoder(_)),
            )?,
        };
        let max_seq_length = max_seq_length.filter(|_| !modules.is_new_head());
        let tokenizer = if Tokenizer::is_in(own) { own } else { transformer };
        Ok(Self {
            task,
            transformer: transformer.into(),
            own: own.into(),
            tokenizer: tokenizer.into(),
            config,
            config_json,
            table: None,
            modules,
            settings,
            max_seq_length,
        })
    }

    /// Reads the modules and settings of a static model. Its table tells the shape, and its
    /// tokenizer the longest text.
    fn read_static(
        folder: &Path,
        kind: Kind<'_>,
        (list, folders): (&ModuleList, Folders),
        place: PathBuf,
    ) -> Result<Self, ModelError> {
        if !matches!(kind, Kind::BiEncoder) {
            let what = "a cross-encoder of static embeddings".into();
            let supported = "cross-encoders of transformers".into();
            return Err(ModelError::Unsupported { path: folder.into(), what, supported });
        }
        let table = StaticTable::read(&place)?;
        let config = table.config();
        let modules = ModuleParts::read(folder, list, folders, &config)?;
        let settings = read_settings(folder, false, modules.dimension(config.hidden), false)?;
        Ok(Self {
            task: Task::Embed,
            config_json: read_object(&place.join("config.json"))?.unwrap_or_default(),
            tokenizer: place.clone(),
            own: place.clone(),
            transformer: place,
            config,
            table: Some(table),
            modules,
            settings,
            max_seq_length: None,
        })
    }

    pub(super) fn read_tokenizer(&self) -> Result<Tokenizer, ModelError> {
        let tokenizer = match self.table {
            Some(_) => Tokenizer::open_bare(&self.tokenizer)?,
            None => {
                let class = tokenizer_class(self.config.architecture, &self.config_json);
                Tokenizer::open(&self.tokenizer, class, self.settings.do_lower_case)?
            }
        };
        self.check_tokenizer(&tokenizer)?;
        Ok(tokenizer)
    }

    /// Checks that all ids and types of the tokenizer have rows in the embedding tables.
    fn check_tokenizer(&self, tokenizer: &Tokenizer) -> Result<(), ModelError> {
        let EncoderConfig { vocabulary, segments, .. } = self.config;
        let needed = match self.task {
            Task::Embed => tokenizer.segments(),
            Task::Score(_) => tokenizer.pair_segments(),
        };
        let reason = if tokenizer.vocabulary_size() > vocabulary && self.table.is_some() {
            format!(
                "the tokenizer has {} tokens, but the table of static embeddings has {vocabulary} rows; tokenizer and \
                 table do not belong together",
                tokenizer.vocabulary_size()
            )
        } else if tokenizer.vocabulary_size() > vocabulary {
            format!(
                "the tokenizer has {} tokens, but `config.json` of the model says vocab_size {vocabulary}; tokenizer and \
                 model do not belong together",
                tokenizer.vocabulary_size()
            )
        } else if segments > 0 && needed > segments {
            format!(
                "`post_processor` gives tokens the type {}, but `config.json` of the model says type_vocab_size {segments}",
                needed - 1
            )
        } else {
            return Ok(());
        };
        Err(ModelError::invalid(tokenizer.path(), reason))
    }

    /// Puts the tower together, but for its weights.
    pub(super) fn into_spec(
        self,
        tokenizer: Arc<Tokenizer>,
        loaded: Loaded,
        notices: &mut Vec<String>,
    ) -> Result<ModelSpec, ModelError> {
        notices.extend(self.notice_of_unused(&loaded.unused));
        let max_seq_length = self.max_seq_length(&tokenizer, notices);
        self.task.check_length(&tokenizer, max_seq_length).map_err(|error| {
            let longest = self.config.longest();
            let (path, field) = match (self.max_seq_length, tokenizer.max_length()) {
                (Some(_), _) => (sentence_config_path(&self.own), "max_seq_length"),
                (None, Some(tokens)) if tokens < longest => {
                    (self.tokenizer.join("tokenizer_config.json"), "model_max_length")
                }
                (None, _) => (self.transformer.join("config.json"), "max_position_embeddings"),
            };
            ModelError::invalid(path, format!("field `{field}`: {error}"))
        })?;
        let new_head = loaded.modules.is_new_head();
        let origin = Origin {
            config: self.config_json,
            tokenizer_files: read_tokenizer_files(&self.tokenizer)?,
            carried: loaded.carried,
            dtype: loaded.dtype,
            new_head,
            encoder: self.transformer,
            folders: loaded.modules.folders,
        };
        Ok(ModelSpec {
            config: self.config,
            tokenizer,
            task: self.task,
            pooling: loaded.modules.pooling,
            modules: loaded.modules.modules,
            settings: Settings { max_seq_length, ..self.settings },
            parameters: loaded.parameters,
            origin,
        })
    }

    /// Returns the tokens of a text that are read. Encoders for long texts read fewer than they
    /// could where the folder does not choose: attention to all tokens takes time and memory that
    /// grow with the square of their number.
    fn max_seq_length(&self, tokenizer: &Tokenizer, notices: &mut Vec<String>) -> usize {
        let longest = self.config.longest();
        let chosen = self.max_seq_length.or(tokenizer.max_length().filter(|tokens| *tokens < longest));
        if let Some(chosen) = chosen {
            return chosen.min(longest);
        }
        let default = match self.config.architecture {
            Architecture::ModernBert => longest.min(DEFAULT_LONGEST),
            _ => longest,
        };
        if default < longest {
            notices.push(format!(
                "{}: the folder sets no max_seq_length, so {default} tokens of each text are read, of {longest} that the model \
                 can read; for longer texts set `max_seq_length` in `sentence_bert_config.json` or in the recipe",
                self.transformer.display()
            ));
        }
        default
    }

    fn notice_of_unused(&self, unused: &[String]) -> Option<String> {
        let first = unused.first()?;
        let count = match unused.len() {
            1 => format!("a tensor of the weights is not used, `{first}`"),
            several => format!("{several} tensors of the weights are not used, `{first}` and others"),
        };
        let path = self.transformer.display();
        Some(format!("{path}: {count}, as an encoder of {} layers has none of this name", self.config.layers))
    }
}

/// Returns the Python class of the tokenizer of a folder whose `tokenizer_config.json` names none.
pub(super) fn tokenizer_class(architecture: Architecture, config: &Value) -> &str {
    let of_family = architecture.tokenizer_class();
    match architecture {
        Architecture::ModernBert => of_family,
        _ => config["tokenizer_class"].as_str().unwrap_or(of_family),
    }
}

/// Reads task and head of a cross-encoder.
fn read_head(
    folder: &Path,
    config: &EncoderConfig,
    fields: &Fields<'_>,
    settings: Option<&HeadSettings>,
    new_weights: Option<NewWeights>,
    notices: &mut Vec<String>,
) -> Result<(Task, ModuleParts), ModelError> {
    let scoring = read_scoring(folder, fields, None, settings, notices)?;
    let head = head::head(config, fields, scoring.labels.len())?;
    Ok((Task::Score(scoring), ModuleParts::of_head(head, new_weights)))
}

fn read_tokenizer_files(transformer: &Path) -> Result<Vec<(String, Vec<u8>)>, ModelError> {
    let mut files = Vec::new();
    for name in TOKENIZER_FILES {
        let path = transformer.join(name);
        if path.is_file() {
            files.push((name.to_owned(), maana_files::read(&path).map_err(ModelError::io(path))?));
        }
    }
    Ok(files)
}
