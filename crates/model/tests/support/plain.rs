//! The encoder in plain f64, one text at a time, straight from the papers: the twin of the whole
//! model.

use maana_kernels::Activation;
use maana_model::{Architecture, EncoderConfig, Tensor, Trainable, TrainingModel};
use std::collections::HashMap;

/// Pooling of token embeddings.
#[derive(Clone, Copy)]
pub enum PlainPooling {
    Cls,
    Mean,
}

pub struct Plain {
    pub(super) config: EncoderConfig,
    tensors: HashMap<String, Tensor>,
    pub parameters: Vec<f64>,
    pooling: PlainPooling,
}

impl Plain {
    pub fn of(model: &TrainingModel, pooling: PlainPooling) -> Self {
        let tensors = model.tensors().iter().map(|tensor| (tensor.name.clone(), tensor.clone())).collect();
        let parameters = model.parameters().iter().map(|value| f64::from(*value)).collect();
        Self { config: model.spec().config().clone(), tensors, parameters, pooling }
    }

    pub(super) fn get(&self, name: &str) -> &[f64] {
        let tensor = self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}"));
        &self.parameters[tensor.range.clone()]
    }

    /// The bias of a layer or norm with `width` columns; zeros if it has none.
    fn bias(&self, name: &str, width: usize) -> Vec<f64> {
        let name = format!("{name}.bias");
        if self.tensors.contains_key(&name) { self.get(&name).to_vec() } else { vec![0.0; width] }
    }

    pub(super) fn linear(&self, name: &str, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (weight, inputs) = (self.get(&format!("{name}.weight")), x[0].len());
        let bias = self.bias(name, weight.len() / inputs);
        x.iter()
            .map(|row| {
                let output = |out: usize| {
                    let weights = &weight[out * inputs..(out + 1) * inputs];
                    bias[out] + weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>()
                };
                (0..bias.len()).map(output).collect()
            })
            .collect()
    }

    pub(super) fn norm(&self, name: &str, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let gamma = self.get(&format!("{name}.weight"));
        let beta = self.bias(name, gamma.len());
        x.iter()
            .map(|row| {
                let n = row.len() as f64;
                let mean = row.iter().sum::<f64>() / n;
                let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
                let scale = 1.0 / (variance + f64::from(self.config.layer_norm_epsilon)).sqrt();
                row.iter().zip(gamma.iter().zip(&beta)).map(|(x, (g, b))| (x - mean) * scale * g + b).collect()
            })
            .collect()
    }

    /// The unit-length embedding of one text.
    pub fn embed(&self, ids: &[u32]) -> Vec<f64> {
        let x = match self.config.architecture {
            Architecture::ModernBert => self.modern_bert(ids),
            _ => self.bert(ids),
        };
        let mut pooled = x[0].clone();
        if let PlainPooling::Mean = self.pooling {
            x[1..].iter().for_each(|row| add(&mut pooled, row));
            pooled.iter_mut().for_each(|value| *value /= x.len() as f64);
        }
        let length = pooled.iter().map(|value| value * value).sum::<f64>().sqrt();
        pooled.iter().map(|value| value / length).collect()
    }

    /// The token embeddings of BERT and its relatives.
    fn bert(&self, ids: &[u32]) -> Vec<Vec<f64>> {
        let config = &self.config;
        let (h, heads, width) = (config.hidden, config.heads, config.head_dim());
        let distil = config.architecture == Architecture::DistilBert;
        let mpnet = config.architecture == Architecture::MpNet;
        let row = |table: &str, index: usize| self.get(table)[index * h..(index + 1) * h].to_vec();
        let mut x: Vec<Vec<f64>> = ids
            .iter()
            .enumerate()
            .map(|(place, id)| {
                let mut sum = row("embeddings.word_embeddings.weight", *id as usize);
                add(&mut sum, &row("embeddings.position_embeddings.weight", config.first_position + place));
                if config.segments > 0 {
                    add(&mut sum, &row("embeddings.token_type_embeddings.weight", 0));
                }
                sum
            })
            .collect();
        x = self.norm("embeddings.LayerNorm", &x);
        for layer in 0..config.layers {
            let name = |bert: &str, other: &str| {
                if mpnet {
                    // MPNet's names where they are not BERT's.
                    let part = bert.replace("self.query", "attn.q").replace("self.key", "attn.k");
                    let part =
                        part.replace("self.value", "attn.v").replace("attention.output.dense", "attention.attn.o");
                    format!(
                        "encoder.layer.{layer}.{}",
                        part.replace("attention.output.LayerNorm", "attention.LayerNorm")
                    )
                } else if distil {
                    format!("transformer.layer.{layer}.{other}")
                } else {
                    format!("encoder.layer.{layer}.{bert}")
                }
            };
            let q = self.linear(&name("attention.self.query", "attention.q_lin"), &x);
            let k = self.linear(&name("attention.self.key", "attention.k_lin"), &x);
            let v = self.linear(&name("attention.self.value", "attention.v_lin"), &x);
            let mut attended = vec![vec![0.0; h]; x.len()];
            for head in 0..heads {
                let columns = head * width..(head + 1) * width;
                for (row, q) in q.iter().enumerate() {
                    let q = &q[columns.clone()];
                    let score = |(key, k): (usize, &Vec<f64>)| {
                        let k = &k[columns.clone()];
                        let bias = if mpnet {
                            let bucket = relative_bucket(key as i64 - row as i64);
                            self.get("encoder.relative_attention_bias.weight")[bucket * heads + head]
                        } else {
                            0.0
                        };
                        (q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>() / (width as f64).sqrt() + bias).exp()
                    };
                    let weights: Vec<f64> = k.iter().enumerate().map(score).collect();
                    let total: f64 = weights.iter().sum();
                    for (weight, v) in weights.iter().zip(&v) {
                        for column in columns.clone() {
                            attended[row][column] += weight / total * v[column];
                        }
                    }
                }
            }
            let mut sum = self.linear(&name("attention.output.dense", "attention.out_lin"), &attended);
            sum.iter_mut().zip(&x).for_each(|(sum, x)| add(sum, x));
            let y = self.norm(&name("attention.output.LayerNorm", "sa_layer_norm"), &sum);
            let mut u = self.linear(&name("intermediate.dense", "ffn.lin1"), &y);
            u.iter_mut().flatten().for_each(|u| *u = activated(config.activation, *u));
            let mut sum = self.linear(&name("output.dense", "ffn.lin2"), &u);
            sum.iter_mut().zip(&y).for_each(|(sum, y)| add(sum, y));
            x = self.norm(&name("output.LayerNorm", "output_layer_norm"), &sum);
        }
        x
    }
}

