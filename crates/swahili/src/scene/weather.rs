//! Weather, where it was, and what came of it.

use super::Facts;
use crate::lexicon::{TOWNS, Town};
use crate::noun_class::Class::{self, *};
use crate::random::Choices;

/// A kind of weather: what it is called, what it does, and which effects it can have.
pub(crate) struct Phenomenon {
    pub(crate) name: &'static str,
    pub(crate) short: &'static str,
    pub(crate) class: Class,
    pub(crate) stem: &'static str,
    harms: &'static [Harm],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    Wet,
    Wind,
    Dry,
    Dim,
    Cold,
}

/// Effect: a thing, its class, an intransitive stem and a passive one.
pub(crate) struct Effect {
    pub(crate) thing: &'static str,
    pub(crate) short: &'static str,
    pub(crate) class: Class,
    pub(crate) stem: &'static str,
    harms: &'static [Harm],
}

use Harm::*;

#[rustfmt::skip]
const PHENOMENA: &[Phenomenon] = &[
    Phenomenon { name: "mvua kubwa", short: "mvua", class: C9, stem: "nyesha", harms: &[Wet] },
    Phenomenon { name: "mvua ya mawe", short: "mvua", class: C9, stem: "nyesha", harms: &[Wet, Wind] },
    Phenomenon { name: "mvua zilizoambatana na radi", short: "mvua", class: C10, stem: "nyesha", harms: &[Wet, Wind] },
    Phenomenon { name: "upepo mkali", short: "upepo", class: C11, stem: "vuma", harms: &[Wind] },
    Phenomenon { name: "dhoruba kali", short: "dhoruba", class: C9, stem: "vuma", harms: &[Wind, Wet] },
    Phenomenon { name: "ukungu mzito", short: "ukungu", class: C11, stem: "tanda", harms: &[Dim] },
    Phenomenon { name: "vumbi jingi", short: "vumbi", class: C5, stem: "tanda", harms: &[Dim] },
    Phenomenon { name: "ukame wa muda mrefu", short: "ukame", class: C11, stem: "endelea", harms: &[Dry] },
    Phenomenon { name: "joto kali", short: "joto", class: C5, stem: "endelea", harms: &[Dry] },
    Phenomenon { name: "baridi kali", short: "baridi", class: C9, stem: "ingia", harms: &[Cold] },
];

#[rustfmt::skip]
const EFFECTS: &[Effect] = &[
    Effect { thing: "barabara nyingi", short: "barabara", class: C10, stem: "fungwa", harms: &[Wet, Dim] },
    Effect { thing: "nyumba kumi na mbili", short: "nyumba", class: C10, stem: "bomoka", harms: &[Wet, Wind] },
    Effect { thing: "mapaa ya shule mbili", short: "mapaa", class: C6, stem: "ezuliwa", harms: &[Wind] },
    Effect { thing: "mashamba ya mahindi", short: "mashamba", class: C6, stem: "haribiwa", harms: &[Wet, Wind, Dry] },
    Effect { thing: "familia hamsini", short: "familia", class: C10, stem: "hamishwa", harms: &[Wet] },
    Effect { thing: "safari za ndege", short: "safari", class: C10, stem: "ahirishwa", harms: &[Wet, Wind, Dim] },
    Effect { thing: "daraja la mto", short: "daraja", class: C5, stem: "vunjika", harms: &[Wet] },
    Effect { thing: "mifugo mingi", short: "mifugo", class: C4, stem: "fa", harms: &[Dry] },
    Effect { thing: "visima vya kijiji", short: "visima", class: C8, stem: "kauka", harms: &[Dry] },
    Effect { thing: "wavuvi", short: "wavuvi", class: C2, stem: "rudi ufukweni", harms: &[Wind] },
    Effect { thing: "umeme katika mitaa mitatu", short: "umeme", class: C11, stem: "katika", harms: &[Wind, Wet] },
    Effect { thing: "wanafunzi wa shule za msingi", short: "wanafunzi", class: C2, stem: "baki nyumbani", harms: &[Wet, Cold] },
    Effect { thing: "magari matatu", short: "magari", class: C6, stem: "gongana", harms: &[Dim, Wet] },
    Effect { thing: "watoto wengi", short: "watoto", class: C2, stem: "ugua mafua", harms: &[Cold, Dim] },
    Effect { thing: "mazao ya bustani", short: "mazao", class: C6, stem: "nyauka", harms: &[Dry, Cold] },
    Effect { thing: "mechi ya mpira", short: "mechi", class: C9, stem: "ahirishwa", harms: &[Wet, Wind, Dim] },
];

const TIMES: &[&str] = &[
    "usiku wa jana",
    "jana asubuhi",
    "jana mchana",
    "wiki iliyopita",
    "kwa siku tatu mfululizo",
    "juzi jioni",
    "mwezi uliopita",
    "Jumapili iliyopita",
    "mwanzoni mwa mwezi huu",
    "alfajiri ya leo",
];

/// Weather with its effect, place and time, in the past.
#[derive(Clone)]
pub(crate) struct Weather {
    pub(crate) phenomenon: &'static Phenomenon,
    pub(crate) effect: &'static Effect,
    pub(crate) town: &'static Town,
    pub(crate) time: &'static str,
    /// `true` if the effect did not occur.
    pub(crate) harmless: bool,
}

fn can_cause(phenomenon: &Phenomenon, effect: &Effect, town: &Town) -> bool {
    let on_water = town.water != crate::lexicon::Water::Inland;
    effect.harms.iter().any(|harm| phenomenon.harms.contains(harm)) && (effect.short != "wavuvi" || on_water)
}

impl Facts for Weather {
    const FACETS: usize = 5;

    fn draw(choices: Choices) -> Self {
        (0..)
            .map(|attempt| choices.attempt(attempt))
            .map(|choices| Self {
                phenomenon: choices.pick("phenomenon", PHENOMENA),
                effect: choices.pick("effect", EFFECTS),
                town: choices.pick("town", TOWNS),
                time: *choices.pick("time", TIMES),
                harmless: choices.chance("harmless", 5),
            })
            .find(|weather| can_cause(weather.phenomenon, weather.effect, weather.town))
            .expect("rain can close roads in any town")
    }

    fn redraw(&mut self, facet: usize, choices: Choices) {
        let before = self.clone();
        match facet {
            0 => self.phenomenon = choices.pick("phenomenon", PHENOMENA),
            1 => self.effect = choices.pick("effect", EFFECTS),
            2 => self.town = choices.pick("town", TOWNS),
            3 => self.time = *choices.pick("time", TIMES),
            _ => self.harmless = !self.harmless,
        }
        if !can_cause(self.phenomenon, self.effect, self.town) {
            *self = before;
        }
    }

    fn essence(&self) -> String {
        format!("weather {} {} {}", self.phenomenon.name, self.effect.thing, self.time)
    }
}
