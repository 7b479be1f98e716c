//! Metrics of rankings, as in the `InformationRetrievalEvaluator` of Sentence Transformers. A
//! ranking is a list of documents, best first; embeddings and texts do not occur here.

use crate::EvalError;
use maana_data::Relevant;

/// Cutoffs of the metrics: numbers of first documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cutoffs {
    /// Accuracy: share of queries with a relevant document among the first k.
    pub accuracy: Vec<usize>,
    /// Precision: share of the first k that is relevant. Recall: share of the relevant that is
    /// among the first k.
    pub precision_recall: Vec<usize>,
    /// Mean reciprocal rank of the first relevant document, 0 if it is not among the first k.
    pub mrr: Vec<usize>,
    /// Normalised discounted cumulative gain, all gains 1.
    pub ndcg: Vec<usize>,
    /// Mean average precision.
    pub map: Vec<usize>,
}

impl Default for Cutoffs {
    /// Returns the cutoffs of the reference.
    fn default() -> Self {
        Self {
            accuracy: vec![1, 3, 5, 10],
            precision_recall: vec![1, 3, 5, 10],
            mrr: vec![10],
            ndcg: vec![10],
            map: vec![100],
        }
    }
}

impl Cutoffs {
    /// Returns the keys of the metrics in the order of the reference, for a similarity called
    /// `function` (`cosine_ndcg@10`).
    pub fn keys(&self, function: &str) -> Vec<String> {
        let measures = [
            ("accuracy", &self.accuracy),
            ("precision", &self.precision_recall),
            ("recall", &self.precision_recall),
            ("ndcg", &self.ndcg),
            ("mrr", &self.mrr),
            ("map", &self.map),
        ];
        let keys = |(measure, cutoffs): (&str, &Vec<usize>)| -> Vec<String> {
            cutoffs.iter().map(|k| format!("{function}_{measure}@{k}")).collect()
        };
        measures.into_iter().flat_map(keys).collect()
    }

    /// Returns the greatest cutoff.
    pub(crate) fn deepest(&self) -> usize {
        self.lists().iter().flat_map(|(_, cutoffs)| cutoffs.iter()).copied().max().unwrap_or(0)
    }

    /// Checks that every cutoff is valid and occurs once.
    pub(crate) fn check(&self) -> Result<(), EvalError> {
        for (setting, cutoffs) in self.lists() {
            let error = |reason| EvalError::Setting { setting, reason };
            if cutoffs.contains(&0) {
                return Err(error("a cutoff of 0 is empty; cutoffs begin at 1".into()));
            }
            for (index, cutoff) in cutoffs.iter().enumerate() {
                if cutoffs[..index].contains(cutoff) {
                    return Err(error(format!("the cutoff {cutoff} occurs twice")));
                }
            }
        }
        Ok(())
    }

