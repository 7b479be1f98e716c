//! Costs of encoding and training by part of the work, and their growth. Each part is timed
//! separately with the shapes of the model; the rest is the difference to the whole.

use crate::products::attention_of;
use crate::timing::{median_seconds, numbers};
use maana::chart::{Chart, Paint, Series};
use maana::kernels::{Activation, AdamW, Context, Dropout, Epilogue, PackedMatrix, Precision, Rows};
use maana::model::{DropoutSeed, EncoderConfig, Trainable, TrainingModel};
use maana::text::TokenBatch;

/// Time of one part of the work.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Name of the part.
    pub name: &'static str,
    /// Seconds in encoding.
    pub encoding: f64,
    /// Seconds in a training step, including backward and update.
    pub training: f64,
}

/// Measures the parts of the work, and at the end the whole, for `sequences` sequences of `length`
/// tokens.
pub fn parts(model: &mut TrainingModel, context: &Context, sequences: usize, length: usize) -> Vec<Part> {
    let config = &model.spec().config().clone();
    let (precision, t) = (model.precision(), sequences * length);
    let layers = config.layers as f64;
    let part =
        |name, encoding: f64, training: f64| Part { name, encoding: layers * encoding, training: layers * training };
    let (forward, backward) = products(context, precision, config, t);
    let (attention, attention_both) = attention_of(context, sequences, length, config.heads, config.head_dim());
    let norm = layer_norm(context, config, t);
    let gelu = gelu(context, t * config.intermediate);
    let mut parts = vec![
        part("products with bias, GELU and residual", forward, forward + backward),
        part("attention", attention, attention_both),
        part("LayerNorm", 2.0 * norm.0, 2.0 * (norm.0 + norm.1)),
        part("GELU outside of products", 0.0, 2.0 * gelu.0 + gelu.1),
        part("dropout and residual", 0.0, 4.0 * dropout(context, config, t)),
    ];
    let (optimizer, packing) = update(context, model);
    parts.push(Part { name: "AdamW", encoding: 0.0, training: optimizer });
    parts.push(Part { name: "packing weights, layer by layer", encoding: packing, training: packing });
    let (encoding, training) = whole(model, context, sequences, length);
    let training = training + optimizer;
    let known = |seconds: fn(&Part) -> f64| parts.iter().map(seconds).sum::<f64>();
    let rest = (encoding - known(|part| part.encoding), training - known(|part| part.training));
    parts.push(Part { name: "the rest", encoding: rest.0, training: rest.1 });
    parts.push(Part { name: "all", encoding, training });
    parts
}

/// Measures the four products of a layer, forward, and backward with packing.
fn products(context: &Context, precision: Precision, config: &EncoderConfig, t: usize) -> (f64, f64) {
    let (h, i) = (config.hidden, config.intermediate);
    let (mut forward, mut backward) = (0.0, 0.0);
    for (k, n, after) in [(h, 3 * h, 0), (h, h, 1), (h, up_columns(config), 2), (i, h, 1)] {
        let (x, w, d_y) = (numbers(t * k, 1), numbers(n * k, 2), numbers(t * n, 3));
        let (bias, residual) = (numbers(n, 4), numbers(t * n, 5));
        let packed = PackedMatrix::pack_transposed(context, precision, Rows::new(&w, n, k, k));
        let (mut y, mut d_x, mut d_w) = (vec![0.0; t * n], vec![0.0; t * k], vec![0.0; n * k]);
        let (x, w, d_y) = (Rows::new(&x, t, k, k), Rows::new(&w, n, k, k), Rows::new(&d_y, t, n, n));
        forward += median_seconds(|| {
            let after = match after {
                0 => Epilogue::None,
                1 => Epilogue::Add(&residual),
                _ => Epilogue::Activation(Activation::Gelu),
            };
            maana::kernels::linear(context, x, &packed, Some(&bias), after, &mut y);
        });
        if precision != Precision::Int8 {
            backward += median_seconds(|| {
                maana::kernels::matmul_weight_gradient(context, precision, d_y, x, &mut d_w);
                maana::kernels::matmul(context, precision, d_y, w, &mut d_x, false);
            });
        }
    }
    (forward, backward)
}

/// Columns of the first product of the feed-forward part.
fn up_columns(config: &EncoderConfig) -> usize {
    if config.modern_bert.is_some() { 2 * config.intermediate } else { config.intermediate }
}

/// Measures LayerNorm forward, and backward with recomputation.
fn layer_norm(context: &Context, config: &EncoderConfig, t: usize) -> (f64, f64) {
    let h = config.hidden;
    let (x, d_y, gamma, beta) = (numbers(t * h, 1), numbers(t * h, 2), numbers(h, 3), numbers(h, 4));
    let (mut y, mut d_x, mut statistics) = (vec![0.0; t * h], vec![0.0; t * h], vec![0.0; 2 * t]);
    let (mut d_gamma, mut d_beta) = (vec![0.0; h], vec![0.0; h]);
    let forward = median_seconds(|| {
        maana::kernels::layer_norm(context, &x, &gamma, Some(&beta), 1e-12, &mut y, &mut statistics);
    });
    let backward = median_seconds(|| {
        maana::kernels::layer_norm_recompute(context, &x, &gamma, Some(&beta), &statistics, &mut y);
        maana::kernels::layer_norm_backward(
            context,
            &x,
            &gamma,
            &statistics,
            &d_y,
            &mut d_x,
            Some((&mut d_gamma, Some(&mut d_beta))),
        );
    });
    (forward, backward)
}

fn gelu(context: &Context, elements: usize) -> (f64, f64) {
    let (x, mut d) = (numbers(elements, 1), numbers(elements, 2));
    let mut y = vec![0.0; elements];
    let forward = median_seconds(|| Activation::Gelu.forward(context, &x, &mut y));
    (forward, median_seconds(|| Activation::Gelu.backward(context, &x, &mut d)))
}

