//! `maana train` with each loss, and with labels of teachers and guides.

use crate::support::{Bench, command, fail, golden, succeed};
use std::path::Path;
use std::process::Command;

const WORDS: [&str; 8] = ["maji", "nyumba", "sera", "mtandao", "mtoto", "barabara", "habari", "soko"];

/// Returns text `number`, one of 64.
fn text(number: usize) -> String {
    format!("{} ya {}", WORDS[number % 8], WORDS[number / 8 % 8])
}

/// Writes 24 rows of `columns` texts and a label, and a recipe with this loss.
fn write(bench: &Bench, columns: usize, label: impl Fn(usize) -> serde_json::Value, loss: &str, training: &str) {
    let names: Vec<String> = (0..columns).map(|column| format!("text_{column}")).collect();
    let row = |row: usize| {
        let mut fields = serde_json::Map::new();
        for (column, name) in names.iter().enumerate() {
            fields.insert(name.clone(), text(row * 5 + column * 13).into());
        }
        if !label(row).is_null() {
            fields.insert("label".into(), label(row));
        }
        format!("{}\n", serde_json::Value::Object(fields))
    };
    bench.write("rows.jsonl", &(0..24).map(row).collect::<String>());
    let recipe = format!(
        "[model]\nbase = {:?}\n[data]\ntrain = [\"rows.jsonl\"]\n[loss]\n{loss}\n[training]\nbatch_size = 8\nepochs = 1\n{training}\n",
        golden("tiny-bert")
    );
    bench.write("recipe.toml", &recipe);
}

fn names(loss: &str) -> String {
    format!("name = \"{loss}\"")
}

#[test]
fn every_loss_trains() {
    let bench = Bench::new();
    let teacher = golden("tiny-bert");
    let no_label = |_| serde_json::Value::Null;
    let binary = |row: usize| (row % 2).into();
    let class = |row: usize| (row % 3).into();
    let scores = |row: usize| serde_json::json!([0.9, 0.1 * (row % 5) as f64]);
    let embedding =
        |row: usize| serde_json::json!((0..64).map(|at| ((row * at) % 7) as f64 / 20.0).collect::<Vec<_>>());
    let check = |number: usize, loss: &str| {
        let out = format!("run{number}");
        succeed(&mut bench.train(&out));
        let card = std::fs::read_to_string(bench.path(&out).join("model/README.md")).unwrap();
        assert!(card.contains(loss), "{loss}: {card}");
    };
    for (number, (loss, class_name)) in
        [("contrastive", "ContrastiveLoss"), ("online_contrastive", "OnlineContrastiveLoss"), ("angle", "AnglELoss")]
            .into_iter()
            .enumerate()
    {
        write(&bench, 2, binary, &names(loss), "");
        check(number, class_name);
    }
    for (number, (loss, class_name)) in [
        ("batch_hard_triplet", "BatchHardTripletLoss"),
        ("batch_all_triplet", "BatchAllTripletLoss"),
        ("batch_semi_hard_triplet", "BatchSemiHardTripletLoss"),
        ("batch_hard_soft_margin_triplet", "BatchHardSoftMarginTripletLoss"),
    ]
    .into_iter()
    .enumerate()
    {
        write(&bench, 1, class, &names(loss), "batch_sampler = \"group_by_label\"");
        check(10 + number, class_name);
    }
    write(&bench, 1, embedding, &format!("{}\nmatryoshka_dims = [64, 32]", names("mse")), "");
    check(20, "MSELoss");
    write(&bench, 3, scores, &names("margin_mse"), "");
    check(21, "MarginMSELoss");
    write(&bench, 3, scores, &names("distill_kl_div"), "");
    check(22, "DistillKLDivLoss");
    write(&bench, 3, no_label, &format!("{}\nteacher = {teacher:?}", names("distill_kl_div")), "");
    check(23, "DistillKLDivLoss");
    let directions = "directions = [\"query_to_doc\", \"query_to_query\", \"doc_to_query\", \"doc_to_doc\"]";
    write(&bench, 2, no_label, &format!("{}\n{directions}", names("multiple_negatives_ranking")), "");
    check(24, "doc_to_doc");
    write(&bench, 2, no_label, &format!("{}\nguide = {teacher:?}", names("gist_embed")), "");
    check(25, "\"guide\": \"tiny-bert\"");
    write(&bench, 2, class, &format!("{}\nnum_labels = 3", names("softmax")), "evaluate = 1\n[evaluation]\nsplit = 6");
    check(27, "SoftmaxLoss");
    assert!(!bench.path("run27/model").join("loss_state_0.safetensors").exists());
    let small = |row: usize| serde_json::json!((0..8).map(|at| ((row * at) % 7) as f64 / 20.0).collect::<Vec<_>>());
    write(&bench, 1, small, &format!("{}\nprojection_dim = 8", names("mse")), "");
    check(28, "\"projection_dim\": 8");
    let layers = "matryoshka_dims = [64, 32]\nadaptive_layers = { n_layers_per_step = \"all\" }";
    write(&bench, 2, no_label, &format!("{}\n{layers}", names("multiple_negatives_ranking")), "");
    check(29, "Matryoshka2dLoss");
    write(&bench, 2, binary, &format!("{}\nadaptive_layers = {{}}", names("cosent")), "");
    check(30, "AdaptiveLayerLoss");
    write(&bench, 1, no_label, &names("simcse"), "batch_sampler = \"no_duplicates\"");
    check(26, "MultipleNegativesRankingLoss");
}

