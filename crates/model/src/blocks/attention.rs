//! Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762) with its output layer:
//! `dropout(softmax(q kᵀ / √d) v · Wₒᵀ + bₒ)`.
//!
//! Attention reads all tokens. In the last layer, where only some are pooled, the output layer
//! computes only those, and the rows of activations stand for them from there on.

use super::{Declarations, Linear, RelativePositionBias, RotaryPositions};
use crate::activations::{RoundedSlot, Slot};
use crate::config::EncoderConfig;
use crate::pass::{DropoutSite, Pass};
use crate::weights::Gradients;
use maana_kernels::{Attention, Epilogue, RotaryTables};
use maana_text::TokenBatch;
use std::sync::Arc;

/// Names of the linear layers in the file.
pub(crate) struct AttentionNames {
    /// Query, key and value, or one linear layer of all three.
    pub(crate) qkv: Vec<String>,
    pub(crate) output: String,
}

/// Differences between the attention of families and layers.
pub(crate) struct AttentionVariant {
    /// True if the linear layers have a bias.
    pub(crate) biases: bool,
    /// The bias of the scores by relative position.
    pub(crate) position_bias: Option<Arc<RelativePositionBias>>,
    /// The rotation of queries and keys by position.
    pub(crate) rotary: Option<Arc<RotaryPositions>>,
    /// Greatest distance of a key from its query.
    pub(crate) window: Option<usize>,
}

/// Self-attention and its output layer.
pub(crate) struct SelfAttention {
    /// Query, key and value stacked: `(3 hidden, hidden)`
    qkv: Linear,
    output: Linear,
    variant: AttentionVariant,
    layer: usize,
    heads: usize,
    head_dim: usize,
    hidden: usize,
    probability_dropout: DropoutSite,
    output_dropout: DropoutSite,
    /// True in the last layer.
    selects: bool,
    /// `(tokens, 3, hidden)`; saved.
    qkv_values: RoundedSlot,
    /// Output of the heads, `(tokens, hidden)`; saved.
    attended: RoundedSlot,
    /// log Σ exp of the scores, `(tokens, heads)`; saved.
    log_sum_exp: Slot,
    /// Output of the heads for pooled tokens.
    selected: Slot,
    d_dropped: Slot,
    d_attended: Slot,
    d_qkv: Slot,
}

impl SelfAttention {
    /// Declares the linear layers of attention: `(hidden, hidden)`, or `(3 hidden, hidden)` for one
    /// of query, key and value.
    pub(crate) fn declare(
        declarations: &mut Declarations,
        config: &EncoderConfig,
        layer: usize,
        names: AttentionNames,
        variant: AttentionVariant,
    ) -> Self {
        let (hidden, biases) = (config.hidden, variant.biases);
        let AttentionNames { qkv, output } = names;
        let outputs = 3 * hidden / qkv.len();
        Self {
            qkv: Linear::declare(declarations, "qkv", &qkv, outputs, hidden, biases),
            output: Linear::declare(declarations, "attention output", &[output], hidden, hidden, biases),
            variant,
            layer,
            heads: config.heads,
            head_dim: config.head_dim(),
            hidden,
            probability_dropout: DropoutSite::layer(config.attention_dropout, layer, 0),
            output_dropout: DropoutSite::layer(config.attention_output_dropout(), layer, 1),
            selects: layer + 1 == config.layers,
            qkv_values: declarations.activations.saved_rounded("qkv", 3 * hidden),
            attended: declarations.activations.saved_rounded("attended", hidden),
            log_sum_exp: declarations.activations.saved("log_sum_exp", config.heads),
            selected: declarations.activations.shared("selected", hidden),
            d_dropped: declarations.activations.gradient("d_dropped", hidden),
            d_attended: declarations.activations.gradient("d_attended", hidden),
            d_qkv: declarations.activations.gradient("d_qkv", 3 * hidden),
        }
    }

    /// Computes `sum = residual + Attention(x)`. In the last layer the rows of `x` become those of
    /// `residual` for the pooled tokens.
    pub(crate) fn forward(&self, pass: &mut Pass<'_>, x: Slot, residual: Slot, sum: Slot) {
        let (compute, batch, tokens) = (pass.compute(), pass.batch, pass.tokens());
        let [x_rows, qkv] = pass.slices(tokens, [x, self.qkv_values.values]);
        self.qkv.forward(compute, x_rows, Epilogue::None, qkv);
        if let Some(tables) = self.rotary_tables(batch) {
            maana_kernels::rotary(compute.context, &tables, &batch.offsets, self.heads, qkv);
        }
        pass.keep(tokens, self.qkv_values);

        let attended = if pass.saves() { self.attend_and_save(pass) } else { self.attend(pass) };
        let residual = match pass.selection() {
            Some(selection) => {
                self.select_residual(pass, residual, selection, x);
                x
            }
            None => residual,
        };
        let (compute, rows, mask) = (pass.compute(), pass.rows(), pass.mask_at(self.output_dropout));
        let [attended, residual, sum] = pass.slices(rows, [attended, residual, sum]);
        self.output.forward_residual(compute, attended, mask, residual, sum);
    }

