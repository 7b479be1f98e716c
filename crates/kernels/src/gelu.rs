//! GELU with the error function (arXiv:1606.08415): g = u · Φ(u), Φ(u) = ½ (1 + erf(u / √2)). erf
//! by formula 7.1.26 of Abramowitz and Stegun, with an error below 1.5e-7.

use crate::instruction_set::multiversion;
use crate::lanes::exp;

/// Returns Φ(u), and e^(-u²/2) for the density.
#[inline(always)]
fn normal(u: f32) -> (f32, f32) {
    let x = u.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let bell = exp(-x * x);
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let p = ((((1.061_405_4 * t - 1.453_152_1) * t + 1.421_413_8) * t - 0.284_496_72) * t + 0.254_829_6) * t;
    let tail = 0.5 * p * bell;
    (if u >= 0.0 { 1.0 - tail } else { tail }, bell)
}

multiversion! {
    /// Replaces each value u by u · Φ(u).
    pub(crate) fn forward(values: &mut [f32]) {
        for value in values {
            *value *= normal(*value).0;
        }
    }
}

multiversion! {
    /// Replaces d_g in `d` by d_u = d_g · (Φ(u) + u · φ(u)).
    pub(crate) fn backward(u: &[f32], d: &mut [f32]) {
        const INVERSE_ROOT_2_PI: f32 = 0.398_942_3;
        for (u, d) in u.iter().zip(d) {
            let (share, bell) = normal(*u);
            *d *= share + u * bell * INVERSE_ROOT_2_PI;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction_set::InstructionSet;
    use crate::{Activation, Context};

    /// erf, by its series below 3 and by its continued fraction above.
    fn reference_erf(x: f64) -> f64 {
        let a = x.abs();
        let value = if a < 3.0 {
            let (mut term, mut sum, mut n) = (a, a, 0.0);
            while term.abs() > 1e-17 * sum.abs() {
                n += 1.0;
                term *= -a * a / n;
                sum += term / (2.0 * n + 1.0);
            }
            sum * 2.0 / std::f64::consts::PI.sqrt()
        } else {
            let fraction = (1..60).rev().fold(0.0, |fraction, n| f64::from(n) / 2.0 / (a + fraction));
            1.0 - (-a * a).exp() / ((a + fraction) * std::f64::consts::PI.sqrt())
        };
        value.copysign(x)
    }

    fn reference_gelu(u: f64) -> f64 {
        0.5 * u * (1.0 + reference_erf(u / 2f64.sqrt()))
    }

    #[test]
    fn every_instruction_set_agrees_with_the_error_function() {
        let u: Vec<f32> = (-12_000..12_000).map(|i| i as f32 / 1000.0).chain([-1e4, 1e4, 0.0, -0.0]).collect();
        for isa in InstructionSet::available() {
            let (mut g, mut d) = (u.clone(), vec![1.0; u.len()]);
            forward(isa, &mut g);
            backward(isa, &u, &mut d);
            for ((u, g), d) in u.iter().zip(&g).zip(&d) {
                let x = f64::from(*u);
                assert!(
                    (f64::from(*g) - reference_gelu(x)).abs() <= 6e-7 + 1e-7 * x.abs(),
                    "{}: gelu({u}) = {g}",
                    isa.name()
                );
                let slope = (reference_gelu(x + 1e-5) - reference_gelu(x - 1e-5)) / 2e-5;
                assert!((f64::from(*d) - slope).abs() <= 1e-6, "{}: slope at {u} is {d}, not {slope}", isa.name());
            }
            println!("gelu: {} checked", isa.name());
        }
    }

    #[test]
    fn every_length_is_covered() {
        for length in 0..40 {
            let u = crate::testing::noise(length, 1);
            let mut g = vec![9.0; length];
            Activation::Gelu.forward(&Context::new(2), &u, &mut g);
            assert!(u.iter().zip(&g).all(|(u, g)| (f64::from(*g) - reference_gelu(f64::from(*u))).abs() < 1e-6));
        }
    }
}
