//! Updates against PyTorch and transformers (`golden/optim.json`), frozen parameters, and updates
//! of some rows of the word table.

mod support;

use maana_kernels::{Context, Matrix};
use maana_model::{
    Activations, Algorithm, DropoutSeed, ParameterArena, StatePart, Tensor, TensorSettings, Trainable, TrainingModel,
    UpdatePlan,
};
use serde_json::Value;
use std::ops::Range;
use support::{floats, golden, noise, open, read_json, write_small};

const TEXTS: [&str; 4] = ["the house of the king", "", "water", "north and south and east and west"];

/// Returns an arena with the tensors of a golden case and its first parameters.
fn arena(case: &Value) -> ParameterArena {
    let (mut tensors, mut parameters): (Vec<Tensor>, Vec<f32>) = Default::default();
    let shapes = case["shapes"].as_array().unwrap();
    for (index, (shape, start)) in shapes.iter().zip(case["start"].as_array().unwrap()).enumerate() {
        let shape: Vec<usize> = serde_json::from_value(shape.clone()).unwrap();
        let range = parameters.len()..parameters.len() + shape.iter().product::<usize>();
        tensors.push(Tensor { name: format!("tensor.{index}"), shape, range });
        parameters.extend(floats(start));
    }
    ParameterArena::new(tensors, parameters)
}

/// Applies the updates of a golden case, and compares the parameters after each.
fn check(case: &Value, arena: &mut ParameterArena, learning_rate: f64) {
    let context = Context::new(2);
    for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let all = |name: &str| step[name].as_array().unwrap().iter().flat_map(floats).collect::<Vec<f32>>();
        let (_, mut gradients) = arena.for_backward();
        let whole = 0..all("gradients").len();
        gradients.of(&whole).unwrap().copy_from_slice(&all("gradients"));
        drop(gradients);
        arena.update(&context, number as u64 + 1, learning_rate * step["scale"].as_f64().unwrap(), 1.0);
        for (index, (ours, theirs)) in arena.parameters().iter().zip(all("parameters")).enumerate() {
            let close = (ours - theirs).abs() <= 1e-6 * (1.0 + theirs.abs());
            assert!(close, "update {number}, parameter {index}: {ours} instead of {theirs}");
        }
        assert!(arena.gradients().iter().all(|gradient| *gradient == 0.0));
    }
}

#[test]
fn adamw_with_groups_is_that_of_pytorch() {
    let case = &read_json(&golden("optim.json"))["adamw"];
    let mut arena = arena(case);
    let settings =
        |learning_rate_factor, weight_decay| TensorSettings { trains: true, learning_rate_factor, weight_decay };
    arena.set_update_plan(UpdatePlan {
        algorithm: Algorithm::AdamW { beta1: 0.8, beta2: 0.99, epsilon: 1e-6, lazy_embeddings: false },
        tensors: vec![settings(1.0, 0.1), settings(0.1, 0.0), settings(5.0, 0.5)],
    });
    check(case, &mut arena, 1e-2);
}

#[test]
fn adafactor_is_that_of_transformers_in_less_memory() {
    for case in read_json(&golden("optim.json"))["adafactor"].as_array().unwrap() {
        let mut arena = arena(case);
        let settings = &case["settings"];
        let number = |name: &str| settings[name].as_f64().unwrap();
        let tensor = TensorSettings { trains: true, learning_rate_factor: 1.0, weight_decay: number("weight_decay") };
        let plan = UpdatePlan {
            algorithm: Algorithm::Adafactor {
                clip_threshold: number("clip_threshold"),
                decay_rate: -0.8,
                scale_parameter: settings["scale_parameter"].as_bool().unwrap(),
            },
            tensors: vec![tensor; 3],
        };
        arena.set_update_plan(plan.clone());
        check(case, &mut arena, 1e-2);
        assert_eq!(arena.state_tensors(StatePart::FirstMoments), []);
        let moments: Vec<_> =
            arena.state_tensors(StatePart::SecondMoments).into_iter().map(|of| (of.name, of.range)).collect();
        let expected = [
            ("tensor.0.rows", 0..6),
            ("tensor.0.columns", 6..11),
            ("tensor.1", 11..18),
            ("tensor.2.rows", 18..19),
            ("tensor.2.columns", 19..23),
        ];
        assert_eq!(moments, expected.map(|(name, range)| (name.to_owned(), range)));
        let bytes = (plan.gradient_bytes(arena.tensors()), plan.moment_bytes(arena.tensors()));
        assert_eq!(bytes, (4 * 41, 4 * 23));
    }
}

