//! What forward keeps for backward, and the memory that backward works in. Buffers grow once and are used again.
//! Letters: `t` tokens, `h` hidden, `i` intermediate, `a` heads.

/// What one layer keeps.
#[derive(Default)]
pub(crate) struct LayerActivations {
    /// Query, key and value. `(t, 3, h)`
    pub(crate) qkv: Vec<f32>,
    /// What the heads put out, side by side. `(t, h)`
    pub(crate) context: Vec<f32>,
    /// log Σ exp of the scores of each token and head. `(t, a)`
    pub(crate) log_sum_exp: Vec<f32>,
    /// Attention's output plus the layer's input: what the first LayerNorm takes. `(t, h)`
    pub(crate) attention_sum: Vec<f32>,
    /// Its mean and 1/σ. `(t, 2)`
    pub(crate) attention_statistics: Vec<f32>,
    /// What the first LayerNorm gives. `(t, h)`
    pub(crate) attention_normed: Vec<f32>,
    /// What GELU takes. `(t, i)`
    pub(crate) before_gelu: Vec<f32>,
    /// What GELU gives. `(t, i)`
    pub(crate) after_gelu: Vec<f32>,
    /// The feed-forward output plus its input: what the second LayerNorm takes. `(t, h)`
    pub(crate) output_sum: Vec<f32>,
    /// Its mean and 1/σ. `(t, 2)`
    pub(crate) output_statistics: Vec<f32>,
}

/// What the encoder keeps.
#[derive(Default)]
pub(crate) struct EncoderActivations {
    /// The row of the position table of each token. `(t)`
    pub(crate) positions: Vec<u32>,
    /// Word, position and segment embeddings added up: what the first LayerNorm takes. `(t, h)`
    pub(crate) embedding_sum: Vec<f32>,
    /// Its mean and 1/σ. `(t, 2)`
    pub(crate) embedding_statistics: Vec<f32>,
    /// What enters each layer, and last what leaves the encoder. `layers + 1` times `(t, h)`
    pub(crate) hidden: Vec<Vec<f32>>,
    /// What each layer keeps.
    pub(crate) layers: Vec<LayerActivations>,
    /// The memory of backward.
    pub(crate) scratch: Scratch,
}

/// The memory that one layer's backward works in; nothing in it outlives the layer but `d_hidden`.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Gradient of what leaves the layer, then of what enters it. `(t, h)`
    pub(crate) d_hidden: Vec<f32>,
    /// Gradient of the sum that a LayerNorm takes. `(t, h)`
    pub(crate) d_sum: Vec<f32>,
    /// The same behind dropout. `(t, h)`
    pub(crate) d_dropped: Vec<f32>,
    /// Gradient of what the heads put out. `(t, h)`
    pub(crate) d_context: Vec<f32>,
    /// `(t, 3, h)`
    pub(crate) d_qkv: Vec<f32>,
    /// Gradient of what GELU gives. `(t, i)`
    pub(crate) d_after_gelu: Vec<f32>,
    /// Gradient of what GELU takes. `(t, i)`
    pub(crate) d_before_gelu: Vec<f32>,
}

impl EncoderActivations {
    /// Bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(LayerActivations::floats).sum();
        let hidden: usize = self.hidden.iter().map(Vec::capacity).sum();
        let own = self.positions.capacity() + self.embedding_sum.capacity() + self.embedding_statistics.capacity();
        4 * (layers + hidden + own + self.scratch.floats())
    }
}

impl LayerActivations {
    fn floats(&self) -> usize {
        let buffers = [
            &self.qkv,
            &self.context,
            &self.log_sum_exp,
            &self.attention_sum,
            &self.attention_statistics,
            &self.attention_normed,
            &self.before_gelu,
            &self.after_gelu,
            &self.output_sum,
            &self.output_statistics,
        ];
        buffers.iter().map(|buffer| buffer.capacity()).sum()
    }
}

impl Scratch {
    fn floats(&self) -> usize {
        let buffers = [
            &self.d_hidden,
            &self.d_sum,
            &self.d_dropped,
            &self.d_context,
            &self.d_qkv,
            &self.d_after_gelu,
            &self.d_before_gelu,
        ];
        buffers.iter().map(|buffer| buffer.capacity()).sum()
    }
}

/// Gives `buffer` the length, keeping its memory; what it holds is to be overwritten.
pub(crate) fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length, 0.0);
    buffer
}
