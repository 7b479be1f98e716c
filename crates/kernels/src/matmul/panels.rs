//! How operands are packed: the right one into panels of 32 columns, `[panel][k][32]`, the last filled up with zeros; the left
//! one, where it comes transposed, into blocks of as many rows as a tile is high, `[block][k][height]`.

use crate::matrix::Rows;
use crate::parallel::Pool;
use std::cell::RefCell;

/// Columns of a panel.
pub(super) const PANEL: usize = 32;

/// A right operand, packed once for many products.
pub struct PackedMatrix {
    k: usize,
    n: usize,
    panels: Vec<f32>,
}

impl PackedMatrix {
    /// Packs `b`, `(k, n)`.
    pub fn pack(pool: &Pool, b: Rows<'_>) -> Self {
        let mut packed = Self { k: b.rows(), n: b.columns(), panels: Vec::new() };
        packed.repack(pool, b);
        packed
    }

    /// Packs `wᵀ` of a weight `w`, `(n, k)`.
    pub fn pack_transposed(pool: &Pool, w: Rows<'_>) -> Self {
        let mut packed = Self { k: w.columns(), n: w.rows(), panels: Vec::new() };
        packed.repack_transposed(pool, w);
        packed
    }

    /// Packs other values of the same shape into the same memory.
    pub fn repack(&mut self, pool: &Pool, b: Rows<'_>) {
        assert_eq!((self.k, self.n), (b.rows(), b.columns()), "the shape stays");
        pack_panels(pool, b, false, &mut self.panels);
    }

    /// Packs other values of the same shape into the same memory.
    pub fn repack_transposed(&mut self, pool: &Pool, w: Rows<'_>) {
        assert_eq!((self.k, self.n), (w.columns(), w.rows()), "the shape stays");
        pack_panels(pool, w, true, &mut self.panels);
    }

    /// Rows of the operand.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Columns of the operand.
    pub fn n(&self) -> usize {
        self.n
    }

    pub(super) fn panels(&self) -> &[f32] {
        &self.panels
    }
}

thread_local! {
    /// Memory for operands that are packed for one product only, kept from product to product.
    static RIGHT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static LEFT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Packs `b` — `(k, n)`, or `(n, k)` if `transposed` — for one product.
pub(super) fn with_panels<R>(pool: &Pool, b: Rows<'_>, transposed: bool, f: impl FnOnce(&[f32]) -> R) -> R {
    // Taken out while in use, so that a product inside the closure finds an empty buffer and not a locked one.
    let mut panels = RIGHT.take();
    pack_panels(pool, b, transposed, &mut panels);
    let result = f(&panels);
    RIGHT.replace(panels);
    result
}

/// Packs `aᵀ` of `a`, `(t, m)`, into blocks of `height` rows.
pub(super) fn with_packed_rows<R>(pool: &Pool, a: Rows<'_>, height: usize, f: impl FnOnce(&[f32]) -> R) -> R {
    let mut packed = LEFT.take();
    let (t, m) = (a.rows(), a.columns());
    packed.resize(m.div_ceil(height) * t * height, 0.0);
    if t > 0 {
        pool.for_each_chunk(&mut packed, t * height, |block, chunk| {
            let start = block * height;
            let rows = height.min(m - start);
            for (token, into) in chunk.chunks_exact_mut(height).enumerate() {
                into[..rows].copy_from_slice(&a.row(token)[start..start + rows]);
                into[rows..].fill(0.0);
            }
        });
    }
    let result = f(&packed);
    LEFT.replace(packed);
    result
}

fn pack_panels(pool: &Pool, b: Rows<'_>, transposed: bool, panels: &mut Vec<f32>) {
    let (k, n) = if transposed { (b.columns(), b.rows()) } else { (b.rows(), b.columns()) };
    panels.resize(n.div_ceil(PANEL) * k * PANEL, 0.0);
    if k == 0 {
        return;
    }
    pool.for_each_chunk(panels, k * PANEL, |panel, chunk| {
        let start = panel * PANEL;
        let width = PANEL.min(n - start);
        if transposed {
            transpose_panel(b.range(start..start + width), chunk);
        } else {
            for (row, into) in chunk.chunks_exact_mut(PANEL).enumerate() {
                into[..width].copy_from_slice(&b.row(row)[start..start + width]);
                into[width..].fill(0.0);
            }
        }
    });
}

/// Up to 32 rows to the columns of a panel, in steps of 16 so that both sides stay in cache.
fn transpose_panel(rows: Rows<'_>, panel: &mut [f32]) {
    const STEP: usize = 16;
    if rows.rows() < PANEL {
        panel.fill(0.0);
    }
    for (step, chunk) in panel.chunks_mut(STEP * PANEL).enumerate() {
        let start = step * STEP;
        let depth = chunk.len() / PANEL;
        for column in 0..rows.rows() {
            for (place, value) in rows.row(column)[start..start + depth].iter().enumerate() {
                chunk[place * PANEL + column] = *value;
            }
        }
    }
}
