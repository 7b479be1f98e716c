//! Falls of a guard beyond chance: a paired bootstrap over its queries or texts.

use maana_files::SplitMix64;

/// Resamples of the queries or texts.
const RESAMPLES: usize = 2000;

/// Share of the resamples in which the mean falls, from which on a fall is not due to chance.
const LEVEL: f64 = 0.95;

/// Seed of the resamples, which are the same for every blend.
const SEED: u64 = 42;

/// Returns true if the mean of `after` is below that of `before` beyond chance: also in most
/// resamples with replacement of the items, which are compared in pairs. NaN falls.
pub(super) fn falls(before: &[f64], after: &[f64]) -> bool {
    assert_eq!(before.len(), after.len(), "values of the same queries or texts");
    let changes: Vec<f64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    let sum: f64 = changes.iter().sum();
    if sum.is_nan() || sum >= 0.0 {
        return sum.is_nan();
    }
    let mut random = SplitMix64::new(SEED);
    let mut draw = || changes[((u128::from(random.next_u64()) * changes.len() as u128) >> 64) as usize];
    let falling = (0..RESAMPLES).filter(|_| (0..changes.len()).map(|_| draw()).sum::<f64>() < 0.0).count();
    falling as f64 >= LEVEL * RESAMPLES as f64
}

#[cfg(test)]
mod tests {
    use super::falls;

    /// Compares values of which some fall and some rise by as much.
    fn changed(falling: usize, rising: usize, equal: usize) -> bool {
        let after: Vec<f64> = [vec![0.5; falling], vec![1.5; rising], vec![1.0; equal]].into_iter().flatten().collect();
        falls(&vec![1.0; after.len()], &after)
    }

    #[test]
    fn few_falls_are_chance_and_many_are_not() {
        assert!(!changed(3, 1, 40) && !changed(12, 8, 100));
        assert!(changed(6, 0, 40) && changed(5, 0, 200) && changed(40, 10, 0) && changed(4, 0, 0));
        assert!(!changed(10, 10, 0) && !changed(0, 5, 5), "the mean does not fall");
    }

    #[test]
    fn a_single_query_that_falls_among_many_is_chance() {
        assert!(!changed(1, 0, 43) && !changed(2, 0, 202));
    }

    #[test]
    fn nan_falls() {
        assert!(falls(&[1.0, f64::NAN], &[1.0, 1.0]));
    }
}
