//! A model with towers by role: every command embeds a text with the tower of its role.

use crate::support::{Bench, command, copy_folder, fail, golden, succeed};
use serde_json::{Value, json};

/// Writes the golden model with a small BERT for queries and tiny-bert for documents, and returns
/// its folder.
fn router(bench: &Bench) -> String {
    copy_folder(&golden("router"), &bench.path("router"));
    copy_folder(&golden("tiny-bert"), &bench.path("router/document_0_Transformer"));
    bench.path("router").display().to_string()
}

fn numbers(golden: &Value) -> Vec<Vec<f32>> {
    let all: Vec<f32> = serde_json::from_value(golden.clone()).unwrap();
    all.chunks(64).map(<[f32]>::to_vec).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn commands_use_the_tower_of_the_role_as_the_reference_does() {
    let bench = Bench::new();
    let model = router(&bench);
    let golden: Value = serde_json::from_slice(&std::fs::read(golden("router.json")).unwrap()).unwrap();
    let golden = &golden["router"];
    let (queries, documents) = (numbers(&golden["query"]), numbers(&golden["document"]));

    let info = succeed(&mut command(&["info", &model]));
    let modules =
        "Router (document: Transformer → Pooling → Normalize; query: Transformer → Pooling → Dense → Normalize)";
    assert!(info.contains(modules), "{info}");
    assert!(info.contains("max_seq_length           document: 128 tokens; query: 20 tokens"), "{info}");

    let write = |name: &str, texts: &Value| {
        let rows = texts.as_array().unwrap().iter().map(|text| format!("{}\n", json!({"text": text})));
        bench.write(name, &rows.collect::<String>());
    };
    write("queries.jsonl", &golden["queries"]);
    write("documents.jsonl", &golden["documents"]);
    let path = |name: &str| bench.path(name).display().to_string();
    for (file, more, expected) in [
        ("queries.jsonl", &["--prompt", "query"][..], &queries),
        ("documents.jsonl", &["--prompt", "document"], &documents),
        ("documents.jsonl", &[], &documents),
    ] {
        let printed = succeed(command(&["encode", &model, "--input", &path(file), "--output", "-"]).args(more));
        for (line, expected) in printed.lines().zip(expected) {
            let line: Value = serde_json::from_str(line).unwrap();
            let embedding: Vec<f32> = serde_json::from_value(line["embedding"].clone()).unwrap();
            assert!(embedding.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{file} {more:?}");
        }
    }

    succeed(&mut command(&["index", &model, &path("documents.jsonl"), "--out", &path("store")]));
    for (text, query) in golden["queries"].as_array().unwrap().iter().zip(&queries) {
        let printed = succeed(&mut command(&["search", &path("store"), text.as_str().unwrap(), "--json"]));
        let best = documents.iter().map(|document| cosine(query, document)).fold(f32::MIN, f32::max);
        let printed: Value = serde_json::from_str(&printed).unwrap();
        let score = printed["hits"][0]["score"].as_f64().unwrap() as f32;
        assert!((score - best).abs() < 1e-5, "{best}: {printed}");
    }
}

/// Labels of a teacher or a guide with towers by role, hard negatives, and blends.
#[test]
fn a_router_teaches_guides_mines_and_is_blended() {
    let bench = Bench::new();
    let model = router(&bench);
    let base = golden("tiny-bert").display().to_string();
    let train = |out: &str, base: &str, more: &str| {
        bench.write(
            "recipe.toml",
            &format!(
                "[model]\nbase = {base:?}\n[data]\ntrain = [\"triplets.jsonl\"]\n\
                 [training]\nepochs = 2\nbatch_size = 4\nlearning_rate = 1e-3\nmax_steps = 4\n{more}"
            ),
        );
        bench.train(out)
    };
    let weights = |run: &str| std::fs::read(bench.path(run).join("model/model.safetensors")).unwrap();
    let triplet = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        format!("{}\n", json!({"anchor": row["anchor"], "positive": row["positive"], "negative": "the sea"}))
    };
    let pairs = std::fs::read_to_string(bench.path("pairs.jsonl")).unwrap();
    bench.write("triplets.jsonl", &pairs.lines().map(triplet).collect::<String>());
    for (out, loss) in [
        ("mse", format!("name = \"mse\"\nteacher = {model:?}\nteacher_columns = \"each\"")),
        ("margin", format!("name = \"distill_kl_div\"\nteacher = {model:?}")),
        ("gist", format!("name = \"gist_embed\"\nguide = {model:?}")),
    ] {
        succeed(&mut train(out, &base, &format!("[loss]\n{loss}\n")));
        assert!(bench.path(out).join("model/model.safetensors").exists());
    }
    // A teacher whose towers are one model teaches what that model does.
    copy_folder(&golden("tiny-bert"), &bench.path("equal/query_0_Transformer"));
    copy_folder(&golden("tiny-bert"), &bench.path("equal/document_0_Transformer"));
    let module = |kind: &str| format!("sentence_transformers.models.{kind}");
    let parts = ["query_0_Transformer", "query_1_Pooling", "document_0_Transformer", "document_1_Pooling"];
    let types: serde_json::Map<String, Value> =
        parts.iter().map(|part| ((*part).to_owned(), json!(module(part.rsplit('_').next().unwrap())))).collect();
    for role in ["query", "document"] {
        copy_folder(&golden("tiny-bert/1_Pooling"), &bench.path(&format!("equal/{role}_1_Pooling")));
    }
    let config = json!({"types": types, "structure": {"query": &parts[..2], "document": &parts[2..]},
        "parameters": {"default_route": "document"}});
    bench.write("equal/router_config.json", &config.to_string());
    let modules = json!([{"idx": 0, "name": "0", "path": "", "type": module("Router")},
        {"idx": 1, "name": "1", "path": "2_Normalize", "type": module("Normalize")}]);
    bench.write("equal/modules.json", &modules.to_string());
    let equal = bench.path("equal").display().to_string();
    for (out, teacher) in [("of-router", &equal), ("of-model", &base)] {
        let loss = format!("[loss]\nname = \"distill_kl_div\"\nteacher = {teacher:?}\n");
        succeed(&mut train(out, &base, &loss));
    }
    assert!(weights("of-router") == weights("of-model"));

    let mined = bench.path("mined.jsonl").display().to_string();
    let pairs = bench.path("pairs.jsonl").display().to_string();
    let columns = ["--anchor", "anchor", "--positive", "positive", "--negatives", "1"];
    succeed(command(&["hard-negatives", &pairs, "--model", &model, "--output", &mined]).args(columns));
    let row: Value = serde_json::from_str(std::fs::read_to_string(&mined).unwrap().lines().next().unwrap()).unwrap();
    assert!(row["negative"].is_string(), "{row}");

    let tuned =
        "[loss]\nname = \"multiple_negatives_ranking\"\n[model.lora]\nrank = 2\nroutes = [\"query\"]\nmerge = true\n";
    succeed(&mut train("tuned", &model, tuned));
    let out = bench.path("blended").display().to_string();
    let trained = bench.path("tuned/model").display().to_string();
    succeed(&mut command(&["blend", &model, &trained, "--weights", "0.5,0.5", "--out", &out]));
    let read = |folder: &str, tower: &str| {
        std::fs::read(std::path::Path::new(folder).join(tower).join("model.safetensors")).unwrap()
    };
    assert!(read(&trained, "query_0_Transformer") != read(&out, "query_0_Transformer"));
    assert!(read(&trained, "document_0_Transformer") == read(&out, "document_0_Transformer"), "it has no adapters");
    let error = fail(&mut command(&["blend", &model, &base, "--weights", "0.5,0.5", "--out", &format!("{out}-2")]), 1);
    assert!(error.contains("their routers differ"), "{error}");
}

#[test]
fn adapters_of_a_tower_are_saved_in_its_folder_and_used() {
    let bench = Bench::new();
    let model = router(&bench);
    bench.write(
        "recipe.toml",
        &format!(
            "[model]\nbase = {model:?}\n[model.lora]\nrank = 2\nroutes = [\"query\"]\n[data]\ntrain = [\"pairs.jsonl\"]\n\
             columns = [\"anchor\", \"positive\"]\n[loss]\nname = \"multiple_negatives_ranking\"\n[training]\nepochs = 1\n\
             batch_size = 4\nlearning_rate = 1e-2\nmax_steps = 4\n[evaluation]\nretrieval = [\"dev\"]\n"
        ),
    );
    succeed(&mut bench.train("run"));
    let folder = bench.path("run/model");
    assert!(folder.join("query_0_Transformer/adapter_model.safetensors").exists());
    assert!(folder.join("document_0_Transformer/model.safetensors").exists());
    let trained = folder.display().to_string();
    let dev = bench.path("dev").display().to_string();
    assert_ne!(
        succeed(&mut command(&["evaluate", &trained, &dev])),
        succeed(&mut command(&["evaluate", &model, &dev])),
        "the adapters have an effect"
    );
    succeed(bench.train("x").args(["--set", "model.lora.routes=[\"document\"]", "--set", "training.max_steps=1"]));
    let error = fail(bench.train("y").args(["--set", "model.lora.routes=[\"image\"]"]), 1);
    assert!(error.contains("[model.lora] routes: the model has no route `image`"), "{error}");
}

#[test]
fn both_towers_are_trained_and_the_folder_has_its_router() {
    let bench = Bench::new();
    let model = router(&bench);
    let recipe = |data: &str, base: &str| {
        bench.write(
            "recipe.toml",
            &format!(
                "[model]\nbase = \"{base}\"\n[data]\ntrain = [\"pairs.jsonl\"]\ncolumns = [\"anchor\", \"positive\"]\n{data}\n\
                 [loss]\nname = \"multiple_negatives_ranking\"\n[training]\nepochs = 1\nbatch_size = 4\nlearning_rate = 1e-3\nmax_steps = 4\n\
                 [evaluation]\nretrieval = [\"dev\"]\n"
            ),
        );
    };
    recipe("routes = { anchor = \"query\", positive = \"document\" }", &model);
    succeed(&mut bench.train("named"));
    recipe("", &model);
    succeed(&mut bench.train("default"));
    let weights = |run: &str, tower: &str| {
        let path = bench.path(run).join("model").join(tower).join("model.safetensors");
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    for tower in ["query_0_Transformer", "document_0_Transformer", "query_2_Dense"] {
        assert!(weights("named", tower) == weights("default", tower), "the default routes");
        assert_ne!(
            weights("named", tower),
            std::fs::read(bench.path("router").join(tower).join("model.safetensors")).unwrap()
        );
    }
    let card = std::fs::read_to_string(bench.path("named/model/README.md")).unwrap();
    assert!(card.contains("(0): Router(\n    default_route='document'"), "{card}");
    assert!(card.contains("      (query): Sequential(\n        (0): Transformer("), "{card}");
    let trained = bench.path("named/model").display().to_string();
    succeed(&mut command(&["evaluate", &trained, &bench.path("dev").display().to_string()]));

    recipe("routes = { anchor = \"query\" }", &model);
    assert!(fail(&mut bench.train("x"), 1).contains("column `positive` has none; give it \"query\" or \"document\""));
    recipe("routes = { text = \"query\" }", &model);
    assert!(fail(&mut bench.train("x"), 1).contains("there is no column `text`; the columns are anchor, positive"));
    recipe("routes = { anchor = \"image\", positive = \"document\" }", &model);
    assert!(fail(&mut bench.train("x"), 1).contains("image"));
    recipe("routes = { anchor = \"query\", positive = \"document\" }", &golden("tiny-bert").display().to_string());
    assert!(fail(&mut bench.train("x"), 1).contains("[data] routes: the model has no towers by role"));
}
