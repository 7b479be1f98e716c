//! Multinomial logistic regression: C · Σ log loss + ½ ‖W‖², intercepts free, as scikit-learn's
//! `LogisticRegression` has it; of two classes one set of weights, as there. All in f64; sums are
//! cut at fixed rows, so that threads change no bit.

use super::Probabilities;
use super::lbfgs::minimise;
use crate::error::{VectorsError, check_finite};
use maana_kernels::{Context, Rows};
use serde::{Deserialize, Serialize};

/// Settings of the fit.
#[derive(Clone, Copy, Debug)]
pub struct LogisticSettings {
    /// Greater trusts the examples more, less keeps weights small.
    pub c: f64,
    /// Ends when no derivative of the mean objective is greater.
    pub tolerance: f64,
    /// The most steps.
    pub iterations: usize,
}

impl Default for LogisticSettings {
    fn default() -> Self {
        Self { c: 1.0, tolerance: 1e-8, iterations: 5000 }
    }
}

/// A classifier: plain data, to be written down and read back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    /// All classes, those without examples among them.
    pub classes: usize,
    /// Columns of a row.
    pub columns: usize,
    /// The classes that had examples, ascending. Others have probability 0.
    pub present: Vec<usize>,
    /// `(present, columns)`; of two classes `(1, columns)`, for the second.
    pub weights: Vec<f64>,
    /// One for each row of weights.
    pub intercepts: Vec<f64>,
    /// Divisor of the logits.
    pub temperature: f64,
}

/// Rows of a partial sum.
const BLOCK: usize = 128;

impl Logistic {
    /// Finds the weights. The value of the objective is given with them.
    ///
    /// ```
    /// use maana_kernels::{Context, Rows};
    /// use maana_vectors::classify::{Logistic, LogisticSettings};
    ///
    /// let rows = Rows::new(&[-2.0, -1.0, 1.0, 2.0], 4, 1, 1);
    /// let context = Context::new(1);
    /// let settings = LogisticSettings::default();
    /// let (model, _) = Logistic::fit(&context, rows, &[0, 0, 1, 1], 2, &settings).unwrap();
    /// let probabilities = model.probabilities(&context, Rows::new(&[3.0], 1, 1, 1)).unwrap();
    /// assert!(probabilities.row(0)[1] > 0.9);
    /// ```
    ///
    /// # Errors
    /// Values that are not finite, a label outside the classes, examples of fewer than two classes,
    /// or a `c` that is not positive.
    ///
    /// # Panics
    /// If there is not a label for each row.
    pub fn fit(
        context: &Context,
        rows: Rows<'_>,
        labels: &[usize],
        classes: usize,
        settings: &LogisticSettings,
    ) -> Result<(Self, f64), VectorsError> {
        let present = check(rows, labels, classes)?;
        if settings.c.is_nan() || settings.c <= 0.0 {
            return Err(VectorsError::setting("c", format!("{} is not positive", settings.c)));
        }
        let outputs = if present.len() == 2 { 1 } else { present.len() };
        let targets: Vec<usize> =
            labels.iter().map(|label| present.binary_search(label).expect("a class with examples")).collect();
        let columns = rows.columns();
        let scale = settings.c * rows.rows() as f64;
        let objective = Objective { context, rows, targets: &targets, outputs, penalty: 1.0 / scale };
        // Column by column, intercepts last: `[column][output]`.
        let start = vec![0.0; (columns + 1) * outputs];
        let (x, value) =
            minimise(start, settings.tolerance, settings.iterations, |x, gradient| objective.value(x, gradient));
        let weights = (0..outputs).flat_map(|o| (0..columns).map(move |c| (c, o))).map(|(c, o)| x[c * outputs + o]);
        let weights = weights.collect();
        let intercepts = centred(x[columns * outputs..].to_vec());
        let model = Self { classes, columns, present, weights, intercepts, temperature: 1.0 };
        Ok((model, value * scale))
    }

    /// Logits of the classes that had examples, by the temperature not yet divided.
    /// `(rows, present)`
    ///
    /// # Errors
    /// Rows of other dims.
    pub fn logits(&self, context: &Context, rows: Rows<'_>) -> Result<Vec<f64>, VectorsError> {
        if rows.columns() != self.columns && rows.rows() > 0 {
            return Err(VectorsError::Dims { expected: self.columns, found: rows.columns() });
        }
        let count = self.present.len();
        let mut logits = vec![0.0; rows.rows() * count];
        context.for_each_chunk(&mut logits, BLOCK * count, |task, logits| {
            for (row, logits) in logits.chunks_exact_mut(count).enumerate() {
                let x = rows.row(task * BLOCK + row);
                let logit = |output: usize| {
                    let weights = &self.weights[output * self.columns..(output + 1) * self.columns];
                    let sum: f64 = weights.iter().zip(x).map(|(weight, x)| weight * f64::from(*x)).sum();
                    sum + self.intercepts[output]
                };
                if self.intercepts.len() == 1 {
                    logits[1] = logit(0);
                } else {
                    logits.iter_mut().enumerate().for_each(|(output, place)| *place = logit(output));
                }
            }
        });
        Ok(logits)
    }

