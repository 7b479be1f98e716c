//! Batches by label and of several sets equal those of the reference; lists of negatives are drawn
//! anew for each epoch.

use maana_data::{BatchPlan, Dataset, DrawnColumn, ReadOptions, Sampler, SetSampler, Source, Subset};
use serde_json::Value;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

fn written(folder: &tempfile::TempDir, name: &str, rows: &[Value]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    path
}

fn open(path: &PathBuf) -> Dataset {
    Dataset::open(&[path], ReadOptions::default()).unwrap()
}

#[test]
fn batches_equal_the_reference() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/sets.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut sets = Vec::new();
    for (number, set) in golden["sets"].as_array().unwrap().iter().enumerate() {
        let pairs = set["texts"].as_array().unwrap().iter().zip(set["labels"].as_array().unwrap());
        let rows: Vec<Value> = pairs.map(|(text, label)| serde_json::json!({"text": text, "label": label})).collect();
        sets.push(open(&written(&folder, &format!("{number}.jsonl"), &rows)));
    }
    let runs = golden["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 84);
    for run in runs {
        let plan = BatchPlan {
            sampler: match run["batch_sampler"].as_str().unwrap() {
                "shuffle" => Sampler::Shuffle,
                "no_duplicates" => Sampler::NoDuplicates,
                _ => Sampler::GroupByLabel,
            },
            batch_size: golden["batch_size"].as_u64().unwrap() as usize,
            drop_last: run["drop_last"].as_bool().unwrap(),
            seed: run["seed"].as_u64().unwrap(),
            reproduces_301: false,
        };
        let order = match run["sampler"].as_str() {
            Some("round_robin") => SetSampler::RoundRobin,
            _ => SetSampler::Proportional,
        };
        let numbers: Vec<usize> = serde_json::from_value(run["sets"].clone()).unwrap();
        let chosen: Vec<&dyn Source> = numbers.iter().map(|&number| &sets[number] as &dyn Source).collect();
        let wanted: Vec<(usize, Vec<u32>)> = serde_json::from_value(run["batches"].clone()).unwrap();
        let batches: Vec<_> = plan.epoch(&chosen, order, run["epoch"].as_u64().unwrap()).collect();
        let what = format!("{:?}, {order:?}, sets {numbers:?}, drop_last {}", plan.sampler, plan.drop_last);
        assert_eq!(batches, wanted, "{what}");
        assert_eq!(plan.batches_of(&chosen, order), run["announced"].as_u64().unwrap() as usize, "{what}");
    }
}

