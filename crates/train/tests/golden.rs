//! Training of an encoder against the reference: step by step, and a complete run of version 3.0.1.

use maana_data::{DataError, Example, Source};
use maana_kernels::{Context, Matrix, Precision, Rows};
use maana_model::{DropoutSeed, Trainable, TrainingModel};
use maana_train::loss::Embedded;
use maana_train::{
    Arguments, BatchSampler, Evaluate, Event, Failure, KeepBest, LogRow, LossArguments, LossName, Observer, Outcome,
    Run, Schedule, TrainingRecord, TrainingSet, Version,
};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

fn tiny_bert(context: &Context) -> TrainingModel {
    maana_model::open_for_training(&golden("tiny-bert"), context, Precision::F32).unwrap().model
}

struct Pairs {
    rows: Vec<Example>,
    columns: Vec<String>,
    keys: Vec<u32>,
}

impl Pairs {
    fn new(rows: Vec<(String, String)>) -> Self {
        let mut numbers = HashMap::new();
        let mut keys = Vec::new();
        for text in rows.iter().flat_map(|(positive, anchor)| [positive, anchor]) {
            let next = numbers.len() as u32;
            keys.push(*numbers.entry(text.clone()).or_insert(next));
        }
        let rows = rows.into_iter().map(|(positive, anchor)| Example { texts: vec![positive, anchor], label: None });
        Self { rows: rows.collect(), columns: vec!["positive".into(), "anchor".into()], keys }
    }
}

impl Source for Pairs {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn has_labels(&self) -> bool {
        false
    }

    fn get(&self, index: usize) -> Result<Example, DataError> {
        Ok(self.rows[index].clone())
    }

    fn text_keys(&self) -> &[u32] {
        &self.keys
    }

    fn fingerprint(&self) -> [u8; 32] {
        [self.rows.len() as u8; 32]
    }
}

/// Returns the given values of one metric, one for each evaluation.
#[derive(Default)]
struct Reader {
    metric: String,
    scores: Vec<f64>,
    evaluations: Vec<(u64, f64)>,
    /// Parameters at each evaluation.
    parameters: Vec<Vec<f32>>,
    stop_after: Option<u64>,
    micro_steps: u64,
}

impl Observer<TrainingModel> for Reader {
    fn evaluate(&mut self, model: &TrainingModel, step: u64, epoch: f64) -> Result<Vec<(String, f64)>, Failure> {
        self.evaluations.push((step, epoch));
        self.parameters.push(model.parameters().to_vec());
        Ok(vec![(self.metric.clone(), self.scores[self.evaluations.len() - 1])])
    }

    fn save_model(&mut self, model: &TrainingModel, folder: &Path) -> Result<(), Failure> {
        Ok(model.write_into(folder, &[])?)
    }

    fn event(&mut self, event: &Event<'_>) {
        self.micro_steps += u64::from(matches!(event, Event::Progress(_)));
    }

    fn stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|after| self.micro_steps >= after)
    }
}

/// Trains and returns the log. Panics if the run was stopped.
fn train(
    model: &mut TrainingModel,
    threads: usize,
    pairs: &Pairs,
    arguments: &Arguments,
    reader: &mut Reader,
    folder: Option<&Path>,
    resume: bool,
) -> Option<TrainingRecord> {
    let (context, tokenizer) = (Context::new(threads), model.spec().tokenizer());
    let loss = LossArguments {
        matryoshka_dims: Some(vec![64, 32, 16, 8]),
        ..LossArguments::new(LossName::MultipleNegativesRanking)
    };
    let loss = loss.build(64, arguments.seed).unwrap();
    let tokenize = |texts: &[&str]| tokenizer.encode(texts, 128);
    let sets = &[TrainingSet::new(pairs, loss.as_ref())];
    let run = Run { folder, resume, ..Run::new(&context, sets, tokenize, arguments) };
    match run.train(model, reader).unwrap() {
        Outcome::Finished(record) => Some(record),
        Outcome::Interrupted { .. } => None,
    }
}

