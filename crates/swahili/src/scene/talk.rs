//! Somebody speaks of what he, or one of his people, did, wants, forgot, promised or cannot do.

use super::{Deed, Facts};
use crate::lexicon::{Kind, NOUNS, Noun};
use crate::random::Choices;

/// Who does what is spoken of.
#[derive(Clone, Copy)]
pub(crate) enum Voice {
    I,
    We,
    /// A relative, and whose: the stem of "my", "your", "our".
    Relative(&'static Noun, &'static str),
}

/// Stance of a speaker towards the deed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stance {
    Managed,
    Forgot,
    Refused,
    WantedInVain,
    Promised,
    Told,
    AskedForHelp,
    Can,
    Cannot,
    Must,
    NotYet,
    Proposes,
    Finished,
    Hopes,
    Wonders,
}

/// Status of the deed that follows from a stance; stances of one outcome do not exclude each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Done,
    NotDone,
    Intended,
    Unknown,
}

impl Stance {
    fn outcome(self) -> Outcome {
        match self {
            Stance::Managed | Stance::Told | Stance::Finished | Stance::Can => Outcome::Done,
            Stance::Forgot | Stance::Refused | Stance::WantedInVain | Stance::Cannot | Stance::NotYet => {
                Outcome::NotDone
            }
            Stance::Promised | Stance::AskedForHelp | Stance::Must | Stance::Proposes | Stance::Hopes => {
                Outcome::Intended
            }
            Stance::Wonders => Outcome::Unknown,
        }
    }
}

const STANCES: &[Stance] = &[
    Stance::Managed,
    Stance::Forgot,
    Stance::Refused,
    Stance::WantedInVain,
    Stance::Promised,
    Stance::Told,
    Stance::AskedForHelp,
    Stance::Can,
    Stance::Cannot,
    Stance::Must,
    Stance::NotYet,
    Stance::Proposes,
    Stance::Finished,
    Stance::Hopes,
    Stance::Wonders,
];

/// A deed as it is talked about.
#[derive(Clone)]
pub(crate) struct Talk {
    /// Deed, place and reason; the agent is the speaker.
    pub(crate) deed: Deed,
    pub(crate) voice: Voice,
    pub(crate) stance: Stance,
}

impl Facts for Talk {
    const FACETS: usize = 6;

    fn draw(choices: Choices) -> Self {
        let deed = (0..)
            .map(|attempt| Deed::draw(choices.part("deed").attempt(attempt)))
            .find(|deed| deed.agent.noun.is_any(&[Kind::Adult, Kind::Child, Kind::Elder]) && !deed.negative)
            .expect("ordinary people do most of the deeds");
        Self { deed, voice: voice(choices), stance: *choices.pick("stance", STANCES) }
    }

    fn redraw(&mut self, facet: usize, choices: Choices) {
        match facet {
            0 => self.voice = voice(choices.part("voice")),
            1 => {
                let outcome = self.stance.outcome();
                let others: Vec<Stance> = STANCES.iter().copied().filter(|other| other.outcome() != outcome).collect();
                self.stance = *choices.pick("stance", &others);
            }
            2 => self.deed.redraw(1, choices),
            3 => self.deed.redraw(2, choices),
            4 => self.deed.redraw(7, choices),
            _ => self.deed.redraw(5, choices),
        }
    }

    fn essence(&self) -> String {
        let object = self.deed.object.map_or("", |object| object.noun.singular);
        format!("talk {} {object}", self.deed.verb.stem)
    }
}

fn voice(choices: Choices) -> Voice {
    match choices.weighted("voice", &[3, 2, 5]) {
        0 => Voice::I,
        1 => Voice::We,
        _ => {
            let relatives: Vec<&Noun> = NOUNS.iter().filter(|noun| noun.is(Kind::Relative)).collect();
            let relative = *choices.pick("relative", &relatives);
            let whose = *choices.pick("whose", &["angu", "ako", "etu"]);
            Voice::Relative(relative, whose)
        }
    }
}
