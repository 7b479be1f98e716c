//! Advice after a run without `[blend]`: the value of a few blends with the base, if measuring them
//! takes little of the time of the run.

use super::blending::{Ends, Place, deciding, value};
use super::error::FinetuneError;
use super::measures::START;
use super::prepare::Prepared;
use crate::card::CardFacts;
use maana_train::KeepBest;

/// Shares of the trained model that are measured.
const ALPHAS: [f64; 3] = [0.3, 0.5, 0.7];

/// Largest share of the time of the run that is spent on them.
const TIME: f64 = 0.1;

/// Blends of the base and the trained model that could be made.
pub struct Advice {
    /// The base, as a command takes it.
    pub base: String,
    /// The deciding metric.
    pub metric: String,
    /// Shares of the trained model with the metric, from the base (0) to the trained model (1).
    /// Empty if the run has no evaluation, or measuring would take too long, was stopped or failed.
    pub points: Vec<(f64, f64)>,
    /// The error that prevented measuring.
    pub failure: Option<FinetuneError>,
}

/// Measures a few blends on the sets of `[evaluation]`. The model ends with the parameters of one
/// of them. The run is complete whether or not they can be measured, so that a failure is part of
/// the result.
pub(super) fn advise(
    prepared: &mut Prepared,
    base: &str,
    facts: &CardFacts,
    evaluation_seconds: f64,
    place: Place<'_>,
) -> Advice {
    let measure = deciding(&prepared.located.recipe.training.keep_best, &facts.before);
    let is_cheap = ALPHAS.len() as f64 * evaluation_seconds <= TIME * facts.record.seconds;
    let (points, failure) = match facts.after.is_empty() || !is_cheap {
        true => (Vec::new(), None),
        false => match points(prepared, base, facts, &measure, place) {
            Ok(points) => (points, None),
            Err(error) => (Vec::new(), Some(error)),
        },
    };
    Advice { base: prepared.located.base(), metric: measure.to_string(), points, failure }
}

/// Returns the shares with the metric; nothing if measuring was stopped.
fn points(
    prepared: &mut Prepared,
    base: &str,
    facts: &CardFacts,
    measure: &KeepBest,
    Place { context, stop, .. }: Place<'_>,
) -> Result<Vec<(f64, f64)>, FinetuneError> {
    let ends = Ends::read(prepared, base, context)?;
    let mut points = vec![(0.0, value(measure, &facts.before))];
    for alpha in ALPHAS {
        ends.blend(alpha, &mut prepared.model);
        let Some(scores) = prepared.evaluate(&prepared.model, context, stop, START)? else { return Ok(Vec::new()) };
        points.push((alpha, value(measure, &scores)));
    }
    points.push((1.0, value(measure, &facts.after)));
    Ok(points)
}
