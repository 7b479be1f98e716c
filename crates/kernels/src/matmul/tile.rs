//! The innermost loops: some rows of the left operand times one panel of 32 columns, all sums in registers.
//! AVX-512: 12 rows × 2 registers of 16. AVX2: 6 rows × 2 registers of 8, for each half of the panel. Portable: 4 rows.

use super::panels::PANEL;
use crate::dispatch::{Isa, Level};
use crate::matrix::Rows;

/// The height of the tallest tile.
pub(super) const TALLEST: usize = 12;

/// A left operand `(rows, k)`.
pub(super) struct Left<'a> {
    data: &'a [f32],
    pub(super) rows: usize,
    pub(super) k: usize,
    layout: Layout,
}

#[derive(Clone, Copy)]
enum Layout {
    /// Row after row, `stride` apart.
    Rows { stride: usize },
    /// In blocks of `height` rows, k after k.
    Packed { height: usize },
}

impl<'a> Left<'a> {
    pub(super) fn rows(a: Rows<'a>) -> Self {
        Self { data: a.data(), rows: a.rows(), k: a.columns(), layout: Layout::Rows { stride: a.stride() } }
    }

    pub(super) fn packed(data: &'a [f32], rows: usize, k: usize, height: usize) -> Self {
        assert!(data.len() >= rows.div_ceil(height) * height * k, "{} values for ({rows}, {k})", data.len());
        Self { data, rows, k, layout: Layout::Packed { height } }
    }

    /// Where row `row` begins, and the steps from row to row and from k to k. All `(row + i, k)` with `i < height` lie in the
    /// data, which is checked.
    fn locate(&self, row: usize, height: usize) -> (*const f32, usize, usize) {
        assert!(row + height <= self.rows, "rows {row}..{} of {}", row + height, self.rows);
        let (start, row_step, k_step) = match self.layout {
            Layout::Rows { stride } => (row * stride, stride, 1),
            Layout::Packed { height: block } => {
                assert!(row.is_multiple_of(block) && height <= block, "a tile is a block");
                (row * self.k, 1, block)
            }
        };
        if self.k > 0 {
            let last = start + (height - 1) * row_step + (self.k - 1) * k_step;
            assert!(last < self.data.len(), "element {last} of {}", self.data.len());
        }
        (self.data[start.min(self.data.len())..].as_ptr(), row_step, k_step)
    }
}

/// The tile of a rung.
pub(super) struct Tile {
    level: Level,
}

impl Tile {
    pub(super) fn new(isa: Isa) -> Self {
        Self { level: isa.level() }
    }

    /// Rows that are computed at once.
    pub(super) fn height(&self) -> usize {
        match self.level {
            Level::Portable => 4,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 6,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 12,
        }
    }

    /// `into[i][j] = Σ left[row + i][k] · panel[k][j]`, the sum beginning with what is there if `accumulate`.
    pub(super) fn compute(
        &self,
        left: &Left<'_>,
        row: usize,
        height: usize,
        panel: &[f32],
        into: &mut [f32; TALLEST * PANEL],
        accumulate: bool,
    ) {
        let k = left.k;
        assert_eq!(panel.len(), k * PANEL, "a panel of {k} rows");
        let (a, row_step, k_step) = left.locate(row, height);
        macro_rules! by_height {
            ($function:ident: $($height:literal)*) => {
                match height {
                    // SAFETY: `locate` has checked that all elements of `a` are there, the panel has k rows, and the level
                    // says that the machine has the instructions.
                    $($height => unsafe { $function::<$height>(a, row_step, k_step, k, panel.as_ptr(), into, accumulate) },)*
                    _ => unreachable!("a tile of {height} rows"),
                }
            };
        }
        match self.level {
            Level::Portable => by_height!(portable: 1 2 3 4),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => by_height!(avx2: 1 2 3 4 5 6),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => by_height!(avx512: 1 2 3 4 5 6 7 8 9 10 11 12),
        }
    }
}

/// # Safety
/// `a + i · row_step + p · k_step` for i < R, p < k, and `panel` to `k · 32` can be read.
unsafe fn portable<const R: usize>(
    a: *const f32,
    row_step: usize,
    k_step: usize,
    k: usize,
    panel: *const f32,
    into: &mut [f32; TALLEST * PANEL],
    accumulate: bool,
) {
    for i in 0..R {
        let sums = &mut into[i * PANEL..(i + 1) * PANEL];
        if !accumulate {
            sums.fill(0.0);
        }
        for p in 0..k {
            // SAFETY: the caller promises that these can be read.
            let (x, b) =
                unsafe { (*a.add(i * row_step + p * k_step), std::slice::from_raw_parts(panel.add(p * PANEL), PANEL)) };
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += x * b;
            }
        }
    }
}

/// # Safety
/// As `portable`; the machine has AVX-512 F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const R: usize>(
    a: *const f32,
    row_step: usize,
    k_step: usize,
    k: usize,
    panel: *const f32,
    into: &mut [f32; TALLEST * PANEL],
    accumulate: bool,
) {
    use std::arch::x86_64::*;
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    let out = into.as_mut_ptr();
    if accumulate {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `into` has 12 rows of 32, and R is at most 12.
            *sums = unsafe { [_mm512_loadu_ps(out.add(i * PANEL)), _mm512_loadu_ps(out.add(i * PANEL + 16))] };
        }
    }
    for p in 0..k {
        // SAFETY: the caller promises that the panel can be read.
        let b = unsafe { [_mm512_loadu_ps(panel.add(p * PANEL)), _mm512_loadu_ps(panel.add(p * PANEL + 16))] };
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller promises that these elements can be read.
            let x = _mm512_set1_ps(unsafe { *a.add(i * row_step + p * k_step) });
            sums[0] = _mm512_fmadd_ps(x, b[0], sums[0]);
            sums[1] = _mm512_fmadd_ps(x, b[1], sums[1]);
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        // SAFETY: `into` has 12 rows of 32, and R is at most 12.
        unsafe {
            _mm512_storeu_ps(out.add(i * PANEL), sums[0]);
            _mm512_storeu_ps(out.add(i * PANEL + 16), sums[1]);
        }
    }
}

/// # Safety
/// As `portable`; the machine has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const R: usize>(
    a: *const f32,
    row_step: usize,
    k_step: usize,
    k: usize,
    panel: *const f32,
    into: &mut [f32; TALLEST * PANEL],
    accumulate: bool,
) {
    use std::arch::x86_64::*;
    for half in [0, 16] {
        let mut sums = [[_mm256_setzero_ps(); 2]; R];
        // SAFETY: `into` has 12 rows of 32, and R is at most 6.
        let out = unsafe { into.as_mut_ptr().add(half) };
        if accumulate {
            for (i, sums) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                *sums = unsafe { [_mm256_loadu_ps(out.add(i * PANEL)), _mm256_loadu_ps(out.add(i * PANEL + 8))] };
            }
        }
        for p in 0..k {
            // SAFETY: the caller promises that the panel can be read.
            let b = unsafe {
                let b = panel.add(p * PANEL + half);
                [_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8))]
            };
            for (i, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller promises that these elements can be read.
                let x = _mm256_set1_ps(unsafe { *a.add(i * row_step + p * k_step) });
                sums[0] = _mm256_fmadd_ps(x, b[0], sums[0]);
                sums[1] = _mm256_fmadd_ps(x, b[1], sums[1]);
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: as above.
            unsafe {
                _mm256_storeu_ps(out.add(i * PANEL), sums[0]);
                _mm256_storeu_ps(out.add(i * PANEL + 8), sums[1]);
            }
        }
    }
}
