//! An institution and what it has decided, done or refused: the matter of news and policy.

use super::Facts;
use crate::lexicon::{TOWNS, Town};
use crate::noun_class::Class::{self, *};
use crate::random::Choices;

/// Field of work of an institution; a project belongs to one field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sphere {
    Health,
    Education,
    Farming,
    Roads,
    Water,
    Energy,
    Money,
    Nature,
}

pub(crate) struct Institution {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    spheres: &'static [Sphere],
}

/// Something that is done for the public: verb, passive, object before and after the number, wider
/// word.
pub(crate) struct Project {
    pub(crate) stem: &'static str,
    pub(crate) passive: &'static str,
    pub(crate) head: &'static str,
    pub(crate) rest: &'static str,
    pub(crate) class: Class,
    pub(crate) counted: bool,
    sphere: Sphere,
}

const fn institution(name: &'static str, class: Class, spheres: &'static [Sphere]) -> Institution {
    Institution { name, class, spheres }
}

const fn project(
    stem: &'static str,
    passive: &'static str,
    object: [&'static str; 2],
    class: Class,
    counted: bool,
    sphere: Sphere,
) -> Project {
    let [head, rest] = object;
    Project { stem, passive, head, rest, class, counted, sphere }
}

use Sphere::*;

const ALL: &[Sphere] = &[Health, Education, Farming, Roads, Water, Energy, Money, Nature];

#[rustfmt::skip]
const INSTITUTIONS: &[Institution] = &[
    institution("serikali", C9, ALL),
    institution("serikali ya mkoa", C9, ALL),
    institution("halmashauri ya wilaya", C9, ALL),
    institution("Benki ya Maendeleo", C9, &[Money, Farming, Energy]),
    institution("Wizara ya Afya", C9, &[Health]),
    institution("Wizara ya Elimu", C9, &[Education]),
    institution("Wizara ya Kilimo", C9, &[Farming]),
    institution("Wizara ya Uchukuzi", C9, &[Roads]),
    institution("Wizara ya Maji", C9, &[Water]),
    institution("Wizara ya Fedha", C9, &[Money]),
    institution("Wizara ya Mazingira", C9, &[Nature]),
    institution("Shirika la Umeme", C5, &[Energy]),
    institution("Shirika la Misitu", C5, &[Nature]),
    institution("shirika la misaada", C5, &[Health, Education, Water, Farming]),
    institution("Mamlaka ya Barabara", C9, &[Roads]),
    institution("Mamlaka ya Maji", C9, &[Water]),
    institution("chuo kikuu", C7, &[Education, Health]),
    institution("chama cha ushirika", C7, &[Farming, Money]),
    institution("baraza la mji", C5, ALL),
    institution("kampuni ya ujenzi", C9, &[Roads]),
];

#[rustfmt::skip]
const PROJECTS: &[Project] = &[
    project("jenga", "jengwa", ["shule", "mpya"], C10, true, Education),
    project("jenga", "jengwa", ["maabara", "za sayansi"], C10, true, Education),
    project("ajiri", "ajiriwa", ["walimu", "wapya"], C2, true, Education),
    project("gawa", "gawiwa", ["vitabu", "vya kiada"], C8, true, Education),
    project("nunua", "nunuliwa", ["kompyuta", "za wanafunzi"], C10, true, Education),
    project("ongeza", "ongezwa", ["mishahara", "ya walimu"], C4, false, Education),
    project("jenga", "jengwa", ["vituo", "vya afya"], C8, true, Health),
    project("ajiri", "ajiriwa", ["wauguzi", "wapya"], C2, true, Health),
    project("ajiri", "ajiriwa", ["madaktari", "bingwa"], C2, true, Health),
    project("nunua", "nunuliwa", ["magari", "ya wagonjwa"], C6, true, Health),
    project("gawa", "gawiwa", ["vyandarua", "vya kuzuia mbu"], C8, true, Health),
    project("toa", "tolewa", ["chanjo", "ya surua kwa watoto"], C9, false, Health),
    project("toa", "tolewa", ["mafunzo", "ya lishe kwa akina mama"], C6, false, Health),
    project("gawa", "gawiwa", ["mbegu", "bora za mahindi"], C10, false, Farming),
    project("nunua", "nunuliwa", ["matrekta", "ya kisasa"], C6, true, Farming),
    project("punguza", "punguzwa", ["bei", "ya mbolea"], C9, false, Farming),
    project("jenga", "jengwa", ["maghala", "ya nafaka"], C6, true, Farming),
    project("toa", "tolewa", ["mikopo", "kwa wakulima wadogo"], C4, false, Farming),
    project("chanja", "chanjwa", ["ng'ombe", "wa wafugaji"], C2, true, Farming),
    project("jenga", "jengwa", ["barabara", "za lami"], C10, true, Roads),
    project("karabati", "karabatiwa", ["madaraja", "yaliyoharibiwa na mafuriko"], C6, true, Roads),
    project("jenga", "jengwa", ["vituo", "vya mabasi"], C8, true, Roads),
    project("punguza", "punguzwa", ["nauli", "za mabasi"], C10, false, Roads),
    project("weka", "wekwa", ["taa", "za barabarani"], C10, true, Roads),
    project("chimba", "chimbwa", ["visima", "vya maji safi"], C8, true, Water),
    project("sambaza", "sambazwa", ["mabomba", "ya maji"], C6, false, Water),
    project("jenga", "jengwa", ["matangi", "ya maji"], C6, true, Water),
    project("safisha", "safishwa", ["mito", "iliyochafuliwa"], C4, false, Water),
    project("sambaza", "sambazwa", ["umeme", "vijijini"], C11, false, Energy),
    project("punguza", "punguzwa", ["bei", "ya umeme"], C9, false, Energy),
    project("jenga", "jengwa", ["mitambo", "ya umeme wa jua"], C4, true, Energy),
    project("punguza", "punguzwa", ["kodi", "ya biashara ndogo"], C9, false, Money),
    project("toa", "tolewa", ["mikopo", "ya riba nafuu kwa wanawake"], C4, false, Money),
    project("ongeza", "ongezwa", ["bajeti", "ya maendeleo"], C9, false, Money),
    project("jenga", "jengwa", ["masoko", "ya kisasa"], C6, true, Money),
    project("panda", "pandwa", ["miti", "ya asili"], C4, true, Nature),
    project("piga marufuku", "pigwa marufuku", ["mifuko", "ya plastiki"], C4, false, Nature),
    project("piga marufuku", "pigwa marufuku", ["ukataji", "wa miti"], C11, false, Nature),
    project("linda", "lindwa", ["vyanzo", "vya maji"], C8, false, Nature),
    project("ajiri", "ajiriwa", ["walinzi", "wa wanyamapori"], C2, true, Nature),
];

impl Sphere {
    /// Returns the aims of projects in this field.
    pub(crate) fn aims(self) -> &'static [&'static str] {
        match self {
            Health => &[
                "ili kupunguza vifo vya watoto",
                "ili kuboresha huduma za afya",
                "ili kudhibiti magonjwa ya kuambukiza",
            ],
            Education => &[
                "ili kupunguza msongamano madarasani",
                "ili kuinua kiwango cha elimu",
                "ili kuongeza ufaulu wa wanafunzi",
            ],
            Farming => {
                &["ili kuongeza uzalishaji wa chakula", "ili kuinua kipato cha wakulima", "ili kukabiliana na njaa"]
            }
            Roads => {
                &["ili kupunguza msongamano wa magari", "ili kurahisisha usafiri", "ili kupunguza ajali za barabarani"]
            }
            Water => {
                &["ili kumaliza uhaba wa maji", "ili kuzuia kipindupindu", "ili kuwapunguzia wanawake mzigo wa kazi"]
            }
            Energy => {
                &["ili kukuza viwanda vidogo", "ili kupunguza gharama za maisha", "ili kupunguza matumizi ya mkaa"]
            }
            Money => &["ili kukuza uchumi", "ili kuongeza ajira kwa vijana", "ili kuvutia wawekezaji"],
            Nature => &["ili kulinda mazingira", "ili kukabiliana na mabadiliko ya tabianchi", "ili kuzuia ukame"],
        }
    }
}

