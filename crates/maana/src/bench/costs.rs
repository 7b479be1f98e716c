//! What encoding and training cost: by part of the work, and how the cost grows. A part is timed alone, at the shapes that it has
//! in the model, and set against the whole; what is left over has not been timed by itself.

use super::{attention_of, median_seconds, numbers};
use crate::report::chart::{Chart, Paint, Series};
use maana_kernels::{Activation, AdamW, Context, Dropout, Epilogue, PackedMatrix, Precision, Rows};
use maana_model::{EncoderConfig, Noise, SentenceModel, Trainable};
use maana_text::TokenBatch;

/// Seconds of one part of the work.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What is computed.
    pub name: &'static str,
    /// Seconds in encoding.
    pub encoding: f64,
    /// Seconds in a training step, backward and update included.
    pub training: f64,
}

/// The parts of the work, and last the whole, for `sequences` sequences of `length` tokens.
pub fn parts(model: &SentenceModel, context: &Context, sequences: usize, length: usize) -> Vec<Part> {
    let config = model.config();
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
        part("GELU, where it is not part of a product", 0.0, 2.0 * gelu.0 + gelu.1),
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

/// The four products of a layer, forward, and backward with the packing that they need.
fn products(context: &Context, precision: Precision, config: &EncoderConfig, t: usize) -> (f64, f64) {
    let (h, i) = (config.hidden, config.intermediate);
    let (mut forward, mut backward) = (0.0, 0.0);
    for (k, n, after) in [(h, 3 * h, 0), (h, h, 1), (h, i, 2), (i, h, 1)] {
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
            maana_kernels::linear(context, x, &packed, Some(&bias), after, &mut y);
        });
        if precision != Precision::Int8 {
            backward += median_seconds(|| {
                maana_kernels::matmul_weight_gradient(context, precision, d_y, x, &mut d_w);
                maana_kernels::matmul(context, precision, d_y, w, &mut d_x, false);
            });
        }
    }
    (forward, backward)
}

/// Forward, and what backward takes: once again and the gradient.
fn layer_norm(context: &Context, config: &EncoderConfig, t: usize) -> (f64, f64) {
    let h = config.hidden;
    let (x, d_y, gamma, beta) = (numbers(t * h, 1), numbers(t * h, 2), numbers(h, 3), numbers(h, 4));
    let (mut y, mut d_x, mut statistics) = (vec![0.0; t * h], vec![0.0; t * h], vec![0.0; 2 * t]);
    let (mut d_gamma, mut d_beta) = (vec![0.0; h], vec![0.0; h]);
    let forward = median_seconds(|| {
        maana_kernels::layer_norm(context, &x, &gamma, &beta, 1e-12, &mut y, &mut statistics);
    });
    let backward = median_seconds(|| {
        maana_kernels::layer_norm_recompute(context, &x, &gamma, &beta, &statistics, &mut y);
        maana_kernels::layer_norm_backward(context, &x, &gamma, &statistics, &d_y, &mut d_x, &mut d_gamma, &mut d_beta);
    });
    (forward, backward)
}

fn gelu(context: &Context, elements: usize) -> (f64, f64) {
    let (x, mut d) = (numbers(elements, 1), numbers(elements, 2));
    let mut y = vec![0.0; elements];
    let forward = median_seconds(|| Activation::Gelu.forward(context, &x, &mut y));
    (forward, median_seconds(|| Activation::Gelu.backward(context, &x, &mut d)))
}

/// One place of dropout with the addition behind it.
fn dropout(context: &Context, config: &EncoderConfig, t: usize) -> f64 {
    let mut x = numbers(t * config.hidden, 1);
    let residual = numbers(t * config.hidden, 2);
    let dropout = Dropout { probability: 0.1, seed: 1, pass: 0, site: 0, first_row: 0 };
    median_seconds(|| {
        maana_kernels::dropout(context, &mut x, config.hidden, &dropout);
        maana_kernels::add(context, &mut x, &residual);
    })
}

