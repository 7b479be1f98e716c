//! Reading a model folder. Everything is checked before it is believed: the folder may come from anybody.

use super::weights::{MappedTensor, WeightFiles};
use super::{Origin, TOKENIZER_FILES};
use crate::bert::Bert;
use crate::config::{EncoderConfig, Fields};
use crate::layer_weights::{InTurn, MappedLayer, PackedLayer, Weights};
use crate::modules::{Dense, Module, Pooling, activation_of_class, known_classes};
use crate::parameters::{Held, Layout};
use crate::sentence_model::{POOLING_KEYS, SentenceModel, Settings, concatenation_rank};
use crate::trainable::Tensor;
use crate::{ModelError, Similarity};
use maana_kernels::{Activation, Context, PoolingMode, Precision};
use maana_text::Tokenizer;
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A model, and what had to be assumed to read it.
pub struct Opened {
    /// The model.
    pub model: SentenceModel,
    /// Sentences for the person who opens it: what the folder does not say and was assumed.
    pub notices: Vec<String>,
}

/// What a model is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To learn, to be changed and saved: all parameters are held, as f32, and each layer is packed in every pass when its turn
    /// comes.
    Train,
    /// To encode and nothing else: weights are packed as they are read and kept in no other form, and the words' embeddings
    /// stay in the file.
    Encode,
    /// To encode few texts and then end: all weights stay in the file, and each layer is packed in every pass when its turn comes.
    /// That they are numbers is not looked at before an embedding is none.
    EncodeFew,
}

/// Reads a folder of Sentence Transformers 2 to 6, or a plain Hugging Face encoder folder, to train or encode in f32.
///
/// # Errors
/// If a file is missing, damaged or hostile, or asks for something that is not supported.
pub fn open(folder: &Path, context: &Context) -> Result<Opened, ModelError> {
    open_for(Purpose::Train, folder, context, Precision::F32)
}

/// As [`open`], for one purpose and matrix products in `precision`.
///
/// # Errors
/// As [`open`].
pub fn open_for(
    purpose: Purpose,
    folder: &Path,
    context: &Context,
    precision: Precision,
) -> Result<Opened, ModelError> {
    if !folder.is_dir() {
        return Err(ModelError::Missing { path: folder.into(), remedy: "Give the folder of a model".into() });
    }
    let mut notices = Vec::new();
    let modules = read_modules(folder, &mut notices)?;
    let transformer = folder.join(&modules.transformer);
    let config_path = transformer.join("config.json");
    let config_json = read_object(&config_path)?.ok_or_else(|| ModelError::Missing {
        path: config_path.clone(),
        remedy: "The folder needs the encoder's `config.json`; fetch the model again".into(),
    })?;
    let config = EncoderConfig::from_json(&config_json, &config_path)?;
    refuse_adapter(&transformer)?;
    let (vocabulary, segments) = (config.vocabulary, config.segments);
    let class = config_json["tokenizer_class"].as_str().unwrap_or(config.architecture.tokenizer_class()).to_owned();
    let config = EncoderFile { config, json: config_json };

    let sentence_path = sentence_config_path(&transformer);
    let sentence_config = read_object(&sentence_path)?.unwrap_or(Value::Object(Default::default()));
    let do_lower_case = Fields { json: &sentence_config, path: &sentence_path }.flag_or("do_lower_case", false)?;
    // The vocabulary is read on a thread of its own while weights are packed: each takes a good part of the start.
    let (tokenizer, model) = std::thread::scope(|scope| {
        let tokenizer = scope.spawn(|| Tokenizer::open(&transformer, &class, do_lower_case));
        let sentence = SentenceConfig { path: &sentence_path, json: &sentence_config, do_lower_case };
        let model = read_model((purpose, precision), folder, context, config, &modules, &sentence, &mut notices);
        (tokenizer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), model)
    });
    let tokenizer = tokenizer?;
    if tokenizer.vocabulary_size() > vocabulary {
        let reason = format!(
            "the tokenizer has {} tokens, but `config.json` of the model says vocab_size {vocabulary}; tokenizer and model do \
             not belong together",
            tokenizer.vocabulary_size()
        );
        return Err(ModelError::invalid(transformer.join("tokenizer.json"), reason));
    }
    if segments > 0 && tokenizer.segments() > segments {
        let reason = format!(
            "`post_processor` gives tokens the type {}, but `config.json` of the model says type_vocab_size {segments}",
            tokenizer.segments() - 1
        );
        return Err(ModelError::invalid(transformer.join("tokenizer.json"), reason));
    }
    let model = model?(Arc::new(tokenizer));
    model.tokenizer.check_length(model.settings.max_seq_length)?;
    Ok(Opened { model, notices })
}

