//! Comparison of two models whose parameters are to be blended.

use crate::blocks::SentenceModule;
use crate::config::EncoderConfig;
use crate::similarity::Similarity;
use crate::spec::ModelSpec;
use crate::task::Task;
use crate::training_model::TrainingModel;

impl TrainingModel {
    /// Returns the first property, parameters aside, in which embeddings of two models are computed
    /// differently: names and shapes of tensors, tokenizer, configuration, pooling, modules or
    /// prompts. The longest text and the probabilities of dropout may differ.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.router != other.router {
            return Some("their routers differ".into());
        }
        let specs = || self.towers.iter().zip(&other.towers).map(|(ours, theirs)| (&*ours.spec, &*theirs.spec));
        let of_families = || {
            let families =
                specs().map(|(ours, theirs)| [ours, theirs].map(|spec| spec.config.architecture.model_type()));
            let other = families.into_iter().find(|[a, b]| a != b);
            other.map(|[a, b]| format!("their families are {a} and {b}"))
        };
        let of_tasks = |(ours, theirs): (&ModelSpec, &ModelSpec)| {
            (ours.task != theirs.task).then(|| difference_of_tasks(&ours.task, &theirs.task))
        };
        of_families()
            .or_else(|| specs().find_map(of_tasks))
            .or_else(|| self.difference_of_tensors(other))
            .or_else(|| specs().find_map(|(ours, theirs)| difference_of_tokenizers(ours, theirs)))
            .or_else(|| specs().find_map(|(ours, theirs)| difference_of_settings(ours, theirs)))
    }

    fn difference_of_tensors(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (self.arena.tensors(), other.arena.tensors());
        for (a, b) in ours.iter().zip(theirs) {
            if a.name != b.name {
                return Some(format!("one has the tensor `{}` where the other has `{}`", a.name, b.name));
            }
            if a.shape != b.shape {
                return Some(format!("the tensor `{}` has the shapes {:?} and {:?}", a.name, a.shape, b.shape));
            }
        }
        let more = ours.get(theirs.len()).or(theirs.get(ours.len()))?;
        Some(format!("only one has the tensor `{}`", more.name))
    }
}

fn difference_of_tasks(ours: &Task, theirs: &Task) -> String {
    let name = |task: &Task| match task {
        Task::Embed => "embeds single texts".to_owned(),
        Task::Score(scoring) => {
            format!("scores pairs by {} with {}", scoring.labels.join(", "), scoring.activation.class())
        }
    };
    format!("one {}, the other {}", name(ours), name(theirs))
}

fn difference_of_tokenizers(ours: &ModelSpec, theirs: &ModelSpec) -> Option<String> {
    let (a, b) = (&ours.tokenizer, &theirs.tokenizer);
    if a.vocabulary_size() != b.vocabulary_size() {
        let sizes = format!("{} and {} tokens", a.vocabulary_size(), b.vocabulary_size());
        return Some(format!("their tokenizers differ ({sizes})"));
    }
    let same = a.file_bytes() == b.file_bytes() && a.adjustments() == b.adjustments();
    (!same).then(|| "their tokenizers differ (tokenizer.json or tokenizer_config.json)".into())
}

fn difference_of_settings(ours: &ModelSpec, theirs: &ModelSpec) -> Option<String> {
    let computing = |config: &EncoderConfig| EncoderConfig {
        hidden_dropout: 0.0,
        attention_dropout: 0.0,
        attention_output_dropout: false,
        ..config.clone()
    };
    let modules = |spec: &ModelSpec| {
        let name = |module: &SentenceModule| match module {
            SentenceModule::Dense(dense) => {
                let residual = if dense.has_residual() { " with a residual" } else { "" };
                Some(format!("{}{residual}", dense.activation_class()))
            }
            SentenceModule::Normalize => Some("Normalize".into()),
            SentenceModule::LayerNorm(norm) => Some(format!("LayerNorm with epsilon {:?}", norm.epsilon)),
            SentenceModule::Dropout(_) => None,
        };
        spec.modules.iter().filter_map(name).collect::<Vec<_>>().join(", ")
    };
    let (a, b) = (&ours.settings, &theirs.settings);
    let prompts = |prompts: &[(String, String)]| {
        let shown = prompts.iter().map(|(name, text)| format!("{name}: {text:?}"));
        if prompts.is_empty() { "none".into() } else { shown.collect::<Vec<_>>().join(", ") }
    };
    let of = |what: &str, a: String, b: String| (a != b).then(|| format!("their {what} differ: {a} and {b}"));
    let pooling = |spec: &ModelSpec| {
        let prompt = if spec.pooling.include_prompt { "" } else { " without the prompt" };
        format!("{}{prompt}", spec.pooling_names().join(", "))
    };
    of("pooling modules", pooling(ours), pooling(theirs))
        .or_else(|| of("modules behind pooling", modules(ours), modules(theirs)))
        .or_else(|| of("prompts", prompts(&a.prompts), prompts(&b.prompts)))
        .or_else(|| {
            let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".into());
            of("default prompts", name(&a.default_prompt_name), name(&b.default_prompt_name))
        })
        .or_else(|| {
            let name = |similarity: Similarity| format!("{similarity:?}").to_lowercase();
            of("similarities", name(a.similarity), name(b.similarity))
        })
        .or_else(|| of("settings do_lower_case", a.do_lower_case.to_string(), b.do_lower_case.to_string()))
        .or_else(|| {
            let dim = |dim: Option<usize>| dim.map_or("none".to_owned(), |dim| dim.to_string());
            of("settings truncate_dim", dim(a.truncate_dim), dim(b.truncate_dim))
        })
        .or_else(|| {
            let (a, b) = (computing(&ours.config), computing(&theirs.config));
            (a != b).then(|| difference_of_configurations(&a, &b))
        })
}

/// Names the first setting in which configurations differ, as BERT's `config.json` does.
fn difference_of_configurations(ours: &EncoderConfig, theirs: &EncoderConfig) -> String {
    let settings = |config: &EncoderConfig| {
        [
            ("num_attention_heads", config.heads.to_string()),
            ("max_position_embeddings", config.positions.to_string()),
            ("layer_norm_eps", format!("{:e}", config.layer_norm_epsilon)),
            ("hidden_act", format!("{:?}", config.activation).to_lowercase()),
        ]
    };
    let pairs = settings(ours).into_iter().zip(settings(theirs));
    let different = pairs.map(|((name, a), (_, b))| (name, a, b)).find(|(_, a, b)| a != b);
    match different {
        Some((name, a, b)) => format!("their configurations differ: {name} {a} and {b}"),
        None => "their configurations differ (config.json)".into(),
    }
}
