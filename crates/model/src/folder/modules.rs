//! Modules of a folder: `modules.json`, and the weights of the modules behind pooling.

use super::head::NewWeights;
use super::module_config::{read_module, read_pooling};
use super::weight_files::WeightFiles;
use crate::blocks::{Pooling, SentenceModule};
use crate::json::{Fields, read_json, read_object};
use crate::weights::Tensor;
use crate::{EncoderConfig, ModelError};
use maana_kernels::{Context, PoolingMode};
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

/// The list of `modules.json`, with the folder of each module.
pub(super) struct ModuleList {
    /// The folder of the transformer, or of the table of a static model.
    pub(super) transformer: PathBuf,
    /// True if a table of static embeddings takes the place of transformer and pooling.
    pub(super) is_static: bool,
    /// The folder of pooling; none where mean pooling is assumed.
    pooling: Option<PathBuf>,
    /// Kinds and folders of the modules behind pooling.
    rest: Vec<(String, PathBuf)>,
}

/// `model_type` of folders that Model2Vec writes.
pub(super) const MODEL2VEC: &str = "model2vec";

/// Modules that may follow pooling, in any order and number.
const BEHIND_POOLING: [&str; 4] = ["Dense", "LayerNorm", "Dropout", "Normalize"];

const SUPPORTED_MODULES: &str =
    "Transformer, Pooling, or in their place StaticEmbedding; then any of Dense, LayerNorm, Dropout and Normalize";

/// Describes a module of Sentence Transformers that is not supported, with the remedy.
fn remedy(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "WeightedLayerPooling" => {
            "a sum over several layers: save the model with Pooling over the last layer and train it again"
        }
        "CNN" | "LSTM" => "a network over word vectors: encode with it in Python, or train a transformer instead",
        "BoW" | "WordEmbeddings" | "WordWeights" => {
            "a model of words without a tokenizer.json: encode with it in Python, or train a transformer instead"
        }
        "CLIPModel" => "a model of images: open the folder of a model of texts",
        "MLMTransformer" | "SpladePooling" | "SparseStaticEmbedding" | "SparseAutoEncoder" => {
            "a part of a model of sparse embeddings: open one whose embeddings are dense"
        }
        "LogitScore" => "the head of a generative cross-encoder: open one for sequence classification",
        _ => return None,
    })
}

/// Returns the list of a cross-encoder, which is a transformer with its head.
pub(super) fn read_cross_encoder_modules(folder: &Path) -> Result<ModuleList, ModelError> {
    let list = |transformer| ModuleList { transformer, is_static: false, pooling: None, rest: Vec::new() };
    let path = folder.join("modules.json");
    let Some(json) = read_json(&path)? else { return Ok(list(PathBuf::new())) };
    let mut modules = read_entries(&json, &path)?;
    match modules.pop() {
        Some((kind, place)) if modules.is_empty() && kind == "Transformer" => Ok(list(place)),
        _ => {
            let what = "a cross-encoder of other modules than a Transformer for sequence classification";
            let supported = "one Transformer, whose head is part of its own weights";
            Err(ModelError::Unsupported { path, what: what.into(), supported: supported.into() })
        }
    }
}

/// Reads the list of modules and checks their order.
pub(super) fn read_modules(folder: &Path, notices: &mut Vec<String>) -> Result<ModuleList, ModelError> {
    let path = folder.join("modules.json");
    let Some(json) = read_json(&path)? else {
        if let Some(list) = read_model2vec(folder)? {
            return Ok(list);
        }
        notices.push(format!(
            "{}: no modules.json, so this is a plain encoder; mean pooling without normalisation is assumed, as Sentence \
             Transformers does",
            folder.display()
        ));
        return Ok(ModuleList { transformer: PathBuf::new(), is_static: false, pooling: None, rest: Vec::new() });
    };
    let mut modules = read_entries(&json, &path)?;
    let kinds: Vec<&str> = modules.iter().map(|(kind, _)| kind.as_str()).collect();
    let is_static = kinds.first() == Some(&"StaticEmbedding");
    let before = if is_static { 1 } else { 2 };
    let in_order = (is_static || kinds.starts_with(&["Transformer", "Pooling"]))
        && kinds[before..].iter().all(|kind| BEHIND_POOLING.contains(kind));
    if !in_order {
        let what = format!("the order of modules {}", kinds.join(", "));
        return Err(ModelError::Unsupported { path, what, supported: SUPPORTED_MODULES.into() });
    }
    let rest = modules.split_off(before);
    let mut places = modules.into_iter().map(|(_, place)| place);
    let transformer = places.next().unwrap_or_default();
    Ok(ModuleList { transformer, is_static, pooling: places.next(), rest })
}

