//! The content of evaluation sets, and its creation from rows of texts with labels.

use super::error::EvaluationError;
use super::lists::Lists;
use super::spec::AT_K;
use maana_data::{Relevant, RetrievalSet, Source};
use maana_eval::Kind;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Texts, scores and labels of a set.
pub(super) enum Content {
    Retrieval(RetrievalSet),
    Similarity { pairs: [Vec<String>; 2], scores: Vec<f64> },
    Binary { pairs: [Vec<String>; 2], alike: Vec<bool> },
    Triplet([Vec<String>; 3]),
    Classification { pairs: [Vec<String>; 2], classes: Vec<usize> },
    Reranking { lists: Lists, at_k: usize },
    Translation { pairs: [Vec<String>; 2], has_roles: bool },
    Mining { texts: Vec<String>, known: HashSet<(usize, usize)> },
    Labels { train: Labelled, test: Labelled },
    Loss(Arc<dyn Source>),
}

/// Texts, each with a label.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Labelled {
    pub(super) texts: Vec<String>,
    pub(super) labels: Vec<String>,
}

/// Names of columns with a query and its document, which get the prompts of their roles.
const QUERIES: [&str; 3] = ["anchor", "query", "question"];
const DOCUMENTS: [&str; 4] = ["positive", "document", "answer", "response"];

impl Content {
    /// Creates the content from rows of texts with labels. `files` describes the rows in messages.
    pub(super) fn of_rows(kind: Kind, rows: &Arc<dyn Source>, files: &str) -> Result<Self, EvaluationError> {
        let unfit = |needed| {
            let (columns, labels) = (rows.columns(), if rows.has_labels() { "labels" } else { "no labels" });
            let found = format!("the columns are {} with {labels}; choose with columns", columns.join(", "));
            EvaluationError::Unfit { files: files.into(), kind: kind.name(), needed, found }
        };
        let scores = || (rows.scores().len() == rows.len()).then(|| rows.scores());
        Ok(match kind {
            Kind::Similarity => {
                let needed = "two columns of texts and a label with the score of each pair";
                let scores = scores().ok_or_else(|| unfit(needed))?;
                let pairs = columns(rows.as_ref())?.ok_or_else(|| unfit(needed))?;
                refuse_one_label(kind, scores, files)?;
                Self::Similarity { pairs, scores: scores.iter().map(|&score| f64::from(score)).collect() }
            }
            Kind::Binary => {
                let needed = "two columns of texts and a label, 1 for pairs that are alike and 0 for others";
                let labels = scores().ok_or_else(|| unfit(needed))?;
                if let Some(row) = labels.iter().position(|&label| label != 0.0 && label != 1.0) {
                    return Err(EvaluationError::NotBinary { place: rows.place(row), label: labels[row] });
                }
                refuse_one_label(kind, labels, files)?;
                let alike = labels.iter().map(|&label| label == 1.0).collect();
                Self::Binary { pairs: columns(rows.as_ref())?.ok_or_else(|| unfit(needed))?, alike }
            }
            Kind::Classification => {
                let needed = "two columns of texts and a label with the class of each pair";
                let labels = scores().ok_or_else(|| unfit(needed))?;
                if let Some(row) = labels.iter().position(|&label| label.fract() != 0.0 || label < 0.0) {
                    return Err(EvaluationError::NoClass { place: rows.place(row), label: labels[row] });
                }
                let classes = labels.iter().map(|&label| label as usize).collect();
                Self::Classification { pairs: columns(rows.as_ref())?.ok_or_else(|| unfit(needed))?, classes }
            }
            Kind::Triplet => {
                let needed = "three columns of texts: anchor, positive and negative";
                Self::Triplet(columns(rows.as_ref())?.ok_or_else(|| unfit(needed))?)
            }
            Kind::Translation => {
                let named = |column: usize, names: &[&str]| {
                    rows.columns().get(column).is_some_and(|name| names.contains(&name.as_str()))
                };
                let has_roles = named(0, &QUERIES) && named(1, &DOCUMENTS);
                let pairs = columns(rows.as_ref())?.ok_or_else(|| unfit("two columns of texts"))?;
                Self::Translation { pairs, has_roles }
            }
            Kind::Retrieval => {
                let needed =
                    "a folder with queries, corpus and judgements, or two columns of texts: query and document";
                let pairs = columns(rows.as_ref())?.ok_or_else(|| unfit(needed))?;
                Self::Retrieval(retrieval(pairs, files))
            }
            Kind::Mining => {
                let needed =
                    "a folder with sentences.tsv and duplicates.tsv, or two columns of texts: pairs of paraphrases";
                let (texts, known) = paraphrases(columns(rows.as_ref())?.ok_or_else(|| unfit(needed))?);
                Self::Mining { texts, known }
            }
            Kind::Loss => Self::Loss(Arc::clone(rows)),
            Kind::Reranking if rows.has_lists() || rows.columns().len() > 2 => {
                Self::Reranking { lists: Lists::of_rows(rows.as_ref())?, at_k: AT_K }
            }
            Kind::Reranking => {
                let needed =
                    "a query, positive and negative, the last two with lists of texts, or a query and documents";
                return Err(unfit(needed));
            }
            Kind::Own => return Err(unfit("an evaluator of the program that trains")),
            Kind::Labels => return Err(unfit("a file of texts with labels for training and one for testing")),
        })
    }
}

