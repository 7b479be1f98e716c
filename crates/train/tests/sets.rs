//! Runs with several data sets: losses, log, resumption and errors.

mod toy;

use maana_data::{Dataset, DrawnColumn, ReadOptions, SetSampler, Source};
use maana_kernels::Context;
use maana_train::{
    Arguments, BatchSampler, LogRow, Loss, LossArguments, LossName, Outcome, Plan, Run, TrainError, TrainingRecord,
    TrainingSet, Version,
};
use std::error::Error;
use std::path::Path;
use toy::{Notebook, Table, Toy, arguments, timeless, tokenize};

/// Pairs, triplets, and pairs with lists of negatives from which epochs draw.
struct Data {
    pairs: Table,
    triplets: Table,
    mined: Dataset,
    ranking: Box<dyn Loss>,
    triplet: Box<dyn Loss>,
    _folder: tempfile::TempDir,
}

impl Data {
    fn new() -> Self {
        let word = |number: usize| format!("w{}", number % toy::WORDS);
        let triplet = |row: usize| (0..3).map(|at| format!("{} {}", word(row + 3 * at), word(row * at))).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mined.jsonl");
        let mined = |row: usize| {
            let negatives: Vec<String> = (0..2 + row % 3).map(|at| word(5 * row + at)).collect();
            let (anchor, positive) = (format!("{} {}", word(row), word(2 * row)), word(row));
            serde_json::json!({"anchor": anchor, "positive": positive, "negatives": negatives}).to_string() + "\n"
        };
        std::fs::write(&path, (0..11).map(mined).collect::<String>()).unwrap();
        let drawn = Some(DrawnColumn { column: "negatives".into(), count: 2, seed: 42 });
        let mined = Dataset::open(&[path], ReadOptions { drawn, ..ReadOptions::default() }).unwrap();
        let loss = |name| LossArguments::new(name).build(toy::DIMENSION, 42).unwrap();
        Self {
            pairs: Table::pairs(17),
            triplets: Table::new((0..9).map(triplet).collect()),
            mined,
            ranking: toy::loss(),
            triplet: loss(LossName::Triplet),
            _folder: folder,
        }
    }

    fn sets(&self) -> [TrainingSet<'_>; 3] {
        let set = |name, source, loss| TrainingSet { name, ..TrainingSet::new(source, loss) };
        [
            set("pairs", &self.pairs, &*self.ranking),
            TrainingSet { weight: 0.25, ..set("triplets", &self.triplets, &*self.triplet) },
            set("mined", &self.mined, &*self.ranking),
        ]
    }
}

