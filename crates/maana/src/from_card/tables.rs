//! The tables of the recipe.

use super::loss::{Loss, loss};
use super::notes::Notes;
use super::read::{CardDataset, SourceCard};
use super::training::Settings;
use super::values::{one_line, toml_value};
use maana_train::{Inputs, LossName};
use serde_json::{Value, json};
use std::fmt::Write;

/// Candidates up to which measures of reranking count if a set does not say so.
const AT_K: usize = 10;

/// Files of the training data until somebody names them.
const TRAIN_PLACEHOLDER: &str = "train.jsonl";

/// Formats the recipe of a card. Returns it with all notes.
pub(super) fn write(card: &SourceCard, mut settings: Settings, mut notes: Notes) -> (String, Vec<String>) {
    let mut losses: Vec<Option<Loss>> = Vec::new();
    for dataset in &card.datasets {
        let mut found =
            dataset.loss.as_ref().and_then(|(class, parameters)| loss(class, parameters, card.inputs, &mut notes));
        if let ([one, other], Some(loss)) = (&dataset.columns[..], &mut found)
            && one == other
        {
            loss.of_texts_with_themselves();
        }
        for (key, value) in found.iter().flat_map(|loss| &loss.training) {
            settings.set(key, value.clone());
        }
        losses.push(found);
    }
    match card.version.as_deref() {
        Some(version) if version.starts_with("3.0.") => settings.set("reproduce", json!("3.0.1")),
        Some(version) if !version.starts_with("6.2") => {
            notes.add(format!("the order of the rows is that of version 6.2, not of {version}"));
        }
        _ => {}
    }
    if card.inputs == Inputs::Pairs && settings.prompts.as_ref().is_some_and(|prompts| !prompts.is_string()) {
        settings.prompts = None;
        notes.add("prompts of columns are not supported in a cross-encoder; set [data] prompts to one text".into());
    }
    if let Some(adapters) = &card.adapters {
        notes.add(format!("the card's training had adapters, {adapters}; set [model.lora]"));
    }
    if card.is_blend {
        notes.add("the card's model is a blend with the base; set [blend] for blends after the training".into());
    }
    let data = data_table(card, &settings, &losses);
    let model = model_table(card, &mut notes);
    let first = losses.iter().flatten().next();
    let mut loss_table = String::from("\n[loss]\n");
    match first {
        Some(loss) => settings_lines(&loss.settings, &mut loss_table),
        None => {
            let usual = match card.inputs {
                Inputs::Texts => LossName::MultipleNegativesRanking,
                Inputs::Pairs => LossName::BinaryCrossEntropy,
            };
            let _ = writeln!(loss_table, "name = {}  # the card's is not supported", toml_value(&json!(usual)));
        }
    }
    let mut training_table = String::from("\n[training]\n");
    settings_lines(&settings.training, &mut training_table);
    let evaluation = evaluation_table(card, first, &mut notes);
    let notes = notes.into_list();
    let mut toml = String::from("# Made by `maana train --from-card`. Name the files of the data before you run it.\n");
    for note in &notes {
        let _ = writeln!(toml, "# - {}", one_line(note));
    }
    toml += &[model, data, loss_table, training_table, evaluation, card_table(card)].concat();
    (toml, notes)
}

fn model_table(card: &SourceCard, notes: &mut Notes) -> String {
    let base = card.base.clone().unwrap_or_else(|| {
        notes.add("the card does not name the base model; set [model] base".into());
        "path/to/base".into()
    });
    let revision = card.base_revision.as_ref().map(|revision| format!("  # at revision {}", one_line(revision)));
    let mut table = format!("\n[model]\nbase = {}{}\n", toml_value(&json!(base)), revision.unwrap_or_default());
    if card.inputs == Inputs::Pairs {
        table += "kind = \"cross_encoder\"\n";
        if let Some(labels) = card.labels.filter(|labels| *labels > 1) {
            let _ = writeln!(table, "num_labels = {labels}");
        }
    }
    if card.is_static {
        static_lines(card, &mut table, notes);
    } else if let Some(length) = card.max_seq_length {
        let _ = writeln!(table, "max_seq_length = {length}");
    }
    table
}

/// Adds the settings of a static model. A card without a base is of a new table.
fn static_lines(card: &SourceCard, table: &mut String, notes: &mut Notes) {
    let dimension = card.dimension.map_or("512".to_owned(), |dimension| dimension.to_string());
    if card.base.is_none() {
        let _ = writeln!(table, "kind = \"static\"\ndimension = {dimension}");
        notes.add("the model is a new table of static embeddings; [model] base names a model for its tokenizer".into());
    } else {
        notes.add(format!(
            "the model is a table of static embeddings; if it was new, and the base names its tokenizer only, set \
             [model] kind = \"static\" and dimension = {dimension}"
        ));
    }
}

