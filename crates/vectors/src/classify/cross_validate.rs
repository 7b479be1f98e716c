//! A classifier from examples in one call: stratified folds choose C, what the folds say of rows
//! that they have not learnt from gives the temperature and an honest table, and all examples make
//! the weights.

use super::probabilities::{doubt, log_loss, temperature};
use super::{Confusion, Logistic, LogisticSettings, Probabilities};
use crate::error::VectorsError;
use crate::random::Random;
use maana_kernels::{Context, Matrix, Rows};

/// Settings of the choice of a classifier.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Values of C that are tried.
    pub cs: Vec<f64>,
    /// Folds; fewer where the rarest class has fewer examples, and none where it has one.
    pub folds: usize,
    /// Seed of the assignment of examples to folds.
    pub seed: u64,
    /// Settings of the fit.
    pub logistic: LogisticSettings,
}

impl Default for Fit {
    fn default() -> Self {
        let cs = vec![0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];
        Self { cs, folds: 5, seed: 0, logistic: LogisticSettings { tolerance: 1e-6, ..LogisticSettings::default() } }
    }
}

/// One value of C.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossValidated {
    /// The value.
    pub c: f64,
    /// The mean log loss of examples that were not learnt from.
    pub log_loss: f64,
    /// The share of them that was right.
    pub accuracy: f64,
}

/// A classifier and how it was chosen.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Learnt from all examples, its temperature set.
    pub model: Logistic,
    /// The C of the least log loss, of equal ones the least.
    pub c: f64,
    /// All that were tried; empty where a class has one example.
    pub tried: Vec<CrossValidated>,
    /// Predictions for held-out examples at the chosen C.
    pub confusion: Option<Confusion>,
    /// Examples that the temperature was fitted on; `None` if a class has one example.
    pub calibration: Option<Calibration>,
}

/// Held-out examples that a temperature was fitted on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// These examples.
    pub examples: usize,
    /// Those that were taken for another class.
    pub errors: usize,
    /// Their log loss before the temperature.
    pub before: f64,
    /// And after.
    pub after: f64,
    /// The temperature.
    pub temperature: f64,
}

impl Calibration {
    /// The greatest mean probability that this number of examples supports; without errors they
    /// only show that it is no greater.
    pub fn bound(&self) -> f64 {
        1.0 - doubt(self.examples)
    }
}

/// The fold of each example, so that every fold has of every class as many as the others, to one.
pub fn stratified_folds(labels: &[usize], folds: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed);
    let mut by_class: std::collections::BTreeMap<usize, Vec<usize>> = std::collections::BTreeMap::new();
    labels.iter().enumerate().for_each(|(row, label)| by_class.entry(*label).or_default().push(row));
    let mut fold_of = vec![0; labels.len()];
    // Each class continues at the fold where the previous one ended, so that folds have similar
    // sizes.
    let mut next = 0;
    for mut rows in by_class.into_values() {
        for last in (1..rows.len()).rev() {
            rows.swap(last, random.below(last + 1));
        }
        for row in rows {
            fold_of[row] = next % folds.max(1);
            next += 1;
        }
    }
    fold_of
}

/// Chooses, calibrates and learns.
///
/// # Errors
/// As `Logistic::fit`, or no value of C.
///
/// # Panics
/// If there is not a label for each row.
pub fn fit(
    context: &Context,
    rows: Rows<'_>,
    labels: &[usize],
    classes: usize,
    settings: &Fit,
) -> Result<Fitted, VectorsError> {
    assert_eq!(rows.rows(), labels.len(), "a label for each row");
    let mut cs = settings.cs.clone();
    cs.sort_by(f64::total_cmp);
    let Some(first) = cs.first() else {
        return Err(VectorsError::setting("cs", "at least one value of C is needed"));
    };
    let with = |c: f64| LogisticSettings { c, ..settings.logistic };
    let mut counts = vec![0usize; classes];
    for label in labels {
        match counts.get_mut(*label) {
            Some(count) => *count += 1,
            None => return Err(VectorsError::setting("labels", format!("label {label} of {classes} classes"))),
        }
    }
    let rarest = counts.iter().copied().filter(|count| *count > 0).min().unwrap_or(0);
    let folds = settings.folds.min(rarest);
    if folds < 2 {
        let c = if cs.contains(&1.0) { 1.0 } else { *first };
        let (model, _) = Logistic::fit(context, rows, labels, classes, &with(c))?;
        return Ok(Fitted { model, c, tried: vec![], confusion: None, calibration: None });
    }
    let fold_of = stratified_folds(labels, folds, settings.seed);
    let mut tried = Vec::new();
    let mut best: Option<(CrossValidated, Vec<f64>)> = None;
    for c in cs {
        let (logits, present) = held_out(context, rows, labels, classes, &fold_of, folds, &with(c))?;
        let shares = Probabilities::of_logits(&logits, &present, classes, 1.0);
        let accuracy = Confusion::new(labels, &shares.labels(), classes).accuracy();
        let result = CrossValidated { c, log_loss: log_loss(&shares, labels), accuracy };
        tried.push(result);
        if best.as_ref().is_none_or(|(best, _)| result.log_loss < best.log_loss) {
            best = Some((result, logits));
        }
    }
    let (chosen, logits) = best.expect("one value was tried at least");
    let (mut model, _) = Logistic::fit(context, rows, labels, classes, &with(chosen.c))?;
    let places: Vec<usize> =
        labels.iter().map(|label| model.present.binary_search(label).expect("a class with examples")).collect();
    model.temperature = temperature(&logits, model.present.len(), &places);
    let shares = Probabilities::of_logits(&logits, &model.present, classes, model.temperature);
    let found = shares.labels();
    let confusion = Confusion::new(labels, &found, classes);
    let errors = found.iter().zip(labels).filter(|(found, label)| found != label).count();
    let calibration = Some(Calibration {
        examples: labels.len(),
        errors,
        before: chosen.log_loss,
        after: log_loss(&shares, labels),
        temperature: model.temperature,
    });
    Ok(Fitted { model, c: chosen.c, tried, confusion: Some(confusion), calibration })
}

