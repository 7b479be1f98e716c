//! The encoder, forward and backward, on one page: BERT (arXiv:1810.04805) and its kin.
//! Activations are packed, sequences back to back; only attention and the positions know where one ends.
//! Letters: `t` tokens, `h` hidden, `i` intermediate. Knows nothing of files, strings or pooling.

use crate::ModelError;
use crate::activations::{Cut, EncoderActivations, Extent, LayerActivations, LayerWork, Scratch};
use crate::config::EncoderConfig;
use crate::folder::MappedTensor;
use crate::layer_weights::{InTurn, Weights};
use crate::parameters::{Held, Layout};
use crate::trainable::Noise;
use maana_kernels::{Attention, Context, Dropout, Epilogue, PackedMatrix, Precision, Rows};
use maana_text::TokenBatch;

/// The encoder: its shape, its parameters and the weights in the form that the products want.
pub(crate) struct Bert {
    pub(crate) config: EncoderConfig,
    pub(crate) layout: Layout,
    precision: Precision,
    weights: Weights,
    /// The words' embeddings where they lie in the file, unless they are among the parameters.
    words: Option<MappedTensor>,
}

/// What goes through the encoder.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) batch: &'a TokenBatch,
    pub(crate) noise: Noise,
    /// Tokens that are wanted, ascending, if not all are: of the last layer only they are computed to the end.
    pub(crate) wanted: Option<&'a [usize]>,
    /// Whether backward follows, for which everything that it needs is kept.
    pub(crate) trains: bool,
}

impl Pass<'_> {
    /// How many tokens are computed to the end.
    fn ended(&self) -> usize {
        self.wanted.map_or(self.batch.tokens(), <[usize]>::len)
    }
}

impl Bert {
    /// An encoder that learns: its weights are among its parameters.
    pub(crate) fn new(config: EncoderConfig, parameters: &[f32], precision: Precision) -> Self {
        let layout = Layout::new(&config, Held::All);
        assert!(parameters.len() >= layout.total, "{} parameters of {}", parameters.len(), layout.total);
        Self { config, layout, precision, weights: Weights::Parameters(InTurn::default()), words: None }
    }

    /// An encoder that does not learn: its weights are not among its parameters.
    pub(crate) fn fixed(
        config: EncoderConfig,
        layout: Layout,
        precision: Precision,
        weights: Weights,
        words: Option<MappedTensor>,
    ) -> Self {
        Self { config, layout, precision, weights, words }
    }

