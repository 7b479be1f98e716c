//! Benchmark of the machine: the rate that no product can exceed.

use super::arithmetic::Arithmetic;
#[cfg(target_arch = "aarch64")]
use super::arithmetic::neon;
use super::arithmetic::portable;
#[cfg(target_arch = "x86_64")]
use super::arithmetic::{avx2, avx512};
use super::rhs::PackedMatrix;
use super::variant::{KernelVariant, LhsFormat};
use crate::context::Context;
use crate::instruction_set::{InstructionSet, Level, features, with_target_features};
use crate::matrix::Rows;
use crate::precision::Precision;
use std::time::Instant;

/// Most rows whose left operand stays in registers.
const MOST_ROWS: usize = 8;
/// Bytes of the panel: three quarters of a first-level cache of 32 KB.
const PANEL_BYTES: usize = 24 << 10;

/// Measures the operations per second of all threads in a loop that only multiplies and adds: the
/// left operand stays in registers, the right one in the first-level cache. A multiply-add counts
/// as two.
pub fn peak_rate(context: &Context, precision: Precision) -> f64 {
    rate(context, precision, 2_000)
}

fn rate(context: &Context, precision: Precision, rounds: usize) -> f64 {
    const TRIES: usize = 12;
    let variant = KernelVariant::expanded(context.isa(), precision);
    let depth = PANEL_BYTES / variant.unpacked_panel_bytes(1);
    let RegisterLoop { rows, .. } = register_loop(variant.isa, variant.precision);
    let operations = 2 * rows * variant.nr * variant.k_per_word * depth * rounds * context.threads();
    let compute = |_: usize| {
        // Floats that have to be rounded: emulated multiply-adds are faster for others.
        let word = match variant.lhs {
            LhsFormat::F32 | LhsFormat::RoundedF32 => 1.1f32.to_bits(),
            LhsFormat::Bf16Pairs | LhsFormat::BytePairs | LhsFormat::ByteQuads => 0,
        };
        let rhs = panel(&variant, depth, &vec![0.7; depth * variant.k_per_word * variant.nr]);
        let mut sums = vec![0u32; rows * variant.nr];
        for _ in 0..rounds {
            multiply(&variant, [word; MOST_ROWS], rhs.panel(0, 0..depth), depth, &mut sums);
        }
        std::hint::black_box(&sums);
    };
    let seconds = |_: usize| {
        let began = Instant::now();
        context.run(context.threads(), compute);
        began.elapsed().as_secs_f64()
    };
    operations as f64 / (0..TRIES).map(seconds).fold(f64::INFINITY, f64::min)
}

/// Packs `values`, `(depth · k_per_word, nr)`, as one panel.
fn panel(variant: &KernelVariant, depth: usize, values: &[f32]) -> PackedMatrix {
    let rows = Rows::new(values, depth * variant.k_per_word, variant.nr, variant.nr);
    PackedMatrix::packed(&Context::new(1), *variant, rows, false)
}

/// `sums[i][j] = Σ lhs[i] · panel[d][j]` over the depth: a product whose left operand has the same
/// word at every depth.
fn multiply(variant: &KernelVariant, lhs: [u32; MOST_ROWS], panel: &[u8], depth: usize, sums: &mut [u32]) {
    let RegisterLoop { rows, run } = register_loop(variant.isa, variant.precision);
    assert!(panel.len() >= variant.unpacked_panel_bytes(depth) && sums.len() == rows * variant.nr, "one tile");
    // SAFETY: the sizes were checked above, and detection has seen the instructions of the
    // instruction set.
    unsafe { run(lhs, panel.as_ptr(), depth, sums.as_mut_ptr()) };
}

/// A loop over the depth of a panel.
struct RegisterLoop {
    /// Rows of its tile: as many as there are registers for, so that enough sums are independent of
    /// one another to hide the time that an instruction takes.
    rows: usize,
    /// # Safety
    /// The machine has the instructions; a panel of this depth can be read, and a tile of `rows`
    /// rows written.
    run: unsafe fn(lhs: [u32; MOST_ROWS], panel: *const u8, depth: usize, sums: *mut u32),
}

fn register_loop(isa: InstructionSet, precision: Precision) -> RegisterLoop {
    use Precision::{Bf16, F32, Int8};
    match (precision, isa.level()) {
        (F32, Level::Portable) => f32_portable(),
        (Bf16, Level::Portable) => bf16_portable(),
        (Int8, Level::Portable) => int8_portable(),
        #[cfg(target_arch = "aarch64")]
        (F32 | Bf16, Level::Neon) => f32_neon(),
        #[cfg(target_arch = "aarch64")]
        (Int8, Level::Neon) => int8_neon(),
        #[cfg(target_arch = "x86_64")]
        (F32 | Bf16, Level::Avx2) => f32_avx2(),
        #[cfg(target_arch = "x86_64")]
        (Int8, Level::Avx2 | Level::Avx512) => int8_avx2(),
        #[cfg(target_arch = "x86_64")]
        (Bf16, Level::Avx512Bf16) => bf16_avx512bf16(),
        #[cfg(target_arch = "x86_64")]
        (F32 | Bf16, _) => f32_avx512(),
        #[cfg(target_arch = "x86_64")]
        (Int8, _) => int8_avx512vnni(),
    }
}

