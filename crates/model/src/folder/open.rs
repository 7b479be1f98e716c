//! Opening a model folder. Everything is checked before it is used, as a folder may come from
//! anybody.

use super::adapter::{self, refuse_adapter};
use super::head::{self, HeadSettings, NewWeights};
use super::modules::{ModuleList, ModuleParts, read_cross_encoder_modules, read_modules};
use super::scoring::{is_cross_encoder, read_scoring};
use super::settings::{read_max_seq_length, read_settings, sentence_config_path};
use super::static_table::StaticTable;
use super::weight_files::WeightFiles;
use crate::activations::Passes;
use crate::encoders::Network;
use crate::inference_model::{InferenceModel, InferenceParts};
use crate::json::{Fields, read_object};
use crate::spec::{Carried, ModelSpec, Origin};
use crate::task::Task;
use crate::training_model::TrainingModel;
use crate::weights::{
    InferenceWeights, Layout, Linears, MappedTensor, PackingSlots, ParameterArena, Scope, Tensor, stacked,
};
use crate::{Architecture, EncoderConfig, ModelError, Settings};
use maana_kernels::{Context, PackedMatrix, Precision};
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

/// A model, and the assumptions that were made to read it.
pub struct Opened<M> {
    /// The model.
    pub model: M,
    /// Sentences about assumptions, for the person who opens the model.
    pub notices: Vec<String>,
}

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

/// Opens a folder of Sentence Transformers 2 to 6, or a plain Hugging Face encoder folder, to
/// train.
///
/// # Errors
/// Returns an error if a file is missing, damaged or hostile, or asks for something that is not
/// supported.
pub fn open_for_training(
    folder: &Path,
    context: &Context,
    precision: Precision,
) -> Result<Opened<TrainingModel>, ModelError> {
    let mut notices = Vec::new();
    let parts = FolderParts::read(folder, None, &mut notices)?;
    parts.open_for_training(context, precision, notices)
}

/// Opens a folder to train as a cross-encoder. A folder of a cross-encoder keeps its head. Of any
/// other, the encoder gets a new head with random weights, in place of its modules and prompts.
///
/// # Errors
/// As [`open_for_training`], or if the folder has a head of another number of labels.
pub fn open_for_scoring(
    folder: &Path,
    context: &Context,
    precision: Precision,
    head: &HeadSettings,
) -> Result<Opened<TrainingModel>, ModelError> {
    let mut notices = Vec::new();
    let parts = FolderParts::read(folder, Some(head), &mut notices)?;
    parts.open_for_training(context, precision, notices)
}

/// Opens a folder as [`open_for_training`] does, to encode.
///
/// # Errors
/// As [`open_for_training`].
pub fn open_for_inference(
    folder: &Path,
    context: &Context,
    precision: Precision,
    storage: WeightStorage,
) -> Result<Opened<InferenceModel>, ModelError> {
    let mut notices = Vec::new();
    let parts = FolderParts::read(folder, None, &mut notices)?;
    let (tokenizer, weights) = parts.read_tokenizer_and(|| parts.read_for_inference(context, precision, storage))?;
    let (spec, parts) = parts.into_spec(tokenizer, weights, &mut notices)?;
    Ok(Opened { model: InferenceModel::new(spec, parts), notices })
}

/// Opens a folder of low-rank adapters as PEFT writes it, merged into its base model, which lies in
/// the folder `base`.
///
/// # Errors
/// As [`open_for_training`], for both folders.
pub fn open_adapter(
    folder: &Path,
    base: &Path,
    context: &Context,
    precision: Precision,
) -> Result<Opened<TrainingModel>, ModelError> {
    let mut notices = Vec::new();
    let parts = FolderParts::read_adapter(folder, base, &mut notices)?;
    let Opened { mut model, notices } = parts.open_for_training(context, precision, notices)?;
    let prefix = model.spec().config().architecture.prefix();
    model.merge_adapter(|layout, parameters| adapter::merge(&adapter::place(folder)?, prefix, layout, parameters))?;
    Ok(Opened { model, notices })
}

