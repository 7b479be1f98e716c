//! The batches of each epoch, drawn as the run will draw them.

use super::pace::Pace;
use crate::sets::EpochRows;
use crate::{Arguments, BatchSampler, TrainError};
use maana_data::{SetSampler, Source};

/// Rows of all epochs that a plan draws to count the batches without duplicates.
const DRAWN_ROWS: usize = 20_000_000;

/// Batches of each epoch.
pub(super) struct Drawn {
    /// The first epochs; all others equal the last of these.
    epochs: Vec<DrawnEpoch>,
}

/// Used batches of one epoch.
pub(super) struct DrawnEpoch {
    /// All used batches.
    pub batches: u64,
    /// Number of those of each data set.
    pub of_sets: Vec<u64>,
    /// Batches with one row, ascending.
    single_rows: SingleRows,
}

/// Batches with one row.
enum SingleRows {
    None,
    All,
    Some(Vec<u64>),
}

impl DrawnEpoch {
    /// Returns true if this batch has one row.
    pub(super) fn has_single_row(&self, batch: u64) -> bool {
        match &self.single_rows {
            SingleRows::None => false,
            SingleRows::All => true,
            SingleRows::Some(batches) => batches.binary_search(&batch).is_ok(),
        }
    }
}

impl Drawn {
    /// Returns the batches of rows with distinct texts: full batches, and one with the rest.
    pub(super) fn of_distinct(rows: usize, arguments: &Arguments, pace: Pace) -> Self {
        let batches = pace.batches_per_epoch;
        let single_rows = match arguments.batch_size {
            1 => SingleRows::All,
            size if !arguments.drop_last && rows % size == 1 => SingleRows::Some(vec![batches - 1]),
            _ => SingleRows::None,
        };
        Self { epochs: vec![DrawnEpoch { batches, of_sets: vec![batches], single_rows }] }
    }

    /// Draws the batches of a run of `epochs`.
    pub(super) fn of(
        sets: &[&dyn Source],
        sampler: SetSampler,
        arguments: &Arguments,
        pace: Pace,
        epochs: u64,
    ) -> Result<Self, TrainError> {
        if let [set] = sets
            && (arguments.batch_sampler == BatchSampler::Shuffle
                || (arguments.batch_sampler == BatchSampler::NoDuplicates && are_distinct(*set)))
        {
            return Ok(Self::of_distinct(set.len(), arguments, pace));
        }
        let rows: usize = sets.iter().map(|set| set.len()).sum();
        let repeats = arguments.sampler().repeats(sets.len());
        let most = if repeats { 1 } else { (DRAWN_ROWS / rows).max(1) as u64 };
        let epochs = (0..epochs.min(most)).map(|epoch| {
            let drawn = EpochRows::new(sets.to_vec(), epoch).batches(arguments, sampler);
            let batches = pace.used(drawn.len() as u64);
            if batches == 0 {
                return Err(arguments.no_batch(rows));
            }
            let mut of_sets = vec![0; sets.len()];
            let mut single_rows = Vec::new();
            for (batch, (set, rows)) in (0..batches).zip(&drawn) {
                of_sets[*set] += 1;
                if rows.len() == 1 {
                    single_rows.push(batch);
                }
            }
            Ok(DrawnEpoch { batches, of_sets, single_rows: SingleRows::Some(single_rows) })
        });
        Ok(Self { epochs: epochs.collect::<Result<_, _>>()? })
    }

    /// Returns the batches of an epoch.
    pub(super) fn epoch(&self, epoch: u64) -> &DrawnEpoch {
        &self.epochs[(epoch as usize).min(self.epochs.len() - 1)]
    }
}

/// Returns true if every text of every epoch occurs once.
fn are_distinct(set: &dyn Source) -> bool {
    if set.epoch(0).is_some() {
        return false;
    }
    let keys = set.text_keys();
    let last = keys.iter().max().map_or(0, |last| *last as usize);
    let mut seen = vec![false; last + 1];
    keys.iter().all(|&key| !std::mem::replace(&mut seen[key as usize], true))
}
