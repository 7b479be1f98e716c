//! The workflow of `maana cluster`: groups of texts, their characteristic words, their quality, and
//! a map of them.

mod map;

pub use map::{Dot, Map, View, views};

use crate::texts::words;
use maana_kernels::{Context, Matrix, Rows};
use maana_vectors::VectorsError;
use maana_vectors::cluster::{
    Agglomerative, Communities, Distance, Hdbscan, KMeans, VMeasure, adjusted_rand, agglomerative, communities,
    hdbscan, kmeans, silhouette, v_measure,
};
use std::collections::HashMap;

/// A clustering method with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// K-means with cosine distance.
    KMeans {
        /// Number of groups; fewer are found if fewer texts are distinct.
        k: usize,
        /// Seed of the initial centres.
        seed: u64,
    },
    /// Groups around a central text, as in `community_detection` of Sentence Transformers; other
    /// texts belong to no group.
    Communities {
        /// Minimum cosine with the central text.
        threshold: f32,
        /// Minimum size of a group.
        min_size: usize,
    },
    /// Agglomerative clustering with cosine distance.
    Agglomerative {
        /// Number of groups; fewer are found if fewer texts are distinct.
        k: Option<usize>,
        /// Maximum distance of two groups that are merged; used without `k`.
        threshold: f32,
    },
    /// Dense regions; other texts belong to no group.
    Hdbscan {
        /// Minimum size of a group.
        min_size: usize,
    },
}

impl Method {
    /// Returns the requested number of groups; `None` if the method determines it.
    pub fn groups(&self) -> Option<usize> {
        match self {
            Self::KMeans { k, .. } => Some(*k),
            Self::Agglomerative { k, .. } => *k,
            Self::Communities { .. } | Self::Hdbscan { .. } => None,
        }
    }
}

/// Returns the group of each text, `None` for texts in no group. Groups are numbered by size, the
/// largest first.
///
/// # Errors
/// Invalid settings, too few texts, or values that are not finite.
pub fn find(context: &Context, rows: Rows<'_>, method: Method) -> Result<Vec<Option<usize>>, VectorsError> {
    let some = |labels: Vec<usize>| labels.into_iter().map(Some).collect::<Vec<_>>();
    let labels = match method {
        Method::KMeans { k, seed } => {
            some(kmeans(context, rows, &KMeans { k, seed, spherical: true, ..KMeans::default() })?.labels)
        }
        Method::Communities { threshold, min_size } => {
            let mut labels = vec![None; rows.rows()];
            let groups = communities(context, rows, &Communities { threshold, min_size })?;
            for (group, members) in groups.iter().enumerate() {
                members.iter().for_each(|row| labels[*row] = Some(group));
            }
            labels
        }
        Method::Agglomerative { k, threshold } => {
            let settings = Agglomerative { distance: Distance::Cosine, ..Agglomerative::default() };
            let tree = agglomerative(context, rows, &settings)?;
            some(k.map_or_else(|| Ok(tree.cut_at(threshold)), |k| tree.cut(k))?)
        }
        Method::Hdbscan { min_size } => {
            // For unit vectors, the Euclidean distance has the order of the cosine distance.
            let unit = maana_kernels::normalized(context, rows);
            hdbscan(context, unit.view(), &Hdbscan { min_cluster_size: min_size, ..Hdbscan::default() })?
        }
    };
    Ok(by_size(labels))
}

fn by_size(labels: Vec<Option<usize>>) -> Vec<Option<usize>> {
    let groups = labels.iter().flatten().max().map_or(0, |most| most + 1);
    let mut sizes: Vec<(usize, usize)> = (0..groups).map(|group| (0, group)).collect();
    labels.iter().flatten().for_each(|group| sizes[*group].0 += 1);
    sizes.sort_by_key(|(size, group)| (std::cmp::Reverse(*size), *group));
    let mut rank = vec![0; groups];
    sizes.iter().enumerate().for_each(|(position, (_, group))| rank[*group] = position);
    labels.into_iter().map(|label| label.map(|group| rank[group])).collect()
}

/// A group of texts and its characteristic words.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Texts, the most central first.
    pub members: Vec<usize>,
    /// Words that are more frequent in the group than elsewhere, the most characteristic first.
    pub words: Vec<String>,
}

/// Number of characteristic words per group.
const WORDS: usize = 8;

