//! Evaluation sets of every kind: measures of the reference's evaluators on a trained model, and
//! files that do not fit.

use maana::data::{Dataset, ReadOptions, Source};
use maana::eval::{Kind, Scores};
use maana::evaluation::{DevLoss, EvaluationError, EvaluationSet, Measuring, PairDevLoss, PairMeasuring, SetSpec};
use maana::kernels::{Context, Precision};
use maana::model::{CrossEncoder, TextEncoder, WeightStorage};
use maana::train::{LossArguments, LossName};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
}

fn encoder(context: &Context) -> TextEncoder {
    let name = golden_path("st301/model").display().to_string();
    maana::open::open(WeightStorage::Packed, &name, context, Precision::F32, &mut |_| {}).unwrap().model
}

/// Writes the rows of a golden set as a file and returns its specification, without the kind.
fn spec(folder: &Path, kind: &str, set: &Value) -> SetSpec {
    let path = folder.join(format!("{kind}.jsonl"));
    let rows: String = set["rows"].as_array().unwrap().iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(&path, rows).unwrap();
    SetSpec { name: Some("set".into()), ..SetSpec::of(path) }
}

#[test]
fn measures_are_those_of_the_reference_for_every_kind() {
    let golden: Value = serde_json::from_slice(&std::fs::read(golden_path("evaluators.json")).unwrap()).unwrap();
    let (context, folder) = (Context::new(2), tempfile::tempdir().unwrap());
    let encoder = encoder(&context);
    let dims = [64, 16];
    let arguments = LossArguments {
        matryoshka_dims: Some(dims.to_vec()),
        ..LossArguments::new(LossName::MultipleNegativesRanking)
    };
    let loss = arguments.build(64, 42).unwrap();
    let batch_size = golden["sets"]["loss"]["batch_size"].as_u64().unwrap() as usize;
    let loss = Some(DevLoss { loss: loss.as_ref(), batch_size, prompts: &[], routes: &[] });
    let measuring = Measuring { loss, ..Measuring::new(&encoder, &context, &dims) };
    for (name, set) in golden["sets"].as_object().unwrap() {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).unwrap();
        let spec = SetSpec { kind: Some(kind), ..spec(folder.path(), name, set) };
        let opened = EvaluationSet::open(&spec).unwrap();
        let opened = if kind == Kind::Loss { opened.with_name(None) } else { opened };
        let scores = opened.measure(&measuring).unwrap();
        let found: Vec<(String, f64)> = scores.iter().flat_map(Scores::prefixed).collect();
        let names: Vec<&String> = found.iter().map(|(name, _)| name).collect();
        assert_eq!(names, opened.measure_names(encoder.similarity(), &dims).iter().collect::<Vec<_>>(), "{name}");
        assert!(scores.iter().all(|scores| scores.get(&scores.primary).is_some()), "{name}: {scores:?}");
        for (key, expected) in set["measures"].as_object().unwrap() {
            let (_, value) = found.iter().find(|(found, _)| found == key).unwrap_or_else(|| panic!("{name}: {key}"));
            let difference = (value - expected.as_f64().unwrap()).abs();
            // Embeddings agree to 1e-6; formulas are compared on equal embeddings in `eval`.
            assert!(difference < 1e-5, "{name}: {key} is {value} instead of {expected}");
        }
    }
}

