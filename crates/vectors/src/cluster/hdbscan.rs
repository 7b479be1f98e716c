//! HDBSCAN (Campello, Moulavi & Sander 2013), as scikit-learn computes it: the tree of mutual
//! reachability, condensed to groups of a least size, of which the most stable are taken. Rows that
//! belong to none are noise. Time of the square of the rows, room of the rows.

use super::Distance;
use crate::error::{VectorsError, check_finite};
use crate::search::{Corpus, Search, search};
use maana_kernels::{Context, Rows};

/// Definition of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Hdbscan {
    /// The least rows of a cluster; two or more.
    pub min_cluster_size: usize,
    /// A row's surroundings reach to this neighbour, itself the first. `None`: as the cluster size.
    pub min_samples: Option<usize>,
    /// Between rows.
    pub distance: Distance,
}

impl Default for Hdbscan {
    fn default() -> Self {
        Self { min_cluster_size: 5, min_samples: None, distance: Distance::Euclidean }
    }
}

/// The cluster of each row, `None` for noise. Clusters are numbered in the order of their first
/// rows.
///
/// # Errors
/// Values that are not finite, a cluster size below 2, or fewer rows than `min_samples`.
pub fn hdbscan(context: &Context, rows: Rows<'_>, settings: &Hdbscan) -> Result<Vec<Option<usize>>, VectorsError> {
    check_finite(rows)?;
    let n = rows.rows();
    if settings.min_cluster_size < 2 {
        return Err(VectorsError::setting("min_cluster_size", "a cluster has two rows or more"));
    }
    let min_samples = settings.min_samples.unwrap_or(settings.min_cluster_size).max(1);
    if n < 2 {
        return Ok(vec![None; n]);
    }
    if n < min_samples {
        return Err(VectorsError::TooFew { needed: min_samples, found: n });
    }
    let core = core_distances(context, rows, min_samples, settings.distance)?;
    let mut edges = spanning_tree(context, rows, &core, settings.distance);
    edges.sort_by(|a, b| a.2.total_cmp(&b.2));
    let condensed = condense(&merge(&edges, n), n, settings.min_cluster_size);
    Ok(number(label(&condensed, n)))
}

/// The distance of each row to the last of its surroundings.
fn core_distances(
    context: &Context,
    rows: Rows<'_>,
    min_samples: usize,
    distance: Distance,
) -> Result<Vec<f32>, VectorsError> {
    let settings = Search { k: min_samples, metric: distance.metric(), ..Search::default() };
    let mut core = Vec::with_capacity(rows.rows());
    for start in (0..rows.rows()).step_by(1024) {
        let asked = rows.range(start..rows.rows().min(start + 1024));
        let found = search(context, &Corpus::from(rows), asked, &settings)?;
        core.extend(found.iter().map(|hits| hits.last().map_or(0.0, |hit| distance.of_score(hit.score))));
    }
    Ok(core)
}

/// Prim's tree over max(core of either, distance).
fn spanning_tree(context: &Context, rows: Rows<'_>, core: &[f32], distance: Distance) -> Vec<(usize, usize, f32)> {
    const BLOCK: usize = 256;
    let n = rows.rows();
    let lengths = distance.lengths(rows);
    // The nearest row of the tree for each that is outside, and how far it is; a row inside is
    // marked by its own number.
    let mut nearest: Vec<(usize, f32)> = vec![(0, f32::INFINITY); n];
    let mut edges = Vec::with_capacity(n - 1);
    let mut current = 0;
    nearest[0].0 = usize::MAX;
    for _ in 1..n {
        context.for_each_chunk(&mut nearest, BLOCK, |task, nearest| {
            for (place, entry) in nearest.iter_mut().enumerate().filter(|(_, entry)| entry.0 != usize::MAX) {
                let row = task * BLOCK + place;
                let plain = distance.with(rows.row(row), rows.row(current), lengths[row], lengths[current]);
                let reach = plain.max(core[row]).max(core[current]);
                if reach < entry.1 {
                    *entry = (current, reach);
                }
            }
        });
        let outside = nearest.iter().enumerate().filter(|(_, entry)| entry.0 != usize::MAX);
        let next = outside.fold(None, |best: Option<(usize, f32)>, (row, entry)| match best {
            Some(best) if best.1 <= entry.1 => Some(best),
            _ => Some((row, entry.1)),
        });
        let (row, reach) = next.expect("a row is outside");
        edges.push((nearest[row].0, row, reach));
        nearest[row].0 = usize::MAX;
        current = row;
    }
    edges
}

