//! Where every parameter of the encoder lies in its arena, and under which name the file holds it.
//! All arithmetic on offsets is here, so that the model's page has none.

use crate::config::{Architecture, EncoderConfig};
use crate::trainable::Tensor;
use std::ops::Range;

/// The parts of the embeddings: `T` is a range, a slice or a mutable slice.
pub(crate) struct EmbeddingParts<T> {
    /// `(vocabulary, hidden)`
    pub(crate) word: T,
    /// `(positions, hidden)`
    pub(crate) position: T,
    /// `(segments, hidden)`, empty where the architecture has none
    pub(crate) segment: T,
    /// `(hidden)`
    pub(crate) gamma: T,
    /// `(hidden)`
    pub(crate) beta: T,
}

/// The parts of one layer: `T` is a range, a slice or a mutable slice. Weights are `(out, in)`, as in the file.
pub(crate) struct LayerParts<T> {
    /// Query, key and value one below the other: `(3 hidden, hidden)`
    pub(crate) qkv_weight: T,
    /// `(3 hidden)`
    pub(crate) qkv_bias: T,
    /// `(hidden, hidden)`
    pub(crate) output_weight: T,
    /// `(hidden)`
    pub(crate) output_bias: T,
    /// `(hidden)`, LayerNorm behind attention
    pub(crate) attention_gamma: T,
    /// `(hidden)`
    pub(crate) attention_beta: T,
    /// `(intermediate, hidden)`
    pub(crate) up_weight: T,
    /// `(intermediate)`
    pub(crate) up_bias: T,
    /// `(hidden, intermediate)`
    pub(crate) down_weight: T,
    /// `(hidden)`
    pub(crate) down_bias: T,
    /// `(hidden)`, LayerNorm at the end of the layer
    pub(crate) gamma: T,
    /// `(hidden)`
    pub(crate) beta: T,
}

impl<T> EmbeddingParts<T> {
    fn from_array([word, position, segment, gamma, beta]: [T; 5]) -> Self {
        Self { word, position, segment, gamma, beta }
    }
}

impl<T> LayerParts<T> {
    fn from_array(parts: [T; 12]) -> Self {
        let [qkv_weight, qkv_bias, output_weight, output_bias, attention_gamma, attention_beta, rest @ ..] = parts;
        let [up_weight, up_bias, down_weight, down_bias, gamma, beta] = rest;
        Self {
            qkv_weight,
            qkv_bias,
            output_weight,
            output_bias,
            attention_gamma,
            attention_beta,
            up_weight,
            up_bias,
            down_weight,
            down_bias,
            gamma,
            beta,
        }
    }
}

/// Names and places of an encoder's parameters.
pub(crate) struct Layout {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) total: usize,
    embeddings: [Range<usize>; 5],
    layers: Vec<[Range<usize>; 12]>,
    /// Of each layer, the tensors that are the weights of its four products.
    pub(crate) products: Vec<[Range<usize>; 4]>,
}

/// Which parameters have a place in the arena. Those without have an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// All: the model is to learn.
    All,
    /// All but the weights of products, which are packed, and the words' embeddings, if they can be read from the file.
    Unpacked { words: bool },
}

impl Layout {
    pub(crate) fn new(config: &EncoderConfig, held: Held) -> Self {
        let mut builder = Builder { tensors: Vec::new(), total: 0 };
        let hidden = config.hidden;
        let embeddings = [
            builder.add_if(
                held != Held::Unpacked { words: false },
                "embeddings.word_embeddings.weight",
                &[config.vocabulary, hidden],
            ),
            builder.add("embeddings.position_embeddings.weight", &[config.positions, hidden]),
            match config.segments {
                0 => builder.total..builder.total,
                segments => builder.add("embeddings.token_type_embeddings.weight", &[segments, hidden]),
            },
            builder.add("embeddings.LayerNorm.weight", &[hidden]),
            builder.add("embeddings.LayerNorm.bias", &[hidden]),
        ];
        let names = LayerNames::of(config.architecture);
        let (mut layers, mut products) = (Vec::new(), Vec::new());
        for index in 0..config.layers {
            let first = builder.tensors.len();
            // As `add_layer` puts them: three projections and their biases, then weight, bias and norm in turn.
            products
                .push([(0, 3), (6, 1), (10, 1), (12, 1)].map(|(start, count)| first + start..first + start + count));
            layers.push(builder.add_layer(config, &names, index, held == Held::All));
        }
        Self { tensors: builder.tensors, total: builder.total, embeddings, layers, products }
    }