fn train(
    sets: &[TrainingSet<'_>],
    sampler: SetSampler,
    arguments: &Arguments,
    model: &mut Toy,
    notebook: &mut Notebook,
    folder: Option<&Path>,
    resume: bool,
) -> Result<Outcome, TrainError> {
    let context = Context::new(1);
    Run { sampler, folder, resume, ..Run::new(&context, sets, tokenize, arguments) }.train(model, notebook)
}

fn finished(outcome: Outcome) -> TrainingRecord {
    match outcome {
        Outcome::Finished(record) => record,
        Outcome::Interrupted { .. } => panic!("nobody stopped it"),
    }
}

#[test]
fn each_batch_has_the_loss_and_the_weight_of_its_set() {
    let data = Data::new();
    let sets = data.sets();
    let arguments = Arguments { gradient_accumulation_steps: 1, log_every: 1.into(), ..arguments(None) };
    for sampler in [SetSampler::Proportional, SetSampler::RoundRobin] {
        let sources: Vec<&dyn Source> = sets.iter().map(|set| set.source).collect();
        let plan = Plan::of(&sources, sampler, &arguments).unwrap();
        let (mut model, mut notebook) = (Toy::new(), Notebook::default());
        let record = finished(train(&sets, sampler, &arguments, &mut model, &mut notebook, None, false).unwrap());
        assert_eq!((record.steps, notebook.micro_steps), (plan.updates, plan.micro_batches), "{sampler:?}");
        assert_eq!(plan.batches_per_epoch, [5 + 3 + 3, 3 * 3][sampler as usize]);
        assert_eq!(plan.set_batches, [[5, 3, 3], [3, 3, 3]][sampler as usize]);
        let mut batches = [0; 3];
        for row in &record.rows {
            let LogRow::Training { loss, set_losses, .. } = row else { continue };
            let [(name, of_set)] = &set_losses[..] else { panic!("one micro-batch of one set: {set_losses:?}") };
            let number = sets.iter().position(|set| set.name == name).unwrap();
            assert!((loss - sets[number].weight * of_set).abs() <= 1e-6 * of_set, "{name}: {loss} of {of_set}");
            batches[number] += 1;
        }
        assert_eq!(batches, [[15, 9, 9], [9, 9, 9]][sampler as usize], "{sampler:?}");
    }
}

#[test]
fn stopped_after_every_micro_batch_a_run_with_several_sets_ends_with_the_same_bits() {
    let data = Data::new();
    let sets = data.sets();
    for (sampler, batch_sampler, reproduce) in [
        (SetSampler::Proportional, BatchSampler::NoDuplicates, None),
        (SetSampler::RoundRobin, BatchSampler::Shuffle, None),
        (SetSampler::Proportional, BatchSampler::Shuffle, Some(Version::V3_0_1)),
        (SetSampler::RoundRobin, BatchSampler::NoDuplicates, Some(Version::V3_0_1)),
    ] {
        let arguments = Arguments { batch_sampler, ..arguments(reproduce) };
        let (mut model, mut notebook) = (Toy::new(), Notebook::default());
        let expected = finished(train(&sets, sampler, &arguments, &mut model, &mut notebook, None, false).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let mut resume = false;
        loop {
            let (mut broken, mut notebook) = (Toy::new(), Notebook { stop_after: Some(1), ..Notebook::default() });
            let to = Some(folder.path());
            let outcome = train(&sets, sampler, &arguments, &mut broken, &mut notebook, to, resume).unwrap();
            resume = true;
            if let Outcome::Finished(record) = outcome {
                assert_eq!(broken.bits(), model.bits(), "{sampler:?}");
                assert_eq!(timeless(&record.rows), timeless(&expected.rows));
                let of_sets = |record: &TrainingRecord| {
                    let losses = record.rows.iter().filter_map(|row| match row {
                        LogRow::Training { set_losses, .. } => Some(set_losses.clone()),
                        LogRow::Evaluation { .. } => None,
                    });
                    losses.collect::<Vec<_>>()
                };
                assert_eq!(of_sets(&record), of_sets(&expected));
                break;
            }
        }
    }
}

#[test]
fn a_run_resumes_with_the_same_sets_only() {
    let data = Data::new();
    let (sets, arguments, folder) = (data.sets(), arguments(None), tempfile::tempdir().unwrap());
    let call = |sets: &[TrainingSet<'_>], sampler, resume| {
        let mut notebook = Notebook { stop_after: Some(3), ..Notebook::default() };
        train(sets, sampler, &arguments, &mut Toy::new(), &mut notebook, Some(folder.path()), resume)
    };
    call(&sets, SetSampler::Proportional, false).unwrap();
    let refused = |sets: &[TrainingSet<'_>], sampler| match call(sets, sampler, true) {
        Err(TrainError::OtherRun { differences, .. }) => differences,
        other => panic!("{other:?}"),
    };
    let [pairs, triplets, mined] = sets;
    let heavier = [pairs, TrainingSet { weight: 0.5, ..triplets }, mined];
    assert_eq!(refused(&heavier, SetSampler::Proportional), ["`weight of triplets` was 0.25 and is now 0.5"]);
    let turns = refused(&sets, SetSampler::RoundRobin);
    assert_eq!(turns, ["`sampler` was \"proportional\" and is now \"round_robin\""]);
    let fewer = refused(&[pairs, triplets], SetSampler::Proportional).join("\n");
    assert!(fewer.contains("`rows of mined` was 11 and is gone"), "{fewer}");
    let other = Table::pairs(18);
    let changed = [TrainingSet { source: &other, ..pairs }, triplets, mined];
    let changed = refused(&changed, SetSampler::Proportional).join("\n");
    assert!(changed.contains("`rows` was 17 and is now 18") && changed.contains("`data`"), "{changed}");
    let named = [TrainingSet { name: "first", ..pairs }, triplets, mined];
    call(&named, SetSampler::Proportional, true).unwrap();
}

#[test]
fn a_checkpoint_of_a_version_with_one_set_resumes() {
    let table = Table::pairs(30);
    let loss = toy::loss();
    let sets = [TrainingSet::new(&table, loss.as_ref())];
    let (arguments, folder) = (arguments(None), tempfile::tempdir().unwrap());
    let mut model = Toy::new();
    let call = |model: &mut Toy, stop_after, folder: Option<&Path>, resume| {
        let mut notebook = Notebook { stop_after, ..Notebook::default() };
        train(&sets, SetSampler::default(), &arguments, model, &mut notebook, folder, resume).unwrap()
    };
    call(&mut model, None, None, false);
    call(&mut Toy::new(), Some(5), Some(folder.path()), false);
    let checkpoints = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    for path in checkpoints.map(|path| path.join("trainer_state.json")).filter(|path| path.exists()) {
        let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let run = state["maana"]["run"].as_object_mut().unwrap();
        for field in ["further_sets", "sampler", "name", "weight", "prompts"] {
            run.remove(field).expect(field);
        }
        assert!(run["loss"].is_object() && run["data"].is_string() && run["rows"] == 30, "{run:?}");
        state["maana"]["window"].as_object_mut().unwrap().remove("sets").unwrap();
        std::fs::write(&path, state.to_string()).unwrap();
    }
    let mut resumed = Toy::new();
    call(&mut resumed, None, Some(folder.path()), true);
    assert_eq!(resumed.bits(), model.bits());
}

#[test]
fn errors_name_the_set() {
    let mut data = Data::new();
    data.triplets.unreadable = Some(7);
    let call = |sets: &[TrainingSet<'_>], arguments: &Arguments| {
        let (mut model, mut notebook) = (Toy::new(), Notebook::default());
        let outcome = train(sets, SetSampler::Proportional, arguments, &mut model, &mut notebook, None, false);
        let fault = outcome.unwrap_err();
        let cause = fault.source().map(ToString::to_string).unwrap_or_default();
        format!("{fault}: {cause}")
    };
    let [pairs, triplets, mined] = data.sets();
    let unreadable = call(&[pairs, triplets], &arguments(None));
    assert!(unreadable.contains("in the data set `triplets`: row 7"), "{unreadable}");
    let columns = call(&[pairs, TrainingSet { loss: &*data.triplet, ..mined }], &arguments(None));
    assert!(columns.contains("`mined`: the loss `triplet` needs exactly 3 text columns"), "{columns}");
    for weight in [0.0, -1.0, f64::NAN, 1e39] {
        let fault = call(&[pairs, TrainingSet { weight, ..mined }], &arguments(None));
        assert!(fault.contains("`mined`: `weight` is") && fault.contains("above 0"), "{fault}");
    }
    let few = call(&[pairs, mined], &Arguments { batch_size: 16, drop_last: true, ..arguments(None) });
    assert!(few.contains("11 rows do not fill a batch of 16"), "{few}");
    let labels = Arguments { batch_sampler: BatchSampler::GroupByLabel, ..arguments(None) };
    let fault = call(&[pairs], &labels);
    assert!(fault.contains("`batch_sampler` is group_by_label") && fault.contains("two labels"), "{fault}");
    for batch_size in [2, 5] {
        let fault = call(&[pairs], &Arguments { batch_size, ..labels.clone() });
        assert!(fault.contains(&format!("`batch_size` is {batch_size}")) && fault.contains("even"), "{fault}");
    }
}

#[test]
fn batches_by_label_that_drop_last_leaves_out_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classes.jsonl");
    let line = |(row, label)| serde_json::json!({"text": format!("t{row}"), "label": label}).to_string() + "\n";
    let by_label = Arguments { batch_sampler: BatchSampler::GroupByLabel, ..arguments(None) };
    // Four rows of two labels are drawn: others have a label of their own, or no partner.
    for labels in [[0, 0, 1, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0, 0, 1, 1]] {
        std::fs::write(&path, labels.into_iter().enumerate().map(line).collect::<String>()).unwrap();
        let set = Dataset::open(&[&path], ReadOptions::default()).unwrap();
        let plan = |drop_last, batch_size| {
            let arguments = Arguments { drop_last, batch_size, ..by_label.clone() };
            Plan::of(&[&set], SetSampler::default(), &arguments)
        };
        let fault = plan(true, 8).unwrap_err().to_string();
        for expected in ["`group_by_label`", "a batch of 8", "`drop_last = false`", "a smaller `batch_size`"] {
            assert!(fault.contains(expected), "{fault}");
        }
        assert!(!fault.contains("no_duplicates") && !fault.contains("shuffle"), "{fault}");
        for (drop_last, batch_size) in [(false, 8), (true, 4)] {
            assert_eq!(plan(drop_last, batch_size).unwrap().batches_per_epoch, 1, "the remedies work");
        }
        let fault = plan(true, 10).unwrap_err().to_string();
        assert!(fault.contains("9 rows do not fill a batch of 10"), "{fault}");
    }
}