/// Returns the weights of the model of a run.
fn weights(bench: &Bench, out: &str) -> Vec<u8> {
    std::fs::read(bench.path(out).join("model/model.safetensors")).unwrap()
}

#[test]
fn the_embeddings_of_a_teacher_are_computed_once_and_again_if_they_are_damaged() {
    let bench = Bench::new();
    let teacher = format!("{}\nteacher = {:?}", names("margin_mse"), golden("tiny-bert"));
    write(&bench, 3, |_| serde_json::Value::Null, &teacher, "save_every = 1\nevaluate = \"never\"\nmax_steps = 4");
    let shown = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let first = shown(&mut bench.train("run"));
    assert!(first.contains("teaching  ") && first.contains("embeds 64 texts"), "{first}");
    let whole = weights(&bench, "run");
    let file = bench.path("run/teacher/0.embeddings");
    let resumed = |name: &str| {
        std::fs::remove_dir_all(bench.path("run/model")).unwrap();
        let shown = shown(bench.train("run").arg("--resume"));
        assert!(weights(&bench, "run") == whole, "{name}: other bits");
        shown
    };
    assert!(!resumed("kept").contains("teaching"), "the file of the run is read");
    let written = std::fs::read(&file).unwrap();
    let mut damaged = written.clone();
    damaged[written.len() / 2] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    assert!(resumed("damaged").contains("teaching"), "a damaged file is computed again");
    assert!(std::fs::read(&file).unwrap() == written, "to the same bits");
    std::fs::remove_file(&file).unwrap();
    assert!(resumed("removed").contains("teaching"));
}

/// Copies tiny-bert with embeddings of 32 columns.
fn half_as_wide(folder: &Path) {
    let copy = |name: &str| {
        std::fs::copy(golden("tiny-bert").join(name), folder.join(name)).unwrap();
    };
    std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    for entry in std::fs::read_dir(golden("tiny-bert")).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        copy(entry.file_name().to_str().unwrap());
    }
    copy("1_Pooling/config.json");
    let path = folder.join("config_sentence_transformers.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["truncate_dim"] = 32.into();
    std::fs::write(path, config.to_string()).unwrap();
}

