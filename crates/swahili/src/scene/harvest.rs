//! A harvest, or the price of it: what the farmers of a place got, and why.

use super::Facts;
use crate::lexicon::{TOWNS, Town, Water};
use crate::noun_class::Class::{self, *};
use crate::random::Choices;
use crate::verb::Tense;

#[rustfmt::skip]
const CROPS: &[(&str, Class)] = &[
    ("mahindi", C6), ("mpunga", C3), ("maharage", C6), ("kahawa", C9), ("pamba", C9), ("alizeti", C9), ("viazi", C8),
    ("vitunguu", C8), ("korosho", C10), ("ndizi", C10), ("mihogo", C4), ("ufuta", C11),
];
const SEASONS: &[&str] = &[
    "msimu huu",
    "msimu uliopita",
    "mwaka huu",
    "mwaka jana",
    "wakati wa masika",
    "wakati wa vuli",
    "mwezi huu",
    "mwezi uliopita",
];
const QUANTITIES: &[&str] = &[
    "hamsini",
    "themanini",
    "mia moja",
    "mia mbili",
    "mia tatu",
    "mia nne",
    "mia tano",
    "mia nane",
    "elfu moja",
    "elfu mbili",
    "elfu tatu",
    "elfu tano",
];
const BOONS: &[&str] = &[
    "mvua zilinyesha kwa wakati",
    "walitumia mbegu bora",
    "walipata mbolea ya ruzuku",
    "walipata ushauri wa wataalamu",
    "mfereji mpya wa umwagiliaji ulijengwa",
];
const BANES: &[&str] = &[
    "mvua hazikunyesha vya kutosha",
    "wadudu waliharibu mimea",
    "mbolea ilikuwa ghali sana",
    "mafuriko yalisomba mimea",
    "ndege waharibifu walivamia mashamba",
];

/// Facts that the scene mentions: the amount of the harvest, its price, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Matter {
    Yield,
    Price,
    Both,
}

/// Who harvested how much of what, where, when and why.
#[derive(Clone)]
pub(crate) struct Harvest {
    pub(crate) matter: Matter,
    pub(crate) crop: &'static (&'static str, Class),
    pub(crate) town: &'static Town,
    pub(crate) season: &'static str,
    pub(crate) quantity: &'static str,
    /// `true` for a large amount and a low price, `false` for the reverse.
    pub(crate) good: bool,
    cause: usize,
    /// Price of a kilogram in shillings.
    pub(crate) price: usize,
}

impl Harvest {
    /// Why it was so. "They" are the farmers.
    pub(crate) fn cause(&self) -> &'static str {
        if self.good { BOONS[self.cause] } else { BANES[self.cause] }
    }

    /// The tense that goes with the season.
    pub(crate) fn tense(&self) -> Tense {
        if self.season.ends_with("huu") { Tense::Perfect } else { Tense::Past }
    }
}

fn rural() -> Vec<&'static Town> {
    TOWNS.iter().filter(|town| town.water != Water::Island).collect()
}

impl Facts for Harvest {
    const FACETS: usize = 5;

    fn draw(choices: Choices) -> Self {
        Self {
            matter: *choices.pick("matter", &[Matter::Yield, Matter::Price, Matter::Both]),
            crop: choices.pick("crop", CROPS),
            town: *choices.pick("town", &rural()),
            season: *choices.pick("season", SEASONS),
            quantity: *choices.pick("quantity", QUANTITIES),
            good: choices.chance("good", 60),
            cause: choices.below("cause", BOONS.len()),
            price: 600 + 50 * choices.below("price", 80),
        }
    }

    fn redraw(&mut self, facet: usize, choices: Choices) {
        match facet {
            0 => self.crop = choices.pick("crop", CROPS),
            1 => self.town = *choices.pick("town", &rural()),
            // This month and this season lie in this year.
            2 if self.season != "mwaka huu" => self.season = *choices.pick("season", SEASONS),
            3 => self.quantity = *choices.pick("quantity", QUANTITIES),
            4 => self.good = !self.good,
            _ => {}
        }
    }

    fn essence(&self) -> String {
        match self.matter {
            Matter::Yield | Matter::Both => format!("harvest {} {}", self.season, self.quantity),
            Matter::Price => format!("harvest {} {}", self.season, self.price),
        }
    }
}
