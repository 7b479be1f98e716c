//! Evaluates a model that Sentence Transformers 3.0.1 trained and saved, and compares with the
//! reference's own evaluation.

use maana_data::{Relevant, RetrievalSet};
use maana_eval::{Primary, RetrievalOptions, evaluate_retrieval, sequential_score, to_json};
use maana_kernels::{Context, Precision};
use maana_model::{TextEncoder, WeightStorage, open_for_inference};
use serde_json::Value;
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/st301");

fn set(run: &Value) -> RetrievalSet {
    let texts = |key: &str| -> Vec<(String, String)> {
        let texts = run["retrieval"][key].as_object().unwrap();
        texts.iter().map(|(id, text)| (id.clone(), text.as_str().unwrap().to_string())).collect()
    };
    let (queries, corpus) = (texts("queries"), texts("corpus"));
    let of = |query: &str| {
        let ids = run["retrieval"]["relevant"][query].as_array().unwrap();
        let index = |id: &Value| corpus.iter().position(|(other, _)| other == id.as_str().unwrap()).unwrap();
        Relevant { documents: ids.iter().map(index).collect(), absent: 0 }
    };
    let relevant = queries.iter().map(|(id, _)| of(id)).collect();
    RetrievalSet { name: "st301".into(), queries, corpus, relevant, unknown_queries: 0 }
}

#[test]
fn metrics_equal_the_log_of_the_reference() {
    let run = std::fs::read(Path::new(FOLDER).join("run.json")).unwrap();
    let run: Value = serde_json::from_slice(&run).unwrap();
    let set = set(&run);
    let dims: Vec<usize> = run["dims"].as_array().unwrap().iter().map(|dim| dim.as_u64().unwrap() as usize).collect();
    let context = Context::new(2);
    let folder = Path::new(FOLDER).join("model");
    let opened = open_for_inference(&folder, &context, Precision::F32, WeightStorage::Packed).unwrap();
    let encoder = TextEncoder::new(opened.model, &context).unwrap();
    let options = RetrievalOptions { primary: Primary::Map, corpus_chunk: 64, ..RetrievalOptions::default() };
    let scores = evaluate_retrieval(&context, &encoder, &set, &dims, &options).unwrap();

    let is_best = |row: &&Value| row["step"] == run["best_step"] && row.get("eval_sequential_score").is_some();
    let logged = run["log_history"].as_array().unwrap().iter().find(is_best).unwrap();
    let ours = to_json(&scores);
    let mut compared = 0;
    for (key, value) in logged.as_object().unwrap() {
        let Some(key) = key.strip_prefix("eval_").filter(|key| key.contains('@') || *key == "sequential_score") else {
            continue;
        };
        let (ours, theirs) = (ours[key].as_f64().unwrap(), value.as_f64().unwrap());
        assert!((ours - theirs).abs() < 1e-4, "{key}: {ours} for {theirs}");
        compared += 1;
    }
    assert_eq!(compared, 4 * 15 + 1);
    assert_eq!(sequential_score(&scores), scores[3].get("cosine_map@100"), "the score of the last dimension");
}
