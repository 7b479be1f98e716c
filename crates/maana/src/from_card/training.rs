//! The hyperparameters of a card as the settings of `[training]`.

use super::hyperparameters::{Treatment, treatment};
use super::notes::Notes;
use super::read::SourceCard;
use maana_train::{Arguments, BatchSampler, Schedule};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Settings of `[training]` and `[data]`.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) training: Vec<(String, Value)>,
    pub(super) prompts: Option<Value>,
    pub(super) sampler: Option<String>,
}

impl Settings {
    /// Sets a key of `[training]`, unless the value is the default.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.training.retain(|(known, _)| known != key);
        let same =
            |default: &Value| *default == value || default.as_f64().is_some_and(|one| Some(one) == value.as_f64());
        if !json!(Arguments::default()).get(key).is_some_and(same) {
            self.training.push((key.into(), value));
        }
    }

    fn has(&self, key: &str) -> bool {
        self.training.iter().any(|(known, _)| known == key)
    }
}

/// Converts all hyperparameters of a card.
pub(super) fn settings(card: &SourceCard, notes: &mut Notes) -> Settings {
    let mut settings = Settings::default();
    let values: Map<String, Value> =
        card.hyperparameters.iter().map(|(name, value)| (name.clone(), literal(value))).collect();
    for (name, text) in &card.hyperparameters {
        match treatment(name) {
            Some(Treatment::Honoured(_)) => honour(name, &values, card, &mut settings, notes),
            Some(Treatment::Meaningless(_)) => {}
            Some(Treatment::Refused(neutral, _)) if neutral.contains(&text.as_str()) => {}
            Some(Treatment::Refused(_, remedy)) => notes.add(format!("{name} = {text} is not supported: {remedy}")),
            None => notes.add(format!("{name} = {text} is an unknown hyperparameter; is it of a newer version?")),
        }
    }
    log_interval(card, &mut settings);
    settings
}

fn honour(name: &str, values: &Map<String, Value>, card: &SourceCard, settings: &mut Settings, notes: &mut Notes) {
    let value = &values[name];
    // The default of the trainer, which is ours.
    if value.is_null() {
        return;
    }
    let text = value.as_str().unwrap_or_default();
    match name {
        "per_device_train_batch_size" => settings.set("batch_size", value.clone()),
        "num_train_epochs" => settings.set("epochs", value.clone()),
        "dataloader_drop_last" => settings.set("drop_last", value.clone()),
        "logging_steps" => settings.set("log_every", value.clone()),
        "logging_first_step" => settings.set("log_first", value.clone()),
        "gradient_accumulation_steps"
        | "learning_rate"
        | "weight_decay"
        | "adam_beta1"
        | "adam_beta2"
        | "adam_epsilon"
        | "max_grad_norm"
        | "warmup_ratio"
        | "seed"
        | "save_total_limit"
        | "ema_decay"
        | "lazy_embeddings"
        | "layer_decay" => settings.set(name, value.clone()),
        "gradient_checkpointing" | "activation_checkpointing" => {
            if *value == json!(true) {
                settings.set("gradient_checkpointing", value.clone());
            }
        }
        "max_steps" => {
            if value.as_i64().is_some_and(|steps| steps > 0) {
                settings.set("max_steps", value.clone());
            }
        }
        // Since transformers 5 a value below 1 is a ratio.
        "warmup_steps" => match value.as_f64() {
            Some(ratio) if ratio > 0.0 && ratio < 1.0 => settings.set("warmup_ratio", value.clone()),
            Some(steps) if steps >= 1.0 => settings.set("warmup_steps", json!(steps as u64)),
            _ => {}
        },
        "bf16" => {
            if *value == json!(true) {
                settings.set("precision", json!("bf16"));
            }
        }
        "lr_scheduler_type" => schedule(variant(text), values.get("lr_scheduler_kwargs"), settings, notes),
        "lr_scheduler_kwargs" | "eval_steps" | "greater_is_better" => {}
        "optim" => optimizer(text, settings, notes),
        "adafactor" => {
            if *value == json!(true) {
                settings.set("optimizer", json!("adafactor"));
            }
        }
        "eval_strategy" | "evaluation_strategy" => {
            evaluations(variant(text), values.get("eval_steps"), card, settings, notes)
        }
        "load_best_model_at_end" => {
            let named = values.get("metric_for_best_model").is_some_and(Value::is_string);
            if *value == json!(true) && !named {
                best_measure(card, settings, notes);
            }
        }
        "metric_for_best_model" => {
            if values.get("load_best_model_at_end") == Some(&json!(true)) {
                // This program's own cards list the measures whose mean decides.
                let names = text.split(", ");
                let measures: Vec<&str> = names.map(|name| name.strip_prefix("eval_").unwrap_or(name)).collect();
                let direction = values.get("greater_is_better").and_then(Value::as_bool);
                let are_losses = measures.iter().any(|measure| measure.ends_with("loss"));
                let best = match (direction.filter(|greater| *greater == are_losses), &measures[..]) {
                    (Some(greater), _) => json!({"measures": measures, "greater_is_better": greater}),
                    (None, [measure]) => json!(measure),
                    (None, _) => json!(measures),
                };
                settings.set("keep_best", best);
            }
        }
        "report_to" => {
            if value.to_string().contains("tensorboard") || text == "all" {
                settings.set("tensorboard", json!(true));
            }
        }
        "batch_sampler" => {
            let ours = match variant(text).as_str() {
                "batch_sampler" => "shuffle".to_owned(),
                "no_duplicates_hashed" => "no_duplicates".to_owned(),
                other => other.to_owned(),
            };
            match BatchSampler::deserialize(json!(ours)) {
                Ok(_) => settings.set("batch_sampler", json!(ours)),
                Err(_) => notes.add(format!("batch_sampler = {text} is not supported; set training.batch_sampler")),
            }
        }
        "multi_dataset_batch_sampler" => settings.sampler = Some(variant(text)),
        "prompts" if text.starts_with('{') => {
            notes.add(format!("prompts = {text} cannot be read; set [data] prompts"));
        }
        "prompts" => settings.prompts = Some(value.clone()),
        _ => unreachable!("{name} is honoured"),
    }
}

