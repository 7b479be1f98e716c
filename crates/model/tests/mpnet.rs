//! MPNet: embeddings and gradients of a small random model equal those of transformers, by name and
//! element by element.

mod support;

use maana_kernels::{Context, Rows};
use maana_model::{Activations, DropoutSeed, Trainable};
use support::{backward, golden, noise, open, read_json, read_safetensors, write_small};

#[test]
fn embeddings_and_gradients_are_those_of_the_reference() {
    let golden_file = read_json(&golden("mpnet.json"));
    let folder = tempfile::tempdir().unwrap();
    write_small(folder.path(), "mpnet", "");
    let mut model = open(folder.path());
    let texts: Vec<&str> = golden_file["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let batch = model.spec().tokenize(&texts).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(golden_file["ids"].clone()).unwrap();
    assert_eq!(batch.ids, ids.concat());

    let (context, mut activations) = (Context::new(2), Activations::default());
    let embeddings = model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
    let expected: Vec<Vec<f32>> = serde_json::from_value(golden_file["embeddings"].clone()).unwrap();
    for (ours, theirs) in embeddings.data().iter().zip(expected.concat()) {
        assert!((ours - theirs).abs() < 1e-5, "{ours} is not {theirs}");
    }

    let upstream = noise(texts.len() * 24, 3);
    let upstream = Rows::new(&upstream, texts.len(), 24, 24);
    let gradients = backward(&mut model, &context, &batch, DropoutSeed::Off, &mut activations, upstream);
    let expected = read_safetensors(&golden("mpnet_grads.safetensors"));
    assert_eq!(expected.len(), model.tensors().len());
    for tensor in model.tensors() {
        let (shape, theirs) = &expected[&tensor.name];
        assert_eq!(*shape, tensor.shape, "{}", tensor.name);
        let largest = theirs.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert!(largest > 0.0 || tensor.name.ends_with("k.bias"), "{} has no gradient", tensor.name);
        for (index, (ours, theirs)) in gradients[tensor.range.clone()].iter().zip(theirs).enumerate() {
            let difference = (ours - theirs).abs() / theirs.abs().max(1.0);
            assert!(difference < 1e-5, "{}[{index}] is {ours} instead of {theirs}", tensor.name);
        }
    }
}