/// Compares the model's parameters with a file of the reference, by name. Returns the largest
/// difference.
///
/// AdamW divides each gradient by its magnitude, so that an element whose gradient is only rounding
/// noise moves by up to the learning rate in a random direction, in the reference as here. There
/// are two kinds: the biases of keys, whose gradient is zero (softmax is invariant to a shift), and
/// a few elements of words whose first gradient cancels. Such elements may differ by `noise`; of
/// the second kind at most one in 20,000.
fn compare_parameters(
    tensors: &[maana_model::Tensor],
    parameters: &[f32],
    file: &str,
    tolerance: f32,
    noise: f32,
) -> f32 {
    let bytes = std::fs::read(golden(file)).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut largest = 0.0_f32;
    let mut cancelled = Vec::new();
    for tensor in tensors {
        let theirs = theirs.tensor(&tensor.name).unwrap();
        assert_eq!(theirs.shape(), tensor.shape, "{}", tensor.name);
        let floats = theirs.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        for (index, (ours, theirs)) in parameters[tensor.range.clone()].iter().zip(floats).enumerate() {
            let difference = (ours - theirs).abs();
            assert!(difference <= noise, "{}[{index}] is {ours} instead of {theirs}", tensor.name);
            if difference <= tolerance {
                largest = largest.max(difference);
            } else if !tensor.name.ends_with("attention.self.key.bias") {
                cancelled.push(format!("{}[{index}] is {ours} instead of {theirs}", tensor.name));
            }
        }
    }
    println!("{file}: first gradient cancelled: {cancelled:?}");
    assert!(cancelled.len() * 20_000 <= parameters.len(), "{cancelled:?}");
    assert!(cancelled.iter().all(|line| line.starts_with("embeddings.word_embeddings")), "{cancelled:?}");
    largest
}

/// Returns the rows of `train_tiny.json` in order, and the settings with which a run uses them as
/// the reference did.
fn twenty_steps() -> (Value, Pairs, Arguments) {
    let golden = json("train_tiny.json");
    let mut pairs = Vec::new();
    for step in golden["steps"].as_array().unwrap() {
        let column = |column: usize| {
            let texts = step["columns"][column].as_array().unwrap().iter();
            texts.map(|text| text.as_str().unwrap().to_string()).collect::<Vec<_>>()
        };
        pairs.extend(column(0).into_iter().zip(column(1)));
    }
    let arguments = Arguments {
        epochs: 1.0,
        batch_size: 8,
        learning_rate: 1e-3,
        schedule: Schedule::Cosine,
        warmup_steps: 2,
        log_every: 1.into(),
        batch_sampler: BatchSampler::NoDuplicates,
        reproduce: Some(Version::V3_0_1),
        ..Arguments::default()
    };
    (golden, Pairs::new(pairs), arguments)
}

#[test]
fn the_loss_of_each_dimension_before_the_first_step() {
    let (golden, pairs, _) = twenty_steps();
    let context = Context::new(2);
    let model = tiny_bert(&context);
    let column = |column: usize| {
        let texts: Vec<&str> = pairs.rows[..8].iter().map(|row| row.texts[column].as_str()).collect();
        let tokens = model.spec().tokenize(&texts).unwrap();
        model.forward(&context, &tokens, DropoutSeed::Off, &mut Default::default())
    };
    let columns = [column(0), column(1)];
    let views: Vec<Rows<'_>> = columns.iter().map(Matrix::view).collect();
    for (dim, expected) in golden["loss_per_dim_step_0"].as_object().unwrap() {
        let loss = LossArguments {
            matryoshka_dims: Some(vec![dim.parse().unwrap()]),
            ..LossArguments::new(LossName::MultipleNegativesRanking)
        };
        let mut d_columns = [Matrix::zeros(8, 64), Matrix::zeros(8, 64)];
        let embedded = Embedded { columns: &views, labels: None, pairs: &[], pass: 0, trains: true };
        let value = loss.build(64, 1).unwrap().loss(&context, &embedded, 1.0, &mut d_columns);
        let difference = (f64::from(value) - expected.as_f64().unwrap()).abs();
        println!("dimension {dim}: {value}, difference {difference:e}");
        assert!(difference <= 1e-5, "dimension {dim}: {value} instead of {expected}");
    }
}

#[test]
fn every_gradient_of_the_first_step_by_name() {
    let (_, pairs, _) = twenty_steps();
    let context = Context::new(2);
    let mut model = tiny_bert(&context);
    let texts: Vec<&str> =
        (0..2).flat_map(|column| pairs.rows[..8].iter().map(move |row| row.texts[column].as_str())).collect();
    let tokens = model.spec().tokenize(&texts).unwrap();
    let mut keep = Default::default();
    let embeddings = model.forward(&context, &tokens, DropoutSeed::Off, &mut keep);
    let columns = [embeddings.view().range(0..8), embeddings.view().range(8..16)];
    let loss = LossArguments {
        matryoshka_dims: Some(vec![64, 32, 16, 8]),
        ..LossArguments::new(LossName::MultipleNegativesRanking)
    };
    let mut d_columns = [Matrix::zeros(8, 64), Matrix::zeros(8, 64)];
    let embedded = Embedded { columns: &columns, labels: None, pairs: &[], pass: 0, trains: true };
    loss.build(64, 1).unwrap().loss(&context, &embedded, 1.0, &mut d_columns);
    let d_embeddings: Vec<f32> = d_columns.iter().flat_map(|column| column.data().iter().copied()).collect();
    model.backward(&context, &tokens, DropoutSeed::Off, &mut keep, Rows::new(&d_embeddings, 16, 64, 64));
    let gradients = model.gradients();

    let bytes = std::fs::read(golden("train_tiny_grads.safetensors")).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for tensor in model.tensors() {
        let theirs = theirs.tensor(&tensor.name).unwrap();
        assert_eq!(theirs.shape(), tensor.shape, "{}", tensor.name);
        let theirs = theirs.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        for (index, (ours, theirs)) in gradients[tensor.range.clone()].iter().zip(theirs).enumerate() {
            // The norm of the gradient is 9. The bound is 1e-5, absolute below 1 and relative
            // above.
            let off = (ours - theirs).abs() / theirs.abs().max(1.0);
            assert!(off <= 1e-5, "{}[{index}] is {ours} instead of {theirs}", tensor.name);
        }
    }
}