/// A folder without its tokenizer and its weights.
struct FolderParts {
    task: Task,
    transformer: PathBuf,
    /// The folder of the tokenizer: that of the transformer, or of its adapters.
    tokenizer: PathBuf,
    config: EncoderConfig,
    config_json: Value,
    /// The table of a static model.
    table: Option<StaticTable>,
    modules: ModuleParts,
    settings: Settings,
    /// `max_seq_length`, if the folder sets it.
    max_seq_length: Option<usize>,
}

/// Weights, and the tensors of the files that take no part.
struct Loaded<W> {
    weights: W,
    modules: ModuleParts,
    /// Number of parameters, whether the arena holds them or not.
    parameters: usize,
    carried: Vec<Carried>,
    dtype: Dtype,
    unused: Vec<String>,
}

impl FolderParts {
    /// Reads a folder as it is, or with settings of a head as a cross-encoder.
    fn read(folder: &Path, head: Option<&HeadSettings>, notices: &mut Vec<String>) -> Result<Self, ModelError> {
        check_folder(folder)?;
        let (kind, list) = Kind::read(folder, head, notices)?;
        let transformer = folder.join(&list.transformer);
        if list.is_static {
            return Self::read_static(folder, &kind, &list, transformer);
        }
        let parts = Self::read_from(folder, kind, &list, &transformer, &transformer, notices)?;
        refuse_adapter(&transformer)?;
        Ok(parts)
    }

