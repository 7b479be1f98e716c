//! Task vectors: the difference that training made to each model is trimmed, the models elect a
//! sign for each parameter, and those that agree are averaged (TIES, arXiv:2306.01708). As in the
//! reference, tensors are trimmed one by one.

/// Adds the merged task vectors of tuned models to a tensor of the base.
///
/// `density` is the share of the largest changes of a tensor that are kept, `lambda` the factor of
/// the merged change. Where the kept changes sum to 0, the elected sign is positive.
pub(super) fn ties(base: &[f32], tuned: &[&[f32]], weights: &[f64], density: f64, lambda: f64) -> Vec<f32> {
    assert_eq!(weights.len(), tuned.len(), "a weight for each tuned model");
    let vectors: Vec<Vec<f32>> = tuned.iter().map(|tuned| trimmed(base, tuned, density)).collect();
    let merged = |(index, base): (usize, &f32)| {
        let changes =
            || weights.iter().zip(&vectors).map(|(weight, vector)| (*weight, weight * f64::from(vector[index])));
        let is_positive = changes().map(|(_, change)| change).sum::<f64>() >= 0.0;
        let agrees = |change: f64| if is_positive { change > 0.0 } else { change < 0.0 };
        let (weight, change) = changes()
            .filter(|(_, change)| agrees(*change))
            .fold((0.0, 0.0), |(weights, sum), (weight, change)| (weights + weight, sum + change));
        let mean = if weight == 0.0 { 0.0 } else { change / weight };
        (f64::from(*base) + lambda * mean) as f32
    };
    base.iter().enumerate().map(merged).collect()
}

/// Returns the changes of a tensor, all but the largest `density` of them set to 0; of equal ones
/// the first are kept.
fn trimmed(base: &[f32], tuned: &[f32], density: f64) -> Vec<f32> {
    let mut changes: Vec<f32> = tuned.iter().zip(base).map(|(tuned, base)| tuned - base).collect();
    let kept = ((density * changes.len() as f64) as usize).max(1);
    if kept >= changes.len() {
        return changes;
    }
    let mut sizes: Vec<f32> = changes.iter().map(|change| change.abs()).collect();
    let (_, least, _) = sizes.select_nth_unstable_by(kept - 1, |a, b| b.total_cmp(a));
    let least = *least;
    let mut equal = kept - changes.iter().filter(|change| change.abs() > least).count();
    for change in &mut changes {
        let is_kept = match change.abs() == least {
            true if equal > 0 => {
                equal -= 1;
                true
            }
            true => false,
            false => change.abs() > least,
        };
        if !is_kept {
            *change = 0.0;
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_paper() {
        // Trimmed to half: a = (4, 0, -3, 0), b = (-2, 0, -5, 0). Signs: +, -. Means: 4, -4.
        let base = [1.0_f32; 4];
        let (a, b) = ([5.0_f32, 2.0, -2.0, 0.5], [-1.0_f32, 1.5, -4.0, 1.0]);
        assert_eq!(ties(&base, &[&a, &b], &[1.0, 1.0], 0.5, 1.0), [5.0, 1.0, -3.0, 1.0]);
        assert_eq!(ties(&base, &[&a, &b], &[1.0, 1.0], 0.5, 0.5), [3.0, 1.0, -1.0, 1.0]);
    }

    #[test]
    fn one_model_with_all_changes_returns_it() {
        let (base, tuned) = ([1.0_f32, -2.0, 0.25], [1.5_f32, -2.5, 0.25]);
        assert_eq!(ties(&base, &[&tuned], &[1.0], 1.0, 1.0), tuned);
    }

    #[test]
    fn of_equal_changes_the_first_are_kept_and_at_least_one() {
        assert_eq!(trimmed(&[0.0; 4], &[1.0, -1.0, 1.0, 1.0], 0.5), [1.0, -1.0, 0.0, 0.0]);
        assert_eq!(trimmed(&[0.0; 4], &[1.0, 2.0, -3.0, 1.0], 0.01), [0.0, 0.0, -3.0, 0.0]);
    }

    #[test]
    fn changes_that_cancel_elect_the_positive_sign() {
        assert_eq!(ties(&[0.0], &[&[1.0], &[-1.0]], &[1.0, 1.0], 1.0, 1.0), [1.0]);
    }
}