/// `sentence_bert_config.json`, or what stands for it.
struct SentenceConfig<'a> {
    path: &'a Path,
    json: &'a Value,
    do_lower_case: bool,
}

/// `config.json`, understood and as it stands there.
struct EncoderFile {
    config: EncoderConfig,
    json: Value,
}

/// Everything but the tokenizer, which makes it a model.
fn read_model(
    (purpose, precision): (Purpose, Precision),
    folder: &Path,
    context: &Context,
    config: EncoderFile,
    modules: &ModuleList,
    sentence: &SentenceConfig<'_>,
    notices: &mut Vec<String>,
) -> Result<impl FnOnce(Arc<Tokenizer>) -> SentenceModel + use<>, ModelError> {
    let transformer = folder.join(&modules.transformer);
    let EncoderFile { config, json: config_json } = config;
    let max_seq_length = read_max_seq_length(sentence.json, sentence.path, &config, notices)?;
    let longest = config.longest();

    let mut parts = ModuleParts::read(folder, modules, &config)?;
    let files = WeightFiles::open(&transformer, config.architecture.prefix())?;
    let (layout, words) = place_parameters(&config, &files, purpose)?;
    parts.check_dense(folder)?;
    note_unused(&files, &layout, &config, &transformer, notices);
    let mut parameters = vec![0.0; parts.place_dense(layout.total)];
    files.fill(context, &layout.tensors, &mut parameters)?;
    let mut tensors = layout.tensors.clone();
    tensors.extend(parts.read_dense(context, folder, &mut parameters)?);

    let settings = read_settings(folder, sentence.do_lower_case, parts.dimension(config.hidden))?;
    let origin = Origin {
        config: config_json,
        tokenizer_files: read_tokenizer_files(&transformer)?,
        carried: files.carried(&layout.tensors)?,
        dtype: files.dtype(layout.word_tensor()),
        trained: false,
    };
    let mut packed_sums = None;
    let bert = match purpose {
        Purpose::Train => Bert::new(config, &parameters, precision),
        Purpose::Encode => {
            let (packed, sums) = pack_from(&files, context, &config, &layout, words.as_ref(), precision)?;
            packed_sums = Some(OnceLock::from(sums));
            Bert::fixed(config, layout, precision, Weights::Packed(packed), words)
        }
        Purpose::EncodeFew => {
            let layers = layout.products.iter().map(|products| MappedLayer::open(&files, &layout.tensors, products));
            let layers = layers.collect::<Result<_, _>>()?;
            packed_sums = Some(OnceLock::new());
            Bert::fixed(config, layout, precision, Weights::Mapped(layers, InTurn::default()), words)
        }
    };
    let ModuleParts { pooling, modules, .. } = parts;
    Ok(move |tokenizer: Arc<Tokenizer>| {
        let max_seq_length = max_seq_length.or(tokenizer.max_length()).map_or(longest, |tokens| tokens.min(longest));
        let settings = Settings { max_seq_length, ..settings };
        SentenceModel { tokenizer, bert, pooling, modules, parameters, packed_sums, tensors, settings, origin }
    })
}

