//! Modules of a folder: `modules.json`, and the configuration and weights of pooling, dense layers
//! and normalisation.

use super::weight_files::WeightFiles;
use crate::blocks::{
    Dense, POOLING_NAMES, Pooling, SentenceModule, activation_of_class, concatenation_rank, known_classes,
};
use crate::json::{Fields, read_json, read_object};
use crate::weights::Tensor;
use crate::{EncoderConfig, ModelError};
use maana_kernels::{Activation, Context, PoolingMode};
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

/// The list of `modules.json`, with the folder of each module.
pub(super) struct ModuleList {
    pub(super) transformer: PathBuf,
    /// The folder of pooling; none where mean pooling is assumed.
    pooling: Option<PathBuf>,
    /// Kinds and folders of the modules behind pooling.
    rest: Vec<(String, PathBuf)>,
}

const SUPPORTED_MODULES: &str =
    "Transformer, Pooling, Dense, Normalize (in this order; Dense and Normalize as often as needed)";

/// Reads the list of modules and checks their order.
pub(super) fn read_modules(folder: &Path, notices: &mut Vec<String>) -> Result<ModuleList, ModelError> {
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

/// Pooling and the modules behind it.
#[derive(Clone)]
pub(super) struct ModuleParts {
    pub(super) pooling: Pooling,
    pub(super) modules: Vec<SentenceModule>,
    /// The number in `modules` and the folder of each dense layer.
    dense: Vec<(usize, PathBuf)>,
}

impl ModuleParts {
    /// Reads the configuration of all modules.
    pub(super) fn read(folder: &Path, list: &ModuleList, config: &EncoderConfig) -> Result<Self, ModelError> {
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
                modules.push(SentenceModule::Normalize);
                continue;
            }
            let module = read_dense_config(&folder.join(place).join("config.json"), width)?;
            width = module.outputs;
            dense.push((modules.len(), place.clone()));
            modules.push(SentenceModule::Dense(module));
        }
        Ok(Self { pooling, modules, dense })
    }

    /// Number of columns behind the last module, for an encoder of this width.
    pub(super) fn dimension(&self, hidden: usize) -> usize {
        let dense = self.dense.last().map(|(index, _)| match &self.modules[*index] {
            SentenceModule::Dense(dense) => dense.outputs,
            SentenceModule::Normalize => unreachable!("numbers of dense layers"),
        });
        dense.unwrap_or(self.pooling.modes.len() * hidden)
    }

    /// Checks that the files of dense layers hold the tensors of their configurations, before
    /// memory is allocated for them.
    pub(super) fn check_dense(&self, folder: &Path) -> Result<(), ModelError> {
        self.dense.iter().try_for_each(|(index, place)| {
            let SentenceModule::Dense(dense) = &self.modules[*index] else { unreachable!("numbers of dense layers") };
            WeightFiles::open(&folder.join(place), "")?.check(&dense_tensors(dense))
        })
    }

    /// Assigns dense layers their ranges in the arena, from `start`; returns its end.
    pub(super) fn place_dense(&mut self, start: usize) -> usize {
        let mut end = start;
        for module in &mut self.modules {
            let SentenceModule::Dense(dense) = module else { continue };
            dense.weight = end..end + dense.outputs * dense.inputs;
            end = dense.weight.end;
            if let Some(bias) = &mut dense.bias {
                *bias = end..end + dense.outputs;
                end = bias.end;
            }
        }
        end
    }

    /// Reads the parameters of dense layers into the arena. Returns their tensors, with the names
    /// of their folders in front.
    pub(super) fn read_dense(
        &self,
        context: &Context,
        folder: &Path,
        parameters: &mut [f32],
    ) -> Result<Vec<Tensor>, ModelError> {
        let mut all = Vec::new();
        for (index, place) in &self.dense {
            let SentenceModule::Dense(dense) = &self.modules[*index] else { unreachable!("numbers of dense layers") };
            let mut tensors = dense_tensors(dense);
            WeightFiles::open(&folder.join(place), "")?.fill(context, &tensors, parameters)?;
            for tensor in &mut tensors {
                tensor.name = format!("{}.{}", dense_folder(*index), tensor.name);
            }
            all.extend(tensors);
        }
        Ok(all)
    }
}

/// Lists the tensors of a dense layer under the names in its own file.
pub(super) fn dense_tensors(dense: &Dense) -> Vec<Tensor> {
    let weight =
        Tensor { name: "linear.weight".into(), shape: vec![dense.outputs, dense.inputs], range: dense.weight.clone() };
    let bias = dense.bias.clone().map(|range| Tensor { name: "linear.bias".into(), shape: vec![dense.outputs], range });
    std::iter::once(weight).chain(bias).collect()
}

/// Reads the configuration of pooling, as flags or as names.
fn read_pooling(path: &Path, hidden: usize) -> Result<Pooling, ModelError> {
    let json = read_object(path)?.ok_or_else(|| ModelError::Missing {
        path: path.into(),
        remedy: "`modules.json` names it; fetch the model again (`maana fetch NAME --again`)".into(),
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
        let known = POOLING_NAMES.iter().any(|(_, flag, _)| flag == key);
        if !known && *value != Value::Bool(false) {
            return Err(
                fields.unsupported(format!("{key}: {value}"), POOLING_NAMES.map(|(_, flag, _)| flag).join(", "))
            );
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
        for (mode, flag, _) in POOLING_NAMES {
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
    let known = POOLING_NAMES.iter().find(|(_, _, known)| *known == name);
    known.map(|(mode, _, _)| *mode).ok_or_else(|| ModelError::Unsupported {
        path: path.into(),
        what: format!("pooling_mode `{name}`"),
        supported: POOLING_NAMES.map(|(_, _, name)| name).join(", "),
    })
}

fn read_dense_config(path: &Path, inputs: usize) -> Result<Dense, ModelError> {
    /// The widest layer that is read.
    const WIDEST: usize = 1 << 16;
    let json = read_object(path)?.ok_or_else(|| ModelError::Missing {
        path: path.into(),
        remedy: "`modules.json` names it; fetch the model again (`maana fetch NAME --again`)".into(),
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

/// Returns an error for a module that reads or writes anything but the embedding.
fn refuse_other_columns(fields: &Fields<'_>) -> Result<(), ModelError> {
    for key in ["module_input_name", "module_output_name"] {
        if fields.present(key) && fields.text(key)? != "sentence_embedding" {
            return Err(fields.unsupported(format!("{key} `{}`", fields.text(key)?), "sentence_embedding"));
        }
    }
    Ok(())
}

/// Returns the folder of the dense layer that is number `index` behind pooling.
pub(super) fn dense_folder(index: usize) -> String {
    format!("{}_Dense", index + 2)
}
