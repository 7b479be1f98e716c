//! Content of the card and the report, gathered from recipe, data, model and run.

use super::error::FinetuneError;
use super::prepare::Prepared;
use super::sets::PreparedSet;
use crate::base_model::base_model;
use crate::card::{AdapterFacts, CardFacts, Hardware, LossFacts, WidgetExample, pipeline_tag};
use crate::recipe::{DataTable, ModelKind, Prompts};
use maana_data::{DataSummary, SetSampler};
use maana_eval::Scores;
use maana_kernels::{Context, Matrix};
use maana_model::{CrossEncoder, ModelSpec, Role, TextEncoder, TrainingModel};
use maana_train::{Arguments, BatchSampler, Evaluate, LossSummary, Optimizer, Precision, TrainingRecord, Version};
use serde_json::json;

/// Rows for statistics and examples.
const SAMPLED_ROWS: usize = 1000;

pub(super) fn gather(
    prepared: &Prepared,
    context: &Context,
    before: Vec<Scores>,
    after: Vec<Scores>,
    record: TrainingRecord,
) -> Result<CardFacts, FinetuneError> {
    let recipe = &prepared.located.recipe;
    let model = &prepared.model;
    let data = prepared.sets.iter().map(|set| summarise(set, model.spec())).collect::<Result<_, _>>()?;
    let texts = sampled_texts(prepared)?;
    let labels = model.spec().scoring().map_or(0, |scoring| scoring.labels.len());
    let Examples { texts: examples, pairs: example_pairs, values } = match labels {
        0 => embedded_examples(&texts, model, context)?,
        _ => scored_examples(&texts, prepared.sets[0].source().has_lists(), model, context)?,
    };
    let hyperparameters = hyperparameters(&recipe.training, &recipe.data);
    let defaults = self::hyperparameters(&Arguments::default(), &DataTable::default());
    let changed = hyperparameters.iter().filter(|setting| !defaults.contains(setting)).cloned().collect();
    let base = base_model(&prepared.resolved);
    Ok(CardFacts {
        name: recipe.card.name.clone().unwrap_or_else(|| title(&base.name)),
        hub_id: recipe.card.hub_id.clone(),
        languages: recipe.card.language.clone(),
        licence: recipe.card.license.clone(),
        // A new table has the tokenizer of the base, and nothing else.
        base_model: (recipe.model.kind != ModelKind::Static).then_some(base),
        model: model.summary(),
        data,
        losses: prepared.sets.iter().map(|set| loss_facts(&set.describe_loss(), &recipe.training)).collect(),
        changed_hyperparameters: changed,
        hyperparameters,
        before,
        after,
        blend: None,
        adapters: model.lora().map(|lora| AdapterFacts {
            rank: lora.rank,
            alpha: lora.alpha,
            targets: lora.targets.clone(),
            merged: lora.merge,
        }),
        evaluation_sets: prepared.measures.retrieval_sets(),
        hardware: Hardware {
            processor: crate::hardware::processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: record.threads,
            seconds: record.seconds,
            peak_memory_bytes: record.peak_memory_bytes,
        },
        record,
        widget: if labels == 0 { widget(&texts) } else { Vec::new() },
        examples,
        example_pairs,
        example_similarities: Some(values),
        versions: vec![
            ("Maana".into(), env!("CARGO_PKG_VERSION").into()),
            ("Platform".into(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
            ("Instructions".into(), maana_kernels::InstructionSet::active().name().into()),
        ],
        pipeline_tag: pipeline_tag(labels).into(),
        reproduce_301: recipe.training.reproduce == Some(Version::V3_0_1),
    })
}

/// Examples of use, with similarities of texts or scores of pairs.
struct Examples {
    texts: Vec<String>,
    pairs: Vec<[String; 2]>,
    values: Vec<Vec<f32>>,
}

fn embedded_examples(
    texts: &[Vec<String>],
    model: &TrainingModel,
    context: &Context,
) -> Result<Examples, FinetuneError> {
    let texts = examples(texts);
    let encoder = TextEncoder::new(model.inference(), context)?;
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoder = if encoder.expect_tower().is_ok() { encoder } else { encoder.for_role(Role::Document) };
    let similarities = crate::similarity::similarities(&encoder, context, &borrowed)?;
    Ok(Examples { texts, pairs: Vec::new(), values: rows(&similarities) })
}

/// Returns the first pairs of the data, or those of the first list, as the reference does.
fn scored_examples(
    texts: &[Vec<String>],
    has_lists: bool,
    model: &TrainingModel,
    context: &Context,
) -> Result<Examples, FinetuneError> {
    let pair = |query: &String, document: &String| [query.clone(), document.clone()];
    let pairs: Vec<[String; 2]> = match has_lists {
        true => texts[0][1..].iter().take(5).map(|document| pair(&texts[0][0], document)).collect(),
        false => texts.iter().take(5).map(|texts| pair(&texts[0], &texts[1])).collect(),
    };
    let borrowed: Vec<(&str, &str)> = pairs.iter().map(|[query, document]| (&**query, &**document)).collect();
    let scores = CrossEncoder::new(model.inference(), context)?.score(&borrowed)?;
    Ok(Examples { texts: Vec::new(), values: rows(&scores), pairs })
}

fn rows(matrix: &Matrix) -> Vec<Vec<f32>> {
    (0..matrix.rows()).map(|row| matrix.row(row).to_vec()).collect()
}

fn summarise(set: &PreparedSet, spec: &ModelSpec) -> Result<DataSummary, FinetuneError> {
    let count = |texts: &[&str]| {
        let counted = spec.tokenize(texts).map(|batch| (0..batch.sequences()).map(|i| batch.length(i)).collect());
        // A text that cannot be tokenised ends the run before its card is written.
        counted.unwrap_or_else(|_| vec![0; texts.len()])
    };
    let mut summary = maana_data::summarise(set.source(), SAMPLED_ROWS, 3, &count)?;
    summary.name = Some(set.name().to_owned()).filter(|name| !name.is_empty());
    Ok(summary)
}

/// Returns the texts of rows spread over the first set.
fn sampled_texts(prepared: &Prepared) -> Result<Vec<Vec<String>>, FinetuneError> {
    let source = prepared.sets[0].source();
    let rows = source.len();
    let sampled = SAMPLED_ROWS.min(rows);
    (0..sampled).map(|number| Ok(source.get(number * rows / sampled)?.texts)).collect()
}

/// Returns the first two texts of a short row, and the last text of another one.
fn examples(texts: &[Vec<String>]) -> Vec<String> {
    let mut rows: Vec<&Vec<String>> = texts.iter().collect();
    rows.sort_by_key(|row| row.iter().map(|text| text.chars().count()).sum::<usize>());
    let first = rows[rows.len() / 10];
    let other = rows[rows.len() / 5];
    let mut examples: Vec<String> = first.iter().take(2).cloned().collect();
    examples.extend(other.last().cloned());
    examples
}

/// Returns examples of five rows, each with its own last text and those of two others.
fn widget(texts: &[Vec<String>]) -> Vec<WidgetExample> {
    let count = texts.len();
    (0..5.min(count))
        .map(|number| {
            let row = number * count / 5;
            let last = |row: usize| texts[row % count].last().cloned();
            let sentences = [last(row), last(row + count / 3), last(row + 2 * count / 3)];
            WidgetExample {
                source: texts[row].first().cloned().unwrap_or_default(),
                sentences: sentences.into_iter().flatten().collect(),
            }
        })
        .collect()
}

/// Losses of the reference that have a class of their own for mini-batches.
const CACHED: [(&str, &str); 3] = [
    ("MultipleNegativesRankingLoss", "CachedMultipleNegativesRankingLoss"),
    ("MultipleNegativesSymmetricRankingLoss", "CachedMultipleNegativesSymmetricRankingLoss"),
    ("GISTEmbedLoss", "CachedGISTEmbedLoss"),
];

fn loss_facts(summary: &LossSummary, arguments: &Arguments) -> LossFacts {
    let limits =
        [("mini_batch_size", arguments.mini_batch_size), ("mini_batch_num_tokens", arguments.mini_batch_tokens)];
    let cached =
        CACHED.iter().find(|(class, _)| *class == summary.class && limits.iter().any(|(_, limit)| limit.is_some()));
    let mut classes = vec![cached.map_or(&*summary.class, |(_, cached)| cached).to_owned()];
    let mut parameters: serde_json::Map<_, _> = summary.parameters.iter().cloned().collect();
    if let Some(inner) = &summary.inner {
        let inner = loss_facts(inner, arguments);
        parameters.insert("loss".into(), inner.classes[0].clone().into());
        classes.extend(inner.classes);
    }
    if cached.is_some() {
        parameters.extend(limits.into_iter().filter_map(|(name, limit)| Some((name.into(), limit?.into()))));
    }
    LossFacts { classes, parameters }
}

/// Returns the settings with the names and values of Sentence Transformers.
fn hyperparameters(arguments: &Arguments, data: &DataTable) -> Vec<(String, String)> {
    let python = |flag: bool| if flag { "True" } else { "False" }.to_string();
    let evaluation = match arguments.evaluate {
        Evaluate::Never => "no".to_string(),
        Evaluate::Epoch => "epoch".to_string(),
        Evaluate::Steps(_) | Evaluate::EpochAndSteps(_) => "steps".to_string(),
    };
    let sampler = match arguments.batch_sampler {
        BatchSampler::Shuffle => "batch_sampler",
        BatchSampler::NoDuplicates => "no_duplicates",
        BatchSampler::GroupByLabel => "group_by_label",
    };
    let sets = match data.sampler {
        SetSampler::Proportional => "proportional",
        SetSampler::RoundRobin => "round_robin",
    };
    let optimizer = match arguments.optimizer {
        Optimizer::AdamW => "adamw_torch",
        Optimizer::Adafactor(_) => "adafactor",
    };
    let eval_steps = arguments.evaluate.interval().map_or("None".to_string(), |interval| interval.to_string());
    let settings = [
        ("eval_strategy", evaluation),
        ("eval_steps", eval_steps),
        ("per_device_train_batch_size", arguments.batch_size.to_string()),
        ("gradient_accumulation_steps", arguments.gradient_accumulation_steps.to_string()),
        ("learning_rate", number(arguments.learning_rate)),
        ("weight_decay", number(arguments.weight_decay)),
        ("adam_beta1", number(arguments.adam_beta1)),
        ("adam_beta2", number(arguments.adam_beta2)),
        ("adam_epsilon", number(arguments.adam_epsilon)),
        ("max_grad_norm", number(arguments.max_grad_norm)),
        ("num_train_epochs", whole_or_number(arguments.epochs)),
        ("max_steps", arguments.max_steps.map_or("-1".into(), |steps| steps.to_string())),
        ("lr_scheduler_type", arguments.schedule.name().into()),
        ("warmup_ratio", number(arguments.warmup_ratio)),
        ("warmup_steps", arguments.warmup_steps.to_string()),
        ("logging_steps", arguments.log_every.to_string()),
        ("logging_first_step", python(arguments.log_first)),
        ("save_total_limit", arguments.save_total_limit.map_or("None".into(), |limit| limit.to_string())),
        ("seed", arguments.seed.to_string()),
        ("bf16", python(arguments.precision == Precision::Bf16)),
        ("gradient_checkpointing", python(arguments.gradient_checkpointing)),
        ("dataloader_drop_last", python(arguments.drop_last)),
        ("load_best_model_at_end", python(arguments.keep_best.is_some())),
        (
            "metric_for_best_model",
            arguments.keep_best.as_ref().map_or("None".into(), |best| {
                best.measures().map(|name| format!("eval_{name}")).collect::<Vec<_>>().join(", ")
            }),
        ),
        ("optim", optimizer.into()),
        ("batch_sampler", sampler.into()),
        ("multi_dataset_batch_sampler", sets.into()),
    ];
    let average = arguments.ema_decay.map(|decay| ("ema_decay", number(decay)));
    let prompts = prompts(data).map(|prompts| ("prompts", prompts));
    let all = settings.into_iter().chain(optimizer_parameters(arguments)).chain(average).chain(prompts);
    all.map(|(name, value)| (name.to_string(), value)).collect()
}

/// Returns the settings of schedule, optimizer and groups that differ from the defaults.
fn optimizer_parameters(arguments: &Arguments) -> Vec<(&'static str, String)> {
    let defaults = Arguments::default();
    let parameters = |value: serde_json::Value| {
        let mut table = value.as_object().cloned()?;
        table.shift_remove("name");
        Some(serde_json::Value::Object(table).to_string())
    };
    let mut settings = Vec::new();
    settings.extend(parameters(json!(arguments.schedule)).map(|text| ("lr_scheduler_kwargs", text)));
    settings.extend(parameters(json!(arguments.optimizer)).map(|text| ("optim_args", text)));
    if arguments.lazy_embeddings {
        settings.push(("lazy_embeddings", "True".into()));
    }
    if arguments.layer_decay != defaults.layer_decay {
        settings.push(("layer_decay", number(arguments.layer_decay)));
    }
    if !arguments.groups.is_empty() {
        settings.push(("groups", json!(arguments.groups).to_string()));
    }
    settings
}

/// Returns the prompts as the reference's training argument, if there are any.
fn prompts(data: &DataTable) -> Option<String> {
    let of = |prompts: &Prompts| match prompts {
        Prompts::OfModel => "those of the model".to_string(),
        Prompts::All(prompt) => format!("'{prompt}'"),
        Prompts::ByColumn(prompts) => {
            let pairs: Vec<String> = prompts.iter().map(|(column, prompt)| format!("'{column}': '{prompt}'")).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    };
    let sets = data.all_sets();
    match &sets[..] {
        [set] => set.prompts.as_ref().map(of),
        sets => {
            let prompted = sets.iter().filter_map(|set| Some(format!("'{}': {}", set.name, of(set.prompts.as_ref()?))));
            let prompted: Vec<String> = prompted.collect();
            (!prompted.is_empty()).then(|| format!("{{{}}}", prompted.join(", ")))
        }
    }
}

/// Formats a number as Python does: `2e-05`, `0.1`, `1.0`.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-4 {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once("e-").unwrap_or((&text, "0"));
        return format!("{mantissa}e-{exponent:0>2}");
    }
    format!("{value:?}")
}

fn whole_or_number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { number(value) }
}

