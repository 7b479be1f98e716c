//! `maana train` of cross-encoders, their evaluation and card, and the way from a cross-encoder to
//! a bi-encoder that it teaches.

use crate::interrupted::survives_ten_kills;
use crate::support::{Bench, command, fail, golden, succeed};
use serde_json::{Value, json};

const WORDS: [&str; 8] = ["maji", "nyumba", "sera", "mtandao", "mtoto", "barabara", "habari", "soko"];

/// Returns text `number`, one of 64.
fn text(number: usize) -> String {
    format!("{} ya {}", WORDS[number % 8], WORDS[number / 8 % 8])
}

fn write_rows(bench: &Bench, name: &str, rows: impl Iterator<Item = Value>) {
    bench.write(name, &rows.map(|row| format!("{row}\n")).collect::<String>());
}

/// Writes pairs with labels, triplets, lists of different lengths, classes and dev sets.
fn write_data(bench: &Bench) {
    let pair = |row: usize| {
        let document = if row.is_multiple_of(2) { row * 5 + 1 } else { row * 11 + 3 };
        json!({"query": text(row * 5), "document": text(document), "label": (row + 1) % 2})
    };
    write_rows(bench, "pairs.jsonl", (0..24).map(pair));
    let triplet =
        |row: usize| json!({"anchor": text(row * 5), "positive": text(row * 5 + 1), "negative": text(row * 7 + 9)});
    write_rows(bench, "triplets.jsonl", (0..24).map(triplet));
    let list = |row: usize| {
        let documents: Vec<String> = (0..1 + row % 4).map(|document| text(row * 5 + document)).collect();
        let labels: Vec<usize> = (0..documents.len()).map(|document| (document + row) % 3).collect();
        json!({"query": text(row * 3), "documents": documents, "labels": labels})
    };
    write_rows(bench, "lists.jsonl", (0..24).map(list));
    let classes = ["no", "perhaps", "yes"];
    let class = |row: usize| json!({"a": text(row * 5), "b": text(row * 7 + 1), "label": classes[row % 3]});
    write_rows(bench, "classes.jsonl", (0..24).map(class));
    let dev = |row: usize| {
        let documents: Vec<String> = [9, 1, 4].iter().map(|step| text(row * 5 + step)).collect();
        json!({"query": text(row * 5), "positive": [text(row * 5 + 1)], "documents": documents})
    };
    write_rows(bench, "dev.jsonl", (0..8).map(dev));
}

/// Writes a recipe with these files, this loss, further settings of the model and sets.
fn write_recipe(bench: &Bench, train: &str, loss: &str, model: &str, training: &str, sets: &str) {
    let base = golden("tiny-bert");
    let recipe = format!(
        "[model]\nbase = {base:?}\nkind = \"cross_encoder\"\n{model}\n[data]\ntrain = [{train:?}]\n[loss]\n{loss}\n\
         [training]\nbatch_size = 8\nepochs = 1\nlearning_rate = 1e-3\n{training}\n{sets}"
    );
    bench.write("recipe.toml", &recipe);
}

const RERANKING: &str = "[[evaluation.sets]]\nname = \"dev\"\nkind = \"reranking\"\nfiles = [\"dev.jsonl\"]\n";
const BINARY: &str = "[[evaluation.sets]]\nname = \"pairs\"\nfiles = [\"pairs.jsonl\"]\n";
const ENTROPY: &str = "name = \"binary_cross_entropy\"\npos_weight = 2.0";

#[test]
fn a_killed_run_of_a_cross_encoder_ends_with_the_same_bits() {
    let bench = Bench::new();
    write_data(&bench);
    let loss = "name = \"multiple_negatives_ranking\"\nnum_negatives = 2";
    write_recipe(&bench, "triplets.jsonl", loss, "", "keep_best = \"dev_ndcg@10\"\nmini_batch_size = 5", RERANKING);
    survives_ten_kills(&bench, &[], "model.safetensors");
}

