//! The loops around the inner one: tasks of rows and columns, and the order of the tiles of a task.

use super::epilogue::Finish;
use super::lhs::{LhsOperand, LhsWords};
use super::rhs::{PanelBlock, RhsOperand};
use super::tile::{MAX_MR, MAX_NR};
use super::variant::{KernelVariant, Operands};
use crate::context::Context;
use crate::disjoint::{Block, Disjoint};
use crate::precision::Precision;
use crate::prefetch::prefetch;
use std::ops::Range;

/// Most rows of a task with packed panels: they stay in the second-level cache with a part of some
/// panels.
const TASK_ROWS: usize = 120;
/// Most rows of a task that packs panels: enough that packing costs little.
const PACKING_TASK_ROWS: usize = 768;
/// Depth after which the inner loop turns to the next tile, so that this part of some panels stays
/// in the second-level cache.
pub(super) const BLOCK_DEPTH: usize = 768;
/// Panels that a task multiplies together: the rows of a tile are read from the first-level cache
/// for all but one of them.
const PANELS_TOGETHER: usize = 4;

/// `c = finish(a · b)`, or `c += a · b` if `accumulate`.
pub(super) fn product(
    context: &Context,
    lhs: &LhsOperand<'_>,
    rhs: &RhsOperand<'_>,
    c: &mut [f32],
    accumulate: bool,
    finish: &Finish<'_>,
) {
    let KernelVariant { precision, mr, nr, .. } = *rhs.variant();
    let (m, n) = (lhs.m(), rhs.n());
    assert_eq!(c.len(), m * n, "{} elements for ({m}, {n})", c.len());
    assert!(!accumulate || precision != Precision::Int8, "int8 products do not accumulate");
    if m == 0 || n == 0 {
        return;
    }
    // As many tasks of equal size as keep all threads busy to the end, each as large as possible.
    // The division changes no bit.
    let threads = context.threads();
    let (tiles, panels) = (m.div_ceil(mr), n.div_ceil(nr));
    let most_rows = match rhs {
        RhsOperand::Packed(_) => TASK_ROWS,
        RhsOperand::Rows(..) => PACKING_TASK_ROWS,
    };
    let row_tasks = m.div_ceil(most_rows).max((2 * threads).div_ceil(panels));
    let row_tasks = if row_tasks < threads { row_tasks } else { row_tasks.next_multiple_of(threads) }.min(tiles);
    let groups = (4 * threads).div_ceil(row_tasks).clamp(1, panels);
    let result = Disjoint::new(c);
    context.run(row_tasks * groups, |task| {
        let (row_task, group) = (task / groups, task % groups);
        let tiles = portion(tiles, row_task, row_tasks);
        let rows = tiles.start * mr..m.min(tiles.end * mr);
        let panels = portion(panels, group, groups);
        let columns = panels.start * nr..n.min(panels.end * nr);
        // SAFETY: the blocks of different tasks do not overlap, and each task runs once.
        let sums = unsafe { result.block(rows.clone(), columns, n) };
        lhs.with_words(context, rhs.variant(), rhs.k(), rows.clone(), |lhs| {
            Task { context, lhs, rhs, first_row: rows.start, panels, sums, accumulate, finish }.compute();
        });
    });
}

/// Returns one of `parts` parts of a number of things; their sizes differ by at most one.
pub(super) fn portion(things: usize, part: usize, parts: usize) -> Range<usize> {
    things * part / parts..things * (part + 1) / parts
}

/// Some rows and panels of a product.
struct Task<'a> {
    context: &'a Context,
    lhs: &'a LhsWords<'a>,
    rhs: &'a RhsOperand<'a>,
    first_row: usize,
    panels: Range<usize>,
    /// The block of the result that belongs to the task.
    sums: Block<'a, f32>,
    accumulate: bool,
    finish: &'a Finish<'a>,
}

/// A part of the depth of the panels that a task multiplies together.
struct Step<'a> {
    first_panel: usize,
    panels: PanelBlock<'a>,
    depth: Range<usize>,
    accumulate: bool,
    /// The part that is read after this one: the number of panels that it is further, and its
    /// depth.
    next: (usize, Range<usize>),
}