/// Describes each group.
pub fn describe(rows: Rows<'_>, texts: &[String], labels: &[Option<usize>]) -> Vec<Group> {
    let groups = labels.iter().flatten().max().map_or(0, |most| most + 1);
    let mut described = Vec::with_capacity(groups);
    let mut members = vec![Vec::new(); groups];
    labels.iter().enumerate().for_each(|(row, label)| {
        if let Some(group) = label {
            members[*group].push(row);
        }
    });
    let characteristic = characteristic_words(texts, labels, groups);
    for (members, words) in members.into_iter().zip(characteristic) {
        let mut centre = vec![0.0f32; rows.columns()];
        for row in &members {
            let length = maana_vectors::search::Metric::Dot.score(rows.row(*row), rows.row(*row)).sqrt().max(1e-12);
            centre.iter_mut().zip(rows.row(*row)).for_each(|(sum, value)| *sum += value / length);
        }
        let mut scored: Vec<(f32, usize)> = members
            .into_iter()
            .map(|row| (maana_vectors::search::Metric::Cosine.score(rows.row(row), &centre), row))
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        described.push(Group { members: scored.into_iter().map(|(_, row)| row).collect(), words });
    }
    described
}

/// Returns the words of each group with the highest class-based TF-IDF: frequency in the group,
/// weighted by rarity in all groups.
fn characteristic_words(texts: &[String], labels: &[Option<usize>], groups: usize) -> Vec<Vec<String>> {
    let mut counts: Vec<HashMap<String, f64>> = vec![HashMap::new(); groups];
    let mut all: HashMap<String, f64> = HashMap::new();
    let mut total = 0.0;
    for (text, label) in texts.iter().zip(labels) {
        for word in words(text).filter(|word| word.chars().count() > 2) {
            total += 1.0;
            if let Some(group) = label {
                *counts[*group].entry(word.clone()).or_default() += 1.0;
            }
            *all.entry(word).or_default() += 1.0;
        }
    }
    let mean = total / groups.max(1) as f64;
    let best = |counts: HashMap<String, f64>| {
        let mut scored: Vec<(f64, String)> =
            counts.into_iter().map(|(word, count)| (count * (1.0 + mean / all[&word]).ln(), word)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.into_iter().take(WORDS).map(|(_, word)| word).collect()
    };
    counts.into_iter().map(best).collect()
}

/// Quality of groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Mean silhouette of the texts in groups, by cosine distance, from −1 to 1; of a sample if
    /// there are many texts.
    pub silhouette: f64,
    /// V-measure against known labels; texts in no group count as one group.
    pub v_measure: Option<VMeasure>,
    /// Adjusted Rand index against known labels.
    pub adjusted_rand: Option<f64>,
}

/// Maximum number of rows for the silhouette, whose cost is quadratic.
const SAMPLE: usize = 5000;

/// Evaluates groups, against the labels in `truth` if they are known.
pub fn quality(context: &Context, rows: Rows<'_>, labels: &[Option<usize>], truth: Option<&[String]>) -> Quality {
    let inside: Vec<usize> = (0..rows.rows()).filter(|row| labels[*row].is_some()).collect();
    let every = inside.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<usize> = inside.into_iter().step_by(every).collect();
    let mut sampled = Matrix::zeros(sample.len(), rows.columns());
    sample.iter().enumerate().for_each(|(position, row)| sampled.row_mut(position).copy_from_slice(rows.row(*row)));
    let own: Vec<usize> = sample.iter().filter_map(|row| labels[*row]).collect();
    let ungrouped = labels.iter().flatten().max().map_or(0, |most| most + 1);
    let found: Vec<usize> = labels.iter().map(|label| label.unwrap_or(ungrouped)).collect();
    let truth = truth.map(numbered);
    Quality {
        silhouette: silhouette(context, sampled.view(), &own, Distance::Cosine),
        v_measure: truth.as_ref().map(|truth| v_measure(truth, &found)),
        adjusted_rand: truth.as_ref().map(|truth| adjusted_rand(truth, &found)),
    }
}

/// Numbers names in the order of their first occurrence.
fn numbered(names: &[String]) -> Vec<usize> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    names
        .iter()
        .map(|name| {
            let next = numbers.len();
            *numbers.entry(name).or_insert(next)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_numbered_by_size_and_described_by_their_words() {
        let labels = by_size(vec![Some(0), Some(1), Some(1), None, Some(1), Some(0)]);
        assert_eq!(labels, [Some(1), Some(0), Some(0), None, Some(0), Some(1)]);
        let texts = ["mahindi shamba", "mpira uwanja", "mpira goli", "kitu", "mpira timu", "shamba mvua"];
        let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
        let rows = Matrix::from_vec(6, 2, vec![1.0, 0.1, 0.0, 1.0, 0.1, 1.0, 1.0, 1.0, -0.2, 1.0, 1.0, 0.0]);
        let groups = describe(rows.view(), &texts, &labels);
        assert_eq!(groups[0].members, [1, 2, 4]);
        assert_eq!((groups[0].words[0].as_str(), groups[1].words[0].as_str()), ("mpira", "shamba"));
        let truth = ["a", "b", "b", "c", "b", "a"].map(String::from);
        let quality = quality(&Context::new(1), rows.view(), &labels, Some(&truth));
        assert_eq!(quality.adjusted_rand, Some(1.0));
        assert!(quality.silhouette > 0.8, "{}", quality.silhouette);
    }
}
