//! Relative position bias (Raffel et al. 2020, arXiv:1910.10683): a learned number for each head
//! and each bucket of distances, added to the scores of attention. All layers share one table.

use super::Declarations;
use crate::weights::{Gradients, Parameter, Weights};
use maana_kernels::PositionBias;

/// Distances from which on buckets hold several of them.
const EXACT: u32 = 8;
/// Buckets of one direction.
const BUCKETS: u32 = 16;

/// A table of biases and the buckets of all distances.
pub(crate) struct RelativePositionBias {
    /// `(2 · BUCKETS, heads)`
    table: Parameter,
    heads: usize,
    /// Bucket of each distance key − query, from −(longest − 1) to longest − 1.
    buckets: Vec<u32>,
}

impl RelativePositionBias {
    /// Declares the table `name` for texts of at most `longest` tokens.
    pub(crate) fn declare(declarations: &mut Declarations, name: &str, heads: usize, longest: usize) -> Self {
        let table = declarations.parameters.parameter(name, &[2 * BUCKETS as usize, heads]);
        let farthest = longest as i64 - 1;
        Self { table, heads, buckets: (-farthest..=farthest).map(bucket).collect() }
    }

    /// The biases in the form of the attention kernel.
    pub(crate) fn values<'a>(&'a self, weights: &'a dyn Weights) -> PositionBias<'a> {
        PositionBias { table: weights.values(&self.table), buckets: &self.buckets }
    }

    /// Reserves the memory for the gradients of a batch.
    pub(crate) fn reserve(&self, tables: &mut Vec<Vec<f32>>, layers: usize, sequences: usize) {
        tables.resize_with(layers.max(tables.len()), Vec::new);
        let wanted = sequences.saturating_mul(self.table.range.len());
        // Where there is not so much, the first batch asks again.
        tables.iter_mut().for_each(|table| drop(table.try_reserve_exact(wanted.saturating_sub(table.len()))));
    }

    /// Returns memory for the gradients of the next sequences in a layer, `(sequences, heads,
    /// buckets)`.
    pub(crate) fn next_gradients<'a>(
        &self,
        tables: &'a mut Vec<Vec<f32>>,
        layer: usize,
        sequences: usize,
    ) -> &'a mut [f32] {
        tables.resize_with((layer + 1).max(tables.len()), Vec::new);
        let tables = &mut tables[layer];
        let start = tables.len();
        tables.resize(start + sequences * self.table.range.len(), 0.0);
        &mut tables[start..]
    }

    /// Adds the gradients of all sequences to that of the table, layer after layer as backward
    /// visits them. In one order for any division of the batch, they give the same bits.
    pub(crate) fn add_gradients(&self, tables: &mut [Vec<f32>], gradients: &mut Gradients<'_>) {
        for tables in tables.iter_mut().rev() {
            if let Some(d_table) = gradients.of(&self.table.range) {
                maana_kernels::sum_position_bias(tables, self.heads, d_table);
            }
            tables.clear();
        }
    }
}

/// Returns the bucket of a distance key − query: one for each distance below [`EXACT`], then two
/// for each doubling up to 128, and the last for all beyond; keys behind the query have buckets of
/// their own.
fn bucket(distance: i64) -> u32 {
    let direction = if distance > 0 { BUCKETS } else { 0 };
    let distance = distance.unsigned_abs();
    if distance < u64::from(EXACT) {
        return direction + distance as u32;
    }
    let doublings = (distance * distance / u64::from(EXACT * EXACT)).ilog2();
    direction + (EXACT + doublings).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::bucket;

    /// Numbers of `MPNetEncoder.relative_position_bucket` in transformers 5.24.
    #[test]
    fn buckets_are_those_of_the_reference() {
        let distances = [0, 1, 7, 8, 11, 12, 15, 16, 22, 23, 31, 32, 45, 46, 63, 64, 90, 91, 127, 128, 511];
        let expected = [0, 1, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 15, 15];
        for (distance, expected) in distances.into_iter().zip(expected) {
            assert_eq!(bucket(-distance), expected, "{distance} before");
            assert_eq!(bucket(distance), expected + if distance > 0 { 16 } else { 0 }, "{distance} behind");
        }
    }
}
