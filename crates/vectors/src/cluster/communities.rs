//! Community detection as `community_detection` of Sentence Transformers 6.2 does it: rows with
//! enough neighbours, the largest neighbourhoods first, each row in one of them.

use crate::error::{VectorsError, check_finite};
use crate::pairs::for_each_above;
use maana_kernels::{Context, Rows};

/// Definition of a community.
#[derive(Clone, Copy, Debug)]
pub struct Communities {
    /// The least cosine of a member with the central row.
    pub threshold: f32,
    /// The least number of members, the central row among them.
    pub min_size: usize,
}

impl Default for Communities {
    fn default() -> Self {
        Self { threshold: 0.75, min_size: 10 }
    }
}

/// Communities, the largest first; the first row of each is the central one, then the others,
/// nearest first. Rows of no community are in none.
///
/// Memory grows with the number of pairs whose cosine reaches the threshold.
///
/// # Errors
/// Values that are not finite, or a threshold that is NaN.
pub fn communities(context: &Context, rows: Rows<'_>, settings: &Communities) -> Result<Vec<Vec<usize>>, VectorsError> {
    check_finite(rows)?;
    if settings.threshold.is_nan() {
        return Err(VectorsError::setting("threshold", "NaN is no cosine"));
    }
    let min_size = settings.min_size.max(1);
    let mut candidates: Vec<(usize, Vec<u32>)> = Vec::new();
    for_each_above(context, rows, settings.threshold, false, |row, found| {
        if found.len() >= min_size {
            let mut found = found.to_vec();
            found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            candidates.push((row, found.into_iter().map(|(other, _)| other).collect()));
        }
    });
    candidates.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let mut used = vec![false; rows.rows()];
    let mut communities = Vec::new();
    for (centre, members) in candidates {
        if used[centre] {
            continue;
        }
        let free: Vec<usize> = members.into_iter().map(|row| row as usize).filter(|row| !used[*row]).collect();
        if free.len() >= min_size {
            let others = free.into_iter().filter(|row| *row != centre);
            let community: Vec<usize> = std::iter::once(centre).chain(others).collect();
            community.iter().for_each(|row| used[*row] = true);
            communities.push(community);
        }
    }
    communities.sort_by_key(|community| std::cmp::Reverse(community.len()));
    Ok(communities)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Golden, embeddings};
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        threshold: f32,
        min_size: usize,
        communities: Vec<Vec<usize>>,
    }

    #[test]
    fn agrees_with_the_reference() {
        let golden = Golden::read();
        let blobs = golden.matrix("/blobs");
        for case in golden.get::<Vec<Case>>("/communities") {
            let settings = Communities { threshold: case.threshold, min_size: case.min_size };
            for threads in [1, 2] {
                let found = communities(&Context::new(threads), blobs.view(), &settings).unwrap();
                assert_eq!(found, case.communities, "threshold {}", case.threshold);
            }
        }
    }

    #[test]
    fn every_row_is_in_at_most_one() {
        let matrix = embeddings(500, 12, 8, 1);
        let found = communities(&Context::new(2), matrix.view(), &Communities { threshold: 0.6, min_size: 5 }).unwrap();
        let mut rows: Vec<usize> = found.iter().flatten().copied().collect();
        let members = rows.len();
        rows.sort_unstable();
        rows.dedup();
        assert!(members == rows.len() && members > 100, "{members}");
        assert!(found.iter().all(|community| community.len() >= 5));
        assert!(communities(&Context::new(1), matrix.view().range(0..0), &Communities::default()).unwrap().is_empty());
    }
}