fn data_table(card: &SourceCard, settings: &Settings, losses: &[Option<Loss>]) -> String {
    let mut table = String::from("\n[data]\n");
    let prompts = |prompts: &Value| format!("prompts = {}\n", toml_value(prompts));
    let [_, _, ..] = &card.datasets[..] else {
        card.datasets.iter().for_each(|dataset| dataset_lines(dataset, TRAIN_PLACEHOLDER, &mut table));
        return table + &settings.prompts.as_ref().map(prompts).unwrap_or_default();
    };
    if let Some(sampler) = settings.sampler.as_ref().filter(|sampler| *sampler != "proportional") {
        let _ = writeln!(table, "sampler = {}", toml_value(&json!(sampler)));
    }
    let named = |dataset: &CardDataset| settings.prompts.as_ref()?.get(dataset.name.as_ref()?).cloned();
    if card.datasets.iter().all(|dataset| named(dataset).is_none()) {
        table += &settings.prompts.as_ref().map(prompts).unwrap_or_default();
    }
    let mut names: Vec<String> = Vec::new();
    for (number, (dataset, loss)) in card.datasets.iter().zip(losses).enumerate() {
        let free = dataset.name.clone().filter(|name| !names.contains(name));
        names.push(free.unwrap_or_else(|| format!("set-{}", number + 1)));
        let _ = writeln!(table, "\n[[data.sets]]\nname = {}", toml_value(&json!(names[number])));
        dataset_lines(dataset, &format!("train-{}.jsonl", number + 1), &mut table);
        table += &named(dataset).as_ref().map(prompts).unwrap_or_default();
        let shared = losses.iter().flatten().next();
        if let Some(loss) = loss.as_ref().filter(|loss| Some(&loss.settings) != shared.map(|first| &first.settings)) {
            let _ = writeln!(table, "loss = {}", loss.inline());
        }
    }
    table
}

fn dataset_lines(dataset: &CardDataset, placeholder: &str, table: &mut String) {
    let rows = dataset.rows.as_ref().map(|rows| format!("  # files with the {} rows of the card", one_line(rows)));
    let _ = writeln!(table, "train = [\"{placeholder}\"]{}", rows.unwrap_or_default());
    // SimCSE has one column, which its card shows twice.
    let mut columns = dataset.columns.clone();
    columns.dedup();
    if !columns.is_empty() {
        let _ = writeln!(table, "columns = {}", toml_value(&json!(columns)));
    }
}

/// Kinds of evaluation sets by the reference's evaluators.
const KINDS: [(&str, &str); 10] = [
    ("BinaryClassificationEvaluator", "binary"),
    ("CrossEncoderCorrelationEvaluator", "similarity"),
    ("CrossEncoderRerankingEvaluator", "reranking"),
    ("EmbeddingSimilarityEvaluator", "similarity"),
    ("InformationRetrievalEvaluator", "retrieval"),
    ("LabelAccuracyEvaluator", "labels"),
    ("ParaphraseMiningEvaluator", "mining"),
    ("RerankingEvaluator", "reranking"),
    ("TranslationEvaluator", "translation"),
    ("TripletEvaluator", "triplet"),
];

fn evaluation_table(card: &SourceCard, loss: Option<&Loss>, notes: &mut Notes) -> String {
    let sets = evaluation_sets(card, notes);
    let mut table = String::from("\n[evaluation]\n");
    if sets.has_unnamed_retrieval {
        let _ = writeln!(table, "retrieval = [\"dev\"]  # {RETRIEVAL_FOLDER}");
    }
    let trained = loss.and_then(|loss| loss.settings.iter().find(|(key, _)| key == "matryoshka_dims"));
    if !sets.dims.is_empty() && trained.is_none_or(|(_, trained)| *trained != json!(sets.dims)) {
        let _ = writeln!(table, "dims = {}", toml_value(&json!(sets.dims)));
    }
    if card.has_dev_loss {
        table += "split = 0.02  # the card had an evaluation set of its own for the loss\nloss = true\n";
    }
    table + &sets.tables
}

/// Files of a retrieval set, for a comment.
const RETRIEVAL_FOLDER: &str = "a folder with queries.jsonl, corpus.jsonl and qrels.tsv";

/// Evaluation sets of a card.
#[derive(Default)]
struct CardSets {
    /// Tables `[[evaluation.sets]]`.
    tables: String,
    /// A retrieval set has no name of its own.
    has_unnamed_retrieval: bool,
    /// Dimensions of the evaluations, largest first.
    dims: Vec<usize>,
}