    /// Computes the output of the heads for all tokens, and saves what backward reads. Returns the
    /// output for the rows that activations have from there on.
    fn attend_and_save(&self, pass: &mut Pass<'_>) -> Slot {
        let (context, tokens, heads) = (pass.compute.context, pass.tokens(), self.heads(pass));
        let slots = [self.qkv_values.values, self.attended.values, self.log_sum_exp];
        let [qkv, attended, log_sum_exp] = pass.slices(tokens, slots);
        maana_kernels::attention(context, heads, qkv, attended, Some(log_sum_exp));
        pass.keep(tokens, self.attended);
        pass.selected = self.selects;
        self.selected_rows(pass)
    }

    /// Computes the output of the heads for the rows that activations have from there on.
    fn attend(&self, pass: &mut Pass<'_>) -> Slot {
        let (context, tokens) = (pass.compute.context, pass.tokens());
        pass.selected = self.selects;
        let heads = Attention { queries: pass.selection(), ..self.heads(pass) };
        let output = if heads.queries.is_some() { self.selected } else { self.attended.values };
        let slots = [(self.qkv_values.values, tokens), (output, pass.rows())];
        let [qkv, attended] = pass.slices_of(slots);
        maana_kernels::attention(context, heads, qkv, attended, None);
        output
    }

    /// Adds to `d_x` the gradient of `x`, given that of the sum, and the gradients of the
    /// parameters. In the last layer `d_x` has a row for each pooled token before and for each
    /// token afterwards.
    pub(crate) fn backward(&self, pass: &mut Pass<'_>, x: Slot, d_sum: Slot, d_x: Slot, gradients: &mut Gradients<'_>) {
        let (compute, tokens, rows) = (pass.compute(), pass.tokens(), pass.rows());
        pass.restore(tokens, self.attended);
        let attended = self.selected_rows(pass);
        let mask = pass.mask_at(self.output_dropout);
        let slots = [attended, d_sum, self.d_dropped, self.d_attended];
        let [attended, d_sum, d_dropped, d_attended] = pass.slices(rows, slots);
        d_dropped.copy_from_slice(d_sum);
        if let Some(mask) = mask {
            mask.apply(compute.context, self.hidden, d_dropped);
        }
        self.output.backward_parameters(compute, attended, d_dropped, gradients);
        self.output.backward_input(compute, d_dropped, d_attended, false);

        if let Some(selection) = pass.selection() {
            for values in pass.slices(tokens, [self.d_attended, d_x]) {
                maana_kernels::scatter_rows(values, self.hidden, selection);
            }
            pass.selected = false;
        }
        pass.restore(tokens, self.qkv_values);
        let (compute, heads, batch) = (pass.compute(), self.heads(pass), pass.batch);
        let mut position_bias = std::mem::take(&mut pass.buffers.position_bias);
        let d_bias_tables = match &self.variant.position_bias {
            Some(bias) => bias.next_gradients(&mut position_bias, self.layer, pass.batch.sequences()),
            None => &mut [],
        };
        let slots =
            [self.qkv_values.values, self.attended.values, self.log_sum_exp, self.d_attended, self.d_qkv, x, d_x];
        let [qkv, attended, log_sum_exp, d_attended, d_qkv, x, d_x] = pass.slices(tokens, slots);
        maana_kernels::attention_backward(
            compute.context,
            heads,
            qkv,
            attended,
            log_sum_exp,
            d_attended,
            d_qkv,
            d_bias_tables,
        );
        if let Some(tables) = self.rotary_tables(batch) {
            maana_kernels::rotary_backward(compute.context, &tables, &batch.offsets, self.heads, d_qkv);
        }
        self.qkv.backward_parameters(compute, x, d_qkv, gradients);
        self.qkv.backward_input(compute, d_qkv, d_x, true);
        pass.buffers.position_bias = position_bias;
    }

    fn heads<'a>(&'a self, pass: &Pass<'a>) -> Attention<'a> {
        let (heads, head_dim) = (self.heads, self.head_dim);
        Attention {
            offsets: &pass.batch.offsets,
            heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            position_bias: self.variant.position_bias.as_ref().map(|bias| bias.values(pass.compute.weights)),
            window: self.variant.window,
            queries: None,
            dropout: pass.dropout_at(self.probability_dropout, heads),
        }
    }

    /// The tables of rotary positions for the longest text of a batch.
    fn rotary_tables(&self, batch: &TokenBatch) -> Option<Arc<RotaryTables>> {
        let longest = || batch.offsets.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0);
        self.variant.rotary.as_ref().map(|rotary| rotary.tables(longest()))
    }

    /// Copies the rows of `residual` for pooled tokens to the first rows of `x`, which may be the
    /// same activation.
    fn select_residual(&self, pass: &mut Pass<'_>, residual: Slot, selection: &[usize], x: Slot) {
        let (context, tokens, hidden) = (pass.compute.context, pass.tokens(), self.hidden);
        if residual != x {
            let [residual, x] = pass.slices_of([(residual, tokens), (x, selection.len())]);
            return maana_kernels::gather_rows(context, residual, hidden, selection, x, false);
        }
        let [x] = pass.slices(tokens, [x]);
        for (row, token) in selection.iter().enumerate() {
            x.copy_within(token * hidden..(token + 1) * hidden, row * hidden);
        }
    }

    /// The output of the heads for the rows that activations have now.
    fn selected_rows(&self, pass: &mut Pass<'_>) -> Slot {
        let Some(selection) = pass.selection() else { return self.attended.values };
        let slots = [(self.attended.values, pass.tokens()), (self.selected, selection.len())];
        let context = pass.compute.context;
        let [attended, selected] = pass.slices_of(slots);
        maana_kernels::gather_rows(context, attended, self.hidden, selection, selected, false);
        self.selected
    }
}
