//! Batches of row numbers for one epoch, as the reference draws them for the same seed. Knows row
//! numbers and text keys, but no texts.

mod draw;
mod group_by_label;
mod no_duplicates;
mod order;
mod random;
mod sets;
mod shuffle;

use draw::Draw;
use group_by_label::GroupByLabel;
use no_duplicates::NoDuplicates;
use order::Order;
pub use random::{Mt19937, randperm};
pub use sets::{Batches, SetSampler};
use shuffle::Shuffle;

use serde::{Deserialize, Serialize};

use crate::Source;

/// Settings of the batches of a run; [`BatchPlan::epoch`] draws those of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    /// Rule for the rows of a batch.
    pub sampler: Sampler,
    /// Rows of a batch, at least 1.
    pub batch_size: usize,
    /// Drops batches with fewer rows.
    pub drop_last: bool,
    /// Seed of the run; the epoch is added to it.
    pub seed: u64,
    /// Draws as Sentence Transformers 3.0.1: no-duplicates batches in the order of the data set,
    /// shuffled ones of one set by a generator that runs on from epoch to epoch, and those of
    /// several sets alike in every epoch, as its samplers do not receive the epoch.
    pub reproduces_301: bool,
}

/// Rule for the rows of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Consecutive rows of the shuffled order. The reference's `batch_sampler`.
    #[serde(alias = "batch_sampler")]
    Shuffle,
    /// No text twice in a batch, in any column, so that no negative is a positive. The reference's
    /// `no_duplicates`.
    NoDuplicates,
    /// At least two rows of each label, for losses that compare rows by their labels. The
    /// reference's `group_by_label`.
    GroupByLabel,
}

impl BatchPlan {
    /// Returns the number of batches of an epoch that the reference announces (its `__len__`):
    /// `rows / batch_size`, rounded up, or down with `drop_last`. It is exact for
    /// [`Sampler::Shuffle`]; there may be more no-duplicates batches without `drop_last`, and fewer
    /// with it.
    pub fn batches(&self, rows: usize) -> usize {
        if self.drop_last { rows / self.batch_size } else { rows.div_ceil(self.batch_size) }
    }

    /// Returns the number of batches of an epoch of these sets that the reference announces.
    pub fn batches_of(&self, sets: &[&dyn Source], sampler: SetSampler) -> usize {
        let of_sets: Vec<usize> = sets.iter().map(|set| self.batches_of_set(*set)).collect();
        sampler.batches(&of_sets)
    }

    fn batches_of_set(&self, set: &dyn Source) -> usize {
        match self.sampler {
            Sampler::Shuffle | Sampler::NoDuplicates => self.batches(set.len()),
            Sampler::GroupByLabel => group_by_label::batches(set.scores(), self.batch_size, self.drop_last),
        }
    }

    /// Returns the batches of epoch `epoch` (from 0). The sets are those of the epoch
    /// ([`Source::epoch`]). To continue in the middle of an epoch, `skip` the batches already used:
    /// drawing them again takes milliseconds and gives the same ones.
    ///
    /// Several sets have one generator, as in the reference: their batches are not those that each
    /// of them has without the others.
    pub fn epoch<'a>(&self, sets: &[&'a dyn Source], sampler: SetSampler, epoch: u64) -> Batches<'a> {
        let order = match (self.reproduces_301, self.sampler) {
            (false, _) => Order::Shuffled { seed: self.seed, epoch },
            (true, Sampler::NoDuplicates) => Order::Dataset { seed: self.seed },
            (true, _) => Order::ShuffledOnce { seed: self.seed },
        };
        let mut generator = order.generator();
        match *sets {
            [set] => {
                if let Order::ShuffledOnce { .. } = order {
                    (0..epoch).for_each(|_| drop(generator.permutation(set.len())));
                }
                Batches::of_one(self.draw(set, order), generator)
            }
            _ => {
                let drawn = sets.iter().map(|&set| (self.draw(set, order), self.batches_of_set(set))).collect();
                Batches::of_several(drawn, generator, sampler, !self.reproduces_301)
            }
        }
    }

    /// Returns true if all epochs of these sets have the same batches.
    pub fn repeats(&self, sets: usize) -> bool {
        self.reproduces_301 && (sets > 1 || self.sampler == Sampler::NoDuplicates)
    }

    fn draw<'a>(&self, set: &'a dyn Source, order: Order) -> Box<dyn Draw + 'a> {
        let Self { batch_size, drop_last, .. } = *self;
        match self.sampler {
            Sampler::Shuffle => Box::new(Shuffle::new(set.len(), batch_size, drop_last, order)),
            Sampler::NoDuplicates => {
                let (keys, columns) = (set.text_keys(), set.columns().len());
                Box::new(NoDuplicates::new(keys, columns, batch_size, drop_last, order))
            }
            Sampler::GroupByLabel => Box::new(GroupByLabel::new(set.scores(), batch_size, drop_last, order)),
        }
    }
}

/// Returns the number of labels with at least two rows.
pub fn labels_to_group(set: &dyn Source) -> usize {
    group_by_label::groups(set.scores()).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, ReadOptions};

    #[test]
    fn samplers_have_the_names_of_recipes_and_that_of_the_reference() {
        for (sampler, name) in [
            (Sampler::Shuffle, "shuffle"),
            (Sampler::NoDuplicates, "no_duplicates"),
            (Sampler::GroupByLabel, "group_by_label"),
        ] {
            assert_eq!(serde_json::to_value(sampler).unwrap(), name);
            assert_eq!(serde_json::from_value::<Sampler>(name.into()).unwrap(), sampler);
        }
        assert_eq!(serde_json::from_str::<Sampler>("\"batch_sampler\"").unwrap(), Sampler::Shuffle);
    }

    #[test]
    fn a_plan_draws_each_epoch_anew_unless_in_dataset_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a,b\nx,b1\nx,b2\ny,b3\nz,b4\nw,b5\n").unwrap();
        let source = Dataset::open(&[path], ReadOptions::default()).unwrap();
        let sampler = Sampler::NoDuplicates;
        let plan = BatchPlan { sampler, batch_size: 2, drop_last: false, seed: 42, reproduces_301: true };
        let drawn = |plan: &BatchPlan, epoch| {
            let batches = plan.epoch(&[&source], SetSampler::default(), epoch);
            batches.map(|(_, rows)| rows).collect::<Vec<_>>()
        };
        assert_eq!(drawn(&plan, 0), [vec![0, 2], vec![1, 3], vec![4]]);
        assert_eq!(drawn(&plan, 1), drawn(&plan, 0));

        let shuffled = BatchPlan { sampler: Sampler::Shuffle, reproduces_301: false, ..plan };
        assert_eq!(drawn(&shuffled, 1).concat(), randperm(5, 43));
        assert_ne!(drawn(&shuffled, 1), drawn(&shuffled, 0));
        let large = BatchPlan { batch_size: 32, ..plan };
        assert_eq!(large.batches(282_883), 8841);
        assert_eq!((plan.batches(5), BatchPlan { drop_last: true, ..plan }.batches(5)), (3, 2));
    }
}