    fn lists(&self) -> [(&'static str, &Vec<usize>); 5] {
        [
            ("accuracy", &self.accuracy),
            ("precision and recall", &self.precision_recall),
            ("mrr", &self.mrr),
            ("ndcg", &self.ndcg),
            ("map", &self.map),
        ]
    }
}

/// Returns the mean of every metric over the queries, with keys like `ndcg@10` behind `prefix`, in
/// the order of the reference: accuracy, precision, recall, nDCG, MRR, MAP. `rankings[i]` (up to
/// the greatest cutoff, or the whole corpus) and `relevant[i]`, which is not empty, belong to query
/// `i`.
pub fn measures_of_rankings(
    prefix: &str,
    rankings: &[Vec<usize>],
    relevant: &[&Relevant],
    cutoffs: &Cutoffs,
) -> Vec<(String, f64)> {
    assert_eq!(rankings.len(), relevant.len(), "{} rankings for {} queries", rankings.len(), relevant.len());
    let judged = judge(rankings, relevant);
    let mut values = Vec::new();
    let mut add = |measure: &str, cutoffs: &[usize], of: &dyn Fn(&Judged, usize) -> f64| {
        for &k in cutoffs {
            let sum: f64 = judged.iter().map(|query| of(query, k)).sum();
            values.push((format!("{prefix}{measure}@{k}"), sum / judged.len() as f64));
        }
    };
    add("accuracy", &cutoffs.accuracy, &Judged::accuracy);
    add("precision", &cutoffs.precision_recall, &Judged::precision);
    add("recall", &cutoffs.precision_recall, &Judged::recall);
    add("ndcg", &cutoffs.ndcg, &Judged::ndcg);
    add("mrr", &cutoffs.mrr, &Judged::reciprocal_rank);
    add("map", &cutoffs.map, &Judged::average_precision);
    values
}

/// Returns nDCG at `k` of each query.
pub(crate) fn ndcg_of_each(rankings: &[Vec<usize>], relevant: &[&Relevant], k: usize) -> Vec<f64> {
    judge(rankings, relevant).iter().map(|query| query.ndcg(k)).collect()
}

/// Returns the average precision at `k` of each query.
pub(crate) fn average_precision_of_each(rankings: &[Vec<usize>], relevant: &[&Relevant], k: usize) -> Vec<f64> {
    judge(rankings, relevant).iter().map(|query| query.average_precision(k)).collect()
}

fn judge(rankings: &[Vec<usize>], relevant: &[&Relevant]) -> Vec<Judged> {
    rankings.iter().zip(relevant).map(|(ranking, relevant)| Judged::new(ranking, relevant)).collect()
}

/// A ranking as the metrics need it.
struct Judged {
    /// Ranks of the relevant documents, from 1, ascending.
    ranks: Vec<usize>,
    /// Number of relevant documents, in the ranking or not.
    relevant: usize,
}

impl Judged {
    fn new(ranking: &[usize], relevant: &Relevant) -> Self {
        let is_hit = |document: &usize| relevant.documents.binary_search(document).is_ok();
        let ranks = ranking.iter().enumerate().filter(|(_, document)| is_hit(document)).map(|(index, _)| index + 1);
        Self { ranks: ranks.collect(), relevant: relevant.count() }
    }

    fn hits(&self, k: usize) -> usize {
        self.ranks.partition_point(|&rank| rank <= k)
    }

    fn accuracy(&self, k: usize) -> f64 {
        if self.hits(k) > 0 { 1.0 } else { 0.0 }
    }

    fn precision(&self, k: usize) -> f64 {
        self.hits(k) as f64 / k as f64
    }

    fn recall(&self, k: usize) -> f64 {
        self.hits(k) as f64 / self.relevant as f64
    }

    fn reciprocal_rank(&self, k: usize) -> f64 {
        self.ranks.first().filter(|&&rank| rank <= k).map_or(0.0, |&rank| 1.0 / rank as f64)
    }

    fn ndcg(&self, k: usize) -> f64 {
        let gain = |rank: usize| 1.0 / ((rank + 1) as f64).log2();
        let ideal: f64 = (1..=self.relevant.min(k)).map(gain).sum();
        self.ranks[..self.hits(k)].iter().copied().map(gain).sum::<f64>() / ideal
    }

    fn average_precision(&self, k: usize) -> f64 {
        let precisions =
            self.ranks[..self.hits(k)].iter().enumerate().map(|(before, &rank)| (before + 1) as f64 / rank as f64);
        precisions.sum::<f64>() / self.relevant.min(k) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn relevant(documents: &[usize], absent: usize) -> Relevant {
        Relevant { documents: documents.to_vec(), absent }
    }

    fn value(values: &[(String, f64)], key: &str) -> f64 {
        values.iter().find(|(name, _)| name == key).unwrap_or_else(|| panic!("no {key}")).1
    }

    #[test]
    fn metrics_equal_manual_results() {
        // Relevant documents at ranks 2 and 4, and one outside the corpus.
        let values =
            measures_of_rankings("cosine_", &[vec![7, 1, 8, 2, 9]], &[&relevant(&[1, 2], 1)], &Cutoffs::default());
        let expected = [
            ("cosine_accuracy@1", 0.0),
            ("cosine_accuracy@3", 1.0),
            ("cosine_precision@3", 1.0 / 3.0),
            ("cosine_precision@10", 0.2),
            ("cosine_recall@3", 1.0 / 3.0),
            ("cosine_recall@10", 2.0 / 3.0),
            ("cosine_mrr@10", 0.5),
            ("cosine_map@100", (0.5 + 0.5) / 3.0),
        ];
        for (key, expected) in expected {
            assert!((value(&values, key) - expected).abs() < 1e-12, "{key}: {} for {expected}", value(&values, key));
        }
        let ideal = 1.0 + 1.0 / 3f64.log2() + 0.5;
        assert!((value(&values, "cosine_ndcg@10") - (1.0 / 3f64.log2() + 1.0 / 5f64.log2()) / ideal).abs() < 1e-12);
    }

    #[test]
    fn keys_have_the_order_of_the_reference() {
        let values = measures_of_rankings("dot_", &[vec![0]], &[&relevant(&[0], 0)], &Cutoffs::default());
        let keys: Vec<&str> = values.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys[..5],
            ["dot_accuracy@1", "dot_accuracy@3", "dot_accuracy@5", "dot_accuracy@10", "dot_precision@1"]
        );
        assert_eq!(
            keys[8..],
            [
                "dot_recall@1",
                "dot_recall@3",
                "dot_recall@5",
                "dot_recall@10",
                "dot_ndcg@10",
                "dot_mrr@10",
                "dot_map@100"
            ]
        );
        assert!(values.iter().all(|(key, value)| *value == 1.0 || key.contains("precision")));
    }