    /// Returns the probability of each class for each row.
    ///
    /// # Errors
    /// Rows of other dims.
    pub fn probabilities(&self, context: &Context, rows: Rows<'_>) -> Result<Probabilities, VectorsError> {
        let logits = self.logits(context, rows)?;
        Ok(Probabilities::of_logits(&logits, &self.present, self.classes, self.temperature))
    }
}

/// The classes that have examples.
fn check(rows: Rows<'_>, labels: &[usize], classes: usize) -> Result<Vec<usize>, VectorsError> {
    assert_eq!(rows.rows(), labels.len(), "a label for each row");
    check_finite(rows)?;
    if let Some(label) = labels.iter().find(|label| **label >= classes) {
        return Err(VectorsError::setting("labels", format!("label {label} of {classes} classes")));
    }
    let mut present = labels.to_vec();
    present.sort_unstable();
    present.dedup();
    if present.len() < 2 {
        return Err(VectorsError::setting("labels", "examples of two classes or more are needed"));
    }
    Ok(present)
}

/// A constant added to all intercepts changes no probability; this one makes their sum 0.
fn centred(mut intercepts: Vec<f64>) -> Vec<f64> {
    if intercepts.len() > 1 {
        let mean = intercepts.iter().sum::<f64>() / intercepts.len() as f64;
        intercepts.iter_mut().for_each(|value| *value -= mean);
    }
    intercepts
}

struct Objective<'a> {
    context: &'a Context,
    rows: Rows<'a>,
    /// Places among the classes that are present.
    targets: &'a [usize],
    outputs: usize,
    penalty: f64,
}

