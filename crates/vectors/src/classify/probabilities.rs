//! Probability of each class for each row, its fit to the true classes, and the temperature that
//! makes it fit best.

/// A row of shares for each row. `(rows, classes)`
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities {
    classes: usize,
    data: Vec<f64>,
}

impl Probabilities {
    /// From values in the order of rows.
    pub fn from_vec(classes: usize, data: Vec<f64>) -> Self {
        assert!(classes > 0 && data.len().is_multiple_of(classes), "{} values of {classes} classes", data.len());
        Self { classes, data }
    }

    /// The softmax of logits divided by a temperature; `present` says whose they are, and other
    /// classes have 0.
    pub(super) fn of_logits(logits: &[f64], present: &[usize], classes: usize, temperature: f64) -> Self {
        let mut data = vec![0.0; logits.len() / present.len() * classes];
        for (logits, out) in logits.chunks_exact(present.len()).zip(data.chunks_exact_mut(classes)) {
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers = logits.iter().map(|logit| ((logit - largest) / temperature).exp());
            powers.zip(present).for_each(|(power, class)| out[*class] = power);
            let sum: f64 = out.iter().sum();
            out.iter_mut().for_each(|value| *value /= sum);
        }
        Self { classes, data }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.data.len() / self.classes
    }

    /// The share of each class.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.classes..(row + 1) * self.classes]
    }

    /// The likeliest class of each row, of equal ones the lower.
    pub fn labels(&self) -> Vec<usize> {
        let best = |row: &[f64]| {
            row.iter()
                .enumerate()
                .fold((0, f64::NEG_INFINITY), |best, (i, p)| if *p > best.1 { (i, *p) } else { best })
                .0
        };
        self.data.chunks_exact(self.classes).map(best).collect()
    }
}

/// The mean of −ln of the true class's share; shares below 1e-15 count as that.
pub fn log_loss(probabilities: &Probabilities, labels: &[usize]) -> f64 {
    assert_eq!(probabilities.rows(), labels.len(), "a label for each row");
    let loss = |(row, label): (usize, &usize)| -probabilities.row(row)[*label].max(1e-15).ln();
    labels.iter().enumerate().map(loss).sum::<f64>() / labels.len().max(1) as f64
}

/// The expected calibration error: in `bins` of equal width of the greatest share, how far it is
/// from the share of rows that are right, weighted by rows (Guo et al. 2017).
pub fn calibration_error(probabilities: &Probabilities, labels: &[usize], bins: usize) -> f64 {
    assert_eq!(probabilities.rows(), labels.len(), "a label for each row");
    let bins = bins.max(1);
    let mut gaps = vec![0.0f64; bins];
    for (row, (found, label)) in probabilities.labels().into_iter().zip(labels).enumerate() {
        let sure = probabilities.row(row)[found];
        let bin = ((sure * bins as f64).ceil() as usize).clamp(1, bins) - 1;
        gaps[bin] += sure - f64::from(u8::from(found == *label));
    }
    gaps.iter().map(|gap| gap.abs()).sum::<f64>() / labels.len().max(1) as f64
}

/// The temperature by which logits `(rows, classes)` are divided for the least log loss, from 0.01
/// to 100. They must be logits of rows that the classifier has not learnt from, or it will be too
/// sure.
///
/// Each label counts as right with probability 1 − 1 / (rows + 2), and as each other class with an
/// equal share of the rest, as in Platt (1999): n rows without an error do not show that errors are
/// rarer than that, whatever their logits are.
pub fn temperature(logits: &[f64], classes: usize, labels: &[usize]) -> f64 {
    assert_eq!(logits.len(), classes * labels.len(), "{classes} logits for each label");
    let doubt = doubt(labels.len());
    let other = doubt / classes.saturating_sub(1).max(1) as f64;
    let loss = |log: f64| {
        let temperature = log.exp();
        let row = |(logits, label): (&[f64], &usize)| {
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (mut sum, mut expected) = (0.0, (1.0 - doubt - other) * (logits[*label] - largest) / temperature);
            for logit in logits {
                let scaled = (logit - largest) / temperature;
                sum += scaled.exp();
                expected += other * scaled;
            }
            sum.ln() - expected
        };
        logits.chunks_exact(classes).zip(labels).map(row).sum::<f64>()
    };
    // The loss is convex in 1 / T, so that it has one valley in ln T: the golden section finds it.
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.01f64.ln(), 100f64.ln());
    let (mut a, mut b) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_a, mut at_b) = (loss(a), loss(b));
    while high - low > 1e-6 {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - golden * (high - low);
            at_a = loss(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + golden * (high - low);
            at_b = loss(b);
        }
    }
    f64::midpoint(low, high).exp()
}