/// # Safety
/// As [`RegisterLoop::run`].
#[inline(always)]
unsafe fn in_registers<A: Arithmetic, const R: usize, const V: usize>(
    lhs: [u32; MOST_ROWS],
    panel: *const u8,
    depth: usize,
    into: *mut u32,
) {
    // SAFETY: the caller promises that panel and sums can be read and written, and the
    // instructions.
    unsafe {
        let lhs: [A::Lhs; R] = std::array::from_fn(|i| A::lhs(&lhs[i]));
        let mut sums = [[A::zero(); V]; R];
        for d in 0..depth {
            for v in 0..V {
                let rhs = A::rhs(panel.add((d * V + v) * A::RHS_BYTES));
                for (row, lhs) in sums.iter_mut().zip(lhs) {
                    row[v] = A::multiply_add(row[v], lhs, rhs);
                }
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (v, sums) in row.iter().enumerate() {
                A::store(*sums, into.add((i * V + v) * A::LANES));
            }
        }
    }
}

macro_rules! register_loops {
    ($($features:ident $name:ident: $arithmetic:ty, $rows:literal rows, $vectors:literal registers;)*) => {
        $(fn $name() -> RegisterLoop {
            features!($features, with_target_features! {
                /// # Safety
                /// As [`RegisterLoop::run`].
                unsafe fn run(lhs: [u32; MOST_ROWS], panel: *const u8, depth: usize, sums: *mut u32) {
                    // SAFETY: as the caller promises.
                    unsafe { in_registers::<$arithmetic, $rows, $vectors>(lhs, panel, depth, sums) }
                }
            });
            RegisterLoop { rows: $rows, run }
        })*
    };
}

register_loops! {
    portable f32_portable: portable::Floats, 4 rows, 1 registers;
    portable bf16_portable: portable::RoundedFloats, 4 rows, 1 registers;
    portable int8_portable: portable::Bytes, 4 rows, 1 registers;
}

#[cfg(target_arch = "x86_64")]
register_loops! {
    avx2 f32_avx2: avx2::Floats, 4 rows, 2 registers;
    avx2 int8_avx2: avx2::Bytes, 4 rows, 2 registers;
    avx512 f32_avx512: avx512::Floats, 8 rows, 2 registers;
    avx512vnni int8_avx512vnni: avx512::Bytes, 8 rows, 2 registers;
    avx512bf16 bf16_avx512bf16: avx512::Bf16, 8 rows, 2 registers;
}

#[cfg(target_arch = "aarch64")]
register_loops! {
    neon f32_neon: neon::Floats, 4 rows, 4 registers;
    neon int8_neon: neon::Bytes, 4 rows, 4 registers;
}

#[cfg(test)]
mod tests {
    use super::super::tile::{Layout, Lhs};
    use super::super::variant::Operands;
    use super::*;
    use crate::disjoint::Block;
    use crate::testing::noise;

    fn variants() -> impl Iterator<Item = KernelVariant> {
        let of = |isa| Precision::ALL.map(|precision| KernelVariant::expanded(isa, precision));
        InstructionSet::available().into_iter().flat_map(of)
    }

    #[test]
    fn every_instruction_set_has_a_rate_in_every_precision() {
        for KernelVariant { isa, precision, .. } in variants() {
            let context = Context::with_instruction_set(1, isa);
            assert!(rate(&context, precision, 2) > 0.0, "{} {}", isa.name(), precision.name());
        }
    }

    #[test]
    fn the_measured_loop_gives_the_sums_of_the_product() {
        for variant in variants() {
            let depth = 37;
            let rhs = panel(&variant, depth, &noise(depth * variant.k_per_word * variant.nr, 1));
            let rhs = rhs.panel(0, 0..depth);
            let RegisterLoop { rows, .. } = register_loop(variant.isa, variant.precision);
            let lhs: [u32; MOST_ROWS] = match variant.lhs {
                LhsFormat::F32 | LhsFormat::RoundedF32 => {
                    [1.0, -2.0, 0.5, 3.0, -1.0, 0.25, 7.0, -6.0].map(f32::to_bits)
                }
                _ => std::array::from_fn(|row| 0x0002_0001 + 0x0003_0001 * row as u32),
            };
            let mut sums = vec![0u32; rows * variant.nr];
            multiply(&variant, lhs, rhs, depth, &mut sums);
            let words: Vec<u32> = lhs[..rows].iter().flat_map(|word| std::iter::repeat_n(*word, depth)).collect();
            let mut expected = vec![0.0f32; rows * variant.nr];
            let lhs = Lhs { words: &words, layout: Layout::RowMajor(depth) };
            let operands = Operands { lhs, panel: rhs, depth, accumulate: false, next: &[] };
            variant.multiply(operands, Block::new(&mut expected, variant.nr));
            let expected: Vec<u32> = expected.iter().map(|sum| sum.to_bits()).collect();
            assert_eq!(sums, expected, "{} {}", variant.isa.name(), variant.precision.name());
        }
    }
}
