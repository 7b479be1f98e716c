//! Quality of a clustering: by itself (silhouette), and against labels that are known (V-measure,
//! ARI, purity), as scikit-learn defines them.

use super::Distance;
use maana_kernels::{Context, Rows};
use std::collections::HashMap;

/// Rows counted by their two labels.
struct Table {
    rows: f64,
    cells: Vec<f64>,
    /// Each with its place in `classes` and `clusters`.
    pairs: Vec<(usize, usize)>,
    classes: Vec<f64>,
    clusters: Vec<f64>,
}

impl Table {
    fn new(truth: &[usize], found: &[usize]) -> Self {
        assert_eq!(truth.len(), found.len(), "two labels for each row");
        let mut cells: HashMap<(usize, usize), f64> = HashMap::new();
        truth.iter().zip(found).for_each(|(class, cluster)| *cells.entry((*class, *cluster)).or_default() += 1.0);
        let mut cells: Vec<((usize, usize), f64)> = cells.into_iter().collect();
        cells.sort_by_key(|(pair, _)| *pair);
        let mut table =
            Self { rows: truth.len() as f64, cells: vec![], pairs: vec![], classes: vec![], clusters: vec![] };
        let (mut classes, mut clusters) = (HashMap::new(), HashMap::new());
        for ((class, cluster), count) in cells {
            let class = place(&mut classes, class, &mut table.classes);
            let cluster = place(&mut clusters, cluster, &mut table.clusters);
            table.classes[class] += count;
            table.clusters[cluster] += count;
            table.pairs.push((class, cluster));
            table.cells.push(count);
        }
        table
    }

    fn entropy(&self, counts: &[f64]) -> f64 {
        -counts.iter().map(|count| count / self.rows * (count / self.rows).ln()).sum::<f64>()
    }
}

fn place(names: &mut HashMap<usize, usize>, name: usize, counts: &mut Vec<f64>) -> usize {
    *names.entry(name).or_insert_with(|| {
        counts.push(0.0);
        counts.len() - 1
    })
}

/// Agreement of clusters and classes, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VMeasure {
    /// Homogeneity: 1 if each cluster has rows of one class only.
    pub homogeneity: f64,
    /// Completeness: 1 if the rows of each class are in one cluster.
    pub completeness: f64,
    /// The harmonic mean of both.
    pub v_measure: f64,
}

/// Of classes that are known and clusters that were found.
pub fn v_measure(truth: &[usize], found: &[usize]) -> VMeasure {
    let table = Table::new(truth, found);
    let (classes, clusters) = (table.entropy(&table.classes), table.entropy(&table.clusters));
    let shared = |((class, cluster), count): (&(usize, usize), &f64)| {
        count / table.rows * (count * table.rows / (table.classes[*class] * table.clusters[*cluster])).ln()
    };
    let mutual: f64 = table.pairs.iter().zip(&table.cells).map(shared).sum();
    // Of one class or cluster, or none, everything is where it should be.
    let share = |entropy: f64| if entropy > 0.0 { (mutual / entropy).clamp(0.0, 1.0) } else { 1.0 };
    let (homogeneity, completeness) = (share(classes), share(clusters));
    let sum = homogeneity + completeness;
    let v_measure = if sum > 0.0 { 2.0 * homogeneity * completeness / sum } else { 0.0 };
    VMeasure { homogeneity, completeness, v_measure }
}

/// The adjusted Rand index: 1 for the same groups whatever their names, about 0 for groups by
/// chance.
pub fn adjusted_rand(truth: &[usize], found: &[usize]) -> f64 {
    let table = Table::new(truth, found);
    let pairs = |counts: &[f64]| counts.iter().map(|count| count * (count - 1.0) / 2.0).sum::<f64>();
    let (both, classes, clusters) = (pairs(&table.cells), pairs(&table.classes), pairs(&table.clusters));
    let all = table.rows * (table.rows - 1.0) / 2.0;
    let chance = if all > 0.0 { classes * clusters / all } else { 0.0 };
    let most = (classes + clusters) / 2.0;
    if most == chance { 1.0 } else { (both - chance) / (most - chance) }
}

/// The share of rows that are of the commonest class of their cluster.
pub fn purity(truth: &[usize], found: &[usize]) -> f64 {
    let table = Table::new(truth, found);
    let mut most = vec![0.0f64; table.clusters.len()];
    table.pairs.iter().zip(&table.cells).for_each(|((_, cluster), count)| most[*cluster] = most[*cluster].max(*count));
    if table.rows > 0.0 { most.iter().sum::<f64>() / table.rows } else { 1.0 }
}

