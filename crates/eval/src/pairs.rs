//! Evaluation of pairs, triplets and lists with known answers. Names and formulas are those of
//! Sentence Transformers 6.2 (`EmbeddingSimilarityEvaluator`, `BinaryClassificationEvaluator`,
//! `TripletEvaluator`, `RerankingEvaluator`), SciPy and scikit-learn. Inputs are embeddings; a
//! dimension is a prefix of them.

use maana_kernels::{Context, Rows, matmul_transposed, normalized};
use maana_model::Similarity;
use maana_vectors::search::Metric;
use std::collections::HashMap;

/// Returns the metric of a model's similarity, whose name keys have.
pub fn metric(similarity: Similarity) -> Metric {
    match similarity {
        Similarity::Cosine => Metric::Cosine,
        Similarity::Dot => Metric::Dot,
        Similarity::Euclidean => Metric::Euclidean,
        Similarity::Manhattan => Metric::Manhattan,
    }
}

/// All similarities in the order of the reference's tables.
pub const SIMILARITIES: [Similarity; 4] =
    [Similarity::Cosine, Similarity::Euclidean, Similarity::Manhattan, Similarity::Dot];

fn of_pairs(kind: Similarity, a: Rows<'_>, b: Rows<'_>) -> Vec<f32> {
    assert_eq!((a.rows(), a.columns()), (b.rows(), b.columns()), "pairs of embeddings");
    (0..a.rows()).map(|row| metric(kind).score(a.row(row), b.row(row))).collect()
}

/// Returns Pearson's and Spearman's correlation of each of the similarities `kinds` with human
/// `scores`: `pearson_cosine`, `spearman_cosine`, …, and of several the maximum. A correlation with
/// constant values is NaN.
pub fn semantic_similarity(kinds: &[Similarity], a: Rows<'_>, b: Rows<'_>, scores: &[f64]) -> Vec<(String, f64)> {
    let mut values = Vec::new();
    let mut greatest = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let ranks_of_scores = ranks(scores);
    for &kind in kinds {
        let name = metric(kind).name();
        let found: Vec<f64> = of_pairs(kind, a, b).into_iter().map(f64::from).collect();
        let correlations = (pearson(&found, scores), pearson(&ranks(&found), &ranks_of_scores));
        values.push((format!("pearson_{name}"), correlations.0));
        values.push((format!("spearman_{name}"), correlations.1));
        greatest = (greatest.0.max(correlations.0), greatest.1.max(correlations.1));
    }
    if kinds.len() > 1 {
        values.push(("pearson_max".into(), greatest.0));
        values.push(("spearman_max".into(), greatest.1));
    }
    values
}

/// Returns Pearson's correlation.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "pairs of numbers");
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut both, mut of_x, mut of_y) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        both += (x - mean_x) * (y - mean_y);
        of_x += (x - mean_x).powi(2);
        of_y += (y - mean_y).powi(2);
    }
    both / (of_x.sqrt() * of_y.sqrt())
}

/// Returns the rank of each value from 1; equal values share their mean rank.
pub(crate) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = start as f64 + (group.len() as f64 + 1.0) / 2.0;
        group.iter().for_each(|index| ranks[*index] = rank);
        start += group.len();
    }
    ranks
}

/// Evaluates thresholds that separate pairs that are `alike` from others, for each of the
/// similarities `kinds`: accuracy, F1 with precision and recall, average precision and Matthews'
/// correlation, with the thresholds.
pub fn pair_classification(kinds: &[Similarity], a: Rows<'_>, b: Rows<'_>, alike: &[bool]) -> Vec<(String, f64)> {
    let mut values = Vec::new();
    for &kind in kinds {
        let name = metric(kind).name();
        let found = of_pairs(kind, a, b);
        // Thresholds of negated distances are reported as distances.
        let sign = if matches!(kind, Similarity::Cosine | Similarity::Dot) { 1.0 } else { -1.0 };
        let accuracy = best_accuracy(&found, alike);
        let f1 = best_f1(&found, alike);
        let scores: Vec<f64> = found.iter().map(|score| f64::from(*score)).collect();
        let named = |key: &str, value: f64| (format!("{name}_{key}"), value);
        values.extend([
            named("accuracy", accuracy.0),
            named("accuracy_threshold", sign * accuracy.1),
            named("f1", f1.f1),
            named("f1_threshold", sign * f1.threshold),
            named("precision", f1.precision),
            named("recall", f1.recall),
            named("ap", average_precision(&scores, alike)),
            named("mcc", matthews(&found, alike, f1.threshold as f32)),
        ]);
    }
    values
}