#[test]
fn twenty_steps_one_by_one() {
    let (golden, pairs, arguments) = twenty_steps();
    let mut model = tiny_bert(&Context::new(2));
    let record = train(&mut model, 2, &pairs, &arguments, &mut Reader::default(), None, false).unwrap();
    let steps = golden["steps"].as_array().unwrap();
    assert_eq!((record.rows.len(), steps.len()), (20, 20));
    let plan = maana_train::Plan::new(pairs.len(), &arguments).unwrap();
    let mut worst = (0.0_f64, 0.0_f64);
    for (index, (row, theirs)) in record.rows.iter().zip(steps).enumerate() {
        let LogRow::Training { loss, gradient_norm, .. } = row else { panic!("{row:?}") };
        let number = |key: &str| theirs[key].as_f64().unwrap();
        assert_eq!(plan.learning_rate(index as u64, &arguments), number("learning_rate"), "update {index}");
        // Gradient norms reach 80: both are compared relative to values above 1.
        let relative = |ours: f64, theirs: f64| (ours - theirs).abs() / theirs.abs().max(1.0);
        let off = (relative(*loss, number("loss")), relative(*gradient_norm, number("gradient_norm")));
        worst = (worst.0.max(off.0), worst.1.max(off.1));
        assert!(off.0 <= 1e-4, "update {index}: loss {loss} instead of {}", number("loss"));
        assert!(off.1 <= 1e-4, "update {index}: norm {gradient_norm} instead of {}", number("gradient_norm"));
    }
    let largest = compare_parameters(model.tensors(), model.parameters(), "train_tiny_params.safetensors", 1e-4, 4e-3);
    println!("largest differences: loss {:e}, norm {:e}, parameters {largest:e}", worst.0, worst.1);
}

/// Returns the run of version 3.0.1: its rows and settings, and the values of its metric.
fn run_of_3_0_1() -> (Value, Pairs, Arguments, Vec<f64>) {
    let golden = json("st301/run.json");
    let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_string();
    let rows = golden["rows"].as_array().unwrap().iter().map(|row| (text(row, "positive"), text(row, "anchor")));
    let arguments = Arguments {
        epochs: 3.0,
        batch_size: 8,
        gradient_accumulation_steps: 4,
        learning_rate: 5e-4,
        warmup_ratio: 0.1,
        schedule: Schedule::Cosine,
        batch_sampler: BatchSampler::NoDuplicates,
        evaluate: Evaluate::Epoch,
        log_every: 2.into(),
        save_total_limit: Some(3),
        keep_best: golden["best_metric"].as_str().map(KeepBest::from),
        reproduce: Some(Version::V3_0_1),
        ..Arguments::default()
    };
    let history = golden["log_history"].as_array().unwrap();
    let scores = history.iter().filter_map(|row| row[golden["best_metric"].as_str().unwrap()].as_f64()).collect();
    (golden.clone(), Pairs::new(rows.collect()), arguments, scores)
}