/// Measures one dropout with the following addition.
fn dropout(context: &Context, config: &EncoderConfig, t: usize) -> f64 {
    let mut x = numbers(t * config.hidden, 1);
    let residual = numbers(t * config.hidden, 2);
    let dropout = Dropout { probability: 0.1, seed: 1, pass: 0, site: 0, first_row: 0 };
    median_seconds(|| {
        maana::kernels::dropout(context, &mut x, config.hidden, &dropout);
        maana::kernels::add(context, &mut x, &residual);
    })
}

/// Measures AdamW over all parameters, and packing the weights, as every pass of a training model
/// does.
fn update(context: &Context, model: &TrainingModel) -> (f64, f64) {
    let mut parameters = model.parameters().to_vec();
    let gradients = numbers(parameters.len(), 1);
    let (mut first, mut second) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
    let settings = AdamW { learning_rate: 2e-5, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, step: 1 };
    let optimizer = median_seconds(|| {
        maana::kernels::adamw(context, &mut parameters, &gradients, &mut first, &mut second, &settings);
    });
    let (h, i) = (model.spec().config().hidden, model.spec().config().intermediate);
    let mut packing = 0.0;
    for (k, n) in [(h, 3 * h), (h, h), (h, up_columns(model.spec().config())), (i, h)] {
        let w = numbers(n * k, 1);
        let w = Rows::new(&w, n, k, k);
        let mut packed = PackedMatrix::pack_transposed(context, model.precision(), w);
        packing += median_seconds(|| packed.repack_transposed(context, w));
    }
    (optimizer, packing * model.spec().config().layers as f64)
}

/// Measures encoding, and forward and backward without the update.
fn whole(model: &mut TrainingModel, context: &Context, sequences: usize, length: usize) -> (f64, f64) {
    let vocabulary = model.spec().config().vocabulary;
    let (batch, precision) = (batch(vocabulary, sequences, length), model.precision());
    let mut keep = Default::default();
    let inference = model.inference();
    let encoding = median_seconds(|| {
        inference.embed(context, &batch, &mut keep);
    });
    let mut keep = Default::default();
    let noise = DropoutSeed::On { seed: 1, pass: 0, first_token: 0, first_sequence: 0 };
    let mut step = || {
        let embeddings = model.forward(context, &batch, noise, &mut keep);
        model.backward(context, &batch, noise, &mut keep, embeddings.view());
    };
    let training = if precision == Precision::Int8 { 0.0 } else { median_seconds(&mut step) };
    (encoding, training)
}

/// Returns sequences of one length with arbitrary tokens.
pub(crate) fn batch(vocabulary: usize, sequences: usize, length: usize) -> TokenBatch {
    let ids = |sequence: usize| (0..length).map(move |token| ((sequence * 7919 + token * 104_729) % vocabulary) as u32);
    TokenBatch {
        ids: (0..sequences).flat_map(ids).collect(),
        type_ids: vec![0; sequences * length],
        offsets: (0..=sequences).map(|sequence| sequence * length).collect(),
        prompt_lengths: Vec::new(),
    }
}

/// Growth of the cost of encoding and training with one quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// The quantity.
    pub with: &'static str,
    /// Its values, with the microseconds per token of encoding and of a training step.
    pub points: Vec<(f64, f64, f64)>,
}

/// Measures the cost per token by the length of texts with 2,048 tokens, by the number of texts
/// with 32 tokens, and by threads.
pub fn growth(model: &mut TrainingModel, threads: usize) -> Vec<Growth> {
    const TOKENS: usize = 2048;
    let all = Context::new(threads);
    let longest = model.spec().config().longest();
    let mut measure = |context: &Context, sequences: usize, length: usize| {
        let (encoding, training) = whole(model, context, sequences, length);
        let micros = 1e6 / (sequences * length) as f64;
        (micros * encoding, micros * training)
    };
    let point = |x: usize, (encoding, training): (f64, f64)| (x as f64, encoding, training);
    let lengths = [8, 16, 32, 64, 128, 256, 512];
    let lengths = lengths.into_iter().filter(|length| *length <= longest);
    let batches = [1, 2, 4, 8, 16, 32, 64, 128];
    vec![
        Growth {
            with: "tokens of a text",
            points: lengths.map(|length| point(length, measure(&all, TOKENS / length, length))).collect(),
        },
        Growth {
            with: "texts of a batch, 32 tokens each",
            points: batches.map(|sequences| point(sequences, measure(&all, sequences, 32))).to_vec(),
        },
        Growth {
            with: "threads",
            points: (1..=threads).map(|count| point(count, measure(&Context::new(count), TOKENS / 32, 32))).collect(),
        },
    ]
}

impl Growth {
    /// Draws the growth.
    pub fn chart(&self) -> String {
        let names = self.points.iter().map(|(x, ..)| format!("{x:.0}")).collect();
        let line = |name: &str, y: fn(&(f64, f64, f64)) -> f64| Series {
            name: name.into(),
            points: self.points.iter().enumerate().map(|(index, point)| (index as f64, y(point))).collect(),
            labelled: false,
        };
        let chart = Chart {
            id: self.with.split(' ').next().unwrap_or("growth").into(),
            title: format!("Microseconds per token by {}", self.with),
            description: format!("Time of encoding and of a training step per token by {}", self.with),
            x_label: self.with.into(),
            y_label: "µs per token".into(),
            x_names: Some(names),
            from_zero: true,
            series: vec![line("encoding", |point| point.1), line("training step", |point| point.2)],
        };
        chart.lines(Paint::White)
    }
}
