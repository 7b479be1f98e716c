//! A patient, an illness, and the advice that the patient gets.

use super::Facts;
use crate::lexicon::{TOWNS, Town};
use crate::noun_class::Class::{self, *};
use crate::random::Choices;

pub(crate) struct Patient {
    pub(crate) name: &'static str,
    pub(crate) short: &'static str,
    pub(crate) class: Class,
}

/// An illness and a sign of it.
pub(crate) struct Ailment {
    pub(crate) name: &'static str,
    pub(crate) sign: &'static str,
    /// Remedies, as a stem with its complement.
    pub(crate) advice: &'static [&'static str],
}

#[rustfmt::skip]
const PATIENTS: &[Patient] = &[
    Patient { name: "mtoto wa miaka mitano", short: "mtoto", class: C1 },
    Patient { name: "mama mjamzito", short: "mama", class: C1 },
    Patient { name: "mzee wa miaka sabini", short: "mzee", class: C1 },
    Patient { name: "kijana aliyelazwa wodini", short: "kijana", class: C1 },
    Patient { name: "mwanafunzi wa sekondari", short: "mwanafunzi", class: C1 },
    Patient { name: "mkulima kutoka kijijini", short: "mkulima", class: C1 },
    Patient { name: "dereva wa lori", short: "dereva", class: C1 },
    Patient { name: "wagonjwa kumi", short: "wagonjwa", class: C2 },
    Patient { name: "watoto watatu wa familia moja", short: "watoto", class: C2 },
    Patient { name: "wazee wanaoishi peke yao", short: "wazee", class: C2 },
    Patient { name: "mwanamke mwenye watoto wanne", short: "mwanamke", class: C1 },
    Patient { name: "mvuvi aliyerudi kutoka baharini", short: "mvuvi", class: C1 },
];

const REST: &str = "pumzika kwa siku tatu";
const WATER: &str = "nywa maji mengi";

#[rustfmt::skip]
const AILMENTS: &[Ailment] = &[
    Ailment { name: "malaria", sign: "homa kali", advice: &[REST, "lala ndani ya chandarua", "maliza dozi ya dawa", WATER] },
    Ailment { name: "homa ya matumbo", sign: "maumivu ya tumbo", advice: &[WATER, "maliza dozi ya dawa", "chemsha maji ya kunywa"] },
    Ailment { name: "kisukari", sign: "kiu ya mara kwa mara", advice: &["punguza sukari", "fanya mazoezi kila siku", "pima damu kila wiki"] },
    Ailment { name: "shinikizo la damu", sign: "maumivu ya kichwa", advice: &["punguza chumvi", "fanya mazoezi kila siku", "kaa mbali na moshi wa sigara"] },
    Ailment { name: "kifua kikuu", sign: "kikohozi cha muda mrefu", advice: &["maliza dozi ya dawa", "kaa mbali na moshi wa sigara", "la chakula bora"] },
    Ailment { name: "mafua", sign: "kikohozi", advice: &[REST, WATER, "vaa nguo nzito"] },
    Ailment { name: "kipindupindu", sign: "kuharisha", advice: &[WATER, "chemsha maji ya kunywa", "nawa mikono kwa sabuni"] },
    Ailment { name: "upungufu wa damu", sign: "uchovu", advice: &["la mboga za majani", "la nyama na mayai", "rudi kliniki wiki inayofuata"] },
    Ailment { name: "vidonda vya tumbo", sign: "kichefuchefu", advice: &["epuka vyakula vyenye pilipili", "la kwa wakati", "acha kunywa kahawa"] },
    Ailment { name: "maumivu ya mgongo", sign: "ugumu wa kuinama", advice: &["epuka kubeba mizigo mizito", "fanya mazoezi mepesi", REST] },
    Ailment { name: "pumu", sign: "ugumu wa kupumua", advice: &["epuka vumbi na moshi", "kaa mbali na moshi wa sigara", "beba dawa kila wakati"] },
    Ailment { name: "surua", sign: "vipele mwilini", advice: &[REST, WATER, "kaa mbali na watoto wengine"] },
];

const CARERS: &[&str] = &["daktari", "muuguzi", "mhudumu wa afya", "mtaalamu wa lishe", "daktari bingwa", "mfamasia"];
const FACILITIES: &[&str] = &[
    "katika hospitali ya rufaa",
    "katika kituo cha afya",
    "katika zahanati ya kijiji",
    "katika hospitali ya wilaya",
    "katika kliniki ya jioni",
    "katika hospitali ya misheni",
];
const MOMENTS: &[&str] =
    &["jana", "juzi", "jana asubuhi", "wiki iliyopita", "Jumatatu iliyopita", "mwezi uliopita", "jana jioni"];

/// Who has what, and who advised what, where and when. It lies in the past.
#[derive(Clone)]
pub(crate) struct Care {
    pub(crate) patient: &'static Patient,
    pub(crate) ailment: &'static Ailment,
    pub(crate) advice: &'static str,
    pub(crate) carer: &'static str,
    pub(crate) facility: &'static str,
    pub(crate) town: &'static Town,
    pub(crate) moment: &'static str,
}

/// Returns the `phrases` that do not start with `old`.
fn narrower_left_out(phrases: &[&'static str], old: &str) -> Vec<&'static str> {
    phrases.iter().copied().filter(|new| *new == old || !new.starts_with(old)).collect()
}

impl Facts for Care {
    const FACETS: usize = 6;

    fn draw(choices: Choices) -> Self {
        let ailment = choices.pick("ailment", AILMENTS);
        Self {
            patient: choices.pick("patient", PATIENTS),
            ailment,
            advice: *choices.pick("advice", ailment.advice),
            carer: *choices.pick("carer", CARERS),
            facility: *choices.pick("facility", FACILITIES),
            town: choices.pick("town", TOWNS),
            moment: *choices.pick("moment", MOMENTS),
        }
    }

    fn redraw(&mut self, facet: usize, choices: Choices) {
        match facet {
            0 => {
                // A mother is a woman.
                let fitting: Vec<&Patient> =
                    PATIENTS.iter().filter(|new| [self.patient.short, new.short] != ["mwanamke", "mama"]).collect();
                self.patient = *choices.pick("patient", &fitting);
            }
            1 => {
                let fitting: Vec<&Ailment> =
                    AILMENTS.iter().filter(|ailment| ailment.advice.contains(&self.advice)).collect();
                self.ailment = *choices.pick("ailment", &fitting);
            }
            2 => self.advice = *choices.pick("advice", self.ailment.advice),
            // A medical specialist is a doctor, and yesterday morning is yesterday.
            3 => self.carer = *choices.pick("carer", &narrower_left_out(CARERS, self.carer)),
            4 => self.town = choices.pick("town", TOWNS),
            _ => self.moment = *choices.pick("moment", &narrower_left_out(MOMENTS, self.moment)),
        }
    }

    fn essence(&self) -> String {
        format!("care {} {}", self.facility, self.patient.name)
    }
}