#[test]
fn batches_equal_version_3_0_1_in_every_epoch() {
    let read = |name: &str| -> Value {
        let path = format!("{}/../../golden/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let golden = read("sets.json");
    let folder = tempfile::tempdir().unwrap();
    let texts = golden["sets"].as_array().unwrap().iter().map(|set| set["texts"].as_array().unwrap());
    let sets = texts.enumerate().map(|(number, texts)| {
        let rows: Vec<Value> = texts.iter().map(|text| serde_json::json!({"text": text})).collect();
        open(&written(&folder, &format!("{number}.jsonl"), &rows))
    });
    let sets: Vec<Dataset> = sets.collect();
    for run in read("sets_301.json")["runs"].as_array().unwrap() {
        let plan = BatchPlan {
            sampler: serde_json::from_value(run["batch_sampler"].clone()).unwrap(),
            batch_size: golden["batch_size"].as_u64().unwrap() as usize,
            drop_last: run["drop_last"].as_bool().unwrap(),
            seed: run["seed"].as_u64().unwrap(),
            reproduces_301: true,
        };
        let order: Option<SetSampler> = serde_json::from_value(run["sampler"].clone()).unwrap();
        let numbers: Vec<usize> = serde_json::from_value(run["sets"].clone()).unwrap();
        let chosen: Vec<&dyn Source> = numbers.iter().map(|&number| &sets[number] as &dyn Source).collect();
        let epochs: Vec<Vec<(usize, Vec<u32>)>> = serde_json::from_value(run["epochs"].clone()).unwrap();
        for (epoch, wanted) in epochs.iter().enumerate() {
            let batches: Vec<_> = plan.epoch(&chosen, order.unwrap_or_default(), epoch as u64).collect();
            assert_eq!(batches, *wanted, "{:?}, {order:?}, sets {numbers:?}, epoch {epoch}", plan.sampler);
        }
        assert_eq!(plan.repeats(chosen.len()), epochs.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[test]
fn batches_by_label_have_two_rows_of_each_label() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..300)
        .map(
            |row| serde_json::json!({"text": format!("t{row}"), "label": if row % 3 == 0 { 0 } else { row * row % 7 }}),
        )
        .collect();
    let set = open(&written(&folder, "a.jsonl", &rows));
    for (batch_size, drop_last) in [(4, false), (10, true), (32, false)] {
        let plan = BatchPlan { sampler: Sampler::GroupByLabel, batch_size, drop_last, seed: 1, reproduces_301: false };
        let mut seen = HashSet::new();
        let batches: Vec<_> = plan.epoch(&[&set], SetSampler::default(), 3).collect();
        assert_eq!(batches.len(), plan.batches_of(&[&set], SetSampler::default()));
        for (_, rows) in batches {
            assert!(rows.iter().all(|row| seen.insert(*row)), "a row comes once");
            let count = |label: f32| rows.iter().filter(|&&row| set.scores()[row as usize] == label).count();
            let labels: HashSet<u32> = rows.iter().map(|&row| set.scores()[row as usize] as u32).collect();
            assert!(labels.len() >= 2 && labels.iter().all(|&label| count(label as f32) >= 2), "{rows:?}");
        }
    }
}

fn mined() -> Vec<Value> {
    let row = |row: usize| {
        let negatives: Vec<String> = (0..1 + row % 5).map(|number| format!("n{row}.{number}")).collect();
        serde_json::json!({"anchor": format!("a{row}"), "negatives": negatives, "positive": format!("p{row}"), "score": row})
    };
    (0..40).map(row).collect()
}

fn drawing(count: usize, seed: u64) -> ReadOptions {
    let drawn = Some(DrawnColumn { column: "negatives".into(), count, seed });
    let columns = ["anchor", "negatives", "positive", "score"].map(String::from).to_vec();
    ReadOptions { drawn, columns: Some(columns), ..ReadOptions::default() }
}

#[test]
fn each_epoch_draws_from_lists_of_any_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, "a.jsonl", &mined());
    let set: Arc<dyn Source> = Arc::new(Dataset::open(&[&path], drawing(2, 42)).unwrap());
    assert_eq!(set.columns(), ["anchor", "negative_1", "negative_2", "positive"]);
    let mut differing = 0;
    for epoch in 0..4 {
        let rows = set.epoch(epoch).unwrap();
        let again = Dataset::open(&[&path], drawing(2, 42)).unwrap().epoch(epoch).unwrap();
        assert_eq!(rows.text_keys(), again.text_keys());
        assert_eq!(rows.text_keys().len(), 4 * rows.len());
        let mut keys = std::collections::HashMap::new();
        for row in 0..rows.len() {
            let example = rows.get(row).unwrap();
            let [anchor, first, second, positive] = &example.texts[..] else { panic!("{example:?}") };
            assert_eq!((anchor, positive), (&format!("a{row}"), &format!("p{row}")));
            assert_eq!(example.label.as_deref(), Some(&[row as f32][..]));
            let length = 1 + row % 5;
            assert_eq!(first == second, length == 1, "different negatives if there are two");
            assert_eq!(example, again.get(row).unwrap());
            if epoch == 0 {
                assert_eq!(example, set.get(row).unwrap(), "the set itself is epoch 0");
            }
            differing += usize::from(example != set.get(row).unwrap());
            for (text, key) in example.texts.iter().zip(&rows.text_keys()[4 * row..]) {
                assert_eq!(keys.entry(text.clone()).or_insert(*key), key, "keys are those of the texts");
            }
        }
    }
    assert!(differing > 30, "{differing} rows of three epochs differ from the first");
    let other = Dataset::open(&[&path], drawing(2, 43)).unwrap();
    assert!((0..40).any(|row| other.get(row).unwrap() != set.get(row).unwrap()), "another seed, other draws");
    assert_eq!(other.fingerprint(), set.fingerprint(), "the rows are the same");
    let part = Subset::new(Arc::clone(&set), vec![17, 4]);
    assert_eq!(part.epoch(3).unwrap().get(0).unwrap(), set.epoch(3).unwrap().get(17).unwrap());
}

#[test]
fn short_lists_repeat_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let set = Dataset::open(&[written(&folder, "a.jsonl", &mined())], drawing(3, 1)).unwrap();
    assert_eq!(set.rows_with_repeated_texts(), 16, "those with one or two texts");
    let texts = set.get(1).unwrap().texts;
    assert!(texts[1..4].contains(&"n1.0".to_string()) && texts[1..4].contains(&"n1.1".to_string()), "{texts:?}");
}