/// An adapter changes every layer of the model that it stands beside.
fn refuse_adapter(transformer: &Path) -> Result<(), ModelError> {
    let path = transformer.join("adapter_config.json");
    if !path.exists() {
        return Ok(());
    }
    let (what, supported) =
        ("an adapter (PEFT)", "whole models; merge it in Python with `merge_and_unload()` and save");
    Err(ModelError::Unsupported { path, what: what.into(), supported: supported.into() })
}

/// Says which tensors take no part.
fn note_unused(
    files: &WeightFiles,
    layout: &Layout,
    config: &EncoderConfig,
    transformer: &Path,
    notices: &mut Vec<String>,
) {
    let unused = files.unused(&layout.tensors);
    let Some(first) = unused.first() else { return };
    let count = match unused.len() {
        1 => format!("a tensor of the weights is not used, `{first}`"),
        several => format!("{several} tensors of the weights are not used, `{first}` and others"),
    };
    let path = transformer.display();
    notices.push(format!("{path}: {count}, as an encoder of {} layers has none of this name", config.layers));
}

/// Which parameters are held in memory, and the words' embeddings in the file if they stay there.
fn place_parameters(
    config: &EncoderConfig,
    files: &WeightFiles,
    purpose: Purpose,
) -> Result<(Layout, Option<MappedTensor>), ModelError> {
    if purpose == Purpose::Train {
        let layout = Layout::new(config, Held::All);
        files.check(&layout.tensors)?;
        return Ok((layout, None));
    }
    let layout = Layout::new(config, Held::Unpacked { words: false });
    files.check(&layout.tensors)?;
    let words = files.map(layout.word_tensor())?;
    if words.as_floats().is_some() {
        return Ok((layout, Some(words)));
    }
    Ok((Layout::new(config, Held::Unpacked { words: true }), None))
}

/// The weights of products, packed from the file, and sums of all tensors that are not among the parameters.
fn pack_from(
    files: &WeightFiles,
    context: &Context,
    config: &EncoderConfig,
    layout: &Layout,
    words: Option<&MappedTensor>,
    precision: Precision,
) -> Result<(Vec<PackedLayer>, Vec<Vec<u128>>), ModelError> {
    let mut sums = vec![Vec::new(); layout.tensors.len()];
    if let Some((words, floats)) = words.and_then(|words| Some((words, words.as_floats()?))) {
        sums[0] = words.check(context, floats)?;
    }
    let mut packed = Vec::with_capacity(config.layers);
    let mut buffers: [Vec<f32>; 4] = Default::default();
    for products in &layout.products {
        let layer = MappedLayer::open(files, &layout.tensors, products)?;
        layer.each::<ModelError>(context, products, |number, tensor, floats| {
            sums[number] = tensor.check(context, floats)?;
            Ok(())
        })?;
        packed.push(PackedLayer::pack(context, config, precision, layer.weights(context, &mut buffers)));
    }
    Ok((packed, sums))
}

/// `modules.json`: where each module's files lie.
struct ModuleList {
    transformer: PathBuf,
    /// The folder of pooling, or nothing where mean pooling is assumed.
    pooling: Option<PathBuf>,
    /// Kind and folder of what comes behind.
    rest: Vec<(String, PathBuf)>,
}

const SUPPORTED_MODULES: &str =
    "Transformer, Pooling, Dense, Normalize (in this order; Dense and Normalize as often as needed)";

