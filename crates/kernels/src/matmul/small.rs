//! f32 products of operands in a task's own memory, such as those of attention. The caller packs
//! the right operand into panels; the left one is read in place.

use super::tile::{Layout, Lhs};
use super::variant::{KernelVariant, Operands};
use crate::aligned::cast;
use crate::disjoint::Block;
use crate::instruction_set::InstructionSet;
use crate::precision::Precision;

/// A left operand in place.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) layout: Layout,
}

/// A right operand, `[panel][k][column]`, with [`SmallProduct::nr`] columns a panel.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) k: usize,
}

/// Small f32 products on an instruction set.
#[derive(Clone, Copy)]
pub(crate) struct SmallProduct(KernelVariant);

impl SmallProduct {
    pub(crate) fn new(isa: InstructionSet) -> Self {
        Self(KernelVariant::expanded(isa, Precision::F32))
    }

    /// Columns of a panel.
    pub(crate) fn nr(&self) -> usize {
        self.0.nr
    }

    /// `sums[i][j] = Σ lhs[i][k] · rhs[k][j]` over k in ascending order, or `+=` if `accumulate`.
    /// `sums` is `(rows, n)` without gaps, where n is the number of columns of all panels. A sum
    /// that is divided among calls has the same bits as one call.
    pub(crate) fn multiply(&self, lhs: Strided<'_>, rhs: Panels<'_>, sums: &mut [f32], rows: usize, accumulate: bool) {
        let KernelVariant { mr, nr, .. } = self.0;
        if sums.is_empty() {
            return;
        }
        let n = sums.len() / rows;
        assert_eq!(n % nr, 0, "{n} columns in panels of {nr}");
        let lhs = Lhs { words: cast(lhs.values), layout: lhs.layout };
        let panels: &[u8] = cast(rhs.values);
        let panel_bytes = self.0.panel_bytes(rhs.k);
        let mut sums = Block::new(sums, n);
        for panel in 0..n / nr {
            for first in (0..rows).step_by(mr) {
                let tile = sums.part(first..rows.min(first + mr), panel * nr..(panel + 1) * nr);
                let operands = Operands {
                    lhs: lhs.from(first, 0),
                    panel: &panels[panel * panel_bytes..],
                    depth: rhs.k,
                    accumulate,
                    next: &[],
                };
                self.0.multiply(operands, tile);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};

    /// With a row-major and a column-major left operand, and with the sum divided.
    #[test]
    fn every_instruction_set_agrees_with_the_plain_small_product() {
        for isa in InstructionSet::available() {
            let product = SmallProduct::new(isa);
            let nr = product.nr();
            for (rows, k, panels) in [(1, 1, 1), (5, 7, 2), (13, 64, 1), (25, 33, 3), (4, 0, 1)] {
                let what = format!("{} ({rows}, {k}, {panels} panels)", isa.name());
                let n = panels * nr;
                let (a, b) = (noise(rows * k, 1), noise(panels * k * nr, 2));
                let rhs = |p: usize, j: usize| b[(j / nr * k + p) * nr + j % nr];
                let lhs = |i: usize, p: usize| a[i * k + p];
                let sum = |i: usize, j: usize| (0..k).map(|p| f64::from(lhs(i, p)) * f64::from(rhs(p, j))).sum();
                let expected: Vec<f64> = (0..rows * n).map(|index| sum(index / n, index % n)).collect();
                let mut sums = vec![9.0; rows * n];
                let row_major = Strided { values: &a, layout: Layout::RowMajor(k) };
                product.multiply(row_major, Panels { values: &b, k }, &mut sums, rows, false);
                assert_close(&sums, &expected, 1e-5, &what);
                let transposed: Vec<f32> = (0..rows * k).map(|index| lhs(index % rows, index / rows)).collect();
                let mut divided = vec![9.0; rows * n];
                for (number, part) in [0..k / 3, k / 3..k].into_iter().enumerate() {
                    let panel = |panel: usize| b[(panel * k + part.start) * nr..][..part.len() * nr].to_vec();
                    let values: Vec<f32> = (0..panels).flat_map(panel).collect();
                    let column_major =
                        Strided { values: &transposed[part.start * rows..], layout: Layout::ColumnMajor(rows) };
                    let rhs = Panels { values: &values, k: part.len() };
                    product.multiply(column_major, rhs, &mut divided, rows, number > 0);
                }
                assert_eq!(divided, sums, "{what}");
            }
            println!("small products: {} checked", isa.name());
        }
    }
}
