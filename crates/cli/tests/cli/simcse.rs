//! SimCSE next to pairs: a set of texts without pairs in a run on pairs.

use crate::interrupted::survives_ten_kills;
use crate::support::{Bench, command, copy_folder, fail, golden, succeed, text};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const RECIPE: &str = r#"
[model]
base = "BASE"

[data]
[[data.sets]]
name = "pairs"
train = ["rows.jsonl"]
[[data.sets]]
name = "texts"
train = ["texts.txt"]
weight = 0.5
loss = { name = "simcse", matryoshka_dims = [16, 8] }

[loss]
name = "multiple_negatives_ranking"
matryoshka_dims = [16, 8]

[training]
epochs = 1
batch_size = 8
mini_batch_size = 3
learning_rate = 1e-3
batch_sampler = "no_duplicates"
log_every = 1

[evaluation]
split = 4
loss = true
"#;

/// Changes fields of the `config.json` of a folder.
fn configure(folder: &Path, fields: &Value) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        config[name] = value.clone();
    }
    std::fs::write(path, config.to_string()).unwrap();
}

/// A bench with rows of pairs, lines of texts, and tiny-bert with dropout as the base of the
/// recipe.
fn bench() -> Bench {
    let bench = Bench::new();
    let words = ["maji", "moto", "nyumba", "mto", "mlima", "barabara", "jua"];
    let text = |row: usize, place: usize| format!("{} {} {row} {place}", words[row % 7], words[row * place % 7]);
    let pair = |row: usize| format!("{}\n", json!({"anchor": text(row, 1), "positive": text(row, 2)}));
    bench.write("rows.jsonl", &(0..44).map(pair).collect::<String>());
    bench.write("texts.txt", &(0..28).map(|row| text(row, 5) + "\n").collect::<String>());
    let base = bench.path("base");
    copy_folder(&golden("tiny-bert"), &base);
    configure(&base, &json!({"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}));
    write_recipe(&bench, &base, "");
    bench
}

/// Writes the recipe with a base and further settings of the model.
fn write_recipe(bench: &Bench, base: &Path, model: &str) {
    let settings = format!("base = {:?}\n{model}", base.to_str().unwrap());
    bench.write("recipe.toml", &RECIPE.replace("base = \"BASE\"", &settings));
}

/// Returns standard output and standard error of a command that must succeed.
fn both(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

const ROUND_ROBIN: &str = "data.sampler=round_robin";
const BEST: &str = "training.keep_best=[\"pairs_loss\", \"texts_loss\"]";

#[test]
fn killed_ten_times_a_run_on_pairs_and_texts_ends_with_the_same_bits() {
    survives_ten_kills(&bench(), &[BEST], "model.safetensors");
}

#[test]
fn killed_ten_times_a_run_on_pairs_and_texts_in_turn_ends_with_the_same_bits() {
    survives_ten_kills(&bench(), &[BEST, ROUND_ROBIN], "model.safetensors");
}

#[test]
fn pairs_and_texts_in_mini_batches_give_the_bits_of_whole_batches() {
    let bench = bench();
    let weights = |out: &str, settings: &[&str]| {
        let mut train = bench.train(out);
        train.args(settings.iter().flat_map(|setting| ["--set", setting]));
        succeed(&mut train);
        std::fs::read(bench.path(out).join("model/model.safetensors")).unwrap()
    };
    for (number, sampler) in ["data.sampler=proportional", ROUND_ROBIN].into_iter().enumerate() {
        let parts = weights(&format!("parts{number}"), &[sampler]);
        assert!(parts == weights(&format!("whole{number}"), &[sampler, "training.mini_batch_size=1000"]), "{sampler}");
        assert!(parts != weights(&format!("seed{number}"), &[sampler, "training.seed=43"]), "{sampler}");
    }
}

#[test]
fn texts_without_pairs_go_from_recipe_to_card_and_back() {
    let bench = bench();
    let (plan, notes) = both(bench.train("run").arg("--dry-run"));
    assert!(plan.contains("\ndata set      texts\nrows          24, 3 micro-batches per epoch\n"), "{plan}");
    assert!(plan.contains("columns       text 1 = `text`, text 2 = `text`\n"), "{plan}");
    assert!(plan.contains("loss          simcse, with weight 0.5"), "{plan}");
    assert!(notes.contains("texts: columns by position") && !notes.contains("no dropout"), "{notes}");

    let (scores, _) = both(&mut bench.train("run"));
    assert!(scores.contains("\npairs\n") && scores.contains("\ntexts\n"), "{scores}");
    let record = std::fs::read_to_string(bench.path("run/record.jsonl")).unwrap();
    assert!(record.contains("[[\"pairs\",") && record.contains("[[\"texts\","), "{record}");
    let card = bench.path("run/model/README.md");
    let shown = std::fs::read_to_string(&card).unwrap();
    assert!(shown.contains("\n#### texts\n\n* Size: 24 training samples\n"), "{shown}");

    let (toml, _) = both(command(&["train", "--from-card"]).arg(&card));
    let set = toml.split("name = \"texts\"").nth(1).unwrap();
    assert!(set.contains("\ncolumns = [\"text\"]\nloss = { name = \"simcse\", "), "{toml}");
    let base = format!("base = {:?}", bench.path("base").to_str().unwrap());
    let named = toml.replace("base = \"base\"", &base).replace("train-1.jsonl", "rows.jsonl");
    bench.write("recipe.toml", &named.replace("train-2.jsonl", "texts.txt"));
    let (plan, _) = both(bench.train("again").arg("--dry-run"));
    assert!(plan.contains("loss          simcse, with weight 1"), "{plan}");
}

/// A ModernBERT without a head, with these probabilities.
fn modern_bert(bench: &Bench, dropout: &Value) -> PathBuf {
    let folder = bench.path("modernbert");
    copy_folder(&golden("cross/modernbert"), &folder);
    for file in ["config_sentence_transformers.json", "modules.json", "sentence_bert_config.json"] {
        std::fs::remove_file(folder.join(file)).unwrap();
    }
    configure(&folder, &json!({"architectures": ["ModernBertModel"]}));
    configure(&folder, dropout);
    folder
}

#[test]
fn models_without_dropout_are_noted_with_the_name_of_the_set() {
    let bench = bench();
    let notes = |base: &Path, model: &str| {
        write_recipe(&bench, base, model);
        both(bench.train("run").arg("--dry-run")).1
    };
    let (tiny, note) = (golden("tiny-bert"), "note: texts: the model has no dropout");
    for (model, remedy) in [
        ("", "set hidden_dropout_prob in its config.json"),
        ("lora = { rank = 2 }", "set hidden_dropout_prob in its config.json"),
        ("kind = \"static\"\ndimension = 64", "a static model learns from pairs"),
    ] {
        let notes = notes(&tiny, model);
        assert!(notes.contains(note) && notes.contains(remedy), "{model}: {notes}");
    }
    let adapted = notes(&tiny, "lora = { rank = 2, dropout = 0.1 }");
    assert!(!adapted.contains("no dropout"), "{adapted}");
    let without = notes(&modern_bert(&bench, &json!({})), "");
    assert!(without.contains(note) && without.contains("set mlp_dropout in its config.json"), "{without}");
    let with = notes(&modern_bert(&bench, &json!({"mlp_dropout": 0.1})), "");
    assert!(!with.contains("no dropout"), "{with}");
}

#[test]
fn a_cross_encoder_refuses_texts_without_pairs() {
    let bench = bench();
    write_recipe(&bench, &golden("cross/bert"), "kind = \"cross_encoder\"");
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    bench.write("recipe.toml", &recipe.replace("\nmatryoshka_dims = [16, 8]\n", "\n"));
    let error = fail(&mut bench.train("run"), 1);
    assert!(error.contains("[[data.sets]] `texts`: loss: `name` is \"simcse\""), "{error}");
    assert!(error.contains("has to be a loss of cross-encoders"), "{error}");
}