#[test]
fn labels_and_teachers_that_do_not_fit_are_refused_with_a_remedy() {
    let bench = Bench::new();
    let refused = |columns: usize, label: &dyn Fn(usize) -> serde_json::Value, loss: &str, expected: &str| {
        write(&bench, columns, label, loss, "");
        let error = fail(bench.train("run").arg("--dry-run"), 1);
        assert!(error.contains(expected), "{expected}: {error}");
    };
    let none = |_: usize| serde_json::Value::Null;
    let narrow = bench.path("narrow");
    half_as_wide(&narrow);
    let mse = format!("{}\nteacher = {narrow:?}", names("mse"));
    refused(1, &none, &mse, "its embeddings have 32 columns and the model's 64");
    refused(1, &none, &mse, "choose a teacher with 64, or `margin_mse` or `distill_kl_div`");
    refused(1, &none, &mse, "set projection_dim = 32, which trains a projection");
    refused(1, &none, &format!("{mse}\nprojection_dim = 16"), "and projection_dim is 16; set projection_dim = 32");
    write(&bench, 1, none, &format!("{mse}\nprojection_dim = 32"), "");
    succeed(bench.train("run").arg("--dry-run"));
    refused(
        2,
        &|row| (row as f64 / 10.0).into(),
        &format!("{}\nnum_labels = 3", names("softmax")),
        "row 2: the label is 0.1",
    );
    refused(2, &|row| row.into(), &names("softmax"), "line 6: [loss] `num_labels` is missing");
    let missing = format!("{}\nguide = \"/nowhere/model\"", names("gist_embed"));
    refused(2, &none, &missing, "[loss] guide = \"/nowhere/model\"");
    refused(2, &none, &names("simcse"), "needs exactly 1 text column, but the data have 2 (text_0, text_1)");
    refused(2, &none, &names("gist_embed"), "needs at least 2 text columns and `guide`");
    refused(2, &|row| (row as f64 / 10.0).into(), &names("contrastive"), "rows.jsonl, row 2: the label is 0.1");
    let grades = |row: usize| (row as f64 / 4.0).into();
    refused(2, &grades, &names("cosine_similarity"), "row 6: the label is 1.25, but the loss");
    refused(2, &grades, &names("cosine_similarity"), "needs a cosine from -1 to 1 (divide scores by");
    refused(1, &|row| (row as f64 / 2.0).into(), &names("batch_all_triplet"), "row 2: the label is 0.5, but the loss");
    refused(1, &|_| 7.into(), &names("batch_all_triplet"), "rows.jsonl: all rows have the same label (`label`)");
    refused(1, &|_| "a".into(), &names("batch_all_triplet"), "the label `label` is a text, not a finite number");
    refused(
        3,
        &|row| serde_json::json!(vec![0.5; 2 + row / 23]),
        &names("margin_mse"),
        "has 3 numbers, those before have 2",
    );
    refused(3, &|_| serde_json::json!([1.0, 2.0, 3.0]), &names("distill_kl_div"), "a list of 2 scores");
    let line = "recipe.toml, line 7: [loss] `guide` is \"x\", but has to be left out";
    refused(2, &none, &format!("{}\nguide = \"x\"", names("cosent")), line);
}

#[test]
fn the_dev_loss_of_files_takes_rows_that_fit_the_loss_of_the_recipe() {
    let bench = Bench::new();
    let evaluate = |columns: usize, loss: &str| {
        write(&bench, columns, |_| serde_json::Value::Null, loss, "");
        let mut evaluate = command(&["evaluate", "--kind", "loss"]);
        evaluate.arg(golden("tiny-bert")).arg(bench.path("rows.jsonl")).arg("--recipe").arg(bench.path("recipe.toml"));
        evaluate
    };
    let table = succeed(&mut evaluate(1, &names("simcse")));
    assert!(table.lines().any(|line| line.starts_with("loss")), "{table}");
    let error = fail(&mut evaluate(2, &names("simcse")), 1);
    assert!(error.contains("needs exactly 1 text column, but the data have 2"), "{error}");
    let error = fail(&mut evaluate(2, &names("triplet")), 1);
    assert!(error.contains("`triplet` needs exactly 3 text columns"), "{error}");
    assert!(error.contains("rows.jsonl, name the columns to be read in `columns`, or choose another loss"), "{error}");
    let error = fail(&mut evaluate(2, &names("cosent")), 1);
    assert!(error.contains("`cosent` needs exactly 2 text columns and a label"), "{error}");
    let error = fail(&mut evaluate(2, &format!("{}\nnum_labels = 3", names("softmax"))), 1);
    assert!(error.contains("trains a layer of its own"), "{error}");
    for loss in [
        format!("{}\nguide = {:?}", names("gist_embed"), golden("tiny-bert")),
        format!("{}\nteacher = {:?}", names("margin_mse"), golden("tiny-bert")),
    ] {
        let error = fail(&mut evaluate(3, &loss), 1);
        assert!(error.contains("from a teacher or guide; name the set in [evaluation] of the recipe"), "{error}");
    }
}
