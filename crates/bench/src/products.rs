//! Speed of products, attention and encoding.

use crate::timing::{median_seconds, numbers};
use maana::kernels::{Attention, Context, Epilogue, PackedMatrix, Precision, Rows};
use maana::model::{ModelError, TextEncoder};

/// Shape of a product in a model: tokens × inputs × outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductShape {
    /// The model.
    pub model: &'static str,
    /// The part of the model.
    pub part: &'static str,
    /// Columns of the left operand.
    pub k: usize,
    /// Columns of the result.
    pub n: usize,
}

/// The products of all-MiniLM-L6-v2 and of bge-base.
pub const PRODUCT_SHAPES: [ProductShape; 8] = [
    ProductShape { model: "MiniLM", part: "query, key, value", k: 384, n: 1152 },
    ProductShape { model: "MiniLM", part: "attention output", k: 384, n: 384 },
    ProductShape { model: "MiniLM", part: "up", k: 384, n: 1536 },
    ProductShape { model: "MiniLM", part: "down", k: 1536, n: 384 },
    ProductShape { model: "bge-base", part: "query, key, value", k: 768, n: 2304 },
    ProductShape { model: "bge-base", part: "attention output", k: 768, n: 768 },
    ProductShape { model: "bge-base", part: "up", k: 768, n: 3072 },
    ProductShape { model: "bge-base", part: "down", k: 3072, n: 768 },
];

/// Measures the operations per second of a product with `tokens` rows.
pub fn product(context: &Context, precision: Precision, shape: ProductShape, tokens: usize) -> f64 {
    let (k, n) = (shape.k, shape.n);
    let a = numbers(tokens * k, 1);
    let w = numbers(n * k, 2);
    let packed = PackedMatrix::pack_transposed(context, precision, Rows::new(&w, n, k, k));
    let mut c = vec![0.0; tokens * n];
    let seconds = median_seconds(|| {
        maana::kernels::linear(context, Rows::new(&a, tokens, k, k), &packed, None, Epilogue::None, &mut c);
    });
    2.0 * (tokens * k * n) as f64 / seconds
}

/// Measures the operations per second of a weight gradient over `tokens` tokens.
pub fn weight_gradient(context: &Context, precision: Precision, shape: ProductShape, tokens: usize) -> f64 {
    let (k, n) = (shape.k, shape.n);
    let (x, d_y) = (numbers(tokens * k, 1), numbers(tokens * n, 2));
    let mut gradient = vec![0.0; n * k];
    let (x, d_y) = (Rows::new(&x, tokens, k, k), Rows::new(&d_y, tokens, n, n));
    let seconds = median_seconds(|| maana::kernels::matmul_weight_gradient(context, precision, d_y, x, &mut gradient));
    2.0 * (tokens * k * n) as f64 / seconds
}

/// Measures the seconds of attention, forward and with backward, for `tokens` tokens in sequences
/// of one length, with `heads` heads of 64 columns.
pub fn attention(context: &Context, length: usize, tokens: usize, heads: usize) -> (f64, f64) {
    attention_of(context, (tokens / length).max(1), length, heads, 64)
}

/// As [`attention`], for any number of sequences and size of heads.
pub(crate) fn attention_of(
    context: &Context,
    sequences: usize,
    length: usize,
    heads: usize,
    head_dim: usize,
) -> (f64, f64) {
    let (tokens, width, scale) = (sequences * length, heads * head_dim, 1.0 / (head_dim as f32).sqrt());
    let offsets: Vec<usize> = (0..=sequences).map(|sequence| sequence * length).collect();
    let qkv = numbers(tokens * 3 * width, 3);
    let d_attended = numbers(tokens * width, 4);
    let (mut attended, mut lse) = (vec![0.0; tokens * width], vec![0.0; tokens * heads]);
    let mut d_qkv = vec![0.0; tokens * 3 * width];
    let of = Attention {
        offsets: &offsets,
        heads,
        head_dim,
        scale,
        position_bias: None,
        window: None,
        queries: None,
        dropout: None,
    };
    let forward = median_seconds(|| maana::kernels::attention(context, of, &qkv, &mut attended, Some(&mut lse)));
    let backward = median_seconds(|| {
        maana::kernels::attention_backward(context, of, &qkv, &attended, &lse, &d_attended, &mut d_qkv, &mut []);
    });
    (forward, forward + backward)
}

/// Measures the tokens per second of encoding the texts, and the seconds of encoding only the first
/// one.
///
/// # Errors
/// If a text cannot be tokenised.
pub fn encoding(encoder: &TextEncoder, texts: &[&str]) -> Result<(f64, f64), ModelError> {
    let tokens = encoder.spec().tokenize(texts)?.tokens();
    encoder.embed(texts, "")?;
    let many = median_seconds(|| {
        encoder.embed(texts, "").expect("the texts were embedded before");
    });
    let one = median_seconds(|| {
        encoder.embed(&texts[..1], "").expect("the text was embedded before");
    });
    Ok((tokens as f64 / many, one))
}
