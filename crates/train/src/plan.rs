//! The plan of a run, computed before it starts. Run and plan share the same `Pace`, so that they
//! cannot differ. It only counts: it knows no model, and of texts only which are equal.

mod drawn;
mod pace;

use crate::sets;
use crate::{Arguments, TrainError};
use drawn::Drawn;
use maana_data::{SetSampler, Source};
pub use pace::Moment;
pub(crate) use pace::{Pace, Position};

/// The plan of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Rows of all data sets.
    pub rows: usize,
    /// Micro-batches of one epoch: of each data set rows ÷ batch size, rounded up (down with
    /// `drop_last`). Without duplicates a pass may have more or fewer; the schedule uses this
    /// number, as in the reference.
    pub batches_per_epoch: u64,
    /// Micro-batches of each data set in the first epoch.
    pub set_batches: Vec<u64>,
    /// Updates of the run, with the batches that the sampler draws.
    pub updates: u64,
    /// Updates of the schedule of the learning rate: more than `updates` if texts repeat so often
    /// that fewer batches are drawn.
    pub scheduled_updates: u64,
    /// Updates of the warmup.
    pub warmup_updates: u64,
    /// Updates between two evaluations, if they do not follow the epochs only.
    pub evaluate_every: Option<u64>,
    /// Updates between two temporary checkpoints.
    pub save_every: Option<u64>,
    /// Updates between two rows of the log.
    pub log_every: u64,
    /// Begun epochs.
    pub epochs: u64,
    /// Micro-batches of the run.
    pub micro_batches: u64,
    /// Micro-batches with one row.
    pub single_row_batches: u64,
    /// Evaluations, in order.
    pub evaluations: Vec<Moment>,
    /// Rows of the log, in order.
    pub log_rows: Vec<Moment>,
    pace: Pace,
}

impl Plan {
    /// Creates the plan of a run over this number of rows with distinct texts.
    ///
    /// # Errors
    /// If an argument is invalid, the rows give no batch, or the run is too long to be planned.
    pub fn new(rows: usize, arguments: &Arguments) -> Result<Self, TrainError> {
        arguments.check()?;
        let batches = arguments.sampler().batches(rows);
        let mut plan = Self::counted(rows, batches, arguments)?;
        let drawn = Drawn::of_distinct(rows, arguments, plan.pace);
        plan.rehearse(arguments, &drawn);
        Ok(plan)
    }

    /// Creates the plan of a run over the rows of these data sets. Batches are drawn as the run
    /// will draw them; beyond twenty million rows of all epochs, later epochs are assumed to equal
    /// the last one drawn.
    ///
    /// # Errors
    /// If an argument is invalid, the rows of a set give no batch, or the run is too long to be
    /// planned.
    pub fn of(sets: &[&dyn Source], sampler: SetSampler, arguments: &Arguments) -> Result<Self, TrainError> {
        arguments.check()?;
        sets::check(sets, arguments)?;
        let batches_of = |sets: &[&dyn Source]| arguments.sampler().batches_of(sets, sampler);
        if let Some(set) = sets.iter().find(|set| batches_of(&[**set]) == 0) {
            return Err(arguments.no_batch(set.len()));
        }
        let rows = sets.iter().map(|set| set.len()).sum();
        let mut plan = Self::counted(rows, batches_of(sets), arguments)?;
        let drawn = Drawn::of(sets, sampler, arguments, plan.pace, plan.epochs)?;
        plan.rehearse(arguments, &drawn);
        Ok(plan)
    }

