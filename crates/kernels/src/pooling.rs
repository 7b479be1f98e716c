//! Pooling of the token embeddings of each sequence to one row, with the formulas of Sentence
//! Transformers. Sums ascend token by token.

use crate::context::Context;

/// Method of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolingMode {
    /// The first token.
    Cls,
    /// The mean of the tokens.
    Mean,
    /// The maximum of each column.
    Max,
    /// The sum of the tokens divided by the square root of their number.
    MeanSqrtLen,
    /// The mean with weights 1, 2, 3, … by position in the sequence.
    WeightedMean,
    /// The last token.
    LastToken,
}

/// The tokens of a sequence, of which the first `skipped` are not pooled.
#[derive(Clone, Copy)]
struct Span {
    first: usize,
    length: usize,
    skipped: usize,
}

impl Span {
    fn of(offsets: &[usize], starts: Option<&[usize]>, sequence: usize) -> Self {
        let (first, length) = (offsets[sequence], offsets[sequence + 1] - offsets[sequence]);
        let skipped = starts.map_or(0, |starts| starts[sequence]);
        assert!(
            length > 0 && skipped <= length,
            "sequence {sequence}: {length} tokens, of which {skipped} are not pooled"
        );
        Self { first, length, skipped }
    }

    /// Weight of a pooled token, for modes that are weighted sums.
    fn weight(&self, mode: PoolingMode, token: usize) -> f32 {
        let counted = (self.length - self.skipped) as f32;
        match mode {
            PoolingMode::Mean => 1.0 / counted.max(1e-9),
            PoolingMode::MeanSqrtLen => 1.0 / counted.max(1e-9).sqrt(),
            PoolingMode::WeightedMean => {
                let total: f32 = (self.skipped + 1..=self.length).map(|place| place as f32).sum();
                (token + 1) as f32 / total.max(1e-9)
            }
            PoolingMode::Cls | PoolingMode::Max | PoolingMode::LastToken => unreachable!("no weighted sum"),
        }
    }

    /// The selected token, for modes that select one.
    fn single(&self, mode: PoolingMode) -> Option<usize> {
        match mode {
            // If no token is pooled, the reference selects the first.
            PoolingMode::Cls => Some(if self.skipped < self.length { self.skipped } else { 0 }),
            PoolingMode::LastToken => Some(self.length - 1),
            _ => None,
        }
    }
}

/// Returns the token of each sequence that a mode selects, as a position in the batch, or `None`
/// for modes that combine several.
pub fn pooled_tokens(mode: PoolingMode, offsets: &[usize], starts: Option<&[usize]>) -> Option<Vec<usize>> {
    if !matches!(mode, PoolingMode::Cls | PoolingMode::LastToken) {
        return None;
    }
    let token = |sequence: usize| {
        let span = Span::of(offsets, starts, sequence);
        span.single(mode).map(|token| span.first + token)
    };
    (0..offsets.len() - 1).map(token).collect()
}

/// Pools `tokens`, `(tokens, columns)`, into the columns from `offset` on of the rows of `out`,
/// `(sequences, stride)`. `starts` is the number of leading tokens of each sequence that are not
/// pooled (a prompt).
#[expect(clippy::too_many_arguments, reason = "several modes write to adjacent columns")]
pub fn pooling(
    context: &Context,
    mode: PoolingMode,
    tokens: &[f32],
    columns: usize,
    offsets: &[usize],
    starts: Option<&[usize]>,
    out: &mut [f32],
    stride: usize,
    offset: usize,
) {
    assert_eq!(out.len(), (offsets.len() - 1) * stride, "{} sequences in rows of {stride}", offsets.len() - 1);
    assert!(offset + columns <= stride, "columns {offset}..{} of {stride}", offset + columns);
    context.for_each_chunk(out, stride, |sequence, row| {
        let span = Span::of(offsets, starts, sequence);
        let row = &mut row[offset..offset + columns];
        let token = |token: usize| &tokens[(span.first + token) * columns..(span.first + token + 1) * columns];
        if let Some(single) = span.single(mode) {
            row.copy_from_slice(token(single));
        } else if mode == PoolingMode::Max {
            row.fill(f32::NEG_INFINITY);
            for place in span.skipped..span.length {
                // `f32::max` of zeros with different signs depends on the processor.
                row.iter_mut()
                    .zip(token(place))
                    .for_each(|(row, token)| *row = if *token > *row { *token } else { *row });
            }
        } else {
            row.fill(0.0);
            for place in span.skipped..span.length {
                let weight = span.weight(mode, place);
                row.iter_mut().zip(token(place)).for_each(|(row, token)| *row += weight * token);
            }
        }
    });
}

