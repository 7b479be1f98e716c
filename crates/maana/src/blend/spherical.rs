//! Spherical interpolation of two tensors (SLERP, Shoemake 1985), as in the reference.

use super::linear::linear;

/// Cosine from which tensors count as parallel, which are interpolated linearly.
const PARALLEL: f64 = 0.9995;

/// Norm up to which a tensor counts as zero.
const ZERO: f64 = 1e-8;

/// Interpolates from `a` (`share` 0) to `b` (`share` 1) along the arc between their directions.
pub(super) fn spherical(a: &[f32], b: &[f32], share: f64) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let norm = |x: &[f32]| Some(dot(x, x).sqrt()).filter(|norm| *norm > ZERO).unwrap_or(1.0);
    let cosine = (dot(a, b) / norm(a) / norm(b)).clamp(-1.0, 1.0);
    if cosine.abs() > PARALLEL {
        return linear(&[1.0 - share, share], &[a, b]);
    }
    let angle = libm::acos(cosine);
    let weight = |share: f64| libm::sin(share * angle) / libm::sin(angle);
    linear(&[weight(1.0 - share), weight(share)], &[a, b])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_one_length_keep_it() {
        let (a, b) = ([3.0_f32, 0.0, 4.0], [0.0_f32, 5.0, 0.0]);
        for share in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let norm: f32 = spherical(&a, &b, share).iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!((norm - 5.0).abs() < 1e-5, "{share}: {norm}");
        }
        assert_eq!(spherical(&a, &b, 0.0), a);
    }

    #[test]
    fn parallel_opposite_and_zero_tensors_are_interpolated_linearly_or_by_the_right_angle() {
        assert_eq!(spherical(&[1.0, 2.0], &[2.0, 4.0], 0.25), [1.25, 2.5]);
        assert_eq!(spherical(&[1.0, 2.0], &[-1.0, -2.0], 0.25), [0.5, 1.0]);
        // The cosine with a zero tensor is 0: a right angle.
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let found = spherical(&[1.0, 2.0], &[0.0, 0.0], 0.5);
        assert!((found[0] - half).abs() < 1e-6 && (found[1] - 2.0 * half).abs() < 1e-6, "{found:?}");
    }
}
