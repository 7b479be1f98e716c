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
    /// [`Softmax`](super::Softmax).
    Softmax,
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
    /// [`BinaryCrossEntropy`](super::pairs::BinaryCrossEntropy).
    BinaryCrossEntropy,
    /// [`CrossEntropy`](super::pairs::CrossEntropy).
    CrossEntropy,
    /// [`Lambda`](super::pairs::Lambda).
    Lambda,
    /// [`Lambda`](super::pairs::Lambda) without weights.
    RankNet,
    /// [`ListNet`](super::pairs::ListNet).
    ListNet,
    /// [`PlistMle`](super::pairs::PlistMle) without weights.
    ListMle,
    /// [`PlistMle`](super::pairs::PlistMle).
    PlistMle,
    /// [`AdrMse`](super::pairs::AdrMse).
    AdrMse,
    /// A loss of the program that trains, which finds it by `class`.
    Own,
}

/// Inputs of the model that a loss trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inputs {
    /// Texts, which become embeddings.
    #[default]
    Texts,
    /// Pairs of texts, which become the logits of a cross-encoder.
    Pairs,
}

impl LossName {
    /// Every loss that recipes can build: all but `Own`.
    pub const ALL: [Self; 26] = [
        Self::MultipleNegativesRanking,
        Self::MultipleNegativesSymmetricRanking,
        Self::Simcse,
        Self::GistEmbed,
        Self::Cosent,
        Self::Angle,
        Self::CosineSimilarity,
        Self::Softmax,
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
        Self::BinaryCrossEntropy,
        Self::CrossEntropy,
        Self::Lambda,
        Self::RankNet,
        Self::ListNet,
        Self::ListMle,
        Self::PlistMle,
        Self::AdrMse,
    ];

    /// Returns true if the loss trains models with these inputs. Some names are losses of both
    /// kinds of models, as in the reference.
    pub fn trains(self, inputs: Inputs) -> bool {
        let on_both = matches!(self, Self::MultipleNegativesRanking | Self::Mse | Self::MarginMse | Self::Own);
        let on_pairs = matches!(self, Self::BinaryCrossEntropy | Self::CrossEntropy) || self.takes_lists();
        on_both || on_pairs == (inputs == Inputs::Pairs)
    }

    /// Returns true for losses of lists of documents, which may have different lengths.
    pub fn takes_lists(self) -> bool {
        matches!(self, Self::Lambda | Self::RankNet | Self::ListNet | Self::ListMle | Self::PlistMle | Self::AdrMse)
    }

    /// Parameters of the loss in recipes, without those of Matryoshka and of adaptive layers, which
    /// all losses of texts have.
    pub fn parameters(self, inputs: Inputs) -> &'static [&'static str] {
        match inputs {
            Inputs::Texts => self.parameters_on_texts(),
            Inputs::Pairs => self.parameters_on_pairs(),
        }
    }

    fn parameters_on_pairs(self) -> &'static [&'static str] {
        match self {
            Self::Own => &["class"],
            Self::BinaryCrossEntropy => &["pos_weight", "activation"],
            Self::MultipleNegativesRanking => &["num_negatives", "scale", "activation"],
            Self::Lambda => &["weighting_scheme", "mu", "k", "sigma", "eps", "reduction_log", "activation"],
            Self::RankNet => &["k", "sigma", "eps", "reduction_log", "activation"],
            Self::ListMle | Self::PlistMle => &["respect_input_order", "activation"],
            Self::AdrMse => &["alpha", "activation"],
            _ => &["activation"],
        }
    }

    fn parameters_on_texts(self) -> &'static [&'static str] {
        match self {
            Self::MultipleNegativesRanking => {
                &["scale", "similarity", "directions", "partition_mode", "hardness_mode", "hardness_strength"]
            }
            Self::MultipleNegativesSymmetricRanking | Self::Simcse | Self::Cosent | Self::Angle => &["scale"],
            Self::GistEmbed => {
                &["guide", "temperature", "margin_strategy", "margin", "contrast_anchors", "contrast_positives"]
            }
            Self::CosineSimilarity => &[],
            Self::Softmax => &[
                "num_labels",
                "concatenation_sent_rep",
                "concatenation_sent_difference",
                "concatenation_sent_multiplication",
            ],
            Self::Contrastive
            | Self::OnlineContrastive
            | Self::Triplet
            | Self::BatchHardTriplet
            | Self::BatchAllTriplet
            | Self::BatchSemiHardTriplet => &["distance_metric", "margin"],
            Self::BatchHardSoftMarginTriplet => &["distance_metric"],
            Self::Own => &["class"],
            Self::Mse => &["teacher", "teacher_columns", "projection_dim"],
            Self::MarginMse => &["teacher", "similarity"],
            Self::DistillKlDiv => {
                &["teacher", "similarity", "temperature", "student_temperature", "teacher_temperature"]
            }
            Self::BinaryCrossEntropy
            | Self::CrossEntropy
            | Self::Lambda
            | Self::RankNet
            | Self::ListNet
            | Self::ListMle
            | Self::PlistMle
            | Self::AdrMse => &[],
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
