//! Accuracy of a classifier, and its confusions of classes.

use serde::{Deserialize, Serialize};

/// Rows counted by their true and their found class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    classes: usize,
    /// `(true, found)`
    counts: Vec<u64>,
}

/// Of one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// The share of rows found to be of this class that are.
    pub precision: f64,
    /// The share of rows of this class that are found to be.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// Rows of this class.
    pub support: u64,
}

impl Confusion {
    /// Counts.
    ///
    /// # Panics
    /// If labels are not as many, or one is no class.
    pub fn new(truth: &[usize], found: &[usize], classes: usize) -> Self {
        assert_eq!(truth.len(), found.len(), "two labels for each row");
        let mut counts = vec![0; classes * classes];
        for (truth, found) in truth.iter().zip(found) {
            assert!(*truth < classes && *found < classes, "labels {truth} and {found} of {classes} classes");
            counts[truth * classes + found] += 1;
        }
        Self { classes, counts }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Rows of class `truth` that were found to be of class `found`.
    pub fn count(&self, truth: usize, found: usize) -> u64 {
        self.counts[truth * self.classes + found]
    }

    /// The share of rows that are right; 0 of none.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        ratio(right, self.counts.iter().sum())
    }

    /// The scores of a class; 0 where nothing can be said.
    pub fn class(&self, class: usize) -> ClassScores {
        let right = self.count(class, class);
        let support = (0..self.classes).map(|found| self.count(class, found)).sum();
        let found: u64 = (0..self.classes).map(|truth| self.count(truth, class)).sum();
        ClassScores {
            precision: ratio(right, found),
            recall: ratio(right, support),
            f1: ratio(2 * right, support + found),
            support,
        }
    }

    /// The mean F1 of classes that are true or found somewhere, as scikit-learn takes it.
    pub fn macro_f1(&self) -> f64 {
        let there =
            |class: &usize| (0..self.classes).any(|other| self.count(*class, other) + self.count(other, *class) > 0);
        let classes: Vec<usize> = (0..self.classes).filter(there).collect();
        classes.iter().map(|class| self.class(*class).f1).sum::<f64>() / classes.len().max(1) as f64
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Golden;

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = Golden::read();
        let (truth, found): (Vec<usize>, Vec<usize>) = (golden.get("/labels"), golden.get("/measures/predicted"));
        // A fourth class that is nowhere counts for nothing.
        let confusion = Confusion::new(&truth, &found, 4);
        assert!((confusion.accuracy() - golden.get::<f64>("/measures/accuracy")).abs() < 1e-12);
        assert!((confusion.macro_f1() - golden.get::<f64>("/measures/macro_f1")).abs() < 1e-12);
    }

    #[test]
    fn scores_by_hand() {
        let confusion = Confusion::new(&[0, 0, 0, 1], &[0, 0, 1, 1], 2);
        assert_eq!(confusion.count(0, 1), 1);
        let scores = confusion.class(0);
        assert_eq!((scores.precision, scores.recall, scores.f1, scores.support), (1.0, 2.0 / 3.0, 0.8, 3));
        assert_eq!(Confusion::new(&[], &[], 2).accuracy(), 0.0);
    }
}
