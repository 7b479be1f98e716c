//! The settings of losses. A new loss is a file in `loss/`, a name with its parameters in
//! `names.rs`, and a line in [`LossArguments::build`].

use super::adaptive_layers::{AdaptiveLayerSettings, AdaptiveLayers};
use super::angle::Angle;
use super::batch_all_triplet::BatchAllTriplet;
use super::batch_hard_soft_margin_triplet::BatchHardSoftMarginTriplet;
use super::batch_hard_triplet::BatchHardTriplet;
use super::batch_semi_hard_triplet::BatchSemiHardTriplet;
use super::contrastive::Contrastive;
use super::cosent::CoSent;
use super::cosine_similarity::CosineSimilarity;
use super::directions::{Direction, Hardness, HardnessMode, PartitionMode};
use super::distance::DistanceMetric;
use super::distill_kl_div::DistillKlDiv;
use super::gist_embed::{GistEmbed, MarginStrategy};
use super::in_batch_negatives::InBatchNegatives;
use super::margin_mse::MarginMse;
use super::matryoshka::Matryoshka;
use super::mse::Mse;
use super::names::{Inputs, LossName};
use super::number_or_all::NumberOrAll;
use super::objective::Loss;
use super::online_contrastive::OnlineContrastive;
use super::pairs::{LogBase, LogitActivation, WeightingScheme};
use super::simcse::Simcse;
use super::similarity::LossSimilarity;
use super::softmax::{Softmax, SoftmaxFeatures};
use super::symmetric::SymmetricInBatchNegatives;
use super::triplet::Triplet;
use crate::error::TrainError;
use serde::{Deserialize, Serialize};

/// The `[loss]` table of a recipe. A setting that is left out has the default of the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossArguments {
    /// Name of the loss.
    pub name: LossName,
    /// Name under which the program has the loss `own`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Factor of the similarities.
    #[serde(default)]
    pub scale: Option<f64>,
    /// Required difference of distances, or distance of the guide's limit from its similarity to
    /// the positive.
    #[serde(default)]
    pub margin: Option<f64>,
    /// Distance of two embeddings.
    #[serde(default)]
    pub distance_metric: Option<DistanceMetric>,
    /// Similarity of two embeddings.
    #[serde(default)]
    pub similarity: Option<LossSimilarity>,
    /// Compared texts of a batch.
    #[serde(default)]
    pub directions: Option<Vec<Direction>>,
    /// Normalisation over several directions.
    #[serde(default)]
    pub partition_mode: Option<PartitionMode>,
    /// Negatives whose logits are raised.
    #[serde(default)]
    pub hardness_mode: Option<HardnessMode>,
    /// Factor of the similarity in raised logits.
    #[serde(default)]
    pub hardness_strength: Option<f64>,
    /// Divides scores before the softmax.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Replaces the temperature of the model's scores.
    #[serde(default)]
    pub student_temperature: Option<f64>,
    /// Replaces the temperature of the teacher's scores.
    #[serde(default)]
    pub teacher_temperature: Option<f64>,
    /// Model whose embeddings or scores are the labels.
    #[serde(default)]
    pub teacher: Option<String>,
    /// Columns whose teacher embeddings are the targets.
    #[serde(default)]
    pub teacher_columns: Option<TeacherColumns>,
    /// Model whose similarities choose the negatives.
    #[serde(default)]
    pub guide: Option<String>,
    /// Limit of the guide's similarities.
    #[serde(default)]
    pub margin_strategy: Option<MarginStrategy>,
    /// Compares queries with each other.
    #[serde(default)]
    pub contrast_anchors: Option<bool>,
    /// Compares positives with each other.
    #[serde(default)]
    pub contrast_positives: Option<bool>,
    /// Columns of the teacher's embeddings, to which those of the model are projected.
    #[serde(default)]
    pub projection_dim: Option<usize>,
    /// Number of classes.
    #[serde(default)]
    pub num_labels: Option<usize>,
    /// Shows the classifier both embeddings.
    #[serde(default)]
    pub concatenation_sent_rep: Option<bool>,
    /// Shows the classifier the absolute difference of the embeddings.
    #[serde(default)]
    pub concatenation_sent_difference: Option<bool>,
    /// Shows the classifier the product of the embeddings, element by element.
    #[serde(default)]
    pub concatenation_sent_multiplication: Option<bool>,
    /// Factor of the loss of positive pairs.
    #[serde(default)]
    pub pos_weight: Option<f64>,
    /// Function from logits to the scores of pairs.
    #[serde(default)]
    pub activation: Option<LogitActivation>,
    /// Number of documents of other rows that a query is compared with.
    #[serde(default)]
    pub num_negatives: Option<NumberOrAll>,
    /// Weights of pairs of documents.
    #[serde(default)]
    pub weighting_scheme: Option<WeightingScheme>,
    /// Factor of one of two weights of a pair of documents.
    #[serde(default)]
    pub mu: Option<f64>,
    /// Number of the greatest scores that count.
    #[serde(default)]
    pub k: Option<usize>,
    /// Factor of the differences of scores.
    #[serde(default)]
    pub sigma: Option<f64>,
    /// Least value of the greatest DCG.
    #[serde(default)]
    pub eps: Option<f64>,
    /// Base of the logarithm.
    #[serde(default)]
    pub reduction_log: Option<LogBase>,
    /// Takes the order of the documents as that of their relevance.
    #[serde(default)]
    pub respect_input_order: Option<bool>,
    /// Steepness of smooth ranks.
    #[serde(default)]
    pub alpha: Option<f64>,
    /// Dimensions to train, in descending order. Default: only the model's own.
    #[serde(default)]
    pub matryoshka_dims: Option<Vec<usize>>,
    /// Weight of each dimension. Default 1.
    #[serde(default)]
    pub matryoshka_weights: Option<Vec<f64>>,
    /// Number of dimensions that are drawn for each micro-batch. Default: all.
    #[serde(default)]
    pub n_dims_per_step: Option<usize>,
    /// Trains lower layers as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive_layers: Option<AdaptiveLayerSettings>,
}

