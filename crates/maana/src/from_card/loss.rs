//! The loss of a card as a `[loss]` table.

use super::notes::Notes;
use super::values::toml_value;
use maana_train::{Inputs, LossName};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A loss as settings of a recipe.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Loss {
    /// Settings of the table `[loss]`.
    pub(super) settings: Vec<(String, Value)>,
    /// Settings of the table `[training]`.
    pub(super) training: Vec<(String, Value)>,
}

impl Loss {
    /// Turns a ranking loss of texts with themselves into SimCSE, as which the reference's cards do
    /// not name it.
    pub(super) fn of_texts_with_themselves(&mut self) {
        let (ranking, simcse) = (LossName::MultipleNegativesRanking, LossName::Simcse);
        if self.settings.iter().any(|(key, value)| key == "name" && *value == json!(ranking)) {
            let lost = |key: &&str| !simcse.parameters(Inputs::Texts).contains(key);
            let lost: Vec<&str> = ranking.parameters(Inputs::Texts).iter().copied().filter(lost).collect();
            self.settings.retain(|(key, _)| !lost.contains(&key.as_str()));
            self.settings[0].1 = json!(simcse);
        }
    }

    /// Formats the loss as an inline table.
    pub(super) fn inline(&self) -> String {
        let settings = self.settings.iter().map(|(key, value)| format!("{key} = {}", toml_value(value)));
        format!("{{ {} }}", settings.collect::<Vec<_>>().join(", "))
    }
}

/// Parameters that change nothing, whatever their value.
const WITHOUT_EFFECT: [&str; 4] =
    ["gather_across_devices", "show_progress_bar", "mini_batch_size", "mini_batch_num_tokens"];

/// Values of parameters that are the only ones here.
const NEUTRAL: [(&str, &str); 8] = [
    ("lambda_weight", "sentence_transformers.cross_encoder.losses.plist_mle.PListMLELambdaWeight"),
    ("cos_score_transformation", "torch.nn.modules.linear.Identity"),
    ("loss_fct", "torch.nn.modules.loss.MSELoss"),
    ("similarity_fct", "cos_sim"),
    ("similarity_fct", "pairwise_angle_sim"),
    ("similarity_fct", "pairwise_cos_sim"),
    ("similarity_fct", "pairwise_dot_score"),
    ("size_average", "true"),
];

/// Returns the loss of a class with its parameters, for models with these inputs; `None` if it is
/// not supported.
pub(super) fn loss(class: &str, parameters: &Map<String, Value>, inputs: Inputs, notes: &mut Notes) -> Option<Loss> {
    let mut found = Loss::default();
    let inner = match class {
        "MatryoshkaLoss" | "AdaptiveLayerLoss" | "Matryoshka2dLoss" => {
            parameters.get("loss").and_then(Value::as_str).unwrap_or_default()
        }
        _ => class,
    };
    let Some(name) = name(inner, inputs) else {
        notes.add(format!("the loss {inner} is not supported; choose another in [loss]"));
        return None;
    };
    let known = name.parameters(inputs);
    found.settings.push(("name".into(), json!(name)));
    if inner == class {
        plain(known, parameters, &mut found, notes);
    } else {
        notes.add(format!("the card does not show the parameters of {inner}; they have the reference's defaults"));
        // Written out, as it is the parameter that is changed most often.
        if known.contains(&"scale") {
            found.settings.push(("scale".into(), json!(20.0)));
        }
        matryoshka(parameters, &mut found);
        if class != "MatryoshkaLoss" {
            adaptive_layers(parameters, &mut found);
        }
    }
    if class.starts_with("Cached") {
        for (theirs, ours) in [("mini_batch_size", "mini_batch_size"), ("mini_batch_num_tokens", "mini_batch_tokens")] {
            if let Some(value) = parameters.get(theirs).filter(|value| !value.is_null()) {
                found.training.push((ours.into(), value.clone()));
            }
        }
    }
    if known.contains(&"num_labels") && !found.settings.iter().any(|(key, _)| key == "num_labels") {
        notes.add("the card does not show the number of classes; set [loss] num_labels".into());
        found.settings.push(("num_labels".into(), json!(2)));
    }
    if known.contains(&"guide") {
        notes.add("the card does not name the guide of the loss; set [loss] guide".into());
        found.settings.push(("guide".into(), json!("path/to/guide")));
    }
    if known.contains(&"teacher") {
        notes.add("labels of this loss come from a teacher: from the data, or from a model in [loss] teacher".into());
    }
    Some(found)
}

/// Returns the name of a class in recipes.
fn name(class: &str, inputs: Inputs) -> Option<LossName> {
    let stem = class.strip_suffix("Loss")?;
    let stem = stem.strip_prefix("Cached").unwrap_or(stem);
    let name = match stem {
        "CoSENT" => "cosent".to_owned(),
        "AnglE" => "angle".to_owned(),
        "GISTEmbed" => "gist_embed".to_owned(),
        "MSE" => "mse".to_owned(),
        "MarginMSE" => "margin_mse".to_owned(),
        "DistillKLDiv" => "distill_kl_div".to_owned(),
        "ListMLE" => "list_mle".to_owned(),
        "PListMLE" => "plist_mle".to_owned(),
        "ADRMSE" => "adr_mse".to_owned(),
        _ => {
            let letter = |(place, letter): (usize, char)| {
                let separator = if place > 0 && letter.is_ascii_uppercase() { "_" } else { "" };
                format!("{separator}{}", letter.to_ascii_lowercase())
            };
            stem.chars().enumerate().map(letter).collect()
        }
    };
    LossName::deserialize(json!(name)).ok().filter(|name| name.trains(inputs))
}

