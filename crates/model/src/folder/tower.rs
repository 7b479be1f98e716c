//! A tower of a folder: an encoder with its tokenizer, its settings and the modules behind it. Most
//! models have one; those with a router one for each route.

use super::head::{self, HeadSettings, NewWeights};
use super::modules::{Chains, ModuleList, ModuleParts, read_cross_encoder_modules, read_modules};
use super::scoring::{is_cross_encoder, read_scoring};
use super::settings::{read_max_seq_length, read_settings, sentence_config_path};
use super::static_table::StaticTable;
use super::weight_files::WeightFiles;
use crate::activations::Passes;
use crate::blocks::SentenceModule;
use crate::encoders::Network;
use crate::inference_model::InferenceEncoder;
use crate::json::{Fields, read_object};
use crate::spec::{Carried, Folders, ModelSpec, Origin};
use crate::task::Task;
use crate::weights::{InferenceWeights, Layout, Linears, MappedTensor, PackingSlots, Scope, Tensor, stacked};
use crate::{Architecture, EncoderConfig, ModelError, Settings};
use maana_kernels::{Context, PackedMatrix, Precision};
use maana_text::Tokenizer;
use safetensors::Dtype;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tokens of a text that an encoder for long texts reads if its folder does not set them.
const DEFAULT_LONGEST: usize = 512;

/// Storage of the weights of a model that encodes. Embeddings are the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightStorage {
    /// Packed when the model is opened; word embeddings stay in the file where they can be read
    /// there. For many texts.
    Packed,
    /// All in the file; a weight is packed when a product needs it, and values are not checked for
    /// NaN. Opens at once; for few texts.
    Mapped,
}

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
    /// The folder of the tokenizer: that of the transformer, or of its adapters.
    tokenizer: PathBuf,
    pub(super) config: EncoderConfig,
    config_json: Value,
    /// The table of a static model.
    table: Option<StaticTable>,
    pub(super) modules: ModuleParts,
    settings: Settings,
    /// `max_seq_length`, if the folder sets it.
    max_seq_length: Option<usize>,
}

/// The files of an encoder, and the places of its parameters.
pub(super) struct EncoderFiles {
    pub(super) files: WeightFiles,
    pub(super) layout: Layout,
}

/// A tower whose weights were read, without them, and the tensors of its files that take no part.
pub(super) struct Loaded {
    pub(super) modules: ModuleParts,
    /// Number of parameters, whether the arena holds them or not.
    parameters: usize,
    carried: Vec<Carried>,
    dtype: Dtype,
    unused: Vec<String>,
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

        let path = sentence_config_path(own);
        let json = read_object(&path)?.unwrap_or(Value::Object(Default::default()));
        let do_lower_case = Fields { json: &json, path: &path }.flag_or("do_lower_case", false)?;
        let max_seq_length =
            read_max_seq_length(&json, &path, &config, matches!(kind, Kind::CrossEncoder(_)), notices)?;
        let fields = Fields { json: &config_json, path: &config_path };
        let (task, modules) = match kind {
            Kind::BiEncoder => (Task::Embed, ModuleParts::read(folder, list, folders, &config)?),
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
        let tokenizer = if own.join("tokenizer.json").exists() { own } else { transformer };
        Ok(Self {
            task,
            transformer: transformer.into(),
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
            transformer: place,
            config,
            table: Some(table),
            modules,
            settings,
            max_seq_length: None,
        })
    }

