//! Dropout of the inputs of adapters, in training only: with a mask m, a target's output is `x Wᵀ +
//! s (m ⊙ x) Aᵀ Bᵀ`.
//!
//! Passes read W + s B A, so that forward adds `s (m ⊙ x − x) Aᵀ Bᵀ` to the output, and backward
//! `(m − 1) ⊙ (s d_y B A)` to the gradient of x. The gradient of the sum is computed from m ⊙ x
//! instead of x, from which those of A and B follow as without dropout. Each target has a mask of
//! its own, as in PEFT.

use super::target::Target;
use crate::trainable::DropoutSeed;
use crate::weights::Gradients;
use maana_kernels::{Context, Dropout, Precision, Rows};
use std::ops::Range;

/// Numbers of dropout sites from here on are those of adapters, beyond those of all layers and
/// below those of the modules behind pooling.
const FIRST_SITE: u32 = 1 << 22;

/// The dropout of adapters in one pass.
#[derive(Clone, Copy)]
pub(crate) struct AdapterDropout<'a> {
    targets: &'a [Target],
    /// A and B of all targets.
    adapters: &'a [f32],
    /// s, the factor of the product of B and A.
    scale: f32,
    /// The mask of the first target.
    dropout: Dropout,
    /// Tokens that the rows of activations stand for; none where these are all.
    selection: Option<&'a [usize]>,
}

/// A target within a linear layer, or within several that are stacked.
struct Part<'a> {
    /// `(rank, inputs)`
    a: Rows<'a>,
    /// `(outputs, rank)`
    b: Rows<'a>,
    /// The rows of the stacked weight.
    outputs: Range<usize>,
    dropout: Dropout,
}

impl<'a> AdapterDropout<'a> {
    /// Returns the dropout of a pass; none if nothing is dropped.
    pub(super) fn new(
        targets: &'a [Target],
        adapters: &'a [f32],
        (scale, probability): (f32, f64),
        seed: DropoutSeed,
    ) -> Option<Self> {
        let DropoutSeed::On { seed, pass, first_token, .. } = seed else { return None };
        let probability = probability as f32;
        let dropout = Dropout { probability, seed, pass, site: FIRST_SITE, first_row: first_token };
        (probability > 0.0).then_some(Self { targets, adapters, scale, dropout, selection: None })
    }

    /// Returns the dropout where the rows of activations stand for these tokens.
    pub(crate) fn at(self, selection: Option<&'a [usize]>) -> Self {
        Self { selection, ..self }
    }

    /// Adds to the outputs `y` of a linear layer, or of stacked ones, what dropout changes of them.
    pub(crate) fn add_to_output(&self, context: &Context, weight: &Range<usize>, x: Rows<'_>, y: &mut [f32]) {
        if x.rows() == 0 {
            return;
        }
        let width = weight.len() / x.columns();
        for part in self.parts(weight) {
            let mut difference = self.masked(context, &part, x);
            for (difference, x) in difference.chunks_exact_mut(x.columns()).zip((0..x.rows()).map(|row| x.row(row))) {
                difference.iter_mut().zip(x).for_each(|(difference, x)| *difference -= x);
            }
            let difference = Rows::new(&difference, x.rows(), x.columns(), x.columns());
            let mut reduced = vec![0.0; x.rows() * part.a.rows()];
            maana_kernels::matmul_transposed(context, difference, part.a, &mut reduced, false);
            let reduced = self.scaled(&mut reduced, x.rows());
            let mut change = vec![0.0; x.rows() * part.outputs.len()];
            maana_kernels::matmul_transposed(context, reduced, part.b, &mut change, false);
            for (y, change) in y.chunks_exact_mut(width).zip(change.chunks_exact(part.outputs.len())) {
                y[part.outputs.clone()].iter_mut().zip(change).for_each(|(y, change)| *y += change);
            }
        }
    }

