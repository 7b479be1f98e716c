//! Rows whose labels are numbers of a teacher.

use super::store::TextEmbeddings;
use maana_data::{DataError, Example, Place, Source};
use maana_model::{Role, Similarity};
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

/// A text that the teacher reads.
pub(super) struct TeacherText {
    /// The role whose tower embeds it, of a teacher with towers by role.
    role: Option<Role>,
    prompt: String,
    pub(super) text: String,
}

impl TeacherText {
    /// Returns the role and the prompt, which texts that are embedded together share.
    pub(super) fn group(&self) -> (Option<Role>, &str) {
        (self.role, &self.prompt)
    }

    /// Returns what the embedding depends on, by which it is found again.
    pub(super) fn key_text(&self) -> String {
        let Self { role, prompt, text } = self;
        match role {
            None => format!("{prompt}{text}"),
            Some(role) => format!("{role:?}\0{prompt}{text}"),
        }
    }
}

impl Labels {
    /// Returns the texts of a row that a teacher reads, `routed` if it has towers by role: then the
    /// first is a query and the others are documents.
    pub(super) fn texts(&self, texts: &[String], routed: bool) -> impl Iterator<Item = TeacherText> {
        texts.iter().zip(self.prompts()).enumerate().map(move |(column, (text, prompt))| {
            let role = if column == 0 { Role::Query } else { Role::Document };
            TeacherText { role: routed.then_some(role), prompt: prompt.clone(), text: text.clone() }
        })
    }

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
    pub(super) rows: Arc<dyn Source>,
    pub(super) labels: Labels,
    /// True if the teacher has towers by role.
    pub(super) routed: bool,
    pub(super) embeddings: Arc<OnceLock<TextEmbeddings>>,
    /// Fingerprint of the teacher.
    pub(super) teacher: [u8; 32],
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
            let texts = self.labels.texts(&example.texts, self.routed);
            let rows: Option<Vec<Vec<f32>>> =
                texts.map(|text| embeddings.row(&text.key_text())).collect::<Result<_, _>>()?;
            let path = || self.rows.place(index).to_string();
            let rows = rows.ok_or_else(|| DataError::Changed { path: path(), row: index + 1 })?;
            example.label = Some(self.labels.of(&rows));
        }
        Ok(example)
    }

    fn epoch(&self, epoch: u64) -> Option<Arc<dyn Source>> {
        let (labels, embeddings) = (self.labels.clone(), Arc::clone(&self.embeddings));
        Some(Arc::new(Self { rows: self.rows.epoch(epoch)?, labels, embeddings, ..*self }))
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