impl<'a> Task<'a> {
    fn compute(mut self) {
        let rhs = self.rhs;
        let depth = rhs.variant().depth(rhs.k());
        let blocks = depth.div_ceil(BLOCK_DEPTH).max(1);
        let block = |number| portion(depth, number, blocks);
        let end = self.panels.end;
        for first_panel in self.panels.clone().step_by(PANELS_TOGETHER) {
            let panels = first_panel..end.min(first_panel + PANELS_TOGETHER);
            for number in 0..blocks {
                let accumulate = self.accumulate || number > 0;
                let next = if number + 1 < blocks { (0, block(number + 1)) } else { (PANELS_TOGETHER, block(0)) };
                rhs.with_panels(self.context, panels.clone(), block(number), |panels| {
                    self.compute_step(&Step { first_panel, panels, depth: block(number), accumulate, next });
                });
            }
            let columns = self.columns(panels.start).start..self.columns(panels.end - 1).end;
            let place = (self.first_row, self.panels.start * rhs.variant().nr + columns.start);
            let rows = 0..self.sums.rows();
            self.finish.apply(rhs, self.sums.part(rows, columns), place, self.lhs.scales);
        }
    }

    /// Columns of a panel within the task's block of the result.
    fn columns(&self, panel: usize) -> Range<usize> {
        let (nr, number) = (self.rhs.variant().nr, panel - self.panels.start);
        number * nr..self.sums.columns().min((number + 1) * nr)
    }

    fn compute_step(&mut self, step: &Step<'_>) {
        let (m, mr) = (self.sums.rows(), self.rhs.variant().mr);
        let tiles = m.div_ceil(mr);
        for tile in 0..tiles {
            let rows = tile * mr..m.min((tile + 1) * mr);
            for number in 0..step.panels.count() {
                let operands = Operands {
                    lhs: self.lhs.tile(tile, step.depth.start),
                    panel: step.panels.panel(number),
                    depth: step.depth.len(),
                    accumulate: step.accumulate,
                    next: self.next(step, number, tile, tiles),
                };
                self.compute_tile(operands, rows.clone(), self.columns(step.first_panel + number));
            }
        }
    }

    /// Memory that is read later, and fetched into the cache meanwhile, as a product of few rows
    /// would wait for it otherwise: a share of the next part of the panels, or of the next rows if
    /// tasks pack the panels.
    fn next(&self, step: &Step<'_>, number: usize, tile: usize, tiles: usize) -> &'a [u8] {
        match self.rhs {
            RhsOperand::Packed(rhs) => {
                let (distance, depth) = &step.next;
                let panel = step.first_panel + number + distance;
                let bytes = if panel < self.panels.end { rhs.panel(panel, depth.clone()) } else { &[] };
                &bytes[portion(bytes.len(), tile, tiles)]
            }
            RhsOperand::Rows(..) => {
                let bytes = self.lhs.tile_bytes(tile + 1, step.depth.clone());
                &bytes[portion(bytes.len(), number, step.panels.count())]
            }
        }
    }

    #[inline(always)]
    fn compute_tile(&mut self, mut operands: Operands<'_>, rows: Range<usize>, columns: Range<usize>) {
        let variant = self.rhs.variant();
        let nr = variant.nr;
        // The inner loop fetches a line in each of its steps.
        let before;
        (before, operands.next) =
            operands.next.split_at(operands.next.len().saturating_sub(variant.bytes_fetched(operands.depth)));
        prefetch(before);
        if columns.len() == nr {
            // Built for this call only, so that it stays in registers: a copy through memory would
            // wait for the stores of the tile before.
            variant.multiply(operands, self.sums.part(rows, columns));
            return;
        }
        let mut tile = self.sums.part(rows.clone(), columns.clone());
        // Kernels write whole panels.
        let mut buffer = [0.0; MAX_MR * MAX_NR];
        let buffer = &mut buffer[..rows.len() * nr];
        for (index, into) in buffer.chunks_exact_mut(nr).enumerate() {
            into[..columns.len()].copy_from_slice(tile.row_mut(index));
        }
        variant.multiply(operands, Block::new(buffer, nr));
        for (index, from) in buffer.chunks_exact(nr).enumerate() {
            tile.row_mut(index).copy_from_slice(&from[..columns.len()]);
        }
    }
}
