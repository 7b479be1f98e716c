//! The arithmetic: slices in, slices out, all f32, rows packed one behind the other. Knows no model, no token, no file.
//! Every result is the same bits for any number of threads and any company of rows: see `matmul` and `parallel`.
//! Letters: `m`, `n`, `k` of a product `(m, k) · (k, n)`; `t` tokens.

mod activation;
mod adamw;
mod attention;
mod bf16;
mod codes;
mod dispatch;
mod distance;
mod dropout;
mod elementwise;
mod embedding;
mod fused;
mod gelu;
mod lanes;
mod layer_norm;
mod matmul;
mod matrix;
mod memory;
mod normalize;
mod parallel;
mod pooling;
mod top_k;

pub use activation::Activation;
pub use adamw::{AdamW, adamw, sum_of_squares};
pub use attention::{Attention, attention, attention_backward};
pub use bf16::{narrow, round_to_bf16, widen};
pub use codes::{different_bits, dot_all_codes, dot_codes, weights_of_codes};
pub use dispatch::{Isa, isa};
pub use distance::{dot, manhattan, squared_distance};
pub use dropout::{Dropout, dropout};
pub use elementwise::{add, add_bias, scale, sum_columns};
pub use embedding::{embedding_gather, embedding_scatter};
pub use layer_norm::{layer_norm, layer_norm_again, layer_norm_backward};
pub use matmul::{After, PackedMatrix, Precision, limit, linear, matmul, matmul_transposed, matmul_weight_gradient};
pub use matrix::{Matrix, Rows};
pub use memory::prefetch;
pub use normalize::{normalize, normalize_backward};
pub use parallel::Context;
pub use pooling::{PoolingMode, pooled_tokens, pooling, pooling_backward};
pub use top_k::{TopK, top_k};

#[cfg(test)]
mod testing;
