//! Runs on pairs of texts: the same bits however they are stopped or divided, and checks of the
//! data.

mod toy;

use maana_data::{DataError, Example, Source};
use maana_kernels::{Context, Matrix};
use maana_model::Trainable;
use maana_text::TokenBatch;
use maana_train::loss::{Embedded, Needs, Pairs};
use maana_train::{
    Arguments, BatchSampler, Evaluate, Failure, Loss, LossArguments, LossSummary, Outcome, Run, TrainingSet,
    dev_loss_of_pairs,
};
use std::path::Path;
use std::sync::Mutex;
use toy::{Notebook, Toy, tokenize};

/// A loss of the first of the toy's columns, so that it has one logit.
struct FirstLogit(Box<dyn Loss>);

impl Loss for FirstLogit {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let [column] = embedded.columns else { panic!("pairs are one column") };
        let logits = (0..column.rows()).map(|row| column.row(row)[0]).collect();
        let logits = Matrix::from_vec(column.rows(), 1, logits);
        let mut d_logits = [Matrix::zeros(column.rows(), 1)];
        let columns = [logits.view()];
        let value = self.0.loss(context, &Embedded { columns: &columns, ..*embedded }, weight, &mut d_logits);
        (0..column.rows()).for_each(|row| d_columns[0].row_mut(row)[0] += d_logits[0].row(row)[0]);
        value
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn pairs(&self) -> Option<Pairs> {
        self.0.pairs()
    }

    fn describe(&self) -> LossSummary {
        self.0.describe()
    }
}

fn loss(json: &str) -> FirstLogit {
    FirstLogit(serde_json::from_str::<LossArguments>(json).unwrap().build_on_pairs(1).unwrap())
}

/// Rows with labels; with `lists` those of a query and a list of documents.
struct Rows {
    rows: Vec<Example>,
    columns: Vec<String>,
    keys: Vec<u32>,
    scores: Vec<f32>,
    lists: bool,
}

impl Rows {
    fn new(rows: Vec<Example>, columns: &[&str], lists: bool) -> Self {
        let single =
            |row: &Example| row.label.as_ref().filter(|label| label.len() == 1 && !lists).map(|label| label[0]);
        let scores = rows.iter().filter_map(single).collect();
        let keys = (0..(rows.len() * columns.len()) as u32).collect();
        Self { rows, columns: columns.iter().map(ToString::to_string).collect(), keys, scores, lists }
    }

    /// Queries with lists of one to four documents.
    fn lists(rows: usize) -> Self {
        let row = |row: usize| {
            let documents = 1 + row * 3 % 4;
            let texts = (0..=documents).map(|text| words(row * 5 + text * 7));
            let label = (0..documents).map(|document| ((document + row) % 3) as f32).collect();
            Example { texts: texts.collect(), label: Some(label) }
        };
        Self::new((0..rows).map(row).collect(), &["query", "documents"], true)
    }

    /// Rows of a query and documents.
    fn columns(rows: usize, columns: &[&str]) -> Self {
        let texts = |row: usize| (0..columns.len()).map(|column| words(row * 5 + column * 7)).collect();
        Self::new((0..rows).map(|row| Example { texts: texts(row), label: None }).collect(), columns, false)
    }

    /// Pairs with labels.
    fn labelled(labels: &[f32]) -> Self {
        let row = |(row, label): (usize, &f32)| Example {
            texts: vec![words(row), words(row + 9)],
            label: Some(vec![*label]),
        };
        Self::new(labels.iter().enumerate().map(row).collect(), &["query", "document"], false)
    }
}

fn words(number: usize) -> String {
    (0..1 + number % 3).map(|word| format!("w{}", (number * 11 + word * 3) % toy::WORDS)).collect::<Vec<_>>().join(" ")
}

impl Source for Rows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn has_labels(&self) -> bool {
        self.rows[0].label.is_some()
    }

    fn label_length(&self) -> usize {
        if self.lists { 1 } else { self.rows[0].label.as_ref().map_or(0, Vec::len) }
    }

    fn has_lists(&self) -> bool {
        self.lists
    }

    fn scores(&self) -> &[f32] {
        &self.scores
    }

    fn get(&self, index: usize) -> Result<Example, DataError> {
        Ok(self.rows[index].clone())
    }

    fn text_keys(&self) -> &[u32] {
        &self.keys
    }

    fn row_keys(&self, index: usize) -> &[u32] {
        &self.keys[..self.rows[index].texts.len()]
    }

    fn fingerprint(&self) -> [u8; 32] {
        [self.rows.len() as u8; 32]
    }
}

