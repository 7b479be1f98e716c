//! Memory of a pass. A block declares each activation once, with its width and its lifetime; a
//! [`Slot`] names it, and holds one row for each token. Memory grows to the largest pass and is
//! kept.

use maana_kernels::{Context, Matrix, Precision};

/// Elements of a cache line, at which the rows of a slot begin.
const LINE: usize = 16;

/// The number of an activation, `(tokens, width)` in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// An activation that backward reads: in training with reduced precision it is rounded to bf16 and
/// takes half the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundedSlot {
    /// The values in f32. Where they are kept in bf16, all layers share this memory.
    pub(crate) values: Slot,
    halves: Option<usize>,
}

/// The passes that activations are declared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passes {
    /// Only forward: layers share all memory.
    Inference,
    /// Forward and backward.
    Training {
        /// Precision of the operands of matrix products.
        precision: Precision,
        /// True if backward computes each layer once more from its input, and layers share the
        /// memory of all else.
        recompute: bool,
    },
}

/// Names and widths of all activations of an encoder.
#[derive(Debug)]
pub(crate) struct ActivationLayout {
    passes: Passes,
    slots: Vec<Declared>,
    /// Activations that are kept in bf16.
    halves: Vec<Declared>,
}

#[derive(Debug)]
struct Declared {
    /// The name by which layers share the memory; none for an activation that each layer saves.
    shared: Option<&'static str>,
    width: usize,
}

/// Declares an activation, or finds that of the same shared name. Returns its number.
fn declare(all: &mut Vec<Declared>, shared: Option<&'static str>, width: usize) -> usize {
    let known = shared.and_then(|name| all.iter().position(|declared| declared.shared == Some(name)));
    let number = known.unwrap_or_else(|| {
        all.push(Declared { shared, width });
        all.len() - 1
    });
    assert_eq!(all[number].width, width, "one width for {shared:?}");
    number
}

impl ActivationLayout {
    pub(crate) fn new(passes: Passes) -> Self {
        Self { passes, slots: Vec::new(), halves: Vec::new() }
    }

    /// Returns whether the passes include backward.
    pub(crate) fn trains(&self) -> bool {
        self.passes != Passes::Inference
    }

    /// Returns whether backward computes each layer once more.
    pub(crate) fn recomputes(&self) -> bool {
        matches!(self.passes, Passes::Training { recompute: true, .. })
    }

    /// Declares an activation that is read only within its layer. Layers share its memory by the
    /// name.
    pub(crate) fn shared(&mut self, name: &'static str, width: usize) -> Slot {
        Slot(declare(&mut self.slots, Some(name), width))
    }

    /// Declares an activation that backward reads: each layer has its own, but layers share it in
    /// inference, and where backward computes it once more.
    pub(crate) fn saved(&mut self, name: &'static str, width: usize) -> Slot {
        let shared = (!self.trains() || self.recomputes()).then_some(name);
        Slot(declare(&mut self.slots, shared, width))
    }

    /// Declares an activation from which backward computes the next layer: each layer has its own,
    /// but in inference they share one.
    pub(crate) fn saved_between_layers(&mut self, name: &'static str, width: usize) -> Slot {
        let shared = (!self.trains()).then_some(name);
        Slot(declare(&mut self.slots, shared, width))
    }

    /// Declares an activation that backward reads and that may be kept in bf16.
    pub(crate) fn saved_rounded(&mut self, name: &'static str, width: usize) -> RoundedSlot {
        match self.passes {
            Passes::Inference | Passes::Training { precision: Precision::F32, .. } => {
                RoundedSlot { values: self.saved(name, width), halves: None }
            }
            Passes::Training { recompute, .. } => {
                let halves = declare(&mut self.halves, recompute.then_some(name), width);
                RoundedSlot { values: self.shared(name, width), halves: Some(halves) }
            }
        }
    }

    /// As [`ActivationLayout::saved_rounded`], of an activation that forward does not read: nothing
    /// in inference.
    pub(crate) fn saved_for_backward(&mut self, name: &'static str, width: usize) -> RoundedSlot {
        self.saved_rounded(name, if self.trains() { width } else { 0 })
    }

    /// Declares the gradient of an activation: nothing in inference, else memory that layers share
    /// by the name.
    pub(crate) fn gradient(&mut self, name: &'static str, width: usize) -> Slot {
        self.shared(name, if self.trains() { width } else { 0 })
    }
}

/// The memory that passes work in. One value is used for many passes, of one model.
#[derive(Default)]
pub(crate) struct Buffers {
    floats: Vec<Buffer>,
    halves: Vec<Vec<u16>>,
    /// Row of the position table of each token.
    pub(crate) positions: Vec<u32>,
    /// Gradients of the relative position bias in each layer, one table for each sequence and head,
    /// until the last part of the batch has added its own.
    pub(crate) position_bias: Vec<Vec<f32>>,
}

/// Rows of f32 that begin on a cache line.
#[derive(Default)]
struct Buffer {
    memory: Vec<f32>,
    start: usize,
}

