//! Measures of a cross-encoder on a set.

use super::content::Content;
use super::error::EvaluationError;
use super::first_stage::FirstStage;
use super::lists::Lists;
use super::set::EvaluationSet;
use maana_data::{Relevant, RetrievalSet, Source};
use maana_eval::{
    Cutoffs, EvalError, Kind, ScoredList, Scores, binary_classification, classification, correlation,
    measures_of_rankings, reranking_of_scores,
};
use maana_kernels::{Context, Matrix};
use maana_model::{CrossEncoder, ModelError};
use maana_train::{Loss, dev_loss_of_pairs};

/// A cross-encoder that is measured.
#[derive(Clone, Copy)]
pub struct PairMeasuring<'a> {
    /// The model.
    pub encoder: &'a CrossEncoder,
    /// Threads of the measures.
    pub context: &'a Context,
    /// The loss of the run, for sets of the kind loss.
    pub loss: Option<PairDevLoss<'a>>,
    /// The first stage, for sets of the kind retrieval.
    pub first_stage: Option<&'a FirstStage>,
}

/// The loss of a run with a cross-encoder.
#[derive(Clone, Copy)]
pub struct PairDevLoss<'a> {
    /// The loss.
    pub loss: &'a dyn Loss,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Seed of the documents of other rows that a loss draws.
    pub seed: u64,
    /// Prompt in front of the first texts in training.
    pub prompt: &'a str,
}

impl PairMeasuring<'_> {
    fn score(&self, pairs: &[(&str, &str)]) -> Result<Matrix, EvaluationError> {
        self.encoder.score(pairs).map_err(of_model)
    }
}

fn of_model(error: ModelError) -> EvaluationError {
    EvaluationError::Eval(error.into())
}

impl EvaluationSet {
    /// Measures a cross-encoder.
    ///
    /// # Errors
    /// If cross-encoders are not measured on sets of this kind or need another number of labels, a
    /// pair cannot be scored, or a set of the kind loss is measured without a loss, or with one
    /// that does not accept its rows.
    pub fn measure_pairs(&self, measuring: &PairMeasuring<'_>) -> Result<Scores, EvaluationError> {
        let labels = measuring.encoder.labels().len();
        self.check_pairs(labels, measuring.first_stage.is_some())?;
        let (primary, values) = match &self.content {
            Content::Similarity { pairs, scores } => {
                ("spearman".to_owned(), correlation(measuring.score(&zipped(pairs))?.data(), scores))
            }
            Content::Binary { pairs, alike } => {
                let scores = measuring.score(&zipped(pairs))?;
                ("average_precision".to_owned(), binary_classification(scores.data(), alike))
            }
            Content::Classification { pairs, classes } => {
                let scores = measuring.score(&zipped(pairs))?;
                let found: Vec<usize> = (0..scores.rows()).map(|row| greatest(scores.row(row))).collect();
                ("f1_macro".to_owned(), classification(&found, classes))
            }
            Content::Reranking { lists, at_k } => (format!("ndcg@{at_k}"), reranking(lists, *at_k, measuring)?),
            Content::Loss(rows) => {
                ("loss".to_owned(), vec![("loss".into(), self.pair_loss(rows.as_ref(), measuring)?)])
            }
            Content::Retrieval(set) => ("ndcg@10".to_owned(), retrieval(set, measuring)?),
            _ => unreachable!("check_pairs() refuses other kinds"),
        };
        Ok(Scores {
            kind: self.kind(),
            name: self.name.clone().unwrap_or_default(),
            dimension: 0,
            values,
            primary,
            precision: Some(measuring.encoder.precision().name().to_owned()),
            items: Vec::new(),
        })
    }

    /// Returns the names of all measures of a cross-encoder, as in the log of a run.
    pub fn pair_measure_names(&self) -> Vec<String> {
        let fixed = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let keys: Vec<String> = match &self.content {
            Content::Similarity { .. } => fixed(&["pearson", "spearman"]),
            Content::Binary { .. } => fixed(&[
                "accuracy",
                "accuracy_threshold",
                "f1",
                "f1_threshold",
                "precision",
                "recall",
                "average_precision",
            ]),
            Content::Classification { .. } => fixed(&["f1_macro", "f1_micro", "f1_weighted"]),
            Content::Reranking { lists, at_k } => {
                let keys = ["map".to_owned(), format!("mrr@{at_k}"), format!("ndcg@{at_k}")];
                let before = keys.iter().map(|key| Scores::key_before(key));
                keys.iter().cloned().chain(before.filter(|_| !lists.orders.is_empty())).collect()
            }
            Content::Loss(_) => fixed(&["loss"]),
            _ => Vec::new(),
        };
        let scores = Scores { name: self.name.clone().unwrap_or_default(), ..Scores::default() };
        keys.iter().map(|key| scores.prefixed_key(key)).collect()
    }

