//! Evaluation of scores of pairs, which a cross-encoder gives. Names and formulas are those of
//! Sentence Transformers 6.2 (`CrossEncoderRerankingEvaluator`,
//! `CrossEncoderClassificationEvaluator`, `CrossEncoderCorrelationEvaluator`), SciPy and
//! scikit-learn.

use crate::pairs::{add_list, average_precision, best_accuracy, best_f1, means_of_lists, pearson, ranks};

/// Returns `pearson` and `spearman`, the correlations of scores of pairs with `expected` ones.
pub fn correlation(scores: &[f32], expected: &[f64]) -> Vec<(String, f64)> {
    let scores: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
    vec![
        ("pearson".into(), pearson(expected, &scores)),
        ("spearman".into(), pearson(&ranks(expected), &ranks(&scores))),
    ]
}

/// Evaluates thresholds that separate pairs that are `alike` from others: accuracy, F1 with
/// precision and recall, both with the threshold, and average precision.
pub fn binary_classification(scores: &[f32], alike: &[bool]) -> Vec<(String, f64)> {
    let accuracy = best_accuracy(scores, alike);
    let f1 = best_f1(scores, alike);
    let precise: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
    let values = [
        ("accuracy", accuracy.0),
        ("accuracy_threshold", accuracy.1),
        ("f1", f1.f1),
        ("f1_threshold", f1.threshold),
        ("precision", f1.precision),
        ("recall", f1.recall),
        ("average_precision", average_precision(&precise, alike)),
    ];
    values.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Returns the F1 of classes: `f1_macro`, the mean over the classes that occur or were found;
/// `f1_micro`, that of all pairs together, the accuracy; and `f1_weighted`, the mean weighted by
/// the pairs of each class.
pub fn classification(found: &[usize], expected: &[usize]) -> Vec<(String, f64)> {
    assert_eq!(found.len(), expected.len(), "a class for each pair");
    let classes = found.iter().chain(expected).max().map_or(0, |last| last + 1);
    let count = |of: &[usize], class: usize| of.iter().filter(|other| **other == class).count() as f64;
    let (mut macro_sum, mut weighted_sum, mut present) = (0.0, 0.0, 0.0);
    for class in 0..classes {
        let (named, real) = (count(found, class), count(expected, class));
        if named + real == 0.0 {
            continue;
        }
        let right = found.iter().zip(expected).filter(|(a, b)| **a == class && **b == class).count() as f64;
        let f1 = 2.0 * right / (named + real);
        present += 1.0;
        macro_sum += f1;
        weighted_sum += f1 * real;
    }
    let right = found.iter().zip(expected).filter(|(a, b)| a == b).count() as f64;
    let pairs = expected.len() as f64;
    vec![
        ("f1_macro".into(), macro_sum / present),
        ("f1_micro".into(), right / pairs),
        ("f1_weighted".into(), weighted_sum / pairs),
    ]
}

/// The scores of a query's candidates, and which are relevant.
#[derive(Clone, Copy, Debug)]
pub struct ScoredList<'a> {
    /// Scores of the candidates.
    pub scores: &'a [f32],
    /// True for relevant candidates.
    pub relevant: &'a [bool],
}

/// Returns MAP, MRR@k and nDCG@k of lists in the order of their scores. A list without relevant
/// candidates counts with 0. Of equal scores the last candidate is first, as in the reference.
pub fn reranking_of_scores<'a>(lists: impl IntoIterator<Item = ScoredList<'a>>, k: usize) -> Vec<(String, f64)> {
    let (mut sums, mut count) = ([0.0; 3], 0.0);
    for ScoredList { scores, relevant } in lists {
        count += 1.0;
        if !relevant.contains(&true) {
            continue;
        }
        let scores: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(b.cmp(a)));
        add_list(&mut sums, &scores, relevant, &order, k);
    }
    means_of_lists(sums, count, k)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(values: &[(String, f64)], key: &str) -> f64 {
        values.iter().find(|(name, _)| name == key).unwrap().1
    }

    #[test]
    fn classes_have_the_f1_of_scikit_learn() {
        // f1_score([0, 1, 2, 2, 1, 0], [0, 2, 2, 2, 1, 1], average=…)
        let values = classification(&[0, 2, 2, 2, 1, 1], &[0, 1, 2, 2, 1, 0]);
        assert!((get(&values, "f1_macro") - (2.0 / 3.0 + 0.5 + 0.8) / 3.0).abs() < 1e-12);
        assert!((get(&values, "f1_micro") - 4.0 / 6.0).abs() < 1e-12);
        assert!((get(&values, "f1_weighted") - (2.0 / 3.0 + 0.5 + 0.8) / 3.0).abs() < 1e-12);
        let never = classification(&[0, 0], &[0, 3]);
        assert!((get(&never, "f1_macro") - (2.0 / 3.0) / 2.0).abs() < 1e-12, "classes that do not occur do not count");
    }

    #[test]
    fn equal_scores_favour_no_relevant_candidate() {
        let list = ScoredList { scores: &[0.5, 0.5], relevant: &[true, false] };
        let values = reranking_of_scores([list], 10);
        assert_eq!(get(&values, "mrr@10"), 0.5);
        let none = ScoredList { scores: &[0.5, 0.1], relevant: &[false, false] };
        let values = reranking_of_scores([ScoredList { scores: &[0.5, 0.1], relevant: &[true, false] }, none], 10);
        assert_eq!((get(&values, "map"), get(&values, "ndcg@10")), (0.5, 0.5), "a list without relevant ones counts");
    }
}