/// Columns whose teacher embeddings are the targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherColumns {
    /// The embedding of the first column is the target of every column.
    #[default]
    First,
    /// Each column has the embedding of its own text as its target.
    Each,
}

impl LossArguments {
    /// Creates the settings of a loss, with defaults.
    pub fn new(name: LossName) -> Self {
        Self {
            name,
            class: None,
            scale: None,
            margin: None,
            distance_metric: None,
            similarity: None,
            directions: None,
            partition_mode: None,
            hardness_mode: None,
            hardness_strength: None,
            temperature: None,
            student_temperature: None,
            teacher_temperature: None,
            teacher: None,
            teacher_columns: None,
            guide: None,
            margin_strategy: None,
            contrast_anchors: None,
            contrast_positives: None,
            projection_dim: None,
            num_labels: None,
            concatenation_sent_rep: None,
            concatenation_sent_difference: None,
            concatenation_sent_multiplication: None,
            pos_weight: None,
            activation: None,
            num_negatives: None,
            weighting_scheme: None,
            mu: None,
            k: None,
            sigma: None,
            eps: None,
            reduction_log: None,
            respect_input_order: None,
            alpha: None,
            matryoshka_dims: None,
            matryoshka_weights: None,
            n_dims_per_step: None,
            adaptive_layers: None,
        }
    }

    /// Creates the loss of the last layer of a model with embeddings of `dimension` columns, by the
    /// seed of the run. [`LossArguments::build_on_pairs`] creates those of cross-encoders.
    ///
    /// # Errors
    /// As [`LossArguments::build_on_layers`]; if the settings ask for adaptive layers.
    pub fn build(&self, dimension: usize, seed: u64) -> Result<Box<dyn Loss>, TrainError> {
        self.build_on_layers(dimension, 0, seed)
    }

    /// As [`LossArguments::build`], for a model that also gives embeddings of this number of lower
    /// layers.
    ///
    /// # Errors
    /// As [`LossArguments::check`] and [`LossArguments::modify`]; if the loss is `own`.
    pub fn build_on_layers(&self, dimension: usize, layers: usize, seed: u64) -> Result<Box<dyn Loss>, TrainError> {
        self.check(Inputs::Texts)?;
        self.modify(self.on_texts(dimension, seed)?, dimension, layers, seed)
    }

    /// Returns `loss` at the Matryoshka dimensions and the adaptive layers of these settings;
    /// without either, as it is.
    ///
    /// # Errors
    /// If a dimension exceeds the model's, or the model has no lower layers.
    pub fn modify(
        &self,
        loss: Box<dyn Loss>,
        dimension: usize,
        layers: usize,
        seed: u64,
    ) -> Result<Box<dyn Loss>, TrainError> {
        let inner = self.at_dims(loss, dimension, seed)?;
        let Some(settings) = self.adaptive_layers else { return Ok(inner) };
        if layers == 0 {
            let wanted = "left out: only transformers with one tower give embeddings of lower layers, not static \
                          models nor models with a Router";
            return Err(TrainError::argument("adaptive_layers", "given", wanted));
        }
        Ok(Box::new(AdaptiveLayers { inner, lower_layers: layers, settings, seed }))
    }

    fn at_dims(&self, loss: Box<dyn Loss>, dimension: usize, seed: u64) -> Result<Box<dyn Loss>, TrainError> {
        let Some(dims) = &self.matryoshka_dims else { return Ok(loss) };
        if dims[0] > dimension {
            let wanted = format!("at most {dimension}, the columns of the model's embeddings");
            return Err(TrainError::argument("matryoshka_dims", format!("{dims:?}"), wanted));
        }
        let weights = self.matryoshka_weights.clone().unwrap_or_else(|| vec![1.0; dims.len()]);
        let dims = dims.iter().copied().zip(weights).collect();
        Ok(Box::new(Matryoshka { inner: loss, dims, dims_per_step: self.n_dims_per_step, seed }))
    }