#[test]
fn a_cross_encoder_is_trained_evaluated_and_described() {
    let bench = Bench::new();
    write_data(&bench);
    let training = "evaluate = 1\nkeep_best = \"dev_ndcg@10\"\nearly_stopping_patience = 3";
    let sets = format!("[evaluation]\nsplit = 4\nloss = true\n{RERANKING}{BINARY}");
    write_recipe(&bench, "pairs.jsonl", ENTROPY, "", training, &sets);
    let shown = succeed(&mut bench.train("run"));
    assert!(shown.contains("base_ndcg@10") && shown.contains("average_precision"), "{shown}");
    let folder = bench.path("run/model");
    let card = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for part in [
        "- cross-encoder\n- reranker\n- generated_from_trainer\n",
        "- loss:BinaryCrossEntropyLoss\n",
        "pipeline_tag: text-ranking\n",
        "type: cross-encoder-reranking\n      name: Cross Encoder Reranking\n",
        "**Model type:** Cross Encoder",
        "**Number of output labels:** 1 label\n",
        "CrossEncoder(\n  (0): Transformer(",
        "from sentence_transformers import CrossEncoder",
        "scores = model.predict(pairs)",
        "ranks = model.rank(",
        "maana rerank path/to/this/folder",
        "#### Cross Encoder Reranking",
        "cross_encoder/evaluation.html#sentence_transformers.cross_encoder.evaluation.CrossEncoderRerankingEvaluator",
        "#### Cross Encoder Classification",
        "cross_encoder/losses.html#binarycrossentropyloss",
        "\"pos_weight\": 2.0",
        "torch.nn.modules.linear.Identity",
        "Validation Loss",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    let widget = ["widget:", "similarity function", "Output dimensionality", "base_map", "sentence-similarity"];
    assert!(widget.iter().all(|part| !card.contains(part)), "{card}");
    let gain = card.lines().find(|line| line.starts_with("| **ndcg@10**")).expect("the primary measure in bold");
    assert!(gain.contains(" (+") || gain.contains(" (-"), "the gain over the order of the documents: {gain}");
    let report = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(report.contains("A cross-encoder with 1 label") && !report.contains("0 dims"), "{report}");

    let json = bench.path("scores.json");
    let mut evaluate =
        command(&["evaluate", folder.to_str().unwrap(), "--at-k", "3", "--json", json.to_str().unwrap()]);
    succeed(evaluate.arg(bench.path("dev.jsonl")).arg(bench.path("pairs.jsonl")).arg("--csv").arg(bench.path("csv")));
    let scores: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert!(scores["pairs_average_precision"].is_number() && scores.get("pairs_cosine_ap").is_none(), "{scores}");
    let csv = bench.path("csv/CrossEncoderClassificationEvaluator_pairs_results.csv");
    assert!(std::fs::read_to_string(csv).unwrap().starts_with("epoch,steps,Accuracy,Accuracy_Threshold,F1,"));
    let recipe = bench.path("recipe.toml");
    let mut loss = command(&["evaluate", folder.to_str().unwrap(), "--kind", "loss"]);
    assert!(succeed(loss.arg("--recipe").arg(recipe).arg(bench.path("pairs.jsonl"))).contains("loss"));
}

#[test]
fn losses_of_cross_encoders_train_on_their_data() {
    let bench = Bench::new();
    write_data(&bench);
    let three = "labels = [\"no\", \"perhaps\", \"yes\"]\nactivation = \"softmax\"";
    let ranking = "name = \"multiple_negatives_ranking\"";
    for (number, (data, loss, model, training, parts)) in [
        (
            "triplets.jsonl",
            ranking,
            "",
            "mini_batch_size = 3",
            &["CachedMultipleNegativesRankingLoss", "\"mini_batch_size\": 3"][..],
        ),
        ("lists.jsonl", "name = \"lambda\"\nk = 3", "", "", &["LambdaLoss", "NDCGLoss2PPScheme"]),
        ("lists.jsonl", "name = \"plist_mle\"", "", "", &["PListMLELoss", "Position-Aware"]),
        (
            "classes.jsonl",
            "name = \"cross_entropy\"",
            three,
            "",
            &["CrossEntropyLoss", "text-classification", "3 labels: <code>no</code>"],
        ),
        ("pairs.jsonl", "name = \"mse\"\nactivation = \"sigmoid\"", "", "", &["MSELoss", "activation.Sigmoid"]),
    ]
    .into_iter()
    .enumerate()
    {
        write_recipe(&bench, data, loss, model, training, "");
        let out = format!("run{number}");
        succeed(&mut bench.train(&out));
        let card = std::fs::read_to_string(bench.path(&out).join("model/README.md")).unwrap();
        for part in parts {
            assert!(card.contains(part), "{part}: {card}");
        }
    }
    let classes = bench.path("run3/model");
    let shown = succeed(command(&["evaluate", classes.to_str().unwrap()]).arg(bench.path("classes.jsonl")));
    assert!(shown.contains("f1_macro") && shown.contains("f1_weighted"), "{shown}");
    // A cross-encoder trains on, with its own labels.
    write_recipe(&bench, "classes.jsonl", "name = \"cross_entropy\"", three, "", "");
    let base = format!("model.base={}", classes.display());
    succeed(bench.train("again").args(["--set", &base]));
    write_recipe(&bench, "pairs.jsonl", "name = \"cross_entropy\"", "num_labels = 2", "", "");
    let error = fail(bench.train("other").args(["--set", &base]), 1);
    assert!(error.contains("a head of 3 labels (no, perhaps, yes), but 2 are asked for"), "{error}");
}

#[test]
fn settings_and_data_that_do_not_fit_a_cross_encoder_are_named() {
    let bench = Bench::new();
    write_data(&bench);
    write_rows(&bench, "equal.jsonl", (0..8).map(|row| json!({"a": text(row), "b": text(row + 3), "label": 1})));
    let cases: [(&str, &str, &str, &[&str], &str); 11] = [
        ("equal.jsonl", ENTROPY, "", &[], "equal.jsonl: all rows have the same label (`label`)"),
        (
            "classes.jsonl",
            "name = \"cross_entropy\"",
            "labels = [\"a\", \"b\"]",
            &[],
            "not among the names of the labels: a, b",
        ),
        ("pairs.jsonl", "name = \"cosent\"", "", &[], "a loss of cross-encoders"),
        ("pairs.jsonl", ENTROPY, "num_labels = 3", &[], "the model has 3 labels"),
        ("pairs.jsonl", "name = \"cross_entropy\"", "", &[], "num_labels"),
        ("pairs.jsonl", ENTROPY, "", &["model.kind=bi_encoder"], "has to be a loss of embeddings"),
        ("pairs.jsonl", ENTROPY, "", &["evaluation.dims=[8]"], "a cross-encoder has none"),
        ("pairs.jsonl", ENTROPY, "", &["model.lora.rank=2"], "merge = true"),
        (
            "pairs.jsonl",
            ENTROPY,
            "",
            &["blend.alphas=[0.0, 0.5]", "evaluation.split=4"],
            "the share 0, the base itself, which has no head",
        ),
        ("lists.jsonl", ENTROPY, "", &[], "documents"),
        ("pairs.jsonl", "name = \"lambda\"", "", &[], "several documents for each query"),
    ];
    for (number, (data, loss, model, settings, expected)) in cases.into_iter().enumerate() {
        write_recipe(&bench, data, loss, model, "", "");
        let mut train = bench.train(&format!("run{number}"));
        settings.iter().for_each(|setting| {
            train.args(["--set", setting]);
        });
        let error = fail(&mut train, 1);
        assert!(error.contains(expected), "{expected}: {error}");
    }
    write_recipe(&bench, "pairs.jsonl", ENTROPY, "max_seq_length = 8", "", "");
    let shown = bench.train("short").arg("--dry-run").output().unwrap();
    let notes = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(notes.contains("pairs have 8 tokens or more, to which pairs are cut"), "{notes}");
    assert!(notes.contains("[model] max_seq_length changes this"), "{notes}");
    let triplet = "[[evaluation.sets]]\nname = \"t\"\nkind = \"triplet\"\nfiles = [\"triplets.jsonl\"]\n";
    write_recipe(&bench, "pairs.jsonl", ENTROPY, "", "", triplet);
    let error = fail(&mut bench.train("triplet"), 1);
    assert!(error.contains("not measured on sets of the kind triplet"), "{error}");
}

fn tensors(folder: &std::path::Path) -> std::collections::BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let data = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&bytes[8..data]).unwrap();
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__").map(|(name, entry)| {
        let [start, end]: [usize; 2] = serde_json::from_value(entry["data_offsets"].clone()).unwrap();
        let values = bytes[data + start..data + end].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        (name.trim_start_matches("bert.").to_owned(), values.collect())
    });
    tensors.collect()
}

