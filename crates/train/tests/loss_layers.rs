//! Losses with a layer of their own: it trains with the model, as in the reference, and stops
//! change no bit of it.

mod toy;

use maana_data::{DataError, Example, SetSampler, Source};
use maana_kernels::Context;
use maana_train::{
    Adafactor, Arguments, Evaluate, KeepBest, Loss, LossArguments, LossName, Optimizer, Outcome, Run, TrainError,
    TrainingSet,
};
use std::path::Path;
use toy::{DIMENSION, Notebook, Table, Toy, arguments, entries, tokenize};

/// Pairs with a label: a class, or the probabilities of three.
struct Labelled {
    pairs: Table,
    labels: Vec<Vec<f32>>,
    classes: Vec<f32>,
}

impl Labelled {
    fn classes(rows: usize) -> Self {
        let labels = (0..rows).map(|row| vec![(row * row % 3) as f32]).collect();
        Self::new(rows, labels)
    }

    fn new(rows: usize, labels: Vec<Vec<f32>>) -> Self {
        let single = labels[0].len() == 1;
        let classes = if single { labels.iter().map(|label| label[0]).collect() } else { Vec::new() };
        Self { pairs: Table::pairs(rows), labels, classes }
    }
}

impl Source for Labelled {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn columns(&self) -> &[String] {
        self.pairs.columns()
    }

    fn has_labels(&self) -> bool {
        true
    }

    fn label_length(&self) -> usize {
        self.labels[0].len()
    }

    fn scores(&self) -> &[f32] {
        &self.classes
    }

    fn get(&self, index: usize) -> Result<Example, DataError> {
        Ok(Example { label: Some(self.labels[index].clone()), ..self.pairs.get(index)? })
    }

    fn text_keys(&self) -> &[u32] {
        self.pairs.text_keys()
    }

    fn fingerprint(&self) -> [u8; 32] {
        self.pairs.fingerprint()
    }
}

fn softmax() -> Box<dyn Loss> {
    let settings = LossArguments { num_labels: Some(3), ..LossArguments::new(LossName::Softmax) };
    settings.build(DIMENSION, 42).unwrap()
}

