//! The context of every call: threads, instruction set and scratch memory.

use crate::instruction_set::InstructionSet;
use crate::pool::Pool;
use crate::scratch::{Scratch, ScratchPerThread};
use std::sync::Arc;

/// Threads, the instruction set that kernels use on them, and their scratch memory. Created once
/// and passed to every call; clones share it. No result depends on the number of threads.
#[derive(Clone)]
pub struct Context {
    pool: Arc<Pool>,
    isa: InstructionSet,
    scratch: Arc<ScratchPerThread>,
}

impl Context {
    /// Creates a context with `threads` threads, the caller's included, and the instruction set
    /// that [`InstructionSet::active`] returns.
    pub fn new(threads: usize) -> Self {
        Self::with_instruction_set(threads, InstructionSet::active())
    }

    /// Creates a context with as many threads as this process may use (cores, affinity, control
    /// group).
    pub fn available() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// Creates a context with `threads` threads for one instruction set.
    pub fn with_instruction_set(threads: usize, isa: InstructionSet) -> Self {
        let pool = Arc::new(Pool::new(threads));
        let scratch = Arc::new(ScratchPerThread::new(pool.threads()));
        Self { pool, isa, scratch }
    }

    /// Number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Instruction set of all kernels that take this context.
    pub fn isa(&self) -> InstructionSet {
        self.isa
    }

    /// Calls `task` with every number below `tasks`, in any order and on any thread, and returns
    /// when all are done. Inside a task it calls them one after the other.
    ///
    /// # Panics
    /// If a task panics, with its message, after all threads are at rest.
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        self.pool.run(tasks, task);
    }

    /// Calls `f` with the number and the values of every chunk of `data`; the last may be shorter.
    pub fn for_each_chunk<T: Send>(&self, data: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T]) + Sync) {
        self.pool.for_each_chunk([(data, chunk)], |number, [chunk]| f(number, chunk));
    }

    /// As [`Self::for_each_chunk`], with the chunks of several slices that have one number. All
    /// slices have as many chunks.
    pub(crate) fn for_each_chunk_of<T: Send, const N: usize>(
        &self,
        data: [(&mut [T], usize); N],
        f: impl Fn(usize, [&mut [T]; N]) + Sync,
    ) {
        self.pool.for_each_chunk(data, f);
    }

    /// Calls `f` with the number and the values of each part of `data`: part `i` begins at
    /// `offsets[i]` and ends at `offsets[i + 1]`, in units of `unit` elements.
    pub(crate) fn for_each_part<T: Send>(
        &self,
        data: &mut [T],
        offsets: &[usize],
        unit: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        self.pool.for_each_part(data, offsets, unit, f);
    }

    /// Calls `f` with a buffer of this thread's scratch memory.
    pub(crate) fn with_scratch<B: Default, R>(
        &self,
        field: fn(&mut Scratch) -> &mut B,
        f: impl FnOnce(&mut B) -> R,
    ) -> R {
        self.scratch.lend(self.pool.current_thread(), field, f)
    }
}
