//! Duplicates: rows whose cosine reaches a threshold belong together, and so do those that are
//! joined by others. Of each group the first stays.

use super::for_each_above;
use crate::error::{VectorsError, check_finite};
use maana_files::Groups;
use maana_kernels::{Context, Rows};

/// Duplicates and their originals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicates {
    /// For each row the first row of its group; a row that stays has its own number.
    pub first: Vec<usize>,
}

impl Duplicates {
    /// Rows that stay, ascending.
    pub fn kept(&self) -> Vec<usize> {
        (0..self.first.len()).filter(|row| self.first[*row] == *row).collect()
    }

    /// Groups of two rows and more, each ascending, in the order of their first rows.
    pub fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups = vec![Vec::new(); self.first.len()];
        self.first.iter().enumerate().for_each(|(row, first)| groups[*first].push(row));
        groups.into_iter().filter(|group| group.len() > 1).collect()
    }
}

/// Groups rows whose cosine is at least `threshold`. Every pair is compared.
///
/// ```
/// use maana_kernels::{Context, Rows};
/// use maana_vectors::pairs::dedupe;
///
/// let rows = Rows::new(&[1.0, 0.0, 0.0, 1.0, 2.0, 0.0], 3, 2, 2);
/// assert_eq!(dedupe(&Context::new(1), rows, 0.99).unwrap().kept(), [0, 1]);
/// ```
///
/// # Errors
/// Values that are not finite, or a threshold that is NaN.
pub fn dedupe(context: &Context, rows: Rows<'_>, threshold: f32) -> Result<Duplicates, VectorsError> {
    check_finite(rows)?;
    if threshold.is_nan() {
        return Err(VectorsError::setting("threshold", "NaN is no cosine"));
    }
    let mut groups = Groups::new(rows.rows());
    for_each_above(context, rows, threshold, true, |row, found| {
        found.iter().for_each(|(other, _)| groups.join(row as u32, *other));
    });
    Ok(Duplicates { first: (0..rows.rows() as u32).map(|row| groups.find(row) as usize).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Metric;
    use crate::testing::embeddings;

    /// Groups by walking from row to row.
    fn reference_first(rows: Rows<'_>, threshold: f32) -> Vec<usize> {
        let mut first = vec![usize::MAX; rows.rows()];
        for start in 0..rows.rows() {
            let mut open = if first[start] == usize::MAX { vec![start] } else { vec![] };
            while let Some(row) = open.pop() {
                if first[row] != usize::MAX {
                    continue;
                }
                first[row] = start;
                open.extend((0..rows.rows()).filter(|other| {
                    *other != row && Metric::Cosine.score(rows.row(row), rows.row(*other)) >= threshold
                }));
            }
        }
        first
    }

    #[test]
    fn groups_are_those_that_walking_finds() {
        let matrix = embeddings(400, 10, 60, 1);
        for threshold in [0.5, 0.8, 0.9, 0.95, 0.999] {
            let found = dedupe(&Context::new(2), matrix.view(), threshold).unwrap();
            assert_eq!(found.first, reference_first(matrix.view(), threshold), "{threshold}");
            let grouped: usize = found.groups().iter().map(|group| group.len() - 1).sum();
            assert_eq!(found.kept().len() + grouped, 400);
        }
        assert!(dedupe(&Context::new(1), matrix.view(), f32::NAN).is_err());
    }

    #[test]
    fn a_chain_is_one_group() {
        let angles = [0.0f32, 0.2, 0.4, 0.6, 2.0];
        let data: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        let found = dedupe(&Context::new(1), Rows::new(&data, 5, 2, 2), 0.97).unwrap();
        assert_eq!(found.first, [0, 0, 0, 0, 4]);
        assert_eq!(found.groups(), [[0, 1, 2, 3]]);
    }
}
