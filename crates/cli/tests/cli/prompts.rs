//! The texts that stand before queries and documents.

use crate::support::{Bench, CORPUS, command, fail, golden, succeed};
use std::process::Command;

/// A copy of tiny-bert with prompts as a model of the E5 family has them.
fn model_with_prompts(bench: &Bench) -> String {
    let folder = bench.path("model");
    for place in ["", "1_Pooling", "2_Normalize"] {
        std::fs::create_dir_all(folder.join(place)).unwrap();
        for entry in std::fs::read_dir(golden("tiny-bert").join(place)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), folder.join(place).join(entry.file_name())).unwrap();
            }
        }
    }
    let prompts = r#"{"prompts": {"query": "query: ", "passage": "passage: "}}"#;
    std::fs::write(folder.join("config_sentence_transformers.json"), prompts).unwrap();
    folder.display().to_string()
}

/// What a command that succeeds prints to standard error.
fn notes(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{notes}");
    notes
}

#[test]
fn prompts_are_chosen_by_role_printed_and_kept_by_the_store() {
    let bench = Bench::new();
    let model = model_with_prompts(&bench);
    bench.write("corpus.jsonl", CORPUS);
    let corpus = bench.path("corpus.jsonl").display().to_string();
    let store = |name: &str| bench.path(name).display().to_string();
    let index =
        |name: &str, more: &[&str]| notes(command(&["index", &model, &corpus, "--out", &store(name)]).args(more));
    assert!(index("own", &[]).contains("documents behind \"passage: \" (passage)"));
    assert!(index("none", &["--document-prompt", "none"]).contains("documents without a prompt"));
    assert!(index("named", &["--document-prompt", "query"]).contains("documents behind \"query: \" (query)"));
    let search =
        |name: &str, more: &[&str]| succeed(command(&["search", &store(name), "Soko", "--json", "-k", "9"]).args(more));
    assert_ne!(search("own", &[]), search("none", &[]), "documents without a prompt have other vectors");
    assert_ne!(search("own", &[]), search("own", &["--query-prompt", "none"]));
    assert_eq!(search("own", &[]), search("own", &["--query-prompt", "query: "]));
    let told = notes(&mut command(&["search", &store("own"), "Soko"]));
    assert!(told.contains("queries behind \"query: \" (query)"), "{told}");

    // What comes later stands behind the store's prompt.
    assert!(notes(&mut command(&["add", &store("none"), &corpus])).contains("documents without a prompt"));
    let error = fail(&mut command(&["add", &store("none"), &corpus, "--document-prompt", "passage"]), 1);
    assert!(error.contains("with the prompt \"\"") && error.contains("\"passage: \""), "{error}");
    let error = fail(&mut command(&["search", &store("own"), "Soko", "--query-prompt", "qurey"]), 1);
    assert!(error.contains("no prompt is called `qurey`; there are: query, passage"), "{error}");
}

#[test]
fn evaluation_prints_its_prompts_and_takes_others() {
    let bench = Bench::new();
    let model = model_with_prompts(&bench);
    std::fs::create_dir(bench.path("set")).unwrap();
    bench.write("set/queries.jsonl", "{\"_id\": \"q\", \"text\": \"soko\"}\n");
    bench.write("set/corpus.jsonl", CORPUS);
    bench.write("set/qrels.tsv", "query-id\tcorpus-id\tscore\nq\ta\t1\n");
    let set = bench.path("set").display().to_string();
    let evaluate = |more: &[&str]| notes(command(&["evaluate", &model, &set]).args(more));
    assert!(evaluate(&[]).contains("queries behind \"query: \" (query), documents behind \"passage: \" (passage)"));
    let told = evaluate(&["--query-prompt", "none", "--document-prompt", "text: "]);
    assert!(told.contains("queries without a prompt, documents behind \"text: \""), "{told}");
    let tiny = golden("tiny-bert").display().to_string();
    assert!(!notes(&mut command(&["evaluate", &tiny, &set])).contains("prompt"), "a model without prompts");
}
