//! What forward keeps for backward, and the memory that passes work in: one arena, taken before the first pass and cut for each by
//! the number of its tokens. Letters: `t` tokens, `e` those that are computed to the end of a layer, `h` hidden, `i` intermediate,
//! `a` heads.

use crate::config::EncoderConfig;
use maana_kernels::{Context, Precision};

/// Pieces of the arena begin on lines of the cache: so many elements apart, f32 or bf16.
const LINE: usize = 32;

/// What a pass needs memory for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    hidden: usize,
    intermediate: usize,
    heads: usize,
    layers: usize,
    tokens: usize,
    ended: usize,
    /// Whether backward follows, and in which precision it reads what forward keeps.
    kept: Option<Precision>,
}

impl Extent {
    /// A pass over so many tokens, of which `ended` are computed to the end of the last layer.
    pub(crate) fn new(config: &EncoderConfig, tokens: usize, ended: usize, kept: Option<Precision>) -> Self {
        let EncoderConfig { hidden, intermediate, heads, layers, .. } = *config;
        Self { hidden, intermediate, heads, layers, tokens, ended, kept }
    }

    /// Hidden states, the sum of the embeddings, its statistics, the memory of forward, of backward, of all layers.
    fn lengths(&self) -> [usize; 6] {
        let (t, h) = (self.tokens, self.hidden);
        let layers = self.whole_layers() * size(&self.kept_floats(t)) + size(&self.kept_floats(self.ended));
        [t * h, t * h, 2 * t, size(&self.work()), size(&self.scratch()), layers]
    }

    fn halves(&self) -> usize {
        self.whole_layers() * size(&self.kept_halves(self.tokens)) + size(&self.kept_halves(self.ended))
    }

    /// Layers of which every token is computed to the end.
    fn whole_layers(&self) -> usize {
        self.layers.saturating_sub(1)
    }

    /// In the order of [`LayerWork`]. What a layer keeps as it is made is made in the layer's own memory.
    fn work(&self) -> [usize; 10] {
        let Self { tokens: t, hidden: h, intermediate: i, heads: a, kept, .. } = *self;
        // Tokens with room for what is rounded before it is kept, for sums and statistics, and for what the activation takes.
        let (rounded, sums, taken) = match kept {
            None => (t, t, 0),
            Some(Precision::F32) => (0, 0, 0),
            Some(_) => (t, 0, t),
        };
        [rounded * 3 * h, rounded * h, sums * a, sums * h, sums * 2, t * h, taken * i, t * i, sums * h, sums * 2]
    }

    /// In the order of [`Scratch`].
    fn scratch(&self) -> [usize; 5] {
        let values = if self.kept.is_some() { self.tokens * self.hidden } else { 0 };
        [values, values, values, values, 3 * values]
    }

    /// What a layer keeps in f32 if `e` tokens are computed to its end: the sums and statistics of [`LayerActivations`], then
    /// whatever is not kept in bf16.
    fn kept_floats(&self, e: usize) -> [usize; 8] {
        let Self { tokens: t, hidden: h, intermediate: i, heads: a, kept, .. } = *self;
        match kept {
            None => [0; 8],
            Some(Precision::F32) => [t * a, e * h, e * 2, e * h, e * 2, t * 3 * h, t * h, e * i],
            Some(_) => [t * a, e * h, e * 2, e * h, e * 2, 0, 0, 0],
        }
    }

    /// What a layer keeps in bf16.
    fn kept_halves(&self, e: usize) -> [usize; 3] {
        match self.kept {
            None | Some(Precision::F32) => [0; 3],
            Some(_) => [self.tokens * 3 * self.hidden, self.tokens * self.hidden, e * self.intermediate],
        }
    }
}

/// The arena.
#[derive(Default)]
pub(crate) struct EncoderActivations {
    extent: Extent,
    positions: Vec<u32>,
    floats: Vec<f32>,
    /// The part of it that is kept in bf16.
    halves: Vec<u16>,
}

impl EncoderActivations {
    /// Takes the memory for passes of at most this extent; whether there is so much. The system gives pages when they are first
    /// used.
    #[must_use]
    pub(crate) fn reserve(&mut self, extent: Extent) -> bool {
        fn reserve<T>(memory: &mut Vec<T>, elements: usize) -> bool {
            memory.try_reserve_exact(elements.saturating_sub(memory.len())).is_ok()
        }
        reserve(&mut self.positions, extent.tokens)
            && reserve(&mut self.floats, size(&extent.lengths()) + LINE)
            && reserve(&mut self.halves, extent.halves() + LINE)
    }

    /// Makes room for a pass. What the one before left is lost.
    pub(crate) fn begin(&mut self, extent: Extent) {
        fn grow<T: Clone + Default>(memory: &mut Vec<T>, elements: usize) {
            if memory.len() < elements {
                memory.reserve_exact(elements - memory.len());
                memory.resize(elements, T::default());
            }
        }
        grow(&mut self.floats, size(&extent.lengths()) + LINE);
        grow(&mut self.halves, extent.halves() + LINE);
        self.extent = extent;
    }

