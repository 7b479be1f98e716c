//! A toy model, data for it, and an observer that records events.
#![allow(dead_code, reason = "each test file uses a part of it")]

use maana_data::{DataError, Example, Source};
use maana_kernels::{Context, Matrix, Rows};
use maana_model::{DropoutSeed, ParameterArena, StatePart, Tensor, Trainable, UpdatePlan};
use maana_text::TokenBatch;
use maana_train::{
    Arguments, BatchSampler, Event, Failure, LogRow, Loss, LossArguments, LossName, Observer, Outcome, Run, TrainError,
    TrainingSet, Version,
};
use std::collections::HashMap;
use std::path::Path;

pub(crate) const WORDS: usize = 40;
pub(crate) const HIDDEN: usize = 6;
pub(crate) const DIMENSION: usize = 8;

/// A model: the mean of word vectors, noise, then a linear layer. A NaN word makes its text NaN.
#[derive(Clone)]
pub(crate) struct Toy {
    arena: ParameterArena,
    /// Pass from which every gradient is infinite.
    pub(crate) bad_gradients_from: Option<u64>,
    /// Number of updates.
    pub(crate) updates: usize,
}

impl Toy {
    pub(crate) fn new() -> Self {
        let shapes: [(&str, Vec<usize>); 3] = [
            ("words.weight", vec![WORDS, HIDDEN]),
            ("dense.weight", vec![HIDDEN, DIMENSION]),
            ("dense.bias", vec![DIMENSION]),
        ];
        let mut tensors = Vec::new();
        let mut start = 0;
        for (name, shape) in shapes {
            let end = start + shape.iter().product::<usize>();
            tensors.push(Tensor { name: name.into(), shape, range: start..end });
            start = end;
        }
        let mut state = 7_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
        };
        let parameters = std::iter::repeat_with(next).take(start).collect();
        Self {
            arena: ParameterArena::new(tensors, parameters).with_word_table(0),
            bad_gradients_from: None,
            updates: 0,
        }
    }

    pub(crate) fn parameters(&self) -> &[f32] {
        self.arena.parameters()
    }

    pub(crate) fn bits(&self) -> Vec<u32> {
        self.parameters().iter().map(|parameter| parameter.to_bits()).collect()
    }
}