fn schedule(name: String, parameters: Option<&Value>, settings: &mut Settings, notes: &mut Notes) {
    let parameters = parameters.and_then(Value::as_object).filter(|parameters| !parameters.is_empty());
    let value = match parameters {
        None => json!(name),
        Some(parameters) => {
            let mut table = parameters.clone();
            table.insert("name".into(), json!(name));
            Value::Object(table)
        }
    };
    match Schedule::deserialize(&value) {
        Ok(_) => settings.set("schedule", value),
        Err(error) => {
            notes.add(format!("lr_scheduler_type = {name} is not supported ({error}); set training.schedule"))
        }
    }
}

fn optimizer(name: &str, settings: &mut Settings, notes: &mut Notes) {
    match variant(name).as_str() {
        "adafactor" => settings.set("optimizer", json!("adafactor")),
        "adamw_torch"
        | "adamw_torch_fused"
        | "adamw_hf"
        | "adamw_apex_fused"
        | "adamw_torch_xla"
        | "adamw_torch_npu_fused" => {}
        other if other.starts_with("adamw") => {
            notes.add(format!("optim = {other}: AdamW with moments of 32 bits is used instead"));
        }
        other => {
            notes.add(format!("optim = {other} is not supported; AdamW is used instead, or set training.optimizer"))
        }
    }
}

fn evaluations(strategy: String, steps: Option<&Value>, card: &SourceCard, settings: &mut Settings, notes: &mut Notes) {
    match strategy.as_str() {
        "epoch" => settings.set("evaluate", json!("epoch")),
        "steps" => match steps.filter(|steps| steps.is_number()).cloned().or_else(|| evaluation_interval(card)) {
            Some(steps) => settings.set("evaluate", steps),
            None => {
                notes.add("the card does not show the interval of the evaluations; set training.evaluate".into());
                settings.set("evaluate", json!("epoch"));
            }
        },
        _ => {}
    }
}