/// Returns the title of the card: "bge-base-en-v1.5, fine-tuned" for "BAAI/bge-base-en-v1.5".
fn title(base: &str) -> String {
    let last = base.rsplit('/').next().unwrap_or(base);
    format!("{last}, fine-tuned")
}

#[cfg(test)]
mod tests {
    use super::*;
    use maana_train::{LossArguments, LossName};

    #[test]
    fn numbers_are_formatted_as_in_python() {
        let cases = [
            (2e-5, "2e-05"),
            (1e-8, "1e-08"),
            (0.1, "0.1"),
            (1.0, "1.0"),
            (0.0, "0.0"),
            (0.999, "0.999"),
            (2.5e-10, "2.5e-10"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!((whole_or_number(4.0), whole_or_number(0.5)), ("4".into(), "0.5".into()));
    }

    #[test]
    fn only_settings_that_differ_from_the_defaults_are_changed() {
        let data = DataTable::default();
        let defaults = hyperparameters(&Arguments::default(), &data);
        let arguments = Arguments { batch_size: 32, learning_rate: 2e-5, ..Arguments::default() };
        let changed: Vec<_> =
            hyperparameters(&arguments, &data).into_iter().filter(|pair| !defaults.contains(pair)).collect();
        let expected = [("per_device_train_batch_size", "32"), ("learning_rate", "2e-05")];
        assert_eq!(changed, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    }

    #[test]
    fn losses_in_mini_batches_have_the_names_of_the_reference() {
        let arguments = Arguments { mini_batch_size: Some(32), ..Arguments::default() };
        let loss = |name, dims| {
            let loss = LossArguments { matryoshka_dims: dims, ..LossArguments::new(name) };
            loss.build(8, 42).unwrap().describe()
        };
        let ranking = loss(LossName::MultipleNegativesRanking, None);
        let facts = loss_facts(&ranking, &arguments);
        assert_eq!(facts.classes, ["CachedMultipleNegativesRankingLoss"]);
        assert_eq!(facts.parameters["mini_batch_size"], 32);
        assert_eq!(loss_facts(&ranking, &Arguments::default()).classes, ["MultipleNegativesRankingLoss"]);
        let nested = loss_facts(&loss(LossName::MultipleNegativesRanking, Some(vec![8, 4])), &arguments);
        assert_eq!(nested.classes, ["MatryoshkaLoss", "CachedMultipleNegativesRankingLoss"]);
        assert_eq!(nested.parameters["loss"], "CachedMultipleNegativesRankingLoss");
        assert_eq!(loss_facts(&loss(LossName::Cosent, None), &arguments).classes, ["CoSENTLoss"]);
    }

    #[test]
    fn titles_use_the_last_part_of_the_name() {
        assert_eq!(title("BAAI/bge-base-en-v1.5"), "bge-base-en-v1.5, fine-tuned");
        assert_eq!(title("mine"), "mine, fine-tuned");
    }

    #[test]
    fn examples_and_widget_work_on_few_rows() {
        let rows = vec![vec!["a".to_string(), "b".to_string()]];
        assert_eq!(examples(&rows), ["a", "b", "b"]);
        assert_eq!(widget(&rows).len(), 1);
    }
}
