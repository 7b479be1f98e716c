//! Care: an illness, its symptoms, and the advice to a patient.

use super::phrase::{finite, join, sentence, to_do, who};
use crate::noun_class::Class;
use crate::random::Choices;
use crate::scene::Care;
use crate::verb::{Subject, Tense};

impl Care {
    fn patient_does(&self, stem: &str, tense: Tense) -> String {
        finite(stem, Subject::Third(self.patient.class), tense, false, None)
    }

    /// Returns an action of the carer on the patient, who is marked in the verb.
    fn carer_does(&self, stem: &str) -> String {
        finite(stem, Subject::Third(Class::C1), Tense::Past, false, Some(self.patient.class))
    }

    /// "mwenye malaria".
    fn with_illness(&self) -> String {
        format!("{} {}", self.patient.class.concord().having, self.ailment.name)
    }

    /// The visit in one or two sentences.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        let (name, carer, moment) = (self.patient.name, self.carer, self.moment);
        let (sign, illness, with_illness) = (self.ailment.sign, self.ailment.name, self.with_illness());
        let facility = join(&[self.facility, &self.town.phrase()]);
        let should = self.patient_does(self.advice, Tense::Subjunctive);
        let doing = to_do(self.advice, None);
        let does = |stem| self.patient_does(stem, Tense::Past);
        let body = match choices.below("shape", 9) {
            0 => join(&[carer, &self.carer_does("shauri"), name, &with_illness, &should, &facility, moment]),
            1 => {
                let found = "baada ya kugunduliwa kuwa na";
                join(&[name, &does("shauriwa"), "na", carer, &should, found, illness, &facility, moment])
            }
            2 => {
                let being = self.patient_does("wa", Tense::While);
                let came = sentence(&join(&[moment, name, &does("fika"), &facility, &being, "na", sign]));
                let found = join(&[carer, "aligundua kuwa ni", illness, "na", &self.carer_does("ambia"), &should]);
                format!("{came} {}", sentence(&found))
            }
            3 => join(&[
                "kwa sababu ya",
                &format!("{illness},"),
                name,
                &does("ambiwa"),
                "na",
                carer,
                &should,
                &facility,
                moment,
            ]),
            4 => {
                let went = join(&[name, &does("enda"), &facility, moment]);
                join(&[
                    "baada ya kupata",
                    &format!("{sign},"),
                    &went,
                    "ambako",
                    carer,
                    &self.carer_does("eleza"),
                    &should,
                ])
            }
            5 => {
                let treated = who("tibiwa", self.patient.class, Tense::Past, false, None);
                join(&["ni", name, &treated, illness, &facility, moment, "na kuambiwa na", carer, &should])
            }
            6 => join(&[
                "ili kupona",
                &format!("{illness},"),
                name,
                &self.patient_does("paswa", Tense::Present),
                &doing,
                "kama",
                carer,
                &self.carer_does("eleza"),
                &facility,
                moment,
            ]),
            7 => join(&[
                &format!("{moment},"),
                carer,
                &facility,
                &self.carer_does("himiza"),
                name,
                &with_illness,
                &should,
            ]),
            _ => join(&[
                "ndugu wa",
                name,
                "wamethibitisha kwamba",
                carer,
                &self.carer_does("shauri"),
                &doing,
                &facility,
                moment,
                "kwa sababu ya",
                illness,
            ]),
        };
        sentence(&body)
    }

    /// Words a conclusion from the visit.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        let (short, carer, illness) = (self.patient.short, self.carer, self.ailment.name);
        let should = self.patient_does(self.advice, Tense::Subjunctive);
        let doing = to_do(self.advice, None);
        let does = |stem| self.patient_does(stem, Tense::Past);
        let patient = if self.patient.class == Class::C2 { "wagonjwa" } else { "mgonjwa" };
        let of = self.patient.class.of();
        let town = self.town.phrase();
        let body = match choices.below("shape", 9) {
            0 => join(&[short, &does("shauriwa"), &should]),
            1 => join(&[short, &does("wa"), "na", illness, &town]),
            2 => join(&[carer, &self.carer_does("pa"), short, "ushauri kuhusu", illness]),
            3 => join(&[short, &self.patient_does("paswa", Tense::Present), &doing]),
            4 => join(&[patient, &of, illness, &does("elekezwa"), &doing]),
            5 => join(&[short, &does("hudumiwa"), "na", carer, self.moment]),
            6 => join(&["inafaa", short, &self.with_illness(), &should]),
            7 => join(&[short, &does("pata"), "huduma ya afya", &town]),
            _ => join(&[carer, &self.carer_does("saidia"), short, &self.with_illness()]),
        };
        sentence(&body)
    }
}
