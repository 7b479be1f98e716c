//! Arithmetic on slices of f32: products, attention, normalization, pooling, dropout, optimizer.
//! Knows no model, token or file format.
//!
//! Matrices are row-major. Every call takes a [`Context`], which holds the threads. All results
//! have the same bits for any number of threads, and a row has the same bits in any batch;
//! `ARCHITECTURE.md` says which results have the same bits on every instruction set. Letters: `m`,
//! `n`, `k` as in the product `(m, k) · (k, n)`, and `t` for tokens.
//!
//! Mismatched shapes panic.

mod activation;
mod adafactor;
mod adamw;
mod aligned;
mod attention;
mod bag;
mod bf16;
mod codes;
mod context;
mod disjoint;
mod distance;
mod dropout;
mod elementwise;
mod fused;
mod gated;
mod gelu;
mod instruction_set;
mod lanes;
mod layer_norm;
mod matmul;
mod matrix;
mod normalize;
mod pool;
mod pooling;
mod precision;
mod prefetch;
mod rotary;
mod row_scale;
mod rows;
mod scratch;
mod top_k;

pub use activation::Activation;
pub use adafactor::{Adafactor, adafactor_matrix, adafactor_vector};
pub use adamw::{AdamW, adamw, adamw_rows, sum_of_squares};
pub use attention::{Attention, PositionBias, attention, attention_backward, sum_position_bias};
pub use bag::{mean_rows, mean_rows_backward};
pub use bf16::{from_bf16, narrow, round_to_bf16, to_bf16, widen};
pub use codes::{different_bits, dot_all_codes, dot_codes, weights_of_codes};
pub use context::Context;
pub use distance::{dot, manhattan, squared_distance};
pub use dropout::{Dropout, dropout, dropout_rows};
pub use elementwise::{add, add_bias, interpolate, scale, sum_columns};
pub use gated::{gated, gated_backward};
pub use instruction_set::InstructionSet;
pub use layer_norm::{layer_norm, layer_norm_backward, layer_norm_recompute};
pub use matmul::{Epilogue, PackedMatrix, linear, matmul, matmul_transposed, matmul_weight_gradient, peak_rate};
pub use matrix::{Matrix, Rows};
pub use normalize::{normalize, normalize_backward, normalized};
pub use pooling::{PoolingMode, pooled_tokens, pooling, pooling_backward};
pub use precision::Precision;
pub use prefetch::prefetch;
pub use rotary::{RotaryTables, rotary, rotary_backward};
pub use rows::{RowNumber, gather_rows, scatter_add_rows, scatter_rows};
pub use top_k::{TopK, top_k};

#[cfg(test)]
mod testing;