/// Returns the modules of a folder that Model2Vec wrote before it wrote `modules.json`, if this is
/// one.
fn read_model2vec(folder: &Path) -> Result<Option<ModuleList>, ModelError> {
    let path = folder.join("config.json");
    let Some(json) = read_object(&path)?.filter(|json| json["model_type"] == MODEL2VEC) else { return Ok(None) };
    let normalizes = Fields { json: &json, path: &path }.flag_or("normalize", false)?;
    let rest = normalizes.then(|| ("Normalize".to_owned(), PathBuf::from("1_Normalize")));
    Ok(Some(ModuleList {
        transformer: PathBuf::new(),
        is_static: true,
        pooling: None,
        rest: rest.into_iter().collect(),
    }))
}

/// Reads kind and folder of each module.
fn read_entries(json: &Value, path: &Path) -> Result<Vec<(String, PathBuf)>, ModelError> {
    let entries = json.as_array().ok_or_else(|| ModelError::invalid(path, "expected a list of modules"))?;
    let mut modules = Vec::new();
    let mut names = HashSet::new();
    for entry in entries {
        // Modules of one name replace one another in the reference.
        if let Some(name) = entry.get("name").filter(|name| !names.insert(name.to_string())) {
            return Err(ModelError::invalid(path, format!("two modules have the name {name}")));
        }
        let fields = Fields { json: entry, path };
        let class = fields.text("type")?;
        let kind = class.rsplit('.').next().unwrap_or_default();
        let own = class.starts_with("sentence_transformers.");
        if !own
            || !["Transformer", "StaticEmbedding", "Pooling"].iter().chain(&BEHIND_POOLING).any(|known| *known == kind)
        {
            let remedy = remedy(kind).filter(|_| own).map(|remedy| format!("; {kind} is {remedy}"));
            let supported = format!("{SUPPORTED_MODULES}{}", remedy.unwrap_or_default());
            return Err(fields.unsupported(format!("module `{class}`"), supported));
        }
        // Model2Vec calls the folder itself `.`.
        let place = PathBuf::from(Some(fields.text("path")?).filter(|path| *path != ".").unwrap_or_default());
        if place.components().any(|part| !matches!(part, Component::Normal(_))) {
            let reason = format!("module path `{}` leads out of the folder", place.display());
            return Err(ModelError::invalid(path, reason));
        }
        modules.push((kind.to_owned(), place));
    }
    Ok(modules)
}

/// Pooling and the modules behind it.
#[derive(Clone)]
pub(super) struct ModuleParts {
    pub(super) pooling: Pooling,
    pub(super) modules: Vec<SentenceModule>,
    /// The folder of each module; none of a head, whose parameters lie in the encoder's files.
    folders: Vec<PathBuf>,
    /// Weights of a new head.
    new_weights: Option<NewWeights>,
}

impl ModuleParts {
    /// Reads the configuration of all modules.
    pub(super) fn read(folder: &Path, list: &ModuleList, config: &EncoderConfig) -> Result<Self, ModelError> {
        let pooling = match &list.pooling {
            Some(place) => read_pooling(&folder.join(place).join("config.json"), config.hidden)?,
            None => Pooling { modes: vec![PoolingMode::Mean], include_prompt: true },
        };
        let mut width = pooling.modes.len() * config.hidden;
        let (mut modules, mut folders) = (Vec::new(), Vec::new());
        for (index, (kind, place)) in list.rest.iter().enumerate() {
            let place = folder.join(place);
            let module = read_module(kind, &place.join("config.json"), width, index)?;
            width = module.outputs(width);
            modules.push(module);
            folders.push(place);
        }
        Ok(Self { pooling, modules, folders, new_weights: None })
    }

