//! Matrix products `c = a · b` in f32, bf16 and int8, with `b` packed into panels as wide as a
//! tile.
//!
//! Every element of the result is one chain of multiply-adds over k in ascending order, for any
//! tiling, number of threads and number of rows. A row therefore has the same bits in any batch,
//! and a sum over tokens may be divided anywhere (in bf16 after an even number). Multiplication and
//! addition round once on every instruction set, so that f32 products have the same bits on all of
//! them, and bf16 products on those without instructions for bf16, which round differently.

mod arithmetic;
mod epilogue;
mod interleave;
mod lhs;
mod peak_rate;
mod product;
mod rhs;
mod small;
mod tile;
mod variant;

pub use epilogue::Epilogue;
pub use peak_rate::peak_rate;
pub use rhs::PackedMatrix;
pub(crate) use small::{Panels, SmallProduct, Strided};
pub(crate) use tile::Layout;

use crate::context::Context;
use crate::matrix::Rows;
use crate::precision::Precision;
use epilogue::Finish;
use lhs::{LhsOperand, with_transposed};
use product::{BLOCK_DEPTH, portion, product};
use rhs::{RhsOperand, with_packed};
use variant::KernelVariant;

/// `c = a · b`, or `c += a · b` if `accumulate`. `a` is `(m, k)`, `b` `(k, n)`, `c` `(m, n)`
/// without gaps.
///
/// # Panics
/// If shapes differ.
pub fn matmul(context: &Context, precision: Precision, a: Rows<'_>, b: Rows<'_>, c: &mut [f32], accumulate: bool) {
    assert_eq!(a.columns(), b.rows(), "({}, {}) · ({}, {})", a.rows(), a.columns(), b.rows(), b.columns());
    with_packed(context, KernelVariant::expanded(context.isa(), precision), b, false, |packed| {
        product(context, &LhsOperand::Rows(a), &RhsOperand::Packed(packed), c, accumulate, &Finish::NONE);
    });
}

/// `c = a · bᵀ` in f32, or `c += a · bᵀ` if `accumulate`. `a` is `(m, k)`, `b` `(n, k)`, `c` `(m,
/// n)` without gaps.
///
/// # Panics
/// If shapes differ.
pub fn matmul_transposed(context: &Context, a: Rows<'_>, b: Rows<'_>, c: &mut [f32], accumulate: bool) {
    assert_eq!(a.columns(), b.columns(), "({}, {}) · ({}, {})ᵀ", a.rows(), a.columns(), b.rows(), b.columns());
    with_packed(context, KernelVariant::expanded(context.isa(), Precision::F32), b, true, |packed| {
        product(context, &LhsOperand::Rows(a), &RhsOperand::Packed(packed), c, accumulate, &Finish::NONE);
    });
}

/// `c = epilogue(a · b + bias)`: a linear layer. `a` is `(m, k)`, `c` `(m, n)` without gaps.
///
/// # Panics
/// If shapes differ.
pub fn linear(
    context: &Context,
    a: Rows<'_>,
    b: &PackedMatrix,
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
    c: &mut [f32],
) {
    assert_eq!(a.columns(), b.k(), "({}, {}) · ({}, {})", a.rows(), a.columns(), b.k(), b.n());
    assert!(bias.is_none_or(|bias| bias.len() == b.n()), "a bias for each of {} columns", b.n());
    if let Epilogue::Add(x) = epilogue {
        assert_eq!(x.len(), c.len(), "a residual for each element");
    }
    product(context, &LhsOperand::Rows(a), &RhsOperand::Packed(b), c, false, &Finish { bias, epilogue });
}

