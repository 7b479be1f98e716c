//! Element-wise activation functions, forward and backward. They are computed with the polynomials
//! of this crate instead of the system's mathematics library, so that they give the same bits on
//! every machine.

use crate::context::Context;
use crate::gelu;
use crate::instruction_set::{InstructionSet, multiversion};
use crate::lanes::exp;

/// Elements of a task.
const CHUNK: usize = 1 << 13;

/// √(2/π)
const ROOT_2_OVER_PI: f32 = 0.797_884_6;
/// Coefficient of the cube in the tanh form of GELU.
const CUBE: f32 = 0.044_715;

/// An element-wise activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// g = u
    Identity,
    /// g = u · Φ(u), with the error function (arXiv:1606.08415).
    Gelu,
    /// g = ½ u (1 + tanh(√(2/π) (u + 0.044715 u³))), the approximation of the same paper.
    GeluTanh,
    /// g = max(u, 0)
    Relu,
    /// g = u · σ(u), also called swish.
    Silu,
    /// g = tanh(u)
    Tanh,
    /// g = σ(u) = 1 / (1 + e⁻ᵘ)
    Sigmoid,
}

impl Activation {
    /// Fills `g` with the values of the function at `u`.
    pub fn forward(self, context: &Context, u: &[f32], g: &mut [f32]) {
        assert_eq!(u.len(), g.len(), "an element for each value");
        let isa = context.isa();
        context.for_each_chunk(g, CHUNK, |task, g| {
            g.copy_from_slice(&u[task * CHUNK..task * CHUNK + g.len()]);
            self.apply(isa, g);
        });
    }

    /// Multiplies `d`, the gradient of the values, by the derivative at `u`.
    pub fn backward(self, context: &Context, u: &[f32], d: &mut [f32]) {
        assert_eq!(u.len(), d.len(), "an element for each value");
        let isa = context.isa();
        context.for_each_chunk(d, CHUNK, |task, d| {
            self.multiply_by_slope(isa, &u[task * CHUNK..task * CHUNK + d.len()], d);
        });
    }

    /// Multiplies `d` by the derivative at `u`.
    #[inline]
    pub(crate) fn multiply_by_slope(self, isa: InstructionSet, u: &[f32], d: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Gelu => gelu::backward(isa, u, d),
            Self::GeluTanh => gelu_tanh_backward(isa, u, d),
            Self::Relu => relu_backward(isa, u, d),
            Self::Silu => silu_backward(isa, u, d),
            Self::Tanh => tanh_backward(isa, u, d),
            Self::Sigmoid => sigmoid_backward(isa, u, d),
        }
    }

    /// Replaces each value by that of the function.
    #[inline]
    pub(crate) fn apply(self, isa: InstructionSet, values: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Gelu => gelu::forward(isa, values),
            Self::GeluTanh => gelu_tanh_forward(isa, values),
            Self::Relu => relu_forward(isa, values),
            Self::Silu => silu_forward(isa, values),
            Self::Tanh => tanh_forward(isa, values),
            Self::Sigmoid => sigmoid_forward(isa, values),
        }
    }
}

/// σ(u) = 1 / (1 + e⁻ᵘ), precise in both tails.
#[inline(always)]
fn sigmoid(u: f32) -> f32 {
    let tail = exp(-u.abs());
    let share = 1.0 / (1.0 + tail);
    if u >= 0.0 { share } else { tail * share }
}

/// tanh(u), by a polynomial near 0 (Cephes), where the quotient would lose digits.
#[inline(always)]
fn tanh(u: f32) -> f32 {
    let tail = exp(-2.0 * u.abs());
    let far = (1.0 - tail) / (1.0 + tail);
    let far = if u >= 0.0 { far } else { -far };
    let z = u * u;
    let p = (((-5.704_988_7e-3 * z + 2.063_909e-2) * z - 5.373_971_6e-2) * z + 1.333_144_2e-1) * z - 3.333_328e-1;
    let near = p * z * u + u;
    if u.abs() < 0.625 { near } else { far }
}

/// The factor of `u` in the tanh form of GELU: ½ (1 + tanh y) = σ(2y).
#[inline(always)]
fn gelu_tanh_share(u: f32) -> f32 {
    sigmoid(2.0 * ROOT_2_OVER_PI * (u + CUBE * u * u * u))
}

multiversion! {
    fn gelu_tanh_forward(values: &mut [f32]) {
        for value in values {
            *value *= gelu_tanh_share(*value);
        }
    }
}

