//! An evaluation set in memory.

use super::content::Content;
use super::error::EvaluationError;
use maana_data::Source;
use maana_eval::Kind;
use std::sync::Arc;

/// An evaluation set in memory.
pub struct EvaluationSet {
    pub(super) name: Option<String>,
    pub(super) content: Content,
    pub(super) notes: Vec<String>,
}

impl EvaluationSet {
    /// Returns the name in front of the measures. The only retrieval set of a run and the dev loss
    /// have none.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Replaces the name, or removes it.
    pub fn with_name(mut self, name: Option<String>) -> Self {
        self.name = name;
        self
    }

    /// Replaces the number of candidates up to which MRR and nDCG of reranking count.
    pub(crate) fn with_at_k(mut self, at: Option<usize>) -> Self {
        if let (Content::Reranking { at_k, .. }, Some(at)) = (&mut self.content, at) {
            *at_k = at;
        }
        self
    }

    /// Returns the name for display, which is never empty.
    pub fn title(&self) -> &str {
        match (&self.name, &self.content) {
            (Some(name), _) => name,
            (None, Content::Retrieval(set)) => &set.name,
            (None, _) => self.kind().name(),
        }
    }

    /// Returns warnings about the content.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Creates a set from rows of texts with labels, such as held-out rows of training data.
    ///
    /// # Errors
    /// If the columns or labels do not fit the kind, or a row cannot be read.
    pub fn of_rows(name: Option<String>, kind: Kind, rows: &Arc<dyn Source>) -> Result<Self, EvaluationError> {
        let files = name.clone().unwrap_or_else(|| "the held-out rows".into());
        Ok(Self { content: Content::of_rows(kind, rows, &files)?, name, notes: Vec::new() })
    }

    /// Returns the SHA-256 of texts, scores and labels.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.content.fingerprint()
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        match &self.content {
            Content::Retrieval(_) => Kind::Retrieval,
            Content::Similarity { .. } => Kind::Similarity,
            Content::Binary { .. } => Kind::Binary,
            Content::Classification { .. } => Kind::Classification,
            Content::Triplet(_) => Kind::Triplet,
            Content::Reranking { .. } => Kind::Reranking,
            Content::Translation { .. } => Kind::Translation,
            Content::Mining { .. } => Kind::Mining,
            Content::Labels { .. } => Kind::Labels,
            Content::Loss(_) => Kind::Loss,
        }
    }

    /// Returns the texts by part: `queries` and `documents`, `training texts` and `test texts`, or
    /// `texts`; nothing for a set of the kind loss.
    pub(crate) fn texts(&self) -> Vec<(&'static str, Vec<&str>)> {
        fn all<'a>(columns: impl IntoIterator<Item = &'a Vec<String>>) -> Vec<&'a str> {
            columns.into_iter().flatten().map(String::as_str).collect()
        }
        fn second(texts: &[(String, String)]) -> Vec<&str> {
            texts.iter().map(|(_, text)| text.as_str()).collect()
        }
        match &self.content {
            Content::Retrieval(set) => vec![("queries", second(&set.queries)), ("documents", second(&set.corpus))],
            Content::Similarity { pairs, .. }
            | Content::Binary { pairs, .. }
            | Content::Classification { pairs, .. }
            | Content::Translation { pairs, .. } => {
                vec![("texts", all(pairs))]
            }
            Content::Triplet(columns) => vec![("texts", all(columns))],
            Content::Reranking { lists, .. } => {
                vec![("queries", all([&lists.queries])), ("documents", all([&lists.documents]))]
            }
            Content::Mining { texts, .. } => vec![("texts", all([texts]))],
            Content::Labels { train, test } => {
                vec![("training texts", all([&train.texts])), ("test texts", all([&test.texts]))]
            }
            Content::Loss(_) => Vec::new(),
        }
    }

    /// Replaces the rows whose loss is measured.
    ///
    /// # Errors
    /// Those of `map`.
    pub(crate) fn map_loss_rows<E>(
        &mut self,
        map: impl FnOnce(Arc<dyn Source>) -> Result<Arc<dyn Source>, E>,
    ) -> Result<(), E> {
        if let Content::Loss(rows) = &mut self.content {
            *rows = map(Arc::clone(rows))?;
        }
        Ok(())
    }

    /// Returns the rows of a set of the kind loss.
    pub fn loss_rows(&self) -> Option<&dyn Source> {
        match &self.content {
            Content::Loss(rows) => Some(rows.as_ref()),
            _ => None,
        }
    }

    /// Describes the size: "300 queries, 2,000 documents".
    pub fn size(&self) -> String {
        match &self.content {
            Content::Retrieval(set) => format!("{} queries, {} documents", set.queries.len(), set.corpus.len()),
            Content::Similarity { scores, .. } => format!("{} scored pairs", scores.len()),
            Content::Binary { alike, .. } => format!("{} labelled pairs", alike.len()),
            Content::Classification { classes, .. } => format!("{} pairs with a class", classes.len()),
            Content::Triplet([anchors, ..]) => format!("{} triplets", anchors.len()),
            Content::Reranking { lists, .. } => {
                format!("{} queries, {} candidates", lists.queries.len(), lists.documents.len())
            }
            Content::Translation { pairs: [sources, _], .. } => format!("{} pairs", sources.len()),
            Content::Mining { texts, known } => format!("{} texts, {} known pairs", texts.len(), known.len()),
            Content::Labels { train, test } => {
                format!("{} texts to train, {} to test", train.texts.len(), test.texts.len())
            }
            Content::Loss(rows) => format!("{} rows", rows.len()),
        }
    }

    /// Returns the approximate number of bytes of the texts that one evaluation encodes.
    pub(crate) fn text_bytes(&self) -> usize {
        const SAMPLED: usize = 100;
        let Some(rows) = self.loss_rows() else {
            return self.texts().iter().flat_map(|(_, texts)| texts).map(|text| text.len()).sum();
        };
        let sampled = SAMPLED.min(rows.len());
        let texts = (0..sampled).filter_map(|row| rows.get(row).ok()).flat_map(|row| row.texts);
        texts.map(|text| text.len()).sum::<usize>() * rows.len() / sampled.max(1)
    }
}
