//! A pupil, an examination and its result.

use super::Facts;
use crate::lexicon::{Kind, NOUNS, Noun, TOWNS, Town};
use crate::random::Choices;

const LEVELS: &[&str] = &[
    "darasa la nne",
    "darasa la tano",
    "darasa la sita",
    "darasa la saba",
    "kidato cha kwanza",
    "kidato cha pili",
    "kidato cha tatu",
    "kidato cha nne",
];

const REASONS: &[&str] = &[
    "kwa sababu alisoma kwa bidii",
    "kwa msaada wa mwalimu wake",
    "baada ya kusoma usiku na mchana",
    "kwa sababu alihudhuria masomo ya ziada",
    "licha ya kukosa vitabu vya kutosha",
    "ingawa nyumbani hakuna umeme",
];
const EXCUSES: &[&str] = &[
    "kwa sababu hakujiandaa vizuri",
    "kwa sababu aliugua wiki nzima",
    "licha ya msaada wa mwalimu wake",
    "kwa sababu alikosa masomo mengi",
    "ingawa alisoma usiku na mchana",
    "kwa sababu ya woga",
];
const TERMS: &[&str] =
    &["mwaka huu", "mwaka jana", "wiki iliyopita", "muhula uliopita", "mwezi uliopita", "mwanzoni mwa muhula"];
const SCHOOLS: &[&str] = &[
    "shule ya msingi ya Uhuru",
    "shule ya sekondari ya Amani",
    "shule ya Umoja",
    "shule ya wasichana ya Tumaini",
    "shule ya serikali ya Mlimani",
    "shule ya bweni ya Mwangaza",
];
const PUPILS: &[&str] = &["mwanafunzi", "mvulana", "msichana"];

/// Who got what marks in what subject, where and when. It lies in the past.
#[derive(Clone)]
pub(crate) struct Study {
    pub(crate) pupil: &'static str,
    pub(crate) level: &'static str,
    pub(crate) school: &'static str,
    pub(crate) town: &'static Town,
    pub(crate) subject: &'static Noun,
    pub(crate) marks: usize,
    pub(crate) term: &'static str,
    reason: usize,
}

impl Study {
    /// Fewer than half the marks is a failure.
    pub(crate) fn passed(&self) -> bool {
        self.marks >= 50
    }

    /// Why it went as it did.
    pub(crate) fn reason(&self) -> &'static str {
        if self.passed() { REASONS[self.reason] } else { EXCUSES[self.reason] }
    }
}

impl Facts for Study {
    const FACETS: usize = 6;

    fn draw(choices: Choices) -> Self {
        let girls_only = |school: &str| school.contains("wasichana");
        let school = *choices.pick("school", SCHOOLS);
        let pupil = if girls_only(school) { "msichana" } else { *choices.pick("pupil", PUPILS) };
        let levels = if school.contains("msingi") {
            &LEVELS[..4]
        } else if school.contains("sekondari") {
            &LEVELS[4..]
        } else {
            LEVELS
        };
        let mut study = Self {
            pupil,
            level: *choices.pick("level", levels),
            school,
            town: choices.pick("town", TOWNS),
            subject: &NOUNS[0],
            marks: 0,
            term: *choices.pick("term", TERMS),
            reason: choices.below("reason", REASONS.len()),
        };
        study.redraw(0, choices);
        study.redraw(1, choices);
        study
    }

    fn redraw(&mut self, facet: usize, choices: Choices) {
        match facet {
            0 => {
                let subjects: Vec<&Noun> = NOUNS.iter().filter(|noun| noun.is(Kind::Lesson)).collect();
                self.subject = *choices.pick("subject", &subjects);
            }
            1 => self.marks = if choices.chance("pass", 75) { 62 } else { 8 } + choices.below("marks", 36),
            2 => self.town = choices.pick("town", TOWNS),
            // A week, a month or a term of this year lies in this year.
            3 if self.term != "mwaka huu" => self.term = *choices.pick("term", TERMS),
            4 => {
                self.level = if LEVELS[..4].contains(&self.level) {
                    *choices.pick("level", &LEVELS[..4])
                } else {
                    *choices.pick("level", &LEVELS[4..])
                }
            }
            // Boys and girls at school are pupils.
            _ if !self.school.contains("wasichana") && self.pupil != "mwanafunzi" => {
                self.pupil = *choices.pick("pupil", PUPILS);
            }
            _ => {}
        }
    }

    fn essence(&self) -> String {
        format!("study {} {} {}", self.school, self.level, self.town.name)
    }
}
