//! The weights of a layer's four products: packed as the products take them, or in the file or among the parameters until their
//! turn comes.

use crate::ModelError;
use crate::config::EncoderConfig;
use crate::folder::{MappedTensor, WeightFiles};
use crate::trainable::Tensor;
use maana_kernels::{Context, PackedMatrix, Precision, Rows};
use std::ops::{Deref, Range};
use std::sync::{Mutex, MutexGuard};

/// Query, key and value one below the other, attention's output, up and down: packed for `x · Wᵀ`.
pub(crate) struct PackedLayer {
    pub(crate) qkv: PackedMatrix,
    pub(crate) output: PackedMatrix,
    pub(crate) up: PackedMatrix,
    pub(crate) down: PackedMatrix,
}

/// A way to pack a layer.
type Pack = fn(&Context, &EncoderConfig, Precision, [&[f32]; 4]) -> PackedLayer;

impl PackedLayer {
    /// To be kept: in as few bytes as the precision has.
    pub(crate) fn pack(context: &Context, config: &EncoderConfig, precision: Precision, weights: [&[f32]; 4]) -> Self {
        Self::packed(config, weights, |weight| PackedMatrix::pack_transposed(context, precision, weight))
    }

    /// For a few products.
    fn pack_for_a_while(context: &Context, config: &EncoderConfig, precision: Precision, weights: [&[f32]; 4]) -> Self {
        Self::packed(config, weights, |weight| PackedMatrix::pack_transposed_expanded(context, precision, weight))
    }

    fn packed(config: &EncoderConfig, weights: [&[f32]; 4], pack: impl Fn(Rows<'_>) -> PackedMatrix) -> Self {
        let [qkv, output, up, down] = rows(config, weights).map(pack);
        Self { qkv, output, up, down }
    }

    /// Packs other weights into the same memory.
    pub(crate) fn repack(&mut self, context: &Context, config: &EncoderConfig, weights: [&[f32]; 4]) {
        let [qkv, output, up, down] = rows(config, weights);
        self.qkv.repack_transposed(context, qkv);
        self.output.repack_transposed(context, output);
        self.up.repack_transposed(context, up);
        self.down.repack_transposed(context, down);
    }

    fn bytes(&self) -> usize {
        [&self.qkv, &self.output, &self.up, &self.down].map(PackedMatrix::bytes).iter().sum()
    }
}

/// Weights as files have them, `(out, inputs)`.
fn rows<'a>(config: &EncoderConfig, [qkv, output, up, down]: [&'a [f32]; 4]) -> [Rows<'a>; 4] {
    let (h, i) = (config.hidden, config.intermediate);
    [(qkv, h), (output, h), (up, h), (down, i)]
        .map(|(data, inputs)| Rows::new(data, data.len() / inputs, inputs, inputs))
}

/// A layer's weights where they lie in the file.
pub(crate) struct MappedLayer([Vec<MappedTensor>; 4]);

impl MappedLayer {
    /// Maps the tensors whose numbers `products` tells.
    pub(crate) fn open(
        files: &WeightFiles,
        tensors: &[Tensor],
        products: &[Range<usize>; 4],
    ) -> Result<Self, ModelError> {
        let mut mapped: [Vec<MappedTensor>; 4] = Default::default();
        for (mapped, numbers) in mapped.iter_mut().zip(products) {
            for tensor in &tensors[numbers.clone()] {
                mapped.push(files.map(tensor)?);
            }
        }
        Ok(Self(mapped))
    }

    /// The weight of each product, in `buffers` unless it can be read where it lies.
    pub(crate) fn weights<'a>(&'a self, context: &Context, buffers: &'a mut [Vec<f32>; 4]) -> [&'a [f32]; 4] {
        let mut weights: [&[f32]; 4] = [&[]; 4];
        for ((weight, buffer), tensors) in weights.iter_mut().zip(buffers).zip(&self.0) {
            *weight = match &tensors[..] {
                [tensor] => tensor.floats(context, buffer),
                several => {
                    buffer.resize(several.iter().map(MappedTensor::elements).sum(), 0.0);
                    let mut rest = &mut buffer[..];
                    for tensor in several {
                        let (part, others) = rest.split_at_mut(tensor.elements());
                        tensor.fill(context, part);
                        rest = others;
                    }
                    buffer
                }
            };
        }
        weights
    }

    /// Each tensor with its number, and its elements, in `buffer` unless they can be read where they lie.
    pub(crate) fn each<E>(
        &self,
        context: &Context,
        products: &[Range<usize>; 4],
        mut each: impl FnMut(usize, &MappedTensor, &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = Vec::new();
        for (tensors, numbers) in self.0.iter().zip(products) {
            for (tensor, number) in tensors.iter().zip(numbers.clone()) {
                each(number, tensor, tensor.floats(context, &mut buffer))?;
            }
        }
        Ok(())
    }
}

