//! Weighted sums of parameters ("model soups", arXiv:2203.05482).

/// Returns Σ wᵢ·mᵢ, summed in f64 in the order of the models. Models with a weight of 0 take no
/// part, so that a weight of 1 returns the bits of its model.
pub(crate) fn linear(weights: &[f64], models: &[&[f32]]) -> Vec<f32> {
    assert_eq!(weights.len(), models.len(), "a weight for each model");
    let terms: Vec<(f64, &[f32])> =
        weights.iter().copied().zip(models.iter().copied()).filter(|(weight, _)| *weight != 0.0).collect();
    let Some(((weight, first), rest)) = terms.split_first() else { return vec![0.0; models[0].len()] };
    let sum = |(index, x): (usize, &f32)| {
        rest.iter().fold(weight * f64::from(*x), |sum, (weight, model)| sum + weight * f64::from(model[index])) as f32
    };
    first.iter().enumerate().map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_of_one_returns_the_bits_of_its_model() {
        let (a, b) = ([0.1_f32, -0.0, 3.0], [-0.0_f32, f32::MIN_POSITIVE, 1e30]);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&linear(&[1.0, 0.0], &[&a, &b])), bits(&a));
        assert_eq!(bits(&linear(&[0.0, 1.0], &[&a, &b])), bits(&b));
    }

    #[test]
    fn sums_are_rounded_once() {
        let (a, b, c) = ([1.0_f32, 2.0], [1e-8_f32, 4.0], [1e-8_f32, 9.0]);
        let expected = [(0.5 + 0.25 * f64::from(1e-8_f32) * 2.0) as f32, 4.25];
        assert_eq!(linear(&[0.5, 0.25, 0.25], &[&a, &b, &c]), expected);
    }
}
