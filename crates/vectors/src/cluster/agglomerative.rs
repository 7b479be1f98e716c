//! Agglomerative clustering by the nearest-neighbour chain (Murtagh 1983): the tree of merges for
//! four linkages, in time and room of the square of the rows.

use super::Distance;
use super::copies::{copies, distinct};
use crate::error::{VectorsError, check_finite};
use maana_kernels::{Context, Rows};

/// The distance of two groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Linkage {
    /// The mean distance of their rows.
    #[default]
    Average,
    /// The greatest.
    Complete,
    /// The least.
    Single,
    /// Increase of the squared distances to the mean by the union; `Distance::Euclidean` only.
    Ward,
}

/// Distances of rows and linkage of groups.
#[derive(Clone, Copy, Debug, Default)]
pub struct Agglomerative {
    /// Of two rows.
    pub distance: Distance,
    /// Of two groups.
    pub linkage: Linkage,
}

/// Two groups that became one. Rows are groups 0 to n − 1; the i-th merge makes group n + i.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The one.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// Their distance.
    pub distance: f32,
    /// Rows of both.
    pub size: usize,
}

/// All merges, the nearest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Dendrogram {
    rows: usize,
    /// Rows that are different.
    distinct: usize,
    /// One fewer than rows, distances ascending.
    pub merges: Vec<Merge>,
}

/// Rows whose distances take 4 GB.
const MOST_ROWS: usize = 46_000;

/// The tree of merges.
///
/// ```
/// use maana_kernels::{Context, Rows};
/// use maana_vectors::cluster::{Agglomerative, agglomerative};
///
/// let rows = Rows::new(&[0.0, 1.0, 10.0, 11.5], 4, 1, 1);
/// let tree = agglomerative(&Context::new(1), rows, &Agglomerative::default()).unwrap();
/// assert_eq!(tree.cut(2).unwrap(), [0, 0, 1, 1]);
/// assert_eq!(tree.cut_at(1.2), [0, 0, 1, 2]);
/// ```
///
/// # Errors
/// Values that are not finite, more rows than whose distances fit into 4 GB, or `Ward` with another
/// distance than the Euclidean.
pub fn agglomerative(context: &Context, rows: Rows<'_>, settings: &Agglomerative) -> Result<Dendrogram, VectorsError> {
    check_finite(rows)?;
    let n = rows.rows();
    if n > MOST_ROWS {
        let message = format!("{n} rows, whose distances do not fit into memory; up to {MOST_ROWS}, or use k-means");
        return Err(VectorsError::setting("agglomerative", message));
    }
    if settings.linkage == Linkage::Ward && settings.distance != Distance::Euclidean {
        return Err(VectorsError::setting(
            "linkage",
            "ward needs the Euclidean distance; normalise the rows for cosine",
        ));
    }
    let distances = distances(context, rows, settings.distance);
    Ok(tree(chain(distances, settings.linkage), n, distinct(&copies(rows))))
}

/// Row i has its distances to rows below i.
fn distances(context: &Context, rows: Rows<'_>, distance: Distance) -> Vec<Vec<f32>> {
    let lengths = distance.lengths(rows);
    let mut triangle: Vec<Vec<f32>> = vec![Vec::new(); rows.rows()];
    context.for_each_chunk(&mut triangle, 1, |row, out| {
        let one = |other| distance.with(rows.row(row), rows.row(other), lengths[row], lengths[other]);
        out[0] = (0..row).map(one).collect();
    });
    triangle
}

fn at(triangle: &[Vec<f32>], a: usize, b: usize) -> f32 {
    if a > b { triangle[a][b] } else { triangle[b][a] }
}