#[test]
fn the_kind_follows_from_the_columns() {
    let golden: Value = serde_json::from_slice(&std::fs::read(golden_path("evaluators.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for kind in ["similarity", "binary", "triplet", "reranking", "translation"] {
        let spec = spec(folder.path(), kind, &golden["sets"][kind]);
        assert_eq!(EvaluationSet::open(&spec).unwrap().kind().name(), kind);
    }
    std::fs::write(folder.path().join("t.train.tsv"), "moja\tA\nmbili\tB\n").unwrap();
    std::fs::write(folder.path().join("t.test.tsv"), "moja\tA\nmbili\tB\n").unwrap();
    let labels = EvaluationSet::open(&SetSpec::of(folder.path().join("t.test.tsv"))).unwrap();
    assert_eq!((labels.kind(), labels.name()), (Kind::Labels, Some("t")));
}

#[test]
fn files_that_do_not_fit_their_kind_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let open = |kind: Option<Kind>, name: &str, text: &str| -> EvaluationError {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        match EvaluationSet::open(&SetSpec { kind, ..SetSpec::of(path) }) {
            Ok(_) => panic!("{name} fits {kind:?}"),
            Err(error) => error,
        }
    };
    let pairs = "{\"a\": \"x\", \"b\": \"y\"}\n";
    for (kind, name, text, expected) in [
        (Some(Kind::Similarity), "s.jsonl", pairs, "needs two columns of texts and a label with the score"),
        (Some(Kind::Binary), "b.csv", "a,b,label\nx,y,1\nx,y,0.5\n", "b.csv, row 2: the label is 0.5"),
        (Some(Kind::Triplet), "t.jsonl", pairs, "needs three columns of texts"),
        (Some(Kind::Reranking), "r.jsonl", pairs, "query"),
        (Some(Kind::Labels), "l.tsv", "x\tA\n", "needs two files"),
        (Some(Kind::Translation), "m.csv", "a,b,c\nx,y,z\n", "the columns are a, b, c"),
        (None, "u.csv", "a,b,c,d\nw,x,y,z\n", "4 columns of texts"),
        (None, "one.jsonl", "{\"text\": \"x\"}\n", "name the kind"),
    ] {
        let error = open(kind, name, text).to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let empty = tempfile::tempdir().unwrap();
    let error = EvaluationSet::open(&SetSpec::of(empty.path())).err().unwrap().to_string();
    assert!(error.contains("without queries and corpus"), "{error}");
    let missing = EvaluationSet::open(&SetSpec::of(folder.path().join("gone.jsonl"))).err().unwrap().to_string();
    assert!(missing.contains("gone.jsonl"), "{missing}");
}

#[test]
fn a_set_without_what_it_needs_to_be_measured_is_an_error() {
    let (context, folder) = (Context::new(1), tempfile::tempdir().unwrap());
    let encoder = encoder(&context);
    let path = folder.path().join("dev.jsonl");
    std::fs::write(&path, "{\"a\": \"habari\", \"b\": \"mambo\"}\n").unwrap();
    let rows: Arc<dyn Source> = Arc::new(Dataset::open(&[&path], ReadOptions::default()).unwrap());
    let loss = EvaluationSet::of_rows(Some("dev".into()), Kind::Loss, &rows).unwrap();
    let error = loss.measure(&Measuring::new(&encoder, &context, &[64])).unwrap_err().to_string();
    assert!(error.contains("dev") && error.contains("recipe"), "{error}");
    let pairs = EvaluationSet::of_rows(Some("dev".into()), Kind::Translation, &rows).unwrap();
    let error = pairs.measure(&Measuring::new(&encoder, &context, &[65])).unwrap_err().to_string();
    assert!(error.contains("dimension 65") && error.contains("64"), "{error}");
}

fn cross_encoder(name: &str, context: &Context) -> CrossEncoder {
    let name = golden_path(name).display().to_string();
    maana::open_cross_encoder(WeightStorage::Packed, &name, context, Precision::F32, &mut |_| {}).unwrap().model
}

#[test]
fn measures_of_cross_encoders_are_those_of_the_reference() {
    let golden: Value = serde_json::from_slice(&std::fs::read(golden_path("cross_evaluators.json")).unwrap()).unwrap();
    let (context, folder) = (Context::new(2), tempfile::tempdir().unwrap());
    let (one, three) = (cross_encoder("cross/bert", &context), cross_encoder("cross/bert-classes", &context));
    let loss = LossArguments::new(LossName::BinaryCrossEntropy).build_on_pairs(1).unwrap();
    for (name, set) in golden["sets"].as_object().unwrap() {
        let encoder = if name == "classification" { &three } else { &one };
        let kind = name.split("_of_").next().unwrap().split("_at_").next().unwrap();
        let kind = Kind::ALL.into_iter().find(|other| other.name() == kind).unwrap();
        let at_k = set["at_k"].as_u64().map(|k| k as usize);
        let opened =
            EvaluationSet::open(&SetSpec { kind: Some(kind), at_k, ..spec(folder.path(), name, set) }).unwrap();
        let batch_size = set["batch_size"].as_u64().unwrap_or(1) as usize;
        let loss = Some(PairDevLoss { loss: loss.as_ref(), batch_size, seed: 1, prompt: "" });
        let scores =
            opened.measure_pairs(&PairMeasuring { encoder, context: &context, loss, first_stage: None }).unwrap();
        let found: Vec<(String, f64)> = scores.prefixed().collect();
        let names: Vec<&String> = found.iter().map(|(name, _)| name).collect();
        assert_eq!(names, opened.pair_measure_names().iter().collect::<Vec<_>>(), "{name}");
        assert!(scores.get(&scores.primary).is_some() && scores.is_of_cross_encoder(), "{name}: {scores:?}");
        assert_eq!(set["measures"].as_object().unwrap().len(), found.len(), "{name}");
        for (key, expected) in set["measures"].as_object().unwrap() {
            let (_, value) = found.iter().find(|(found, _)| found == key).unwrap_or_else(|| panic!("{name}: {key}"));
            let difference = (value - expected.as_f64().unwrap()).abs();
            assert!(difference < 1e-5, "{name}: {key} is {value} instead of {expected}");
        }
    }
}

#[test]
fn cross_encoders_are_refused_on_sets_of_other_kinds() {
    let (context, folder) = (Context::new(1), tempfile::tempdir().unwrap());
    let (one, three) = (cross_encoder("cross/bert", &context), cross_encoder("cross/bert-classes", &context));
    let pairs = |label: &str| format!("{{\"a\": \"mto\", \"b\": \"leo\", \"label\": {label}}}\n");
    let triplet = "{\"a\": \"mto\", \"b\": \"leo\", \"c\": \"sana\"}\n".to_owned();
    for (encoder, kind, rows, expected) in [
        (
            &one,
            Kind::Triplet,
            &triplet,
            "not measured on sets of the kind triplet, but on those of the kinds similarity, binary",
        ),
        (&one, Kind::Classification, &pairs("0"), "with one use binary"),
        (&three, Kind::Binary, &(pairs("0") + &pairs("1")), "the model has 3 labels"),
        (&three, Kind::Classification, &pairs("3"), "a label is the class 3, but the model has 3 labels, 0 to 2"),
        (&one, Kind::Loss, &pairs("1"), "with the loss of a recipe"),
    ] {
        let path = folder.path().join("set.jsonl");
        std::fs::write(&path, rows).unwrap();
        let set = EvaluationSet::open(&SetSpec { kind: Some(kind), ..SetSpec::of(&path) }).unwrap();
        let error = set
            .measure_pairs(&PairMeasuring { encoder, context: &context, loss: None, first_stage: None })
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected) && error.contains("set"), "{kind:?}: {error}");
    }
    let path = folder.path().join("classes.jsonl");
    std::fs::write(&path, pairs("0.5")).unwrap();
    let error = EvaluationSet::open(&SetSpec { kind: Some(Kind::Classification), ..SetSpec::of(&path) }).err().unwrap();
    assert!(error.to_string().contains("the label is 0.5"), "{error}");
    std::fs::write(&path, pairs("1")).unwrap();
    let set = EvaluationSet::open(&SetSpec { kind: Some(Kind::Classification), ..SetSpec::of(&path) }).unwrap();
    let encoder = encoder(&context);
    let error = set.measure(&Measuring::new(&encoder, &context, &[64])).unwrap_err().to_string();
    assert!(error.contains("cross-encoders with several labels"), "{error}");
    let classes = three.labels().to_vec();
    let named = SetSpec { classes, ..SetSpec::of(&path) };
    assert_eq!(EvaluationSet::open(&named).unwrap().kind(), Kind::Classification, "found by the labels of the model");
}
