//! Training of a model with towers by role: both train, and threads, mini-batches, stops and
//! resumptions change no bit.

mod watch;

use maana_data::{Dataset, ReadOptions};
use maana_kernels::{Context, Precision};
use maana_model::{Role, Trainable, TrainingModel};
use maana_train::{Arguments, ColumnTower, Failure, Loss, LossArguments, LossName, Outcome, Run, TrainingSet};
use serde_json::Value;
use std::path::{Path, PathBuf};
use watch::Watch;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            std::fs::copy(entry, target).unwrap();
        }
    }
}

/// A small BERT with dropout for queries and tiny-bert for documents, or with `asym` two dense
/// layers behind one tiny-bert.
fn model(precision: Precision, asym: bool) -> TrainingModel {
    let folder = tempfile::tempdir().unwrap();
    if asym {
        copy(&golden("tiny-bert"), folder.path());
        copy(&golden("asym"), folder.path());
    } else {
        copy(&golden("router"), folder.path());
        copy(&golden("tiny-bert"), &folder.path().join("document_0_Transformer"));
    }
    maana_model::open_for_training(folder.path(), &Context::new(1), precision).unwrap().model
}

fn towers(model: &TrainingModel, roles: &[Role]) -> Vec<ColumnTower> {
    let specs = model.role_specs();
    let tower = |role: &Role| {
        let spec = specs.of(Some(*role));
        ColumnTower {
            number: specs.number(Some(*role)),
            route: format!("{role:?}").to_lowercase(),
            tokenizer: spec.tokenizer(),
            max_length: spec.settings().max_seq_length,
        }
    };
    roles.iter().map(tower).collect()
}

struct Bench {
    /// Holds the file of the rows.
    _folder: tempfile::TempDir,
    source: Dataset,
    loss: Box<dyn Loss>,
    arguments: Arguments,
}

impl Bench {
    fn new(columns: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.jsonl");
        let run: Value = serde_json::from_slice(&std::fs::read(golden("st301/run.json")).unwrap()).unwrap();
        let rows = run["rows"].as_array().unwrap();
        let row = |(index, row): (usize, &Value)| {
            let mut row = serde_json::json!({"anchor": row["anchor"], "positive": row["positive"]});
            if columns > 2 {
                row["negative"] = rows[(index * 5 + 3) % rows.len()]["positive"].clone();
            }
            format!("{row}\n")
        };
        std::fs::write(&file, rows.iter().enumerate().map(row).collect::<String>()).unwrap();
        let source = Dataset::open(&[file], ReadOptions::default()).unwrap();
        let arguments = Arguments {
            max_steps: Some(5),
            batch_size: 7,
            learning_rate: 2e-3,
            lazy_embeddings: true,
            ..Arguments::default()
        };
        let loss = LossArguments::new(LossName::MultipleNegativesRanking).build(64, arguments.seed).unwrap();
        Self { _folder: folder, source, loss, arguments }
    }

    fn run(
        &self,
        model: &mut TrainingModel,
        roles: &[Role],
        threads: usize,
        watch: &mut Watch,
        folder: Option<(&Path, bool)>,
    ) -> Result<Outcome, maana_train::TrainError> {
        let (context, towers) = (Context::new(threads), towers(model, roles));
        let sets = [TrainingSet { towers: &towers, ..TrainingSet::new(&self.source, &*self.loss) }];
        let tokenize = |_: &[&str]| -> Result<_, Failure> { Err("each column has a tower".into()) };
        let run = Run {
            folder: folder.map(|(folder, _)| folder),
            resume: folder.is_some_and(|(_, resume)| resume),
            ..Run::new(&context, &sets, tokenize, &self.arguments)
        };
        run.train(model, watch)
    }
}

fn bits(model: &TrainingModel) -> Vec<u32> {
    model.parameters().iter().map(|value| value.to_bits()).collect()
}

const ROLES: [Role; 3] = [Role::Query, Role::Document, Role::Document];

#[test]
fn both_towers_train_to_the_same_bits_in_mini_batches_and_on_any_number_of_threads() {
    for (precision, asym) in [(Precision::F32, false), (Precision::Bf16, false), (Precision::F32, true)] {
        let mut bench = Bench::new(3);
        let mut whole = model(precision, asym);
        let before = whole.parameters().to_vec();
        bench.run(&mut whole, &ROLES, 2, &mut Watch::default(), None).unwrap();
        for tensor in whole.tensors().iter().filter(|tensor| !tensor.name.ends_with("key.bias")) {
            let range = tensor.range.clone();
            assert_ne!(whole.parameters()[range.clone()], before[range], "{} has not trained", tensor.name);
        }
        for (threads, size) in [(1, None), (3, Some(1)), (2, Some(3)), (1, Some(6))] {
            bench.arguments.mini_batch_size = size;
            let mut other = model(precision, asym);
            bench.run(&mut other, &ROLES, threads, &mut Watch::default(), None).unwrap();
            assert!(bits(&other) == bits(&whole), "{threads} threads, mini-batches of {size:?}, {precision:?}");
        }
    }
}

#[test]
fn a_run_resumes_to_the_same_bits_and_only_with_the_same_routes() {
    let bench = Bench::new(2);
    let (roles, swapped) = ([Role::Query, Role::Document], [Role::Document, Role::Query]);
    let mut whole = model(Precision::F32, false);
    bench.run(&mut whole, &roles, 1, &mut Watch::default(), None).unwrap();
    for after in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("run");
        let mut watch = Watch { stop_after: Some(after), ..Watch::default() };
        let stopped = bench.run(&mut model(Precision::F32, false), &roles, 2, &mut watch, Some((&place, false)));
        assert!(matches!(stopped.unwrap(), Outcome::Interrupted { .. }));
        let mut resumed = model(Precision::F32, false);
        let fault = bench.run(&mut resumed, &swapped, 2, &mut Watch::default(), Some((&place, true)));
        assert!(fault.unwrap_err().to_string().contains("`routes` was [\"query\",\"document\"]"));
        bench.run(&mut resumed, &roles, 2, &mut Watch::default(), Some((&place, true))).unwrap();
        assert!(bits(&resumed) == bits(&whole), "stopped after {after}");
    }
    let mut other = model(Precision::F32, false);
    bench.run(&mut other, &swapped, 1, &mut Watch::default(), None).unwrap();
    assert!(bits(&other) != bits(&whole), "the route of a column matters");
}

/// A column order that interleaves towers passes in three runs, and trains as well.
#[test]
fn columns_of_towers_may_alternate() {
    let mut bench = Bench::new(3);
    let roles = [Role::Document, Role::Query, Role::Document];
    let mut whole = model(Precision::F32, false);
    bench.run(&mut whole, &roles, 1, &mut Watch::default(), None).unwrap();
    bench.arguments.mini_batch_size = Some(2);
    let mut parts = model(Precision::F32, false);
    bench.run(&mut parts, &roles, 2, &mut Watch::default(), None).unwrap();
    assert!(bits(&parts) == bits(&whole));
}