/// Returns scores in descending order, each with its truth.
fn descending(scores: &[f32], alike: &[bool]) -> Vec<(f32, bool)> {
    assert_eq!(scores.len(), alike.len(), "one truth per score");
    let mut rows: Vec<(f32, bool)> = scores.iter().copied().zip(alike.iter().copied()).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    rows
}

/// Returns a threshold between two scores that is never the lower one, even after rounding.
fn between(score: f32, next: Option<&(f32, bool)>) -> f32 {
    let Some((next, _)) = next else { return score };
    let middle = (score + next) / 2.0;
    if middle == *next { score } else { middle }
}

pub(crate) fn best_accuracy(scores: &[f32], alike: &[bool]) -> (f64, f64) {
    let rows = descending(scores, alike);
    let Some((first, _)) = rows.first() else { return (0.0, -1.0) };
    let mut negatives = rows.iter().filter(|(_, alike)| !alike).count();
    let mut positives = 0;
    let count = rows.len() as f64;
    let mut best = (negatives as f64 / count, f64::from(first.next_up()));
    for (index, (score, alike)) in rows.iter().enumerate() {
        if *alike {
            positives += 1
        } else {
            negatives -= 1
        }
        let next = rows.get(index + 1);
        if next.is_some_and(|(next, _)| next == score) {
            continue;
        }
        let accuracy = (positives + negatives) as f64 / count;
        if accuracy > best.0 {
            best = (accuracy, f64::from(between(*score, next)));
        }
    }
    best
}

#[derive(Default)]
pub(crate) struct BestF1 {
    pub(crate) f1: f64,
    pub(crate) precision: f64,
    pub(crate) recall: f64,
    pub(crate) threshold: f64,
}

pub(crate) fn best_f1(scores: &[f32], alike: &[bool]) -> BestF1 {
    let rows = descending(scores, alike);
    let all = alike.iter().filter(|alike| **alike).count() as f64;
    let mut right = 0.0;
    let mut best = BestF1::default();
    for (index, (score, alike)) in rows.iter().enumerate() {
        right += f64::from(u8::from(*alike));
        let next = rows.get(index + 1);
        if right == 0.0 || next.is_some_and(|(next, _)| next == score) {
            continue;
        }
        let (precision, recall) = (right / (index + 1) as f64, right / all);
        let f1 = 2.0 * precision * recall / (precision + recall);
        if f1 > best.f1 {
            best = BestF1 { f1, precision, recall, threshold: f64::from(between(*score, next)) };
        }
    }
    best
}

/// Returns the average precision as in scikit-learn: Σ (recall − previous recall) · precision over
/// thresholds.
pub fn average_precision(scores: &[f64], relevant: &[bool]) -> f64 {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(relevant.iter().copied()).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = relevant.iter().filter(|relevant| **relevant).count() as f64;
    let (mut seen, mut right, mut sum) = (0.0, 0.0, 0.0);
    for group in rows.chunk_by(|a, b| a.0 == b.0) {
        let new = group.iter().filter(|(_, relevant)| *relevant).count() as f64;
        seen += group.len() as f64;
        right += new;
        sum += new / all * right / seen;
    }
    if all > 0.0 { sum } else { 0.0 }
}

fn matthews(scores: &[f32], alike: &[bool], threshold: f32) -> f64 {
    let mut counts = [[0.0f64; 2]; 2];
    for (score, alike) in scores.iter().zip(alike) {
        counts[usize::from(*alike)][usize::from(*score >= threshold)] += 1.0;
    }
    let [[tn, fp], [fn_, tp]] = counts;
    let root = ((tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_)).sqrt();
    if root > 0.0 { (tp * tn - fp * fn_) / root } else { 0.0 }
}