    /// What the operands of its products are rounded to.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// Computes in another precision from now on.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        (self.precision, self.weights) = (precision, Weights::Parameters(InTurn::default()));
    }

    /// Bytes of the packed weights.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.weights.packed_bytes()
    }

    /// Calls `each` with the number, tensor and elements of every tensor that is in the file alone.
    fn each_mapped<E>(
        &self,
        context: &Context,
        mut each: impl FnMut(usize, &MappedTensor, &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Weights::Mapped(layers, _) = &self.weights else { return Ok(()) };
        if let Some((words, floats)) = self.words.as_ref().and_then(|words| Some((words, words.as_floats()?))) {
            each(0, words, floats)?;
        }
        let mut layers = layers.iter().zip(&self.layout.products);
        layers.try_for_each(|(layer, products)| layer.each(context, products, &mut each))
    }

    /// Makes sure that what is in the file alone is numbers.
    pub(crate) fn check(&self, context: &Context) -> Result<(), ModelError> {
        self.each_mapped(context, |_, tensor, floats| tensor.check(context, floats).map(drop))
    }

    /// Sums of what is in the file alone, by tensor.
    pub(crate) fn sums(&self, context: &Context) -> Vec<Vec<u128>> {
        let mut sums = vec![Vec::new(); self.layout.tensors.len()];
        let summed = self.each_mapped::<std::convert::Infallible>(context, |number, tensor, floats| {
            sums[number] = tensor.sums(context, floats);
            Ok(())
        });
        let Ok(()) = summed;
        sums
    }

    /// Is to be told when the parameters have changed.
    pub(crate) fn parameters_changed(&mut self) {
        self.weights.parameters_changed();
    }

    /// What a pass over so many tokens takes, `ended` of which are wanted.
    pub(crate) fn extent(&self, tokens: usize, ended: usize, trains: bool) -> Extent {
        Extent::new(&self.config, tokens, ended, trains.then_some(self.precision))
    }

    /// Token embeddings of the last layer, `(t, h)`, of the tokens that are wanted, left in `hidden` of what is kept with
    /// everything that backward needs, if it follows.
    pub(crate) fn forward<'a>(
        &self,
        context: &Context,
        parameters: &[f32],
        pass: Pass<'_>,
        keep: &'a mut EncoderActivations,
    ) -> &'a [f32] {
        keep.begin(self.extent(pass.batch.tokens(), pass.ended(), pass.trains));
        let mut cut = keep.cut();
        self.embed(context, parameters, pass, &mut cut);
        for index in 0..self.config.layers {
            let at_layer = self.at_layer(pass, index);
            if pass.trains {
                let mut kept = cut.layers.layer(index);
                self.layer(context, parameters, index, at_layer, cut.hidden, &mut kept.work_in(&mut cut.work));
                kept.keep(context, &cut.work);
            } else {
                self.layer(context, parameters, index, at_layer, cut.hidden, &mut cut.work);
            }
        }
        &cut.hidden[..pass.ended() * self.config.hidden]
    }

    /// All tokens are wanted of every layer but the last.
    fn at_layer<'a>(&self, pass: Pass<'a>, index: usize) -> Pass<'a> {
        Pass { wanted: pass.wanted.filter(|_| index + 1 == self.config.layers), ..pass }
    }

    /// Adds every parameter's gradient, given that of the token embeddings, or of those that were `wanted`, in the first rows of
    /// `d_hidden` in the scratch of what forward kept. `hidden` there is used up.
    pub(crate) fn backward(
        &self,
        context: &Context,
        parameters: &[f32],
        pass: Pass<'_>,
        keep: &mut EncoderActivations,
        gradients: &mut [f32],
    ) {
        let mut cut = keep.cut();
        for index in (0..self.config.layers).rev() {
            self.input_again(context, parameters, index, pass, &mut cut);
            let kept = cut.layers.layer(index);
            let (work, scratch) = (&mut cut.work, &mut cut.scratch);
            let pass = self.at_layer(pass, index);
            self.layer_backward(context, parameters, index, pass, cut.hidden, &kept, work, scratch, gradients);
        }
        self.embed_backward(context, parameters, pass, &mut cut, gradients);
    }

    /// Computes what entered a layer once more into `hidden`: the same bits as in forward.
    fn input_again(&self, context: &Context, parameters: &[f32], index: usize, pass: Pass<'_>, cut: &mut Cut<'_>) {
        let Cut { hidden, embedding_sum, embedding_statistics, layers, .. } = cut;
        if index == 0 {
            let weights = self.layout.embeddings(parameters);
            let (gamma, beta) = (weights.gamma, weights.beta);
            maana_kernels::layer_norm_recompute(context, embedding_sum, gamma, beta, embedding_statistics, hidden);
            drop_out(context, hidden, self.config.hidden, self.mask(pass, Place::Embeddings));
        } else {
            let weights = self.layout.layer(parameters, index - 1);
            let before = layers.layer(index - 1);
            let (sum, statistics) = (before.output_sum, before.output_statistics);
            maana_kernels::layer_norm_recompute(context, sum, weights.gamma, weights.beta, statistics, hidden);
        }
    }

    fn embed(&self, context: &Context, parameters: &[f32], pass: Pass<'_>, cut: &mut Cut<'_>) {
        let Cut { positions, hidden: output, embedding_sum: sum, embedding_statistics: statistics, .. } = cut;
        let batch = pass.batch;
        let hidden = self.config.hidden;
        let weights = self.layout.embeddings(parameters);
        self.number_positions(batch, positions);
        let words = self.words.as_ref().and_then(MappedTensor::as_floats).unwrap_or(weights.word);
        maana_kernels::gather_rows(context, words, hidden, &batch.ids, sum, false);
        maana_kernels::gather_rows(context, weights.position, hidden, positions, sum, true);
        if self.config.segments > 0 {
            maana_kernels::gather_rows(context, weights.segment, hidden, &batch.type_ids, sum, true);
        }
        let epsilon = self.config.layer_norm_epsilon;
        maana_kernels::layer_norm(context, sum, weights.gamma, weights.beta, epsilon, output, statistics);
        drop_out(context, output, hidden, self.mask(pass, Place::Embeddings));
    }

    fn embed_backward(
        &self,
        context: &Context,
        parameters: &[f32],
        pass: Pass<'_>,
        cut: &mut Cut<'_>,
        gradients: &mut [f32],
    ) {
        let Cut { positions, embedding_sum: sum, embedding_statistics: statistics, scratch, .. } = cut;
        let batch = pass.batch;
        let hidden = self.config.hidden;
        let weights = self.layout.embeddings(parameters);
        let into = self.layout.embeddings_mut(gradients);
        let Scratch { d_hidden, d_sum, .. } = scratch;
        drop_out(context, d_hidden, hidden, self.mask(pass, Place::Embeddings));
        maana_kernels::layer_norm_backward(
            context,
            sum,
            weights.gamma,
            statistics,
            d_hidden,
            d_sum,
            into.gamma,
            into.beta,
        );
        maana_kernels::scatter_add_rows(context, d_sum, hidden, &batch.ids, into.word);
        maana_kernels::scatter_add_rows(context, d_sum, hidden, positions, into.position);
        if self.config.segments > 0 {
            maana_kernels::scatter_add_rows(context, d_sum, hidden, &batch.type_ids, into.segment);
        }
    }

    /// One layer: attention and feed-forward, each with its residual and its LayerNorm behind it. Takes and leaves the
    /// tokens' embeddings in `hidden`. If only some tokens are wanted, the others end with their keys and values.
    fn layer(
        &self,
        context: &Context,
        parameters: &[f32],
        index: usize,
        pass: Pass<'_>,
        hidden: &mut [f32],
        work: &mut LayerWork<'_>,
    ) {
        let (h, i) = (self.config.hidden, self.config.intermediate);
        let weights = self.layout.layer(parameters, index);
        let among = [weights.qkv_weight, weights.output_weight, weights.up_weight, weights.down_weight];
        let packed = self.weights.layer(context, &self.config, self.precision, index, among);
        let epsilon = self.config.layer_norm_epsilon;
        let LayerWork { qkv, attended, log_sum_exp, attention_sum, attention_statistics, .. } = work;
        let LayerWork { attention_normed, before_activation, activated, output_sum, output_statistics, .. } = work;

        maana_kernels::linear(context, rows(hidden, h), &packed.qkv, Some(weights.qkv_bias), Epilogue::None, qkv);
        self.round_kept(context, pass, qkv);
        maana_kernels::attention(context, self.attention(pass, index), qkv, attended, log_sum_exp);
        self.round_kept(context, pass, attended);

        // From here on `e` tokens, which are all or those that are wanted.
        let e = pass.ended();
        let mut attended = &**attended;
        if let Some(wanted) = pass.wanted {
            attended = gathered(context, attention_normed, attended, wanted, h);
            for (row, token) in wanted.iter().enumerate() {
                hidden.copy_within(token * h..(token + 1) * h, row * h);
            }
        }
        let hidden = &mut hidden[..e * h];
        let sum = &mut attention_sum[..e * h];
        let mask = self.mask(pass, Place::AttentionOutput(index));
        linear_and_residual(context, rows(attended, h), &packed.output, weights.output_bias, mask, hidden, sum);
        let (y, statistics) = (&mut attention_normed[..e * h], &mut attention_statistics[..e * 2]);
        maana_kernels::layer_norm(
            context,
            sum,
            weights.attention_gamma,
            weights.attention_beta,
            epsilon,
            y,
            statistics,
        );

        let activated = &mut activated[..e * i];
        if pass.trains {
            let before_activation = &mut before_activation[..e * i];
            maana_kernels::linear(
                context,
                rows(y, h),
                &packed.up,
                Some(weights.up_bias),
                Epilogue::None,
                before_activation,
            );
            self.round_kept(context, pass, before_activation);
            self.config.activation.forward(context, before_activation, activated);
        } else {
            maana_kernels::linear(
                context,
                rows(y, h),
                &packed.up,
                Some(weights.up_bias),
                Epilogue::Activation(self.config.activation),
                activated,
            );
        }

        let (sum, statistics) = (&mut output_sum[..e * h], &mut output_statistics[..e * 2]);
        let mask = self.mask(pass, Place::Output(index));
        linear_and_residual(context, rows(activated, i), &packed.down, weights.down_bias, mask, y, sum);
        maana_kernels::layer_norm(context, sum, weights.gamma, weights.beta, epsilon, hidden, statistics);
    }

    /// Rounds what is kept in bf16 where it is made, so that forward goes on with what backward will see.
    fn round_kept(&self, context: &Context, pass: Pass<'_>, values: &mut [f32]) {
        if pass.trains && self.precision != Precision::F32 {
            maana_kernels::round_to_bf16(context, values);
        }
    }

    /// The layer's lines again from last to first. Takes the gradient of its output in `scratch.d_hidden` and leaves that of
    /// its input there.
    #[expect(clippy::too_many_arguments, reason = "forward and backward share their order of arguments")]
    fn layer_backward(
        &self,
        context: &Context,
        parameters: &[f32],
        index: usize,
        pass: Pass<'_>,
        x: &[f32],
        kept: &LayerActivations<'_>,
        work: &mut LayerWork<'_>,
        scratch: &mut Scratch<'_>,
        gradients: &mut [f32],
    ) {
        let (h, i, precision) = (self.config.hidden, self.config.intermediate, self.precision);
        let weights = self.layout.layer(parameters, index);
        let into = self.layout.layer_mut(gradients, index);
        let Scratch { d_hidden: d_x, d_sum, d_dropped, d_attended, d_qkv } = scratch;

        // Until attention, the tokens that were computed to the end.
        let e = pass.ended();
        let (d_hidden, d_sum, d_dropped) = (&mut d_x[..e * h], &mut d_sum[..e * h], &mut d_dropped[..e * h]);
        let (sum, statistics) = (&kept.output_sum, &kept.output_statistics);
        maana_kernels::layer_norm_backward(
            context,
            sum,
            weights.gamma,
            statistics,
            d_hidden,
            d_sum,
            into.gamma,
            into.beta,
        );
        // From here on `d_hidden` holds the gradient of the normed attention: first what comes over the residual.
        d_hidden.copy_from_slice(d_sum);
        d_dropped.copy_from_slice(d_sum);
        drop_out(context, d_dropped, h, self.mask(pass, Place::Output(index)));
        let before_activation = kept.before_activation.read(context, work.before_activation);
        let activated = &mut work.activated[..e * i];
        self.config.activation.forward(context, before_activation, activated);
        linear_gradient(context, precision, rows(d_dropped, h), rows(activated, i), into.down_weight, into.down_bias);

        // What GELU gave has been used: its place takes the gradient of that, and then of what GELU took.
        let d_activated = activated;
        maana_kernels::matmul(
            context,
            precision,
            rows(d_dropped, h),
            weight(weights.down_weight, i),
            d_activated,
            false,
        );
        self.config.activation.backward(context, before_activation, d_activated);
        let (sum, statistics) = (&kept.attention_sum, &kept.attention_statistics);
        let y = &mut work.attention_normed[..e * h];
        maana_kernels::layer_norm_recompute(
            context,
            sum,
            weights.attention_gamma,
            weights.attention_beta,
            statistics,
            y,
        );
        linear_gradient(context, precision, rows(d_activated, i), rows(y, h), into.up_weight, into.up_bias);
        maana_kernels::matmul(context, precision, rows(d_activated, i), weight(weights.up_weight, h), d_hidden, true);

        maana_kernels::layer_norm_backward(
            context,
            sum,
            weights.attention_gamma,
            statistics,
            d_hidden,
            d_sum,
            into.attention_gamma,
            into.attention_beta,
        );
        // And from here on the gradient of the layer's input, again first what comes over the residual.
        d_hidden.copy_from_slice(d_sum);
        d_dropped.copy_from_slice(d_sum);
        drop_out(context, d_dropped, h, self.mask(pass, Place::AttentionOutput(index)));
        let attended = kept.attended.read(context, work.attended);
        let ended =
            pass.wanted.map_or(attended, |wanted| gathered(context, work.attention_normed, attended, wanted, h));
        linear_gradient(context, precision, rows(d_dropped, h), rows(ended, h), into.output_weight, into.output_bias);
        let d_ended = &mut d_attended[..e * h];
        maana_kernels::matmul(context, precision, rows(d_dropped, h), weight(weights.output_weight, h), d_ended, false);

        // Attention knows all tokens: those that were not wanted have no gradient so far.
        if let Some(wanted) = pass.wanted {
            maana_kernels::scatter_rows(d_attended, h, wanted);
            maana_kernels::scatter_rows(d_x, h, wanted);
        }
        let qkv = kept.qkv.read(context, work.qkv);
        let of = self.attention(pass, index);
        maana_kernels::attention_backward(context, of, qkv, attended, kept.log_sum_exp, d_attended, d_qkv, None);
        linear_gradient(context, precision, rows(d_qkv, 3 * h), rows(x, h), into.qkv_weight, into.qkv_bias);
        maana_kernels::matmul(context, precision, rows(d_qkv, 3 * h), weight(weights.qkv_weight, h), d_x, true);
    }

    /// A layer's attention: scores are divided by √head_dim.
    fn attention<'a>(&self, pass: Pass<'a>, index: usize) -> Attention<'a> {
        let (heads, head_dim) = (self.config.heads, self.config.head_dim());
        let dropout = self.dropout(pass.noise, Place::Probabilities(index));
        Attention {
            offsets: &pass.batch.offsets,
            heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            position_bias: None,
            dropout,
        }
    }

    fn number_positions(&self, batch: &TokenBatch, positions: &mut Vec<u32>) {
        positions.clear();
        for index in 0..batch.sequences() {
            let length = batch.length(index);
            assert!(length <= self.config.longest(), "{length} tokens, but only {} positions", self.config.longest());
            let mut next = self.config.first_position as u32;
            positions.extend(batch.sequence(index).iter().map(|id| match self.config.padding {
                // A padding token that stands in the text itself takes its own row and no place.
                Some(padding) if *id == padding => padding,
                _ => {
                    next += 1;
                    next - 1
                }
            }));
        }
    }

    fn mask<'a>(&self, pass: Pass<'a>, place: Place) -> Option<Mask<'a>> {
        // All tokens are embedded.
        let tokens = pass.wanted.filter(|_| !matches!(place, Place::Embeddings));
        Some(Mask { dropout: self.dropout(pass.noise, place)?, tokens })
    }

    fn dropout(&self, noise: Noise, place: Place) -> Option<Dropout> {
        let Noise::On { seed, pass, first_token } = noise else { return None };
        // A token has a row of values, and of probabilities one for each head.
        let (probability, rows_per_token) = match place {
            Place::Probabilities(_) => (self.config.attention_dropout, self.config.heads as u64),
            Place::AttentionOutput(_) if !self.config.attention_output_dropout => (0.0, 1),
            _ => (self.config.hidden_dropout, 1),
        };
        let first_row = first_token * rows_per_token;
        (probability > 0.0).then_some(Dropout { probability, seed, pass, site: place.number(), first_row })
    }
}