multiversion! {
    fn gelu_tanh_backward(u: &[f32], d: &mut [f32]) {
        for (u, d) in u.iter().zip(d) {
            let share = gelu_tanh_share(*u);
            let slope = 2.0 * ROOT_2_OVER_PI * (1.0 + 3.0 * CUBE * u * u);
            *d *= share + u * share * (1.0 - share) * slope;
        }
    }
}

multiversion! {
    fn relu_forward(values: &mut [f32]) {
        for value in values {
            *value = if *value <= 0.0 { 0.0 } else { *value };
        }
    }
}

multiversion! {
    fn relu_backward(u: &[f32], d: &mut [f32]) {
        for (u, d) in u.iter().zip(d) {
            *d = if *u <= 0.0 { 0.0 } else { *d };
        }
    }
}

multiversion! {
    fn silu_forward(values: &mut [f32]) {
        for value in values {
            *value *= sigmoid(*value);
        }
    }
}

multiversion! {
    fn silu_backward(u: &[f32], d: &mut [f32]) {
        for (u, d) in u.iter().zip(d) {
            let share = sigmoid(*u);
            *d *= share + u * share * (1.0 - share);
        }
    }
}

multiversion! {
    fn tanh_forward(values: &mut [f32]) {
        for value in values {
            *value = tanh(*value);
        }
    }
}

multiversion! {
    fn tanh_backward(u: &[f32], d: &mut [f32]) {
        for (u, d) in u.iter().zip(d) {
            let value = tanh(*u);
            *d *= 1.0 - value * value;
        }
    }
}

multiversion! {
    fn sigmoid_forward(values: &mut [f32]) {
        for value in values {
            *value = sigmoid(*value);
        }
    }
}

multiversion! {
    fn sigmoid_backward(u: &[f32], d: &mut [f32]) {
        for (u, d) in u.iter().zip(d) {
            let value = sigmoid(*u);
            *d *= value * (1.0 - value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: [Activation; 6] = [
        Activation::Identity,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::Silu,
        Activation::Tanh,
        Activation::Sigmoid,
    ];

    /// GELU has its reference in `gelu`.
    fn reference(activation: Activation, u: f64) -> f64 {
        let sigmoid = |u: f64| 1.0 / (1.0 + (-u).exp());
        match activation {
            Activation::Identity => u,
            Activation::GeluTanh => {
                0.5 * u * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (u + 0.044_715 * u * u * u)).tanh())
            }
            Activation::Relu => u.max(0.0),
            Activation::Silu => u * sigmoid(u),
            Activation::Tanh => u.tanh(),
            Activation::Sigmoid => sigmoid(u),
            Activation::Gelu => unreachable!("tested in its own file"),
        }
    }

    #[test]
    fn every_instruction_set_agrees_with_f64() {
        let u: Vec<f32> = (-12_000..12_000).map(|i| (i as f32 + 0.5) / 1000.0).chain([-1e4, 1e4]).collect();
        for activation in OTHERS {
            for isa in InstructionSet::available() {
                let mut g = u.clone();
                activation.apply(isa, &mut g);
                for (u, g) in u.iter().zip(&g) {
                    let expected = reference(activation, f64::from(*u));
                    let bound = 2e-7 + 4e-7 * expected.abs();
                    assert!((f64::from(*g) - expected).abs() <= bound, "{activation:?} {}: {u} gives {g}", isa.name());
                }
            }
            let mut d = vec![1.0; u.len()];
            activation.backward(&Context::new(2), &u, &mut d);
            for (u, d) in u.iter().zip(&d) {
                let x = f64::from(*u);
                let slope = (reference(activation, x + 1e-5) - reference(activation, x - 1e-5)) / 2e-5;
                assert!((f64::from(*d) - slope).abs() <= 2e-6, "{activation:?}: slope at {u} is {d}, not {slope}");
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let u = crate::testing::noise(10_001, 4).iter().map(|u| 9.0 * u).collect::<Vec<f32>>();
        for activation in OTHERS.into_iter().chain([Activation::Gelu]) {
            let values = |isa| {
                let mut values = u.clone();
                activation.apply(isa, &mut values);
                values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()
            };
            let plain = values(InstructionSet::available()[0]);
            InstructionSet::available()
                .into_iter()
                .for_each(|isa| assert_eq!(values(isa), plain, "{activation:?}: {}", isa.name()));
        }
    }

    #[test]
    fn nan_stays_nan() {
        for activation in OTHERS.into_iter().chain([Activation::Gelu]) {
            let mut g = [0.0];
            activation.forward(&Context::new(1), &[f32::NAN], &mut g);
            assert!(g[0].is_nan(), "{activation:?}");
        }
    }
}