    pub(super) fn read_tokenizer(&self) -> Result<Tokenizer, ModelError> {
        let of_family = self.config.architecture.tokenizer_class();
        let class = match self.config.architecture {
            Architecture::ModernBert => of_family,
            _ => self.config_json["tokenizer_class"].as_str().unwrap_or(of_family),
        };
        let tokenizer = match self.table {
            Some(_) => Tokenizer::open_bare(&self.tokenizer)?,
            None => Tokenizer::open(&self.tokenizer, class, self.settings.do_lower_case)?,
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
        Err(ModelError::invalid(self.tokenizer.join("tokenizer.json"), reason))
    }

    pub(super) fn weight_files(&self) -> Result<WeightFiles, ModelError> {
        match self.table {
            Some(_) => StaticTable::open(&self.transformer),
            None => WeightFiles::open(&self.transformer, self.config.architecture.prefix()),
        }
    }

    /// Checks that the files hold the parameters, before memory is allocated for them.
    pub(super) fn check_weights(&self, files: &WeightFiles, layout: &Layout) -> Result<(), ModelError> {
        if self.is_folded() { Ok(()) } else { files.check(&layout.tensors) }
    }

    /// Returns whether the table of a static model is not in the file as it is used.
    fn is_folded(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.folded)
    }

    /// Reads the encoder's parameters into an arena.
    pub(super) fn fill(
        &self,
        context: &Context,
        encoder: &EncoderFiles,
        parameters: &mut [f32],
    ) -> Result<(), ModelError> {
        let EncoderFiles { files, layout } = encoder;
        match self.table.as_ref().filter(|table| table.folded) {
            Some(table) => {
                let range = layout.tensors[layout.word_embeddings].range.clone();
                table.fill(context, files, &mut parameters[range])
            }
            None => files.fill(context, &layout.tensors, parameters),
        }
    }