/// The tree of merges: node n + i is made of two nodes at a distance; with the rows of each node.
struct Merges {
    children: Vec<(usize, usize, f32)>,
    sizes: Vec<usize>,
}

fn merge(edges: &[(usize, usize, f32)], n: usize) -> Merges {
    let mut parents: Vec<usize> = (0..2 * n - 1).collect();
    let mut merges = Merges { children: Vec::with_capacity(n - 1), sizes: vec![1; n] };
    for (number, (a, b, distance)) in edges.iter().enumerate() {
        let (a, b) = (root(&mut parents, *a), root(&mut parents, *b));
        (parents[a], parents[b]) = (n + number, n + number);
        merges.children.push((a, b, *distance));
        merges.sizes.push(merges.sizes[a] + merges.sizes[b]);
    }
    merges
}

fn root(parents: &mut [usize], mut node: usize) -> usize {
    while parents[node] != node {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    node
}

/// Part that leaves a group: a row, or a group that continues by itself.
struct Leaving {
    group: usize,
    child: Child,
    /// 1 / distance at which it leaves.
    lambda: f64,
    size: usize,
}

enum Child {
    Row(usize),
    Group(usize),
}

/// The tree in which a group loses rows until it breaks into two of the least size or more. Group 0
/// is all rows; a group's number is greater than that of the one it came from.
fn condense(merges: &Merges, n: usize, least: usize) -> Vec<Leaving> {
    let mut leaving = Vec::new();
    let mut groups = 1;
    // Nodes that are to be looked at, with the group that they belong to; in breadth, so that
    // groups are numbered by level.
    let mut open = std::collections::VecDeque::from([(2 * n - 2, 0)]);
    while let Some((node, group)) = open.pop_front() {
        if node < n {
            continue;
        }
        let (left, right, distance) = merges.children[node - n];
        // Rows that are equal are as near as rows can be.
        let lambda = 1.0 / f64::from(distance).max(1e-12);
        let large = |child: usize| merges.sizes[child] >= least;
        for (child, other) in [(left, right), (right, left)] {
            let size = merges.sizes[child];
            if large(child) && large(other) {
                leaving.push(Leaving { group, child: Child::Group(groups), lambda, size });
                open.push_back((child, groups));
                groups += 1;
            } else if large(child) {
                open.push_back((child, group));
            } else {
                let rows = rows_below(merges, n, child).into_iter();
                leaving.extend(rows.map(|row| Leaving { group, child: Child::Row(row), lambda, size: 1 }));
            }
        }
    }
    leaving
}

fn rows_below(merges: &Merges, n: usize, node: usize) -> Vec<usize> {
    let (mut rows, mut open) = (Vec::new(), vec![node]);
    while let Some(node) = open.pop() {
        if node < n {
            rows.push(node);
        } else {
            let (left, right, _) = merges.children[node - n];
            open.extend([right, left]);
        }
    }
    rows
}

/// The chosen group of each row: of a group and those that come from it, whichever is more stable;
/// never all rows.
fn label(condensed: &[Leaving], n: usize) -> Vec<Option<usize>> {
    let groups = 1 + condensed.iter().filter(|leaving| matches!(leaving.child, Child::Group(_))).count();
    let mut born = vec![0.0; groups];
    let mut parent = vec![0; groups];
    for leaving in condensed {
        if let Child::Group(group) = leaving.child {
            (born[group], parent[group]) = (leaving.lambda, leaving.group);
        }
    }
    let mut stability = vec![0.0; groups];
    for leaving in condensed {
        stability[leaving.group] += (leaving.lambda - born[leaving.group]) * leaving.size as f64;
    }
    let mut below = vec![0.0; groups];
    let mut chosen = vec![false; groups];
    for group in (1..groups).rev() {
        chosen[group] = below[group] <= stability[group];
        below[parent[group]] += below[group].max(stability[group]);
    }
    // What lies in a chosen group is of it, whatever was chosen further down.
    let mut of = vec![None; groups];
    for group in 1..groups {
        of[group] = of[parent[group]].or(chosen[group].then_some(group));
    }
    let mut labels = vec![None; n];
    for leaving in condensed {
        if let Child::Row(row) = leaving.child {
            labels[row] = of[leaving.group];
        }
    }
    labels
}

fn number(labels: Vec<Option<usize>>) -> Vec<Option<usize>> {
    let mut names = std::collections::HashMap::new();
    let name = |group: usize| {
        let next = names.len();
        *names.entry(group).or_insert(next)
    };
    let mut name = name;
    labels.into_iter().map(|label| label.map(&mut name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::adjusted_rand;
    use crate::testing::{Golden, noise};
    use maana_kernels::Matrix;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        min_cluster_size: usize,
        min_samples: usize,
        labels: Vec<i64>,
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = Golden::read();
        let blobs = golden.matrix("/blobs");
        for case in golden.get::<Vec<Case>>("/hdbscan") {
            let settings = Hdbscan {
                min_cluster_size: case.min_cluster_size,
                min_samples: Some(case.min_samples),
                ..Hdbscan::default()
            };
            let found = hdbscan(&Context::new(2), blobs.view(), &settings).unwrap();
            let noise: Vec<bool> = found.iter().map(Option::is_none).collect();
            let what = format!("size {}, samples {}", case.min_cluster_size, case.min_samples);
            assert_eq!(noise, case.labels.iter().map(|label| *label < 0).collect::<Vec<_>>(), "{what}");
            let ours: Vec<usize> = found.iter().map(|label| label.map_or(0, |label| label + 1)).collect();
            let theirs: Vec<usize> = case.labels.iter().map(|label| (*label + 1) as usize).collect();
            assert_eq!(adjusted_rand(&ours, &theirs), 1.0, "{what}");
        }
    }

    #[test]
    fn groups_are_found_among_strangers_for_any_threads() {
        let mut data = Vec::new();
        for (group, centre) in [[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]].iter().enumerate() {
            data.extend(noise(100, group as u64).iter().enumerate().map(|(i, value)| centre[i % 2] + 0.5 * value));
        }
        data.extend([30.0, 30.0, -30.0, 30.0, 30.0, -30.0]);
        let rows = Matrix::from_vec(153, 2, data);
        for distance in [Distance::Euclidean, Distance::Cosine] {
            let settings = Hdbscan { distance, ..Hdbscan::default() };
            let one = hdbscan(&Context::new(1), rows.view(), &settings).unwrap();
            assert_eq!(one, hdbscan(&Context::new(3), rows.view(), &settings).unwrap());
        }
        let found =
            hdbscan(&Context::new(1), rows.view(), &Hdbscan { min_cluster_size: 10, ..Hdbscan::default() }).unwrap();
        assert_eq!(found[150..], [None, None, None]);
        for (row, label) in found[..150].iter().enumerate() {
            assert!(label.is_none_or(|label| label == row / 50), "row {row} is {label:?}");
        }
        assert!(found[..150].iter().filter(|label| label.is_some()).count() > 140);
    }

    #[test]
    fn equal_rows_and_few_rows() {
        let rows = Matrix::from_vec(12, 1, [[0.0; 6], [1.0; 6]].concat());
        let found = hdbscan(&Context::new(1), rows.view(), &Hdbscan::default()).unwrap();
        assert_eq!(found[..6], [Some(0); 6]);
        assert_eq!(found[6..], [Some(1); 6]);
        assert_eq!(hdbscan(&Context::new(1), rows.view().range(0..1), &Hdbscan::default()).unwrap(), [None]);
        assert!(hdbscan(&Context::new(1), rows.view().range(0..3), &Hdbscan::default()).is_err());
        let wrong = Hdbscan { min_cluster_size: 1, ..Hdbscan::default() };
        assert!(hdbscan(&Context::new(1), rows.view(), &wrong).is_err());
    }
}
