//! The task of a model: embeddings of single texts, or scores of pairs of texts.

use maana_kernels::{Activation, Context, Matrix};
use maana_text::{TextError, Tokenizer};

/// The task of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Embeds single texts (a bi-encoder).
    Embed,
    /// Scores pairs of texts (a cross-encoder): the embedding of a pair is its logits.
    Score(Scoring),
}

/// The labels of a cross-encoder, and the function that makes scores of its logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Scoring {
    /// Names of the labels, one for each logit.
    pub labels: Vec<String>,
    /// Activation of the logits.
    pub activation: ScoreActivation,
}

/// The function that makes scores of logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreActivation {
    /// A function of each logit.
    Each(Activation),
    /// The softmax over the logits of a pair.
    Softmax,
}

impl Task {
    /// Labels and activation of a cross-encoder; none for a bi-encoder.
    pub fn scoring(&self) -> Option<&Scoring> {
        match self {
            Self::Embed => None,
            Self::Score(scoring) => Some(scoring),
        }
    }

    /// Checks that `tokens` tokens leave room for a text, or for a pair.
    pub(crate) fn check_length(&self, tokenizer: &Tokenizer, tokens: usize) -> Result<(), TextError> {
        match self {
            Self::Embed => tokenizer.check_length(tokens),
            Self::Score(_) => tokenizer.check_pair_length(tokens).map(drop),
        }
    }
}

impl Scoring {
    /// Returns the labels and the activation of a model that has neither set: names by number, and
    /// the sigmoid for one label, else the logits themselves.
    pub fn of_labels(count: usize) -> Self {
        let labels = (0..count).map(|label| format!("LABEL_{label}")).collect();
        Self { labels, activation: ScoreActivation::default_of(count) }
    }
}

/// Class of PyTorch for the softmax.
const SOFTMAX: &str = "torch.nn.modules.activation.Softmax";

impl ScoreActivation {
    /// Returns the activation of a model with this number of labels that names none.
    pub fn default_of(labels: usize) -> Self {
        Self::Each(if labels == 1 { Activation::Sigmoid } else { Activation::Identity })
    }

    /// Returns the activation of a class of PyTorch in any of its modules.
    pub fn of_class(class: &str) -> Option<Self> {
        let softmax = class.starts_with("torch.") && class.rsplit('.').next() == Some("Softmax");
        if softmax { Some(Self::Softmax) } else { crate::blocks::activation_of_class(class).map(Self::Each) }
    }

    /// Class of PyTorch for the activation, for configurations.
    pub fn class(self) -> &'static str {
        match self {
            Self::Each(activation) => crate::blocks::class_of_activation(activation).unwrap_or(SOFTMAX),
            Self::Softmax => SOFTMAX,
        }
    }

    /// Replaces logits, `(pairs, labels)`, by scores.
    pub fn apply(self, context: &Context, logits: &mut Matrix) {
        match self {
            Self::Each(Activation::Identity) => {}
            Self::Each(activation) => {
                let inputs = logits.data().to_vec();
                activation.forward(context, &inputs, logits.data_mut());
            }
            Self::Softmax => {
                let columns = logits.columns();
                logits.data_mut().chunks_exact_mut(columns.max(1)).for_each(softmax);
            }
        }
    }
}

fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|value| *value = libm::expf(*value - most));
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_follow_the_class_that_the_folder_names() {
        let context = Context::new(1);
        let scores = |class: &str| {
            let mut logits = Matrix::from_vec(1, 3, vec![0.0, 1.0, -2.0]);
            ScoreActivation::of_class(class).unwrap().apply(&context, &mut logits);
            logits.data().to_vec()
        };
        assert_eq!(scores("torch.nn.modules.linear.Identity"), [0.0, 1.0, -2.0]);
        assert!((scores("torch.nn.Sigmoid")[1] - 0.731_058_6).abs() < 1e-6);
        let softmax = scores("torch.nn.modules.activation.Softmax");
        assert!((softmax.iter().sum::<f32>() - 1.0).abs() < 1e-6 && (softmax[1] - 0.705_384_5).abs() < 1e-6);
        assert_eq!(ScoreActivation::of_class("mine.Softmax"), None);
        for class in ["torch.nn.modules.activation.Softmax", "torch.nn.modules.activation.Sigmoid"] {
            assert_eq!(ScoreActivation::of_class(class).unwrap().class(), class);
        }
    }

    #[test]
    fn one_label_is_a_probability_and_several_are_logits() {
        assert_eq!(Scoring::of_labels(1).activation, ScoreActivation::Each(Activation::Sigmoid));
        let three = Scoring::of_labels(3);
        assert_eq!(three.activation, ScoreActivation::Each(Activation::Identity));
        assert_eq!(three.labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
    }
}