fn read_modules(folder: &Path, notices: &mut Vec<String>) -> Result<ModuleList, ModelError> {
    let path = folder.join("modules.json");
    let Some(json) = read_json(&path)? else {
        notices.push(format!(
            "{}: no modules.json, so this is a plain encoder; mean pooling without normalisation is assumed, as Sentence \
             Transformers does",
            folder.display()
        ));
        return Ok(ModuleList { transformer: PathBuf::new(), pooling: None, rest: Vec::new() });
    };
    let entries = json.as_array().ok_or_else(|| ModelError::invalid(&path, "expected a list of modules"))?;
    let mut modules = Vec::new();
    let mut names = HashSet::new();
    for entry in entries {
        // Modules of one name replace one another in the reference.
        if let Some(name) = entry.get("name").filter(|name| !names.insert(name.to_string())) {
            return Err(ModelError::invalid(&path, format!("two modules have the name {name}")));
        }
        let fields = Fields { json: entry, path: &path };
        let class = fields.text("type")?;
        let kind = class.rsplit('.').next().unwrap_or_default();
        let own = class.starts_with("sentence_transformers.");
        if !own || !["Transformer", "Pooling", "Dense", "Normalize"].contains(&kind) {
            let what = format!("module `{class}`");
            return Err(ModelError::Unsupported { path, what, supported: SUPPORTED_MODULES.into() });
        }
        let place = PathBuf::from(fields.text("path")?);
        if place.components().any(|part| !matches!(part, Component::Normal(_))) {
            let reason = format!("module path `{}` leads out of the folder", place.display());
            return Err(ModelError::invalid(&path, reason));
        }
        modules.push((kind.to_owned(), place));
    }
    let kinds: Vec<&str> = modules.iter().map(|(kind, _)| kind.as_str()).collect();
    let in_order = kinds.first() == Some(&"Transformer")
        && kinds.get(1) == Some(&"Pooling")
        && kinds[2..].iter().all(|kind| matches!(*kind, "Dense" | "Normalize"));
    if !in_order {
        let what = format!("the order of modules {}", kinds.join(", "));
        return Err(ModelError::Unsupported { path, what, supported: SUPPORTED_MODULES.into() });
    }
    let rest = modules.split_off(2);
    let pooling = modules.pop().map(|(_, place)| place);
    let transformer = modules.pop().map(|(_, place)| place).unwrap_or_default();
    Ok(ModuleList { transformer, pooling, rest })
}

/// Where the length of texts stands: today always in the file with BERT's name, in older folders also in that of the architecture.
fn sentence_config_path(transformer: &Path) -> PathBuf {
    let path = |name: &str| transformer.join(format!("sentence_{name}_config.json"));
    let older = ["roberta", "distilbert", "camembert", "xlm-roberta"].map(path);
    std::iter::once(path("bert")).chain(older).find(|path| path.is_file()).unwrap_or_else(|| path("bert"))
}

/// `max_seq_length`, if it is said, after the other fields of the file have been found to ask for nothing else.
fn read_max_seq_length(
    sentence_config: &Value,
    path: &Path,
    config: &EncoderConfig,
    notices: &mut Vec<String>,
) -> Result<Option<usize>, ModelError> {
    let fields = Fields { json: sentence_config, path };
    for (field, only) in [("transformer_task", "feature-extraction"), ("module_output_name", "token_embeddings")] {
        if fields.present(field) && fields.text(field)? != only {
            return Err(fields.unsupported(format!("{field} `{}`", fields.text(field)?), only));
        }
    }
    let plain = serde_json::json!({"text": {"method": "forward", "method_output_name": "last_hidden_state"}});
    if fields.present("modality_config") && sentence_config["modality_config"] != plain {
        return Err(
            fields.unsupported(format!("modality_config {}", sentence_config["modality_config"]), plain.to_string())
        );
    }
    for field in ["query_length", "document_length", "query_expansion", "processing_kwargs"] {
        if fields.not_empty(field) {
            return Err(fields.unsupported(field, "one max_seq_length for all texts"));
        }
    }
    for old in ["model_args", "config_args", "tokenizer_args"] {
        refuse_arguments(&fields, old)?;
    }
    for new in ["model_kwargs", "config_kwargs", "processor_kwargs"] {
        refuse_arguments(&fields, new)?;
    }
    if !fields.present("max_seq_length") {
        return Ok(None);
    }
    let asked = fields.count("max_seq_length")?;
    if asked > config.longest() {
        notices.push(format!(
            "{}: max_seq_length {asked} exceeds the model's {} positions, which are used",
            path.display(),
            config.longest()
        ));
    }
    Ok(Some(asked))
}

/// Arguments for Python that say where and how to compute, not what.
const HARMLESS_ARGUMENTS: [&str; 7] =
    ["trust_remote_code", "torch_dtype", "dtype", "attn_implementation", "device_map", "use_safetensors", "use_fast"];