/// Blends by a recipe and by the command: the encoder is between base and trained model, the head
/// is that of the trained model.
#[test]
fn blends_with_a_base_without_a_head_keep_the_trained_head() {
    let bench = Bench::new();
    write_data(&bench);
    write_recipe(&bench, "pairs.jsonl", ENTROPY, "", "", &format!("{BINARY}[blend]\nalphas = [0.5]\n"));
    let shown = succeed(&mut bench.train("blended"));
    assert!(shown.contains("0.5"), "{shown}");
    write_recipe(&bench, "pairs.jsonl", ENTROPY, "", "", BINARY);
    succeed(&mut bench.train("tuned"));
    let out = bench.path("command");
    let mut blend = command(&["blend", golden("tiny-bert").to_str().unwrap(), "--weights", "0.5,0.5", "--out"]);
    succeed(blend.arg(&out).arg(bench.path("tuned/model")));
    let [base, tuned, by_recipe, by_command] =
        [golden("tiny-bert"), bench.path("tuned/model"), bench.path("blended/model"), out].map(|path| tensors(&path));
    for (name, tuned) in &tuned {
        let expected: Vec<f32> = match base.get(name).filter(|_| !name.starts_with("pooler.")) {
            Some(base) => {
                base.iter().zip(tuned).map(|(a, b)| (0.5 * f64::from(*a) + 0.5 * f64::from(*b)) as f32).collect()
            }
            None => tuned.clone(),
        };
        assert_eq!(by_recipe[name], expected, "{name}");
        assert_eq!(by_command[name], expected, "{name}");
    }
    assert!(tuned.contains_key("classifier.weight") && !base.contains_key("classifier.weight"));
    let scored = bench.path("command").display().to_string();
    succeed(&mut command(&["score", &scored, bench.path("pairs.jsonl").to_str().unwrap()]));
    // The other order of models gives the same head.
    let mut other =
        command(&["blend", bench.path("tuned/model").to_str().unwrap(), golden("tiny-bert").to_str().unwrap()]);
    succeed(other.args(["--weights", "0.5,0.5", "--out"]).arg(bench.path("other")));
    assert_eq!(tensors(&bench.path("other"))["classifier.weight"], tuned["classifier.weight"]);
    let mut none =
        command(&["blend", golden("tiny-bert").to_str().unwrap(), bench.path("tuned/model").to_str().unwrap()]);
    let error = fail(none.args(["--weights", "1,0", "--out"]).arg(bench.path("none")), 1);
    assert!(error.contains("models with a head for pairs are 0"), "{error}");
}

