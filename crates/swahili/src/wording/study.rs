//! Study: a pupil's examination and how it went.

use super::phrase::{join, sentence};
use crate::random::Choices;
use crate::scene::Study;

impl Study {
    /// The examination in full.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        let (pupil, level, subject, term) = (self.pupil, self.level, self.subject.singular, self.term);
        let school = join(&[self.school, &self.town.phrase()]);
        let exam = format!("mtihani wa {subject}");
        let marks = format!("alama {}", self.marks);
        let reason = self.reason();
        let result = if self.passed() { "alifaulu" } else { "alishindwa" };
        let body = match choices.below("shape", 8) {
            0 => join(&[pupil, "wa", level, "katika", &school, "alipata", &marks, "kwenye", &exam, term, reason]),
            1 => format!(
                "{term}, {}",
                join(&[pupil, "wa", level, "katika", &school, result, &exam, "kwa", &marks, reason])
            ),
            2 => join(&[
                "mwalimu alitangaza kwamba",
                pupil,
                "wa",
                level,
                "katika",
                &school,
                result,
                &exam,
                "kwa",
                &marks,
            ]),
            3 => join(&[pupil, "anayesoma", level, "katika", &school, result, &exam, term, reason]),
            4 => join(&[
                "katika",
                &exam,
                &format!("uliofanyika {term},"),
                pupil,
                "wa",
                level,
                "katika",
                &school,
                "alipata",
                &marks,
            ]),
            5 => join(&["wazazi walielezwa kuwa", pupil, "wa", level, "katika", &school, result, &exam, term, reason]),
            6 => join(&[
                "ni",
                pupil,
                "wa",
                level,
                "katika",
                &school,
                if self.passed() { "aliyefaulu" } else { "aliyeshindwa" },
                &exam,
                "kwa",
                &marks,
                term,
            ]),
            _ => format!(
                "{} {}",
                sentence(&join(&[pupil, "anasoma", level, "katika", &school])),
                sentence(&join(&[term, result, &exam, "kwa", &marks, reason]))
            ),
        };
        sentence(&body)
    }

    /// Words a conclusion from the result.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        let (pupil, level, subject, term) = (self.pupil, self.level, self.subject.singular, self.term);
        let town = self.town.phrase();
        let exam = format!("mtihani wa {subject}");
        let result = if self.passed() { "alifaulu" } else { "alishindwa" };
        let child = if choices.chance("child", 30) { "mtoto wa shule" } else { pupil };
        let told_term = choices.chance("term", 40);
        let when = if told_term { term } else { "" };
        let body = match choices.below("shape", 8) {
            0 => join(&[child, result, &exam, when]),
            1 => join(&[pupil, "wa", level, result, &exam]),
            2 => join(&[pupil, "wa", level, "alifanya", &exam]),
            3 => join(&["matokeo ya", &exam, if self.passed() { "yalikuwa mazuri" } else { "hayakuwa mazuri" }, &town]),
            4 => join(&[
                child,
                "alipata",
                if self.passed() { "alama nzuri katika" } else { "alama mbaya katika" },
                subject,
            ]),
            5 => join(&[child, "alifanya", &exam, &town]),
            6 => join(&["kuna", pupil, if self.passed() { "aliyefaulu" } else { "aliyeshindwa" }, subject, &town]),
            _ => join(&[pupil, "wa", level, "anasoma", &town]),
        };
        sentence(&body)
    }
}
