//! k-means: k-means++ (Arthur & Vassilvitskii 2007, the greedy form), then Lloyd's steps until
//! nothing moves.

use super::copies::{copies, distinct};
use crate::error::{VectorsError, check_finite};
use crate::random::Random;
use crate::search::norms;
use maana_kernels::{Context, Matrix, Rows, matmul_transposed, squared_distance};

/// Settings of the search for clusters.
#[derive(Clone, Copy, Debug)]
pub struct KMeans {
    /// Clusters; fewer are found where fewer rows are different.
    pub k: usize,
    /// Normalises rows and centres to length 1, for clusters of direction.
    pub spherical: bool,
    /// The most steps of one start.
    pub iterations: usize,
    /// Ends when the centres' squared movement falls below this share of the columns' mean
    /// variance.
    pub tolerance: f64,
    /// Starts, of which the best is given.
    pub starts: usize,
    /// Seed of the first centres.
    pub seed: u64,
}

impl Default for KMeans {
    fn default() -> Self {
        Self { k: 8, spherical: false, iterations: 300, tolerance: 1e-4, starts: 3, seed: 0 }
    }
}

/// Clusters that were found.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// The cluster of each row. No cluster is empty, and equal rows are in one.
    pub labels: Vec<usize>,
    /// The mean of each cluster (of length 1 if spherical). `(clusters, columns)`
    pub centres: Matrix,
    /// Σ of squared distances to the own centre.
    pub inertia: f64,
}

impl Clusters {
    /// Rows of a cluster, nearest to the centre first.
    pub fn central(&self, rows: Rows<'_>, cluster: usize) -> Vec<usize> {
        let centre = self.centres.row(cluster);
        let members = (0..rows.rows()).filter(|row| self.labels[*row] == cluster);
        let mut members: Vec<(f32, usize)> =
            members.map(|row| (squared_distance(rows.row(row), centre), row)).collect();
        members.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        members.into_iter().map(|(_, row)| row).collect()
    }
}

/// Rows of a task.
const BLOCK: usize = 512;

/// Finds clusters: `k` of them, or as many as there are different rows, where those are fewer.
///
/// ```
/// use maana_kernels::{Context, Rows};
/// use maana_vectors::cluster::{KMeans, kmeans};
///
/// let rows = Rows::new(&[0.0, 0.1, 5.0, 5.1], 4, 1, 1);
/// let clusters = kmeans(&Context::new(1), rows, &KMeans { k: 2, ..KMeans::default() }).unwrap();
/// assert!(clusters.labels[0] == clusters.labels[1] && clusters.labels[1] != clusters.labels[2]);
/// ```
///
/// # Errors
/// Fewer rows than clusters, no clusters, or values that are not finite.
pub fn kmeans(context: &Context, rows: Rows<'_>, settings: &KMeans) -> Result<Clusters, VectorsError> {
    check_finite(rows)?;
    if settings.k == 0 {
        return Err(VectorsError::setting("k", "at least one cluster is needed"));
    }
    super::check_groups(settings.k, rows.rows())?;
    let unit = settings.spherical.then(|| maana_kernels::normalized(context, rows));
    let rows = unit.as_ref().map_or(rows, Matrix::view);
    let first_of = copies(rows);
    let settings = &KMeans { k: settings.k.min(distinct(&first_of)), ..*settings };
    let lengths = norms(rows);
    let tolerance = settings.tolerance * mean_variance(rows);
    let mut best: Option<Clusters> = None;
    for start in 0..settings.starts.max(1) {
        let mut random = Random::new(settings.seed.wrapping_add(start as u64));
        let centres = plus_plus(context, rows, settings.k, &mut random);
        let found = lloyd(context, rows, &lengths, centres, settings, tolerance);
        if best.as_ref().is_none_or(|best| found.inertia < best.inertia) {
            best = Some(found);
        }
    }
    let found = best.expect("there was one start at least");
    Ok(together(context, rows, found, &first_of, settings.spherical))
}