fn matryoshka(parameters: &Map<String, Value>, found: &mut Loss) {
    for key in ["matryoshka_dims", "matryoshka_weights"] {
        if let Some(value) = parameters.get(key).filter(|value| !value.is_null()) {
            found.settings.push((key.into(), value.clone()));
        }
    }
    if let Some(number) = parameters.get("n_dims_per_step").and_then(Value::as_i64).filter(|number| *number > 0) {
        found.settings.push(("n_dims_per_step".into(), json!(number)));
    }
}

/// Adds the table of adaptive layers, with the names of the reference.
fn adaptive_layers(parameters: &Map<String, Value>, found: &mut Loss) {
    const NAMES: [&str; 6] = [
        "n_layers_per_step",
        "last_layer_weight",
        "prior_layers_weight",
        "kl_div_weight",
        "kl_temperature",
        "layer_weighting",
    ];
    let all =
        |name: &str, value: &Value| name == "n_layers_per_step" && value.as_i64().is_some_and(|number| number < 1);
    let settings = NAMES.into_iter().filter_map(|name| {
        let value = parameters.get(name).filter(|value| !value.is_null())?;
        Some((name.to_owned(), if all(name, value) { json!("all") } else { value.clone() }))
    });
    found.settings.push(("adaptive_layers".into(), Value::Object(settings.collect())));
}

fn plain(known: &[&str], parameters: &Map<String, Value>, found: &mut Loss, notes: &mut Notes) {
    for (theirs, value) in parameters {
        let text = value.as_str().map_or_else(|| value.to_string(), String::from);
        let ours = if theirs == "triplet_margin" { "margin" } else { theirs };
        let neutral = NEUTRAL.contains(&(theirs.as_str(), text.as_str()));
        match theirs.as_str() {
            _ if value.is_null() || WITHOUT_EFFECT.contains(&theirs.as_str()) => {}
            "guide" => {}
            "activation_fn" if known.contains(&"activation") => match activation(&text) {
                Some(name) => found.settings.push(("activation".into(), json!(name))),
                None => notes.add(format!("the activation {text} of the loss is not supported; set [loss] activation")),
            },
            "weighting_scheme" if known.contains(&"weighting_scheme") => match weighting_scheme(&text) {
                Some(name) => found.settings.push(("weighting_scheme".into(), json!(name))),
                None => notes.add(format!("the weighting scheme {text} is not supported; set [loss] weighting_scheme")),
            },
            // Without a mode the strength has no effect.
            "hardness_strength" if parameters.get("hardness_mode").is_none_or(Value::is_null) => {}
            "similarity_fct" if known.contains(&"similarity") && text.contains("dot") => {
                found.settings.push(("similarity".into(), json!("dot")));
            }
            "similarity_fct" if known.contains(&"similarity") && text.contains("cos") => {
                found.settings.push(("similarity".into(), json!("cosine")));
            }
            "distance_metric" if known.contains(&"distance_metric") => match distance(&text) {
                Some(metric) => found.settings.push(("distance_metric".into(), json!(metric))),
                None => {
                    notes.add(format!("the distance {text} of the loss is not supported; set [loss] distance_metric"))
                }
            },
            _ if neutral => {}
            _ if known.contains(&ours) => found.settings.push((ours.into(), value.clone())),
            _ => notes.add(format!("the parameter {theirs} = {text} of the loss is not supported")),
        }
    }
}

/// Returns the name of a class of PyTorch that makes scores of logits.
fn activation(class: &str) -> Option<&'static str> {
    match class.strip_prefix("torch.nn.")?.rsplit('.').next()? {
        "Identity" => Some("identity"),
        "Sigmoid" => Some("sigmoid"),
        "Tanh" => Some("tanh"),
        "ReLU" => Some("relu"),
        _ => None,
    }
}

/// Returns the name of the reference's class of a weighting scheme.
fn weighting_scheme(class: &str) -> Option<&'static str> {
    match class.rsplit('.').next()? {
        "NoWeightingScheme" => Some("none"),
        "NDCGLoss1Scheme" => Some("ndcg_loss1"),
        "NDCGLoss2Scheme" => Some("ndcg_loss2"),
        "LambdaRankScheme" => Some("lambda_rank"),
        "NDCGLoss2PPScheme" => Some("ndcg_loss2pp"),
        _ => None,
    }
}

/// Returns the name of a distance such as `TripletDistanceMetric.EUCLIDEAN` or
/// `eucledian_distance`, as the reference spells it.
fn distance(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    [("cosine", "cosine"), ("eucl", "euclidean"), ("manhattan", "manhattan")]
        .into_iter()
        .find(|(part, _)| text.contains(part))
        .map(|(_, name)| name)
}