/// Returns the tokens of pairs: those of both texts.
fn pairs(texts: [&[&str]; 2], pairs: &[[usize; 2]]) -> Result<TokenBatch, Failure> {
    let [first, second] = [tokenize(texts[0])?, tokenize(texts[1])?];
    let mut batch = TokenBatch::new();
    for [a, b] in pairs {
        let ids = [first.sequence(*a), second.sequence(*b)].concat();
        batch.push(&ids, &vec![0; ids.len()]);
    }
    Ok(batch)
}

fn train(
    source: &Rows,
    loss: &FirstLogit,
    arguments: &Arguments,
    (folder, resume): (Option<&Path>, bool),
    notebook: &mut Notebook,
) -> Option<Vec<u32>> {
    let context = Context::new(1);
    let mut model = Toy::new();
    let sets = [TrainingSet::new(source, loss)];
    let run = Run { tokenize_pairs: Some(&pairs), folder, resume, ..Run::new(&context, &sets, tokenize, arguments) };
    let outcome = run.train(&mut model, notebook).unwrap();
    matches!(outcome, Outcome::Finished(_)).then(|| model.bits())
}

fn arguments() -> Arguments {
    Arguments {
        evaluate: Evaluate::Never,
        batch_sampler: BatchSampler::Shuffle,
        save_every: Some(2.into()),
        ema_decay: None,
        ..toy::arguments(None)
    }
}