/// Merges of groups named by one of their rows, in the order in which the chain found them.
fn chain(mut triangle: Vec<Vec<f32>>, linkage: Linkage) -> Vec<(usize, usize, f32)> {
    let n = triangle.len();
    let mut sizes = vec![1usize; n];
    let mut alive: Vec<usize> = (0..n).collect();
    let mut chain: Vec<usize> = Vec::new();
    let mut merges = Vec::with_capacity(n.saturating_sub(1));
    while alive.len() > 1 {
        if chain.is_empty() {
            chain.push(alive[0]);
        }
        let last = chain[chain.len() - 1];
        // Of equal distances the group before in the chain wins, so that the chain ends.
        let before = chain.len().checked_sub(2).map(|place| chain[place]);
        let mut nearest = before.map(|group| (group, at(&triangle, last, group)));
        for other in alive.iter().copied().filter(|other| *other != last) {
            let distance = at(&triangle, last, other);
            if nearest.is_none_or(|(_, least)| distance < least) {
                nearest = Some((other, distance));
            }
        }
        let (other, distance) = nearest.expect("two groups are alive");
        if Some(other) != before {
            chain.push(other);
            continue;
        }
        chain.truncate(chain.len() - 2);
        merges.push((last, other, distance));
        let (keep, gone) = (last.max(other), last.min(other));
        alive.remove(alive.binary_search(&gone).expect("it was alive"));
        let (size_a, size_b) = (sizes[keep] as f64, sizes[gone] as f64);
        for third in alive.iter().copied().filter(|third| *third != keep) {
            let (a, b) = (f64::from(at(&triangle, keep, third)), f64::from(at(&triangle, gone, third)));
            let c = sizes[third] as f64;
            let joined = match linkage {
                Linkage::Average => (size_a * a + size_b * b) / (size_a + size_b),
                Linkage::Complete => a.max(b),
                Linkage::Single => a.min(b),
                Linkage::Ward => {
                    let d = f64::from(distance);
                    let sum = (size_a + c) * a * a + (size_b + c) * b * b - c * d * d;
                    (sum / (size_a + size_b + c)).max(0.0).sqrt()
                }
            };
            let (high, low) = (keep.max(third), keep.min(third));
            triangle[high][low] = joined as f32;
        }
        sizes[keep] += sizes[gone];
    }
    merges
}

/// Sorts merges and names groups by when they were made.
fn tree(mut merges: Vec<(usize, usize, f32)>, n: usize, distinct: usize) -> Dendrogram {
    merges.sort_by(|a, b| a.2.total_cmp(&b.2));
    let mut parents: Vec<usize> = (0..n).collect();
    // The group and size of each root.
    let mut groups: Vec<(usize, usize)> = (0..n).map(|row| (row, 1)).collect();
    let merge = |(number, (a, b, distance)): (usize, (usize, usize, f32))| {
        let (a, b) = (root(&mut parents, a), root(&mut parents, b));
        parents[a] = b;
        let (first, second) = (groups[a].0.min(groups[b].0), groups[a].0.max(groups[b].0));
        let size = groups[a].1 + groups[b].1;
        groups[b] = (n + number, size);
        Merge { first, second, distance, size }
    };
    Dendrogram { rows: n, distinct, merges: merges.into_iter().enumerate().map(merge).collect() }
}

fn root(parents: &mut [usize], mut row: usize) -> usize {
    while parents[row] != row {
        parents[row] = parents[parents[row]];
        row = parents[row];
    }
    row
}

impl Dendrogram {
    /// Labels of k groups, numbered in the order of their first rows; of fewer where fewer rows are
    /// different.
    ///
    /// # Errors
    /// No groups, or more than there are rows.
    pub fn cut(&self, k: usize) -> Result<Vec<usize>, VectorsError> {
        if k == 0 {
            return Err(VectorsError::setting("k", "at least one group is needed"));
        }
        super::check_groups(k, self.rows)?;
        Ok(self.labels(self.rows - k.min(self.distinct)))
    }

    /// Labels of groups that are nowhere merged at this distance or beyond.
    pub fn cut_at(&self, threshold: f32) -> Vec<usize> {
        self.labels(self.merges.partition_point(|merge| merge.distance < threshold))
    }