/// Refuses arguments for the classes of Python that could change embeddings.
fn refuse_arguments(fields: &Fields<'_>, field: &str) -> Result<(), ModelError> {
    let Some(arguments) = fields.json.get(field).filter(|arguments| !arguments.is_null()) else { return Ok(()) };
    let arguments = arguments.as_object().ok_or_else(|| fields.wrong(field, "an object"))?;
    match arguments.keys().find(|name| !HARMLESS_ARGUMENTS.contains(&name.as_str())) {
        Some(name) => Err(fields.unsupported(
            format!("{field}.{name}"),
            "settings in config.json and tokenizer_config.json; save the folder again in Python",
        )),
        None => Ok(()),
    }
}

/// Pooling and what comes behind it, before and after their weights are read.
struct ModuleParts {
    pooling: Pooling,
    modules: Vec<Module>,
    /// Of each module in `modules` that is dense: its number there and its folder.
    dense: Vec<(usize, PathBuf)>,
}

impl ModuleParts {
    fn read(folder: &Path, list: &ModuleList, config: &EncoderConfig) -> Result<Self, ModelError> {
        let pooling = match &list.pooling {
            Some(place) => read_pooling(&folder.join(place).join("config.json"), config.hidden)?,
            None => Pooling { modes: vec![PoolingMode::Mean], include_prompt: true },
        };
        let mut width = pooling.modes.len() * config.hidden;
        let (mut modules, mut dense) = (Vec::new(), Vec::new());
        for (kind, place) in &list.rest {
            if kind == "Normalize" {
                let path = folder.join(place).join("config.json");
                let json = read_object(&path)?.unwrap_or_default();
                refuse_other_columns(&Fields { json: &json, path: &path })?;
                modules.push(Module::Normalize);
                continue;
            }
            let module = read_dense_config(&folder.join(place).join("config.json"), width)?;
            width = module.outputs;
            dense.push((modules.len(), place.clone()));
            modules.push(Module::Dense(module));
        }
        Ok(Self { pooling, modules, dense })
    }

    /// Columns of what leaves the last module, behind an encoder of this width.
    fn dimension(&self, hidden: usize) -> usize {
        let dense = self.dense.last().map(|(index, _)| match &self.modules[*index] {
            Module::Dense(dense) => dense.outputs,
            Module::Normalize => unreachable!("numbers of dense modules"),
        });
        dense.unwrap_or(self.pooling.modes.len() * hidden)
    }

    /// Checks that the files of dense modules hold what their configurations say, before memory is taken for them.
    fn check_dense(&self, folder: &Path) -> Result<(), ModelError> {
        self.dense.iter().try_for_each(|(index, place)| {
            let Module::Dense(dense) = &self.modules[*index] else { unreachable!("numbers of dense modules") };
            WeightFiles::open(&folder.join(place), "")?.check(&dense_tensors(dense))
        })
    }

    /// Gives dense modules their places in the arena, from `start`; returns where it ends.
    fn place_dense(&mut self, start: usize) -> usize {
        let mut end = start;
        for module in &mut self.modules {
            let Module::Dense(dense) = module else { continue };
            dense.weight = end..end + dense.outputs * dense.inputs;
            end = dense.weight.end;
            if let Some(bias) = &mut dense.bias {
                *bias = end..end + dense.outputs;
                end = bias.end;
            }
        }
        end
    }

    fn read_dense(&self, context: &Context, folder: &Path, parameters: &mut [f32]) -> Result<Vec<Tensor>, ModelError> {
        let mut all = Vec::new();
        for (index, place) in &self.dense {
            let Module::Dense(dense) = &self.modules[*index] else { unreachable!("numbers of dense modules") };
            let mut tensors = dense_tensors(dense);
            WeightFiles::open(&folder.join(place), "")?.fill(context, &tensors, parameters)?;
            for tensor in &mut tensors {
                tensor.name = format!("{}.{}", super::write::dense_folder(*index), tensor.name);
            }
            all.extend(tensors);
        }
        Ok(all)
    }
}