/// AdamW over all parameters, and packing the products' weights, as every pass of a model does that was opened to learn.
fn update(context: &Context, model: &SentenceModel) -> (f64, f64) {
    let mut parameters = model.parameters().to_vec();
    let gradients = numbers(parameters.len(), 1);
    let (mut first, mut second) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
    let settings = AdamW { learning_rate: 2e-5, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, step: 1 };
    let optimizer = median_seconds(|| {
        maana_kernels::adamw(context, &mut parameters, &gradients, &mut first, &mut second, &settings);
    });
    let (h, i) = (model.config().hidden, model.config().intermediate);
    let mut packing = 0.0;
    for (k, n) in [(h, 3 * h), (h, h), (h, i), (i, h)] {
        let w = numbers(n * k, 1);
        let w = Rows::new(&w, n, k, k);
        let mut packed = PackedMatrix::pack_transposed(context, model.precision(), w);
        packing += median_seconds(|| packed.repack_transposed(context, w));
    }
    (optimizer, packing * model.config().layers as f64)
}

/// Encoding, and forward and backward without the update.
fn whole(model: &SentenceModel, context: &Context, sequences: usize, length: usize) -> (f64, f64) {
    let batch = batch(model, sequences, length);
    let mut keep = Default::default();
    let encoding = median_seconds(|| {
        model.infer(context, &batch, 0, &mut keep);
    });
    let mut gradients = vec![0.0; model.parameters().len()];
    let noise = Noise::On { seed: 1, pass: 0, first_token: 0 };
    let mut step = || {
        let embeddings = model.forward(context, &batch, noise, &mut keep);
        model.backward(context, &batch, noise, &mut keep, embeddings.view(), &mut gradients);
    };
    let training = if model.precision() == Precision::Int8 { 0.0 } else { median_seconds(&mut step) };
    (encoding, training)
}

/// Sequences of one length, of any tokens.
fn batch(model: &SentenceModel, sequences: usize, length: usize) -> TokenBatch {
    let vocabulary = model.config().vocabulary;
    let ids = |sequence: usize| (0..length).map(move |token| ((sequence * 7919 + token * 104_729) % vocabulary) as u32);
    TokenBatch {
        ids: (0..sequences).flat_map(ids).collect(),
        type_ids: vec![0; sequences * length],
        offsets: (0..=sequences).map(|sequence| sequence * length).collect(),
    }
}

/// How the cost of encoding and of a training step grows with one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// What grows.
    pub with: &'static str,
    /// Its values, with the microseconds a token of encoding and of a training step.
    pub points: Vec<(f64, f64, f64)>,
}

/// The cost a token by the length of texts at 2,048 tokens, by the tokens of a batch at 32 a text, and by threads at both.
pub fn growth(model: &SentenceModel, threads: usize) -> Vec<Growth> {
    const TOKENS: usize = 2048;
    let all = Context::new(threads);
    let measure = |context: &Context, sequences: usize, length: usize| {
        let (encoding, training) = whole(model, context, sequences, length);
        let micros = 1e6 / (sequences * length) as f64;
        (micros * encoding, micros * training)
    };
    let point = |x: usize, (encoding, training): (f64, f64)| (x as f64, encoding, training);
    let lengths = [8, 16, 32, 64, 128, 256, 512];
    let lengths = lengths.into_iter().filter(|length| *length <= model.config().longest());
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
    /// The growth as a chart of its own.
    pub fn chart(&self) -> String {
        let names = self.points.iter().map(|(x, ..)| format!("{x:.0}")).collect();
        let line = |name: &str, y: fn(&(f64, f64, f64)) -> f64| Series {
            name: name.into(),
            points: self.points.iter().enumerate().map(|(place, point)| (place as f64, y(point))).collect(),
            labelled: false,
        };
        let chart = Chart {
            id: self.with.split(' ').next().unwrap_or("growth").into(),
            title: format!("Microseconds a token, by {}", self.with),
            description: format!("Time of encoding and of a training step for each token, by {}", self.with),
            x_label: self.with.into(),
            y_label: "µs a token".into(),
            x_names: Some(names),
            from_zero: true,
            series: vec![line("encoding", |point| point.1), line("training step", |point| point.2)],
        };
        chart.lines(Paint::White)
    }
}
