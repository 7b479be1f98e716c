//! The weights of a tower: read into an arena to train, or packed or memory-mapped to encode.

use super::module_parts::ModuleParts;
use super::static_table::StaticTable;
use super::tower::{Loaded, TowerParts};
use super::weight_files::WeightFiles;
use crate::ModelError;
use crate::activations::Passes;
use crate::blocks::SentenceModule;
use crate::encoders::Network;
use crate::inference_model::InferenceEncoder;
use crate::spec::Carried;
use crate::weights::{InferenceWeights, Layout, Linears, MappedTensor, PackingSlots, Scope, Tensor, stacked};
use maana_kernels::{Context, PackedMatrix, Precision};
use safetensors::Dtype;
use std::sync::Arc;

/// Storage of the weights of a model that encodes. Embeddings are the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightStorage {
    /// Packed when the model is opened; word embeddings stay in the file where they can be read
    /// there. For many texts.
    Packed,
    /// All in the file; a weight is packed when a product needs it, and values are not checked for
    /// NaN. Opens at once; for few texts.
    Mapped,
}

/// The files of an encoder, and the places of its parameters.
pub(super) struct EncoderFiles {
    pub(super) files: WeightFiles,
    pub(super) layout: Layout,
}

impl TowerParts {
    pub(super) fn weight_files(&self) -> Result<WeightFiles, ModelError> {
        match self.table {
            Some(_) => StaticTable::open(&self.transformer),
            None => WeightFiles::open(&self.transformer, self.config.architecture.prefix()),
        }
    }

    /// Checks that the files hold the parameters, before memory is allocated for them.
    pub(super) fn check_weights(&self, files: &WeightFiles, layout: &Layout) -> Result<(), ModelError> {
        if self.is_folded() { Ok(()) } else { files.check(&layout.tensors) }
    }

    /// Returns whether the table of a static model is not in the file as it is used.
    fn is_folded(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.folded)
    }

    /// Reads the encoder's parameters into an arena.
    pub(super) fn fill(
        &self,
        context: &Context,
        encoder: &EncoderFiles,
        parameters: &mut [f32],
    ) -> Result<(), ModelError> {
        let EncoderFiles { files, layout } = encoder;
        match self.table.as_ref().filter(|table| table.folded) {
            Some(table) => {
                let range = layout.tensors[layout.word_embeddings].range.clone();
                table.fill(context, files, &mut parameters[range])
            }
            None => files.fill(context, &layout.tensors, parameters),
        }
    }

    /// Reads the encoder's weights as they are stored for inference.
    pub(super) fn read_encoder(
        &self,
        context: &Context,
        precision: Precision,
        storage: WeightStorage,
    ) -> Result<(EncoderFiles, InferenceEncoder), ModelError> {
        let files = self.weight_files()?;
        let declare =
            |word_embeddings| Network::new(&self.config, Scope::Unpacked { word_embeddings }, Passes::Inference);
        let mut network = declare(false);
        self.check_weights(&files, &network.parameters)?;
        let word_embeddings = match self.is_folded() {
            true => None,
            false => Some(files.map(&network.parameters.tensors[network.parameters.word_embeddings])?),
        };
        let word_embeddings = word_embeddings.filter(|tensor| tensor.as_floats().is_some());
        if word_embeddings.is_none() {
            network = declare(true);
        }
        let encoder = EncoderFiles { files, layout: declare(word_embeddings.is_none()).parameters };
        let mut parameters = vec![0.0; encoder.layout.elements];
        self.fill(context, &encoder, &mut parameters)?;
        let EncoderFiles { files, layout } = &encoder;
        let (linears, checksums) = match storage {
            WeightStorage::Packed => {
                let (packed, checksums) = pack(context, files, layout, word_embeddings.as_ref(), precision)?;
                (Linears::Packed(packed), Some(checksums))
            }
            WeightStorage::Mapped => {
                let mapped =
                    layout.linears.iter().map(|linear| map_linear(files, layout, linear.weight.tensors.clone()));
                (Linears::Mapped(mapped.collect::<Result<_, _>>()?, PackingSlots::new(layout.roles())), None)
            }
        };
        // Files that stay mapped are checked at every use.
        let stays_mapped = word_embeddings.is_some() || storage == WeightStorage::Mapped;
        let mapped = if stays_mapped { files.files().to_vec() } else { Vec::new() };
        let parameters = Arc::new(parameters);
        let weights = InferenceWeights { parameters, word_embeddings, linears, precision, mapped };
        Ok((encoder, InferenceEncoder::new(network, weights, checksums)))
    }

    /// Returns the tower with its modules, and the tensors of its files that take no part.
    pub(super) fn loaded(&self, modules: ModuleParts, encoder: &EncoderFiles) -> Result<Loaded, ModelError> {
        let EncoderFiles { files, layout } = encoder;
        let in_files: Vec<Tensor> = layout.tensors.iter().cloned().chain(modules.tensors_in_encoder()).collect();
        let mut unused = files.unused(&in_files);
        if self.table.is_some() {
            unused.retain(|name| !StaticTable::knows(name));
        }
        Ok(Loaded {
            parameters: layout.tensors.iter().map(Tensor::elements).sum::<usize>()
                + modules.modules.iter().map(SentenceModule::elements).sum::<usize>(),
            carried: self.carried(files, &in_files, &modules)?,
            dtype: if self.is_folded() { Dtype::F32 } else { files.dtype(&layout.tensors[layout.word_embeddings]) },
            unused: unused.into_iter().map(str::to_owned).collect(),
            modules,
        })
    }

    /// Returns the tensors that take no part and are written back. A head has no pooler but its
    /// own.
    fn carried(
        &self,
        files: &WeightFiles,
        in_files: &[Tensor],
        modules: &ModuleParts,
    ) -> Result<Vec<Carried>, ModelError> {
        let mut carried = files.carried(in_files)?;
        if modules.tensors_in_encoder().next().is_some() {
            carried.retain(|tensor| !tensor.name.starts_with("pooler."));
        }
        Ok(carried)
    }
}

/// Packs the weights of linear layers from the files. Also returns the checksums of all tensors
/// that the arena does not hold.
fn pack(
    context: &Context,
    files: &WeightFiles,
    layout: &Layout,
    word_embeddings: Option<&MappedTensor>,
    precision: Precision,
) -> Result<(Vec<PackedMatrix>, Vec<Vec<u128>>), ModelError> {
    let mut checksums = vec![Vec::new(); layout.tensors.len()];
    if let Some((tensor, floats)) = word_embeddings.and_then(|tensor| Some((tensor, tensor.as_floats()?))) {
        checksums[layout.word_embeddings] = tensor.check(context, floats)?;
    }
    let mut packed = Vec::with_capacity(layout.linears.len());
    let mut buffer = Vec::new();
    for linear in &layout.linears {
        let numbers = linear.weight.tensors.clone();
        let tensors = map_linear(files, layout, numbers.clone())?;
        for (number, tensor) in numbers.zip(&tensors) {
            checksums[number] = tensor.check(context, tensor.floats(context, &mut buffer))?;
        }
        let weight = linear.rows(stacked(context, &tensors, &mut buffer));
        packed.push(PackedMatrix::pack_transposed(context, precision, weight));
    }
    Ok((packed, checksums))
}

fn map_linear(
    files: &WeightFiles,
    layout: &Layout,
    tensors: std::ops::Range<usize>,
) -> Result<Vec<MappedTensor>, ModelError> {
    layout.tensors[tensors].iter().map(|tensor| files.map(tensor)).collect()
}