/// Where dropout is applied; the number keeps the masks of two places apart.
#[derive(Clone, Copy)]
enum Place {
    Embeddings,
    Probabilities(usize),
    AttentionOutput(usize),
    Output(usize),
}

impl Place {
    fn number(self) -> u32 {
        let number = match self {
            Self::Embeddings => 0,
            Self::Probabilities(layer) => 3 * layer + 1,
            Self::AttentionOutput(layer) => 3 * layer + 2,
            Self::Output(layer) => 3 * layer + 3,
        };
        number as u32
    }
}

/// `sum = dropout(x Wᵀ + b) + residual`
fn linear_and_residual(
    context: &Context,
    x: Rows<'_>,
    packed: &PackedMatrix,
    bias: &[f32],
    mask: Option<Mask<'_>>,
    residual: &[f32],
    sum: &mut [f32],
) {
    if mask.is_none() {
        maana_kernels::linear(context, x, packed, Some(bias), Epilogue::Add(residual), sum);
        return;
    }
    maana_kernels::linear(context, x, packed, Some(bias), Epilogue::None, sum);
    drop_out(context, sum, packed.n(), mask);
    maana_kernels::add(context, sum, residual);
}

/// Gradients of `y = x Wᵀ + b`: `dW += d_yᵀ x`, `db += Σ d_y`.
fn linear_gradient(
    context: &Context,
    precision: Precision,
    d_y: Rows<'_>,
    x: Rows<'_>,
    d_weight: &mut [f32],
    d_bias: &mut [f32],
) {
    maana_kernels::matmul_weight_gradient(context, precision, d_y, x, d_weight);
    maana_kernels::sum_columns(context, d_y, d_bias);
}

fn rows(data: &[f32], columns: usize) -> Rows<'_> {
    Rows::new(data, data.len() / columns, columns, columns)
}

/// A weight as the file has it: `(out, inputs)`.
fn weight(data: &[f32], inputs: usize) -> Rows<'_> {
    rows(data, inputs)
}

/// Copies the rows of some tokens into `into`.
fn gathered<'a>(context: &Context, into: &'a mut [f32], from: &[f32], tokens: &[usize], h: usize) -> &'a [f32] {
    let into = &mut into[..tokens.len() * h];
    maana_kernels::gather_rows(context, from, h, tokens, into, false);
    into
}

/// Dropout of all tokens' values, or of those of some tokens, which have the masks of their places among all.
struct Mask<'a> {
    dropout: Dropout,
    tokens: Option<&'a [usize]>,
}

fn drop_out(context: &Context, values: &mut [f32], h: usize, mask: Option<Mask<'_>>) {
    let Some(Mask { dropout, tokens }) = mask else { return };
    match tokens {
        None => maana_kernels::dropout(context, values, h, &dropout),
        Some(tokens) => maana_kernels::dropout_rows(context, values, h, tokens, &dropout),
    }
}