/// The weights of all layers.
pub(crate) enum Weights {
    /// All packed.
    Packed(Vec<PackedLayer>),
    /// In the file; a layer is packed when its turn comes.
    Mapped(Vec<MappedLayer>, InTurn),
    /// Among the parameters; a layer is packed when its turn comes.
    Parameters(InTurn),
}

/// A layer that is packed when its turn comes, in the memory of the one before: a small part of what a pass over many tokens takes,
/// and where passes are few much cheaper than memory for all.
#[derive(Default)]
pub(crate) struct InTurn(Mutex<Work>);

/// The layer that was packed last, and its number while it is what the weights are.
#[derive(Default)]
pub(crate) struct Work {
    number: Option<usize>,
    packed: Option<PackedLayer>,
    buffers: [Vec<f32>; 4],
}

/// A layer's weights while it is computed.
pub(crate) enum Turn<'a> {
    Held(&'a PackedLayer),
    Lent(MutexGuard<'a, Work>),
}

impl Deref for Turn<'_> {
    type Target = PackedLayer;

    fn deref(&self) -> &PackedLayer {
        match self {
            Self::Held(layer) => layer,
            Self::Lent(work) => work.packed.as_ref().expect("a turn begins with packing"),
        }
    }
}

impl InTurn {
    fn lock(&self) -> MutexGuard<'_, Work> {
        // Memory that a panic has left half packed has no number.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The layer, which `pack` packs anew unless it was the last one.
    fn layer(&self, index: usize, pack: impl FnOnce(&mut Option<PackedLayer>, &mut [Vec<f32>; 4])) -> Turn<'_> {
        let mut work = self.lock();
        if work.number != Some(index) {
            work.number = None;
            let Work { packed, buffers, .. } = &mut *work;
            pack(packed, buffers);
            work.number = Some(index);
        }
        Turn::Lent(work)
    }
}

impl Weights {
    /// The weights of a layer, packed; `parameters` are those of the layer, if they are among the parameters.
    pub(crate) fn layer(
        &self,
        context: &Context,
        config: &EncoderConfig,
        precision: Precision,
        index: usize,
        parameters: [&[f32]; 4],
    ) -> Turn<'_> {
        let pack = |packed: &mut Option<PackedLayer>, weights: [&[f32]; 4], new: Pack| match packed {
            Some(layer) => layer.repack(context, config, weights),
            None => *packed = Some(new(context, config, precision, weights)),
        };
        match self {
            Self::Packed(layers) => Turn::Held(&layers[index]),
            Self::Mapped(layers, turn) => {
                // For so few tokens that packing takes the time, not the products.
                turn.layer(index, |packed, buffers| {
                    pack(packed, layers[index].weights(context, buffers), PackedLayer::pack)
                })
            }
            Self::Parameters(turn) => {
                turn.layer(index, |packed, _| pack(packed, parameters, PackedLayer::pack_for_a_while))
            }
        }
    }

    /// Forgets what was packed of parameters that have changed since.
    pub(crate) fn parameters_changed(&mut self) {
        if let Self::Parameters(turn) = self {
            turn.lock().number = None;
        }
    }

    /// Bytes of the packed weights that are held.
    pub(crate) fn packed_bytes(&self) -> usize {
        match self {
            Self::Packed(layers) => layers.iter().map(PackedLayer::bytes).sum(),
            Self::Mapped(_, turn) | Self::Parameters(turn) => turn.lock().packed.as_ref().map_or(0, PackedLayer::bytes),
        }
    }
}
