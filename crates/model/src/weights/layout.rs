//! Declaration of parameters: each block names its own once, with their shapes; sizes and offsets
//! follow.

use std::ops::Range;

/// A named parameter: its name in the file, its shape, and its place in the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The name in `model.safetensors`, for example `encoder.layer.0.output.dense.weight`.
    pub name: String,
    /// The shape as written to the file.
    pub shape: Vec<usize>,
    /// The range of its elements in the arena; empty if the arena does not hold it.
    pub range: Range<usize>,
}

/// Puts the name of a folder in front of the names of tensors, unless it is that of the model.
pub(crate) fn named_within(folder: &str, tensors: impl IntoIterator<Item = Tensor>) -> impl Iterator<Item = Tensor> {
    tensors.into_iter().map(move |tensor| match folder {
        "" => tensor,
        _ => Tensor { name: format!("{folder}.{}", tensor.name), ..tensor },
    })
}

impl Tensor {
    /// Rows and columns, if the tensor is a matrix.
    pub fn matrix(&self) -> Option<[usize; 2]> {
        self.shape.as_slice().try_into().ok()
    }

    /// Number of elements, whether the arena holds them or not.
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns whether weight decay applies: not to biases and norms.
    pub fn decays(&self) -> bool {
        let name = self.name.to_lowercase();
        let norm = name.split('.').any(|part| part == "norm" || part.ends_with("_norm"));
        !norm && !["bias", "layernorm"].iter().any(|part| name.contains(part))
    }
}

/// A parameter of a block: one tensor, or several stacked to one matrix.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// Numbers of its tensors in [`Layout::tensors`].
    pub(crate) tensors: Range<usize>,
    /// The range of its elements in the arena.
    pub(crate) range: Range<usize>,
}

/// The weight of a linear layer, `(outputs, inputs)`.
#[derive(Clone, Debug)]
pub(crate) struct LinearWeight {
    /// Its number among the linear layers of the encoder.
    pub(crate) number: usize,
    /// The number of its role in a layer; weights of one role share the memory in which they are
    /// packed when needed.
    pub(crate) role: usize,
    pub(crate) weight: Parameter,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
}

/// The parameters that the arena holds. The others have an empty range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All parameters: the model trains.
    All,
    /// All but the weights of linear layers, which are packed, and the word embeddings where they
    /// can be read in the file.
    Unpacked { word_embeddings: bool },
}

/// Names, shapes and places of an encoder's parameters, in the order of their declaration.
#[derive(Debug)]
pub(crate) struct Layout {
    scope: Scope,
    pub(crate) tensors: Vec<Tensor>,
    /// Elements of the arena up to the end of the last parameter.
    pub(crate) elements: usize,
    /// Linear layers by number.
    pub(crate) linears: Vec<LinearWeight>,
    roles: Vec<&'static str>,
    /// The number of the tensor of word embeddings.
    pub(crate) word_embeddings: usize,
}

impl Layout {
    /// Returns a layout whose first parameter begins at `start` in the arena.
    pub(crate) fn new(scope: Scope, start: usize) -> Self {
        Self { scope, tensors: Vec::new(), elements: start, linears: Vec::new(), roles: Vec::new(), word_embeddings: 0 }
    }

    /// Declares the table of word embeddings.
    pub(crate) fn word_embeddings(&mut self, name: &str, shape: [usize; 2]) -> Parameter {
        self.word_embeddings = self.tensors.len();
        self.add(self.scope != Scope::Unpacked { word_embeddings: false }, &[name.to_owned()], &shape)
    }

    /// Declares a parameter that passes read as it is.
    pub(crate) fn parameter(&mut self, name: impl Into<String>, shape: &[usize]) -> Parameter {
        self.add(true, &[name.into()], shape)
    }

    /// Declares parameters of one shape that are stacked to one.
    pub(crate) fn stacked(&mut self, names: &[String], shape: &[usize]) -> Parameter {
        self.add(true, names, shape)
    }

    /// Declares the weight of a linear layer, stacked from tensors of the shape `(outputs,
    /// inputs)`.
    pub(crate) fn linear(
        &mut self,
        role: &'static str,
        names: &[String],
        outputs: usize,
        inputs: usize,
    ) -> LinearWeight {
        let weight = self.add(self.scope == Scope::All, names, &[outputs, inputs]);
        let known = self.roles.iter().position(|known| *known == role);
        let role = known.unwrap_or_else(|| {
            self.roles.push(role);
            self.roles.len() - 1
        });
        let linear = LinearWeight { number: self.linears.len(), role, weight, outputs: names.len() * outputs, inputs };
        self.linears.push(linear.clone());
        linear
    }

    /// Number of roles that linear layers have.
    pub(crate) fn roles(&self) -> usize {
        self.roles.len()
    }

    fn add(&mut self, held: bool, names: &[String], shape: &[usize]) -> Parameter {
        let (first, start) = (self.tensors.len(), self.elements);
        for name in names {
            let range = self.elements..self.elements + if held { shape.iter().product() } else { 0 };
            self.elements = range.end;
            self.tensors.push(Tensor { name: name.clone(), shape: shape.to_vec(), range });
        }
        Parameter { tensors: first..self.tensors.len(), range: start..self.elements }
    }
}