/// The tensors of a dense module under the names of its own file.
pub(super) fn dense_tensors(dense: &Dense) -> Vec<Tensor> {
    let weight =
        Tensor { name: "linear.weight".into(), shape: vec![dense.outputs, dense.inputs], range: dense.weight.clone() };
    let bias = dense.bias.clone().map(|range| Tensor { name: "linear.bias".into(), shape: vec![dense.outputs], range });
    std::iter::once(weight).chain(bias).collect()
}

fn read_pooling(path: &Path, hidden: usize) -> Result<Pooling, ModelError> {
    let json = read_object(path)?.ok_or_else(|| ModelError::Missing {
        path: path.into(),
        remedy: "`modules.json` names it; fetch the model again".into(),
    })?;
    let fields = Fields { json: &json, path };
    for key in ["word_embedding_dimension", "embedding_dimension"] {
        let width = fields.count_or(key, hidden)?;
        if width != hidden {
            let reason = format!("field `{key}` is {width}, but the encoder's hidden size is {hidden}");
            return Err(ModelError::invalid(path, reason));
        }
    }
    let flags = json.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("pooling_mode_"));
    for (key, value) in flags {
        let known = POOLING_KEYS.iter().any(|(_, flag, _)| flag == key);
        if !known && *value != Value::Bool(false) {
            return Err(fields.unsupported(format!("{key}: {value}"), POOLING_KEYS.map(|(_, flag, _)| flag).join(", ")));
        }
    }
    let modes = if fields.present("pooling_mode") {
        let named: Vec<&str> = match &json["pooling_mode"] {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().map(|name| name.as_str().unwrap_or_default()).collect(),
            _ => Vec::new(),
        };
        if named.is_empty() {
            return Err(ModelError::invalid(path, "field `pooling_mode` must be a name or a list of names"));
        }
        named.into_iter().map(|name| pooling_mode(name, path)).collect::<Result<_, _>>()?
    } else {
        let mut modes = Vec::new();
        for (mode, flag, _) in POOLING_KEYS {
            if fields.flag_or(flag, false)? {
                modes.push(mode);
            }
        }
        modes.sort_by_key(|mode| concatenation_rank(*mode));
        if modes.is_empty() { vec![PoolingMode::Mean] } else { modes }
    };
    Ok(Pooling { modes, include_prompt: fields.flag_or("include_prompt", true)? })
}

fn pooling_mode(name: &str, path: &Path) -> Result<PoolingMode, ModelError> {
    let known = POOLING_KEYS.iter().find(|(_, _, known)| *known == name);
    known.map(|(mode, _, _)| *mode).ok_or_else(|| ModelError::Unsupported {
        path: path.into(),
        what: format!("pooling_mode `{name}`"),
        supported: POOLING_KEYS.map(|(_, _, name)| name).join(", "),
    })
}

fn read_dense_config(path: &Path, inputs: usize) -> Result<Dense, ModelError> {
    /// The widest layer that is read.
    const WIDEST: usize = 1 << 16;
    let json = read_object(path)?.ok_or_else(|| ModelError::Missing {
        path: path.into(),
        remedy: "`modules.json` names it; fetch the model again".into(),
    })?;
    let fields = Fields { json: &json, path };
    let (asked, outputs) = (fields.count("in_features")?, fields.count("out_features")?);
    if asked != inputs {
        let reason = format!("in_features is {asked}, but what comes before it gives {inputs} columns");
        return Err(ModelError::invalid(path, reason));
    }
    if outputs == 0 || outputs > WIDEST {
        return Err(ModelError::invalid(path, format!("out_features is {outputs}; expected 1 to {WIDEST}")));
    }
    let activation = match json.get("activation_function") {
        None => Activation::Tanh,
        Some(_) => {
            let class = fields.text("activation_function")?;
            activation_of_class(class).ok_or_else(|| {
                fields.unsupported(format!("activation_function `{class}`"), format!("torch.nn's {}", known_classes()))
            })?
        }
    };
    if fields.flag_or("use_residual", false)? {
        return Err(fields.unsupported("use_residual: true", "dense layers without a residual"));
    }
    refuse_other_columns(&fields)?;
    let bias = fields.flag_or("bias", true)?.then_some(0..0);
    Ok(Dense { inputs, outputs, activation, weight: 0..0, bias })
}

