//! Rows whose labels are numbers of a teacher.

use super::store::TextEmbeddings;
use maana_data::{DataError, Example, Place, Source};
use maana_model::Similarity;
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// The numbers of a teacher that are the label of a row. `prompts` holds the teacher's prompt of
/// each column that it reads.
#[derive(Clone, Debug)]
pub(super) enum Labels {
    /// The embedding of the first text.
    First { dimension: usize, prompts: Vec<String> },
    /// The embeddings of all texts, one after the other.
    Each { dimension: usize, prompts: Vec<String> },
    /// The similarity of the first text to each other one.
    Scores { similarity: Similarity, prompts: Vec<String> },
}

impl Labels {
    /// Returns the prompts of the columns that the teacher reads.
    pub(super) fn prompts(&self) -> &[String] {
        match self {
            Self::First { prompts, .. } => &prompts[..1],
            Self::Each { prompts, .. } | Self::Scores { prompts, .. } => prompts,
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::First { dimension, .. } => *dimension,
            Self::Each { dimension, prompts } => dimension * prompts.len(),
            Self::Scores { prompts, .. } => prompts.len() - 1,
        }
    }

    fn of(&self, embeddings: &[Vec<f32>]) -> Vec<f32> {
        match self {
            Self::First { .. } | Self::Each { .. } => embeddings.concat(),
            Self::Scores { similarity, .. } => {
                embeddings[1..].iter().map(|document| score(*similarity, &embeddings[0], document) as f32).collect()
            }
        }
    }
}

/// Returns the similarity of two embeddings.
fn score(similarity: Similarity, a: &[f32], b: &[f32]) -> f64 {
    let sum = |of: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| of(a.into(), b.into())).sum::<f64>();
    let dot = || sum(&|a, b| a * b);
    match similarity {
        Similarity::Dot => dot(),
        Similarity::Cosine => dot() / (sum(&|a, _| a * a).sqrt() * sum(&|_, b| b * b).sqrt()).max(1e-16),
        Similarity::Euclidean => -sum(&|a, b| (a - b) * (a - b)).sqrt(),
        Similarity::Manhattan => -sum(&|a, b| (a - b).abs()),
    }
}

/// Rows of a source with the labels of a teacher instead of their own.
pub(super) struct LabelledRows {
    rows: Arc<dyn Source>,
    labels: Labels,
    embeddings: Arc<OnceLock<TextEmbeddings>>,
    teacher: [u8; 32],
}

impl LabelledRows {
    pub(super) fn new(
        rows: Arc<dyn Source>,
        labels: Labels,
        embeddings: Arc<OnceLock<TextEmbeddings>>,
        teacher: [u8; 32],
    ) -> Self {
        Self { rows, labels, embeddings, teacher }
    }
}

impl Source for LabelledRows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> &[String] {
        self.rows.columns()
    }

    fn has_labels(&self) -> bool {
        true
    }

    fn label_length(&self) -> usize {
        self.labels.length()
    }

    fn has_lists(&self) -> bool {
        self.rows.has_lists()
    }

    fn place(&self, index: usize) -> Place {
        self.rows.place(index)
    }

    /// Reads a row; without a label until the texts are embedded.
    fn get(&self, index: usize) -> Result<Example, DataError> {
        let mut example = self.rows.get(index)?;
        example.label = None;
        if let Some(embeddings) = self.embeddings.get() {
            let of_text = |(text, prompt): (&String, &String)| embeddings.row(&format!("{prompt}{text}"));
            let rows: Option<Vec<Vec<f32>>> =
                example.texts.iter().zip(self.labels.prompts()).map(of_text).collect::<Result<_, _>>()?;
            let path = || self.rows.place(index).to_string();
            let rows = rows.ok_or_else(|| DataError::Changed { path: path(), row: index + 1 })?;
            example.label = Some(self.labels.of(&rows));
        }
        Ok(example)
    }

    fn epoch(&self, epoch: u64) -> Option<Arc<dyn Source>> {
        let rows = self.rows.epoch(epoch)?;
        Some(Arc::new(Self::new(rows, self.labels.clone(), Arc::clone(&self.embeddings), self.teacher)))
    }

    fn text_keys(&self) -> &[u32] {
        self.rows.text_keys()
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut content = Sha256::new();
        content.update(self.rows.fingerprint());
        content.update(self.teacher);
        content.update(format!("{:?}", self.labels));
        content.finalize().into()
    }
}