    /// The arena as the pass that began last uses it.
    pub(crate) fn cut(&mut self) -> Cut<'_> {
        let extent = self.extent;
        let [hidden, embedding_sum, embedding_statistics, work, scratch, floats] =
            cut(on_a_line(&mut self.floats), extent.lengths());
        let layers = Layers { extent, floats, halves: on_a_line(&mut self.halves) };
        Cut {
            positions: &mut self.positions,
            hidden,
            embedding_sum,
            embedding_statistics,
            layers,
            work: LayerWork::cut(work, extent.work()),
            scratch: Scratch::cut(scratch, extent.scratch()),
        }
    }

    /// Bytes that passes have used.
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.positions.len() + self.floats.len()) + 2 * self.halves.len()
    }
}

/// The arena in pieces.
pub(crate) struct Cut<'a> {
    /// The row of the position table of each token. `(t)`
    pub(crate) positions: &'a mut Vec<u32>,
    /// What enters the layer at work, and at the end what leaves the encoder. `(t, h)`, of which `e` are used.
    pub(crate) hidden: &'a mut [f32],
    /// Word, position and segment embeddings added up: what the first LayerNorm takes. `(t, h)`
    pub(crate) embedding_sum: &'a mut [f32],
    /// Its mean and 1/σ. `(t, 2)`
    pub(crate) embedding_statistics: &'a mut [f32],
    /// What each layer keeps.
    pub(crate) layers: Layers<'a>,
    /// The memory of forward.
    pub(crate) work: LayerWork<'a>,
    /// The memory of backward.
    pub(crate) scratch: Scratch<'a>,
}

/// What all layers keep.
pub(crate) struct Layers<'a> {
    extent: Extent,
    floats: &'a mut [f32],
    halves: &'a mut [u16],
}

impl Layers<'_> {
    /// What one of them keeps.
    pub(crate) fn layer(&mut self, index: usize) -> LayerActivations<'_> {
        let Extent { tokens, ended, .. } = self.extent;
        let e = if index + 1 == self.extent.layers { ended } else { tokens };
        let first = index * size(&self.extent.kept_floats(tokens));
        let [
            log_sum_exp,
            attention_sum,
            attention_statistics,
            output_sum,
            output_statistics,
            qkv,
            attended,
            before_activation,
        ] = cut(&mut self.floats[first..], self.extent.kept_floats(e));
        let first = index * size(&self.extent.kept_halves(tokens));
        let [half_qkv, half_attended, half_before_activation] =
            cut(&mut self.halves[first..], self.extent.kept_halves(e));
        LayerActivations {
            qkv: Kept { floats: qkv, halves: half_qkv },
            attended: Kept { floats: attended, halves: half_attended },
            log_sum_exp,
            attention_sum,
            attention_statistics,
            before_activation: Kept { floats: before_activation, halves: half_before_activation },
            output_sum,
            output_statistics,
        }
    }
}

/// What one layer keeps for backward: what cannot be computed again cheaply.
pub(crate) struct LayerActivations<'a> {
    /// Query, key and value. `(t, 3, h)`
    pub(crate) qkv: Kept<'a>,
    /// What the heads put out, side by side. `(t, h)`
    pub(crate) attended: Kept<'a>,
    /// log Σ exp of the scores of each token and head. `(t, a)`
    pub(crate) log_sum_exp: &'a mut [f32],
    /// Attention's output plus the layer's input: what the first LayerNorm takes. `(e, h)`
    pub(crate) attention_sum: &'a mut [f32],
    /// Its mean and 1/σ. `(e, 2)`
    pub(crate) attention_statistics: &'a mut [f32],
    /// What the activation takes. `(e, i)`
    pub(crate) before_activation: Kept<'a>,
    /// The feed-forward output plus its input: what the second LayerNorm takes. `(e, h)`
    pub(crate) output_sum: &'a mut [f32],
    /// Its mean and 1/σ. `(e, 2)`
    pub(crate) output_statistics: &'a mut [f32],
}

impl LayerActivations<'_> {
    /// The memory in which forward makes what is kept where it will lie, and everything else.
    pub(crate) fn work_in<'b>(&'b mut self, work: &'b mut LayerWork<'_>) -> LayerWork<'b> {
        LayerWork {
            qkv: self.qkv.made_in(work.qkv),
            attended: self.attended.made_in(work.attended),
            log_sum_exp: self.log_sum_exp,
            attention_sum: self.attention_sum,
            attention_statistics: self.attention_statistics,
            attention_normed: work.attention_normed,
            before_activation: self.before_activation.made_in(work.before_activation),
            activated: work.activated,
            output_sum: self.output_sum,
            output_statistics: self.output_statistics,
        }
    }

    /// Keeps in half the memory what forward had rounded to bf16.
    pub(crate) fn keep(&mut self, context: &Context, work: &LayerWork<'_>) {
        self.qkv.narrow(context, work.qkv);
        self.attended.narrow(context, work.attended);
        self.before_activation.narrow(context, work.before_activation);
    }
}

