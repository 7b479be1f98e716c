//! Advice after a run without `[blend]`: the value of a few blends with the base, if measuring them
//! takes little of the time of the run.

use super::blending::{Ends, Place, deciding, value};
use super::error::FinetuneError;
use super::prepare::Prepared;
use crate::card::CardFacts;

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
    /// Empty if the run has no evaluation, or measuring would take too long.
    pub points: Vec<(f64, f64)>,
}

/// Measures a few blends on the sets of `[evaluation]`. The model ends with the parameters of one
/// of them.
pub(super) fn advise(
    prepared: &mut Prepared,
    base: &str,
    facts: &CardFacts,
    evaluation_seconds: f64,
    Place { context, stop, .. }: Place<'_>,
) -> Result<Advice, FinetuneError> {
    let measure = deciding(&prepared.located.recipe.training.keep_best, &facts.before);
    let mut advice = Advice { base: prepared.located.base(), metric: measure.to_string(), points: Vec::new() };
    let is_cheap = ALPHAS.len() as f64 * evaluation_seconds <= TIME * facts.record.seconds;
    if facts.after.is_empty() || !is_cheap {
        return Ok(advice);
    }
    let ends = Ends::read(prepared, base, context)?;
    let mut points = vec![(0.0, value(&measure, &facts.before))];
    for alpha in ALPHAS {
        ends.blend(alpha, &mut prepared.model);
        // A run that is stopped here is complete, only without the advice.
        let Some(scores) = prepared.evaluate(&prepared.model, context, stop)? else { return Ok(advice) };
        points.push((alpha, value(&measure, &scores)));
    }
    points.push((1.0, value(&measure, &facts.after)));
    advice.points = points;
    Ok(advice)
}
