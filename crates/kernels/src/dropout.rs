//! Dropout whose masks are a function of seed, pass, site, row and column (Philox4x32-10, Salmon et
//! al. 2011): the same forward and backward, for any number of threads and any division of the
//! rows.

use crate::context::Context;
use crate::instruction_set::{InstructionSet, multiversion};

/// Approximate number of elements of a task.
const CHUNK: usize = 1 << 13;
/// Counters that are computed together.
const WIDTH: usize = 16;
/// Factors from one set of counters.
const BLOCK: usize = 4 * WIDTH;

/// The mask of a dropout site in a forward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability that an element is dropped. The others are divided by 1 − probability.
    pub probability: f32,
    /// Seed of the run.
    pub seed: u64,
    /// Number of the forward pass in the run.
    pub pass: u64,
    /// Number of the dropout site in the model.
    pub site: u32,
    /// Number of the first row in the whole batch, if a batch is computed in parts.
    pub first_row: u64,
}

impl Dropout {
    /// Fills the factors, 0 or 1/(1 − p), of the first columns of a row.
    pub(crate) fn factors(&self, isa: InstructionSet, row: u64, factors: &mut [f32]) {
        fill(isa, self, self.first_row + row, factors);
    }
}

/// Multiplies every element of `x`, `(rows, columns)`, by its factor. The same call on a gradient
/// is the backward pass.
pub fn dropout(context: &Context, x: &mut [f32], columns: usize, dropout: &Dropout) {
    multiply_rows(context, x, columns, dropout, |row| row);
}

/// Applies [`dropout`] to selected rows of a batch: row `i` of `x`, `(rows.len(), columns)`, has
/// the mask that row `rows[i]` has in the whole batch.
pub fn dropout_rows(context: &Context, x: &mut [f32], columns: usize, rows: &[usize], dropout: &Dropout) {
    assert_eq!(x.len(), rows.len() * columns, "{} rows of {columns}", rows.len());
    multiply_rows(context, x, columns, dropout, |row| rows[row]);
}

fn multiply_rows(
    context: &Context,
    x: &mut [f32],
    columns: usize,
    dropout: &Dropout,
    number: impl Fn(usize) -> usize + Sync,
) {
    assert!((0.0..1.0).contains(&dropout.probability), "a dropout probability of {}", dropout.probability);
    let rows = (CHUNK / columns).max(1);
    context.for_each_chunk(x, rows * columns, |task, x| {
        for (row, x) in x.chunks_exact_mut(columns).enumerate() {
            multiply(context.isa(), dropout, dropout.first_row + number(task * rows + row) as u64, x);
        }
    });
}

multiversion! {
    fn fill(dropout: &Dropout, row: u64, factors: &mut [f32]) {
        for (block, factors) in factors.chunks_mut(BLOCK).enumerate() {
            factors.copy_from_slice(&block_of_factors(dropout, row, block)[..factors.len()]);
        }
    }
}

multiversion! {
    fn multiply(dropout: &Dropout, row: u64, x: &mut [f32]) {
        for (block, x) in x.chunks_mut(BLOCK).enumerate() {
            let factors = block_of_factors(dropout, row, block);
            x.iter_mut().zip(&factors).for_each(|(x, factor)| *x *= factor);
        }
    }
}

/// Returns the factors of the columns from `block * BLOCK` on.
#[inline(always)]
fn block_of_factors(dropout: &Dropout, row: u64, block: usize) -> [f32; BLOCK] {
    // An element is dropped if its 32 random bits, as a fraction of 1, are below the probability.
    let threshold = (f64::from(dropout.probability) * 4_294_967_296.0) as u32;
    let kept = 1.0 / (1.0 - dropout.probability);
    let key = [dropout.seed as u32 ^ (dropout.pass >> 32) as u32, (dropout.seed >> 32) as u32];
    let counter = [
        std::array::from_fn(|lane| (block * WIDTH + lane) as u32),
        [row as u32; WIDTH],
        [(dropout.site << 8) ^ (row >> 32) as u32; WIDTH],
        [dropout.pass as u32; WIDTH],
    ];
    let bits = philox(counter, key);
    std::array::from_fn(|column| if bits[column % 4][column / 4] < threshold { 0.0 } else { kept })
}