    /// Reads the encoder's weights as they are stored for inference.
    pub(super) fn read_encoder(
        &self,
        context: &Context,
        precision: Precision,
        storage: WeightStorage,
    ) -> Result<(EncoderFiles, InferenceEncoder), ModelError> {
        let files = self.weight_files()?;
        let declare =
            |word_embeddings| Network::new(&self.config, Scope::Unpacked { word_embeddings }, Passes::Inference);
        let mut network = declare(false);
        self.check_weights(&files, &network.parameters)?;
        let word_embeddings = match self.is_folded() {
            true => None,
            false => Some(files.map(&network.parameters.tensors[network.parameters.word_embeddings])?),
        };
        let word_embeddings = word_embeddings.filter(|tensor| tensor.as_floats().is_some());
        if word_embeddings.is_none() {
            network = declare(true);
        }
        let encoder = EncoderFiles { files, layout: declare(word_embeddings.is_none()).parameters };
        let mut parameters = vec![0.0; encoder.layout.elements];
        self.fill(context, &encoder, &mut parameters)?;
        let EncoderFiles { files, layout } = &encoder;
        let (linears, checksums) = match storage {
            WeightStorage::Packed => {
                let (packed, checksums) = pack(context, files, layout, word_embeddings.as_ref(), precision)?;
                (Linears::Packed(packed), Some(checksums))
            }
            WeightStorage::Mapped => {
                let mapped =
                    layout.linears.iter().map(|linear| map_linear(files, layout, linear.weight.tensors.clone()));
                (Linears::Mapped(mapped.collect::<Result<_, _>>()?, PackingSlots::new(layout.roles())), None)
            }
        };
        // Files that stay mapped are checked at every use.
        let stays_mapped = word_embeddings.is_some() || storage == WeightStorage::Mapped;
        let mapped = if stays_mapped { files.files().to_vec() } else { Vec::new() };
        let parameters = Arc::new(parameters);
        let weights = InferenceWeights { parameters, word_embeddings, linears, precision, mapped };
        Ok((encoder, InferenceEncoder::new(network, weights, checksums)))
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
        self.task.check_length(&tokenizer, max_seq_length)?;
        let new_head = loaded.modules.is_new_head();
        let origin = Origin {
            config: self.config_json,
            tokenizer_files: read_tokenizer_files(&self.tokenizer)?,
            carried: loaded.carried,
            dtype: loaded.dtype,
            new_head,
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

    /// Returns the tower with its modules, and the tensors of its files that take no part.
    pub(super) fn loaded(&self, modules: ModuleParts, encoder: &EncoderFiles) -> Result<Loaded, ModelError> {
        let EncoderFiles { files, layout } = encoder;
        let in_files: Vec<Tensor> = layout.tensors.iter().cloned().chain(modules.tensors_in_encoder()).collect();
        let mut unused = files.unused(&in_files);
        if self.table.is_some() {
            unused.retain(|name| !StaticTable::knows(name));
        }
        Ok(Loaded {
            parameters: layout.tensors.iter().map(Tensor::elements).sum::<usize>()
                + modules.modules.iter().map(SentenceModule::elements).sum::<usize>(),
            carried: self.carried(files, &in_files)?,
            dtype: if self.is_folded() { Dtype::F32 } else { files.dtype(&layout.tensors[layout.word_embeddings]) },
            unused: unused.into_iter().map(str::to_owned).collect(),
            modules,
        })
    }

    /// Returns the tensors that take no part and are written back. A head has no pooler but its
    /// own.
    fn carried(&self, files: &WeightFiles, in_files: &[Tensor]) -> Result<Vec<Carried>, ModelError> {
        let mut carried = files.carried(in_files)?;
        if self.task != Task::Embed {
            carried.retain(|tensor| !tensor.name.starts_with("pooler."));
        }
        Ok(carried)
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
    let scoring = read_scoring(folder, fields, settings, notices)?;
    let head = head::head(config, fields, scoring.labels.len())?;
    Ok((Task::Score(scoring), ModuleParts::of_head(head, new_weights)))
}

/// The kind of model that a folder is opened as.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    BiEncoder,
    /// A cross-encoder with its head, and settings that replace those of the folder.
    CrossEncoder(Option<&'a HeadSettings>),
    /// A model that becomes a cross-encoder.
    NewHead(&'a HeadSettings),
}

impl<'a> Kind<'a> {
    /// Reads kind and modules of a folder, which becomes a cross-encoder with settings of a head.
    pub(super) fn read(
        folder: &Path,
        head: Option<&'a HeadSettings>,
        notices: &mut Vec<String>,
    ) -> Result<(Self, Chains), ModelError> {
        if is_cross_encoder(folder)? {
            return Ok((Self::CrossEncoder(head), Chains::of(read_cross_encoder_modules(folder)?)));
        }
        let Some(head) = head else { return Ok((Self::BiEncoder, read_modules(folder, notices)?)) };
        // That pooling is assumed does not matter to a head.
        let list = read_modules(folder, &mut Vec::new())?.single(folder)?;
        notices.push(format!(
            "{}: the model has no head for pairs; it gets a new one with random weights (seed {})",
            folder.display(),
            head.seed
        ));
        Ok((Self::NewHead(head), Chains::of(list)))
    }
}

/// Packs the weights of linear layers from the files. Also returns the checksums of all tensors
/// that the arena does not hold.
fn pack(
    context: &Context,
    files: &WeightFiles,
    layout: &Layout,
    word_embeddings: Option<&MappedTensor>,
    precision: Precision,
) -> Result<(Vec<PackedMatrix>, Vec<Vec<u128>>), ModelError> {
    let mut checksums = vec![Vec::new(); layout.tensors.len()];
    if let Some((tensor, floats)) = word_embeddings.and_then(|tensor| Some((tensor, tensor.as_floats()?))) {
        checksums[layout.word_embeddings] = tensor.check(context, floats)?;
    }
    let mut packed = Vec::with_capacity(layout.linears.len());
    let mut buffer = Vec::new();
    for linear in &layout.linears {
        let numbers = linear.weight.tensors.clone();
        let tensors = map_linear(files, layout, numbers.clone())?;
        for (number, tensor) in numbers.zip(&tensors) {
            checksums[number] = tensor.check(context, tensor.floats(context, &mut buffer))?;
        }
        let weight = linear.rows(stacked(context, &tensors, &mut buffer));
        packed.push(PackedMatrix::pack_transposed(context, precision, weight));
    }
    Ok((packed, checksums))
}

fn map_linear(
    files: &WeightFiles,
    layout: &Layout,
    tensors: std::ops::Range<usize>,
) -> Result<Vec<MappedTensor>, ModelError> {
    layout.tensors[tensors].iter().map(|tensor| files.map(tensor)).collect()
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