/// (b − a) / max(a, b) for each row: a the mean distance to its own cluster, b that to the nearest
/// other; 0 for the only row of a cluster. Takes the square of the rows; of very many rows, hand in
/// a sample.
///
/// # Panics
/// If there is not a label for each row.
pub fn silhouettes(context: &Context, rows: Rows<'_>, labels: &[usize], distance: Distance) -> Vec<f64> {
    assert_eq!(rows.rows(), labels.len(), "a label for each row");
    let lengths = distance.lengths(rows);
    let clusters = labels.iter().max().map_or(0, |most| most + 1);
    let mut sizes = vec![0usize; clusters];
    labels.iter().for_each(|label| sizes[*label] += 1);
    let mut values = vec![0.0; rows.rows()];
    context.for_each_chunk(&mut values, 16, |task, values| {
        let mut sums = vec![0f64; clusters];
        for (place, value) in values.iter_mut().enumerate() {
            let row = task * 16 + place;
            let own = labels[row];
            if sizes[own] < 2 {
                continue;
            }
            sums.fill(0.0);
            for other in (0..rows.rows()).filter(|other| *other != row) {
                let apart = distance.with(rows.row(row), rows.row(other), lengths[row], lengths[other]);
                sums[labels[other]] += f64::from(apart);
            }
            let a = sums[own] / (sizes[own] - 1) as f64;
            let others = (0..clusters).filter(|cluster| *cluster != own && sizes[*cluster] > 0);
            let b = others.map(|cluster| sums[cluster] / sizes[cluster] as f64).fold(f64::INFINITY, f64::min);
            let greater = a.max(b);
            *value = if greater > 0.0 && b.is_finite() { (b - a) / greater } else { 0.0 };
        }
    });
    values
}

/// The mean of `silhouettes`, from −1 to 1.
pub fn silhouette(context: &Context, rows: Rows<'_>, labels: &[usize], distance: Distance) -> f64 {
    silhouettes(context, rows, labels, distance).iter().sum::<f64>() / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Golden;

    #[test]
    fn agree_with_scikit_learn() {
        let golden = Golden::read();
        let blobs = golden.matrix("/blobs");
        let (truth, guess): (Vec<usize>, Vec<usize>) = (golden.get("/labels"), golden.get("/measures/guess"));
        let close = |ours: f64, name: &str, tolerance: f64| {
            let expected: f64 = golden.get(&format!("/measures/{name}"));
            assert!((ours - expected).abs() < tolerance, "{name}: {ours} is not {expected}");
        };
        let v = v_measure(&truth, &guess);
        close(v.homogeneity, "homogeneity", 1e-12);
        close(v.completeness, "completeness", 1e-12);
        close(v.v_measure, "v_measure", 1e-12);
        close(adjusted_rand(&truth, &guess), "ari", 1e-12);
        for threads in [1, 2] {
            let of = |distance| silhouette(&Context::new(threads), blobs.view(), &guess, distance);
            close(of(Distance::Euclidean), "silhouette", 1e-6);
            close(of(Distance::Cosine), "silhouette_cosine", 1e-6);
        }
    }

    #[test]
    fn ends_of_the_scales() {
        let labels = [0, 0, 1, 1, 2];
        let renamed = [7, 7, 3, 3, 9];
        assert_eq!((adjusted_rand(&labels, &renamed), purity(&labels, &renamed)), (1.0, 1.0));
        assert!((v_measure(&labels, &renamed).v_measure - 1.0).abs() < 1e-12);
        let one = [0; 5];
        assert_eq!(v_measure(&labels, &one).homogeneity, 0.0);
        assert_eq!(v_measure(&labels, &one).completeness, 1.0);
        assert_eq!((purity(&labels, &one), adjusted_rand(&labels, &one)), (0.4, 0.0));
        assert_eq!((adjusted_rand(&[], &[]), purity(&[], &[]), v_measure(&[], &[]).v_measure), (1.0, 1.0, 1.0));
        let rows = Rows::new(&[0.0, 1.0], 2, 1, 1);
        assert_eq!(silhouettes(&Context::new(1), rows, &[0, 0], Distance::Euclidean), [0.0, 0.0]);
    }
}