/// Values that backward reads again: as they are, or in half the memory where forward had rounded them to bf16.
pub(crate) struct Kept<'a> {
    floats: &'a mut [f32],
    halves: &'a mut [u16],
}

impl Kept<'_> {
    fn made_in<'b>(&'b mut self, memory: &'b mut [f32]) -> &'b mut [f32] {
        if self.halves.is_empty() { self.floats } else { memory }
    }

    fn narrow(&mut self, context: &Context, made: &[f32]) {
        maana_kernels::narrow(context, &made[..self.halves.len()], self.halves);
    }

    /// The values, with `memory` for those that must be widened.
    pub(crate) fn read<'b>(&'b self, context: &Context, memory: &'b mut [f32]) -> &'b [f32] {
        if self.halves.is_empty() {
            return self.floats;
        }
        let memory = &mut memory[..self.halves.len()];
        maana_kernels::widen(context, self.halves, memory);
        memory
    }
}

/// The memory that one layer's forward works in. Of what has a row for each of `e` tokens, those are the first.
pub(crate) struct LayerWork<'a> {
    /// `(t, 3, h)`
    pub(crate) qkv: &'a mut [f32],
    /// `(t, h)`
    pub(crate) attended: &'a mut [f32],
    /// `(t, a)`
    pub(crate) log_sum_exp: &'a mut [f32],
    /// `(e, h)`
    pub(crate) attention_sum: &'a mut [f32],
    /// `(e, 2)`
    pub(crate) attention_statistics: &'a mut [f32],
    /// What the first LayerNorm gives. `(e, h)`
    pub(crate) attention_normed: &'a mut [f32],
    /// Empty where nothing is kept. `(e, i)`
    pub(crate) before_activation: &'a mut [f32],
    /// What the activation gives. `(e, i)`
    pub(crate) activated: &'a mut [f32],
    /// `(e, h)`
    pub(crate) output_sum: &'a mut [f32],
    /// `(e, 2)`
    pub(crate) output_statistics: &'a mut [f32],
}

impl<'a> LayerWork<'a> {
    fn cut(memory: &'a mut [f32], lengths: [usize; 10]) -> Self {
        let [
            qkv,
            attended,
            log_sum_exp,
            attention_sum,
            attention_statistics,
            attention_normed,
            before_activation,
            activated,
            output_sum,
            output_statistics,
        ] = cut(memory, lengths);
        Self {
            qkv,
            attended,
            log_sum_exp,
            attention_sum,
            attention_statistics,
            attention_normed,
            before_activation,
            activated,
            output_sum,
            output_statistics,
        }
    }
}

/// The memory that one layer's backward works in; nothing in it outlives the layer but `d_hidden`. While gradients of `e` tokens
/// are at work, they are the first.
pub(crate) struct Scratch<'a> {
    /// Gradient of what leaves the layer, then of what enters it. `(t, h)`
    pub(crate) d_hidden: &'a mut [f32],
    /// Gradient of the sum that a LayerNorm takes. `(t, h)`
    pub(crate) d_sum: &'a mut [f32],
    /// The same behind dropout. `(t, h)`
    pub(crate) d_dropped: &'a mut [f32],
    /// Gradient of what the heads put out. `(t, h)`
    pub(crate) d_attended: &'a mut [f32],
    /// `(t, 3, h)`
    pub(crate) d_qkv: &'a mut [f32],
}

impl<'a> Scratch<'a> {
    fn cut(memory: &'a mut [f32], lengths: [usize; 5]) -> Self {
        let [d_hidden, d_sum, d_dropped, d_attended, d_qkv] = cut(memory, lengths);
        Self { d_hidden, d_sum, d_dropped, d_attended, d_qkv }
    }
}

/// Elements of memory that [`cut`] takes for pieces of these lengths.
fn size(lengths: &[usize]) -> usize {
    lengths.iter().map(|length| length.next_multiple_of(LINE)).sum()
}

/// The first elements of `memory` in pieces of these lengths, each of which begins on a line if `memory` does.
fn cut<T, const N: usize>(memory: &mut [T], lengths: [usize; N]) -> [&mut [T]; N] {
    let mut rest = memory;
    lengths.map(|length| {
        let (piece, others) = std::mem::take(&mut rest).split_at_mut(length.next_multiple_of(LINE));
        rest = others;
        &mut piece[..length]
    })
}

/// The memory from the first element on that begins a line of 64 bytes.
fn on_a_line<T>(memory: &mut [T]) -> &mut [T] {
    let first = memory.as_ptr().align_offset(64).min(memory.len());
    &mut memory[first..]
}