    /// Reads the modules and settings of a static model. Its table tells the shape, and its
    /// tokenizer the longest text.
    fn read_static(folder: &Path, kind: &Kind<'_>, list: &ModuleList, place: PathBuf) -> Result<Self, ModelError> {
        if !matches!(kind, Kind::BiEncoder) {
            let what = "a cross-encoder of static embeddings".into();
            let supported = "cross-encoders of transformers".into();
            return Err(ModelError::Unsupported { path: folder.into(), what, supported });
        }
        let table = StaticTable::read(&place)?;
        let config = table.config();
        let modules = ModuleParts::read(folder, list, &config)?;
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

    /// Opens the model to train.
    fn open_for_training(
        self,
        context: &Context,
        precision: Precision,
        mut notices: Vec<String>,
    ) -> Result<Opened<TrainingModel>, ModelError> {
        let (tokenizer, weights) = self.read_tokenizer_and(|| self.read_for_training(context))?;
        let (spec, arena) = self.into_spec(tokenizer, weights, &mut notices)?;
        Ok(Opened { model: TrainingModel::new(spec, arena, precision), notices })
    }

    /// Reads the modules and settings of the folder of adapters if it has any, else those of the
    /// base model.
    fn read_adapter(folder: &Path, base: &Path, notices: &mut Vec<String>) -> Result<Self, ModelError> {
        check_folder(folder)?;
        check_folder(base)?;
        let has_modules = folder.join("modules.json").exists();
        // A base model without modules is an assumption only if the adapters have none either.
        let mut of_base = Vec::new();
        let (kind, list) = Kind::read(base, None, &mut of_base)?;
        let transformer = base.join(&list.transformer);
        refuse_adapter(&transformer)?;
        if !has_modules {
            notices.append(&mut of_base);
            return Self::read_from(base, kind, &list, &transformer, &transformer, notices);
        }
        let (kind, list) = Kind::read(folder, None, notices)?;
        let own = folder.join(&list.transformer);
        Self::read_from(folder, kind, &list, &transformer, &own, notices)
    }

    /// Reads the modules of a folder whose encoder lies in `transformer`, and its settings and
    /// perhaps its tokenizer in `own`.
    fn read_from(
        folder: &Path,
        kind: Kind<'_>,
        list: &ModuleList,
        transformer: &Path,
        own: &Path,
        notices: &mut Vec<String>,
    ) -> Result<Self, ModelError> {
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
            Kind::BiEncoder => (Task::Embed, ModuleParts::read(folder, list, &config)?),
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

    /// Reads the tokenizer on a thread of its own while `read` reads the weights: each takes much
    /// of the time of opening.
    fn read_tokenizer_and<W>(
        &self,
        read: impl FnOnce() -> Result<W, ModelError>,
    ) -> Result<(Tokenizer, W), ModelError> {
        let of_family = self.config.architecture.tokenizer_class();
        let class = match self.config.architecture {
            Architecture::ModernBert => of_family,
            _ => self.config_json["tokenizer_class"].as_str().unwrap_or(of_family),
        };
        let (tokenizer, weights) = std::thread::scope(|scope| {
            let open = || match self.table {
                Some(_) => Tokenizer::open_bare(&self.tokenizer),
                None => Tokenizer::open(&self.tokenizer, class, self.settings.do_lower_case),
            };
            let thread = std::thread::Builder::new().spawn_scoped(scope, open);
            let weights = read();
            // Where the system refuses a thread, this one does both.
            let tokenizer = thread.map_or_else(
                |_| open(),
                |thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
            (tokenizer, weights)
        });
        let tokenizer = tokenizer?;
        self.check_tokenizer(&tokenizer)?;
        Ok((tokenizer, weights?))
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

    fn read_for_training(&self, context: &Context) -> Result<Loaded<ParameterArena>, ModelError> {
        let files = self.open_weights()?;
        let layout = Network::new(&self.config, Scope::All, Passes::Inference).parameters;
        self.check_weights(&files, &layout)?;
        self.load(context, &files, &layout, |tensors, parameters| Ok(ParameterArena::new(tensors, parameters)))
    }

    fn read_for_inference(
        &self,
        context: &Context,
        precision: Precision,
        storage: WeightStorage,
    ) -> Result<Loaded<InferenceParts>, ModelError> {
        let files = self.open_weights()?;
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
        let layout = &network.parameters;
        let loaded = self.load(context, &files, layout, |tensors, parameters| {
            let (linears, checksums) = match storage {
                WeightStorage::Packed => {
                    let (packed, checksums) = pack(context, &files, layout, word_embeddings.as_ref(), precision)?;
                    (Linears::Packed(packed), Some(checksums))
                }
                WeightStorage::Mapped => {
                    let mapped =
                        layout.linears.iter().map(|linear| map_linear(&files, layout, linear.weight.tensors.clone()));
                    (Linears::Mapped(mapped.collect::<Result<_, _>>()?, PackingSlots::new(layout.roles())), None)
                }
            };
            // Files that stay mapped are checked at every use.
            let stays_mapped = word_embeddings.is_some() || storage == WeightStorage::Mapped;
            let mapped = if stays_mapped { files.files().to_vec() } else { Vec::new() };
            let parameters = Arc::new(parameters);
            let weights = InferenceWeights { parameters, word_embeddings, linears, precision, mapped };
            Ok((weights, tensors, checksums))
        })?;
        Ok(loaded.map(|(weights, tensors, checksums)| InferenceParts { network, weights, tensors, checksums }))
    }

    fn open_weights(&self) -> Result<WeightFiles, ModelError> {
        match self.table {
            Some(_) => StaticTable::open(&self.transformer),
            None => WeightFiles::open(&self.transformer, self.config.architecture.prefix()),
        }
    }

    /// Checks that the files hold the parameters, before memory is allocated for them.
    fn check_weights(&self, files: &WeightFiles, layout: &Layout) -> Result<(), ModelError> {
        if self.is_folded() { Ok(()) } else { files.check(&layout.tensors) }
    }

    /// Returns whether the table of a static model is not in the file as it is used.
    fn is_folded(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.folded)
    }

    /// Reads the parameters that the arena holds, those of modules behind pooling last, and makes
    /// weights of them and their tensors.
    fn load<W>(
        &self,
        context: &Context,
        files: &WeightFiles,
        layout: &Layout,
        weights: impl FnOnce(Vec<Tensor>, Vec<f32>) -> Result<W, ModelError>,
    ) -> Result<Loaded<W>, ModelError> {
        self.modules.check(files)?;
        let mut modules = self.modules.clone();
        let mut parameters = vec![0.0; modules.place(layout.elements)];
        match self.table.as_ref().filter(|table| table.folded) {
            Some(table) => table.fill(context, files, &mut parameters[..layout.elements])?,
            None => files.fill(context, &layout.tensors, &mut parameters)?,
        }
        let mut tensors = layout.tensors.clone();
        tensors.extend(modules.read_parameters(context, files, &mut parameters)?);
        let in_files: Vec<Tensor> = layout.tensors.iter().cloned().chain(modules.tensors_in_encoder()).collect();
        let mut unused = files.unused(&in_files);
        if self.table.is_some() {
            unused.retain(|name| !StaticTable::knows(name));
        }
        let loaded = Loaded {
            parameters: tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum(),
            weights: weights(tensors, parameters)?,
            modules,
            carried: self.carried(files, &in_files)?,
            dtype: if self.is_folded() { Dtype::F32 } else { files.dtype(&layout.tensors[layout.word_embeddings]) },
            unused: unused.into_iter().map(str::to_owned).collect(),
        };
        files.check_unchanged()?;
        Ok(loaded)
    }

    /// Returns the tensors that take no part and are written back. A head has no pooler but its own.
    fn carried(&self, files: &WeightFiles, in_files: &[Tensor]) -> Result<Vec<Carried>, ModelError> {
        let mut carried = files.carried(in_files)?;
        if self.task != Task::Embed {
            carried.retain(|tensor| !tensor.name.starts_with("pooler."));
        }
        Ok(carried)
    }

    /// Puts the model together, but for its weights, which are returned as they are.
    fn into_spec<W>(
        self,
        tokenizer: Tokenizer,
        loaded: Loaded<W>,
        notices: &mut Vec<String>,
    ) -> Result<(ModelSpec, W), ModelError> {
        notices.extend(self.notice_of_unused(&loaded.unused));
        let max_seq_length = self.max_seq_length(&tokenizer, notices);
        match self.task {
            Task::Embed => tokenizer.check_length(max_seq_length)?,
            Task::Score(_) => drop(tokenizer.check_pair_length(max_seq_length)?),
        }
        let new_head = loaded.modules.is_new_head();
        let origin = Origin {
            config: self.config_json,
            tokenizer_files: read_tokenizer_files(&self.tokenizer)?,
            carried: loaded.carried,
            dtype: loaded.dtype,
            new_head,
        };
        let spec = ModelSpec {
            config: self.config,
            task: self.task,
            tokenizer: Arc::new(tokenizer),
            pooling: loaded.modules.pooling,
            modules: loaded.modules.modules,
            settings: Settings { max_seq_length, ..self.settings },
            parameters: loaded.parameters,
            origin,
        };
        Ok((spec, loaded.weights))
    }

    /// Returns the tokens of a text that are read. Encoders for long texts read fewer than they could
    /// where the folder does not choose: attention to all tokens takes time and memory that grow with
    /// the square of their number.
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
                "{}: the folder sets no max_seq_length, so {default} tokens of each text are read, of {longest} that the                  model can read; for longer texts set `max_seq_length` in `sentence_bert_config.json` or in the recipe",
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
enum Kind<'a> {
    BiEncoder,
    /// A cross-encoder with its head, and settings that replace those of the folder.
    CrossEncoder(Option<&'a HeadSettings>),
    /// A model that becomes a cross-encoder.
    NewHead(&'a HeadSettings),
}

impl<'a> Kind<'a> {
    /// Reads kind and modules of a folder, which becomes a cross-encoder with settings of a head.
    fn read(
        folder: &Path,
        head: Option<&'a HeadSettings>,
        notices: &mut Vec<String>,
    ) -> Result<(Self, ModuleList), ModelError> {
        if is_cross_encoder(folder)? {
            return Ok((Self::CrossEncoder(head), read_cross_encoder_modules(folder)?));
        }
        let Some(head) = head else { return Ok((Self::BiEncoder, read_modules(folder, notices)?)) };
        // That pooling is assumed does not matter to a head.
        let list = read_modules(folder, &mut Vec::new())?;
        notices.push(format!(
            "{}: the model has no head for pairs; it gets a new one with random weights (seed {})",
            folder.display(),
            head.seed
        ));
        Ok((Self::NewHead(head), list))
    }
}

impl<W> Loaded<W> {
    fn map<V>(self, to: impl FnOnce(W) -> V) -> Loaded<V> {
        let Self { weights, modules, parameters, carried, dtype, unused } = self;
        Loaded { weights: to(weights), modules, parameters, carried, dtype, unused }
    }
}

fn check_folder(folder: &Path) -> Result<(), ModelError> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(ModelError::Missing { path: folder.into(), remedy: "Give the folder of a model".into() })
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
