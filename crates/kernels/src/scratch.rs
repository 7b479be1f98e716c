//! Memory that kernels keep from call to call, so that passes after the first allocate nothing.

use crate::aligned::Line;
use crate::row_scale::RowScale;
use std::sync::Mutex;

/// Buffers of one thread. Their contents are unspecified between calls.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Attention: operands and scores of one head.
    pub(crate) attention: Vec<f32>,
    /// Products: the rows of one task in the product's precision.
    pub(crate) lhs_rows: (Vec<u32>, Vec<RowScale>),
    /// Products: a transposed left operand.
    pub(crate) lhs_blocks: Vec<u32>,
    /// Products: a right operand that is packed for one product.
    pub(crate) rhs: PanelBuffers,
    /// Products: some panels, widened to f32 or packed for one task.
    pub(crate) panels: Vec<Line>,
}

/// Memory of a packed right operand.
#[derive(Default)]
pub(crate) struct PanelBuffers {
    pub(crate) lines: Vec<Line>,
    /// Of int8: the factor of each column, and the sum of its bytes.
    pub(crate) scales: Vec<f32>,
    pub(crate) sums: Vec<i32>,
}

/// The scratch memory of all threads of a pool.
pub(crate) struct ScratchPerThread(Box<[Mutex<Scratch>]>);

impl ScratchPerThread {
    pub(crate) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Mutex::default()).collect())
    }

    /// Calls `f` with a buffer of the given thread. A buffer that is already lent is replaced by an
    /// empty one: in a region inside a region, or where several callers share the pool.
    pub(crate) fn lend<B: Default, R>(
        &self,
        thread: usize,
        field: fn(&mut Scratch) -> &mut B,
        f: impl FnOnce(&mut B) -> R,
    ) -> R {
        let lock = || {
            let scratch = &self.0[thread % self.0.len()];
            // A panic leaves buffers whose contents are unspecified anyway.
            scratch.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        let mut buffer = std::mem::take(field(&mut lock()));
        let result = f(&mut buffer);
        *field(&mut lock()) = buffer;
        result
    }
}