    /// Checks that a cross-encoder with this number of labels can be measured on the set, with or
    /// without a first stage that finds candidates.
    ///
    /// # Errors
    /// If it cannot, with the kinds that can.
    pub fn check_pairs(&self, labels: usize, has_first_stage: bool) -> Result<(), EvaluationError> {
        let other = |reason: String| Err(EvaluationError::OtherModel { set: self.title().into(), reason });
        match &self.content {
            Content::Loss(_) => Ok(()),
            Content::Classification { classes, .. } if labels > 1 => {
                match classes.iter().find(|class| **class >= labels) {
                    None => Ok(()),
                    Some(&class) => Err(EvaluationError::UnknownClass { set: self.title().into(), class, labels }),
                }
            }
            Content::Classification { .. } => {
                other("the kind classification needs a cross-encoder with several labels; with one use binary".into())
            }
            _ if !is_measured(self.kind(), has_first_stage) => {
                let kinds = Kind::ALL.into_iter().filter(|kind| is_measured(*kind, has_first_stage));
                let kinds: Vec<&str> = kinds.map(Kind::name).collect();
                other(format!(
                    "a cross-encoder is not measured on sets of the kind {}, but on those of the kinds {} and loss",
                    self.kind().name(),
                    kinds.join(", ")
                ))
            }
            _ if labels > 1 => other(format!(
                "the model has {labels} labels, and a set of the kind {} needs one score for each pair; use the kind \
                 classification",
                self.kind().name()
            )),
            _ => Ok(()),
        }
    }

    fn pair_loss(&self, rows: &dyn Source, measuring: &PairMeasuring<'_>) -> Result<f64, EvaluationError> {
        let PairDevLoss { loss, batch_size, seed, prompt } =
            measuring.loss.ok_or_else(|| EvaluationError::NoLoss(self.title().to_owned()))?;
        loss.needs().check_data(loss.describe().recipe_name(), rows)?;
        let encoder = measuring.encoder.clone().with_prompt(prompt).map_err(of_model)?;
        let score = |pairs: &[(&str, &str)]| encoder.logits(pairs);
        let value = dev_loss_of_pairs(measuring.context, loss, rows, batch_size, seed, score);
        value.map_err(EvaluationError::of_loss)
    }
}

/// Returns whether cross-encoders are measured on sets of a kind.
fn is_measured(kind: Kind, has_first_stage: bool) -> bool {
    kind.of_cross_encoders().is_some() || (kind == Kind::Retrieval && has_first_stage)
}

/// Returns the measures of retrieval in the order of the cross-encoder's scores, then those in the
/// order of the first stage. Documents that the first stage does not find count as missed.
fn retrieval(set: &RetrievalSet, measuring: &PairMeasuring<'_>) -> Result<Vec<(String, f64)>, EvaluationError> {
    let first_stage = measuring.first_stage.expect("check_pairs() requires a first stage");
    let judged: Vec<usize> = (0..set.queries.len()).filter(|&query| set.relevant[query].count() > 0).collect();
    if judged.is_empty() {
        return Err(EvalError::NothingRelevant { set: set.name.clone() }.into());
    }
    let relevant: Vec<&Relevant> = judged.iter().map(|&query| &set.relevant[query]).collect();
    let found = first_stage.rank(measuring.context, set, &judged)?;
    let mut reordered = Vec::with_capacity(found.len());
    for (query, candidates) in judged.iter().zip(&found) {
        let query = set.queries[*query].1.as_str();
        let pairs: Vec<(&str, &str)> =
            candidates.iter().map(|document| (query, set.corpus[*document].1.as_str())).collect();
        let scores = measuring.score(&pairs)?;
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by(|a, b| scores.data()[*b].total_cmp(&scores.data()[*a]));
        reordered.push(order.into_iter().map(|place| candidates[place]).collect());
    }
    let measures = |rankings: &[Vec<usize>]| measures_of_rankings("", rankings, &relevant, &Cutoffs::default());
    let mut values = measures(&reordered);
    values.extend(measures(&found).into_iter().map(|(key, value)| (Scores::key_before(&key), value)));
    Ok(values)
}

fn zipped([first, second]: &[Vec<String>; 2]) -> Vec<(&str, &str)> {
    first.iter().map(String::as_str).zip(second.iter().map(String::as_str)).collect()
}

/// Returns the number of the greatest value, of equal ones the first.
fn greatest(values: &[f32]) -> usize {
    let better = |best: usize, (index, value): (usize, &f32)| if *value > values[best] { index } else { best };
    values.iter().enumerate().fold(0, better)
}

/// Returns the measures of reranking, then those of the order of the documents, if there is one.
fn reranking(lists: &Lists, k: usize, measuring: &PairMeasuring<'_>) -> Result<Vec<(String, f64)>, EvaluationError> {
    let mut documents = lists.documents.iter();
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(lists.documents.len());
    let mut relevant: Vec<Vec<bool>> = Vec::with_capacity(lists.queries.len());
    for (query, candidates) in lists.queries.iter().zip(&lists.candidates) {
        let count = candidates.positives + candidates.negatives;
        pairs.extend(documents.by_ref().take(count).map(|document| (query.as_str(), document.as_str())));
        relevant.push((0..count).map(|place| place < candidates.positives).collect());
    }
    let scores = measuring.score(&pairs)?;
    let mut rest = scores.data();
    let scored = relevant.iter().map(|relevant| {
        let (scores, after) = rest.split_at(relevant.len());
        rest = after;
        ScoredList { scores, relevant }
    });
    let mut values = reranking_of_scores(scored, k);
    if !lists.orders.is_empty() {
        let longest = lists.orders.iter().map(Vec::len).max().unwrap_or(0);
        let falling: Vec<f32> = (0..longest).map(|place| -(place as f32)).collect();
        let ordered = lists.orders.iter().map(|relevant| ScoredList { scores: &falling[..relevant.len()], relevant });
        let before = reranking_of_scores(ordered, k);
        values.extend(before.into_iter().map(|(key, value)| (Scores::key_before(&key), value)));
    }
    Ok(values)
}