    /// Returns the head of a cross-encoder. Where it is new, tensors that the encoder's files lack
    /// have `new_weights`.
    pub(super) fn of_head((pooling, modules): (Pooling, Vec<SentenceModule>), new_weights: Option<NewWeights>) -> Self {
        Self { pooling, modules, folders: Vec::new(), new_weights }
    }

    /// Returns whether the head is new.
    pub(super) fn is_new_head(&self) -> bool {
        self.new_weights.is_some()
    }

    /// Number of columns behind the last module, for an encoder of this width.
    pub(super) fn dimension(&self, hidden: usize) -> usize {
        let pooled = self.pooling.modes.len() * hidden;
        self.modules.iter().fold(pooled, |columns, module| module.outputs(columns))
    }

    /// Checks that the files hold the tensors of the modules, before memory is allocated for them.
    pub(super) fn check(&self, encoder: &WeightFiles) -> Result<(), ModelError> {
        self.each_with_tensors(encoder, |_, files, tensors| files.check(&self.in_files(files, &tensors)))
    }

    /// Assigns the parameters of the modules their ranges in the arena, from `start`; returns its
    /// end.
    pub(super) fn place(&mut self, start: usize) -> usize {
        self.modules.iter_mut().fold(start, |end, module| module.place(end))
    }

    /// Reads the parameters of the modules into the arena. Returns their tensors, with the names
    /// of their folders in front.
    pub(super) fn read_parameters(
        &self,
        context: &Context,
        encoder: &WeightFiles,
        parameters: &mut [f32],
    ) -> Result<Vec<Tensor>, ModelError> {
        let mut all = Vec::new();
        self.each_with_tensors(encoder, |index, files, mut tensors| {
            let read = self.in_files(files, &tensors);
            files.fill(context, &read, parameters)?;
            if let Some(weights) = &self.new_weights {
                let new = tensors.iter().filter(|tensor| !read.contains(tensor));
                new.for_each(|tensor| weights.draw(tensor, &mut parameters[tensor.range.clone()]));
            }
            let module = &self.modules[index];
            if !module.is_in_encoder() {
                let folder = module_folder(index, module);
                tensors.iter_mut().for_each(|tensor| tensor.name = format!("{folder}.{}", tensor.name));
            }
            all.extend(tensors);
            Ok(())
        })?;
        Ok(all)
    }

    /// Returns the tensors of a module that are read: all, but of a new head those that the files
    /// have.
    fn in_files(&self, files: &WeightFiles, tensors: &[Tensor]) -> Vec<Tensor> {
        tensors.iter().filter(|tensor| !self.is_new_head() || files.contains(tensor)).cloned().collect()
    }

    /// Lists the parameters that lie in the encoder's own files.
    pub(super) fn tensors_in_encoder(&self) -> impl Iterator<Item = Tensor> {
        self.modules.iter().filter(|module| module.is_in_encoder()).flat_map(SentenceModule::tensors)
    }

    /// Calls `each` with the number, the files and the tensors of every module that has parameters.
    fn each_with_tensors(
        &self,
        encoder: &WeightFiles,
        mut each: impl FnMut(usize, &WeightFiles, Vec<Tensor>) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        for (index, module) in self.modules.iter().enumerate() {
            let tensors = module.tensors();
            if tensors.is_empty() {
                continue;
            }
            if module.is_in_encoder() {
                each(index, encoder, tensors)?;
            } else {
                each(index, &WeightFiles::open(&self.folders[index], "")?, tensors)?;
            }
        }
        Ok(())
    }
}

/// Returns the folder of the module that is number `index` behind pooling.
pub(super) fn module_folder(index: usize, module: &SentenceModule) -> String {
    format!("{}_{}", index + 2, module.kind())
}