fn lazy(lazy_embeddings: bool, weight_decay: f64, tensors: usize) -> UpdatePlan {
    UpdatePlan {
        algorithm: Algorithm::AdamW { beta1: 0.8, beta2: 0.99, epsilon: 1e-8, lazy_embeddings },
        tensors: vec![TensorSettings { trains: true, learning_rate_factor: 1.0, weight_decay }; tensors],
    }
}

#[test]
fn lazy_updates_are_those_of_sparse_adam() {
    let case = &read_json(&golden("optim.json"))["sparse_adam"];
    let mut arena = arena(case).with_word_table(0);
    arena.set_update_plan(lazy(true, 0.0, 1));
    let rows: Vec<u32> = (0..9).collect();
    for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        arena.touch_rows(0, &rows);
        let (_, mut gradients) = arena.for_backward();
        gradients.of(&(0..36)).unwrap().copy_from_slice(&floats(&step["gradients"][0]));
        drop(gradients);
        let before = arena.parameters().to_vec();
        arena.update(&Context::new(2), number as u64 + 1, 1e-2 * step["scale"].as_f64().unwrap(), 1.0);
        let expected = floats(&step["parameters"][0]);
        for row in 0..9 {
            let range = row * 4..row * 4 + 4;
            if (row + number) % 3 != 0 {
                assert_eq!(arena.parameters()[range.clone()], before[range.clone()], "row {row} has no gradient");
            }
            for index in range {
                let (ours, theirs) = (arena.parameters()[index], expected[index]);
                assert!((ours - theirs).abs() < 1e-5, "update {number}, row {row}: {ours} instead of {theirs}");
            }
        }
    }
}

/// Trains three updates with dropout. Returns the model.
fn train(mut model: TrainingModel, plan: UpdatePlan, threads: usize) -> TrainingModel {
    let context = Context::new(threads);
    model.set_update_plan(plan);
    let batch = model.spec().tokenize(&TEXTS).unwrap();
    let mut activations = Activations::default();
    for step in 1..=3 {
        let dropout = DropoutSeed::On { seed: 3, pass: step, first_token: 0, first_sequence: 0 };
        let embeddings = model.forward(&context, &batch, dropout, &mut activations);
        let (rows, columns) = (embeddings.rows(), embeddings.columns());
        let upstream = Matrix::from_vec(rows, columns, noise(rows * columns, step));
        model.backward(&context, &batch, dropout, &mut activations, upstream.view());
        model.update(&context, step, 1e-3, 0.5);
    }
    model
}

fn word_table(model: &TrainingModel) -> Range<usize> {
    let table = model.tensors().iter().find(|tensor| tensor.name == "embeddings.word_embeddings.weight");
    table.unwrap().range.clone()
}

#[test]
fn lazy_updates_change_only_rows_of_the_batch_and_nothing_else_differs() {
    let folder = tempfile::tempdir().unwrap();
    write_small(folder.path(), "bert", "");
    let opened = || open(folder.path());
    let tensors = opened().tensors().len();
    // Tokens of the batch are in each update, so that their moments are never left out.
    let (all, some) = (train(opened(), lazy(false, 0.0, tensors), 1), train(opened(), lazy(true, 0.0, tensors), 3));
    assert_eq!(all.parameters(), some.parameters());
    // With weight decay, AdamW changes all rows.
    let decayed = train(opened(), lazy(true, 0.1, tensors), 2);
    let (before, table) = (opened(), word_table(&decayed));
    let batch = before.spec().tokenize(&TEXTS).unwrap();
    let columns = before.spec().config().hidden;
    for (row, (old, new)) in before.parameters()[table.clone()]
        .chunks_exact(columns)
        .zip(decayed.parameters()[table.clone()].chunks_exact(columns))
        .enumerate()
    {
        assert_eq!(old != new, batch.ids.contains(&(row as u32)), "row {row}");
    }
}

