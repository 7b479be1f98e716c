//! Embeddings of a real model, all-mpnet-base-v2, compared with the reference. The model comes from
//! the local cache, where `maana fetch` puts it; otherwise the test is skipped with a message.

use maana_kernels::{Context, Precision};
use maana_model::WeightStorage;
use serde_json::Value;
use std::path::Path;

#[test]
fn embeddings_of_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/mpnet.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (context, name) = (Context::new(2), "sentence-transformers/all-mpnet-base-v2");
    let options =
        maana::hub::HubOptions { offline: Some("this test".into()), ..maana::hub::HubOptions::from_environment() };
    let opened = maana::open::open_with(WeightStorage::Packed, name, &context, Precision::F32, &options, &mut |_| {});
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => return println!("skipped: {name} is not in the cache (`maana fetch {name}`): {error}"),
    };
    let texts: Vec<&str> =
        golden["real"]["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let embeddings = opened.model.embed(&texts, "").unwrap();
    let expected: Vec<Vec<f32>> = serde_json::from_value(golden["real"]["embeddings"].clone()).unwrap();
    let pairs = embeddings.data().iter().zip(expected.concat());
    let largest = pairs.fold(0.0f32, |largest, (ours, theirs)| largest.max((ours - theirs).abs()));
    println!("{} embeddings, largest difference {largest:e}", texts.len());
    assert_eq!(embeddings.data().len(), 3 * 768);
    assert!(largest < 1e-5, "{largest:e}");
}