impl Objective<'_> {
    /// The mean log loss and the penalty; writes the gradient.
    fn value(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (n, columns, outputs) = (self.rows.rows(), self.rows.columns(), self.outputs);
        let size = x.len();
        // Of each block of rows, its gradient and its loss.
        let mut parts = vec![0.0; n.div_ceil(BLOCK) * (size + 1)];
        self.context.for_each_chunk(&mut parts, size + 1, |block, part| {
            let (part, loss) = part.split_at_mut(size);
            let mut logits = vec![0.0; outputs];
            for row in block * BLOCK..n.min((block + 1) * BLOCK) {
                let values = self.rows.row(row);
                logits.copy_from_slice(&x[columns * outputs..]);
                for (value, weights) in values.iter().zip(x.chunks_exact(outputs)) {
                    let value = f64::from(*value);
                    logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += value * weight);
                }
                loss[0] += self.loss(row, &mut logits);
                for (value, part) in values.iter().zip(part.chunks_exact_mut(outputs)) {
                    let value = f64::from(*value);
                    part.iter_mut().zip(&logits).for_each(|(sum, d_logit)| *sum += value * d_logit);
                }
                part[columns * outputs..].iter_mut().zip(&logits).for_each(|(sum, d_logit)| *sum += d_logit);
            }
        });
        gradient.fill(0.0);
        let mut loss = 0.0;
        for part in parts.chunks_exact(size + 1) {
            gradient.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            loss += part[size];
        }
        gradient.iter_mut().for_each(|value| *value /= n as f64);
        let weights = &x[..columns * outputs];
        gradient.iter_mut().zip(weights).for_each(|(d, weight)| *d += self.penalty * weight);
        loss / n as f64 + 0.5 * self.penalty * weights.iter().map(|weight| weight * weight).sum::<f64>()
    }

    /// The log loss of a row; turns its logits into their gradient.
    fn loss(&self, row: usize, logits: &mut [f64]) -> f64 {
        let target = self.targets[row];
        if self.outputs == 1 {
            let z = logits[0];
            let signed = if target == 1 { z } else { -z };
            logits[0] = 1.0 / (1.0 + (-z).exp()) - target as f64;
            // ln(1 + e^−s), whatever the size of s.
            return (-signed).max(0.0) + (-signed.abs()).exp().ln_1p();
        }
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let own = logits[target] - largest;
        logits.iter_mut().for_each(|logit| *logit = (*logit - largest).exp());
        let sum: f64 = logits.iter().sum();
        logits.iter_mut().for_each(|logit| *logit /= sum);
        logits[target] -= 1.0;
        sum.ln() - own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Golden, embeddings};
    use maana_kernels::Matrix;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        #[serde(rename = "C")]
        c: f64,
        coef: Vec<Vec<f64>>,
        intercept: Vec<f64>,
        probabilities: Vec<Vec<f64>>,
        objective: f64,
    }

    fn agrees(rows: Rows<'_>, labels: &[usize], classes: usize, cases: Vec<Case>) {
        for case in cases {
            let settings = LogisticSettings { c: case.c, ..LogisticSettings::default() };
            let (model, objective) = Logistic::fit(&Context::new(2), rows, labels, classes, &settings).unwrap();
            let close = |ours: f64, theirs: f64| (ours - theirs).abs() < 1e-5 * (1.0 + theirs.abs());
            assert!(close(objective, case.objective), "C {}: {objective} is not {}", case.c, case.objective);
            let expected: Vec<f64> = case.coef.concat();
            assert_eq!(model.weights.len(), expected.len());
            for (ours, theirs) in model.weights.iter().zip(&expected) {
                assert!(close(*ours, *theirs), "C {}: {ours} is not {theirs}", case.c);
            }
            let mean = case.intercept.iter().sum::<f64>() / case.intercept.len() as f64;
            let mean = if case.intercept.len() > 1 { mean } else { 0.0 };
            assert!(model.intercepts.iter().zip(&case.intercept).all(|(a, b)| close(*a, b - mean)));
            let found = model.probabilities(&Context::new(1), rows.range(0..5)).unwrap();
            for (row, expected) in case.probabilities.iter().enumerate() {
                assert!(found.row(row).iter().zip(expected).all(|(a, b)| close(*a, *b)));
            }
        }
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = Golden::read();
        let blobs = golden.matrix("/blobs");
        let labels: Vec<usize> = golden.get("/labels");
        agrees(blobs.view(), &labels, 3, golden.get("/logistic/three"));
        let two: Vec<usize> = (0..60).filter(|row| labels[*row] != 2).collect();
        let data = two.iter().flat_map(|row| blobs.row(*row).iter().copied()).collect();
        let labels: Vec<usize> = two.iter().map(|row| labels[*row]).collect();
        agrees(Matrix::from_vec(two.len(), 6, data).view(), &labels, 2, golden.get("/logistic/two"));
    }

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let matrix = embeddings(300, 5, 4, 1);
        for outputs in [1, 4] {
            let targets: Vec<usize> = (0..300).map(|row| row * 7 % if outputs == 1 { 2 } else { 4 }).collect();
            let context = Context::new(2);
            let objective =
                Objective { context: &context, rows: matrix.view(), targets: &targets, outputs, penalty: 0.3 };
            let mut x: Vec<f64> = crate::testing::noise(6 * outputs, 5).iter().map(|x| f64::from(*x)).collect();
            let mut gradient = vec![0.0; x.len()];
            objective.value(&x, &mut gradient);
            for i in 0..x.len() {
                let at = |x: &mut [f64], step: f64| {
                    x[i] += step;
                    let value = objective.value(x, &mut vec![0.0; x.len()]);
                    x[i] -= step;
                    value
                };
                let difference = (at(&mut x, 1e-5) - at(&mut x, -1e-5)) / 2e-5;
                assert!((difference - gradient[i]).abs() < 1e-8, "{i}: {difference} {}", gradient[i]);
            }
        }
    }

    #[test]
    fn the_same_bits_for_any_threads_and_absent_classes_have_no_share() {
        let matrix = embeddings(500, 6, 3, 1);
        // Classes 1, 4 and 5 of seven.
        let labels: Vec<usize> = (0..500).map(|row| [1, 4, 5][row % 3]).collect();
        let fit = |threads| {
            Logistic::fit(&Context::new(threads), matrix.view(), &labels, 7, &LogisticSettings::default()).unwrap()
        };
        let (model, _) = fit(1);
        assert_eq!(model, fit(3).0);
        let found = model.probabilities(&Context::new(2), matrix.view()).unwrap();
        for row in 0..500 {
            let row = found.row(row);
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert_eq!((row[0], row[2], row[3], row[6]), (0.0, 0.0, 0.0, 0.0));
        }
        let json = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<Logistic>(&json).unwrap(), model);
    }

    #[test]
    fn what_cannot_be_learnt_is_said() {
        let rows = embeddings(4, 3, 2, 1);
        let fit = |labels: &[usize], c| {
            let settings = LogisticSettings { c, ..LogisticSettings::default() };
            Logistic::fit(&Context::new(1), rows.view(), labels, 2, &settings).map(|_| ()).unwrap_err().to_string()
        };
        assert!(fit(&[0, 0, 0, 0], 1.0).contains("two classes or more"));
        assert!(fit(&[0, 1, 2, 0], 1.0).contains("label 2 of 2 classes"));
        assert!(fit(&[0, 1, 1, 0], 0.0).contains("not positive"));
        assert!(fit(&[0, 1, 1, 0], f64::NAN).contains("not positive"));
    }
}