#[test]
fn rows_of_pending_gradients_are_known_again() {
    let folder = tempfile::tempdir().unwrap();
    write_small(folder.path(), "bert", "");
    let context = Context::new(1);
    let mut model = open(folder.path());
    model.set_update_plan(lazy(true, 0.1, model.tensors().len()));
    let batch = model.spec().tokenize(&TEXTS).unwrap();
    let mut activations = Activations::default();
    let embeddings = model.forward(&context, &batch, DropoutSeed::Off, &mut activations);
    let upstream = Matrix::from_vec(4, embeddings.columns(), noise(4 * embeddings.columns(), 1));
    model.backward(&context, &batch, DropoutSeed::Off, &mut activations, upstream.view());
    let mut resumed = open(folder.path());
    resumed.set_update_plan(lazy(true, 0.1, model.tensors().len()));
    // In parts that end within a row, as a checkpoint may be read.
    for (part, values) in model.gradients().chunks(1001).enumerate() {
        resumed.write_state(StatePart::Gradients, part * 1001, values);
    }
    assert_eq!(model.gradient_norm(&context), resumed.gradient_norm(&context));
    model.update(&context, 1, 1e-3, 1.0);
    resumed.update(&context, 1, 1e-3, 1.0);
    assert_eq!(model.parameters(), resumed.parameters());
}

/// Trains with some tensors frozen, and with the learning rate 0 for them: the same bits.
fn check_frozen(model: &dyn Fn() -> TrainingModel, freezes: &dyn Fn(&str) -> bool, what: &str) {
    let opened = model();
    let settings = |frozen: &TensorSettings| -> Vec<TensorSettings> {
        let trained = TensorSettings { trains: true, learning_rate_factor: 1.0, weight_decay: 0.0 };
        opened.tensors().iter().map(|tensor| if freezes(&tensor.name) { *frozen } else { trained }).collect()
    };
    let plan = |frozen| UpdatePlan { tensors: settings(frozen), ..UpdatePlan::adamw(0) };
    let frozen = TensorSettings { trains: false, learning_rate_factor: 1.0, weight_decay: 0.0 };
    let still = TensorSettings { trains: true, learning_rate_factor: 0.0, weight_decay: 0.0 };
    let expected = train(model(), plan(&still), 2);
    let mut found = train(model(), plan(&frozen), 1);
    assert_eq!(found.parameters(), expected.parameters(), "{what}");

    // Frozen tensors have no gradients and no moments.
    let context = Context::new(1);
    let batch = found.spec().tokenize(&TEXTS).unwrap();
    let mut activations = Activations::default();
    let embeddings = found.forward(&context, &batch, DropoutSeed::Off, &mut activations);
    let upstream = Matrix::from_vec(4, embeddings.columns(), noise(4 * embeddings.columns(), 1));
    found.backward(&context, &batch, DropoutSeed::Off, &mut activations, upstream.view());
    for tensor in opened.tensors().iter().filter(|tensor| freezes(&tensor.name)) {
        assert!(found.gradients()[tensor.range.clone()].iter().all(|gradient| *gradient == 0.0), "{}", tensor.name);
    }
    let squares: f64 = found.gradients().iter().map(|gradient| f64::from(*gradient).powi(2)).sum();
    assert!((found.gradient_norm(&context) - squares.sqrt()).abs() < 1e-9 * squares.sqrt());
    for part in [StatePart::FirstMoments, StatePart::SecondMoments, StatePart::Gradients] {
        assert!(found.state_tensors(part).iter().all(|tensor| !freezes(&tensor.name)));
    }
    assert_eq!(found.state_tensors(StatePart::Parameters), opened.tensors());
}

#[test]
fn frozen_parameters_stay_and_the_others_have_the_bits_of_a_run_without_their_updates() {
    type Chosen<'a> = (&'a str, &'a dyn Fn(&str) -> bool);
    let names: [Chosen<'_>; 7] = [
        ("the embeddings", &|name| name.starts_with("embeddings.")),
        ("the embeddings and the first layer", &|name| name.starts_with("embeddings.") || name.contains(".0.")),
        ("the last layer", &|name| name.contains(".1.")),
        ("keys", &|name| name.contains("key") || name.contains(".k.")),
        ("weights of the norms", &|name| name.contains("Norm.weight")),
        ("all but the biases", &|name| !name.contains("bias")),
        ("all but one matrix", &|name| !(name.contains(".1.") && name.ends_with("output.dense.weight"))),
    ];
    for family in ["bert", "mpnet"] {
        let folder = tempfile::tempdir().unwrap();
        write_small(folder.path(), family, "");
        for (what, freezes) in names {
            check_frozen(&|| open(folder.path()), freezes, &format!("{family}: {what}"));
        }
    }
}