/// Brings equal rows into the cluster of the first of them. An empty cluster that was given a row
/// may have been given a copy.
fn together(context: &Context, rows: Rows<'_>, found: Clusters, first_of: &[usize], spherical: bool) -> Clusters {
    let labels: Vec<usize> = first_of.iter().map(|first| found.labels[*first]).collect();
    if labels == found.labels {
        return found;
    }
    let mut names = std::collections::BTreeMap::new();
    labels.iter().for_each(|label| {
        names.insert(*label, 0);
    });
    names.values_mut().enumerate().for_each(|(number, name)| *name = number);
    let labels: Vec<usize> = labels.iter().map(|label| names[label]).collect();
    let assigned: Vec<(usize, f32)> = labels.iter().map(|label| (*label, 0.0)).collect();
    let centres = means(context, rows, &assigned, names.len(), spherical);
    let inertia = inertia(rows, &labels, &centres);
    Clusters { labels, inertia, centres }
}

/// Σ of squared distances to the own centre.
fn inertia(rows: Rows<'_>, labels: &[usize], centres: &Matrix) -> f64 {
    let distance = |(row, label): (usize, &usize)| f64::from(squared_distance(rows.row(row), centres.row(*label)));
    labels.iter().enumerate().map(distance).sum()
}

fn mean_variance(rows: Rows<'_>) -> f64 {
    let n = rows.rows() as f64;
    let column = |column: usize| {
        let values = || (0..rows.rows()).map(|row| f64::from(rows.row(row)[column]));
        let mean = values().sum::<f64>() / n;
        values().map(|value| (value - mean).powi(2)).sum::<f64>() / n
    };
    (0..rows.columns()).map(column).sum::<f64>() / rows.columns().max(1) as f64
}

/// Centres far from each other: each is drawn by the squared distance to those before, a few times,
/// and the best is taken.
fn plus_plus(context: &Context, rows: Rows<'_>, k: usize, random: &mut Random) -> Matrix {
    let n = rows.rows();
    let mut centres = Matrix::zeros(k, rows.columns());
    centres.row_mut(0).copy_from_slice(rows.row(random.below(n)));
    let mut nearest = vec![f32::INFINITY; n];
    closer(context, rows, centres.row(0), &mut nearest);
    let trials = 2 + (k as f64).ln() as usize;
    for number in 1..k {
        let total: f64 = nearest.iter().map(|distance| f64::from(*distance)).sum();
        let mut best: Option<(f64, usize, Vec<f32>)> = None;
        for _ in 0..trials {
            let row = draw(&nearest, random.unit() * total).unwrap_or_else(|| random.below(n));
            let mut with = nearest.clone();
            closer(context, rows, rows.row(row), &mut with);
            let potential = with.iter().map(|distance| f64::from(*distance)).sum();
            if best.as_ref().is_none_or(|(least, ..)| potential < *least) {
                best = Some((potential, row, with));
            }
        }
        let (_, row, with) = best.expect("there was one trial at least");
        centres.row_mut(number).copy_from_slice(rows.row(row));
        nearest = with;
    }
    centres
}

/// The row at which the running sum passes `target`; none if all are zero.
fn draw(weights: &[f32], mut target: f64) -> Option<usize> {
    let mut last = None;
    for (row, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        last = Some(row);
        target -= f64::from(*weight);
        if target < 0.0 {
            break;
        }
    }
    last
}

/// Lowers each row's squared distance to that of `centre`.
fn closer(context: &Context, rows: Rows<'_>, centre: &[f32], nearest: &mut [f32]) {
    context.for_each_chunk(nearest, BLOCK, |task, nearest| {
        for (row, nearest) in nearest.iter_mut().enumerate() {
            *nearest = nearest.min(squared_distance(rows.row(task * BLOCK + row), centre));
        }
    });
}

