//! SimCSE: in-batch negatives of texts without pairs. Each text is its own positive; dropout gives
//! its two embeddings different masks. <https://arxiv.org/abs/2104.08821>

use super::in_batch_negatives::InBatchNegatives;
use super::needs::Needs;
use super::objective::{Embedded, Loss, LossSummary};
use maana_kernels::{Context, Matrix};

/// [`InBatchNegatives`] of two columns with the same texts. In the reference it is
/// `MultipleNegativesRankingLoss` on such data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Simcse {
    /// Factor of the cosines; 20 in the reference.
    pub scale: f64,
}

impl Loss for Simcse {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        InBatchNegatives::new(self.scale).loss(context, embedded, weight, d_columns)
    }

    fn nested(
        &self,
        context: &Context,
        embedded: &Embedded<'_>,
        dims: &[(usize, f32)],
        weight: f32,
        d_columns: &mut [Matrix],
    ) -> f32 {
        InBatchNegatives::new(self.scale).nested(context, embedded, dims, weight, d_columns)
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, ..InBatchNegatives::new(self.scale).needs() }
    }

    fn describe(&self) -> LossSummary {
        LossSummary { name: "simcse".into(), ..InBatchNegatives::new(self.scale).describe() }
    }
}