fn train(
    sets: &[TrainingSet<'_>],
    model: &mut Toy,
    notebook: &mut Notebook,
    arguments: &Arguments,
    folder: Option<&Path>,
    resume: bool,
) -> Result<Outcome, TrainError> {
    let context = Context::new(1);
    let run = Run { folder, resume, sampler: SetSampler::RoundRobin, ..Run::new(&context, sets, tokenize, arguments) };
    run.train(model, notebook)
}

/// Bits of the model and of the layers.
fn bits(model: &Toy, losses: &[&dyn Loss]) -> Vec<u32> {
    let layers = losses.iter().filter_map(|loss| loss.trained_layer());
    let of_layers = layers.flat_map(|layer| layer.parameters()).map(f32::to_bits);
    model.bits().into_iter().chain(of_layers).collect()
}

#[test]
fn stopped_after_every_micro_batch_a_run_with_layers_of_losses_ends_with_the_same_bits() {
    let (one, other) = (Labelled::classes(30), Labelled::classes(17));
    let settings = [
        Arguments { keep_best: Some(KeepBest::from("dim_8_score")), ..arguments(None) },
        Arguments { ema_decay: Some(0.6), save_every: Some(1.into()), ..arguments(None) },
        Arguments {
            optimizer: Optimizer::Adafactor(Adafactor::default()),
            evaluate: Evaluate::Steps(2.into()),
            ..arguments(None)
        },
    ];
    for arguments in settings {
        // With a score that falls after the second evaluation, the best is not the last.
        let scores = || if arguments.keep_best.is_some() { vec![0.1, 0.9, 0.2] } else { Vec::new() };
        let call = |stop_after, scores, folder: Option<&Path>, resume| {
            let (first, second) = (softmax(), softmax());
            let set = |name, source, loss| TrainingSet { name, ..TrainingSet::new(source, loss) };
            let sets = [set("one", &one, &*first), set("other", &other, &*second)];
            let (mut model, mut notebook) = (Toy::new(), Notebook { stop_after, scores, ..Notebook::default() });
            let outcome = train(&sets, &mut model, &mut notebook, &arguments, folder, resume).unwrap();
            (matches!(outcome, Outcome::Finished(_)), bits(&model, &[&*first, &*second]), notebook.evaluations.len())
        };
        let whole = tempfile::tempdir().unwrap();
        let (_, expected, _) = call(None, scores(), Some(whole.path()), false);
        assert!(expected != bits(&Toy::new(), &[&*softmax(), &*softmax()]));
        assert_eq!(call(None, scores(), None, false).1, expected, "without a folder");
        let folder = tempfile::tempdir().unwrap();
        let (mut resume, mut evaluations) = (false, 0);
        loop {
            let left = scores().into_iter().skip(evaluations).collect();
            let (finished, found, more) = call(Some(1), left, Some(folder.path()), resume);
            (resume, evaluations) = (true, evaluations + more);
            if finished {
                assert_eq!(found, expected);
                break;
            }
        }
    }
}

#[test]
fn a_layer_trains_and_is_not_clipped_and_the_dev_loss_leaves_its_gradient() {
    let source = Labelled::classes(30);
    let loss = softmax();
    let begin = loss.trained_layer().unwrap().parameters();
    let embed = |_: usize, texts: &[&str]| -> Result<_, std::io::Error> {
        Ok(maana_kernels::Matrix::from_vec(texts.len(), DIMENSION, vec![0.5; texts.len() * DIMENSION]))
    };
    maana_train::dev_loss(&Context::new(1), &*loss, &source, 8, embed).unwrap();
    assert!(loss.trained_layer().unwrap().gradients().iter().all(|gradient| *gradient == 0.0));
    // One update by AdamW moves a parameter by the learning rate, for any size of its gradient.
    let arguments =
        Arguments { max_steps: Some(1), max_grad_norm: 1e-3, warmup_ratio: 0.0, weight_decay: 0.0, ..arguments(None) };
    let sets = [TrainingSet::new(&source, &*loss)];
    train(&sets, &mut Toy::new(), &mut Notebook::default(), &arguments, None, false).unwrap();
    let layer = loss.trained_layer().unwrap();
    let bias = layer.inputs * layer.outputs;
    for (before, after) in begin.iter().zip(layer.parameters()).skip(bias) {
        assert!(((before - after).abs() - 0.02).abs() < 1e-3, "{before} {after}");
    }
}

#[test]
fn a_checkpoint_has_the_state_of_the_layer_and_the_folder_of_the_model_does_not() {
    let (source, loss, folder) = (Labelled::classes(30), softmax(), tempfile::tempdir().unwrap());
    let sets = [TrainingSet::new(&source, &*loss)];
    let mut notebook = Notebook { stop_after: Some(4), ..Notebook::default() };
    train(&sets, &mut Toy::new(), &mut notebook, &arguments(None), Some(folder.path()), false).unwrap();
    let checkpoint = entries(folder.path()).into_iter().find(|name| name.starts_with("checkpoint")).unwrap();
    let path = folder.path().join(checkpoint).join("loss_state_0.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<&str> = tensors.names().into_iter().collect();
    names.sort_unstable();
    let parts = ["first_moments", "gradients", "parameters", "second_moments"];
    let expected = parts.map(|part| [format!("{part}.classifier.bias"), format!("{part}.classifier.weight")]);
    assert_eq!(names, expected.concat());
    let mut damaged = bytes.clone();
    damaged[bytes.len() - 3] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let resumed = train(&sets, &mut Toy::new(), &mut Notebook::default(), &arguments(None), Some(folder.path()), true);
    let error = resumed.unwrap_err().to_string();
    assert!(error.contains("loss_state_0.safetensors"), "{error}");
}

#[test]
fn labels_that_are_no_classes_or_probabilities_are_named_with_their_rows() {
    let loss = softmax();
    let fault = |labels: Vec<Vec<f32>>| {
        let source = Labelled::new(labels.len(), labels);
        TrainingSet::new(&source, &*loss).check().unwrap_err().to_string()
    };
    let classes = fault(vec![vec![0.0], vec![3.0]]);
    assert!(classes.contains("row 2") && classes.contains("num_labels"), "{classes}");
    let shares = fault(vec![vec![0.2, 0.3, 0.5], vec![0.2, 0.3, 0.6]]);
    assert!(shares.contains("row 2") && shares.contains("the sum 1"), "{shares}");
    let negative = fault(vec![vec![1.2, -0.2, 0.0]]);
    assert!(negative.contains("row 1"), "{negative}");
    let length = fault(vec![vec![0.5, 0.5]]);
    assert!(length.contains("a list of 3 probabilities"), "{length}");
    let same = Labelled::new(2, vec![vec![1.0], vec![1.0]]);
    let same = TrainingSet::new(&same, &*loss).check_differences().unwrap_err().to_string();
    assert!(same.contains("the same label"), "{same}");
    let shares = Labelled::new(2, vec![vec![0.2, 0.3, 0.5], vec![1.0, 0.0, 0.0]]);
    TrainingSet::new(&shares, &*loss).check().unwrap();
}
