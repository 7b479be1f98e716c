//! Accuracy of bf16 and int8 on a real model: embeddings are within stated bounds of those in f32.
//! Tests are skipped with a message if the model is not available.

use maana::data::RetrievalSet;
use maana::eval::{RetrievalOptions, evaluate_retrieval};
use maana::hub::HubOptions;
use maana::kernels::{Context, Matrix, Precision};
use maana::model::{TextEncoder, TrainingModel};

fn model(context: &Context) -> Option<TrainingModel> {
    let name = "sentence-transformers/all-MiniLM-L6-v2";
    match maana::open::open_for_training(name, context, Precision::F32, &HubOptions::from_environment(), &mut |_| {}) {
        Ok(opened) => Some(opened.model),
        Err(error) => {
            println!("skipped: {name} is not available: {error}");
            None
        }
    }
}

fn embeddings(model: &TrainingModel, context: &Context, texts: &[&str]) -> Matrix {
    TextEncoder::new(model.inference(), context).unwrap().embed(texts, "").unwrap()
}

/// Returns the largest distance 1 − cosine between rows, and the largest difference of elements
/// divided by the largest element.
fn differences(a: &Matrix, b: &Matrix) -> (f64, f64) {
    let mut largest = (0.0f64, 0.0f64);
    for row in 0..a.rows() {
        let dot: f64 = a.row(row).iter().zip(b.row(row)).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        let scale = a.row(row).iter().fold(0f32, |scale, x| scale.max(x.abs()));
        let element = a.row(row).iter().zip(b.row(row)).fold(0f32, |largest, (x, y)| largest.max((x - y).abs()));
        largest = (largest.0.max(1.0 - dot), largest.1.max(f64::from(element / scale)));
    }
    largest
}

#[test]
fn embeddings_stay_near_those_in_f32() {
    let context = Context::new(2);
    let Some(mut model) = model(&context) else { return };
    let pairs = maana::demo::pairs();
    let texts: Vec<&str> = pairs[..60].iter().flat_map(|(a, b)| [a.as_str(), b.as_str()]).collect();
    let exact = embeddings(&model, &context, &texts);
    for (precision, cosine, element) in [(Precision::Bf16, 1e-4, 0.03), (Precision::Int8, 1e-2, 0.3)] {
        model.set_precision(precision);
        let (distance, difference) = differences(&exact, &embeddings(&model, &context, &texts));
        println!(
            "{}: 1 - cosine at most {distance:.1e}, an element at most {difference:.4} of the largest",
            precision.name()
        );
        assert!(distance < cosine && difference < element, "{}: {distance} {difference}", precision.name());
    }
}

/// An embedding has the same bits in any batch and with any number of threads, in every precision.
#[test]
fn an_embedding_does_not_depend_on_its_batch() {
    let context = Context::new(1);
    let Some(mut model) = model(&context) else { return };
    let pairs = maana::demo::pairs();
    let texts: Vec<&str> = pairs[..40].iter().map(|(text, _)| text.as_str()).collect();
    for precision in Precision::ALL {
        model.set_precision(precision);
        let together = embeddings(&model, &Context::new(3), &texts);
        for index in [0, 21, 39] {
            let single = embeddings(&model, &context, &texts[index..=index]);
            assert_eq!(single.row(0), together.row(index), "{}, text {index}", precision.name());
        }
    }
}

/// nDCG@10 over all queries of two real Swahili sets changes by less than 0.2 % in bf16 and 1 % in
/// int8.
#[test]
fn retrieval_keeps_its_quality() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/swahili/ir");
    let sets = ["injongo-same-intent", "xcopa-premise2choice"].map(|name| data.join(name));
    if !sets.iter().all(|set| set.is_dir()) {
        println!("skipped: {} does not exist", data.display());
        return;
    }
    let context = Context::available();
    let Some(mut model) = model(&context) else { return };
    let mut means = Vec::new();
    for precision in Precision::ALL {
        model.set_precision(precision);
        let encoder = TextEncoder::new(model.inference(), &context).unwrap();
        let (mut sum, mut queries) = (0.0, 0.0);
        for set in &sets {
            let set = RetrievalSet::open(set).unwrap();
            let count = set.queries.len() as f64;
            let dims = [encoder.dimension()];
            let scores = evaluate_retrieval(&context, &encoder, &set, &dims, &RetrievalOptions::default()).unwrap();
            sum += count * scores[0].get("cosine_ndcg@10").unwrap();
            queries += count;
        }
        means.push(sum / queries);
        println!("{}: nDCG@10 {:.5} over {queries} queries", precision.name(), sum / queries);
    }
    for (mean, bound) in means[1..].iter().zip([0.002, 0.01]) {
        assert!((mean / means[0] - 1.0).abs() < bound, "{means:?}");
    }
}
