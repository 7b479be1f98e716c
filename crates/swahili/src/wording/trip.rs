//! Trips: who goes where, by what, when and for what.

use super::phrase::{finite, join, sentence, who};
use crate::random::Choices;
use crate::scene::Trip;
use crate::verb::{Subject, Tense};

impl Trip {
    fn does(&self, stem: &str, negative: bool) -> String {
        finite(stem, Subject::Third(self.party.class), self.moment.1, negative, None)
    }

    /// The journey in full.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        let pick = |what: &str, options: &[&'static str]| *choices.pick(what, options);
        let (name, carrier, errand, moment) = (self.party.name, self.carrier.name, self.errand, self.moment.0);
        let [from, to] = [self.from.name, self.to.name];
        let by = format!("kwa {carrier}");
        let aim = format!("ili {errand}");
        let travels = self.does("safiri", self.negative);
        let length = pick(
            "length",
            &[
                "",
                "",
                "",
                "safari hiyo huchukua saa nyingi",
                "barabara hiyo ina msongamano mkubwa",
                "safari ni ndefu na ya kuchosha",
            ],
        );
        let length = if by == "kwa basi" || by == "kwa lori" { length } else { "" };
        let body = match choices.below("shape", 7) {
            0 => join(&[name, &travels, &by, "kutoka", from, "hadi", to, moment, &aim]),
            1 => format!("{moment}, {}", join(&[name, &travels, "kutoka", from, "kwenda", to, &by, &aim])),
            2 => {
                let leaves = self.does("ondoka", self.negative);
                join(&[name, &leaves, from, moment, &by, "kuelekea", to, &aim])
            }
            3 => format!("{aim}, {}", join(&[name, &travels, &by, "kutoka", from, "hadi", to, moment])),
            4 if self.moment.1 == Tense::Past && !self.negative => {
                let boards = self.does("panda", false);
                let goes = finite("enda", Subject::Third(self.party.class), Tense::Then, false, None);
                join(&[name, &boards, carrier, "mjini", from, &format!("{moment},"), &goes, to, &aim])
            }
            5 => {
                let told = pick("told", &["ninajua kwamba", "wenyeji wamethibitisha kwamba", "ni kweli kwamba"]);
                join(&[told, name, &travels, &by, "kutoka", from, "hadi", to, moment, &aim])
            }
            6 if !self.negative && self.moment.1 != Tense::Present => {
                let goes = who("safiri", self.party.class, self.moment.1, false, None);
                join(&["ni", name, &goes, moment, "kutoka", from, "hadi", to, &by, &aim])
            }
            _ => join(&[name, &travels, moment, "kutoka", from, "hadi", to, &by, &aim]),
        };
        if length.is_empty() { sentence(&body) } else { format!("{} {}", sentence(&body), sentence(length)) }
    }

    /// Words a conclusion from the journey.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        let short = self.party.short;
        let (carrier, errand, moment) = (self.carrier.name, self.errand, self.moment.0);
        let [from, to] = [self.from.name, self.to.name];
        let by = format!("kwa {carrier}");
        let goes = self.does("enda", self.negative);
        let uses = self.does("tumia", self.negative);
        let aim = format!("ili {errand}");
        let past = self.moment.1 == Tense::Past;
        let body = match choices.below("shape", 9) {
            0 => join(&[short, &goes, to, &by]),
            1 => join(&[short, &goes, to, moment]),
            2 => join(&[short, &goes, to, &aim]),
            3 => join(&[short, &uses, carrier, "kwenda", to]),
            4 if !self.negative => join(&["safari ya", short, "ni ya kutoka", from, "hadi", to]),
            5 if !self.negative => {
                let wants = finite(
                    "taka",
                    Subject::Third(self.party.class),
                    if past { Tense::Past } else { Tense::Present },
                    false,
                    None,
                );
                join(&[short, &wants, errand, to])
            }
            6 => join(&[short, &self.does("ondoka", self.negative), from, moment]),
            7 => join(&[short, &self.does("safiri", self.negative), &by, moment]),
            _ => join(&[short, &self.does("safiri", self.negative), "kutoka", from, "hadi", to]),
        };
        sentence(&body)
    }
}
