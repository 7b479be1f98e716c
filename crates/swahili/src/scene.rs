//! Scenes: randomly drawn facts of one genre, one of which can be changed. The module `wording`
//! expresses them in words.

mod care;
mod deed;
mod facts;
mod harvest;
mod report;
mod study;
mod talk;
mod trip;
mod weather;

pub(crate) use care::Care;
pub(crate) use deed::{Deed, Participant};
pub(crate) use facts::Facts;
pub(crate) use harvest::{Harvest, Matter};
pub(crate) use report::{Report, Stage};
pub(crate) use study::Study;
pub(crate) use talk::{Stance, Talk, Voice};
pub(crate) use trip::Trip;
pub(crate) use weather::Weather;

use crate::random::{Choices, hash};

/// A scene of any genre.
#[derive(Clone)]
pub(crate) enum Scene {
    Deed(Deed),
    Talk(Talk),
    Report(Report),
    Trip(Trip),
    Care(Care),
    Study(Study),
    Weather(Weather),
    Harvest(Harvest),
}

/// Training and retrieval scenes never share an essence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Train,
    Dev,
}

impl Split {
    /// One in eight essences is kept for retrieval.
    pub(crate) fn of(essence: &str) -> Self {
        if hash(essence).is_multiple_of(8) { Split::Dev } else { Split::Train }
    }
}

/// Runs the same expression on the facts of whichever genre.
macro_rules! facts {
    ($scene:expr, $facts:ident => $body:expr) => {
        match $scene {
            Scene::Deed($facts) => $body,
            Scene::Talk($facts) => $body,
            Scene::Report($facts) => $body,
            Scene::Trip($facts) => $body,
            Scene::Care($facts) => $body,
            Scene::Study($facts) => $body,
            Scene::Weather($facts) => $body,
            Scene::Harvest($facts) => $body,
        }
    };
}

impl Scene {
    /// The first scene of the wanted split that `choices` lead to.
    pub(crate) fn draw(choices: Choices, split: Split) -> Self {
        (0..)
            .map(|attempt| Self::draw_any(choices.attempt(attempt)))
            .find(|scene| scene.split() == split)
            .expect("essences are spread over both splits")
    }

    fn draw_any(choices: Choices) -> Self {
        match choices.weighted("genre", &[55, 15, 7, 7, 5, 4, 3, 4]) {
            0 => Scene::Deed(Deed::draw(choices)),
            1 => Scene::Talk(Talk::draw(choices)),
            2 => Scene::Report(Report::draw(choices)),
            3 => Scene::Trip(Trip::draw(choices)),
            4 => Scene::Care(Care::draw(choices)),
            5 => Scene::Study(Study::draw(choices)),
            6 => Scene::Weather(Weather::draw(choices)),
            _ => Scene::Harvest(Harvest::draw(choices)),
        }
    }

    /// Returns `true` if both scenes have the same genre.
    pub(crate) fn is_of_genre(&self, other: &Scene) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Returns the number of facts that can be changed.
    pub(crate) fn facets(&self) -> usize {
        fn of<F: Facts>(_: &F) -> usize {
            F::FACETS
        }
        facts!(self, facts => of(facts))
    }

    /// The same scene with fact `facet` drawn anew.
    pub(crate) fn changed(&self, facet: usize, choices: Choices) -> Self {
        let mut changed = self.clone();
        facts!(&mut changed, facts => facts.redraw(facet, choices));
        changed
    }

    /// The split that the scene belongs to.
    pub(crate) fn split(&self) -> Split {
        Split::of(&facts!(self, facts => facts.essence()))
    }

    /// The whole scene in one or two sentences.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        facts!(self, facts => facts.describe(choices))
    }

    /// Something that follows from the scene, in one short sentence.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        facts!(self, facts => facts.conclude(choices))
    }
}
