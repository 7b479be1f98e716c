//! Further losses against values and gradients of the reference, with and without Matryoshka, and
//! against finite differences.

mod support;

use maana_kernels::Matrix;
use maana_train::{Inputs, LossArguments, LossName};
use proptest::prelude::*;
use serde_json::Value;
use support::{floats, made_up, measure};

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/losses_more.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Concatenates the guide's embeddings of a row's columns.
fn guide_labels(golden: &Value, columns: &[String], rows: usize) -> Vec<f32> {
    let guides: Vec<Vec<f32>> = columns.iter().map(|column| floats(&golden["guides"][column])).collect();
    let dimension = guides[0].len() / rows;
    let of_row = |row: usize| guides.iter().flat_map(move |guide| &guide[row * dimension..][..dimension]);
    (0..rows).flat_map(of_row).copied().collect()
}

#[test]
fn every_loss_has_the_values_and_gradients_of_the_reference() {
    let golden = golden();
    let (rows, dimension) = (golden["batch"].as_u64().unwrap() as usize, golden["dim"].as_u64().unwrap() as usize);
    let mut names = Vec::new();
    for (key, case) in golden["cases"].as_object().unwrap() {
        let arguments: LossArguments = serde_json::from_value(case["recipe"].clone()).unwrap();
        let columns: Vec<String> = case["columns"].as_str().unwrap().chars().map(String::from).collect();
        let matrices: Vec<Matrix> = columns
            .iter()
            .map(|column| Matrix::from_vec(rows, dimension, floats(&golden["columns"][column])))
            .collect();
        let labels = match case["label"].as_str() {
            Some(label) => Some(floats(&golden["labels"][label])),
            None if arguments.name == LossName::GistEmbed => Some(guide_labels(&golden, &columns, rows)),
            None => None,
        };
        let loss = arguments.build(dimension, 42).unwrap();
        let length = labels.as_ref().map_or(0, |labels| labels.len() / rows);
        loss.needs().check(key, &columns, length).unwrap();
        if let Some(layer) = loss.trained_layer() {
            layer.set_parameters(&floats(&case["parameters"]));
        }
        let (value, d_columns) = measure(loss.as_ref(), &matrices, labels.as_deref(), 1.0);

        let close = |ours: f32, theirs: f64| (f64::from(ours) - theirs).abs() <= 1e-5 * theirs.abs().max(1.0);
        assert!(close(value, case["value"].as_f64().unwrap()), "{key}: {value} instead of {}", case["value"]);
        for (column, d_column) in d_columns.iter().enumerate() {
            let theirs = floats(&case["d_columns"][column]);
            assert_eq!(theirs.len(), d_column.data().len());
            for (index, (&ours, &theirs)) in d_column.data().iter().zip(&theirs).enumerate() {
                assert!(close(ours, theirs.into()), "{key}: column {column}, {index}: {ours} instead of {theirs}");
            }
        }
        if let Some(layer) = loss.trained_layer() {
            let (gradients, theirs) = (layer.gradients(), floats(&case["d_parameters"]));
            assert_eq!(gradients.len(), theirs.len());
            let far = gradients.iter().zip(&theirs).find(|(ours, theirs)| !close(**ours, f64::from(**theirs)));
            assert_eq!(far, None, "{key}: parameters of the loss");
        }
        names.push(arguments.name);
    }
    let elsewhere =
        [LossName::Cosent, LossName::CosineSimilarity, LossName::MultipleNegativesSymmetricRanking, LossName::Simcse];
    let mut of_texts = LossName::ALL.iter().filter(|name| name.trains(Inputs::Texts));
    let missing = of_texts.find(|name| !names.contains(name) && !elsewhere.contains(name));
    assert_eq!(missing, None);
}