    /// Creates the plan without the moments. The arguments are valid.
    fn counted(rows: usize, batches_per_epoch: usize, arguments: &Arguments) -> Result<Self, TrainError> {
        let pace = Pace::new(batches_per_epoch, arguments);
        if pace.batches_per_epoch == 0 {
            return Err(arguments.no_batch(rows));
        }
        let updates_per_epoch = pace.updates_per_epoch();
        refuse_endless(arguments, pace.batches_per_epoch)?;
        let (updates, epochs) = match arguments.max_steps {
            Some(steps) => (steps, steps.div_ceil(updates_per_epoch)),
            None => ((arguments.epochs * updates_per_epoch as f64).ceil() as u64, arguments.epochs.ceil() as u64),
        };
        let warmup_updates = match arguments.warmup_steps {
            0 => (updates as f64 * arguments.warmup_ratio).ceil() as u64,
            steps => steps,
        };
        refuse_many_moments(arguments, updates)?;
        Ok(Self {
            rows,
            batches_per_epoch: pace.batches_per_epoch,
            set_batches: Vec::new(),
            updates: 0,
            scheduled_updates: updates,
            warmup_updates,
            evaluate_every: arguments.evaluate.interval().map(|interval| interval.of(updates)),
            save_every: arguments.save_every.map(|interval| interval.of(updates)),
            log_every: arguments.log_every.of(updates),
            epochs,
            micro_batches: 0,
            single_row_batches: 0,
            evaluations: Vec::new(),
            log_rows: Vec::new(),
            pace,
        })
    }

    /// Returns the learning rate of update `step` (from 0), without reductions on a plateau.
    pub fn learning_rate(&self, step: u64, arguments: &Arguments) -> f64 {
        arguments.learning_rate
            * arguments.schedule.factor(step, self.warmup_updates, self.scheduled_updates, arguments.learning_rate)
    }

    /// Returns the accumulation of micro-batches to updates.
    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Returns true if the run is complete at this position.
    pub(crate) fn is_over(&self, position: &Position) -> bool {
        position.step >= self.scheduled_updates || position.epoch >= self.epochs
    }

    /// Returns true if update `step` gives a row of the log.
    pub(crate) fn logs_at(&self, step: u64, arguments: &Arguments) -> bool {
        step.is_multiple_of(self.log_every) || (arguments.log_first && step == 1)
    }

    /// Returns true if the model is evaluated at this position, given whether the last micro-batch
    /// completed an update.
    pub(crate) fn evaluates_at(&self, position: &Position, updated: bool, arguments: &Arguments) -> bool {
        let after_interval =
            updated && self.evaluate_every.is_some_and(|updates| position.step.is_multiple_of(updates));
        let after_epoch = arguments.evaluate.follows_epochs() && (position.batch == 0 || self.is_over(position));
        after_interval || after_epoch
    }

    /// Returns true if a temporary checkpoint is due after update `step`.
    pub(crate) fn saves_at(&self, step: u64) -> bool {
        self.save_every.is_some_and(|updates| step.is_multiple_of(updates))
    }

    /// Simulates the run without computing anything.
    fn rehearse(&mut self, arguments: &Arguments, drawn: &Drawn) {
        self.set_batches.clone_from(&drawn.epoch(0).of_sets);
        let mut position = Position::default();
        while !self.is_over(&position) {
            let epoch = drawn.epoch(position.epoch);
            self.single_row_batches += u64::from(epoch.has_single_row(position.batch));
            let updated = self.pace.advance(&mut position, epoch.batches);
            if updated && self.logs_at(position.step, arguments) {
                self.log_rows.push(position.moment());
            }
            if self.evaluates_at(&position, updated, arguments) {
                self.evaluations.push(position.moment());
            }
        }
        self.micro_batches = position.micro_step;
        self.updates = position.step;
    }
}

/// Micro-batches of the longest run that can be planned.
const LONGEST_RUN: f64 = 1e9;

/// Rows of the longest log, and evaluations of the run that has most of them.
const MOST_MOMENTS: u64 = 10_000_000;

/// Refuses a run whose plan would take too much memory or time.
fn refuse_endless(arguments: &Arguments, batches: u64) -> Result<(), TrainError> {
    let batches = batches as f64;
    let group = arguments.gradient_accumulation_steps as f64;
    let (field, value, all_batches) = match arguments.max_steps {
        Some(steps) => ("max_steps", steps.to_string(), steps as f64 * group),
        None => ("epochs", arguments.epochs.to_string(), arguments.epochs * batches),
    };
    if all_batches > LONGEST_RUN {
        let wanted = format!("small enough for at most {LONGEST_RUN:.0} micro-batches; it asks for {all_batches:.0}");
        return Err(TrainError::argument(field, value, wanted));
    }
    Ok(())
}

