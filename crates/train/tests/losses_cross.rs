//! Losses of cross-encoders against values and gradients of the reference, and against finite
//! differences.

mod support;

use maana_kernels::{Context, Matrix, Rows};
use maana_train::loss::{Embedded, NumberOrAll, Pairs};
use maana_train::{Inputs, Loss, LossArguments, LossName};
use proptest::prelude::*;
use serde_json::Value;
use std::sync::Arc;
use support::{floats, made_up};

/// Logits of pairs, row by row, with the starts of the rows and the labels.
struct Batch {
    logits: Matrix,
    pairs: Vec<usize>,
    labels: Option<Vec<f32>>,
}

impl Batch {
    /// Returns the loss and the gradients of the logits.
    fn measure(&self, threads: usize, loss: &dyn Loss, weight: f32) -> (f32, Matrix) {
        let rows = self.pairs.len() - 1;
        let labels = self.labels.as_deref().map(|labels| match labels.len() % rows {
            0 if labels.len() != self.logits.rows() => {
                let length = labels.len() / rows;
                Rows::new(labels, rows, length, length)
            }
            _ => Rows::new(labels, labels.len(), 1, 1),
        });
        let mut d_columns = [Matrix::zeros(self.logits.rows(), self.logits.columns())];
        let columns = [self.logits.view()];
        let embedded = Embedded { columns: &columns, labels, pairs: &self.pairs, pass: 0, trains: true };
        let value = loss.loss(&Context::new(threads), &embedded, weight, &mut d_columns);
        let [d_logits] = d_columns;
        (value, d_logits)
    }
}

fn offsets(lengths: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let ends = lengths.into_iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

#[test]
fn every_loss_of_pairs_has_the_values_and_gradients_of_the_reference() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/cross_losses.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut names = Vec::new();
    for (key, case) in golden.as_object().unwrap() {
        let arguments: LossArguments = serde_json::from_value(case["recipe"].clone()).unwrap();
        let labels = case["num_labels"].as_u64().unwrap() as usize;
        let loss = arguments.build_on_pairs(labels).unwrap();
        let logits = floats(&case["logits"]);
        let batch = Batch {
            logits: Matrix::from_vec(logits.len() / labels, labels, logits),
            pairs: offsets(case["pairs"].as_array().unwrap().iter().map(|row| row.as_array().unwrap().len())),
            labels: case["labels"].is_array().then(|| floats(&case["labels"])),
        };
        let (value, d_logits) = batch.measure(1, loss.as_ref(), 1.0);
        let close = |ours: f32, theirs: f64| (f64::from(ours) - theirs).abs() <= 1e-5 * theirs.abs().max(1.0);
        assert!(close(value, case["value"].as_f64().unwrap()), "{key}: {value} instead of {}", case["value"]);
        let theirs = floats(&case["d_logits"]);
        assert_eq!(theirs.len(), d_logits.data().len());
        for (index, (&ours, &theirs)) in d_logits.data().iter().zip(&theirs).enumerate() {
            assert!(close(ours, theirs.into()), "{key}: {index}: {ours} instead of {theirs}");
        }
        names.push(arguments.name);
    }
    let mut of_pairs = LossName::ALL.iter().filter(|name| name.trains(Inputs::Pairs));
    assert_eq!(of_pairs.find(|name| !names.contains(name)), None);
}