    #[test]
    fn invalid_cutoffs_are_named() {
        let zero = Cutoffs { ndcg: vec![0], ..Cutoffs::default() }.check().unwrap_err().to_string();
        assert!(zero.contains("ndcg") && zero.contains("begin at 1"), "{zero}");
        let twice = Cutoffs { accuracy: vec![1, 5, 1], ..Cutoffs::default() }.check().unwrap_err().to_string();
        assert!(twice.contains("accuracy") && twice.contains("twice"), "{twice}");
    }

    proptest! {
        /// Checks the relations between metrics of queries with one relevant document each.
        #[test]
        fn one_relevant_document_each(ranks in prop::collection::vec(0usize..150, 1..40)) {
            let rankings: Vec<Vec<usize>> = ranks.iter().map(|&rank| {
                let mut ranking: Vec<usize> = (1..=100).collect();
                if rank < 100 { ranking[rank] = 0; }
                ranking
            }).collect();
            let only = relevant(&[0], 0);
            let values = measures_of_rankings("cosine_", &rankings, &vec![&only; ranks.len()], &Cutoffs { mrr: vec![10, 100], ..Cutoffs::default() });
            for k in [1, 3, 5, 10] {
                let [accuracy, recall, precision] =
                    ["accuracy", "recall", "precision"].map(|name| value(&values, &format!("cosine_{name}@{k}")));
                prop_assert!((recall - accuracy).abs() < 1e-12);
                prop_assert!((precision - accuracy / k as f64).abs() < 1e-12);
            }
            let map = value(&values, "cosine_map@100");
            prop_assert!((value(&values, "cosine_mrr@100") - map).abs() < 1e-12, "average precision is 1/rank");
            prop_assert!(value(&values, "cosine_mrr@10") <= map + 1e-12);
            let ndcg: f64 = ranks.iter().filter(|&&rank| rank < 10).map(|&rank| 1.0 / ((rank + 2) as f64).log2()).sum();
            prop_assert!((value(&values, "cosine_ndcg@10") - ndcg / ranks.len() as f64).abs() < 1e-12);
        }

        /// Checks that every metric is in [0, 1], and that those that count hits grow with the
        /// cutoff.
        #[test]
        fn bounds(ranking in Just((0usize..30).collect::<Vec<_>>()).prop_shuffle(), hits in prop::collection::btree_set(0usize..30, 1..12), absent in 0usize..3) {
            let relevant = relevant(&hits.into_iter().collect::<Vec<_>>(), absent);
            let values = measures_of_rankings("cosine_", &[ranking], &[&relevant], &Cutoffs::default());
            for (key, value) in &values {
                prop_assert!((0.0..=1.0).contains(value), "{} is {}", key, value);
            }
            for name in ["accuracy", "recall"] {
                let of = |k: usize| value(&values, &format!("cosine_{name}@{k}"));
                prop_assert!(of(1) <= of(3) && of(3) <= of(5) && of(5) <= of(10));
            }
        }
    }
}