/// Refuses a run of `updates` with more rows of the log or evaluations than a plan can list.
fn refuse_many_moments(arguments: &Arguments, updates: u64) -> Result<(), TrainError> {
    let intervals = [
        ("log_every", Some(arguments.log_every), "rows of the log"),
        ("evaluate", arguments.evaluate.interval(), "evaluations"),
    ];
    for (field, interval, moments) in intervals {
        if let Some(interval) = interval.filter(|interval| updates / interval.of(updates) > MOST_MOMENTS) {
            let wanted = format!("large enough for at most {MOST_MOMENTS} {moments} in {updates} updates");
            return Err(TrainError::argument(field, interval, wanted));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Evaluate, Interval, Version};

    /// Settings of the run whose training log is in `tests/data`.
    fn logged_run() -> Arguments {
        Arguments {
            epochs: 4.0,
            batch_size: 32,
            gradient_accumulation_steps: 16,
            warmup_ratio: 0.1,
            evaluate: Evaluate::Epoch,
            log_every: 10.into(),
            reproduce: Some(Version::V3_0_1),
            ..Arguments::default()
        }
    }

    fn shown(moments: &[Moment]) -> Vec<(u64, String)> {
        moments.iter().map(|moment| (moment.step, format!("{:.4}", moment.epoch))).collect()
    }

    #[test]
    fn the_whole_training_log_of_a_run_of_3_0_1() {
        let log = include_str!("../tests/data/training_log_282883_rows.tsv");
        let (mut training, mut evaluations) = (Vec::new(), Vec::new());
        for line in log.lines().skip(1) {
            let [epoch, step, kind] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("bad line: {line}") };
            let rows = if kind == "training" { &mut training } else { &mut evaluations };
            rows.push((step.parse::<u64>().unwrap(), epoch.to_string()));
        }
        assert_eq!((training.len(), evaluations.len()), (220, 4));

        let plan = Plan::new(282_883, &logged_run()).unwrap();
        assert_eq!((plan.batches_per_epoch, plan.updates, plan.warmup_updates), (8841, 2208, 221));
        assert_eq!(plan.micro_batches, 2208 * 16);
        assert_eq!(shown(&plan.log_rows), training);
        assert_eq!(shown(&plan.evaluations), evaluations);
    }

    #[test]
    fn the_same_run_in_the_current_manner() {
        let plan = Plan::new(282_883, &Arguments { reproduce: None, ..logged_run() }).unwrap();
        assert_eq!((plan.updates, plan.warmup_updates, plan.micro_batches), (2212, 222, 4 * 8841));
        let expected = [(553, "1.0000"), (1106, "2.0000"), (1659, "3.0000"), (2212, "4.0000")];
        assert_eq!(shown(&plan.evaluations), expected.map(|(step, epoch)| (step, epoch.to_string())));
    }

    #[test]
    fn the_steps_and_epochs_of_the_golden_run() {
        let golden = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/st301/run.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
        let arguments = Arguments {
            epochs: 3.0,
            batch_size: 8,
            gradient_accumulation_steps: 4,
            warmup_ratio: 0.1,
            evaluate: Evaluate::Epoch,
            log_every: 2.into(),
            reproduce: Some(Version::V3_0_1),
            ..Arguments::default()
        };
        let plan = Plan::new(150, &arguments).unwrap();
        assert_eq!((plan.updates, plan.warmup_updates, plan.micro_batches), (12, 2, 48));
        let moments = |key: &str| -> Vec<Moment> {
            let rows = golden["log_history"].as_array().unwrap().iter().filter(|row| row.get(key).is_some());
            rows.map(|row| Moment { step: row["step"].as_u64().unwrap(), epoch: row["epoch"].as_f64().unwrap() })
                .collect()
        };
        assert_eq!(plan.log_rows, moments("loss"));
        assert_eq!(plan.evaluations, moments("eval_sequential_score"));
    }

    #[test]
    fn a_part_of_an_epoch_and_a_number_of_updates() {
        let half = Plan::new(100, &Arguments { epochs: 0.5, batch_size: 10, ..Arguments::default() }).unwrap();
        assert_eq!((half.updates, half.epochs, half.micro_batches), (5, 1, 5));
        let counted = Arguments {
            max_steps: Some(23),
            batch_size: 10,
            evaluate: Evaluate::Steps(5.into()),
            ..Arguments::default()
        };
        let counted = Plan::new(100, &counted).unwrap();
        assert_eq!((counted.updates, counted.epochs), (23, 3));
        assert_eq!(counted.evaluations.iter().map(|moment| moment.step).collect::<Vec<_>>(), [5, 10, 15, 20]);
    }

    #[test]
    fn evaluations_after_intervals_and_epochs() {
        let arguments = Arguments {
            epochs: 2.5,
            batch_size: 10,
            evaluate: Evaluate::EpochAndSteps(4.into()),
            ..Arguments::default()
        };
        let plan = Plan::new(100, &arguments).unwrap();
        let steps: Vec<u64> = plan.evaluations.iter().map(|moment| moment.step).collect();
        // The end of the second epoch is also a multiple of the interval.
        assert_eq!(steps, [4, 8, 10, 12, 16, 20, 24, 25]);
    }

    #[test]
    fn intervals_may_be_fractions_of_the_run() {
        let arguments = Arguments {
            max_steps: Some(23),
            evaluate: Evaluate::Steps(Interval::Fraction(0.25)),
            save_every: Some(Interval::Fraction(0.1)),
            log_every: Interval::Fraction(0.5),
            ..Arguments::default()
        };
        let plan = Plan::new(100, &arguments).unwrap();
        let steps = |moments: &[Moment]| moments.iter().map(|moment| moment.step).collect::<Vec<_>>();
        assert_eq!((steps(&plan.evaluations), steps(&plan.log_rows)), (vec![6, 12, 18], vec![12]));
        assert_eq!(plan.save_every, Some(3));
    }

    #[test]
    fn fewer_batches_than_a_group() {
        let arguments = Arguments { batch_size: 8, gradient_accumulation_steps: 16, ..Arguments::default() };
        for reproduce in [None, Some(Version::V3_0_1)] {
            let plan = Plan::new(40, &Arguments { reproduce, ..arguments.clone() }).unwrap();
            assert_eq!(plan.updates, 3, "{reproduce:?}: each epoch of 5 micro-batches is one update");
        }
    }

    #[test]
    fn batches_of_one_row_are_counted() {
        let of = |rows, batch_size, drop_last| {
            let arguments = Arguments { batch_size, drop_last, epochs: 3.0, ..Arguments::default() };
            Plan::new(rows, &arguments).unwrap().single_row_batches
        };
        assert_eq!(
            [of(17, 8, false), of(17, 8, true), of(16, 8, false), of(5, 1, true), of(1, 8, false)],
            [3, 0, 0, 15, 3]
        );
    }

    #[test]
    fn a_run_without_end_is_refused_before_it_is_planned() {
        let fault = |arguments: Arguments| Plan::new(100, &arguments).unwrap_err().to_string();
        let epochs = fault(Arguments { epochs: 1e9, ..Arguments::default() });
        assert!(epochs.contains("`epochs` is 1000000000") && epochs.contains("13000000000"), "{epochs}");
        let steps = fault(Arguments { max_steps: Some(u64::MAX), ..Arguments::default() });
        assert!(steps.contains("`max_steps`"), "{steps}");
        let log = fault(Arguments { max_steps: Some(100_000_000), log_every: 1.into(), ..Arguments::default() });
        assert!(log.contains("`log_every`"), "{log}");
        let arguments =
            Arguments { max_steps: Some(100_000_000), evaluate: Evaluate::Steps(1.into()), ..Arguments::default() };
        assert!(fault(arguments).contains("`evaluate`"));
    }

    #[test]
    fn no_batch_is_an_error_that_says_why() {
        let fault = Plan::new(0, &Arguments::default()).unwrap_err().to_string();
        assert!(fault.contains("no rows"), "{fault}");
        let fault = Plan::new(7, &Arguments { drop_last: true, ..Arguments::default() }).unwrap_err().to_string();
        assert!(fault.contains('7') && fault.contains("drop_last"), "{fault}");
    }

    #[test]
    fn arguments_are_checked_before_batches_are_counted() {
        let fault = Plan::new(7, &Arguments { batch_size: 0, ..Arguments::default() }).unwrap_err().to_string();
        assert!(fault.contains("`batch_size` is 0") && fault.contains("at least 1"), "{fault}");
    }
}
