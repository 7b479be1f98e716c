//! Prompts of queries and documents.

use crate::support::{Bench, CORPUS, command, fail, golden, succeed};
use std::process::Command;

/// Copies tiny-bert and adds prompts like those of the E5 family.
pub(crate) fn model_with_prompts(bench: &Bench) -> String {
    let folder = bench.path("model");
    for subfolder in ["", "1_Pooling", "2_Normalize"] {
        std::fs::create_dir_all(folder.join(subfolder)).unwrap();
        for entry in std::fs::read_dir(golden("tiny-bert").join(subfolder)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), folder.join(subfolder).join(entry.file_name())).unwrap();
            }
        }
    }
    let prompts = r#"{"prompts": {"query": "query: ", "passage": "passage: "}}"#;
    std::fs::write(folder.join("config_sentence_transformers.json"), prompts).unwrap();
    folder.display().to_string()
}

/// Runs a command that must succeed, and returns its standard error.
fn notes(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{notes}");
    notes
}

#[test]
fn prompts_are_chosen_by_role_printed_and_recorded_in_the_store() {
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
    let output = notes(&mut command(&["search", &store("own"), "Soko"]));
    assert!(output.contains("queries behind \"query: \" (query)"), "{output}");

    // Documents added later get the store's prompt.
    assert!(notes(&mut command(&["add", &store("none"), &corpus])).contains("documents without a prompt"));
    let error = fail(&mut command(&["add", &store("none"), &corpus, "--document-prompt", "passage"]), 1);
    assert!(error.contains("with the prompt \"\"") && error.contains("\"passage: \""), "{error}");
    let error = fail(&mut command(&["search", &store("own"), "Soko", "--query-prompt", "qurey"]), 1);
    assert!(error.contains("no prompt is called `qurey`; there are: query, passage"), "{error}");
}

#[test]
fn evaluation_prints_its_prompts_and_accepts_others() {
    let bench = Bench::new();
    let model = model_with_prompts(&bench);
    std::fs::create_dir(bench.path("set")).unwrap();
    bench.write("set/queries.jsonl", "{\"_id\": \"q\", \"text\": \"soko\"}\n");
    bench.write("set/corpus.jsonl", CORPUS);
    bench.write("set/qrels.tsv", "query-id\tcorpus-id\tscore\nq\ta\t1\n");
    let set = bench.path("set").display().to_string();
    let evaluate = |more: &[&str]| notes(command(&["evaluate", &model, &set]).args(more));
    assert!(evaluate(&[]).contains("queries behind \"query: \" (query), documents behind \"passage: \" (passage)"));
    let output = evaluate(&["--query-prompt", "none", "--document-prompt", "text: "]);
    assert!(output.contains("queries without a prompt, documents behind \"text: \""), "{output}");
    let tiny = golden("tiny-bert").display().to_string();
    assert!(!notes(&mut command(&["evaluate", &tiny, &set])).contains("prompt"), "a model without prompts");
}