/// A loss with the logits of a pair, the pairs of each row and the labels with which it is tested.
fn case(which: usize, rows: usize, seed: u64) -> (Box<dyn Loss>, Batch) {
    let read = |json: &str| serde_json::from_str::<LossArguments>(json).unwrap();
    let lists = offsets((0..rows).map(|row| 1 + (row * 5 + seed as usize) % 4));
    let grades: Vec<f32> = (0..lists[rows] as u64).map(|pair| ((pair * 7 + seed) % 3) as f32).collect();
    let shares = || made_up(rows, seed + 9).iter().map(|x| 0.5 + 0.5 * x).collect();
    let (json, labels, pairs, numbers) = match which {
        0 => (r#"{"name": "binary_cross_entropy", "pos_weight": 3.0}"#, 1, offsets(vec![1; rows]), Some(shares())),
        1 => (r#"{"name": "cross_entropy", "activation": "tanh"}"#, 3, offsets(vec![1; rows]), None),
        2 => (r#"{"name": "mse", "activation": "sigmoid"}"#, 1, offsets(vec![1; rows]), Some(shares())),
        3 => (r#"{"name": "margin_mse"}"#, 1, offsets(vec![3; rows]), Some(made_up(rows * 2, seed + 9))),
        4 => (r#"{"name": "multiple_negatives_ranking", "scale": 3.0}"#, 1, offsets(vec![4; rows]), None),
        5 => (r#"{"name": "lambda", "k": 2}"#, 1, lists, Some(grades)),
        6 => (r#"{"name": "lambda", "weighting_scheme": "ndcg_loss1"}"#, 1, lists, Some(grades)),
        7 => (r#"{"name": "rank_net", "activation": "sigmoid"}"#, 1, lists, Some(grades)),
        8 => (r#"{"name": "list_net"}"#, 1, lists, Some(grades)),
        9 => (r#"{"name": "list_mle", "respect_input_order": false}"#, 1, lists, Some(grades)),
        10 => (r#"{"name": "plist_mle"}"#, 1, lists, Some(grades)),
        _ => (r#"{"name": "adr_mse", "alpha": 2.0}"#, 1, lists, Some(grades)),
    };
    let numbers = match which {
        1 => Some((0..rows).map(|row| ((row as u64 + seed) % 3) as f32).collect()),
        _ => numbers,
    };
    let logits = Matrix::from_vec(pairs[rows], labels, made_up(pairs[rows] * labels, seed * 3 + 1));
    (read(json).build_on_pairs(labels).unwrap(), Batch { logits, pairs, labels: numbers })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Gradients agree with finite differences wherever no two scores exchange their ranks, and the
    /// weight multiplies value and gradient.
    #[test]
    fn gradients_are_slopes(seed in 0_u64..1000, rows in 1_usize..6, which in 0_usize..12, weight in 0.1_f32..2.0) {
        let (loss, batch) = case(which, rows, seed);
        let (value, d_logits) = batch.measure(1, loss.as_ref(), weight);
        let (unweighted, _) = batch.measure(1, loss.as_ref(), 1.0);
        prop_assert!((value - weight * unweighted).abs() <= 1e-5 * value.abs().max(1.0));
        let step = 4e-3_f32;
        for element in 0..batch.logits.data().len() {
            let x = batch.logits.data()[element];
            let near = |other: &f32| (other - x).abs() < 2.0 * step;
            if which >= 5 && batch.logits.data().iter().filter(|other| near(other)).count() > 1 {
                continue;
            }
            let moved = |by: f32| {
                let mut logits = batch.logits.clone();
                logits.data_mut()[element] += by;
                let batch = Batch { logits, pairs: batch.pairs.clone(), labels: batch.labels.clone() };
                f64::from(batch.measure(1, loss.as_ref(), weight).0)
            };
            let slope = (moved(step) - moved(-step)) / f64::from(2.0 * step);
            let ours = f64::from(d_logits.data()[element]);
            prop_assert!((slope - ours).abs() <= 5e-3 * slope.abs().max(1.0), "{which}: {ours} instead of {slope}");
        }
    }

    /// Threads change no bit of a loss or a gradient.
    #[test]
    fn threads_change_no_bit(seed in 0_u64..1000, rows in 1_usize..20, which in 0_usize..12) {
        let (loss, batch) = case(which, rows, seed);
        let (one, three) = (batch.measure(1, loss.as_ref(), 1.0), batch.measure(3, loss.as_ref(), 1.0));
        prop_assert_eq!(one.0.to_bits(), three.0.to_bits());
        prop_assert_eq!(one.1, three.1);
    }

    /// Large logits give numbers.
    #[test]
    fn large_logits_give_numbers(rows in 1_usize..6, which in 0_usize..12, factor in 1.0_f32..1e6) {
        let (loss, mut batch) = case(which, rows, 7);
        batch.logits.data_mut().iter_mut().for_each(|logit| *logit *= factor);
        let (value, d_logits) = batch.measure(1, loss.as_ref(), 1.0);
        prop_assert!(value.is_finite() && d_logits.data().iter().all(|d| d.is_finite()));
    }
}

#[test]
fn settings_of_other_losses_and_models_are_named() {
    let read = |json: &str| serde_json::from_str::<LossArguments>(json).unwrap();
    for (json, labels, expected) in [
        (r#"{"name": "cosent"}"#, 1, "a loss of cross-encoders"),
        (r#"{"name": "mse", "teacher": "x"}"#, 1, "`teacher`"),
        (r#"{"name": "mse", "matryoshka_dims": [1]}"#, 1, "`matryoshka_dims`"),
        (r#"{"name": "lambda", "weighting_scheme": "none", "mu": 2.0}"#, 1, "ndcg_loss2pp"),
        (r#"{"name": "lambda", "k": 0}"#, 1, "at least 1"),
        (r#"{"name": "binary_cross_entropy", "pos_weight": 0.0}"#, 1, "above 0"),
        (r#"{"name": "binary_cross_entropy"}"#, 3, "the model has 3 labels"),
        (r#"{"name": "cross_entropy"}"#, 1, "num_labels"),
    ] {
        let Err(error) = read(json).build_on_pairs(labels) else { panic!("{json} was accepted") };
        assert!(error.to_string().contains(expected), "{json}: {error}");
    }
    let Err(error) = read(r#"{"name": "lambda"}"#).build(8, 1) else { panic!("a loss of pairs was accepted") };
    assert!(error.to_string().contains("a loss of embeddings"), "{error}");
    for json in [r#"{"name": "mse", "num_negatives": -1}"#, r#"{"name": "mse", "num_negatives": "some"}"#] {
        let error = serde_json::from_str::<LossArguments>(json).unwrap_err().to_string();
        assert!(error.contains("or \"all\""), "{error}");
    }
}

#[test]
fn rows_become_pairs_as_the_loss_says() {
    let pairs = |json: &str| serde_json::from_str::<LossArguments>(json).unwrap().build_on_pairs(1).unwrap().pairs();
    let ranking = |number| Some(Pairs::WithOthers(number));
    assert_eq!(pairs(r#"{"name": "multiple_negatives_ranking"}"#), ranking(NumberOrAll::Number(4)));
    let all = r#"{"name": "multiple_negatives_ranking", "num_negatives": "all"}"#;
    assert_eq!(pairs(all), ranking(NumberOrAll::All));
    assert_eq!(pairs(r#"{"name": "margin_mse"}"#), Some(Pairs::Each));
    assert_eq!(LossArguments::new(LossName::Mse).build(8, 1).unwrap().pairs(), None);
    let shared: Arc<dyn Loss> = LossArguments::new(LossName::MarginMse).build_on_pairs(1).unwrap().into();
    assert_eq!(Loss::pairs(&shared), Some(Pairs::Each), "a shared loss is one of pairs too");
}
