//! What forward keeps for backward, and the memory that backward works in. Buffers grow once and are used again.
//! Letters: `t` tokens, `h` hidden, `i` intermediate, `a` heads.

use crate::config::EncoderConfig;
use maana_kernels::{Pool, Precision};

/// What one layer keeps for backward: what cannot be computed again cheaply.
#[derive(Default)]
pub(crate) struct LayerActivations {
    /// Query, key and value. `(t, 3, h)`
    pub(crate) qkv: Kept,
    /// What the heads put out, side by side. `(t, h)`
    pub(crate) context: Kept,
    /// log Σ exp of the scores of each token and head. `(t, a)`
    pub(crate) log_sum_exp: Vec<f32>,
    /// Attention's output plus the layer's input: what the first LayerNorm takes. `(t, h)`
    pub(crate) attention_sum: Vec<f32>,
    /// Its mean and 1/σ. `(t, 2)`
    pub(crate) attention_statistics: Vec<f32>,
    /// What GELU takes. `(t, i)`
    pub(crate) before_gelu: Kept,
    /// The feed-forward output plus its input: what the second LayerNorm takes. `(t, h)`
    pub(crate) output_sum: Vec<f32>,
    /// Its mean and 1/σ. `(t, 2)`
    pub(crate) output_statistics: Vec<f32>,
}

/// The memory that one layer's forward works in. What is kept as it is made is made in memory that [`LayerActivations`] lends.
#[derive(Default)]
pub(crate) struct LayerWork {
    /// `(t, 3, h)`
    pub(crate) qkv: Vec<f32>,
    /// `(t, h)`
    pub(crate) context: Vec<f32>,
    /// `(t, a)`
    pub(crate) log_sum_exp: Vec<f32>,
    /// `(t, h)`
    pub(crate) attention_sum: Vec<f32>,
    /// `(t, 2)`
    pub(crate) attention_statistics: Vec<f32>,
    /// What the first LayerNorm gives. `(t, h)`
    pub(crate) attention_normed: Vec<f32>,
    /// `(t, i)`
    pub(crate) before_gelu: Vec<f32>,
    /// What GELU gives. `(t, i)`
    pub(crate) after_gelu: Vec<f32>,
    /// `(t, h)`
    pub(crate) output_sum: Vec<f32>,
    /// `(t, 2)`
    pub(crate) output_statistics: Vec<f32>,
}

impl LayerWork {
    /// Takes the memory in which a layer keeps what backward needs.
    pub(crate) fn lend(&mut self, precision: Precision, from: &mut LayerActivations) {
        self.change_places(precision, from);
    }

    /// Gives it back, and keeps in half the memory what forward had rounded to bf16.
    pub(crate) fn keep(&mut self, pool: &Pool, precision: Precision, into: &mut LayerActivations) {
        self.change_places(precision, into);
        if precision != Precision::F32 {
            into.qkv.narrow(pool, &self.qkv);
            into.context.narrow(pool, &self.context);
            into.before_gelu.narrow(pool, &self.before_gelu);
        }
    }

    fn change_places(&mut self, precision: Precision, with: &mut LayerActivations) {
        if precision == Precision::F32 {
            std::mem::swap(&mut with.qkv.floats, &mut self.qkv);
            std::mem::swap(&mut with.context.floats, &mut self.context);
            std::mem::swap(&mut with.before_gelu.floats, &mut self.before_gelu);
        }
        for (with, own) in [
            (&mut with.log_sum_exp, &mut self.log_sum_exp),
            (&mut with.attention_sum, &mut self.attention_sum),
            (&mut with.attention_statistics, &mut self.attention_statistics),
            (&mut with.output_sum, &mut self.output_sum),
            (&mut with.output_statistics, &mut self.output_statistics),
        ] {
            std::mem::swap(with, own);
        }
    }

    fn buffers(&self) -> [&Vec<f32>; 10] {
        [
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
        ]
    }
}

