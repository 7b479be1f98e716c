//! Kinds of evaluation, each with the names of its evaluator in Sentence Transformers.

use serde::{Deserialize, Serialize};

/// A kind of evaluation. Names in recipes are in snake case: `retrieval`, `similarity`, ….
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Queries, documents, and which are relevant.
    #[default]
    Retrieval,
    /// Pairs of texts with a score of their similarity.
    Similarity,
    /// Pairs of texts that are alike (1) or not (0).
    Binary,
    /// Pairs of texts with a class, for cross-encoders with several labels.
    Classification,
    /// Triplets of anchor, positive and negative.
    Triplet,
    /// Queries, each with relevant and other documents to be ordered.
    Reranking,
    /// Texts and their translations, or other counterparts, to be found among all.
    Translation,
    /// Texts, and which pairs of them are paraphrases.
    Mining,
    /// Labelled texts for training and testing a classifier on the embeddings.
    Labels,
    /// Rows as the training data, on which the loss of the run is computed.
    Loss,
    /// Measures of an evaluator of the program that trains; no set of files has this kind.
    Own,
}

impl Kind {
    /// All kinds of sets of files.
    pub const ALL: [Self; 10] = [
        Self::Retrieval,
        Self::Similarity,
        Self::Binary,
        Self::Classification,
        Self::Triplet,
        Self::Reranking,
        Self::Translation,
        Self::Mining,
        Self::Labels,
        Self::Loss,
    ];

    /// Returns the name in recipes and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retrieval => "retrieval",
            Self::Similarity => "similarity",
            Self::Binary => "binary",
            Self::Classification => "classification",
            Self::Triplet => "triplet",
            Self::Reranking => "reranking",
            Self::Translation => "translation",
            Self::Mining => "mining",
            Self::Labels => "labels",
            Self::Loss => "loss",
            Self::Own => "own",
        }
    }

    /// Returns the title of an evaluation in model cards.
    pub fn title(self) -> &'static str {
        match self {
            Self::Retrieval => "Information Retrieval",
            Self::Similarity => "Semantic Similarity",
            Self::Binary => "Binary Classification",
            Self::Classification => "Classification",
            Self::Triplet => "Triplet",
            Self::Reranking => "Reranking",
            Self::Translation => "Translation",
            Self::Mining => "Paraphrase Mining",
            Self::Labels => "Label Accuracy",
            Self::Loss => "Loss",
            Self::Own => "Custom Evaluation",
        }
    }

    /// Returns the class of the reference, except for the loss, which its trainer computes.
    pub fn evaluator(self) -> Option<&'static str> {
        match self {
            Self::Retrieval => Some("InformationRetrievalEvaluator"),
            Self::Similarity => Some("EmbeddingSimilarityEvaluator"),
            Self::Binary => Some("BinaryClassificationEvaluator"),
            Self::Triplet => Some("TripletEvaluator"),
            Self::Reranking => Some("RerankingEvaluator"),
            Self::Translation => Some("TranslationEvaluator"),
            Self::Mining => Some("ParaphraseMiningEvaluator"),
            Self::Labels => Some("LabelAccuracyEvaluator"),
            Self::Classification | Self::Loss | Self::Own => None,
        }
    }

    /// Returns title and class of the reference's evaluator of cross-encoders; `None` for kinds on
    /// which they are not measured, and for the loss.
    pub fn of_cross_encoders(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Similarity => Some(("Cross Encoder Correlation", "CrossEncoderCorrelationEvaluator")),
            Self::Binary | Self::Classification => {
                Some(("Cross Encoder Classification", "CrossEncoderClassificationEvaluator"))
            }
            Self::Reranking => Some(("Cross Encoder Reranking", "CrossEncoderRerankingEvaluator")),
            _ => None,
        }
    }

    /// Returns true if a smaller primary measure is better.
    pub fn smaller_is_better(self) -> bool {
        self == Self::Loss
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn names_are_those_of_recipes() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