    fn labels(&self, merges: usize) -> Vec<usize> {
        let mut parents: Vec<usize> = (0..self.rows + merges).collect();
        for (number, merge) in self.merges[..merges].iter().enumerate() {
            parents[merge.first] = self.rows + number;
            parents[merge.second] = self.rows + number;
        }
        let mut names = std::collections::HashMap::new();
        let label = |row| {
            let next = names.len();
            *names.entry(root(&mut parents, row)).or_insert(next)
        };
        (0..self.rows).map(label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::adjusted_rand;
    use crate::testing::{Golden, embeddings};
    use maana_kernels::Matrix;

    const LINKAGES: [(&str, Linkage); 4] = [
        ("average", Linkage::Average),
        ("complete", Linkage::Complete),
        ("single", Linkage::Single),
        ("ward", Linkage::Ward),
    ];

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = Golden::read();
        let blobs = golden.matrix("/blobs");
        for (name, linkage) in LINKAGES {
            let settings = Agglomerative { linkage, ..Agglomerative::default() };
            let tree = agglomerative(&Context::new(2), blobs.view(), &settings).unwrap();
            let get = |what: &str| golden.get::<Vec<usize>>(&format!("/agglomerative/{name}/{what}"));
            let heights: Vec<f64> = golden.get(&format!("/agglomerative/{name}/heights"));
            for (merge, height) in tree.merges.iter().zip(&heights) {
                assert!((f64::from(merge.distance) - height).abs() < 1e-4, "{name}: {} {height}", merge.distance);
            }
            assert_eq!(adjusted_rand(&tree.cut(3).unwrap(), &get("three")), 1.0, "{name}");
            let threshold: f32 = golden.get(&format!("/agglomerative/{name}/threshold"));
            assert_eq!(adjusted_rand(&tree.cut_at(threshold), &get("cut")), 1.0, "{name}");
        }
    }

    /// Always merges the two nearest groups, measured anew.
    fn reference_heights(rows: Rows<'_>, distance: Distance, linkage: Linkage) -> Vec<f64> {
        let mut groups: Vec<Vec<usize>> = (0..rows.rows()).map(|row| vec![row]).collect();
        let between = |a: usize, b: usize| f64::from(distance.between(rows.row(a), rows.row(b)));
        let apart = |a: &[usize], b: &[usize]| {
            let all = a.iter().flat_map(|a| b.iter().map(move |b| between(*a, *b)));
            match linkage {
                Linkage::Average => all.sum::<f64>() / (a.len() * b.len()) as f64,
                Linkage::Complete => all.fold(0.0, f64::max),
                _ => all.fold(f64::INFINITY, f64::min),
            }
        };
        let mut heights = Vec::new();
        while groups.len() > 1 {
            let pairs = (0..groups.len()).flat_map(|a| (a + 1..groups.len()).map(move |b| (a, b)));
            let scored = pairs.map(|(a, b)| (apart(&groups[a], &groups[b]), a, b));
            let (height, a, b) = scored.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            heights.push(height);
            let gone = groups.remove(b);
            groups[a].extend(gone);
        }
        heights
    }

    #[test]
    fn merges_are_those_of_the_plain_way() {
        let matrix = embeddings(40, 8, 4, 1);
        for distance in [Distance::Euclidean, Distance::Cosine] {
            for linkage in [Linkage::Average, Linkage::Complete, Linkage::Single] {
                let tree =
                    agglomerative(&Context::new(2), matrix.view(), &Agglomerative { distance, linkage }).unwrap();
                let expected = reference_heights(matrix.view(), distance, linkage);
                assert_eq!(tree.merges.len(), 39);
                for (merge, height) in tree.merges.iter().zip(expected) {
                    assert!((f64::from(merge.distance) - height).abs() < 1e-5, "{linkage:?}");
                }
                assert_eq!(tree.merges[38].size, 40);
                for k in 1..=40 {
                    let labels = tree.cut(k).unwrap();
                    assert_eq!(labels.iter().max(), Some(&(k - 1)));
                }
            }
        }
    }

    #[test]
    fn equal_rows_are_never_separated() {
        let different = embeddings(4, 6, 4, 1);
        let data = (0..12).flat_map(|row| different.row(row % 4).to_vec()).collect();
        let rows = Matrix::from_vec(12, 6, data);
        for distance in [Distance::Euclidean, Distance::Cosine] {
            let settings = Agglomerative { distance, ..Agglomerative::default() };
            let tree = agglomerative(&Context::new(1), rows.view(), &settings).unwrap();
            for k in 1..=12 {
                let labels = tree.cut(k).unwrap();
                assert_eq!(labels.iter().max(), Some(&(k.min(4) - 1)));
                assert!((0..12).all(|row| labels[row] == labels[row % 4]));
            }
        }
    }

    #[test]
    fn few_rows_and_wrong_settings() {
        let rows = embeddings(2, 3, 1, 1);
        let tree = |n| agglomerative(&Context::new(1), rows.view().range(0..n), &Agglomerative::default()).unwrap();
        assert_eq!((tree(2).cut(2), tree(1).cut(1), tree(0).cut_at(1.0)), (Ok(vec![0, 1]), Ok(vec![0]), vec![]));
        let error = tree(2).cut(5).unwrap_err();
        assert_eq!(error.to_string(), "k: 5 groups of 2 vectors; take 2 or fewer");
        assert!(tree(2).cut(0).is_err());
        let wrong = Agglomerative { distance: Distance::Cosine, linkage: Linkage::Ward };
        assert!(agglomerative(&Context::new(1), rows.view(), &wrong).unwrap_err().to_string().contains("Euclidean"));
    }
}