/// Adds the gradient of the tokens to `d_tokens`. The gradient of a maximum belongs to the first
/// token that has it.
#[expect(clippy::too_many_arguments, reason = "forward and backward share their order of arguments")]
pub fn pooling_backward(
    context: &Context,
    mode: PoolingMode,
    tokens: &[f32],
    columns: usize,
    offsets: &[usize],
    starts: Option<&[usize]>,
    d_out: &[f32],
    stride: usize,
    offset: usize,
    d_tokens: &mut [f32],
) {
    assert_eq!(tokens.len(), d_tokens.len(), "a gradient for each element");
    context.for_each_part(d_tokens, offsets, columns, |sequence, into| {
        let span = Span::of(offsets, starts, sequence);
        let d_row = &d_out[sequence * stride + offset..sequence * stride + offset + columns];
        let values = &tokens[span.first * columns..(span.first + span.length) * columns];
        if let Some(single) = span.single(mode) {
            into[single * columns..(single + 1) * columns].iter_mut().zip(d_row).for_each(|(into, d)| *into += d);
        } else if mode == PoolingMode::Max {
            for (column, d) in d_row.iter().enumerate() {
                let value = |place: &usize| values[place * columns + column];
                let better = |best: usize, place: usize| if value(&place) > value(&best) { place } else { best };
                if let Some(best) = (span.skipped..span.length).reduce(better) {
                    into[best * columns + column] += d;
                }
            }
        } else {
            for place in span.skipped..span.length {
                let weight = span.weight(mode, place);
                let row = &mut into[place * columns..(place + 1) * columns];
                row.iter_mut().zip(d_row).for_each(|(into, d)| *into += weight * d);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, finite_differences, noise, wide};

    const MODES: [PoolingMode; 6] = [
        PoolingMode::Cls,
        PoolingMode::Mean,
        PoolingMode::Max,
        PoolingMode::MeanSqrtLen,
        PoolingMode::WeightedMean,
        PoolingMode::LastToken,
    ];

    fn reference_pooling(mode: PoolingMode, tokens: &[f64], columns: usize, offsets: &[usize]) -> Vec<f64> {
        let pooled = |rows: &[&[f64]], j: usize| -> f64 {
            let n = rows.len() as f64;
            let sum: f64 = rows.iter().map(|row| row[j]).sum();
            match mode {
                PoolingMode::Cls => rows[0][j],
                PoolingMode::LastToken => rows[rows.len() - 1][j],
                PoolingMode::Mean => sum / n,
                PoolingMode::MeanSqrtLen => sum / n.sqrt(),
                PoolingMode::Max => rows.iter().map(|row| row[j]).fold(f64::NEG_INFINITY, f64::max),
                PoolingMode::WeightedMean => {
                    let weighted: f64 = rows.iter().enumerate().map(|(i, row)| row[j] * (i + 1) as f64).sum();
                    weighted / (n * (n + 1.0) / 2.0)
                }
            }
        };
        let sequence = |pair: &[usize]| -> Vec<f64> {
            let rows: Vec<&[f64]> = tokens[pair[0] * columns..pair[1] * columns].chunks(columns).collect();
            (0..columns).map(|j| pooled(&rows, j)).collect()
        };
        offsets.windows(2).flat_map(sequence).collect()
    }

    #[test]
    fn every_mode_agrees_with_its_formula_and_gradient() {
        let (columns, offsets) = (7, [0, 1, 4, 13, 15]);
        let (tokens, d_out) = (noise(15 * columns, 1), noise(4 * 10, 2));
        for mode in MODES {
            let context = Context::new(2);
            let mut out = vec![9.0; 4 * 10];
            pooling(&context, mode, &tokens, columns, &offsets, None, &mut out, 10, 2);
            let taken: Vec<f32> = out.chunks(10).flat_map(|row| row[2..9].to_vec()).collect();
            assert_close(&taken, &reference_pooling(mode, &wide(&tokens), columns, &offsets), 1e-6, "pooled");
            assert!(out.chunks(10).all(|row| row[0] == 9.0 && row[9] == 9.0), "other columns are unchanged");
            let mut d_tokens = vec![0.0; tokens.len()];
            pooling_backward(&context, mode, &tokens, columns, &offsets, None, &d_out, 10, 2, &mut d_tokens);
            let value = |tokens: &[f64]| -> f64 {
                let pooled = reference_pooling(mode, tokens, columns, &offsets);
                pooled.iter().enumerate().map(|(i, y)| y * f64::from(d_out[i / 7 * 10 + 2 + i % 7])).sum()
            };
            assert_close(&d_tokens, &finite_differences(&wide(&tokens), value), 1e-5, "d_tokens");
        }
    }

    #[test]
    fn tokens_of_a_prompt_are_not_pooled() {
        let tokens = [1.0, 2.0, 4.0, 8.0];
        let pooled = |mode, skipped: usize| {
            let mut out = [0.0];
            pooling(&Context::new(1), mode, &tokens, 1, &[0, 4], Some(&[skipped]), &mut out, 1, 0);
            out[0]
        };
        assert_eq!(
            (pooled(PoolingMode::Cls, 2), pooled(PoolingMode::Mean, 2), pooled(PoolingMode::Max, 3)),
            (4.0, 6.0, 8.0)
        );
        assert!((pooled(PoolingMode::WeightedMean, 2) - (3.0 * 4.0 + 4.0 * 8.0) / 7.0).abs() < 1e-6);
        assert_eq!((pooled(PoolingMode::Cls, 4), pooled(PoolingMode::Mean, 4)), (1.0, 0.0), "no token is pooled");
    }
}
