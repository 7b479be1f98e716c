//! Losses against values and gradients of the reference, and against finite differences.

mod support;

use maana_kernels::Matrix;
use maana_train::{LossArguments, LossName};
use proptest::prelude::*;
use serde_json::Value;
use support::{floats, made_up, measure};

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/losses.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Compares with the golden values of `key`, for columns with letters as names.
fn compare(key: &str, columns: &str, arguments: &LossArguments) {
    let golden = golden();
    let (rows, dimension) = (golden["batch"].as_u64().unwrap() as usize, golden["dim"].as_u64().unwrap() as usize);
    let matrices: Vec<Matrix> =
        columns.chars().map(|column| Matrix::from_vec(rows, dimension, floats(&golden[column.to_string()]))).collect();
    let labels = floats(&golden["score"]);
    let loss = arguments.build(dimension, 42).unwrap();
    let (value, d_columns) = measure(loss.as_ref(), &matrices, Some(&labels), 1.0);

    let expected = &golden["losses"][key];
    let close = |ours: f32, theirs: f64| (f64::from(ours) - theirs).abs() <= 1e-5 * theirs.abs().max(1.0);
    assert!(close(value, expected["value"].as_f64().unwrap()), "{key}: {value} instead of {}", expected["value"]);
    for (column, d_column) in d_columns.iter().enumerate() {
        let theirs = floats(&expected["d_columns"][column]);
        assert_eq!(theirs.len(), d_column.data().len());
        for (index, (&ours, &theirs)) in d_column.data().iter().zip(&theirs).enumerate() {
            assert!(close(ours, theirs.into()), "{key}: column {column}, element {index}: {ours} instead of {theirs}");
        }
    }
}

fn nested(name: LossName) -> LossArguments {
    LossArguments { matryoshka_dims: Some(vec![32, 16, 8, 4]), ..LossArguments::new(name) }
}

#[test]
fn in_batch_negatives() {
    let plain = LossArguments::new(LossName::MultipleNegativesRanking);
    compare("in_batch_negatives", "ap", &plain);
    compare("in_batch_negatives_scale_50", "ap", &LossArguments { scale: Some(50.0), ..plain.clone() });
    compare("in_batch_negatives_hard", "apn", &plain);
}

#[test]
fn in_batch_negatives_in_both_directions() {
    compare("in_batch_negatives_symmetric", "ap", &LossArguments::new(LossName::MultipleNegativesSymmetricRanking));
}

#[test]
fn matryoshka_over_in_batch_negatives() {
    let plain = nested(LossName::MultipleNegativesRanking);
    compare("matryoshka_in_batch_negatives", "ap", &plain);
    compare("matryoshka_hard", "apn", &plain);
    let weighted = LossArguments { matryoshka_weights: Some(vec![1.0, 0.5, 0.25, 2.0]), ..plain };
    compare("matryoshka_weights_1_0.5_0.25_2", "ap", &weighted);
}

#[test]
fn losses_of_scored_pairs() {
    compare("cosent", "ap", &LossArguments::new(LossName::Cosent));
    compare("matryoshka_cosent", "ap", &nested(LossName::Cosent));
    compare("cosine_similarity", "ap", &LossArguments::new(LossName::CosineSimilarity));
}

#[test]
fn triplets() {
    compare("triplet_euclidean_margin_5", "apn", &LossArguments::new(LossName::Triplet));
}

const NAMES: [LossName; 5] = [
    LossName::MultipleNegativesRanking,
    LossName::MultipleNegativesSymmetricRanking,
    LossName::Cosent,
    LossName::CosineSimilarity,
    LossName::Triplet,
];

