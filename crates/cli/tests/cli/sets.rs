//! Training on several data sets, with prompts, and with negatives that each epoch draws.

use crate::prompts::model_with_prompts;
use crate::support::{Bench, fail, golden, text};
use serde_json::{Value, json};
use std::process::Command;

const TRAINING: &str = r#"
[training]
epochs = 2
batch_size = 4
learning_rate = 5e-4
log_every = 5
"#;

/// Writes a recipe of this model, with these tables.
fn recipe(bench: &Bench, model: &str, tables: &str) {
    bench.write("recipe.toml", &format!("[model]\nbase = \"{model}\"\n{tables}\n{TRAINING}"));
}

fn tiny() -> String {
    golden("tiny-bert").display().to_string()
}

fn lines(rows: impl Iterator<Item = Value>) -> String {
    rows.map(|row| format!("{row}\n")).collect()
}

/// Returns standard output and standard error of a command that must succeed.
fn both(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// Writes pairs with a score, and pairs with lists of one to four negatives.
fn write_sets(bench: &Bench) {
    let words = ["maji", "moto", "nyumba", "mto", "mlima", "barabara", "jua"];
    let text = |row: usize, place: usize| format!("{} {} {row} {place}", words[row % 7], words[row * place % 7]);
    let scored =
        |row: usize| json!({"sentence1": text(row, 1), "sentence2": text(row, 2), "score": (row % 5) as f64 / 4.0});
    bench.write("scored.jsonl", &lines((0..14).map(scored)));
    let mined = |row: usize| {
        let negatives: Vec<String> = (0..1 + row % 4).map(|at| text(row, 5 + at)).collect();
        json!({"anchor": text(row, 3), "positive": text(row, 4), "negatives": negatives})
    };
    bench.write("mined.jsonl", &lines((0..18).map(mined)));
}

const TWO_SETS: &str = r#"
[data]
sampler = "round_robin"
[[data.sets]]
name = "mined"
train = ["mined.jsonl"]
negatives = { count = 2 }
prompts = { anchor = "query", positive = "passage: ", negative_1 = "passage", negative_2 = "passage" }
[[data.sets]]
name = "scored"
train = ["scored.jsonl"]
columns = ["sentence1", "sentence2", "score"]
weight = 0.5
loss = { name = "cosent", scale = 10 }
[loss]
name = "multiple_negatives_ranking"
[evaluation]
split = 2
"#;

#[test]
fn two_sets_go_from_recipe_to_card() {
    let bench = Bench::new();
    write_sets(&bench);
    recipe(&bench, &model_with_prompts(&bench), &TWO_SETS.replace("[evaluation]", "[evaluation]\n"));
    let (plan, notes) = both(bench.train("run").arg("--dry-run"));
    assert!(notes.contains("mined: columns by position: query = `anchor`, document = `positive`"), "{notes}");
    assert!(notes.contains("have fewer than 2 texts in `negatives`"), "{notes}");
    assert!(!notes.contains("the model's folder has prompts"), "{notes}");
    assert!(plan.contains("\ndata set      mined\nrows          16, 3 micro-batches per epoch\n"), "{plan}");
    assert!(plan.contains("loss          cosent, with weight 0.5"), "{plan}");
    let shown: Vec<&str> = plan.lines().filter(|line| line.contains(" tokens  ")).collect();
    assert!(shown[0].contains("query") && shown[0].contains("tokens  query: "), "{shown:?}");
    assert!(shown[1].contains("tokens  passage: ") && shown[3].contains("tokens  passage: "), "{shown:?}");
    assert!(!shown.last().unwrap().contains("passage: "), "{shown:?}");

    let (scores, _) = both(bench.train("run").args(["--set", "training.evaluate=epoch"]));
    assert!(scores.contains("mined") && scores.contains("scored"), "{scores}");
    let record = std::fs::read_to_string(bench.path("run/record.jsonl")).unwrap();
    let rows: Vec<Value> = record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let losses = rows.iter().find_map(|row| row["set_losses"].as_array()).unwrap();
    assert_eq!(losses.len(), 2, "{record}");
    let names = rows.iter().find_map(|row| row["scores"].as_array()).unwrap();
    let names: Vec<&str> = names.iter().map(|score| score[0].as_str().unwrap()).collect();
    assert_eq!(names, ["mined_loss", "scored_loss"]);
    let card = std::fs::read_to_string(bench.path("run/model/README.md")).unwrap();
    for part in [
        "### Training Datasets\n",
        "\n#### mined\n",
        "\n#### scored\n",
        "* Size: 16 training samples",
        "* Size: 12 training samples",
        "<code>negative_2</code>",
        "<code>MultipleNegativesRankingLoss</code>",
        "<code>CoSENTLoss</code>",
        "- loss:CoSENTLoss",
        "- dataset_size:28",
        "<code>multi_dataset_batch_sampler</code>: round_robin",
        "'anchor': 'query'",
    ] {
        assert!(card.contains(part), "{part}: {card}");
    }
}

#[test]
fn one_set_is_the_same_in_either_table() {
    let bench = Bench::new();
    let weights = |out: &str, data: &str| {
        recipe(&bench, &tiny(), &format!("{data}\n[loss]\nname = \"multiple_negatives_ranking\""));
        both(bench.train(out).args(["--set", "training.max_steps=4"]));
        std::fs::read(bench.path(out).join("model/model.safetensors")).unwrap()
    };
    let one = weights("one", "[data]\ntrain = [\"pairs.jsonl\"]");
    assert!(one == weights("named", "[[data.sets]]\nname = \"pairs\"\ntrain = [\"pairs.jsonl\"]"));
    let prompted = "[data]\ntrain = [\"pairs.jsonl\"]\nprompts = { anchor = \"query: \" }";
    assert!(one != weights("prompted", prompted), "prompts change what is trained");
}

#[test]
fn training_without_the_prompts_of_the_model_is_noted() {
    let bench = Bench::new();
    let model = model_with_prompts(&bench);
    let notes = |model: &str, prompts: &str| {
        let tables =
            format!("[data]\ntrain = [\"pairs.jsonl\"]\n{prompts}\n[loss]\nname = \"multiple_negatives_ranking\"");
        recipe(&bench, model, &tables);
        both(bench.train("run").arg("--dry-run"))
    };
    let (plan, noted) = notes(&model, "");
    assert!(noted.contains("prompts (query \"query: \", passage \"passage: \")"), "{noted}");
    assert!(noted.contains("prompts = \"model\"") && noted.contains("prompts = {}"), "{noted}");
    assert!(!plan.contains("tokens  query: "), "{plan}");
    for prompts in ["prompts = {}", "prompts = \"model\"", "prompts = { positive = \"query\" }", "prompts = \"x: \""] {
        let (plan, noted) = notes(&model, prompts);
        assert!(!noted.contains("the model's folder has prompts"), "{prompts}: {noted}");
        assert_eq!(plan.contains("tokens  query: "), prompts.contains("model") || prompts.contains("query"), "{plan}");
        assert_eq!(plan.contains("tokens  passage: "), prompts.contains("model"), "{plan}");
        assert_eq!(plan.matches("tokens  x: ").count(), if prompts.contains("x: ") { 6 } else { 0 }, "{plan}");
    }
    let (_, noted) = notes(&tiny(), "");
    assert!(!noted.contains("the model's folder has prompts"), "{noted}");
}

#[test]
fn bad_prompts_sets_and_negatives_are_refused() {
    let bench = Bench::new();
    write_sets(&bench);
    let refused = |data: &str| {
        recipe(&bench, &tiny(), &format!("{data}\n[loss]\nname = \"multiple_negatives_ranking\""));
        fail(bench.train("run").arg("--dry-run"), 1)
    };
    let pairs = "[data]\ntrain = [\"pairs.jsonl\"]\n";
    let two = |more: &str| {
        format!(
            "[[data.sets]]\nname = \"a\"\ntrain = [\"pairs.jsonl\"]\n[[data.sets]]\nname = \"b\"\ntrain = [\"mined.jsonl\"]\n{more}"
        )
    };
    for (data, parts) in [
        (format!("{pairs}prompts = {{ anchr = \"x: \" }}"), &["no column `anchr`", "positive, anchor"][..]),
        (
            format!("{pairs}prompts = {{ anchor = \"qurey\" }}"),
            &["prompts:", "anchor: ", "no prompt is called `qurey`"],
        ),
        (format!("{pairs}prompts = \"model\""), &["the model's folder, which has none"]),
        (format!("{pairs}prompts = 3"), &["recipe.toml, line 5", "table of columns and prompts"]),
        (format!("{pairs}negatives = {{ count = 2 }}"), &["no column `negatives`"]),
        (format!("{pairs}negatives = {{ column = \"anchor\", count = 2 }}"), &["`anchor`", "does not hold lists"]),
        (two(""), &["in the data set `b`", "let each epoch draw some of them"]),
        (two("negatives = { count = 1 }\nweight = 0"), &["recipe.toml, line 10", "a weight above 0"]),
        (two("negatives = { count = 1 }\nprompts = { query = \"x: \" }"), &["`b`: prompts:", "no column `query`"]),
        (two("negatives = { count = 1 }\nloss = { name = \"triplet\", margin = -1 }"), &["`b`: loss:", "`margin`"]),
        (two("negatives = { count = 1 }\nloss = { name = \"cosent\" }"), &["in the data set `b`", "`cosent` needs"]),
        (two("columns = [\"anchor\", \"missing\"]"), &["in the data set `b`", "no column `missing`"]),
        (two("limit = 0"), &["[[data.sets]] `b`: limit is 0"]),
    ] {
        let fault = refused(&data);
        assert!(parts.iter().all(|part| fault.contains(part)), "{data}\n{fault}");
    }
    bench.write("empty.jsonl", "");
    let fault = refused(&two("negatives = { count = 1 }").replace("mined.jsonl", "empty.jsonl"));
    assert!(fault.contains("in the data set `b`") && fault.contains("empty.jsonl: no rows"), "{fault}");
}

#[test]
fn triplets_are_formed_within_batches_by_label() {
    let bench = Bench::new();
    let rows = (0..40).map(|row| json!({"text": format!("maji {} na moto {row}", row % 9), "label": row % 3}));
    bench.write("labelled.jsonl", &lines(rows));
    let tables = "[data]\ntrain = [\"labelled.jsonl\"]\n[loss]\nname = \"batch_hard_triplet\"";
    recipe(&bench, &tiny(), tables);
    let settings = ["--set", "training.batch_sampler=group_by_label", "--set", "training.batch_size=8"];
    let (plan, _) = both(bench.train("run").args(settings).arg("--dry-run"));
    // Labels 1 and 2 have 13 rows, of which 12 come, and so do as many of label 0.
    assert!(plan.contains("micro-batches 5 per epoch"), "{plan}");
    both(bench.train("run").args(settings));
    let fault = fail(bench.train("other").args(settings).args(["--set", "training.batch_size=7"]), 1);
    assert!(fault.contains("`batch_size` is 7") && fault.contains("even number"), "{fault}");
}
