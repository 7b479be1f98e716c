//! Tokens and embeddings of a real model, all-MiniLM-L6-v2, compared with the reference. The model
//! comes from the local cache, the hub, or the Python package with the same bytes; otherwise the
//! test is skipped with a message.

use maana_kernels::{Context, Precision};
use maana_model::{HeadSettings, Role, WeightStorage};
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
    let opened = match maana::open::open(WeightStorage::Packed, name, &context, Precision::F32, &mut |notice| {
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

/// A head of random weights on MiniLM, as no trained cross-encoder can be fetched here: what does
/// not depend on the numbers in the head.
#[test]
fn a_cross_encoder_of_the_model_scores_long_passages() {
    let context = Context::new(2);
    let name = "sentence-transformers/all-MiniLM-L6-v2";
    let options = maana::hub::HubOptions::from_environment();
    let located = match maana::hub::resolve(name, &options, &mut |_| {}) {
        Ok(located) => located,
        Err(error) => {
            println!("skipped: {name} is not available: {error}");
            return;
        }
    };
    let head = HeadSettings { seed: 7, ..HeadSettings::default() };
    let opened = maana::model::open_for_scoring(&located.folder, &context, Precision::F32, &head).unwrap();
    assert_eq!(opened.model.spec().settings().max_seq_length, 512);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("cross");
    opened.model.save(&folder, &[]).unwrap();
    let golden = golden("minilm_encode.json");
    let texts: Vec<String> =
        golden["rows"].as_array().unwrap().iter().map(|row| row["text"].as_str().unwrap().repeat(3)).collect();
    let documents: Vec<&str> = texts.iter().map(String::as_str).collect();
    let logits = |precision| {
        let name = folder.to_str().unwrap();
        let opened = maana::open_cross_encoder(WeightStorage::Packed, name, &context, precision, &mut |_| {}).unwrap();
        let encoder = opened.model;
        let together = encoder.score_documents("bei ya mahindi", &documents).unwrap();
        for (row, document) in documents.iter().enumerate().step_by(5) {
            let alone = encoder.score(&[("bei ya mahindi", document)]).unwrap();
            assert_eq!(alone.data(), together.row(row), "{precision:?} {row}");
        }
        let ranked = maana::rerank::rerank(&encoder, "bei ya mahindi", &documents, Some(3)).unwrap();
        assert!(ranked.windows(2).all(|pair| pair[0].score >= pair[1].score));
        assert_eq!(ranked[0].score, together.data().iter().copied().fold(f32::MIN, f32::max));
        encoder.logits(&documents.iter().map(|text| ("bei ya mahindi", *text)).collect::<Vec<_>>()).unwrap()
    };
    let exact = logits(Precision::F32);
    for (precision, bound) in [(Precision::Bf16, 0.02), (Precision::Int8, 0.05)] {
        let farthest =
            logits(precision).data().iter().zip(exact.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{precision:?}: largest difference {farthest:e}");
        assert!(farthest < bound, "{precision:?}: {farthest}");
    }
}
