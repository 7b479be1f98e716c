//! The names of losses in recipes, and the parameters of each.

use serde::{Deserialize, Serialize};

/// The names of losses in recipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// [`InBatchNegatives`](super::InBatchNegatives).
    MultipleNegativesRanking,
    /// [`SymmetricInBatchNegatives`](super::SymmetricInBatchNegatives).
    MultipleNegativesSymmetricRanking,
    /// [`Simcse`](super::Simcse).
    Simcse,
    /// [`GistEmbed`](super::GistEmbed).
    GistEmbed,
    /// [`CoSent`](super::CoSent).
    Cosent,
    /// [`Angle`](super::Angle).
    Angle,
    /// [`CosineSimilarity`](super::CosineSimilarity).
    CosineSimilarity,
    /// [`Contrastive`](super::Contrastive).
    Contrastive,
    /// [`OnlineContrastive`](super::OnlineContrastive).
    OnlineContrastive,
    /// [`Triplet`](super::Triplet).
    Triplet,
    /// [`Mse`](super::Mse).
    Mse,
    /// [`MarginMse`](super::MarginMse).
    MarginMse,
    /// [`DistillKlDiv`](super::DistillKlDiv).
    DistillKlDiv,
    /// [`BatchHardTriplet`](super::BatchHardTriplet).
    BatchHardTriplet,
    /// [`BatchAllTriplet`](super::BatchAllTriplet).
    BatchAllTriplet,
    /// [`BatchSemiHardTriplet`](super::BatchSemiHardTriplet).
    BatchSemiHardTriplet,
    /// [`BatchHardSoftMarginTriplet`](super::BatchHardSoftMarginTriplet).
    BatchHardSoftMarginTriplet,
    /// A loss of the program that trains, which finds it by `class`.
    Own,
}

impl LossName {
    /// Every loss that recipes can build: all but `Own`.
    pub const ALL: [Self; 17] = [
        Self::MultipleNegativesRanking,
        Self::MultipleNegativesSymmetricRanking,
        Self::Simcse,
        Self::GistEmbed,
        Self::Cosent,
        Self::Angle,
        Self::CosineSimilarity,
        Self::Contrastive,
        Self::OnlineContrastive,
        Self::Triplet,
        Self::Mse,
        Self::MarginMse,
        Self::DistillKlDiv,
        Self::BatchHardTriplet,
        Self::BatchAllTriplet,
        Self::BatchSemiHardTriplet,
        Self::BatchHardSoftMarginTriplet,
    ];

    /// Parameters of the loss in recipes, without those of Matryoshka, which all losses have.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::MultipleNegativesRanking => {
                &["scale", "similarity", "directions", "partition_mode", "hardness_mode", "hardness_strength"]
            }
            Self::MultipleNegativesSymmetricRanking | Self::Simcse | Self::Cosent | Self::Angle => &["scale"],
            Self::GistEmbed => {
                &["guide", "temperature", "margin_strategy", "margin", "contrast_anchors", "contrast_positives"]
            }
            Self::CosineSimilarity => &[],
            Self::Contrastive
            | Self::OnlineContrastive
            | Self::Triplet
            | Self::BatchHardTriplet
            | Self::BatchAllTriplet
            | Self::BatchSemiHardTriplet => &["distance_metric", "margin"],
            Self::BatchHardSoftMarginTriplet => &["distance_metric"],
            Self::Own => &["class"],
            Self::Mse => &["teacher", "teacher_columns"],
            Self::MarginMse => &["teacher", "similarity"],
            Self::DistillKlDiv => {
                &["teacher", "similarity", "temperature", "student_temperature", "teacher_temperature"]
            }
        }
    }

    /// Returns true for losses that compare all texts of a batch by their class.
    pub fn compares_classes(self) -> bool {
        matches!(
            self,
            Self::BatchHardTriplet
                | Self::BatchAllTriplet
                | Self::BatchSemiHardTriplet
                | Self::BatchHardSoftMarginTriplet
        )
    }
}