/// The share of errors that n rows without one do not rule out: Laplace's rule of succession.
pub(super) fn doubt(rows: usize) -> f64 {
    1.0 / (rows as f64 + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn rows_without_an_error_bound_the_temperature() {
        for (rows, classes) in [(20, 2), (200, 2), (200, 5)] {
            let labels: Vec<usize> = (0..rows).map(|row| row % classes).collect();
            let mut means = Vec::new();
            for size in [1.0, 50.0] {
                let logit = |i: usize| if i % classes == labels[i / classes] { size } else { 0.0 };
                let logits: Vec<f64> = (0..rows * classes).map(logit).collect();
                let found = temperature(&logits, classes, &labels);
                let all: Vec<usize> = (0..classes).collect();
                let shares = Probabilities::of_logits(&logits, &all, classes, found);
                means.push((0..rows).map(|row| shares.row(row)[labels[row]]).sum::<f64>() / rows as f64);
            }
            for mean in means {
                assert!((mean - (1.0 - doubt(rows))).abs() < 1e-3, "{rows} rows of {classes}: {mean}");
            }
        }
    }

    #[test]
    fn the_temperature_that_was_put_in_is_found() {
        let mut random = Random::new(3);
        for true_temperature in [0.4, 1.0, 3.0] {
            let (mut logits, mut labels) = (Vec::new(), Vec::new());
            for _ in 0..20_000 {
                let row: Vec<f64> = (0..3).map(|_| 4.0 * random.unit()).collect();
                let shares = Probabilities::of_logits(&row, &[0, 1, 2], 3, 1.0);
                let target = random.unit();
                let label =
                    if target < shares.row(0)[0] { 0 } else { 1 + usize::from(target > 1.0 - shares.row(0)[2]) };
                labels.push(label);
                logits.extend(row.iter().map(|logit| logit * true_temperature));
            }
            let found = temperature(&logits, 3, &labels);
            assert!((found / true_temperature - 1.0).abs() < 0.05, "{found} is not {true_temperature}");
            let error = |t| calibration_error(&Probabilities::of_logits(&logits, &[0, 1, 2], 3, t), &labels, 15);
            assert!(error(found) < 0.02 && (true_temperature == 1.0 || error(1.0) > 2.0 * error(found)));
        }
    }

    #[test]
    fn errors_by_hand() {
        let shares = Probabilities::from_vec(2, vec![0.9, 0.1, 0.4, 0.6, 0.5, 0.5]);
        assert_eq!(shares.labels(), [0, 1, 0]);
        let expected = -(0.9f64.ln() + 0.4f64.ln() + 0.5f64.ln()) / 3.0;
        assert!((log_loss(&shares, &[0, 0, 1]) - expected).abs() < 1e-12);
        // Gaps 0.1 (right at 0.9), 0.6 (wrong at 0.6), 0.5 (wrong at 0.5), each in a bin of its
        // own.
        assert!((calibration_error(&shares, &[0, 0, 1], 10) - (0.1 + 0.6 + 0.5) / 3.0).abs() < 1e-12);
        assert_eq!(log_loss(&Probabilities::from_vec(1, vec![]), &[]), 0.0);
    }
}