/// Refuses labels that are all equal: no order and no threshold can be judged by them.
fn refuse_one_label(kind: Kind, labels: &[f32], files: &str) -> Result<(), EvaluationError> {
    match labels {
        [first, rest @ ..] if rest.iter().all(|label| label == first) => Err(EvaluationError::Unfit {
            files: files.into(),
            kind: kind.name(),
            needed: "different labels",
            found: format!("all labels are {first}; add pairs with others, or leave the set out"),
        }),
        _ => Ok(()),
    }
}

/// Returns the columns of texts if there are `N` of them.
fn columns<const N: usize>(rows: &dyn Source) -> Result<Option<[Vec<String>; N]>, EvaluationError> {
    if rows.columns().len() != N {
        return Ok(None);
    }
    let mut columns = [(); N].map(|()| Vec::with_capacity(rows.len()));
    for row in 0..rows.len() {
        for (column, text) in columns.iter_mut().zip(rows.get(row)?.texts) {
            column.push(text);
        }
    }
    Ok(Some(columns))
}

/// Numbers texts in the order in which they occur first.
#[derive(Default)]
struct Distinct {
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Distinct {
    fn number(&mut self, text: String) -> usize {
        let next = self.texts.len();
        *self.numbers.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            next
        })
    }
}

/// Makes a retrieval set of pairs: every document that occurs with a query is relevant to it.
fn retrieval([queries, documents]: [Vec<String>; 2], name: &str) -> RetrievalSet {
    let (mut distinct, mut corpus) = (Distinct::default(), Distinct::default());
    let mut relevant: Vec<Relevant> = Vec::new();
    for (query, document) in queries.into_iter().zip(documents) {
        let (query, document) = (distinct.number(query), corpus.number(document));
        relevant.resize(distinct.texts.len(), Relevant::default());
        relevant[query].documents.push(document);
    }
    for relevant in &mut relevant {
        relevant.documents.sort_unstable();
        relevant.documents.dedup();
    }
    let width = corpus.texts.len().to_string().len();
    // Ids decide between equal scores; those of equal length are in the order of the rows.
    let named = |texts: Vec<String>| {
        texts.into_iter().enumerate().map(|(number, text)| (format!("{number:0width$}"), text)).collect()
    };
    let (queries, corpus) = (named(distinct.texts), named(corpus.texts));
    RetrievalSet { name: name.into(), queries, corpus, relevant, unknown_queries: 0 }
}

/// Returns the distinct texts of pairs, and the pairs as numbers of them, the lower one first.
fn paraphrases([first, second]: [Vec<String>; 2]) -> (Vec<String>, HashSet<(usize, usize)>) {
    let mut distinct = Distinct::default();
    let mut known = HashSet::new();
    for (first, second) in first.into_iter().zip(second) {
        let (first, second) = (distinct.number(first), distinct.number(second));
        if first != second {
            known.insert((first.min(second), first.max(second)));
        }
    }
    (distinct.texts, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_a_retrieval_set_of_distinct_texts() {
        let text = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        let set = retrieval([text(&["q", "r", "q", "q"]), text(&["a", "a", "b", "a"])], "dev");
        assert_eq!((set.queries.len(), set.corpus.len()), (2, 2));
        assert_eq!(set.relevant[0].documents, [0, 1]);
        assert_eq!(set.relevant[1].documents, [0]);
    }

    /// Correlations with equal scores are not numbers; thresholds without one side mean nothing.
    #[test]
    fn labels_that_are_all_equal_are_refused() {
        for kind in [Kind::Similarity, Kind::Binary] {
            assert!(refuse_one_label(kind, &[0.0, 1.0], "dev.jsonl").is_ok());
            let error = refuse_one_label(kind, &[1.0, 1.0], "dev.jsonl").unwrap_err().to_string();
            assert!(error.contains("dev.jsonl") && error.contains("all labels are 1; add pairs"), "{error}");
        }
    }

    #[test]
    fn paraphrases_are_counted_once() {
        let text = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        let (texts, known) = paraphrases([text(&["a", "b", "c"]), text(&["b", "a", "c"])]);
        assert_eq!((texts.len(), known), (3, HashSet::from([(0, 1)])));
    }
}