/// Numbers of columns with which a loss is tested.
fn columns_for(name: LossName) -> usize {
    match name {
        LossName::Cosent | LossName::CosineSimilarity => 2,
        _ => 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Gradients agree with finite differences, also under Matryoshka with weights, and the weight
    /// multiplies value and gradient.
    #[test]
    fn gradients_are_slopes(seed in 0_u64..1000, rows in 1_usize..6, which in 0_usize..5, is_nested: bool, weight in 0.1_f32..2.0) {
        let dimension = 12;
        let name = NAMES[which];
        let mut arguments = LossArguments { scale: None, ..LossArguments::new(name) };
        if !matches!(name, LossName::CosineSimilarity | LossName::Triplet) {
            arguments.scale = Some(3.0);
        }
        if is_nested {
            arguments.matryoshka_dims = Some(vec![12, 7, 3]);
            arguments.matryoshka_weights = Some(vec![1.0, 0.5, 2.0]);
        }
        let loss = arguments.build(dimension, 1).unwrap();
        let columns: Vec<Matrix> = (0..columns_for(name))
            .map(|column| Matrix::from_vec(rows, dimension, made_up(rows * dimension, seed * 7 + column as u64)))
            .collect();
        // A short prefix near zero, and two of nearly one direction, rotate too fast for finite
        // differences.
        let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
        let unit = |column: &Matrix, row: usize| -> Vec<f32> {
            let prefix = &column.row(row)[..3];
            prefix.iter().map(|x| x / length(prefix)).collect()
        };
        let apart = |a: Vec<f32>, b: Vec<f32>| length(&a.iter().zip(&b).map(|(a, b)| a - b).collect::<Vec<_>>()) > 0.3;
        for row in 0..rows {
            prop_assume!(columns.iter().all(|column| length(&column.row(row)[..3]) > 0.3));
            for pair in [(0, 1), (0, columns.len() - 1)] {
                prop_assume!(apart(unit(&columns[pair.0], row), unit(&columns[pair.1], row)));
            }
        }
        let labels = made_up(rows, seed + 5000);
        let (value, d_columns) = measure(loss.as_ref(), &columns, Some(&labels), weight);
        let (unweighted, _) = measure(loss.as_ref(), &columns, Some(&labels), 1.0);
        prop_assert!((value - weight * unweighted).abs() <= 1e-5 * value.abs().max(1.0));
        let step = 1e-2_f32;
        for column in 0..columns.len() {
            for element in (0..rows * dimension).step_by(5) {
                let moved = |by: f32| {
                    let mut columns = columns.clone();
                    columns[column].data_mut()[element] += by;
                    f64::from(measure(loss.as_ref(), &columns, Some(&labels), weight).0)
                };
                let difference = |step: f32| (moved(step) - moved(-step)) / f64::from(2.0 * step);
                // Without the error of second order in the step (Richardson).
                let slope = (4.0 * difference(step / 2.0) - difference(step)) / 3.0;
                let ours = f64::from(d_columns[column].data()[element]);
                prop_assert!((slope - ours).abs() <= 5e-3 * slope.abs().max(1.0), "{name:?}: {ours} instead of {slope}");
            }
        }
    }

    /// Shared products of all dimensions give the result of the separate dimensions.
    #[test]
    fn prefix_sums_equal_one_dimension_at_a_time(seed in 0_u64..1000, rows in 1_usize..9, columns in 2_usize..4, symmetric: bool) {
        let name = if symmetric { LossName::MultipleNegativesSymmetricRanking } else { LossName::MultipleNegativesRanking };
        let (dimension, dims) = (24, [24, 17, 8, 3]);
        let columns: Vec<Matrix> = (0..columns)
            .map(|column| Matrix::from_vec(rows, dimension, made_up(rows * dimension, seed * 11 + column as u64)))
            .collect();
        let together = LossArguments { matryoshka_dims: Some(dims.to_vec()), ..LossArguments::new(name) };
        let (value, d_columns) = measure(together.build(dimension, 1).unwrap().as_ref(), &columns, None, 1.0);
        let mut sum = 0.0;
        let mut d_sum: Vec<Matrix> = columns.iter().map(|_| Matrix::zeros(rows, dimension)).collect();
        for dim in dims {
            let cut: Vec<Matrix> = columns
                .iter()
                .map(|x| Matrix::from_vec(rows, dim, (0..rows).flat_map(|row| x.row(row)[..dim].to_vec()).collect()))
                .collect();
            let (value, d_cut) = measure(LossArguments::new(name).build(dim, 1).unwrap().as_ref(), &cut, None, 1.0);
            sum += value;
            for (d_sum, d_cut) in d_sum.iter_mut().zip(&d_cut) {
                for row in 0..rows {
                    d_sum.row_mut(row).iter_mut().zip(d_cut.row(row)).for_each(|(sum, d)| *sum += d);
                }
            }
        }
        prop_assert!((value - sum).abs() <= 1e-5 * sum.abs().max(1.0), "{value} instead of {sum}");
        for (ours, theirs) in d_columns.iter().zip(&d_sum) {
            for (ours, theirs) in ours.data().iter().zip(theirs.data()) {
                prop_assert!((ours - theirs).abs() <= 1e-4 * theirs.abs().max(1.0), "{ours} instead of {theirs}");
            }
        }
    }
}

#[test]
fn requirements_of_losses_are_checked() {
    let names = |columns: &[&str]| columns.iter().map(ToString::to_string).collect::<Vec<_>>();
    let needs = LossArguments::new(LossName::Cosent).build(8, 1).unwrap().needs();
    needs.check("cosent", &names(&["a", "b"]), 1).unwrap();
    let fault = needs.check("cosent", &names(&["a", "b"]), 0).unwrap_err().to_string();
    assert!(fault.contains("exactly 2 text columns and a label") && fault.contains("2 (a, b) and no label"), "{fault}");

    let needs = nested(LossName::MultipleNegativesRanking).build(32, 1).unwrap().needs();
    needs.check("multiple_negatives_ranking", &names(&["a", "b", "c", "d"]), 1).unwrap();
    let fault = needs.check("multiple_negatives_ranking", &names(&["a"]), 0).unwrap_err().to_string();
    assert!(fault.contains("at least 2 text columns"), "{fault}");
}

#[test]
fn invalid_settings_are_named() {
    let plain = LossArguments::new(LossName::MultipleNegativesRanking);
    let nested = nested(LossName::MultipleNegativesRanking);
    let faults = [
        ("scale", LossArguments { scale: Some(-1.0), ..plain.clone() }),
        ("scale", LossArguments { scale: Some(20.0), ..LossArguments::new(LossName::Triplet) }),
        ("margin", LossArguments { margin: Some(5.0), ..plain.clone() }),
        ("matryoshka_dims", LossArguments { matryoshka_dims: Some(vec![8, 16]), ..plain.clone() }),
        ("matryoshka_dims", LossArguments { matryoshka_dims: Some(vec![16, 16]), ..plain.clone() }),
        ("matryoshka_dims", LossArguments { matryoshka_dims: Some(vec![]), ..plain.clone() }),
        ("matryoshka_dims", LossArguments { matryoshka_dims: Some(vec![16, 0]), ..plain.clone() }),
        ("matryoshka_dims", LossArguments { matryoshka_dims: Some(vec![64, 16]), ..plain.clone() }),
        ("matryoshka_weights", LossArguments { matryoshka_weights: Some(vec![1.0]), ..nested.clone() }),
        ("matryoshka_weights", LossArguments { matryoshka_weights: Some(vec![1.0]), ..plain.clone() }),
        ("n_dims_per_step", LossArguments { n_dims_per_step: Some(5), ..nested.clone() }),
        ("n_dims_per_step", LossArguments { n_dims_per_step: Some(1), ..plain }),
    ];
    for (field, arguments) in faults {
        let Err(fault) = arguments.build(32, 1) else { panic!("{field}: {arguments:?} was accepted") };
        assert!(fault.to_string().contains(&format!("`{field}`")), "{field}: {fault}");
    }
    nested.build(32, 1).unwrap();
}

#[test]
fn recipes_name_losses_and_cards_describe_them() {
    let read: LossArguments =
        serde_json::from_str(r#"{"name": "multiple_negatives_ranking", "matryoshka_dims": [32, 16]}"#).unwrap();
    let summary = read.build(32, 1).unwrap().describe();
    assert_eq!((summary.name.as_str(), summary.class.as_str()), ("matryoshka", "MatryoshkaLoss"));
    let shown: Vec<String> = summary.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected = [
        "loss=\"MultipleNegativesRankingLoss\"",
        "matryoshka_dims=[32,16]",
        "matryoshka_weights=[1.0,1.0]",
        "n_dims_per_step=-1",
    ];
    assert_eq!(shown, expected);
    let inner = summary.inner.unwrap();
    assert_eq!(inner.parameters[0], ("scale".to_string(), serde_json::json!(20.0)));
    assert!(serde_json::from_str::<LossArguments>(r#"{"name": "mnrl"}"#).unwrap_err().to_string().contains("triplet"));
}

#[test]
fn a_batch_of_one_row_and_zero_vectors_give_numbers() {
    for name in NAMES {
        let columns: Vec<Matrix> = (0..columns_for(name)).map(|_| Matrix::zeros(1, 4)).collect();
        let loss = LossArguments::new(name).build(4, 1).unwrap();
        let (value, d_columns) = measure(loss.as_ref(), &columns, Some(&[0.5]), 1.0);
        assert!(value.is_finite(), "{name:?}: {value}");
        assert!(d_columns.iter().all(|d| d.data().iter().all(|d| d.is_finite())), "{name:?}");
    }
}
