//! Folders of low-rank adapters as PEFT writes them: `adapter_config.json` and
//! `adapter_model.safetensors`, with or without the modules of Sentence Transformers.

use super::head::name_in_file;
use super::modules::{read_modules, transformer_folder};
use super::scoring::is_cross_encoder;
use super::written::{write_json, write_tensors};
use crate::ModelError;
use crate::json::{Fields, read_object};
use crate::lora::{Lora, adapter_name, add_product};
use crate::spec::ModelSpec;
use crate::task::Task;
use crate::weights::{Layout, is_floating, to_floats};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";
/// The prefix of PEFT's names.
const PREFIX: &str = "base_model.model.";

/// Returns the name or the path of the base model of a folder of adapters; none for other folders.
///
/// # Errors
/// Returns an error if the folder's files are malformed.
pub fn adapter_base(folder: &Path) -> Result<Option<String>, ModelError> {
    let has_modules = folder.join("modules.json").exists();
    if has_modules && !is_cross_encoder(folder)? && read_modules(folder, &mut Vec::new())?.has_router() {
        return Ok(None);
    }
    let path = transformer_folder(folder)?.join(CONFIG);
    let Some(json) = read_object(&path)? else { return Ok(None) };
    Ok(Some(Fields { json: &json, path: &path }.text("base_model_name_or_path")?.to_owned()))
}

/// Returns an error if a folder holds adapters, which would change every layer.
pub(super) fn refuse_adapter(transformer: &Path) -> Result<(), ModelError> {
    let path = transformer.join(CONFIG);
    if !path.exists() {
        return Ok(());
    }
    let what = "an adapter (PEFT) in place of a whole model";
    Err(ModelError::Unsupported { path, what: what.into(), supported: "an adapter with its base model".into() })
}

