use super::*;
use maana_kernels::Matrix;
use serde_json::Value;
use std::collections::HashSet;

/// Returns results of Sentence Transformers, SciPy and scikit-learn:
/// `golden/make_golden_measures.py`.
fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/measures.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn matrix(json: &Value) -> Matrix {
    let rows = json.as_array().unwrap();
    let columns = rows[0].as_array().unwrap().len();
    let values = rows.iter().flat_map(|row| row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32));
    Matrix::from_vec(rows.len(), columns, values.collect())
}

fn assert_agrees(found: &[(String, f64)], expected: &Value) {
    let expected = expected.as_object().unwrap();
    assert_eq!(found.len(), expected.len(), "{found:?}\n{expected:?}");
    for (key, value) in found {
        let theirs = expected[key].as_f64().unwrap_or_else(|| panic!("{key}"));
        assert!((value - theirs).abs() < 1e-6, "{key}: {value} is not {theirs}");
    }
}

#[test]
fn pairs_agree_with_the_reference() {
    let golden = golden();
    let (a, b) = (matrix(&golden["a"]), matrix(&golden["b"]));
    let scores: Vec<f64> = golden["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
    assert_agrees(&semantic_similarity(&SIMILARITIES, a.view(), b.view(), &scores), &golden["semantic_similarity"]);
    let alike: Vec<bool> = golden["alike"].as_array().unwrap().iter().map(|alike| alike == 1).collect();
    assert_agrees(&pair_classification(&SIMILARITIES, a.view(), b.view(), &alike), &golden["pair_classification"]);
    let c = matrix(&golden["c"]);
    assert_agrees(&triplets(&SIMILARITIES, a.view(), b.view(), c.view()), &golden["triplets"]);
}

#[test]
fn lists_agree_with_the_reference() {
    let golden = golden();
    let (queries, documents) = (matrix(&golden["queries"]), matrix(&golden["documents"]));
    let count = |candidates: &Value, key: &str| candidates[key].as_u64().unwrap() as usize;
    let candidates: Vec<Candidates> = golden["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| Candidates { positives: count(row, "positives"), negatives: count(row, "negatives") })
        .collect();
    let found = reranking(Similarity::Cosine, queries.view(), documents.view(), &candidates, 10);
    assert_agrees(&found, &golden["reranking"]);
    let mined: Vec<(f32, usize, usize)> = serde_json::from_value(golden["mined"].clone()).unwrap();
    let known: HashSet<(usize, usize)> = serde_json::from_value(golden["known"].clone()).unwrap();
    assert_agrees(&paraphrase_mining(&mined, &known), &golden["paraphrase_mining"]);
    let texts: Vec<String> = serde_json::from_value(golden["texts"].clone()).unwrap();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (a, b) = (matrix(&golden["a"]), matrix(&golden["b"]));
    let found = translation(&Context::new(1), a.view(), b.view(), &texts, &texts);
    assert_agrees(&found[..3], &golden["translation"]);
    // MTEB's labels are the numbers of rows, so that no two texts are equal.
    let numbers: Vec<String> = (0..texts.len()).map(|number| number.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let f1 = translation(&Context::new(2), a.view(), b.view(), &numbers, &numbers).split_off(3);
    assert_agrees(&f1, &golden["translation_f1"]);
}

#[test]
fn undefined_metrics_are_nan_or_zero() {
    let zeros = Matrix::zeros(3, 2);
    let values = semantic_similarity(&SIMILARITIES, zeros.view(), zeros.view(), &[1.0, 2.0, 3.0]);
    assert!(values.iter().take(8).all(|(_, value)| value.is_nan()));
    let values = pair_classification(&SIMILARITIES, zeros.view(), zeros.view(), &[false; 3]);
    assert!(
        values.iter().filter(|(key, _)| key.ends_with("_f1") || key.ends_with("ap")).all(|(_, value)| *value == 0.0)
    );
    assert!(paraphrase_mining(&[], &HashSet::new()).iter().all(|(_, value)| *value == 0.0));
}