/// Bucket of a distance key − query, with the logarithm of the paper.
fn relative_bucket(distance: i64) -> usize {
    let direction = if distance > 0 { 16 } else { 0 };
    let distance = distance.unsigned_abs() as f64;
    if distance < 8.0 {
        return direction + distance as usize;
    }
    direction + (8 + ((distance / 8.0).ln() / 16f64.ln() * 8.0 + 1e-9) as usize).min(15)
}

pub(super) fn add(sum: &mut [f64], other: &[f64]) {
    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
}

pub(super) fn activated(activation: Activation, u: f64) -> f64 {
    let sigmoid = |u: f64| 1.0 / (1.0 + (-u).exp());
    match activation {
        Activation::Identity => u,
        Activation::Gelu => 0.5 * u * (1.0 + erf(u / std::f64::consts::SQRT_2)),
        Activation::GeluTanh => {
            0.5 * u * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (u + 0.044_715 * u * u * u)).tanh())
        }
        Activation::Relu => u.max(0.0),
        Activation::Silu => u * sigmoid(u),
        Activation::Tanh => u.tanh(),
        Activation::Sigmoid => sigmoid(u),
    }
}

/// erf by its series below 3 and by its continued fraction above: to 1e-15.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    let value = if a < 3.0 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let mut fraction = 0.0;
        for n in (1..60).rev() {
            fraction = f64::from(n) / 2.0 / (a + fraction);
        }
        1.0 - (-a * a).exp() / ((a + fraction) * std::f64::consts::PI.sqrt())
    };
    value.copysign(x)
}