#[test]
fn a_whole_run_of_version_3_0_1() {
    let (golden, pairs, arguments, scores) = run_of_3_0_1();
    let metric = arguments.keep_best.as_ref().unwrap().measures().next().unwrap().to_string();
    let mut reader = Reader { metric, scores, ..Reader::default() };
    let mut model = tiny_bert(&Context::new(2));
    let record = train(&mut model, 2, &pairs, &arguments, &mut reader, None, false).unwrap();

    let history = golden["log_history"].as_array().unwrap();
    let theirs: Vec<&Value> = history.iter().filter(|row| row.get("loss").is_some()).collect();
    let ours: Vec<&LogRow> = record.rows.iter().filter(|row| matches!(row, LogRow::Training { .. })).collect();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        let LogRow::Training { step, epoch, loss, learning_rate, gradient_norm, .. } = ours else { unreachable!() };
        let number = |key: &str| theirs[key].as_f64().unwrap();
        println!(
            "step {step}: loss {loss:.6} and {}, norm {gradient_norm:.6} and {}",
            number("loss"),
            number("grad_norm")
        );
        assert_eq!((*step as f64, *epoch), (number("step"), number("epoch")));
        assert_eq!(*learning_rate, number("learning_rate"), "step {step}");
        assert!((loss - number("loss")).abs() <= 1e-3, "step {step}: loss {loss} instead of {}", number("loss"));
        let off = (gradient_norm - number("grad_norm")).abs() / number("grad_norm");
        assert!(off <= 1e-3, "step {step}: norm {gradient_norm} instead of {}", number("grad_norm"));
    }
    let evaluations = history.iter().filter(|row| row.get("eval_sequential_score").is_some());
    let evaluations: Vec<(u64, f64)> =
        evaluations.map(|row| (row["step"].as_u64().unwrap(), row["epoch"].as_f64().unwrap())).collect();
    assert_eq!(reader.evaluations, evaluations);
    assert_eq!(record.best_step, golden["best_step"].as_u64());
    let largest = compare_parameters(model.tensors(), &reader.parameters[2], "st301/params.safetensors", 1e-3, 2e-3);
    println!("largest difference of a parameter after the last update: {largest:e}");
    assert_eq!(
        model.parameters(),
        &reader.parameters[1][..],
        "the best parameters, those of step 9, are there at the end"
    );
}

#[test]
fn the_batches_of_version_3_0_1() {
    let (golden, pairs, arguments, scores) = run_of_3_0_1();
    let metric = arguments.keep_best.as_ref().unwrap().measures().next().unwrap().to_string();
    let drawn = std::sync::Mutex::new(Vec::new());
    let mut model = tiny_bert(&Context::new(1));
    let (context, tokenizer) = (Context::new(1), model.spec().tokenizer());
    let loss = LossArguments::new(LossName::MultipleNegativesRanking).build(64, 42).unwrap();
    let tokenize = |texts: &[&str]| {
        drawn.lock().unwrap().push(texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        tokenizer.encode(texts, 128)
    };
    let sets = [TrainingSet::new(&pairs, loss.as_ref())];
    let run = Run::new(&context, &sets, tokenize, &arguments);
    run.train(&mut model, &mut Reader { metric, scores, ..Reader::default() }).unwrap();
    let drawn = drawn.into_inner().unwrap();
    let batches = golden["batches"].as_array().unwrap();
    assert!(drawn.len() >= 2 * batches.len(), "both columns of every batch, and what was drawn ahead");
    for (index, rows) in batches.iter().enumerate() {
        let rows = rows.as_array().unwrap().iter().map(|row| row.as_u64().unwrap() as usize);
        let expected: Vec<&str> = rows.map(|row| pairs.rows[row].texts[0].as_str()).collect();
        assert_eq!(drawn[2 * index], expected, "batch {index}");
    }
}

#[test]
fn threads_and_interruptions_change_no_bit() {
    let (_, pairs, arguments, scores) = run_of_3_0_1();
    let metric = arguments.keep_best.as_ref().unwrap().measures().next().unwrap().to_string();
    let reader = || Reader { metric: metric.clone(), scores: scores.clone(), ..Reader::default() };
    let mut whole = tiny_bert(&Context::new(1));
    train(&mut whole, 1, &pairs, &arguments, &mut reader(), None, false).unwrap();
    for threads in [2, 3] {
        let mut model = tiny_bert(&Context::new(threads));
        train(&mut model, threads, &pairs, &arguments, &mut reader(), None, false).unwrap();
        assert!(model.parameters() == whole.parameters(), "{threads} threads");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for (call, stop) in [Some(5), Some(16), Some(2), None].into_iter().enumerate() {
        let mut model = tiny_bert(&Context::new(2));
        let mut reader = Reader { scores: scores[seen..].to_vec(), stop_after: stop, ..reader() };
        let record = train(&mut model, 2, &pairs, &arguments, &mut reader, Some(folder.path()), call > 0);
        seen += reader.evaluations.len();
        assert_eq!(record.is_none(), stop.is_some());
        if record.is_some() {
            assert!(model.parameters() == whole.parameters(), "stopped three times");
        }
    }
    let context = Context::new(1);
    let checkpoint =
        maana_model::open_for_training(&folder.path().join("checkpoint-9"), &context, Precision::F32).unwrap().model;
    assert!(checkpoint.parameters() == whole.parameters(), "a checkpoint is a model, and this is the best one");
}