/// Stage of a project.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Announced,
    Decided,
    Begun,
    Done,
    Refused,
    Postponed,
}

impl Stage {
    /// Returns `true` if no conclusion from the `other` stage holds at this one: a finished project
    /// was once planned, and a postponed plan is still a plan.
    fn excludes(self, other: Stage) -> bool {
        use Stage::*;
        match other {
            Announced | Decided => matches!(self, Refused | Done),
            Begun => matches!(self, Announced | Decided | Refused | Postponed),
            Done => self != Done,
            Refused | Postponed => matches!(self, Announced | Decided | Begun | Done),
        }
    }
}

const STAGES: &[Stage] =
    &[Stage::Announced, Stage::Decided, Stage::Begun, Stage::Done, Stage::Refused, Stage::Postponed];

const AMOUNTS: &[&str] = &[
    "ishirini",
    "thelathini",
    "arobaini",
    "hamsini",
    "sitini",
    "themanini",
    "mia moja",
    "mia mbili",
    "mia tatu",
    "mia tano",
    "elfu moja",
    "elfu mbili",
    "elfu tano",
    "elfu kumi",
];

/// Who does what for whom, where, and how far it has come.
#[derive(Clone)]
pub(crate) struct Report {
    pub(crate) institution: &'static Institution,
    pub(crate) project: &'static Project,
    pub(crate) stage: Stage,
    pub(crate) amount: Option<&'static str>,
    pub(crate) town: &'static Town,
    pub(crate) aim: &'static str,
}