/// The logits of every row by the model that has not learnt from it. Every fold has every class, so
/// all have the same ones.
fn held_out(
    context: &Context,
    rows: Rows<'_>,
    labels: &[usize],
    classes: usize,
    fold_of: &[usize],
    folds: usize,
    settings: &LogisticSettings,
) -> Result<(Vec<f64>, Vec<usize>), VectorsError> {
    let mut logits = Vec::new();
    let mut present = Vec::new();
    for fold in 0..folds {
        let (held, learnt): (Vec<usize>, Vec<usize>) = (0..rows.rows()).partition(|row| fold_of[*row] == fold);
        let gather = |chosen: &[usize]| {
            let data = chosen.iter().flat_map(|row| rows.row(*row).iter().copied()).collect();
            Matrix::from_vec(chosen.len(), rows.columns(), data)
        };
        let learnt_labels: Vec<usize> = learnt.iter().map(|row| labels[*row]).collect();
        let (model, _) = Logistic::fit(context, gather(&learnt).view(), &learnt_labels, classes, settings)?;
        let count = model.present.len();
        logits.resize(rows.rows() * count, 0.0);
        let found = model.logits(context, gather(&held).view())?;
        for (row, found) in held.iter().zip(found.chunks_exact(count)) {
            logits[row * count..(row + 1) * count].copy_from_slice(found);
        }
        present = model.present;
    }
    Ok((logits, present))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{embeddings, noise};

    #[test]
    fn folds_have_of_every_class_as_many() {
        let labels: Vec<usize> = (0..103).map(|row| if row % 5 == 0 { 3 } else { row % 2 }).collect();
        let folds = stratified_folds(&labels, 4, 1);
        assert_eq!(folds, stratified_folds(&labels, 4, 1));
        assert_ne!(folds, stratified_folds(&labels, 4, 2));
        for class in [0, 1, 3] {
            let count = |fold| (0..103).filter(|row| folds[*row] == fold && labels[*row] == class).count();
            let counts: Vec<usize> = (0..4).map(count).collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
    }

    #[test]
    fn a_classifier_is_chosen_calibrated_and_good_on_others() {
        let centres = embeddings(4, 16, 4, 1);
        let make = |count: usize, seed| {
            let shaken = noise(count * 16, seed);
            let labels: Vec<usize> = (0..count).map(|row| row % 4).collect();
            let data = (0..count * 16).map(|i| centres.row(labels[i / 16])[i % 16] + 0.8 * shaken[i]).collect();
            (Matrix::from_vec(count, 16, data), labels)
        };
        let (rows, labels) = make(200, 117);
        let context = Context::new(2);
        let fitted = fit(&context, rows.view(), &labels, 4, &Fit::default()).unwrap();
        let Calibration { before, after, examples, errors, .. } = fitted.calibration.unwrap();
        assert!(after <= before + 1e-3 && examples == 200 && errors > 0);
        assert_eq!(fitted.tried.len(), 6);
        assert!(fitted.tried.iter().all(|tried| tried.log_loss >= before));
        let (others, truth) = make(4000, 5037);
        let found = fitted.model.probabilities(&context, others.view()).unwrap();
        let accuracy = Confusion::new(&truth, &found.labels(), 4).accuracy();
        let promised = fitted.confusion.unwrap().accuracy();
        assert!(accuracy > 0.8 && (accuracy - promised).abs() < 0.1, "{accuracy}, promised {promised}");
    }

    #[test]
    fn separable_examples_do_not_make_it_certain() {
        let centres = embeddings(2, 16, 2, 1);
        let shaken = noise(200 * 16, 5);
        let labels: Vec<usize> = (0..200).map(|row| row % 2).collect();
        let data = (0..200 * 16).map(|i| centres.row(labels[i / 16])[i % 16] + 0.02 * shaken[i]).collect();
        let rows = Matrix::from_vec(200, 16, data);
        let context = Context::new(2);
        let fitted = fit(&context, rows.view(), &labels, 2, &Fit::default()).unwrap();
        let calibration = fitted.calibration.unwrap();
        assert_eq!((calibration.examples, calibration.errors), (200, 0));
        assert!(calibration.temperature > 0.1, "{calibration:?}");
        let found = fitted.model.probabilities(&context, rows.view()).unwrap();
        assert_eq!(found.labels(), labels);
        let mean = (0..200).map(|row| found.row(row)[labels[row]]).sum::<f64>() / 200.0;
        assert!((mean - calibration.bound()).abs() < 2e-3, "{mean} where {} is supported", calibration.bound());
    }

    #[test]
    fn few_examples_do() {
        let rows = embeddings(3, 4, 3, 1);
        let context = Context::new(1);
        let fitted = fit(&context, rows.view(), &[0, 1, 2], 3, &Fit::default()).unwrap();
        assert_eq!((fitted.c, fitted.tried.len(), fitted.confusion), (1.0, 0, None));
        assert_eq!(fitted.model.probabilities(&context, rows.view()).unwrap().labels(), [0, 1, 2]);
        assert!(fit(&context, rows.view(), &[0, 0, 0], 3, &Fit::default()).is_err());
        assert!(fit(&context, rows.view(), &[0, 1, 3], 3, &Fit::default()).is_err());
        assert!(fit(&context, rows.view(), &[0, 1, 2], 3, &Fit { cs: vec![], ..Fit::default() }).is_err());
    }
}