/// A loss with the numbers of columns and the labels with which it is tested.
fn smooth(which: usize, rows: usize, seed: u64) -> (LossArguments, usize, Vec<f32>) {
    let binary = || (0..rows).map(|row| ((row as u64 + seed) % 2) as f32).collect();
    let classes = || (0..rows).map(|row| ((row as u64 * 7 + seed) % 3) as f32).collect();
    let random = |length: usize| made_up(rows * length, seed + 5000);
    let of = |name| LossArguments::new(name);
    let recipe = |json: &str| serde_json::from_str::<LossArguments>(json).unwrap();
    match which {
        0 => (LossArguments { margin: Some(0.8), ..of(LossName::Contrastive) }, 2, binary()),
        1 => (LossArguments { margin: Some(0.8), ..of(LossName::OnlineContrastive) }, 2, binary()),
        2 => (of(LossName::Mse), 2, random(12)),
        3 => (of(LossName::MarginMse), 4, random(2)),
        4 => (LossArguments { temperature: Some(2.0), ..of(LossName::DistillKlDiv) }, 3, random(2)),
        5 => (LossArguments { scale: Some(3.0), ..of(LossName::Angle) }, 2, random(1)),
        6 => (LossArguments { temperature: Some(0.5), ..of(LossName::GistEmbed) }, 3, random(3 * 5)),
        7 => (of(LossName::BatchHardTriplet), 1, classes()),
        8 => (of(LossName::BatchAllTriplet), 1, classes()),
        9 => (of(LossName::BatchSemiHardTriplet), 1, classes()),
        10 => (of(LossName::BatchHardSoftMarginTriplet), 1, classes()),
        11 => {
            let directions = r#"["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"]"#;
            let json = format!(r#"{{"name": "multiple_negatives_ranking", "scale": 3.0, "directions": {directions}}}"#);
            (recipe(&json), 3, random(1))
        }
        12 => {
            let json = r#"{"name": "softmax", "num_labels": 3, "concatenation_sent_multiplication": true}"#;
            (recipe(json), 2, classes())
        }
        13 => (recipe(r#"{"name": "mse", "projection_dim": 5}"#), 2, random(2 * 5)),
        _ => {
            let triplet = r#"{"name": "triplet", "distance_metric": "manhattan", "margin": 30.0}"#;
            (recipe(triplet), 3, random(1))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Gradients agree with finite differences wherever a step in both directions has nearly the
    /// same slope, that is, away from the edges of maxima and thresholds.
    #[test]
    fn gradients_are_slopes(seed in 0_u64..1000, rows in 2_usize..7, which in 0_usize..15, is_nested: bool) {
        let dimension = 12;
        let (mut arguments, columns, labels) = smooth(which, rows, seed);
        let has_layer = arguments.num_labels.is_some() || arguments.projection_dim.is_some();
        if is_nested && !has_layer {
            arguments.matryoshka_dims = Some(vec![12, 7]);
            arguments.matryoshka_weights = Some(vec![1.0, 0.5]);
        }
        let loss = arguments.build(dimension, 1).unwrap();
        let columns: Vec<Matrix> = (0..columns)
            .map(|column| Matrix::from_vec(rows, dimension, made_up(rows * dimension, seed * 7 + column as u64)))
            .collect();
        let (value, d_columns) = measure(loss.as_ref(), &columns, Some(&labels), 1.0);
        let (weighted, d_weighted) = measure(loss.as_ref(), &columns, Some(&labels), 0.5);
        prop_assert!((weighted - 0.5 * value).abs() <= 1e-5 * value.abs().max(1.0));
        for (d, d_weighted) in d_columns.iter().zip(&d_weighted) {
            for (d, d_weighted) in d.data().iter().zip(d_weighted.data()) {
                prop_assert!((0.5 * d - d_weighted).abs() <= 1e-5 * d.abs().max(1.0));
            }
        }
        let (step, mut compared, mut elements) = (4e-3_f32, 0, 0);
        for column in 0..columns.len() {
            for element in (0..rows * dimension).step_by(5) {
                let moved = |by: f32| {
                    let mut columns = columns.clone();
                    columns[column].data_mut()[element] += by;
                    f64::from(measure(loss.as_ref(), &columns, Some(&labels), 1.0).0)
                };
                let (ahead, behind, here) = (moved(step), moved(-step), f64::from(value));
                let step = f64::from(step);
                elements += 1;
                let (forward, backward) = ((ahead - here) / step, (here - behind) / step);
                if (forward - backward).abs() > 0.05 * forward.abs().max(0.2) {
                    continue;
                }
                compared += 1;
                let (slope, ours) = (0.5 * (forward + backward), f64::from(d_columns[column].data()[element]));
                prop_assert!(
                    (slope - ours).abs() <= 1e-2 * slope.abs().max(1.0),
                    "{:?}: {ours} instead of {slope}", arguments.name
                );
            }
        }
        prop_assert!(2 * compared >= elements, "{:?}: {compared} of {elements} compared", arguments.name);
    }

    /// Threads change no bit of a loss or a gradient.
    #[test]
    fn threads_change_no_bit(seed in 0_u64..1000, rows in 2_usize..20, which in 0_usize..15) {
        let (arguments, columns, labels) = smooth(which, rows, seed);
        let loss = arguments.build(12, 1).unwrap();
        let columns: Vec<Matrix> =
            (0..columns).map(|column| Matrix::from_vec(rows, 12, made_up(rows * 12, seed + column as u64))).collect();
        let one = support::measure_with(1, loss.as_ref(), &columns, Some(&labels), 1.0);
        let three = support::measure_with(3, loss.as_ref(), &columns, Some(&labels), 1.0);
        prop_assert_eq!(one.0.to_bits(), three.0.to_bits());
        prop_assert_eq!(one.1, three.1);
    }
}

#[test]
fn the_percentile_of_a_guide_leaves_out_the_most_similar_documents() {
    // The guide has documents 2 and 3 nearer to query 0 than its positive, document 1 farther.
    let guide = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin()];
    let labels: Vec<f32> = [(0.0, 30.0), (90.0, 80.0), (180.0, 10.0), (270.0, 20.0)]
        .into_iter()
        .flat_map(|(query, document)| [guide(query), guide(document)].concat())
        .collect();
    let columns: Vec<Matrix> = (0..2).map(|column| Matrix::from_vec(4, 3, made_up(12, column))).collect();
    let d_of = |settings: &str| {
        let json = format!(
            r#"{{"name": "gist_embed", "temperature": 1.0, "contrast_anchors": false, "contrast_positives": false{settings}}}"#
        );
        let loss = serde_json::from_str::<LossArguments>(&json).unwrap().build(3, 1).unwrap();
        measure(loss.as_ref(), &columns, Some(&labels), 1.0).0
    };
    let absolute = d_of("");
    let share = |margin: &str| d_of(&format!(r#", "margin_strategy": "percentile", "margin": {margin}"#));
    assert_eq!(share("0.0"), absolute, "without a margin the limit is the positive");
    assert!(share("1.0") < absolute, "a larger share leaves out more");
}

#[test]
fn zero_vectors_and_single_rows_give_numbers() {
    for name in LossName::ALL.into_iter().filter(|name| name.trains(Inputs::Texts)) {
        let num_labels = (name == LossName::Softmax).then_some(3);
        let arguments = LossArguments { num_labels, ..LossArguments::new(name) };
        let needs = arguments.build(4, 1).unwrap().needs();
        let columns = *needs.columns.start();
        for rows in [1, 3] {
            let length = (1..100).find(|&length| needs.check("", &vec![String::new(); columns], length).is_ok());
            let length = length.unwrap_or(1);
            let matrices: Vec<Matrix> = (0..columns).map(|_| Matrix::zeros(rows, 4)).collect();
            let loss = arguments.build(4, 1).unwrap();
            let labels = vec![1.0; rows * length];
            let (value, d_columns) = measure(loss.as_ref(), &matrices, Some(&labels), 1.0);
            assert!(value.is_finite(), "{name:?}: {value}");
            assert!(d_columns.iter().all(|d| d.data().iter().all(|d| d.is_finite())), "{name:?}");
        }
    }
}

#[test]
fn settings_of_other_losses_and_invalid_ones_are_named() {
    let read = |json: &str| serde_json::from_str::<LossArguments>(json).unwrap();
    for (json, expected) in [
        (
            r#"{"name": "contrastive", "scale": 20.0}"#,
            "`scale` is 20.0, but has to be left out: the loss \"contrastive\" has only distance_metric, margin",
        ),
        (r#"{"name": "cosine_similarity", "teacher": "x"}"#, "has no parameters"),
        (r#"{"name": "cosent", "guide": "x"}"#, "`guide`"),
        (r#"{"name": "contrastive", "margin": 0.0}"#, "above 0"),
        (r#"{"name": "distill_kl_div", "temperature": -1.0}"#, "`temperature`"),
        (r#"{"name": "gist_embed", "margin_strategy": "percentile", "margin": 1.5}"#, "from 0 to 1"),
        (r#"{"name": "batch_all_triplet", "distance_metric": "manhattan"}"#, "`cosine` or `euclidean`"),
        (r#"{"name": "mse", "teacher_columns": "each"}"#, "is \"each\", but has to be given together"),
        (r#"{"name": "softmax"}"#, "`num_labels` is missing"),
        (r#"{"name": "softmax", "num_labels": 1}"#, "from 2 to 65536"),
        (r#"{"name": "softmax", "num_labels": 3, "matryoshka_dims": [32, 8]}"#, "reads whole embeddings"),
        (r#"{"name": "mse", "projection_dim": 8, "matryoshka_dims": [32, 8]}"#, "reads whole embeddings"),
        (r#"{"name": "mse", "projection_dim": 0}"#, "`projection_dim`"),
        (r#"{"name": "cosent", "num_labels": 3}"#, "left out"),
        (
            r#"{"name": "softmax", "num_labels": 3, "concatenation_sent_rep": false, "concatenation_sent_difference": false}"#,
            "`concatenation_sent_rep`",
        ),
        (r#"{"name": "cosent", "adaptive_layers": {}}"#, "static"),
        (r#"{"name": "cosent", "adaptive_layers": {"n_layers_per_step": 0}}"#, "at least 1, or \"all\""),
        (r#"{"name": "cosent", "adaptive_layers": {"kl_temperature": -1.0}}"#, "not negative"),
        (r#"{"name": "multiple_negatives_ranking", "directions": ["doc_to_query"]}"#, "is [\"doc_to_query\"], but"),
        (r#"{"name": "multiple_negatives_ranking", "directions": ["query_to_doc", "query_to_doc"]}"#, "repetitions"),
        (r#"{"name": "multiple_negatives_ranking", "hardness_mode": "all_negatives"}"#, "is \"all_negatives\", but"),
        (r#"{"name": "multiple_negatives_ranking", "hardness_strength": 5.0}"#, "hardness_mode"),
        (
            r#"{"name": "multiple_negatives_ranking", "directions": ["query_to_doc", "doc_to_doc"], "partition_mode": "per_direction"}"#,
            "`joint`",
        ),
    ] {
        let Err(error) = read(json).build(32, 1) else { panic!("{json} was accepted") };
        assert!(error.to_string().contains(expected), "{json}: {error}");
    }
}

#[test]
fn labels_that_a_loss_does_not_accept_are_named() {
    let names = |columns: usize| (0..columns).map(|column| format!("c{column}")).collect::<Vec<_>>();
    let check = |name, columns: usize, length: usize| {
        let loss = LossArguments::new(name).build(8, 1).unwrap();
        loss.needs().check("x", &names(columns), length).map_err(|error| error.to_string())
    };
    for (name, columns, length, expected) in [
        (LossName::Mse, 1, 0, "`teacher`, or a label that is a list of 8 numbers"),
        (LossName::Mse, 2, 7, "a list of 8 numbers, the teacher's embedding, or of 16 for each column"),
        (LossName::MarginMse, 3, 3, "a label with the margin between both documents, or a list of their 2 scores"),
        (LossName::MarginMse, 4, 1, "a list of 2 margins or of 3 scores"),
        (LossName::DistillKlDiv, 4, 2, "a list of 3 scores"),
        (LossName::GistEmbed, 2, 0, "`guide`"),
        (LossName::Angle, 2, 0, "and a label"),
        (LossName::BatchHardTriplet, 2, 1, "exactly 1 text column, but the data have 2 (c0, c1)"),
        (LossName::BatchHardTriplet, 2, 0, "exactly 1 text column and a label that is a whole number"),
        (LossName::MarginMse, 2, 1, "at least 3 text columns, but the data have 2 (c0, c1)"),
        (LossName::DistillKlDiv, 2, 1, "at least 3 text columns, but the data have 2 (c0, c1)"),
        (LossName::Contrastive, 2, 2, "a label of 0 or 1, but the data have 2 (c0, c1) and a label of 2 numbers"),
    ] {
        let error = check(name, columns, length).unwrap_err();
        assert!(error.contains(expected), "{name:?}: {error}");
    }
    for (name, columns, length) in [
        (LossName::Mse, 2, 8),
        (LossName::Mse, 2, 16),
        (LossName::MarginMse, 3, 1),
        (LossName::MarginMse, 3, 2),
        (LossName::MarginMse, 4, 2),
        (LossName::MarginMse, 4, 3),
        (LossName::DistillKlDiv, 3, 2),
        (LossName::Angle, 3, 0),
        (LossName::Angle, 3, 1),
        (LossName::GistEmbed, 2, 10),
    ] {
        check(name, columns, length).unwrap();
    }
}
