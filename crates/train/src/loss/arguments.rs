//! The settings of losses. A new loss is a file in `loss/`, a name with its parameters in `names.rs`,
//! and a line in [`LossArguments::build`].

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
use super::names::LossName;
use super::objective::Loss;
use super::online_contrastive::OnlineContrastive;
use super::similarity::LossSimilarity;
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
    /// Dimensions to train, in descending order. Default: only the model's own.
    #[serde(default)]
    pub matryoshka_dims: Option<Vec<usize>>,
    /// Weight of each dimension. Default 1.
    #[serde(default)]
    pub matryoshka_weights: Option<Vec<f64>>,
    /// Number of dimensions that are drawn for each micro-batch. Default: all.
    #[serde(default)]
    pub n_dims_per_step: Option<usize>,
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
            matryoshka_dims: None,
            matryoshka_weights: None,
            n_dims_per_step: None,
        }
    }

    /// Checks everything that does not depend on the model.
    ///
    /// # Errors
    /// If a setting is invalid or belongs to another loss.
    pub fn check(&self) -> Result<(), TrainError> {
        self.check_parameters()?;
        let positive = [
            ("scale", self.scale),
            ("temperature", self.temperature),
            ("student_temperature", self.student_temperature),
            ("teacher_temperature", self.teacher_temperature),
        ];
        for (field, value) in positive {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return Err(invalid(field, &value, "a finite number above 0"));
            }
        }
        self.check_margin()?;
        self.check_directions()?;
        if self.name.compares_classes() && self.distance_metric == Some(DistanceMetric::Manhattan) {
            return Err(invalid("distance_metric", &"manhattan", "`cosine` or `euclidean` for this loss"));
        }
        if self.teacher_columns.is_some() && self.teacher.is_none() {
            return Err(invalid("teacher_columns", &self.teacher_columns, "given together with `teacher`"));
        }
        self.check_dims()
    }

    /// Checks that every setting belongs to the loss.
    fn check_parameters(&self) -> Result<(), TrainError> {
        let known = self.name.parameters();
        let serde_json::Value::Object(fields) = serde_json::json!(self) else { unreachable!("a struct is an object") };
        for (field, value) in fields {
            let everywhere =
                matches!(field.as_str(), "name" | "matryoshka_dims" | "matryoshka_weights" | "n_dims_per_step");
            if value.is_null() || everywhere || known.contains(&field.as_str()) {
                continue;
            }
            let loss = serde_json::json!(self.name);
            let known = if known.is_empty() { "no parameters".into() } else { format!("only {}", known.join(", ")) };
            let wanted = format!("left out: the loss {loss} has {known}, and those of Matryoshka");
            return Err(TrainError::Argument { field, value: value.to_string(), wanted });
        }
        Ok(())
    }

    fn check_margin(&self) -> Result<(), TrainError> {
        let Some(margin) = self.margin else { return Ok(()) };
        match (self.name, self.margin_strategy) {
            (LossName::GistEmbed, Some(MarginStrategy::Percentile)) if !(0.0..=1.0).contains(&margin) => {
                Err(invalid("margin", &margin, "from 0 to 1, the share of texts to leave out"))
            }
            (LossName::GistEmbed, _) if !margin.is_finite() => Err(invalid("margin", &margin, "a finite number")),
            (LossName::GistEmbed, _) => Ok(()),
            _ if !(margin.is_finite() && margin > 0.0) => Err(invalid("margin", &margin, "a finite number above 0")),
            _ => Ok(()),
        }
    }

    fn check_directions(&self) -> Result<(), TrainError> {
        if let Some(directions) = &self.directions {
            if !directions.contains(&Direction::QueryToDoc) {
                let wanted = "a list with `query_to_doc`, which compares queries with their positives";
                return Err(invalid("directions", directions, wanted));
            }
            if (1..directions.len()).any(|place| directions[..place].contains(&directions[place])) {
                return Err(invalid("directions", directions, "a list without repetitions"));
            }
            let ill_defined =
                |direction: &Direction| matches!(direction, Direction::QueryToQuery | Direction::DocToDoc);
            if self.partition_mode == Some(PartitionMode::PerDirection) && directions.iter().any(ill_defined) {
                let wanted = "`joint` for `query_to_query` and `doc_to_doc`, which do not contain the positive";
                return Err(invalid("partition_mode", &"per_direction", wanted));
            }
        }
        match (self.hardness_mode, self.hardness_strength) {
            (_, Some(strength)) if !(strength.is_finite() && strength > 0.0) => {
                Err(invalid("hardness_strength", &strength, "a finite number above 0"))
            }
            (Some(mode), None) => Err(invalid("hardness_mode", &mode, "given together with `hardness_strength`")),
            (None, Some(strength)) => {
                Err(invalid("hardness_strength", &strength, "given together with `hardness_mode`"))
            }
            _ => Ok(()),
        }
    }

    fn check_dims(&self) -> Result<(), TrainError> {
        let Some(dims) = &self.matryoshka_dims else {
            return match (&self.matryoshka_weights, self.n_dims_per_step) {
                (None, None) => Ok(()),
                (Some(weights), _) => {
                    Err(invalid("matryoshka_weights", weights, "given together with `matryoshka_dims`"))
                }
                (_, Some(number)) => Err(invalid("n_dims_per_step", &number, "given together with `matryoshka_dims`")),
            };
        };
        if dims.is_empty() || dims.contains(&0) || !dims.is_sorted_by(|larger, smaller| larger > smaller) {
            return Err(invalid("matryoshka_dims", dims, "falling numbers of at least 1"));
        }
        if let Some(weights) = &self.matryoshka_weights {
            if weights.len() != dims.len() || !weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) {
                let wanted = format!("{} numbers that are not negative, one for each dimension", dims.len());
                return Err(invalid("matryoshka_weights", weights, &wanted));
            }
            if weights.iter().all(|weight| *weight == 0.0) {
                let wanted = "above 0 for at least one dimension, or nothing is learnt";
                return Err(invalid("matryoshka_weights", weights, wanted));
            }
        }
        if let Some(number) = self.n_dims_per_step.filter(|&number| number == 0 || number > dims.len()) {
            let wanted = format!("from 1 to {}, the number of dimensions", dims.len());
            return Err(invalid("n_dims_per_step", &number, &wanted));
        }
        Ok(())
    }

    /// Creates the loss for a model with embeddings of `dimension` columns and the seed of the run.
    ///
    /// # Errors
    /// As [`LossArguments::check`], and if a dimension exceeds the model's.
    pub fn build(&self, dimension: usize, seed: u64) -> Result<Box<dyn Loss>, TrainError> {
        self.check()?;
        let loss = self.plain(dimension);
        let Some(dims) = &self.matryoshka_dims else { return Ok(loss) };
        if dims[0] > dimension {
            let wanted = format!("at most {dimension}, the columns of the model's embeddings");
            return Err(invalid("matryoshka_dims", dims, &wanted));
        }
        let weights = self.matryoshka_weights.clone().unwrap_or_else(|| vec![1.0; dims.len()]);
        let dims = dims.iter().copied().zip(weights).collect();
        Ok(Box::new(Matryoshka { inner: loss, dims, dims_per_step: self.n_dims_per_step, seed }))
    }

    /// Creates the loss of all columns.
    fn plain(&self, dimension: usize) -> Box<dyn Loss> {
        let scale = self.scale.unwrap_or(20.0);
        let metric = |default| self.distance_metric.unwrap_or(default);
        let margin = |default| self.margin.unwrap_or(default);
        let similarity = |default| self.similarity.unwrap_or(default);
        match self.name {
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
            LossName::Mse => Box::new(Mse { dimension }),
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
        }
    }

    /// Returns the directions in one order, whatever their order in the recipe.
    fn sorted_directions(&self) -> Vec<Direction> {
        let mut directions = self.directions.clone().unwrap_or_else(|| vec![Direction::QueryToDoc]);
        directions.sort_unstable();
        directions
    }
}

fn invalid(field: &str, value: &dyn std::fmt::Debug, wanted: &str) -> TrainError {
    TrainError::Argument { field: field.into(), value: format!("{value:?}"), wanted: wanted.into() }
}
