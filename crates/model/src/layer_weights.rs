//! The weights of a layer's four products: packed as the products take them, or in the file until their turn comes.

use crate::ModelError;
use crate::config::EncoderConfig;
use crate::folder::{MappedTensor, WeightFiles};
use crate::trainable::Tensor;
use maana_kernels::{PackedMatrix, Pool, Precision, Rows};
use std::ops::{Deref, Range};
use std::sync::{Mutex, MutexGuard};

/// Query, key and value one below the other, attention's output, up and down: packed for `x · Wᵀ`.
pub(crate) struct PackedLayer {
    pub(crate) qkv: PackedMatrix,
    pub(crate) output: PackedMatrix,
    pub(crate) up: PackedMatrix,
    pub(crate) down: PackedMatrix,
}

impl PackedLayer {
    pub(crate) fn pack(pool: &Pool, config: &EncoderConfig, precision: Precision, weights: [&[f32]; 4]) -> Self {
        let [qkv, output, up, down] = rows(config, weights);
        let pack = |weight| PackedMatrix::pack_transposed(pool, precision, weight);
        Self { qkv: pack(qkv), output: pack(output), up: pack(up), down: pack(down) }
    }

    /// Packs other weights into the same memory.
    pub(crate) fn repack(&mut self, pool: &Pool, config: &EncoderConfig, weights: [&[f32]; 4]) {
        let [qkv, output, up, down] = rows(config, weights);
        self.qkv.repack_transposed(pool, qkv);
        self.output.repack_transposed(pool, output);
        self.up.repack_transposed(pool, up);
        self.down.repack_transposed(pool, down);
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
    pub(crate) fn weights<'a>(&'a self, pool: &Pool, buffers: &'a mut [Vec<f32>; 4]) -> [&'a [f32]; 4] {
        let mut weights: [&[f32]; 4] = [&[]; 4];
        for ((weight, buffer), tensors) in weights.iter_mut().zip(buffers).zip(&self.0) {
            *weight = match &tensors[..] {
                [tensor] => tensor.floats(pool, buffer),
                several => {
                    buffer.resize(several.iter().map(MappedTensor::elements).sum(), 0.0);
                    let mut rest = &mut buffer[..];
                    for tensor in several {
                        let (part, others) = rest.split_at_mut(tensor.elements());
                        tensor.fill(pool, part);
                        rest = others;
                    }
                    buffer
                }
            };
        }
        weights
    }

    /// Makes sure that all elements are numbers; sums of each tensor go to its number in `sums`.
    pub(crate) fn check(
        &self,
        pool: &Pool,
        products: &[Range<usize>; 4],
        sums: &mut [Vec<u128>],
    ) -> Result<(), ModelError> {
        let mut buffer = Vec::new();
        for (tensors, numbers) in self.0.iter().zip(products) {
            for (tensor, number) in tensors.iter().zip(numbers.clone()) {
                sums[number] = tensor.check(pool, tensor.floats(pool, &mut buffer))?;
            }
        }
        Ok(())
    }
}

/// The weights of all layers.
pub(crate) enum Weights {
    Packed(Vec<PackedLayer>),
    Mapped(MappedLayers),
}

/// Layers that are packed when their turn comes, each in the memory of the one before: dearer for many passes, and for a single one
/// much cheaper than memory for all.
pub(crate) struct MappedLayers {
    layers: Vec<MappedLayer>,
    work: Mutex<Work>,
}

/// The layer that was packed last.
#[derive(Default)]
pub(crate) struct Work {
    packed: Option<(usize, PackedLayer)>,
    buffers: [Vec<f32>; 4],
}

impl MappedLayers {
    pub(crate) fn new(layers: Vec<MappedLayer>) -> Self {
        Self { layers, work: Mutex::default() }
    }
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
            Self::Lent(work) => &work.packed.as_ref().expect("a turn begins with packing").1,
        }
    }
}

impl Weights {
    /// The weights of a layer, packed.
    pub(crate) fn layer(&self, pool: &Pool, config: &EncoderConfig, precision: Precision, index: usize) -> Turn<'_> {
        let mapped = match self {
            Self::Packed(layers) => return Turn::Held(&layers[index]),
            Self::Mapped(mapped) => mapped,
        };
        // Memory that a panic has left half packed has no number.
        let mut work = mapped.work.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if work.packed.as_ref().is_none_or(|(number, _)| *number != index) {
            let Work { packed, buffers } = &mut *work;
            let weights = mapped.layers[index].weights(pool, buffers);
            let layer = match packed.take() {
                Some((_, mut layer)) => {
                    layer.repack(pool, config, weights);
                    layer
                }
                None => PackedLayer::pack(pool, config, precision, weights),
            };
            *packed = Some((index, layer));
        }
        Turn::Lent(work)
    }

    /// Bytes of the packed weights that are held.
    pub(crate) fn packed_bytes(&self) -> usize {
        match self {
            Self::Packed(layers) => layers.iter().map(PackedLayer::bytes).sum(),
            Self::Mapped(mapped) => {
                let work = mapped.work.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                work.packed.as_ref().map_or(0, |(_, layer)| layer.bytes())
            }
        }
    }
}