impl Report {
    fn draw_institution(&mut self, choices: Choices) {
        let fitting: Vec<&Institution> =
            INSTITUTIONS.iter().filter(|institution| institution.spheres.contains(&self.project.sphere)).collect();
        self.institution = *choices.pick("institution", &fitting);
    }

    /// Returns `true` if the project was abandoned before it was carried out: "did not", not
    /// "does".
    pub(crate) fn is_off(&self) -> bool {
        matches!(self.stage, Stage::Refused | Stage::Postponed)
    }
}

impl Facts for Report {
    const FACETS: usize = 5;

    fn draw(choices: Choices) -> Self {
        let project = choices.pick("project", PROJECTS);
        let amount = (project.counted && choices.chance("counted", 70)).then(|| *choices.pick("amount", AMOUNTS));
        let mut report = Self {
            institution: &INSTITUTIONS[0],
            project,
            stage: STAGES[choices.weighted("stage", &[3, 3, 3, 3, 1, 1])],
            amount,
            town: choices.pick("town", TOWNS),
            aim: *choices.pick("aim", project.sphere.aims()),
        };
        report.draw_institution(choices);
        report
    }

    fn redraw(&mut self, facet: usize, choices: Choices) {
        match facet {
            // Ministries and boards are the government as well.
            0 if self.institution.name != "serikali" => self.draw_institution(choices),
            1 => {
                let similar: Vec<&Project> = PROJECTS
                    .iter()
                    .filter(|project| project.sphere == self.project.sphere && project.counted == self.project.counted)
                    .collect();
                self.project = *choices.pick("project", &similar);
            }
            2 => {
                let others: Vec<Stage> = STAGES.iter().copied().filter(|stage| stage.excludes(self.stage)).collect();
                self.stage = *choices.pick("stage", &others);
            }
            3 => self.amount = self.amount.map(|_| *choices.pick("amount", AMOUNTS)),
            4 => self.town = choices.pick("town", TOWNS),
            _ => {}
        }
    }

    fn essence(&self) -> String {
        format!("report {} {} {}", self.project.stem, self.project.head, self.institution.name)
    }
}
