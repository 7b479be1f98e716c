//! Batches of several sets in one epoch. Each batch has rows of one set.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Mt19937;
use super::draw::Draw;

/// Order of the batches of several sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetSampler {
    /// Every batch of every set, in random order. The reference's `proportional`.
    #[default]
    Proportional,
    /// One batch of each set in turn, until a set has no more. The reference's `round_robin`.
    RoundRobin,
}

impl SetSampler {
    /// Returns the number of batches of an epoch, given that of each set.
    pub(super) fn batches(self, of_sets: &[usize]) -> usize {
        match self {
            Self::Proportional => of_sets.iter().sum(),
            Self::RoundRobin => of_sets.iter().min().map_or(0, |fewest| fewest * of_sets.len()),
        }
    }
}

/// The batches of one epoch, drawn on demand: the number of the set and the rows of each batch.
pub struct Batches<'a> {
    sets: Vec<Box<dyn Draw + 'a>>,
    generator: Mt19937,
    turns: Turns,
}

/// The sets of the next batches.
enum Turns {
    /// A single set.
    One,
    /// Sets in the order of their turns.
    Proportional(std::vec::IntoIter<usize>),
    /// Batches of the round that are left.
    RoundRobin(VecDeque<(usize, Vec<u32>)>),
    /// The set of the next batch; none after the end.
    OneByOne(Option<usize>),
}

impl<'a> Batches<'a> {
    /// Creates the batches of one set.
    pub(super) fn of_one(set: Box<dyn Draw + 'a>, generator: Mt19937) -> Self {
        Self { sets: vec![set], generator, turns: Turns::One }
    }

    /// Creates the batches of several sets, each with its announced number of batches. Round robin
    /// ends before a round that is not whole, or in it where a set has no more.
    pub(super) fn of_several(
        sets: Vec<(Box<dyn Draw + 'a>, usize)>,
        mut generator: Mt19937,
        sampler: SetSampler,
        whole_rounds: bool,
    ) -> Self {
        let turns = match sampler {
            SetSampler::Proportional => {
                let turns: Vec<usize> = sets
                    .iter()
                    .enumerate()
                    .flat_map(|(set, &(_, batches))| std::iter::repeat_n(set, batches))
                    .collect();
                let order = generator.permutation(turns.len());
                let turns: Vec<usize> = order.iter().map(|&place| turns[place as usize]).collect();
                Turns::Proportional(turns.into_iter())
            }
            SetSampler::RoundRobin if whole_rounds => Turns::RoundRobin(VecDeque::new()),
            SetSampler::RoundRobin => Turns::OneByOne(Some(0)),
        };
        Self { sets: sets.into_iter().map(|(set, _)| set).collect(), generator, turns }
    }
}

impl Iterator for Batches<'_> {
    type Item = (usize, Vec<u32>);

    fn next(&mut self) -> Option<Self::Item> {
        let Self { sets, generator, turns } = self;
        match turns {
            Turns::One => Some((0, sets[0].draw(generator)?)),
            // A set with fewer batches than announced is passed over.
            Turns::Proportional(turns) => turns.find_map(|set| Some((set, sets[set].draw(generator)?))),
            Turns::OneByOne(turn) => {
                let set = *turn.as_ref()?;
                let drawn = sets[set].draw(generator);
                *turn = drawn.is_some().then_some((set + 1) % sets.len());
                drawn.map(|rows| (set, rows))
            }
            Turns::RoundRobin(round) => {
                if round.is_empty() {
                    let draw = |(set, sampler): (usize, &mut Box<dyn Draw + '_>)| Some((set, sampler.draw(generator)?));
                    *round = sets.iter_mut().enumerate().map(draw).collect::<Option<_>>()?;
                }
                round.pop_front()
            }
        }
    }
}