#[test]
fn a_split_shares_no_text_that_any_epoch_draws() {
    let folder = tempfile::tempdir().unwrap();
    let row = |row: usize| {
        let negatives: Vec<String> = (0..6).map(|at| format!("n{}", (row / 2 * 6 + at) % 60)).collect();
        serde_json::json!({"anchor": format!("a{row}"), "negatives": negatives, "positive": format!("p{row}"), "score": row})
    };
    let rows: Vec<Value> = (0..20).map(row).collect();
    let set = Dataset::open(&[written(&folder, "a.jsonl", &rows)], drawing(1, 7)).unwrap();
    assert_eq!(set.row_keys(3).len(), 8);
    let split = maana_data::split(&set, 6, 5);
    assert_eq!((split.dev.len(), split.train.len()), (6, 14));
    for pair in split.dev.chunks(2) {
        assert_eq!(pair[0] / 2, pair[1] / 2, "rows with the same list stay together: {:?}", split.dev);
    }
}

#[test]
fn bad_lists_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let fault = |rows: &[&str], options: ReadOptions| {
        let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
        Dataset::open(&[written(&folder, "a.jsonl", &rows)], options).map(|_| ()).unwrap_err().to_string()
    };
    let row = r#"{"anchor": "a", "positive": "p", "negatives": ["n"], "score": 1}"#;
    let with = |negatives: &str| row.replace("[\"n\"]", negatives);
    let empty = fault(&[row, &with("[]")], drawing(1, 1));
    assert!(empty.contains("a.jsonl, line 2") && empty.contains("`negatives` is empty"), "{empty}");
    let blank = fault(&[row, &with("[\"n\", \" \"]")], drawing(1, 1));
    assert!(blank.contains("line 2") && blank.contains("`negatives` is blank"), "{blank}");
    let number = fault(&[row, &with("[3]")], drawing(1, 1));
    assert!(number.contains("line 2") && number.contains("`negatives`"), "{number}");
    let of = |column: &str| {
        let drawn = Some(DrawnColumn { column: column.into(), count: 1, seed: 1 });
        fault(&[row], ReadOptions { drawn, ..drawing(1, 1) })
    };
    assert!(of("anchor").contains("`anchor`") && of("anchor").contains("does not hold lists"), "{}", of("anchor"));
    assert!(of("nagatives").contains("did you mean `negatives`?"), "{}", of("nagatives"));
    let unequal = fault(&[row, &with("[\"n\", \"m\"]")], ReadOptions { drawn: None, ..drawing(1, 1) });
    assert!(unequal.contains("line 2") && unequal.contains("`negatives`"), "{unequal}");
}