/// Rows and losses whose pairs differ: drawn documents, columns of documents, lists.
fn cases() -> Vec<(Rows, FirstLogit)> {
    let ranking = r#"{"name": "multiple_negatives_ranking", "num_negatives": 2}"#;
    vec![
        (Rows::columns(14, &["query", "positive"]), loss(ranking)),
        (Rows::columns(14, &["query", "positive", "negative"]), loss(ranking)),
        (Rows::lists(14), loss(r#"{"name": "lambda"}"#)),
        (Rows::labelled(&[1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]), loss(r#"{"name": "binary_cross_entropy"}"#)),
    ]
}

#[test]
fn an_interrupted_run_on_pairs_ends_with_the_bits_of_an_uninterrupted_one() {
    for (source, loss) in cases() {
        let whole = train(&source, &loss, &arguments(), (None, false), &mut Notebook::default()).unwrap();
        for stop in [1, 2, 5] {
            let folder = tempfile::tempdir().unwrap();
            let mut notebook = Notebook { stop_after: Some(stop), ..Notebook::default() };
            assert_eq!(train(&source, &loss, &arguments(), (Some(folder.path()), false), &mut notebook), None);
            let resumed = train(&source, &loss, &arguments(), (Some(folder.path()), true), &mut Notebook::default());
            assert_eq!(resumed.as_ref(), Some(&whole), "{} after {stop}", loss.describe().name);
        }
    }
}

#[test]
fn pairs_in_parts_have_the_bits_of_all_at_once() {
    for (source, loss) in cases() {
        let of = |size| {
            let arguments = Arguments { mini_batch_size: size, ..arguments() };
            train(&source, &loss, &arguments, (None, false), &mut Notebook::default()).unwrap()
        };
        let whole = of(None);
        for size in [1, 3, 7] {
            assert_eq!(of(Some(size)), whole, "{} in parts of {size}", loss.describe().name);
        }
    }
}

#[test]
fn each_text_of_a_batch_is_tokenised_once() {
    let source = Rows::columns(8, &["query", "positive", "negative"]);
    let loss = loss(r#"{"name": "multiple_negatives_ranking", "num_negatives": "all"}"#);
    let asked = Mutex::new(Vec::new());
    let counting = |texts: [&[&str]; 2], numbers: &[[usize; 2]]| {
        asked.lock().unwrap().push((texts[0].len(), texts[1].len(), numbers.len()));
        pairs(texts, numbers)
    };
    let (context, arguments) = (Context::new(1), Arguments { epochs: 1.0, batch_size: 8, ..arguments() });
    let sets = [TrainingSet::new(&source, &loss)];
    let run = Run { tokenize_pairs: Some(&counting), ..Run::new(&context, &sets, tokenize, &arguments) };
    run.train(&mut Toy::new(), &mut Notebook::default()).unwrap();
    let texts = |column: usize| {
        let mut texts: Vec<String> = source.rows.iter().map(|row| row.texts[column].clone()).collect();
        texts.extend(source.rows.iter().filter(|_| column == 1).map(|row| row.texts[2].clone()));
        texts.sort();
        texts.dedup();
        texts.len()
    };
    assert_eq!(*asked.lock().unwrap(), [(texts(0), texts(1), 8 * 16)]);
}

#[test]
fn the_dev_loss_is_that_of_the_batches() {
    let (context, model) = (Context::new(1), Toy::new());
    for (source, loss) in cases() {
        let score = |texts: &[(&str, &str)]| {
            let (first, second): (Vec<&str>, Vec<&str>) = texts.iter().copied().unzip();
            let numbers: Vec<[usize; 2]> = (0..texts.len()).map(|pair| [pair, pair]).collect();
            let batch = pairs([&first, &second], &numbers)?;
            let dropout = maana_model::DropoutSeed::Off;
            Ok::<_, Failure>(model.forward(&context, &batch, dropout, &mut Vec::new()))
        };
        let value = |size| dev_loss_of_pairs(&context, &loss, &source, size, 7, score).unwrap();
        assert!(value(4).is_finite() && value(4) == value(4), "{}", loss.describe().name);
        if loss.describe().name == "binary_cross_entropy" {
            assert!((value(4) - value(7)).abs() < 1e-6, "the mean over rows");
        }
    }
}

#[test]
fn labels_and_lists_that_do_not_fit_are_named() {
    let fails = |source: Rows, json: &str| {
        let loss = loss(json);
        let set = TrainingSet::new(&source, &loss);
        set.check().and_then(|()| set.check_differences()).unwrap_err().to_string()
    };
    let (entropy, ranking) = (r#"{"name": "binary_cross_entropy"}"#, r#"{"name": "multiple_negatives_ranking"}"#);
    let lambda = r#"{"name": "lambda"}"#;
    let one_label = "all rows have the same label";
    let equal_lists = Rows::new(
        vec![Example { texts: vec!["w1".into(), "w2".into(), "w3".into()], label: Some(vec![1.0, 1.0]) }; 3],
        &["query", "documents"],
        true,
    );
    for (source, json, expected) in [
        (
            Rows::labelled(&[0.0, 1.5]),
            entropy,
            "the label is 1.5, but the loss `binary_cross_entropy` needs from 0 to 1",
        ),
        (Rows::labelled(&[1.0, 1.0]), entropy, one_label),
        (Rows::labelled(&[2.5, 2.5]), r#"{"name": "mse"}"#, one_label),
        (Rows::columns(3, &["query", "positive"]), entropy, "a label from 0 to 1"),
        (Rows::lists(5), ranking, "one text in each column, but the data have lists of texts (query, documents)"),
        (Rows::lists(5), entropy, "lists of texts"),
        (Rows::labelled(&[0.0, 1.0]), lambda, "several documents for each query"),
        (Rows::columns(3, &["query", "positive", "negative"]), lambda, "a list of numbers, one for each document"),
        (equal_lists, lambda, one_label),
    ] {
        let error = fails(source, json);
        assert!(error.contains(expected), "{json}: {error}");
    }
    let classes = serde_json::from_str::<LossArguments>(r#"{"name": "cross_entropy"}"#).unwrap();
    let classes = classes.build_on_pairs(3).unwrap();
    for (labels, expected) in
        [(&[0.0, 3.0][..], "the model has 3 labels"), (&[0.5, 1.0], "from 0 to 2"), (&[1.0, 1.0], one_label)]
    {
        let source = Rows::labelled(labels);
        let set = TrainingSet::new(&source, classes.as_ref());
        let error = set.check().and_then(|()| set.check_differences()).unwrap_err().to_string();
        assert!(error.contains(expected), "{labels:?}: {error}");
    }
}