/// `c += aᵀ · b`: the gradient of a weight, a sum over tokens. `a` is `(t, m)`, `b` `(t, n)`, `c`
/// `(m, n)` without gaps. Two calls with the first and the last tokens give the same bits as one
/// with all of them.
///
/// # Panics
/// If shapes differ, or in int8.
pub fn matmul_weight_gradient(context: &Context, precision: Precision, a: Rows<'_>, b: Rows<'_>, c: &mut [f32]) {
    assert_eq!(a.rows(), b.rows(), "({}, {})ᵀ · ({}, {})", a.rows(), a.columns(), b.rows(), b.columns());
    let variant = KernelVariant::expanded(context.isa(), precision);
    // A block of tokens at a time, so that the packed left operand stays in cache.
    let depth = variant.depth(a.rows());
    let blocks = depth.div_ceil(BLOCK_DEPTH);
    for number in 0..blocks {
        let words = portion(depth, number, blocks);
        let tokens = words.start * variant.k_per_word..a.rows().min(words.end * variant.k_per_word);
        with_transposed(context, &variant, a.range(tokens.clone()), |lhs| {
            product(context, lhs, &RhsOperand::Rows(variant, b.range(tokens)), c, true, &Finish::NONE);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bf16::rounded;
    use crate::instruction_set::InstructionSet;
    use crate::testing::{assert_close, noise};
    use proptest::prelude::*;

    fn reference_matmul(a: Rows<'_>, b: Rows<'_>, c: &[f32]) -> Vec<f64> {
        let n = b.columns();
        let element = |index: usize| {
            let (row, column) = (index / n, index % n);
            let products = a.row(row).iter().enumerate().map(|(k, a)| f64::from(*a) * f64::from(b.row(k)[column]));
            f64::from(c[index]) + products.sum::<f64>()
        };
        (0..c.len()).map(element).collect()
    }

    fn transposed(rows: Rows<'_>) -> Vec<f32> {
        (0..rows.columns()).flat_map(|column| (0..rows.rows()).map(move |row| rows.row(row)[column])).collect()
    }

    fn multiply(
        isa: InstructionSet,
        precision: Precision,
        threads: usize,
        a: Rows<'_>,
        b: Rows<'_>,
        c: &mut [f32],
        accumulate: bool,
    ) {
        let context = Context::with_instruction_set(threads, isa);
        let mut compact = c.to_vec();
        for (variant, c) in [
            (KernelVariant::expanded(isa, precision), &mut *c),
            (KernelVariant::compact(isa, precision), &mut compact[..]),
        ] {
            let packed = PackedMatrix::packed(&context, variant, b, false);
            product(&context, &LhsOperand::Rows(a), &RhsOperand::Packed(&packed), c, accumulate, &Finish::NONE);
        }
        let bits = |c: &[f32]| c.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(c), bits(&compact), "{} {}: expanded and compact", isa.name(), precision.name());
    }

    fn all_rounded(values: &[f32]) -> Vec<f32> {
        values.iter().map(|value| rounded(*value)).collect()
    }

    /// Returns rows after quantization to bytes with a scale and a zero point, and columns with a
    /// scale.
    fn rounded_to_bytes(a: Rows<'_>, b: Rows<'_>) -> (Vec<f32>, Vec<f32>) {
        let mut lhs = Vec::new();
        for row in 0..a.rows() {
            let (least, largest) = a.row(row).iter().fold((0f32, 0f32), |(l, h), x| (l.min(*x), h.max(*x)));
            let scale = (largest - least) / 255.0;
            let zero = (-least * (1.0 / scale)).round_ties_even();
            let byte = |x: &f32| ((x * (1.0 / scale)).round_ties_even() + zero).clamp(0.0, 255.0);
            lhs.extend(a.row(row).iter().map(|x| (byte(x) - zero) * scale));
        }
        let scale = |column: usize| (0..b.rows()).map(|k| b.row(k)[column].abs()).fold(0.0, f32::max) / 63.0;
        let scales: Vec<f32> = (0..b.columns()).map(scale).collect();
        let rhs = (0..b.rows()).flat_map(|k| b.row(k).iter().zip(&scales).map(|(x, s)| (x / s).round_ties_even() * s));
        (lhs, rhs.collect())
    }

    const SHAPES: [(usize, usize, usize); 10] = [
        (1, 1, 1),
        (1, 384, 40),
        (5, 7, 31),
        (12, 64, 32),
        (13, 65, 33),
        (25, 3, 97),
        (100, 40, 64),
        (3, 1000, 17),
        (7, 1537, 50),
        (97, 10, 16),
    ];

    /// The instruction set with the same bits: those with instructions for bf16 have bits of their
    /// own.
    fn same_bits_as(isa: InstructionSet, precision: Precision) -> InstructionSet {
        if precision == Precision::Bf16 && isa.has_bf16() { isa } else { InstructionSet::available()[0] }
    }

    #[test]
    fn every_instruction_set_agrees_with_the_plain_product_for_odd_shapes_and_gives_the_same_bits() {
        for isa in InstructionSet::available() {
            for (m, k, n) in SHAPES.into_iter().chain([(3, 0, 5)]) {
                let (a, b) = (noise(m * (k + 3), 1), noise(k * n, 2));
                let (rounded_a, rounded_b) = (all_rounded(&a), all_rounded(&b));
                for (precision, lhs, rhs) in [(Precision::F32, &a, &b), (Precision::Bf16, &rounded_a, &rounded_b)] {
                    let what = format!("{} {} ({m},{k},{n})", isa.name(), precision.name());
                    let (plain_a, plain_b) = (Rows::new(lhs, m, k, k + 3), Rows::new(rhs, k, n, n));
                    let (a, b) = (Rows::new(&a, m, k, k + 3), Rows::new(&b, k, n, n));
                    for accumulate in [false, true] {
                        let mut c = noise(m * n, 3);
                        let start = if accumulate { c.clone() } else { vec![0.0; m * n] };
                        let mut other = c.clone();
                        multiply(isa, precision, 2, a, b, &mut c, accumulate);
                        assert_close(&c, &reference_matmul(plain_a, plain_b, &start), 2e-5, &what);
                        multiply(same_bits_as(isa, precision), precision, 2, a, b, &mut other, accumulate);
                        assert_eq!(c, other, "{what}");
                    }
                }
            }
            println!("matmul: {} checked in f32 and bf16", isa.name());
        }
    }

    /// Sums of bytes are exact: the same bits on all instruction sets, and those of the plain
    /// product of the rounded operands.
    #[test]
    fn products_of_bytes_are_exact_and_the_same_on_every_instruction_set() {
        for (m, k, n) in SHAPES {
            let (a, b) = (noise(m * (k + 3), 1), noise(k * n, 2));
            let (a, b) = (Rows::new(&a, m, k, k + 3), Rows::new(&b, k, n, n));
            let (lhs, rhs) = rounded_to_bytes(a, b);
            let expected = reference_matmul(Rows::new(&lhs, m, k, k), Rows::new(&rhs, k, n, n), &vec![0.0; m * n]);
            let mut first = None;
            for isa in InstructionSet::available() {
                let mut c = vec![9.0; m * n];
                multiply(isa, Precision::Int8, 2, a, b, &mut c, false);
                assert_close(&c, &expected, 1e-5, &format!("{} ({m},{k},{n})", isa.name()));
                assert_eq!(&c, first.get_or_insert_with(|| c.clone()), "{} ({m},{k},{n})", isa.name());
            }
        }
        for isa in InstructionSet::available() {
            println!("matmul: {} checked in int8", isa.name());
        }
    }

    /// Zeros, rows of one value, and the largest sums of bytes.
    #[test]
    fn extreme_operands_of_int8() {
        for isa in InstructionSet::available() {
            let a = [vec![0.0; 3000], vec![5.0; 3000], vec![-2.0; 3000]].concat();
            let b = [vec![0.0; 3000], vec![1.0; 3000], vec![-7.0; 3000]].concat();
            let context = Context::new(1);
            let variant = KernelVariant::expanded(isa, Precision::Int8);
            let packed = PackedMatrix::packed(&context, variant, Rows::new(&b, 3, 3000, 3000), true);
            let mut c = vec![9.0; 9];
            let packed = RhsOperand::Packed(&packed);
            product(&context, &LhsOperand::Rows(Rows::new(&a, 3, 3000, 3000)), &packed, &mut c, false, &Finish::NONE);
            let expected = [0.0, 0.0, 0.0, 0.0, 15_000.0, -105_000.0, 0.0, -6000.0, 42_000.0];
            assert_close(&c, &expected, 1e-4, isa.name());
        }
    }

    #[test]
    fn nan_and_infinity_stay_in_their_row() {
        for isa in InstructionSet::available() {
            for precision in Precision::ALL {
                for bad in [f32::NAN, f32::INFINITY] {
                    let mut a = noise(2 * 40, 1);
                    let b = noise(40 * 20, 2);
                    let mut expected = vec![0.0; 40];
                    multiply(
                        isa,
                        precision,
                        1,
                        Rows::new(&a, 2, 40, 40),
                        Rows::new(&b, 40, 20, 20),
                        &mut expected,
                        false,
                    );
                    a[3] = bad;
                    let mut c = vec![0.0; 40];
                    multiply(isa, precision, 1, Rows::new(&a, 2, 40, 40), Rows::new(&b, 40, 20, 20), &mut c, false);
                    assert!(c[..20].iter().all(|c| !c.is_finite()), "{} {}", isa.name(), precision.name());
                    assert_eq!(c[20..], expected[20..]);
                }
            }
        }
    }

    #[test]
    fn all_functions_compute_the_same_product() {
        let context = Context::new(2);
        let (m, k, n) = (29, 70, 45);
        let (a, b, bias) = (noise(m * k, 4), noise(k * n, 5), noise(n, 6));
        let (a, b) = (Rows::new(&a, m, k, k), Rows::new(&b, k, n, n));
        let b_transposed = transposed(b);
        let b_transposed = Rows::new(&b_transposed, n, k, k);
        let a_transposed = transposed(a);
        for precision in Precision::ALL {
            let mut expected = vec![0.0; m * n];
            matmul(&context, precision, a, b, &mut expected, false);
            let mut c = vec![9.0; m * n];
            let mut packed = PackedMatrix::pack(&context, precision, b);
            linear(&context, a, &packed, None, Epilogue::None, &mut c);
            assert_eq!(c, expected);
            packed.repack_transposed(&context, b_transposed);
            linear(&context, a, &packed, Some(&bias), Epilogue::None, &mut c);
            let packed = PackedMatrix::pack_transposed_expanded(&context, precision, b_transposed);
            let mut again = vec![9.0; m * n];
            linear(&context, a, &packed, Some(&bias), Epilogue::None, &mut again);
            assert_eq!(c, again);
            let biased: Vec<f32> = expected.iter().enumerate().map(|(i, value)| value + bias[i % n]).collect();
            assert_eq!(c, biased);
            let x = noise(m * n, 7);
            linear(&context, a, &packed, Some(&bias), Epilogue::Add(&x), &mut c);
            assert_eq!(c, biased.iter().zip(&x).map(|(c, x)| c + x).collect::<Vec<_>>());
            linear(&context, a, &packed, Some(&bias), Epilogue::Activation(crate::Activation::Gelu), &mut c);
            let mut gelu = vec![0.0; m * n];
            crate::Activation::Gelu.forward(&context, &biased, &mut gelu);
            assert_eq!(c, gelu);
            if precision == Precision::Int8 {
                continue;
            }
            c.fill(0.0);
            matmul_weight_gradient(&context, precision, Rows::new(&a_transposed, k, m, m), b, &mut c);
            assert_eq!(c, expected);
        }
        let mut expected = vec![0.0; m * n];
        matmul(&context, Precision::F32, a, b, &mut expected, false);
        let mut c = vec![9.0; m * n];
        matmul_transposed(&context, a, b_transposed, &mut c, false);
        assert_eq!(c, expected);
    }

    #[test]
    fn weight_gradients_agree_on_every_instruction_set() {
        for isa in InstructionSet::available() {
            for (t, m, n) in [(0, 3, 4), (1, 1, 1), (19, 13, 33), (64, 50, 70), (801, 25, 40), (1601, 100, 150)] {
                let (a, b, start) = (noise(t * m, 1), noise(t * n, 2), noise(m * n, 3));
                for precision in [Precision::F32, Precision::Bf16] {
                    let on = |isa: InstructionSet| {
                        let (a, b, mut c) = (Rows::new(&a, t, m, m), Rows::new(&b, t, n, n), start.clone());
                        matmul_weight_gradient(&Context::with_instruction_set(2, isa), precision, a, b, &mut c);
                        c
                    };
                    let c = on(isa);
                    assert_eq!(c, on(same_bits_as(isa, precision)), "{} {}", isa.name(), precision.name());
                    let (a, b) = if precision == Precision::F32 {
                        (a.clone(), b.clone())
                    } else {
                        (all_rounded(&a), all_rounded(&b))
                    };
                    let a_transposed = transposed(Rows::new(&a, t, m, m));
                    let expected = reference_matmul(Rows::new(&a_transposed, m, t, t), Rows::new(&b, t, n, n), &start);
                    let tolerance = 2e-5f64.max(4e-8 * t as f64);
                    assert_close(&c, &expected, tolerance, &format!("{} {}", isa.name(), precision.name()));
                }
            }
            println!("weight gradients: {} checked in f32 and bf16", isa.name());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// No bit depends on other rows, on threads, or on the division of a sum over tokens.
        #[test]
        fn results_are_the_same_bits_for_any_batch_and_number_of_threads(m in 1usize..120, k in 0usize..80, n in 1usize..80, threads in 1usize..4, cut in 0usize..40) {
            let (a, b) = (noise(m * k, 1), noise(k * n, 2));
            let (a, b) = (Rows::new(&a, m, k, k), Rows::new(&b, k, n, n));
            for (isa, precision) in InstructionSet::available().into_iter().flat_map(|isa| Precision::ALL.map(|precision| (isa, precision))) {
                let mut whole = vec![0.0; m * n];
                multiply(isa, precision, threads, a, b, &mut whole, false);
                let mut last = vec![0.0; n];
                multiply(isa, precision, 1, a.range(m - 1..m), b, &mut last, false);
                prop_assert_eq!(&whole[(m - 1) * n..], &last[..]);
            }
            let (t, cut) = (k, (2 * cut).min(k));
            let lhs = noise(t * m, 7);
            let lhs = Rows::new(&lhs, t, m, m);
            for precision in [Precision::F32, Precision::Bf16] {
                let mut whole = noise(m * n, 8);
                let mut parts = whole.clone();
                matmul_weight_gradient(&Context::new(threads), precision, lhs, b, &mut whole);
                matmul_weight_gradient(&Context::new(1), precision, lhs.range(0..cut), b.range(0..cut), &mut parts);
                matmul_weight_gradient(&Context::new(1), precision, lhs.range(cut..t), b.range(cut..t), &mut parts);
                prop_assert_eq!(whole, parts);
            }
        }
    }
}
