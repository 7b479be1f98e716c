//! Parameters of a model: declared once ([`Layout`]), held in an arena to train, packed or
//! memory-mapped to encode.

mod arena;
mod gradients;
mod layout;
mod mapped;
mod packed;
mod stored;
mod update_plan;

pub use arena::{ParameterArena, StatePart};
pub use gradients::Gradients;
pub(crate) use gradients::{GradientPlace, overlap};
pub use layout::Tensor;
pub(crate) use layout::{Layout, LinearWeight, Parameter, Scope, named_within};
pub(crate) use mapped::{MappedTensor, checksums, is_floating, stacked, to_bytes, to_floats};
pub(crate) use packed::{Packed, PackingSlots};
pub(crate) use stored::{StoredTensor, TensorBytes, size_of_element};
pub use update_plan::{Algorithm, TensorSettings, UpdatePlan};

use maana_files::MappedFile;
use maana_kernels::{Context, PackedMatrix, Precision, Rows};
use std::sync::Arc;

/// The parameters that a pass reads, wherever they are held.
pub(crate) trait Weights: Sync {
    /// Values of a parameter that is used as it is: biases, LayerNorm, embedding tables; in
    /// training every parameter.
    fn values(&self, parameter: &Parameter) -> &[f32];

    /// Weight of a linear layer in the layout of the matrix products.
    fn packed(&self, context: &Context, linear: &LinearWeight) -> Packed<'_>;
}

/// Parameters in one arena; a weight is packed when a product needs it.
pub(crate) struct ArenaWeights<'a> {
    pub(crate) parameters: &'a [f32],
    pub(crate) slots: &'a PackingSlots,
    pub(crate) precision: Precision,
}

impl<'a> ArenaWeights<'a> {
    fn pack(&self, context: &Context, linear: &LinearWeight) -> Packed<'a> {
        let weight = linear.rows(&self.parameters[linear.weight.range.clone()]);
        self.slots.get(linear, |packed, _| packed::pack_briefly(context, self.precision, weight, packed))
    }
}

impl Weights for ArenaWeights<'_> {
    fn values(&self, parameter: &Parameter) -> &[f32] {
        &self.parameters[parameter.range.clone()]
    }

    fn packed(&self, context: &Context, linear: &LinearWeight) -> Packed<'_> {
        self.pack(context, linear)
    }
}

/// Weights of a model that only encodes.
pub(crate) struct InferenceWeights {
    /// The parameters in memory, in the layout of the model's scope.
    pub(crate) parameters: Arc<Vec<f32>>,
    /// Word embeddings in the file, unless they are among the parameters.
    pub(crate) word_embeddings: Option<MappedTensor>,
    pub(crate) linears: Linears,
    pub(crate) precision: Precision,
    /// Files that stay memory-mapped.
    pub(crate) mapped: Vec<MappedFile>,
}

/// Weights of all linear layers, by number.
pub(crate) enum Linears {
    /// Packed when the model was opened.
    Packed(Vec<PackedMatrix>),
    /// In the file; a weight is packed when a product needs it.
    Mapped(Vec<Vec<MappedTensor>>, PackingSlots),
    /// Among the parameters; a weight is packed when a product needs it.
    Shared(PackingSlots),
}

impl InferenceWeights {
    /// Bytes of the packed weights.
    pub(crate) fn packed_bytes(&self) -> usize {
        match &self.linears {
            Linears::Packed(linears) => linears.iter().map(PackedMatrix::bytes).sum(),
            Linears::Mapped(_, slots) | Linears::Shared(slots) => slots.bytes(),
        }
    }

    /// Calls `each` with every memory-mapped tensor, its number and its elements.
    pub(crate) fn each_mapped<E>(
        &self,
        context: &Context,
        layout: &Layout,
        mut each: impl FnMut(usize, &MappedTensor, &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Linears::Mapped(linears, _) = &self.linears else { return Ok(()) };
        if let Some((tensor, floats)) =
            self.word_embeddings.as_ref().and_then(|tensor| Some((tensor, tensor.as_floats()?)))
        {
            each(layout.word_embeddings, tensor, floats)?;
        }
        let mut buffer = Vec::new();
        for (tensors, declared) in linears.iter().zip(&layout.linears) {
            for (tensor, number) in tensors.iter().zip(declared.weight.tensors.clone()) {
                each(number, tensor, tensor.floats(context, &mut buffer))?;
            }
        }
        Ok(())
    }
}

impl Weights for InferenceWeights {
    fn values(&self, parameter: &Parameter) -> &[f32] {
        match &self.word_embeddings {
            Some(tensor) if parameter.range.is_empty() => tensor.as_floats().expect("mapped only where it can be read"),
            _ => &self.parameters[parameter.range.clone()],
        }
    }

    fn packed(&self, context: &Context, linear: &LinearWeight) -> Packed<'_> {
        match &self.linears {
            Linears::Packed(linears) => Packed::Kept(&linears[linear.number]),
            Linears::Mapped(linears, slots) => slots.get(linear, |packed, buffer| {
                let values = stacked(context, &linears[linear.number], buffer);
                packed::pack(context, self.precision, linear.rows(values), packed);
            }),
            Linears::Shared(slots) => {
                let parameters = &self.parameters[..];
                ArenaWeights { parameters, slots, precision: self.precision }.pack(context, linear)
            }
        }
    }
}

impl LinearWeight {
    /// The weight as files hold it: `(outputs, inputs)`.
    pub(crate) fn rows<'a>(&self, values: &'a [f32]) -> Rows<'a> {
        Rows::new(values, self.outputs, self.inputs, self.inputs)
    }
}
