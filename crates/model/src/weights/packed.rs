//! Packed weights: kept from the opening of a model, or packed when a product needs them, in memory
//! that all layers share.

use super::LinearWeight;
use maana_kernels::{Context, PackedMatrix, Precision, Rows};
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard};

/// The packed weight of one linear layer, for the time of a product.
pub(crate) enum Packed<'a> {
    /// Kept for the model's lifetime.
    Kept(&'a PackedMatrix),
    /// Packed into a slot, which stays locked.
    Slot(MutexGuard<'a, Slot>),
}

impl Deref for Packed<'_> {
    type Target = PackedMatrix;

    fn deref(&self) -> &PackedMatrix {
        match self {
            Self::Kept(packed) => packed,
            Self::Slot(slot) => slot.packed.as_ref().expect("filled when it was locked"),
        }
    }
}

/// Memory for one packed weight of each role. A layer's weight is packed over that of the layer
/// before: a small part of the time of a pass over many tokens, and where passes are few much
/// cheaper than memory for all layers.
pub(crate) struct PackingSlots(Vec<Mutex<Slot>>);

/// The weight that was packed last.
#[derive(Default)]
pub(crate) struct Slot {
    /// The number of its linear layer; none while the content is not valid.
    number: Option<usize>,
    packed: Option<PackedMatrix>,
    /// Memory for weights that are converted from the file's type first.
    buffer: Vec<f32>,
}

impl PackingSlots {
    pub(crate) fn new(roles: usize) -> Self {
        Self((0..roles).map(|_| Mutex::default()).collect())
    }

    /// Returns the packed weight; calls `pack` unless it is the one that was packed last.
    pub(crate) fn get(
        &self,
        linear: &LinearWeight,
        pack: impl FnOnce(&mut Option<PackedMatrix>, &mut Vec<f32>),
    ) -> Packed<'_> {
        let mut slot = lock(&self.0[linear.role]);
        if slot.number != Some(linear.number) {
            slot.number = None;
            let Slot { packed, buffer, .. } = &mut *slot;
            pack(packed, buffer);
            slot.number = Some(linear.number);
        }
        Packed::Slot(slot)
    }

    /// Invalidates all slots; called after every update of the parameters.
    pub(crate) fn invalidate(&mut self) {
        self.0.iter_mut().for_each(|slot| lock(slot).number = None);
    }

    /// Bytes of the packed weights.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|slot| lock(slot).packed.as_ref().map_or(0, PackedMatrix::bytes)).sum()
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    // A slot that a panic left half packed has no number.
    slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Packs `weight`, `(outputs, inputs)`, for `x · Wᵀ`, into the memory of an older packed matrix if
/// there is one.
pub(super) fn pack(context: &Context, precision: Precision, weight: Rows<'_>, packed: &mut Option<PackedMatrix>) {
    match packed {
        Some(packed) => packed.repack_transposed(context, weight),
        None => *packed = Some(PackedMatrix::pack_transposed(context, precision, weight)),
    }
}

/// As [`pack`], in the layout that is fastest for a weight of few products.
pub(super) fn pack_briefly(
    context: &Context,
    precision: Precision,
    weight: Rows<'_>,
    packed: &mut Option<PackedMatrix>,
) {
    match packed {
        Some(packed) => packed.repack_transposed(context, weight),
        None => *packed = Some(PackedMatrix::pack_transposed_expanded(context, precision, weight)),
    }
}