/// Returns the share of triplets whose positive is nearer to the anchor than the negative, for each
/// of the similarities `kinds`, and of several the maximum.
pub fn triplets(
    kinds: &[Similarity],
    anchors: Rows<'_>,
    positives: Rows<'_>,
    negatives: Rows<'_>,
) -> Vec<(String, f64)> {
    let of = |kind| {
        let near = of_pairs(kind, anchors, positives);
        let far = of_pairs(kind, anchors, negatives);
        near.iter().zip(&far).filter(|(near, far)| near > far).count() as f64 / near.len() as f64
    };
    let mut values: Vec<(String, f64)> =
        kinds.iter().map(|&kind| (format!("{}_accuracy", metric(kind).name()), of(kind))).collect();
    if kinds.len() > 1 {
        let greatest = values.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
        values.push(("max_accuracy".into(), greatest));
    }
    values
}

/// A query's candidates in a list of embeddings: relevant ones first, then others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Number of relevant candidates.
    pub positives: usize,
    /// Number of other candidates.
    pub negatives: usize,
}

/// Returns MAP, MRR@k and nDCG@k of candidates ordered by similarity with their query. Queries with
/// only relevant or only other candidates are skipped.
pub fn reranking(
    kind: Similarity,
    queries: Rows<'_>,
    documents: Rows<'_>,
    candidates: &[Candidates],
    k: usize,
) -> Vec<(String, f64)> {
    assert_eq!(queries.rows(), candidates.len(), "candidates of each query");
    let (mut start, mut counted) = (0, 0.0);
    let mut sums = [0.0; 3];
    for (query, candidates) in candidates.iter().enumerate() {
        let count = candidates.positives + candidates.negatives;
        let rows = start..start + count;
        start += count;
        if candidates.positives == 0 || candidates.negatives == 0 {
            continue;
        }
        counted += 1.0;
        let scores: Vec<f64> =
            rows.map(|row| f64::from(metric(kind).score(queries.row(query), documents.row(row)))).collect();
        let relevant: Vec<bool> = (0..count).map(|index| index < candidates.positives).collect();
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        add_list(&mut sums, &scores, &relevant, &order, k);
    }
    means_of_lists(sums, counted, k)
}

/// Adds average precision, MRR@k and nDCG@k of candidates to sums; `order` is the one in which MRR
/// counts them.
pub(crate) fn add_list(sums: &mut [f64; 3], scores: &[f64], relevant: &[bool], order: &[usize], k: usize) {
    let first = order.iter().take(k).position(|index| relevant[*index]);
    sums[0] += average_precision(scores, relevant);
    sums[1] += first.map_or(0.0, |index| 1.0 / (index + 1) as f64);
    sums[2] += ndcg(scores, relevant, k);
}

/// Returns MAP, MRR@k and nDCG@k of `lists` lists with their names; not numbers without lists.
pub(crate) fn means_of_lists(sums: [f64; 3], lists: f64, k: usize) -> Vec<(String, f64)> {
    let names = ["map".into(), format!("mrr@{k}"), format!("ndcg@{k}")];
    names.into_iter().zip(sums.map(|sum| sum / lists)).collect()
}

/// Returns nDCG at `k` as scikit-learn's `ndcg_score`: candidates of equal score share their ranks.
fn ndcg(scores: &[f64], relevant: &[bool], k: usize) -> f64 {
    let discount = |index: usize| if index < k { 1.0 / ((index + 2) as f64).log2() } else { 0.0 };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (mut gained, mut index) = (0.0, 0);
    for group in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let share = group.iter().filter(|index| relevant[**index]).count() as f64 / group.len() as f64;
        gained += (index..index + group.len()).map(discount).sum::<f64>() * share;
        index += group.len();
    }
    let ideal: f64 = (0..relevant.iter().filter(|relevant| **relevant).count()).map(discount).sum();
    if ideal > 0.0 { gained / ideal } else { 0.0 }
}