/// Refuses a module that reads or writes something else than the embedding.
fn refuse_other_columns(fields: &Fields<'_>) -> Result<(), ModelError> {
    for key in ["module_input_name", "module_output_name"] {
        if fields.present(key) && fields.text(key)? != "sentence_embedding" {
            return Err(fields.unsupported(format!("{key} `{}`", fields.text(key)?), "sentence_embedding"));
        }
    }
    Ok(())
}

/// `config_sentence_transformers.json` of a model whose embeddings have `dimension` columns. The length of texts is set later.
fn read_settings(folder: &Path, do_lower_case: bool, dimension: usize) -> Result<Settings, ModelError> {
    let path = folder.join("config_sentence_transformers.json");
    let json = read_object(&path)?.unwrap_or(Value::Object(Default::default()));
    let fields = Fields { json: &json, path: &path };
    if fields.present("model_type") && fields.text("model_type")? != "SentenceTransformer" {
        let what = format!("model_type `{}`", fields.text("model_type")?);
        return Err(fields.unsupported(what, "SentenceTransformer (one dense embedding of each text)"));
    }
    let mut prompts = Vec::new();
    if fields.present("prompts") {
        let entries =
            json["prompts"].as_object().ok_or_else(|| fields.wrong("prompts", "an object of names and texts"))?;
        for (name, prompt) in entries {
            let text = match prompt {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => {
                    return Err(ModelError::invalid(&path, format!("prompt `{name}` is {other}; expected a string")));
                }
            };
            prompts.push((name.clone(), text));
        }
    }
    let default_prompt_name =
        if fields.present("default_prompt_name") { Some(fields.text("default_prompt_name")?.to_owned()) } else { None };
    if let Some(name) = &default_prompt_name
        && !prompts.iter().any(|(key, _)| key == name)
    {
        let reason = format!("default_prompt_name is `{name}`, but no such prompt is listed");
        return Err(ModelError::invalid(&path, reason));
    }
    let similarity = if fields.present("similarity_fn_name") {
        match fields.text("similarity_fn_name")? {
            "cosine" => Similarity::Cosine,
            "dot" | "dot_product" => Similarity::Dot,
            "euclidean" => Similarity::Euclidean,
            "manhattan" => Similarity::Manhattan,
            other => {
                return Err(ModelError::Unsupported {
                    what: format!("similarity_fn_name `{other}`"),
                    supported: "cosine, dot, euclidean, manhattan".into(),
                    path,
                });
            }
        }
    } else {
        Similarity::default()
    };
    let truncate_dim = if fields.present("truncate_dim") { Some(fields.count("truncate_dim")?) } else { None };
    if let Some(columns) = truncate_dim.filter(|columns| !(1..=dimension).contains(columns)) {
        let reason = format!("truncate_dim is {columns}; expected 1 to {dimension}, the model's columns");
        return Err(ModelError::invalid(path, reason));
    }
    Ok(Settings { max_seq_length: 0, do_lower_case, prompts, default_prompt_name, similarity, truncate_dim })
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

/// As [`read_json`], of a file that holds an object.
fn read_object(path: &Path) -> Result<Option<Value>, ModelError> {
    match read_json(path)? {
        Some(json) if !json.is_object() => Err(ModelError::invalid(path, "expected a JSON object")),
        json => Ok(json),
    }
}

/// The JSON of a file, or nothing if there is no such file.
pub(super) fn read_json(path: &Path) -> Result<Option<Value>, ModelError> {
    let bytes = match maana_files::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ModelError::io(path)(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| ModelError::invalid(path, format!("not valid JSON: {error}")))
}
