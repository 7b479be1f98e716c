//! Times: days with the tenses they go with, and parts of the day.

use crate::verb::Tense::{self, *};

/// A day, week or season as an adverb.
#[derive(Debug, PartialEq)]
pub(crate) struct Day {
    pub(crate) phrase: &'static str,
    pub(crate) tenses: &'static [Tense],
    /// `true` if a part of the day may follow: "jana asubuhi".
    pub(crate) parted: bool,
}

impl Day {
    /// Returns `true` if a fact about this day does not imply the same fact about the `other`.
    pub(crate) fn excludes(&self, other: &Day) -> bool {
        let every = |day: &Day| day.phrase.starts_with("kila");
        let implied = match other.phrase {
            "wiki hii" => self.phrase == "leo",
            "mara kwa mara" | "kila wiki" => every(self),
            // Last Sunday may lie in last week.
            "wiki iliyopita" => self.phrase.ends_with("iliyopita"),
            "wiki ijayo" => self.phrase.ends_with("ijayo"),
            _ => self.phrase == "kila siku" && every(other),
        };
        self != other && !implied
    }
}

/// A part of the day as an adverb.
#[derive(Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) phrase: &'static str,
    /// A wider word for it, or nothing.
    pub(crate) general: &'static str,
    pub(crate) dark: bool,
}

const fn day(phrase: &'static str, tenses: &'static [Tense], parted: bool) -> Day {
    Day { phrase, tenses, parted }
}

#[rustfmt::skip]
pub(crate) const DAYS: &[Day] = &[
    day("leo", &[Present, Perfect, Future], true),
    day("jana", &[Past], true),
    day("juzi", &[Past], true),
    day("wiki iliyopita", &[Past], false),
    day("mwezi uliopita", &[Past], false),
    day("mwaka jana", &[Past], false),
    day("Jumamosi iliyopita", &[Past], true),
    day("Jumapili iliyopita", &[Past], true),
    day("Jumatatu iliyopita", &[Past], true),
    day("Alhamisi iliyopita", &[Past], true),
    day("wakati wa likizo", &[Past, Future], false),
    day("wiki hii", &[Present, Perfect, Future], false),
    day("kesho", &[Future], true),
    day("keshokutwa", &[Future], true),
    day("wiki ijayo", &[Future], false),
    day("mwezi ujao", &[Future], false),
    day("Jumamosi ijayo", &[Future], true),
    day("Ijumaa ijayo", &[Future], true),
    day("Jumanne ijayo", &[Future], true),
    day("kila siku", &[Habitual], true),
    day("kila Jumamosi", &[Habitual], true),
    day("kila Jumatano", &[Habitual], true),
    day("kila wiki", &[Habitual], false),
    day("mara kwa mara", &[Habitual], false),
    day("wakati wa kiangazi", &[Habitual], false),
    day("wakati wa masika", &[Habitual], false),
];

const fn part(phrase: &'static str, general: &'static str, dark: bool) -> Part {
    Part { phrase, general, dark }
}

#[rustfmt::skip]
pub(crate) const PARTS: &[Part] = &[
    part("asubuhi", "", false),
    part("asubuhi na mapema", "asubuhi", false),
    part("alfajiri", "", true),
    part("saa mbili asubuhi", "asubuhi", false),
    part("saa nne asubuhi", "asubuhi", false),
    part("mchana", "", false),
    part("saa saba mchana", "mchana", false),
    part("adhuhuri", "mchana", false),
    part("alasiri", "", false),
    part("saa kumi alasiri", "alasiri", false),
    part("jioni", "", false),
    part("saa kumi na moja jioni", "jioni", false),
    part("usiku", "", true),
    part("saa mbili usiku", "usiku", true),
];