/// Values that backward reads again: as they are, or in half the memory where forward had rounded them to bf16.
#[derive(Default)]
pub(crate) struct Kept {
    floats: Vec<f32>,
    halves: Vec<u16>,
}

impl Kept {
    fn narrow(&mut self, pool: &Pool, values: &[f32]) {
        self.halves.reserve_exact(values.len().saturating_sub(self.halves.len()));
        self.halves.resize(values.len(), 0);
        maana_kernels::narrow(pool, values, &mut self.halves);
    }

    /// The values, with `memory` for those that must be widened.
    pub(crate) fn read<'a>(&'a self, pool: &Pool, precision: Precision, memory: &'a mut Vec<f32>) -> &'a [f32] {
        if precision == Precision::F32 {
            return &self.floats;
        }
        let memory = sized(memory, self.halves.len());
        maana_kernels::widen(pool, &self.halves, memory);
        memory
    }

    fn bytes(&self) -> usize {
        4 * self.floats.capacity() + 2 * self.halves.capacity()
    }
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
    /// What enters the layer at work, and at the end what leaves the encoder. `(t, h)`
    pub(crate) hidden: Vec<f32>,
    /// What each layer keeps.
    pub(crate) layers: Vec<LayerActivations>,
    /// The memory of forward.
    pub(crate) work: LayerWork,
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
}

impl EncoderActivations {
    /// Takes what passes over at most `tokens` tokens work in that keep nothing for backward. The system gives pages when they
    /// are first used.
    pub(crate) fn reserve(&mut self, config: &EncoderConfig, tokens: usize) {
        let (h, i, heads) = (config.hidden, config.intermediate, config.heads);
        self.positions.reserve_exact(tokens.saturating_sub(self.positions.len()));
        let work = &mut self.work;
        for (buffer, columns) in [
            (&mut self.embedding_sum, h),
            (&mut self.embedding_statistics, 2),
            (&mut self.hidden, h),
            (&mut work.qkv, 3 * h),
            (&mut work.context, h),
            (&mut work.log_sum_exp, heads),
            (&mut work.attention_sum, h),
            (&mut work.attention_statistics, 2),
            (&mut work.attention_normed, h),
            (&mut work.after_gelu, i),
            (&mut work.output_sum, h),
            (&mut work.output_statistics, 2),
        ] {
            buffer.reserve_exact((tokens * columns).saturating_sub(buffer.len()));
        }
    }

    /// Bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(LayerActivations::bytes).sum();
        let own = self.positions.capacity()
            + self.embedding_sum.capacity()
            + self.embedding_statistics.capacity()
            + self.hidden.capacity();
        let work: usize = self.work.buffers().iter().map(|buffer| buffer.capacity()).sum();
        layers + 4 * (own + work + self.scratch.floats())
    }
}

impl LayerActivations {
    fn bytes(&self) -> usize {
        let sums = [
            &self.log_sum_exp,
            &self.attention_sum,
            &self.attention_statistics,
            &self.output_sum,
            &self.output_statistics,
        ];
        let sums: usize = sums.iter().map(|buffer| 4 * buffer.capacity()).sum();
        sums + self.qkv.bytes() + self.context.bytes() + self.before_gelu.bytes()
    }
}

impl Scratch {
    fn floats(&self) -> usize {
        let buffers = [&self.d_hidden, &self.d_sum, &self.d_dropped, &self.d_context, &self.d_qkv];
        buffers.iter().map(|buffer| buffer.capacity()).sum()
    }
}

/// Gives `buffer` the length, keeping its memory; what it holds is to be overwritten.
pub(crate) fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    sized_within(buffer, length, length)
}

/// The same with memory for `most`, which another layer takes.
pub(crate) fn sized_within(buffer: &mut Vec<f32>, length: usize, most: usize) -> &mut [f32] {
    buffer.reserve_exact(most.saturating_sub(buffer.len()));
    buffer.resize(length, 0.0);
    buffer
}