    /// The table of the words' embeddings.
    pub(crate) fn word_tensor(&self) -> &Tensor {
        &self.tensors[0]
    }

    pub(crate) fn embeddings<'a>(&self, arena: &'a [f32]) -> EmbeddingParts<&'a [f32]> {
        EmbeddingParts::from_array(self.embeddings.clone().map(|range| &arena[range]))
    }

    pub(crate) fn embeddings_mut<'a>(&self, arena: &'a mut [f32]) -> EmbeddingParts<&'a mut [f32]> {
        let parts = arena.get_disjoint_mut(self.embeddings.clone());
        EmbeddingParts::from_array(parts.expect("tensors do not overlap"))
    }

    pub(crate) fn layer<'a>(&self, arena: &'a [f32], index: usize) -> LayerParts<&'a [f32]> {
        LayerParts::from_array(self.layers[index].clone().map(|range| &arena[range]))
    }

    pub(crate) fn layer_mut<'a>(&self, arena: &'a mut [f32], index: usize) -> LayerParts<&'a mut [f32]> {
        let parts = arena.get_disjoint_mut(self.layers[index].clone());
        LayerParts::from_array(parts.expect("tensors do not overlap"))
    }
}

/// What the file calls the parts of a layer; each stands for a `.weight` and a `.bias`.
struct LayerNames {
    layer: &'static str,
    query_key_value: [&'static str; 3],
    output: &'static str,
    attention_norm: &'static str,
    up: &'static str,
    down: &'static str,
    norm: &'static str,
}

impl LayerNames {
    fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::DistilBert => Self {
                layer: "transformer.layer",
                query_key_value: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
                output: "attention.out_lin",
                attention_norm: "sa_layer_norm",
                up: "ffn.lin1",
                down: "ffn.lin2",
                norm: "output_layer_norm",
            },
            Architecture::Bert | Architecture::Roberta | Architecture::Camembert | Architecture::XlmRoberta => Self {
                layer: "encoder.layer",
                query_key_value: ["attention.self.query", "attention.self.key", "attention.self.value"],
                output: "attention.output.dense",
                attention_norm: "attention.output.LayerNorm",
                up: "intermediate.dense",
                down: "output.dense",
                norm: "output.LayerNorm",
            },
        }
    }
}

struct Builder {
    tensors: Vec<Tensor>,
    total: usize,
}

impl Builder {
    fn add(&mut self, name: impl Into<String>, shape: &[usize]) -> Range<usize> {
        self.add_if(true, name, shape)
    }

    fn add_if(&mut self, held: bool, name: impl Into<String>, shape: &[usize]) -> Range<usize> {
        let range = self.total..self.total + if held { shape.iter().product() } else { 0 };
        self.total = range.end;
        self.tensors.push(Tensor { name: name.into(), shape: shape.to_vec(), range: range.clone() });
        range
    }

    fn add_layer(
        &mut self,
        config: &EncoderConfig,
        names: &LayerNames,
        index: usize,
        weights_too: bool,
    ) -> [Range<usize>; 12] {
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        let name = |part: &str, kind: &str| format!("{}.{index}.{part}.{kind}", names.layer);
        // The three projections lie one behind the other, so that they are one matrix.
        let weights =
            names.query_key_value.map(|part| self.add_if(weights_too, name(part, "weight"), &[hidden, hidden]));
        let biases = names.query_key_value.map(|part| self.add(name(part, "bias"), &[hidden]));
        [
            weights[0].start..weights[2].end,
            biases[0].start..biases[2].end,
            self.add_if(weights_too, name(names.output, "weight"), &[hidden, hidden]),
            self.add(name(names.output, "bias"), &[hidden]),
            self.add(name(names.attention_norm, "weight"), &[hidden]),
            self.add(name(names.attention_norm, "bias"), &[hidden]),
            self.add_if(weights_too, name(names.up, "weight"), &[intermediate, hidden]),
            self.add(name(names.up, "bias"), &[intermediate]),
            self.add_if(weights_too, name(names.down, "weight"), &[hidden, intermediate]),
            self.add(name(names.down, "bias"), &[hidden]),
            self.add(name(names.norm, "weight"), &[hidden]),
            self.add(name(names.norm, "bias"), &[hidden]),
        ]
    }
}
