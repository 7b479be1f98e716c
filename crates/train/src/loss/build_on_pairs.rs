//! Creates the losses of cross-encoders. A new one is a file in `loss/pairs/`, a name with its
//! parameters in `names.rs`, and a line here.

use super::arguments::{LossArguments, of_program};
use super::names::{Inputs, LossName};
use super::number_or_all::NumberOrAll;
use super::objective::Loss;
use super::pairs::{
    AdrMse, BinaryCrossEntropy, CrossEntropy, Lambda, ListNet, LogitActivation, MarginMse, Mse,
    MultipleNegativesRanking, OfScores, PlistMle, ScoreLoss, WeightingScheme,
};
use crate::error::TrainError;

impl LossArguments {
    /// Creates the loss for a cross-encoder with `labels` logits.
    ///
    /// # Errors
    /// As [`LossArguments::check`], and if the loss needs another number of logits.
    pub fn build_on_pairs(&self, labels: usize) -> Result<Box<dyn Loss>, TrainError> {
        self.check(Inputs::Pairs)?;
        if self.name == LossName::Own {
            return Err(of_program());
        }
        let name = serde_json::json!(self.name).to_string();
        let activation = self.activation.unwrap_or_default();
        if self.name == LossName::CrossEntropy {
            if labels < 2 {
                let wanted = "another loss, such as binary_cross_entropy: it needs a model with a label for each \
                              class, set by [model] num_labels, and the model has 1";
                return Err(TrainError::argument("name", name, wanted));
            }
            return Ok(Box::new(CrossEntropy { classes: labels, activation }));
        }
        if labels != 1 {
            let wanted = format!("cross_entropy, as the model has {labels} labels: the loss needs a model with 1");
            return Err(TrainError::argument("name", name, wanted));
        }
        let lambda = |scheme, is_rank_net| Lambda {
            scheme,
            mu: self.mu.unwrap_or(10.0),
            k: self.k,
            sigma: self.sigma.unwrap_or(1.0),
            eps: self.eps.unwrap_or(1e-10),
            reduction_log: self.reduction_log.unwrap_or_default(),
            is_rank_net,
        };
        let list_mle =
            |is_weighted| PlistMle { is_weighted, respect_input_order: self.respect_input_order.unwrap_or(true) };
        Ok(match self.name {
            LossName::BinaryCrossEntropy => of(BinaryCrossEntropy { pos_weight: self.pos_weight }, activation),
            LossName::Mse => of(Mse, activation),
            LossName::MarginMse => of(MarginMse, activation),
            LossName::MultipleNegativesRanking => {
                let loss = MultipleNegativesRanking {
                    num_negatives: self.num_negatives.unwrap_or(NumberOrAll::Number(4)),
                    scale: self.scale.unwrap_or(10.0),
                };
                of(loss, self.activation.unwrap_or(LogitActivation::Sigmoid))
            }
            LossName::Lambda => of(lambda(self.weighting_scheme.unwrap_or_default(), false), activation),
            LossName::RankNet => of(lambda(WeightingScheme::None, true), activation),
            LossName::ListNet => of(ListNet, activation),
            LossName::ListMle => of(list_mle(false), activation),
            LossName::PlistMle => of(list_mle(true), activation),
            LossName::AdrMse => of(AdrMse { alpha: self.alpha.unwrap_or(1.0) }, activation),
            _ => unreachable!("check() refuses losses of texts"),
        })
    }
}

fn of(loss: impl ScoreLoss + 'static, activation: LogitActivation) -> Box<dyn Loss> {
    Box::new(OfScores { loss, activation })
}