/// Returns the sets of the evaluators. Those of one set at several dimensions are one set.
fn evaluation_sets(card: &SourceCard, notes: &mut Notes) -> CardSets {
    let mut found = CardSets::default();
    let mut names: Vec<String> = Vec::new();
    let mut at_dims: Vec<(&str, Option<String>)> = Vec::new();
    for evaluator in &card.evaluators {
        let kind = match &*evaluator.class {
            // Of one label the classes are 1 and 0.
            "CrossEncoderClassificationEvaluator" if card.labels.is_some_and(|labels| labels > 1) => {
                Some("classification")
            }
            "CrossEncoderClassificationEvaluator" => Some("binary"),
            other => KINDS.iter().find(|(class, _)| *class == other).map(|(_, kind)| *kind),
        };
        let Some(kind) = kind else {
            notes
                .add(format!("the evaluator {} is not supported; see [evaluation] in docs/recipe.md", evaluator.class));
            continue;
        };
        let is_retrieval = kind == "retrieval";
        let parts = |name: &String| match card.inputs {
            Inputs::Texts => set_and_dim(name, is_retrieval),
            Inputs::Pairs => (Some(name.clone()), None),
        };
        let unnamed = evaluator.names.is_empty().then_some((None, None));
        for (name, dim_in_name) in evaluator.names.iter().map(parts).chain(unnamed) {
            let truncated = evaluator.truncate_dim.filter(|_| is_retrieval || dim_in_name.is_some());
            found.dims.extend(truncated.or(dim_in_name));
            if is_retrieval && name.is_none() {
                found.has_unnamed_retrieval = true;
                continue;
            }
            if dim_in_name.is_some() {
                if at_dims.contains(&(kind, name.clone())) {
                    continue;
                }
                at_dims.push((kind, name.clone()));
            }
            let free = free_name(name.as_deref().unwrap_or(kind), kind, &names);
            found.tables += "\n[[evaluation.sets]]\n";
            // Without a name a set has that of its file.
            if name.is_some() || free != kind {
                let _ = writeln!(found.tables, "name = {}", toml_value(&json!(free)));
            }
            let files = match is_retrieval {
                true => format!("{}  # {RETRIEVAL_FOLDER}", toml_value(&json!([free]))),
                false => toml_value(&json!([format!("{free}.jsonl")])),
            };
            let _ = writeln!(found.tables, "kind = \"{kind}\"\nfiles = {files}");
            if let Some(at_k) = evaluator.at_k.filter(|at_k| *at_k != AT_K) {
                let _ = writeln!(found.tables, "at_k = {at_k}");
            }
            names.push(free);
        }
    }
    found.dims.sort_unstable_by(|one, other| other.cmp(one));
    found.dims.dedup();
    found
}

/// Divides the name of an evaluation into that of its set and its dimension: `NAME_dim_64`, or
/// `dim_64` of a set without a name. The reference's names of retrieval may also be `NAME_64`.
fn set_and_dim(name: &str, is_retrieval: bool) -> (Option<String>, Option<usize>) {
    let whole = || (Some(name.to_owned()), None);
    let divided = name.rsplit_once('_').and_then(|(set, dim)| Some((set, dim.parse().ok()?)));
    let Some((before, dim)) = divided else { return whole() };
    let set = before.strip_suffix("_dim").or(is_retrieval.then_some(before));
    match set {
        _ if before == "dim" => (None, Some(dim)),
        Some(set) if !set.is_empty() => (Some(set.to_owned()), Some(dim)),
        _ => whole(),
    }
}

/// Returns a name for a set that no other has. The reference's evaluators may share one.
fn free_name(name: &str, kind: &str, names: &[String]) -> String {
    let numbered = (2..).map(|number: u64| format!("{name}_{kind}_{number}"));
    let mut candidates = [name.to_owned(), format!("{name}_{kind}")].into_iter().chain(numbered);
    candidates.find(|candidate| !names.contains(candidate)).expect("the numbers do not end")
}

fn card_table(card: &SourceCard) -> String {
    let mut table = String::from("\n[card]\n");
    let starts = ["SentenceTransformer", "Sentence Transformer", "CrossEncoder", "Cross Encoder"];
    let generated = |title: &&String| starts.iter().any(|start| title.starts_with(start));
    if let Some(title) = card.title.as_ref().filter(|title| !generated(title)) {
        let _ = writeln!(table, "name = {}", toml_value(&json!(title)));
    }
    if !card.languages.is_empty() {
        let _ = writeln!(table, "language = {}", toml_value(&json!(card.languages)));
    }
    if let Some(license) = &card.license {
        let _ = writeln!(table, "license = {}", toml_value(&json!(license)));
    }
    table
}

fn settings_lines(settings: &[(String, Value)], table: &mut String) {
    for (key, value) in settings {
        let _ = writeln!(table, "{key} = {}", toml_value(value));
    }
}