/// Returns a factor for each sequence of each pass, which begins with `token`, in place of dropout.
fn factor(noise: DropoutSeed, token: usize) -> f32 {
    match noise {
        DropoutSeed::Off => 1.0,
        DropoutSeed::On { seed, pass, first_token, .. } => {
            let mixed = (seed ^ (pass * 1000 + first_token + token as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            0.75 + (mixed >> 40) as f32 / (1_u64 << 25) as f32
        }
    }
}

impl Trainable for Toy {
    /// Mean word vector of each sequence. `(sequences, HIDDEN)`
    type Activations = Vec<f32>;

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn forward(&self, _context: &Context, batch: &TokenBatch, noise: DropoutSeed, keep: &mut Vec<f32>) -> Matrix {
        keep.clear();
        let parameters = self.arena.parameters();
        let mut embeddings = Matrix::zeros(batch.sequences(), DIMENSION);
        for sequence in 0..batch.sequences() {
            let mut mean = [0.0; HIDDEN];
            for &id in batch.sequence(sequence) {
                for (mean, x) in mean.iter_mut().zip(&parameters[id as usize * HIDDEN..]) {
                    *mean += x * factor(noise, batch.offsets[sequence]) / batch.length(sequence) as f32;
                }
            }
            let (dense, bias) = (&parameters[WORDS * HIDDEN..], &parameters[(WORDS + DIMENSION) * HIDDEN..]);
            for (column, y) in embeddings.row_mut(sequence).iter_mut().enumerate() {
                *y = bias[column] + (0..HIDDEN).map(|h| mean[h] * dense[h * DIMENSION + column]).sum::<f32>();
            }
            keep.extend(mean);
        }
        embeddings
    }

    fn backward_part(
        &mut self,
        _context: &Context,
        batch: &TokenBatch,
        noise: DropoutSeed,
        keep: &mut Vec<f32>,
        d_embeddings: Rows<'_>,
    ) {
        self.arena.touch_rows(0, &batch.ids);
        let (parameters, mut gradients) = self.arena.for_backward();
        let gradients = gradients.of(&(0..parameters.len())).expect("some parameters train");
        for sequence in 0..batch.sequences() {
            let d_y = d_embeddings.row(sequence);
            for h in 0..HIDDEN {
                let dense = (WORDS * HIDDEN) + h * DIMENSION;
                let mut d_mean = 0.0;
                for (column, d_y) in d_y.iter().enumerate() {
                    d_mean += d_y * parameters[dense + column];
                    gradients[dense + column] += d_y * keep[sequence * HIDDEN + h];
                }
                for &id in batch.sequence(sequence) {
                    gradients[id as usize * HIDDEN + h] +=
                        d_mean * factor(noise, batch.offsets[sequence]) / batch.length(sequence) as f32;
                }
            }
            for (column, d_y) in d_y.iter().enumerate() {
                gradients[(WORDS + DIMENSION) * HIDDEN + column] += d_y;
            }
        }
        if let (Some(from), DropoutSeed::On { pass, .. }) = (self.bad_gradients_from, noise)
            && pass >= from
        {
            gradients.fill(f32::INFINITY);
        }
    }

    fn clear_gradients(&mut self) {
        self.arena.clear_gradients();
    }

    fn gradient_norm(&self, context: &Context) -> f64 {
        self.arena.gradient_norm(context)
    }

    fn set_update_plan(&mut self, plan: UpdatePlan) {
        self.arena.set_update_plan(plan);
    }

    fn update(&mut self, context: &Context, step: u64, learning_rate: f64, gradient_scale: f32) {
        self.arena.update(context, step, learning_rate, gradient_scale);
        self.updates += 1;
    }

    fn update_average(&mut self, context: &Context, decay: f64, step: u64) {
        self.arena.update_average(context, decay, step);
    }

    fn swap_average(&mut self) {
        self.arena.swap_average();
    }

    fn state_tensors(&self, part: StatePart) -> Vec<Tensor> {
        self.arena.state_tensors(part)
    }

    fn read_state(&self, part: StatePart, first: usize, into: &mut [f32]) {
        self.arena.read(part, first, into);
    }

    fn write_state(&mut self, part: StatePart, first: usize, values: &[f32]) {
        self.arena.write(part, first, values);
    }

    fn tensors(&self) -> &[Tensor] {
        self.arena.tensors()
    }
}

/// Rows in memory.
pub(crate) struct Table {
    rows: Vec<Example>,
    columns: Vec<String>,
    keys: Vec<u32>,
    /// A row that cannot be read.
    pub(crate) unreadable: Option<usize>,
}

impl Table {
    /// Pairs of texts with common words; some texts occur twice.
    pub(crate) fn pairs(rows: usize) -> Self {
        let texts = |row: usize| {
            let word = |at: usize| format!("w{}", (row * 7 + at * 3) % WORDS);
            let anchor = [word(0), word(1), word(2), word(3)].join(" ");
            vec![anchor, [word(1), word(row % 3)].join(" ")]
        };
        Self::new((0..rows).map(texts).collect())
    }

    pub(crate) fn new(rows: Vec<Vec<String>>) -> Self {
        let mut numbers = HashMap::new();
        let mut keys = Vec::new();
        for text in rows.iter().flatten() {
            let next = numbers.len() as u32;
            keys.push(*numbers.entry(text.clone()).or_insert(next));
        }
        let columns = ["anchor", "positive", "negative"][..rows[0].len()].iter().map(ToString::to_string).collect();
        let rows = rows.into_iter().map(|texts| Example { texts, label: None }).collect();
        Self { rows, columns, keys, unreadable: None }
    }
}

impl Source for Table {
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
        if self.unreadable == Some(index) {
            let source = std::io::Error::other("the disk is gone");
            return Err(DataError::Io { path: "rows.jsonl".into(), source });
        }
        Ok(self.rows[index].clone())
    }

    fn text_keys(&self) -> &[u32] {
        &self.keys
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = [self.rows.len() as u8; 32];
        for (index, byte) in self.rows.iter().flat_map(|row| row.texts.concat().into_bytes()).enumerate() {
            fingerprint[index % 32] = fingerprint[index % 32].wrapping_mul(31).wrapping_add(byte);
        }
        fingerprint
    }
}

/// Returns the tokens of a text: `w7` is token 7; only the empty text has no tokens.
pub(crate) fn tokenize(texts: &[&str]) -> Result<TokenBatch, std::io::Error> {
    let mut batch = TokenBatch::new();
    for text in texts {
        let number = |word: &str| word.strip_prefix('w').and_then(|number| number.parse().ok());
        let ids: Option<Vec<u32>> = text.split_whitespace().map(number).collect();
        let ids = ids.ok_or_else(|| std::io::Error::other(format!("no word of ours in {text:?}")))?;
        batch.push(&ids, &vec![0; ids.len()]);
    }
    Ok(batch)
}

/// An observer that records events, and stops or fails on request.
#[derive(Default)]
pub(crate) struct Notebook {
    pub(crate) events: Vec<String>,
    pub(crate) micro_steps: u64,
    pub(crate) evaluations: Vec<(u64, f64)>,
    pub(crate) restored: Option<u64>,
    pub(crate) unusable: Vec<String>,
    /// Stops after this number of micro-batches of this call.
    pub(crate) stop_after: Option<u64>,
    /// Values of the evaluations in order; later evaluations return a function of the parameters.
    pub(crate) scores: Vec<f64>,
    pub(crate) fail_evaluation: bool,
    /// Stops during this evaluation, from 1.
    pub(crate) stop_in_evaluation: Option<usize>,
    pub(crate) fail_save: bool,
    /// Sleeps after each micro-batch.
    pub(crate) slow_ms: u64,
}

impl Observer<Toy> for Notebook {
    fn evaluate(&mut self, model: &Toy, step: u64, epoch: f64) -> Result<Vec<(String, f64)>, Failure> {
        if self.fail_evaluation {
            return Err("the dev set is gone".into());
        }
        self.evaluations.push((step, epoch));
        if self.stop_in_evaluation == Some(self.evaluations.len()) {
            return Err("stopped".into());
        }
        let scores = &self.scores;
        let score = scores.get(self.evaluations.len() - 1).copied();
        let score = score.unwrap_or_else(|| model.parameters().iter().map(|x| f64::from(*x)).sum());
        Ok(vec![("dim_8_score".into(), score), ("dim_8_loss".into(), score)])
    }

    fn save_model(&mut self, model: &Toy, folder: &Path) -> Result<(), Failure> {
        if self.fail_save {
            return Err("no space left on device".into());
        }
        std::fs::create_dir_all(folder.join("1_Pooling"))?;
        std::fs::write(folder.join("1_Pooling/config.json"), "{}")?;
        std::fs::write(folder.join("model.bits"), format!("{:?}", &model.bits()[..4]))?;
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        match event {
            Event::Progress(_) => {
                self.micro_steps += 1;
                std::thread::sleep(std::time::Duration::from_millis(self.slow_ms));
            }
            Event::Saved { checkpoint } => self.events.push(format!("saved {}", name(checkpoint))),
            Event::Removed { checkpoint } => self.events.push(format!("removed {}", name(checkpoint))),
            Event::Resumed { checkpoint, .. } => self.events.push(format!("resumed {}", name(checkpoint))),
            Event::Unusable { checkpoint, reason } => self.unusable.push(format!("{}: {reason}", name(checkpoint))),
            Event::LeftOut { epoch, batches } => self.events.push(format!("left out {batches} in epoch {epoch}")),
            Event::Restored { step } => self.restored = Some(*step),
            _ => {}
        }
    }

    fn stop_requested(&self) -> bool {
        let stopped = self.stop_in_evaluation.is_some_and(|number| self.evaluations.len() >= number);
        stopped || self.stop_after.is_some_and(|after| self.micro_steps >= after)
    }
}

/// Returns in-batch negatives under Matryoshka with drawn dimensions, so that all random choices
/// take part.
pub(crate) fn loss() -> Box<dyn Loss> {
    let arguments = LossArguments {
        matryoshka_dims: Some(vec![8, 4, 2]),
        n_dims_per_step: Some(2),
        ..LossArguments::new(LossName::MultipleNegativesRanking)
    };
    arguments.build(DIMENSION, 42).unwrap()
}

pub(crate) fn arguments(reproduce: Option<Version>) -> Arguments {
    Arguments {
        epochs: 3.0,
        batch_size: 4,
        gradient_accumulation_steps: 3,
        learning_rate: 0.02,
        weight_decay: 0.01,
        warmup_ratio: 0.2,
        schedule: maana_train::Schedule::Cosine,
        batch_sampler: BatchSampler::NoDuplicates,
        evaluate: maana_train::Evaluate::Epoch,
        log_every: 2.into(),
        reproduce,
        ..Arguments::default()
    }
}

/// Calls `train` on 30 pairs.
pub(crate) fn run(
    model: &mut Toy,
    notebook: &mut Notebook,
    arguments: &Arguments,
    folder: Option<&Path>,
    resume: bool,
) -> Result<Outcome, TrainError> {
    run_on(&Table::pairs(30), model, notebook, arguments, folder, resume)
}

pub(crate) fn run_on(
    source: &Table,
    model: &mut Toy,
    notebook: &mut Notebook,
    arguments: &Arguments,
    folder: Option<&Path>,
    resume: bool,
) -> Result<Outcome, TrainError> {
    let (context, loss) = (Context::new(1), loss());
    let sets = &[TrainingSet::new(source, loss.as_ref())];
    Run { folder, resume, ..Run::new(&context, sets, tokenize, arguments) }.train(model, notebook)
}

/// Returns the rows of the log without times.
pub(crate) fn timeless(rows: &[LogRow]) -> Vec<String> {
    let row = |row: &LogRow| match row {
        LogRow::Training { step, epoch, loss, learning_rate, gradient_norm, .. } => {
            format!("{step} {epoch} {loss} {learning_rate} {gradient_norm}")
        }
        LogRow::Evaluation { step, epoch, scores, .. } => format!("{step} {epoch} {scores:?}"),
    };
    rows.iter().map(row).collect()
}

/// Returns the sorted names of the entries of a folder.
pub(crate) fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
