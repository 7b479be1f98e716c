//! Suites: folders of data sets of several kinds, each with its own metrics.

use super::{Evaluate, classes};
use anyhow::{Context as _, Result, ensure};
use maana::eval::Scores;
use maana::evaluation::{EvaluationError, EvaluationSet, InPrecision, Measured, Measuring, PairMeasuring, SetSpec};
use maana::kernels::Context;
use maana::model::{CrossEncoder, Role, Task, TextEncoder, WeightStorage};
use std::path::Path;

impl Evaluate {
    pub(super) fn run_suite(&self, folder: &Path, context: &Context) -> Result<()> {
        let specs = maana::evaluation::find(folder)?;
        let precisions = if self.precisions.is_empty() {
            vec![self.precision.precision]
        } else {
            self.precisions.iter().copied().map(Some).collect()
        };
        let mut dims = self.dims.clone();
        let (mut runs, mut sets, mut first_stage) = (Vec::new(), Vec::new(), None);
        for choice in precisions {
            let model = crate::terminal::open_any(WeightStorage::Packed, &self.model, context, choice)?.model;
            if choice.is_none() && !model.is_static() {
                crate::precision::suggest_faster_when_long();
            }
            let precision = model.precision().name().to_owned();
            let is_first = runs.is_empty();
            if is_first {
                let classes = classes(&model);
                let open = |spec: SetSpec| EvaluationSet::open(&SetSpec { classes: classes.clone(), ..spec });
                sets = specs.iter().cloned().map(open).collect::<Result<Vec<_>, _>>()?;
            }
            let measures = match model.spec().task() {
                Task::Embed => {
                    self.check_of_embeddings()?;
                    let encoder = self.text_encoder(&TextEncoder::new(model, context)?)?;
                    if is_first {
                        crate::prompts::print_prompts(&encoder, &[Role::Query, Role::Document]);
                    }
                    if dims.is_empty() {
                        dims.push(encoder.dimension());
                    }
                    let measuring = Measuring::new(&encoder, context, &dims);
                    suite(&sets, |set| set.measure(&measuring))?
                }
                Task::Score(_) => {
                    let encoder = self.pair_encoder(CrossEncoder::new(model, context)?)?;
                    if is_first {
                        sets = measurable(sets, encoder.labels().len())?;
                        first_stage = Some(self.first_stage(&sets, context)?);
                    }
                    let first_stage = first_stage.as_ref();
                    let measuring = PairMeasuring { encoder: &encoder, context, loss: None, first_stage };
                    let measures = suite(&sets, |set| set.measure_pairs(&measuring).map(|scores| vec![scores]))?;
                    crate::cross_encoder::print_truncated(&encoder);
                    measures
                }
            };
            if self.precisions.len() > 1 {
                crate::terminal::print(format_args!("{precision}\n"))?;
            }
            crate::terminal::print(format_args!("{}", maana::evaluation::suite_table(&measures, &dims)))?;
            runs.push(InPrecision { precision, measures });
        }
        if let Some(path) = &self.json {
            let json = serde_json::json!({"model": self.model, "dims": dims, "measured": runs});
            crate::terminal::write_lines(Some(path), std::iter::once(Ok(format!("{json:#}"))))?;
        }
        if let Some(path) = &self.chart {
            let chart = maana::evaluation::chart(&runs, &dims, &self.model);
            crate::terminal::write_lines(Some(path), std::iter::once(Ok(chart)))?;
        }
        Ok(())
    }
}

/// Returns the sets of a suite on which a cross-encoder with this number of labels is measured, and
/// names the others.
fn measurable(sets: Vec<EvaluationSet>, labels: usize) -> Result<Vec<EvaluationSet>> {
    let mut measurable = Vec::new();
    for set in sets {
        match set.check_pairs(labels, true) {
            Ok(()) => measurable.push(set),
            Err(error) => errln!("skipped: {error}"),
        }
    }
    ensure!(!measurable.is_empty(), "the suite has no set on which this cross-encoder is measured");
    Ok(measurable)
}

/// Measures the sets of a suite, and prints the time that each takes.
fn suite(
    sets: &[EvaluationSet],
    measure: impl Fn(&EvaluationSet) -> Result<Vec<Scores>, EvaluationError>,
) -> Result<Vec<Measured>> {
    let mut measures = Vec::new();
    for set in sets {
        let start = std::time::Instant::now();
        let scores = measure(set).with_context(|| set.title().to_owned())?;
        measures.extend(maana::evaluation::suite_rows(set.title(), &scores));
        errln!("{}: {:.1} s", set.title(), start.elapsed().as_secs_f64());
    }
    Ok(measures)
}