fn lloyd(
    context: &Context,
    rows: Rows<'_>,
    lengths: &[f32],
    mut centres: Matrix,
    settings: &KMeans,
    tolerance: f64,
) -> Clusters {
    let k = settings.k;
    let mut assigned = vec![(0usize, 0f32); rows.rows()];
    assign(context, rows, lengths, &centres, &mut assigned);
    for _ in 0..settings.iterations {
        fill_empty(&mut assigned, k);
        let next = means(context, rows, &assigned, k, settings.spherical);
        let moved: f64 = (0..k).map(|c| f64::from(squared_distance(next.row(c), centres.row(c)))).sum();
        centres = next;
        let before = assigned.clone();
        assign(context, rows, lengths, &centres, &mut assigned);
        let same = assigned.iter().zip(&before).all(|(now, before)| now.0 == before.0);
        if same || moved <= tolerance {
            break;
        }
    }
    // The last assignment may have emptied a cluster; centres and labels belong together.
    if fill_empty(&mut assigned, k) {
        centres = means(context, rows, &assigned, k, settings.spherical);
    }
    let labels: Vec<usize> = assigned.iter().map(|(label, _)| *label).collect();
    let inertia = inertia(rows, &labels, &centres);
    Clusters { labels, inertia, centres }
}

/// The nearest centre of each row, of equal ones the first, and the squared distance.
fn assign(context: &Context, rows: Rows<'_>, lengths: &[f32], centres: &Matrix, assigned: &mut [(usize, f32)]) {
    let k = centres.rows();
    let squares: Vec<f32> = norms(centres.view()).iter().map(|length| length * length).collect();
    context.for_each_chunk(assigned, BLOCK, |task, assigned| {
        let first = task * BLOCK;
        let block = rows.range(first..first + assigned.len());
        let mut products = vec![0.0; assigned.len() * k];
        matmul_transposed(context, block, centres.view(), &mut products, false);
        for ((row, assigned), products) in assigned.iter_mut().enumerate().zip(products.chunks_exact(k)) {
            let length = lengths[first + row];
            let distances = products.iter().zip(&squares).map(|(product, square)| square - 2.0 * product);
            let nearest =
                distances.enumerate().fold((0, f32::INFINITY), |best, new| if new.1 < best.1 { new } else { best });
            *assigned = (nearest.0, (nearest.1 + length * length).max(0.0));
        }
    });
}

/// Gives every empty cluster the row that is furthest from its centre, of clusters with more than
/// one. Whether any was.
fn fill_empty(assigned: &mut [(usize, f32)], k: usize) -> bool {
    let mut sizes = vec![0usize; k];
    assigned.iter().for_each(|(label, _)| sizes[*label] += 1);
    let empty: Vec<usize> = (0..k).filter(|cluster| sizes[*cluster] == 0).collect();
    for cluster in &empty {
        let candidates = assigned.iter().enumerate().filter(|(_, (label, _))| sizes[*label] > 1);
        let furthest = candidates.fold(None, |best: Option<(usize, f32)>, (row, (_, distance))| match best {
            Some(best) if *distance <= best.1 => Some(best),
            _ => Some((row, *distance)),
        });
        let (row, _) = furthest.expect("there are as many rows as clusters");
        sizes[assigned[row].0] -= 1;
        sizes[*cluster] = 1;
        assigned[row] = (*cluster, 0.0);
    }
    !empty.is_empty()
}