/// The card of a run of this program describes it again.
#[test]
fn the_card_of_a_cross_encoder_gives_a_recipe_of_the_same_run() {
    let bench = Bench::new();
    write_data(&bench);
    for (data, loss, parts) in [
        ("pairs.jsonl", ENTROPY, &["name = \"binary_cross_entropy\"", "pos_weight = 2"][..]),
        ("lists.jsonl", "name = \"lambda\"\nk = 3", &["name = \"lambda\"", "k = 3", "\"ndcg_loss2pp\""]),
    ] {
        write_recipe(&bench, data, loss, "", "", RERANKING);
        let run = format!("run-{data}");
        succeed(&mut bench.train(&run));
        let card = bench.path(&run).join("model/README.md");
        let made = succeed(&mut command(&["train", "--from-card", card.to_str().unwrap()]));
        assert!(made.lines().any(|line| line.starts_with("columns = ") && line.contains("\"label")), "{made}");
        let shared = ["kind = \"cross_encoder\"", "learning_rate = 0.001", "kind = \"reranking\""];
        for part in shared.iter().chain(parts) {
            assert!(made.contains(part), "{part}: {made}");
        }
        assert!(!made.contains("not supported"), "{made}");
    }
}

#[test]
fn labels_of_the_wrong_kind_are_named_by_row() {
    let bench = Bench::new();
    let two = |label: &str| {
        format!("{{\"a\":\"x\",\"b\":\"y\",\"label\":1}}\n{{\"a\":\"x\",\"b\":\"z\",\"label\":{label}}}\n")
    };
    let lists = |labels: &str| format!("{{\"q\":\"x\",\"d\":[\"y\",\"z\"],\"labels\":{labels}}}\n");
    let entropy = "name = \"cross_entropy\"";
    let lambda = "name = \"lambda\"";
    for (rows, loss, model, expected) in [
        (two("\"yes\""), ENTROPY, "", "line 2: the label `label` is a text, not a finite number"),
        (two("null"), ENTROPY, "", "line 2: the label `label` is null"),
        (two("[1, 0]"), ENTROPY, "", "line 2: the label `label` has 2 numbers, those before have 1"),
        (two("2"), ENTROPY, "", "row 2: the label is 2, but the loss `binary_cross_entropy` needs from 0 to 1"),
        (two("0.5"), entropy, "num_labels = 2", "row 2: the label is 0.5, but the model has 2 labels"),
        (two("2"), entropy, "num_labels = 2", "needs a whole number from 0 to 1"),
        (two("-1"), entropy, "num_labels = 2", "row 2: the label is -1"),
        (lists("[1]"), lambda, "", "line 1: the label `labels` has 1 number for a list of 2 texts"),
        (lists("1"), lambda, "", "labels"),
        (lists("[\"a\", \"b\"]"), lambda, "", "line 1: the label `labels`"),
    ] {
        bench.write("labels.jsonl", &rows);
        write_recipe(&bench, "labels.jsonl", loss, model, "", "");
        let error = fail(bench.train("run").arg("--dry-run"), 1);
        assert!(error.contains(expected) && error.contains("labels.jsonl"), "{expected}: {error}");
    }
}