    /// Creates the loss of all columns.
    fn on_texts(&self, dimension: usize, seed: u64) -> Result<Box<dyn Loss>, TrainError> {
        let scale = self.scale.unwrap_or(20.0);
        let metric = |default| self.distance_metric.unwrap_or(default);
        let margin = |default| self.margin.unwrap_or(default);
        let similarity = |default| self.similarity.unwrap_or(default);
        Ok(match self.name {
            LossName::MultipleNegativesRanking => Box::new(InBatchNegatives {
                similarity: similarity(LossSimilarity::Cosine),
                directions: self.sorted_directions(),
                partition: self.partition_mode.unwrap_or(PartitionMode::Joint),
                hardness: self
                    .hardness_mode
                    .zip(self.hardness_strength)
                    .map(|(mode, strength)| Hardness { mode, strength }),
                ..InBatchNegatives::new(scale)
            }),
            LossName::Simcse => Box::new(Simcse { scale }),
            LossName::MultipleNegativesSymmetricRanking => Box::new(SymmetricInBatchNegatives { scale }),
            LossName::Cosent => Box::new(CoSent { scale }),
            LossName::Angle => Box::new(Angle { scale }),
            LossName::CosineSimilarity => Box::new(CosineSimilarity),
            LossName::Contrastive => {
                Box::new(Contrastive { margin: margin(0.5), metric: metric(DistanceMetric::Cosine) })
            }
            LossName::OnlineContrastive => {
                Box::new(OnlineContrastive { margin: margin(0.5), metric: metric(DistanceMetric::Cosine) })
            }
            LossName::Triplet => Box::new(Triplet { margin: margin(5.0), metric: metric(DistanceMetric::Euclidean) }),
            LossName::Softmax => {
                let features = SoftmaxFeatures {
                    embeddings: self.concatenation_sent_rep.unwrap_or(true),
                    difference: self.concatenation_sent_difference.unwrap_or(true),
                    product: self.concatenation_sent_multiplication.unwrap_or(false),
                };
                let classes = self.num_labels.expect("check() asks for the number");
                Box::new(Softmax::new(classes, features, dimension, seed))
            }
            LossName::Mse => Box::new(match self.projection_dim {
                None => Mse::new(dimension),
                Some(outputs) => Mse::projected([dimension, outputs], seed),
            }),
            LossName::MarginMse => Box::new(MarginMse { similarity: similarity(LossSimilarity::Dot) }),
            LossName::DistillKlDiv => Box::new(DistillKlDiv {
                similarity: similarity(LossSimilarity::Dot),
                temperature: self.temperature.unwrap_or(1.0),
                student_temperature: self.student_temperature,
                teacher_temperature: self.teacher_temperature,
            }),
            LossName::GistEmbed => Box::new(GistEmbed {
                temperature: self.temperature.unwrap_or(0.01),
                strategy: self.margin_strategy.unwrap_or(MarginStrategy::Absolute),
                margin: margin(0.0),
                contrast_anchors: self.contrast_anchors.unwrap_or(true),
                contrast_positives: self.contrast_positives.unwrap_or(true),
            }),
            LossName::BatchHardTriplet => {
                Box::new(BatchHardTriplet { margin: margin(5.0), metric: metric(DistanceMetric::Euclidean) })
            }
            LossName::BatchAllTriplet => {
                Box::new(BatchAllTriplet { margin: margin(5.0), metric: metric(DistanceMetric::Euclidean) })
            }
            LossName::BatchSemiHardTriplet => {
                Box::new(BatchSemiHardTriplet { margin: margin(5.0), metric: metric(DistanceMetric::Euclidean) })
            }
            LossName::BatchHardSoftMarginTriplet => {
                Box::new(BatchHardSoftMarginTriplet { metric: metric(DistanceMetric::Euclidean) })
            }
            LossName::Own => return Err(of_program()),
            LossName::BinaryCrossEntropy
            | LossName::CrossEntropy
            | LossName::Lambda
            | LossName::RankNet
            | LossName::ListNet
            | LossName::ListMle
            | LossName::PlistMle
            | LossName::AdrMse => unreachable!("check() refuses losses of pairs"),
        })
    }

    /// Returns the directions in one order, whatever their order in the recipe.
    fn sorted_directions(&self) -> Vec<Direction> {
        let mut directions = self.directions.clone().unwrap_or_else(|| vec![Direction::QueryToDoc]);
        directions.sort_unstable();
        directions
    }
}

/// Returns the error of a loss that only the program which wrote the recipe has.
pub(super) fn of_program() -> TrainError {
    let wanted = "the name of a loss of recipes; `own` is code of the program that wrote this recipe, and only that \
                  program can train with it";
    TrainError::argument("name", "own", wanted)
}