/// Adds the adapters in the folder of an encoder to the parameters of its base model. Names of
/// tensors may begin with `prefix`.
///
/// # Errors
/// Returns an error if the files are malformed, do not fit the model, or ask for something that is
/// not supported.
pub(super) fn merge(folder: &Path, prefix: &str, layout: &Layout, parameters: &mut [f32]) -> Result<(), ModelError> {
    let scale = read_scale(&folder.join(CONFIG))?;
    let path = folder.join(TENSORS);
    if !path.exists() {
        let remedy = "The adapter needs its weights; fetch it again (`maana fetch NAME --again`)".into();
        return Err(ModelError::Missing { path, remedy });
    }
    let bytes = maana_files::read(&path).map_err(ModelError::io(&path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| ModelError::invalid(&path, error.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        tensors.insert(name.strip_prefix(prefix).unwrap_or(name), view);
    }
    for linear in &layout.linears {
        for tensor in &layout.tensors[linear.weight.tensors.clone()] {
            let [a, b] = ["A", "B"].map(|part| adapter_name(&tensor.name, part));
            let (a, b) = match (tensors.remove(&*a), tensors.remove(&*b)) {
                (None, None) => continue,
                (Some(a), Some(b)) => (a, b),
                (Some(_), None) => return Err(ModelError::invalid(&path, format!("tensor `{PREFIX}{b}` is missing"))),
                (None, Some(_)) => return Err(ModelError::invalid(&path, format!("tensor `{PREFIX}{a}` is missing"))),
            };
            let [outputs, inputs] = tensor.shape[..] else { unreachable!("the weight of a linear layer") };
            let rank = a.shape().first().copied().unwrap_or_default();
            if rank == 0 || a.shape() != [rank, inputs] || b.shape() != [outputs, rank] {
                let reason = format!(
                    "the adapter of `{}` has the shapes {:?} and {:?}; its base model asks for [r, {inputs}] and [{outputs}, r]",
                    tensor.name,
                    a.shape(),
                    b.shape()
                );
                return Err(ModelError::invalid(&path, reason));
            }
            let (a, b) = (floats(&path, &tensor.name, &a)?, floats(&path, &tensor.name, &b)?);
            add_product(&mut parameters[tensor.range.clone()], inputs, &a, &b, scale(rank));
        }
    }
    match tensors.keys().next() {
        Some(name) => Err(ModelError::invalid(
            &path,
            format!("tensor `{PREFIX}{name}` belongs to no linear layer of the base model"),
        )),
        None => Ok(()),
    }
}

/// Returns the values of one matrix of the adapter of the weight `name`.
fn floats(path: &Path, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ModelError> {
    if !is_floating(view.dtype()) {
        let reason = format!("an adapter of `{name}` is of type {:?}; expected F32, F16, BF16 or F64", view.dtype());
        return Err(ModelError::invalid(path, reason));
    }
    let mut values = vec![0.0; view.shape().iter().product()];
    to_floats(view.dtype(), view.data(), &mut values);
    if !values.iter().all(|value| value.is_finite()) {
        let reason = format!("the adapter of `{name}` holds a value that is not a number or infinite");
        return Err(ModelError::invalid(path, reason));
    }
    Ok(values)
}

/// Reads the configuration. Returns the factor of the products of a rank.
fn read_scale(path: &Path) -> Result<impl Fn(usize) -> f32 + use<>, ModelError> {
    let json = read_object(path)?.unwrap_or_default();
    let fields = Fields { json: &json, path };
    let kind = fields.text("peft_type")?;
    if kind != "LORA" {
        return Err(fields.unsupported(format!("peft_type `{kind}`"), "LORA"));
    }
    for flag in ["use_dora", "fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora"] {
        if fields.flag_or(flag, false)? {
            return Err(fields.unsupported(flag, "LoRA of linear layers without variants"));
        }
    }
    for field in ["modules_to_save", "rank_pattern", "alpha_pattern", "layer_replication", "trainable_token_indices"] {
        if fields.not_empty(field) {
            return Err(fields.unsupported(field, "one rank and alpha for all layers, and no other trained modules"));
        }
    }
    if fields.present("bias") && fields.text("bias")? != "none" {
        return Err(fields.unsupported(format!("bias `{}`", fields.text("bias")?), "none"));
    }
    let alpha = fields.number_or("lora_alpha", 8.0)?;
    let by_root = fields.flag_or("use_rslora", false)?;
    Ok(move |rank: usize| (alpha / if by_root { (rank as f64).sqrt() } else { rank as f64 }) as f32)
}

/// Writes adapters into the folder of an encoder.
pub(super) fn write(folder: &Path, lora: &Lora, spec: &ModelSpec) -> Result<(), ModelError> {
    let (settings, arena) = (&lora.settings, &lora.arena);
    let tensors: Vec<_> = arena
        .tensors()
        .iter()
        .map(|tensor| {
            let name = match spec.task {
                Task::Embed => tensor.name.clone(),
                Task::Score(_) => name_in_file(spec.config.architecture, &tensor.name),
            };
            (format!("{PREFIX}{name}"), &tensor.shape[..], &arena.parameters()[tensor.range.clone()])
        })
        .collect();
    write_tensors(&folder.join(TENSORS), &tensors)?;
    let task = match spec.task {
        Task::Embed => "FEATURE_EXTRACTION",
        Task::Score(_) => "SEQ_CLS",
    };
    write_json(&folder.join(CONFIG), &config(settings, task))
}

/// Returns the fields of PEFT's configuration that matter to its readers; others have defaults.
fn config(settings: &crate::LoraSettings, task: &str) -> Value {
    // PEFT's own files have a whole number where alpha is one.
    let alpha = if settings.alpha.fract() == 0.0 { json!(settings.alpha as u64) } else { json!(settings.alpha) };
    json!({
        "peft_type": "LORA",
        "task_type": task,
        "base_model_name_or_path": settings.base,
        "r": settings.rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "target_modules": settings.targets,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "modules_to_save": null,
        "rank_pattern": {},
        "alpha_pattern": {},
        "use_dora": false,
        "use_rslora": false,
    })
}