impl Buffer {
    fn reserve(&mut self, elements: usize) -> bool {
        let fits = self.memory.try_reserve_exact((elements + LINE).saturating_sub(self.memory.len())).is_ok();
        if self.memory.is_empty() {
            self.start = offset_of_line(self.memory.as_ptr());
        }
        fits
    }

    fn slice(&mut self, elements: usize) -> &mut [f32] {
        let end = self.start + elements;
        if self.memory.len() < end {
            self.grow(elements);
        }
        &mut self.memory[self.start..self.start + elements]
    }

    /// Grows in place where memory was reserved, else moves the values.
    #[cold]
    fn grow(&mut self, elements: usize) {
        if self.memory.capacity() < elements + LINE {
            let mut memory = Vec::with_capacity(elements + LINE);
            let start = offset_of_line(memory.as_ptr());
            memory.resize(start, 0.0);
            memory.extend_from_slice(&self.memory[self.start.min(self.memory.len())..]);
            (self.memory, self.start) = (memory, start);
        }
        self.memory.resize(self.start + elements, 0.0);
    }
}

/// Elements from `pointer` to the next cache line.
fn offset_of_line(pointer: *const f32) -> usize {
    pointer.align_offset(64).min(LINE - 1)
}

impl Buffers {
    /// Reserves the memory for passes over at most `tokens` tokens. Returns false if there is not
    /// so much.
    pub(crate) fn reserve(&mut self, layout: &ActivationLayout, tokens: usize) -> bool {
        self.prepare(layout);
        let floats = self.floats.iter_mut().zip(&layout.slots);
        let halves = self.halves.iter_mut().zip(&layout.halves);
        floats.fold(true, |fits, (buffer, declared)| buffer.reserve(tokens * declared.width) && fits)
            && halves.fold(true, |fits, (half, declared)| {
                half.try_reserve_exact((tokens * declared.width).saturating_sub(half.len())).is_ok() && fits
            })
            && self.positions.try_reserve_exact(tokens.saturating_sub(self.positions.len())).is_ok()
    }

    /// Makes one buffer for each slot of the layout.
    pub(crate) fn prepare(&mut self, layout: &ActivationLayout) {
        self.floats.resize_with(layout.slots.len().max(self.floats.len()), Buffer::default);
        self.halves.resize_with(layout.halves.len().max(self.halves.len()), Vec::new);
    }

    /// Returns the first rows of several slots, as many as are named of each. Values that were
    /// written before stay.
    pub(crate) fn rows<const N: usize>(
        &mut self,
        layout: &ActivationLayout,
        slots: [(Slot, usize); N],
    ) -> [&mut [f32]; N] {
        let buffers = self.floats.get_disjoint_mut(slots.map(|(slot, _)| slot.0)).expect("each slot once");
        let mut slots = slots.into_iter();
        buffers.map(|buffer| {
            let (slot, rows) = slots.next().expect("one slot for each buffer");
            buffer.slice(rows * layout.slots[slot.0].width)
        })
    }

    /// Rounds the first `rows` rows to bf16 and keeps them, where the layout says so.
    pub(crate) fn keep(&mut self, context: &Context, layout: &ActivationLayout, rows: usize, slot: RoundedSlot) {
        let Some(number) = slot.halves else { return };
        let elements = rows * layout.halves[number].width;
        let half = &mut self.halves[number];
        half.resize(elements.max(half.len()), 0);
        let values = self.floats[slot.values.0].slice(elements);
        // Forward continues with the rounded values, so that backward sees the numbers that forward
        // used.
        maana_kernels::round_to_bf16(context, values);
        maana_kernels::narrow(context, values, &mut half[..elements]);
    }

    /// Restores the first `rows` rows of a slot that was kept in bf16.
    pub(crate) fn restore(&mut self, context: &Context, layout: &ActivationLayout, rows: usize, slot: RoundedSlot) {
        let Some(number) = slot.halves else { return };
        let elements = rows * layout.halves[number].width;
        maana_kernels::widen(context, &self.halves[number][..elements], self.floats[slot.values.0].slice(elements));
    }

    /// Bytes that passes have used.
    pub(crate) fn bytes(&self) -> usize {
        let floats: usize = self.floats.iter().map(|buffer| 4 * buffer.memory.len()).sum();
        let halves: usize = self.halves.iter().map(|half| 2 * half.len()).sum();
        let tables: usize = self.position_bias.iter().map(|tables| 4 * tables.capacity()).sum();
        floats + halves + tables + 4 * self.positions.len()
    }
}

/// Memory of passes through a tower of a model. One value is reused from pass to pass.
#[derive(Default)]
pub struct Activations {
    /// The tower; 0 in models without a router.
    pub(crate) tower: usize,
    pub(crate) buffers: Buffers,
    /// Inputs of the modules behind pooling, for the last layer and then for each lower one.
    pub(crate) module_inputs: Vec<Matrix>,
}

impl Activations {
    /// Bytes that passes have used.
    pub fn bytes(&self) -> usize {
        self.buffers.bytes() + self.module_inputs.iter().map(|input| 4 * input.data().len()).sum::<usize>()
    }
}