/// The mean of each cluster, summed in f64 in the order of rows.
fn means(context: &Context, rows: Rows<'_>, assigned: &[(usize, f32)], k: usize, spherical: bool) -> Matrix {
    const COLUMNS: usize = 32;
    let columns = rows.columns();
    let mut sizes = vec![0usize; k];
    assigned.iter().for_each(|(label, _)| sizes[*label] += 1);
    // Column by column, so that threads share no sum: [column][cluster].
    let mut sums = vec![0f64; columns * k];
    context.for_each_chunk(&mut sums, COLUMNS * k, |task, sums| {
        let first = task * COLUMNS;
        let count = sums.len() / k;
        for (row, (label, _)) in assigned.iter().enumerate() {
            for (column, value) in rows.row(row)[first..first + count].iter().enumerate() {
                sums[column * k + label] += f64::from(*value);
            }
        }
    });
    let mut means = Matrix::zeros(k, columns);
    for cluster in 0..k {
        let row = means.row_mut(cluster);
        for (column, value) in row.iter_mut().enumerate() {
            *value = (sums[column * k + cluster] / sizes[cluster].max(1) as f64) as f32;
        }
        if spherical {
            let length = crate::search::norm(row);
            row.iter_mut().for_each(|value| *value /= length);
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::adjusted_rand;
    use crate::testing::{Golden, embeddings};

    #[test]
    fn reaches_the_optimum_of_the_reference() {
        let golden = Golden::read();
        let blobs = golden.matrix("/blobs");
        let settings = KMeans { k: 3, starts: 20, tolerance: 0.0, ..KMeans::default() };
        let found = kmeans(&Context::new(2), blobs.view(), &settings).unwrap();
        let expected: f64 = golden.get("/kmeans/inertia");
        assert!((found.inertia - expected).abs() < 1e-4 * expected, "{} is not {expected}", found.inertia);
    }

    #[test]
    fn the_same_for_any_threads_and_every_row_is_with_its_nearest_centre() {
        let matrix = embeddings(1500, 20, 6, 1);
        for spherical in [false, true] {
            let settings = KMeans { k: 9, spherical, starts: 1, tolerance: 0.0, ..KMeans::default() };
            let found = kmeans(&Context::new(1), matrix.view(), &settings).unwrap();
            assert_eq!(found, kmeans(&Context::new(3), matrix.view(), &settings).unwrap());
            let unit = match spherical {
                true => maana_kernels::normalized(&Context::new(1), matrix.view()),
                false => matrix.clone(),
            };
            for row in 0..1500 {
                let distance = |centre: usize| squared_distance(unit.row(row), found.centres.row(centre));
                let least = (0..9).map(distance).fold(f32::INFINITY, f32::min);
                assert!(distance(found.labels[row]) <= least + 1e-4);
            }
            assert_eq!(found.central(unit.view(), 0).len(), found.labels.iter().filter(|label| **label == 0).count());
        }
    }

    #[test]
    fn groups_far_apart_are_found() {
        let centres = embeddings(5, 16, 5, 3);
        let noise = crate::testing::noise(400 * 16, 9);
        let labels: Vec<usize> = (0..400).map(|row| row * 7 % 5).collect();
        let data = (0..400 * 16).map(|i| 20.0 * centres.row(labels[i / 16])[i % 16] + noise[i]).collect();
        let rows = Matrix::from_vec(400, 16, data);
        let found = kmeans(&Context::new(2), rows.view(), &KMeans { k: 5, ..KMeans::default() }).unwrap();
        assert_eq!(adjusted_rand(&labels, &found.labels), 1.0);
    }

    #[test]
    fn equal_rows_are_never_separated() {
        let rows = Matrix::from_vec(6, 2, [[1.0, 2.0]; 6].concat());
        for k in [1, 2, 6] {
            let found = kmeans(&Context::new(1), rows.view(), &KMeans { k, ..KMeans::default() }).unwrap();
            assert_eq!((&found.labels[..], found.centres.rows()), (&[0; 6][..], 1));
            assert!(found.inertia < 1e-9);
        }
        let error = kmeans(&Context::new(1), rows.view(), &KMeans { k: 7, ..KMeans::default() }).unwrap_err();
        assert_eq!(error.to_string(), "k: 7 groups of 6 vectors; take 6 or fewer");
        assert!(kmeans(&Context::new(1), rows.view(), &KMeans { k: 0, ..KMeans::default() }).is_err());
    }

    #[test]
    fn there_are_as_many_clusters_as_different_rows() {
        let different = embeddings(7, 12, 3, 1);
        for copies in [1usize, 3, 40] {
            let data = (0..7 * copies).flat_map(|row| different.row(row * 5 % 7).to_vec()).collect();
            let rows = Matrix::from_vec(7 * copies, 12, data);
            for (k, spherical, seed) in [(5, true, 0), (7, true, 1), (7, false, 2), (copies * 7, true, 3)] {
                let settings = KMeans { k, spherical, seed, ..KMeans::default() };
                let found = kmeans(&Context::new(2), rows.view(), &settings).unwrap();
                assert_eq!(found.centres.rows(), k.min(7));
                for row in 0..7 * copies {
                    assert_eq!(found.labels[row], found.labels[row % 7], "{copies} copies, k {k}");
                }
                assert!((0..k.min(7)).all(|cluster| found.labels.contains(&cluster)));
            }
        }
    }
}
