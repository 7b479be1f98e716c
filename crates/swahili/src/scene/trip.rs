//! Somebody travels from one town to another.

use super::Facts;
use crate::lexicon::{TOWNS, Town, Water};
use crate::noun_class::Class::{self, *};
use crate::random::Choices;
use crate::verb::Tense;

/// Who travels: words, class and a wider word.
pub(crate) struct Party {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    /// Said where the details are dropped; of the same class.
    pub(crate) short: &'static str,
}

/// Means of transport.
#[derive(PartialEq)]
pub(crate) struct Carrier {
    pub(crate) name: &'static str,
    route: Route,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Road,
    Rail,
    Air,
    Water,
}

#[rustfmt::skip]
const PARTIES: &[Party] = &[
    Party { name: "familia ya watu watano", class: C9, short: "familia" },
    Party { name: "kundi la watalii kutoka Ujerumani", class: C5, short: "kundi la watalii" },
    Party { name: "wanafunzi wa chuo kikuu", class: C2, short: "wanafunzi" },
    Party { name: "wachezaji wa timu ya taifa", class: C2, short: "wachezaji" },
    Party { name: "mfanyabiashara wa nguo", class: C1, short: "mfanyabiashara" },
    Party { name: "mwanamke aliyebeba mtoto mgongoni", class: C1, short: "mwanamke" },
    Party { name: "mzee mwenye fimbo", class: C1, short: "mzee" },
    Party { name: "vijana watatu wenye mabegi makubwa", class: C2, short: "vijana" },
    Party { name: "daktari wa hospitali ya mkoa", class: C1, short: "daktari" },
    Party { name: "waandishi wa habari", class: C2, short: "waandishi" },
    Party { name: "mkurugenzi wa kampuni ya simu", class: C1, short: "mkurugenzi" },
    Party { name: "wakulima wa kahawa", class: C2, short: "wakulima" },
    Party { name: "kwaya ya kanisa", class: C9, short: "kwaya" },
    Party { name: "bibi na wajukuu zake", class: C2, short: "bibi na wajukuu" },
    Party { name: "mwalimu mkuu wa shule ya sekondari", class: C1, short: "mwalimu mkuu" },
    Party { name: "ujumbe wa wabunge", class: C11, short: "ujumbe" },
];

const CARRIERS: &[Carrier] = &[
    Carrier { name: "basi", route: Route::Road },
    Carrier { name: "gari dogo", route: Route::Road },
    Carrier { name: "lori", route: Route::Road },
    Carrier { name: "treni", route: Route::Rail },
    Carrier { name: "ndege", route: Route::Air },
    Carrier { name: "meli", route: Route::Water },
    Carrier { name: "boti", route: Route::Water },
];

const ERRANDS: &[&str] = &[
    "kuhudhuria harusi",
    "kuwatembelea jamaa",
    "kushiriki mkutano",
    "kununua bidhaa",
    "kutazama maonyesho",
    "kupumzika",
    "kushiriki mashindano",
    "kutembelea makumbusho",
    "kusherehekea sikukuu",
    "kuhudhuria mazishi",
];

/// Moments with the tense that they go with.
#[rustfmt::skip]
const MOMENTS: &[(&str, Tense)] = &[
    ("jana asubuhi", Tense::Past), ("juzi", Tense::Past), ("wiki iliyopita", Tense::Past), ("mwezi uliopita", Tense::Past),
    ("Ijumaa iliyopita", Tense::Past), ("usiku wa jana", Tense::Past), ("kesho", Tense::Future), ("wiki ijayo", Tense::Future),
    ("Jumapili ijayo", Tense::Future), ("mwezi ujao", Tense::Future), ("keshokutwa", Tense::Future), ("leo mchana", Tense::Present),
    ("leo asubuhi", Tense::Present), ("jioni hii", Tense::Present),
];

/// Who goes from where to where, by what, when and for what.
#[derive(Clone)]
pub(crate) struct Trip {
    pub(crate) party: &'static Party,
    pub(crate) carrier: &'static Carrier,
    pub(crate) from: &'static Town,
    pub(crate) to: &'static Town,
    pub(crate) moment: &'static (&'static str, Tense),
    pub(crate) errand: &'static str,
    /// Only a change makes it so: of a journey that was not made nothing follows but that.
    pub(crate) negative: bool,
}

/// Returns `true` if the carrier runs between the towns.
fn runs(carrier: &Carrier, from: &Town, to: &Town) -> bool {
    let sea = |town: &Town| matches!(town.water, Water::Sea | Water::Island);
    from != to
        && match carrier.route {
            Route::Road => {
                from.water != Water::Island
                    && to.water != Water::Island
                    && (from.country == to.country || carrier.name == "basi")
            }
            Route::Rail => from.railway && to.railway && from.country == to.country,
            Route::Air => true,
            Route::Water => sea(from) && sea(to) || from.water == to.water && from.water != Water::Inland,
        }
}

impl Facts for Trip {
    const FACETS: usize = 7;

    fn draw(choices: Choices) -> Self {
        (0..)
            .map(|attempt| choices.attempt(attempt))
            .map(|choices| Self {
                party: choices.pick("party", PARTIES),
                carrier: choices.pick("carrier", CARRIERS),
                from: choices.pick("from", TOWNS),
                to: choices.pick("to", TOWNS),
                moment: choices.pick("moment", MOMENTS),
                errand: *choices.pick("errand", ERRANDS),
                negative: false,
            })
            .find(|trip| runs(trip.carrier, trip.from, trip.to))
            .expect("buses run between most towns")
    }

    fn redraw(&mut self, facet: usize, choices: Choices) {
        match facet {
            0 => self.party = choices.pick("party", PARTIES),
            1 => {
                let fitting: Vec<&Carrier> =
                    CARRIERS.iter().filter(|carrier| runs(carrier, self.from, self.to)).collect();
                self.carrier = *choices.pick("carrier", &fitting);
            }
            2 => {
                let fitting: Vec<&Town> = TOWNS.iter().filter(|town| runs(self.carrier, self.from, town)).collect();
                self.to = *choices.pick("to", &fitting);
            }
            3 => self.moment = choices.pick("moment", MOMENTS),
            4 => self.errand = *choices.pick("errand", ERRANDS),
            5 => self.negative = true,
            _ => {
                let fitting: Vec<&Town> = TOWNS.iter().filter(|town| runs(self.carrier, town, self.to)).collect();
                self.from = *choices.pick("from", &fitting);
            }
        }
    }

    fn essence(&self) -> String {
        // The destination is left out, so that another one can take its place.
        format!("trip {} {} {}", self.party.name, self.from.name, self.errand)
    }
}
