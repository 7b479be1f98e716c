//! Tokens and embeddings of a real model, all-MiniLM-L6-v2, compared with the reference. The model
//! comes from the local cache, the hub, or the Python package with the same bytes; otherwise the
//! test is skipped with a message.

use maana_kernels::Context;
use maana_model::{Role, WeightStorage};
use serde_json::Value;
use std::path::Path;

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn tokens_and_embeddings_of_the_reference() {
    let context = Context::new(2);
    let name = "sentence-transformers/all-MiniLM-L6-v2";
    let opened =
        match maana::open::open(WeightStorage::Packed, name, &context, maana::kernels::Precision::F32, &mut |notice| {
            println!("{notice}")
        }) {
            Ok(opened) => opened,
            Err(error) => {
                println!("skipped: {name} is not available: {error}");
                return;
            }
        };
    let tokenizer = opened.model.spec().tokenizer();
    let texts = golden("tokenize.json");
    for row in texts.as_array().unwrap() {
        let text = row["text"].as_str().unwrap();
        let tokens = tokenizer.encode(&[text], row["max_length"].as_u64().unwrap() as usize).unwrap();
        let expected: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
        assert_eq!(tokens.ids, expected, "{text:?}");
    }

    let expected = golden("minilm_encode.json");
    let rows = expected["rows"].as_array().unwrap();
    let texts: Vec<&str> = rows.iter().map(|row| row["text"].as_str().unwrap()).collect();
    let embeddings = opened.model.encode(&texts, Role::Document).unwrap();
    let mut largest = 0.0_f64;
    for (index, (row, text)) in rows.iter().zip(&texts).enumerate() {
        let theirs = row["embedding"].as_array().unwrap();
        assert_eq!(theirs.len(), embeddings.columns());
        for (ours, theirs) in embeddings.row(index).iter().zip(theirs) {
            let difference = (f64::from(*ours) - theirs.as_f64().unwrap()).abs();
            largest = largest.max(difference);
            assert!(difference <= 1e-5, "{text:?}: {ours} instead of {theirs}");
        }
    }
    println!("{} embeddings, largest difference {largest:e}", rows.len());
}