/// Applies ten rounds of Philox4x32 to `WIDTH` counters.
#[inline(always)]
fn philox(counter: [[u32; WIDTH]; 4], key: [u32; 2]) -> [[u32; WIDTH]; 4] {
    let mut key = key;
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    for _ in 0..10 {
        for (((c0, c1), c2), c3) in c0.iter_mut().zip(&mut c1).zip(&mut c2).zip(&mut c3) {
            let a = u64::from(*c0) * 0xD251_1F53;
            let b = u64::from(*c2) * 0xCD9E_8D57;
            (*c0, *c1) = ((b >> 32) as u32 ^ *c1 ^ key[0], b as u32);
            (*c2, *c3) = ((a >> 32) as u32 ^ *c3 ^ key[1], a as u32);
        }
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROPOUT: Dropout = Dropout { probability: 0.1, seed: 42, pass: 7, site: 3, first_row: 0 };

    /// Known answers from the generator's reference implementation.
    #[test]
    fn philox_gives_the_known_answers() {
        let one = |counter: [u32; 4], key| philox(counter.map(|word| [word; WIDTH]), key).map(|words| words[5]);
        assert_eq!(one([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(one([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(one(counter, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn masks_are_the_same_on_every_instruction_set_and_for_any_division() {
        let (rows, columns) = (40, 133);
        let mut whole = vec![1.0; rows * columns];
        dropout(&Context::new(3), &mut whole, columns, &DROPOUT);
        let mut parts = vec![1.0; rows * columns];
        let (first, second) = parts.split_at_mut(13 * columns);
        dropout(&Context::new(1), first, columns, &DROPOUT);
        dropout(&Context::new(2), second, columns, &Dropout { first_row: 13, ..DROPOUT });
        assert_eq!(whole, parts);
        for isa in InstructionSet::available() {
            let mut row = vec![0.0; columns];
            fill(isa, &DROPOUT, 5, &mut row);
            assert_eq!(row, whole[5 * columns..6 * columns], "{}", isa.name());
            let mut row = vec![1.0; columns];
            multiply(isa, &DROPOUT, 5, &mut row);
            assert_eq!(row, whole[5 * columns..6 * columns], "{}", isa.name());
            println!("dropout: {} checked", isa.name());
        }
    }

    #[test]
    fn selected_rows_have_the_masks_of_their_places_in_the_batch() {
        let columns = 37;
        let mut whole = vec![1.0; 300 * columns];
        dropout(&Context::new(2), &mut whole, columns, &DROPOUT);
        let rows: Vec<usize> = (0..300).filter(|row| row % 7 == 3).collect();
        let expected: Vec<f32> = rows.iter().flat_map(|row| whole[row * columns..][..columns].to_vec()).collect();
        let mut selected = vec![1.0; rows.len() * columns];
        dropout_rows(&Context::new(2), &mut selected, columns, &rows, &DROPOUT);
        assert_eq!(selected, expected);
    }

    #[test]
    fn the_share_that_is_dropped_is_the_probability() {
        for probability in [0.0, 0.1, 0.5, 0.9] {
            let mut x = vec![1.0; 400_000];
            dropout(&Context::new(2), &mut x, 100, &Dropout { probability, ..DROPOUT });
            let dropped = x.iter().filter(|x| **x == 0.0).count() as f32 / x.len() as f32;
            assert!((dropped - probability).abs() < 0.003, "{dropped} of {probability}");
            let mean = x.iter().sum::<f32>() / x.len() as f32;
            assert!((mean - 1.0).abs() < 0.03, "the mean stays: {mean}");
        }
    }

    #[test]
    fn another_seed_pass_or_place_is_another_mask() {
        let mask = |dropout: Dropout| {
            let mut factors = vec![0.0; 256];
            dropout.factors(InstructionSet::active(), 3, &mut factors);
            factors
        };
        let others = [
            Dropout { seed: 43, ..DROPOUT },
            Dropout { seed: 42 | 1 << 40, ..DROPOUT },
            Dropout { pass: 8, ..DROPOUT },
            Dropout { site: 4, ..DROPOUT },
            Dropout { first_row: 1, ..DROPOUT },
        ];
        assert!(others.into_iter().all(|other| mask(other) != mask(DROPOUT)));
    }
}