/// Measure of the first evaluator, as the training log names it.
fn best_measure(card: &SourceCard, settings: &mut Settings, notes: &mut Notes) {
    let head = card.log.first().map(Vec::as_slice).unwrap_or_default();
    let names = card.evaluators.iter().flat_map(|evaluator| &evaluator.names);
    let column = names.filter_map(|name| head.iter().find(|column| column.starts_with(&format!("{name}_")))).next();
    let measure = match column {
        Some(column) => column.clone(),
        None if card.has_dev_loss => "loss".into(),
        None => {
            return notes
                .add("the card does not show which measure chose the best checkpoint; set training.keep_best".into());
        }
    };
    notes.add(format!("the card does not show which measure chose the best checkpoint; `{measure}` is a guess"));
    settings.set("keep_best", json!(measure));
}

/// Returns the steps of the rows of the log that have a value in a column that `is_right` accepts.
fn steps(card: &SourceCard, is_right: impl Fn(&str) -> bool) -> Vec<u64> {
    let Some((head, rows)) = card.log.split_first() else { return Vec::new() };
    let columns: Vec<usize> = (2..head.len()).filter(|&column| is_right(&head[column])).collect();
    let has_value = |row: &&Vec<String>| {
        columns.iter().any(|&column| row.get(column).is_some_and(|cell| cell.parse::<f64>().is_ok()))
    };
    rows.iter().filter(has_value).filter_map(|row| row.get(1)?.parse().ok()).collect()
}

fn evaluation_interval(card: &SourceCard) -> Option<Value> {
    steps(card, |column| column != "Training Loss").into_iter().find(|step| *step > 0).map(|step| json!(step))
}

/// Reads the interval of the log from its rows. The card has no setting for it.
fn log_interval(card: &SourceCard, settings: &mut Settings) {
    if settings.has("log_every") {
        return;
    }
    match steps(card, |column| column == "Training Loss")[..] {
        [1, second, ..] if second > 2 => {
            settings.set("log_first", json!(true));
            settings.set("log_every", json!(second));
        }
        [first, ..] if first > 0 => settings.set("log_every", json!(first)),
        _ => {}
    }
}

/// Returns the name of a variant, which some versions print with its type:
/// `IntervalStrategy.EPOCH`.
fn variant(text: &str) -> String {
    text.rsplit('.').next().unwrap_or(text).to_ascii_lowercase()
}

/// Reads a value as Python prints it. A dictionary or list that cannot be read remains a text.
pub(super) fn literal(text: &str) -> Value {
    match text {
        "None" | "" => return Value::Null,
        "True" => return json!(true),
        "False" => return json!(false),
        _ => {}
    }
    if text.starts_with(['{', '[']) {
        let read = to_json(text).and_then(|json| serde_json::from_str(&json).ok());
        return read.unwrap_or_else(|| json!(text));
    }
    if let Ok(number) = text.parse::<i64>() {
        return json!(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => json!(number),
        _ => json!(text),
    }
}

/// Rewrites strings and constants of Python as those of JSON. Returns `None` for a string that has
/// no end or an unknown escape.
fn to_json(python: &str) -> Option<String> {
    const CONSTANTS: [(&str, &str); 3] = [("None", "null"), ("True", "true"), ("False", "false")];
    let (mut json, mut rest) = (String::with_capacity(python.len()), python);
    while let Some(letter) = rest.chars().next() {
        if matches!(letter, '\'' | '"') {
            let (string, length) = quoted(rest)?;
            json += &json!(string).to_string();
            rest = &rest[length..];
        } else if let Some((theirs, ours)) = CONSTANTS.iter().find(|(theirs, _)| rest.starts_with(theirs)) {
            json += ours;
            rest = &rest[theirs.len()..];
        } else {
            json.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    Some(json)
}

/// Reads the string in quotation marks at the beginning of a text, and returns it with the number
/// of bytes that it takes there.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut letters = text.char_indices();
    let (_, quote) = letters.next()?;
    let mut string = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter == quote => return Some((string, at + 1)),
            '\\' => string.push(match letters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                plain @ ('\\' | '\'' | '"') => plain,
                _ => return None,
            }),
            _ => string.push(letter),
        }
    }
    None
}