/// Compares mined pairs (score, first, second), best first, with known pairs: average precision,
/// and the best F1 with its precision, recall and threshold.
pub fn paraphrase_mining(
    mined: &[(f32, usize, usize)],
    known: &std::collections::HashSet<(usize, usize)>,
) -> Vec<(String, f64)> {
    let all = known.len() as f64;
    let (mut right, mut before) = (0.0, 0.0);
    let mut best = BestF1::default();
    let mut sum = 0.0;
    for (index, (score, first, second)) in mined.iter().enumerate() {
        right += f64::from(u8::from(known.contains(&(*first.min(second), *first.max(second)))));
        let next = mined.get(index + 1);
        if next.is_some_and(|(next, ..)| next == score) {
            continue;
        }
        if right > before {
            let (precision, recall) = (right / (index + 1) as f64, right / all);
            let f1 = 2.0 * precision * recall / (precision + recall);
            sum += precision * (right - before);
            if f1 > best.f1 {
                let threshold = f64::from((score + next.map_or(*score, |(next, ..)| *next)) / 2.0);
                best = BestF1 { f1, precision, recall, threshold };
            }
        }
        before = right;
    }
    let average = if all > 0.0 { sum / all } else { 0.0 };
    let values = [
        ("average_precision", average),
        ("f1", best.f1),
        ("precision", best.precision),
        ("recall", best.recall),
        ("threshold", best.threshold),
    ];
    values.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Returns the share of texts whose nearest text on the other side, by cosine, is their
/// translation; equal rows of source and target belong together. Of equal cosines the first counts,
/// and a text equal to the right one is right. `f1` is that of MTEB's mining of translations:
/// scikit-learn's weighted mean over the targets.
pub fn translation<T: AsRef<str>>(
    context: &Context,
    source: Rows<'_>,
    target: Rows<'_>,
    sources: &[T],
    targets: &[T],
) -> Vec<(String, f64)> {
    assert_eq!((source.rows(), target.rows()), (sources.len(), targets.len()), "one text per embedding");
    let (source, target) = (normalized(context, source), normalized(context, target));
    let sources: Vec<&str> = sources.iter().map(AsRef::as_ref).collect();
    let targets: Vec<&str> = targets.iter().map(AsRef::as_ref).collect();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let accuracy = |named: &[usize], texts: &[&str]| {
        mean(named.iter().enumerate().map(|(row, named)| f64::from(texts[*named] == texts[row])).collect())
    };
    let f1 = |named: &[usize], texts: &[&str]| {
        let mut times: HashMap<&str, (f64, f64)> = HashMap::new();
        for (row, named) in named.iter().enumerate() {
            times.entry(texts[row]).or_default().0 += 1.0;
            times.entry(texts[*named]).or_default().1 += 1.0;
        }
        let one = |(row, named): (usize, &usize)| {
            let (expected, predicted) = times[texts[row]];
            if texts[*named] == texts[row] { 2.0 * expected / (expected + predicted) } else { 0.0 }
        };
        mean(named.iter().enumerate().map(one).collect())
    };
    let (forward, backward) =
        (nearest(context, source.view(), target.view()), nearest(context, target.view(), source.view()));
    let (there, back) = (accuracy(&forward, &targets), accuracy(&backward, &sources));
    vec![
        ("src2trg_accuracy".into(), there),
        ("trg2src_accuracy".into(), back),
        ("mean_accuracy".into(), (there + back) / 2.0),
        ("src2trg_f1".into(), f1(&forward, &targets)),
        ("trg2src_f1".into(), f1(&backward, &sources)),
    ]
}

/// Rows per tile of products.
const TILE: usize = 256;

/// Returns for each row of `from` the row of `to` with the greatest product, of equal ones the
/// first.
fn nearest(context: &Context, from: Rows<'_>, to: Rows<'_>) -> Vec<usize> {
    let mut found = vec![0; from.rows()];
    let mut products = Vec::new();
    for (number, found) in found.chunks_mut(TILE).enumerate() {
        let start = number * TILE;
        products.resize(found.len() * to.rows(), 0.0);
        matmul_transposed(context, from.range(start..start + found.len()), to, &mut products, false);
        context.for_each_chunk(found, 1, |row, nearest| {
            let products = &products[row * to.rows()..(row + 1) * to.rows()];
            let best = products.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (other, &product)| {
                if product > best.1 { (other, product) } else { best }
            });
            nearest[0] = best.0;
        });
    }
    found
}

#[cfg(test)]
mod tests;