    /// Adds the gradients of the weights of the targets, given that of the outputs.
    pub(crate) fn add_weight_gradients(
        &self,
        (context, precision): (&Context, Precision),
        weight: &Range<usize>,
        x: Rows<'_>,
        d_y: Rows<'_>,
        gradients: &mut Gradients<'_>,
    ) {
        let Some(d_weight) = gradients.of(weight).filter(|_| x.rows() > 0) else { return };
        for part in self.parts(weight) {
            let masked = self.masked(context, &part, x);
            let masked = Rows::new(&masked, x.rows(), x.columns(), x.columns());
            let d_y = columns(d_y, &part.outputs);
            let d_part = &mut d_weight[part.outputs.start * x.columns()..part.outputs.end * x.columns()];
            maana_kernels::matmul_weight_gradient(context, precision, d_y, masked, d_part);
        }
    }

    /// Adds to the gradient of the inputs what dropout changes of it.
    pub(crate) fn add_to_input_gradient(
        &self,
        context: &Context,
        weight: &Range<usize>,
        d_y: Rows<'_>,
        d_x: &mut [f32],
    ) {
        if d_y.rows() == 0 {
            return;
        }
        let inputs = weight.len() / d_y.columns();
        for part in self.parts(weight) {
            let mut reduced = vec![0.0; d_y.rows() * part.a.rows()];
            let d_part = columns(d_y, &part.outputs);
            maana_kernels::matmul(context, Precision::F32, d_part, part.b, &mut reduced, false);
            let reduced = self.scaled(&mut reduced, d_y.rows());
            let mut d_product = vec![0.0; d_y.rows() * inputs];
            maana_kernels::matmul(context, Precision::F32, reduced, part.a, &mut d_product, false);
            let masked = self.masked(context, &part, Rows::new(&d_product, d_y.rows(), inputs, inputs));
            for ((d_x, masked), whole) in d_x.iter_mut().zip(masked).zip(d_product) {
                *d_x += masked - whole;
            }
        }
    }

    /// The targets within a weight.
    fn parts(&self, weight: &Range<usize>) -> Vec<Part<'a>> {
        let Self { targets, adapters, dropout, .. } = *self;
        let within = |target: &Target| weight.start <= target.weight.start && target.weight.end <= weight.end;
        let part = |(number, target): (usize, &Target)| {
            let rank = target.a.len() / target.inputs;
            let first = (target.weight.start - weight.start) / target.inputs;
            Part {
                a: Rows::new(&adapters[target.a.clone()], rank, target.inputs, target.inputs),
                b: Rows::new(&adapters[target.b.clone()], target.outputs, rank, rank),
                outputs: first..first + target.outputs,
                dropout: Dropout { site: dropout.site + number as u32, ..dropout },
            }
        };
        targets.iter().enumerate().filter(|(_, target)| within(target)).map(part).collect()
    }

    /// Returns rows of inputs, or their gradients, times the mask of a target.
    fn masked(&self, context: &Context, part: &Part<'_>, x: Rows<'_>) -> Vec<f32> {
        let mut masked = x.to_matrix().into_vec();
        match self.selection {
            None => maana_kernels::dropout(context, &mut masked, x.columns(), &part.dropout),
            Some(tokens) => maana_kernels::dropout_rows(context, &mut masked, x.columns(), tokens, &part.dropout),
        }
        masked
    }

    /// Returns `s ·` the rows.
    fn scaled<'r>(&self, values: &'r mut [f32], rows: usize) -> Rows<'r> {
        values.iter_mut().for_each(|value| *value *= self.scale);
        let columns = values.len() / rows.max(1);
        Rows::new(values, rows, columns, columns)
    }
}

/// Returns some columns of rows without gaps.
fn columns<'r>(rows: Rows<'r>, columns: &Range<usize>) -> Rows<'r> {
    let width = rows.columns();
    Rows::new(&rows.data()[columns.start..], rows.rows(), columns.len(), width)
}