/// Mined negatives are scored by a cross-encoder, whose scores teach a bi-encoder.
#[test]
fn a_cross_encoder_teaches_a_bi_encoder() {
    let bench = Bench::new();
    write_data(&bench);
    write_recipe(&bench, "pairs.jsonl", ENTROPY, "", "", "");
    succeed(&mut bench.train("teacher"));
    let teacher = bench.path("teacher/model");
    let base = golden("tiny-bert");
    let (pairs, mined, scored) = (bench.path("pairs.jsonl"), bench.path("mined.jsonl"), bench.path("scored.jsonl"));
    let mut mine = command(&["hard-negatives", pairs.to_str().unwrap(), "--model", base.to_str().unwrap(), "--output"]);
    succeed(mine.arg(&mined).args(["--anchor", "query", "--positive", "document", "--negatives", "1"]));
    let mut score = command(&["score", teacher.to_str().unwrap(), mined.to_str().unwrap(), "--logits", "--output"]);
    succeed(score.arg(&scored).args(["--columns", "anchor,positive,negative"]));
    for loss in ["margin_mse", "distill_kl_div"] {
        let recipe = format!(
            "[model]\nbase = {base:?}\n[data]\ntrain = [\"scored.jsonl\"]\n[loss]\nname = \"{loss}\"\n[training]\nepochs = 1\n"
        );
        bench.write("recipe.toml", &recipe);
        succeed(&mut bench.train(loss));
        assert!(bench.path(loss).join("model/model.safetensors").exists());
    }
}
