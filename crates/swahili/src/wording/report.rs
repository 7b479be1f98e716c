//! Reports: what an institution announced, decided, began, finished, refused or put off.

use super::phrase::{finite, join, sentence, to_do};
use crate::noun_class::Class;
use crate::random::Choices;
use crate::scene::{Report, Stage};
use crate::verb::{Subject, Tense};

impl Report {
    fn institution_does(&self, stem: &str, tense: Tense, negative: bool) -> String {
        finite(stem, Subject::Third(self.institution.class), tense, negative, None)
    }

    fn is_done(&self, tense: Tense, negative: bool) -> String {
        finite(self.project.passive, Subject::Third(self.project.class), tense, negative, None)
    }

    fn object(&self, amount: bool, rest: bool) -> String {
        // An adjective precedes the number; "of" with its complement follows it: walimu wapya mia
        // mbili.
        let rest = if rest { self.project.rest } else { "" };
        let amount = self.amount.filter(|_| amount).unwrap_or_default();
        let adjective = matches!(rest, "mpya" | "wapya" | "bingwa");
        let [first, last] = if adjective { [rest, amount] } else { [amount, rest] };
        join(&[self.project.head, first, last])
    }

    /// The news in full.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        let town = self.town.phrase();
        let object = self.object(true, true);
        let doing = to_do(self.project.stem, None);
        let name = self.institution.name;
        let pick = |what: &str, options: &[&'static str]| *choices.pick(what, options);
        let money = if !self.project.counted {
            ""
        } else {
            pick(
                "money",
                &[
                    "",
                    "",
                    "",
                    "",
                    "",
                    "kwa gharama ya shilingi bilioni mbili",
                    "kwa gharama ya shilingi milioni mia tano",
                    "kwa msaada wa wafadhili",
                ],
            )
        };
        let source = pick(
            "source",
            &["", "", "", "kwa mujibu wa gazeti la leo,", "kulingana na taarifa rasmi,", "kama ilivyoripotiwa rasmi,"],
        );
        let soon = pick(
            "soon",
            &[
                "mwaka ujao",
                "mwezi ujao",
                "kabla ya mwisho wa mwaka",
                "katika mwaka wa fedha ujao",
                "ndani ya miaka miwili",
            ],
        );
        let past = pick("past", &["mwaka huu", "wiki iliyopita", "mwezi uliopita", "mwaka jana", "jana"]);
        let aim = if choices.chance("aim", 55) { self.aim } else { "" };
        let body = match self.stage {
            Stage::Announced => {
                let announced = pick("announce", &["tangaza", "ahidi", "eleza"]);
                let head = join(&[name, &self.institution_does(announced, Tense::Perfect, false), "kwamba"]);
                if choices.chance("passive", 50) {
                    join(&[&head, &object, &self.is_done(Tense::Future, false), &town, soon, money, aim])
                } else {
                    let does =
                        finite(self.project.stem, Subject::Third(self.institution.class), Tense::Future, false, None);
                    join(&[&head, &does, &object, &town, soon, money, aim])
                }
            }
            Stage::Decided => match choices.below("decided", 3) {
                0 => join(&[
                    name,
                    &self.institution_does("panga", Tense::Perfect, false),
                    &doing,
                    &object,
                    &town,
                    soon,
                    money,
                    aim,
                ]),
                1 => join(&[
                    name,
                    &self.institution_does("amua", Tense::Perfect, false),
                    &doing,
                    &object,
                    &town,
                    soon,
                    aim,
                ]),
                _ => join(&[
                    "baada ya mkutano wa siku mbili,",
                    name,
                    &self.institution_does("kubali", Tense::Past, false),
                    &doing,
                    &object,
                    &town,
                    aim,
                ]),
            },
            Stage::Begun => {
                let object_first = choices.chance("passive", 35);
                if object_first {
                    let began = finite("anza", Subject::Third(self.project.class), Tense::Past, false, None);
                    let passive = to_do(self.project.passive, None);
                    join(&[&object, &began, &passive, "na", name, &town, past, money, aim])
                } else {
                    join(&[
                        past,
                        name,
                        &self.institution_does("anza", Tense::Past, false),
                        &doing,
                        &object,
                        &town,
                        money,
                        aim,
                    ])
                }
            }
            Stage::Done if choices.chance("passive", 45) => {
                join(&[&object, &self.is_done(Tense::Past, false), "na", name, &town, past, money, aim])
            }
            Stage::Done => join(&[
                name,
                &self.institution_does(self.project.stem, Tense::Past, false),
                &object,
                &town,
                past,
                money,
                aim,
            ]),
            Stage::Refused => {
                let ground = pick(
                    "ground",
                    &[
                        "kwa sababu ya ukosefu wa fedha",
                        "licha ya maombi ya wananchi",
                        "kwa madai kwamba bajeti haitoshi",
                    ],
                );
                join(&[past, name, &self.institution_does("kataa", Tense::Past, false), &doing, &object, &town, ground])
            }
            Stage::Postponed => {
                let ground = pick(
                    "ground",
                    &["kwa sababu ya ukosefu wa fedha", "kutokana na mvua kubwa", "hadi uchaguzi umalizike"],
                );
                join(&[
                    name,
                    &self.institution_does("ahirisha", Tense::Perfect, false),
                    "mpango wa",
                    &doing,
                    &object,
                    &town,
                    ground,
                ])
            }
        };
        sentence(&join(&[source, &body]))
    }

    /// Words a conclusion from the news.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        // What is refused in one town or number may be granted in another, so refusals keep all
        // they deny; and a ban on plastic bags is not a ban on bags.
        let off = self.is_off();
        let whole = off || !self.project.counted || choices.chance("rest", 75);
        let object = self.object(off || choices.chance("amount", 45), whole);
        let town = if off || choices.chance("town", 70) { self.town.phrase() } else { String::new() };
        // An infinitive agrees as class 15: kujenga shule kumeanza.
        let the_doing = |stem| finite(stem, Subject::Third(Class::C15), Tense::Perfect, false, None);
        let doing = to_do(self.project.stem, None);
        let name = self.institution.name;
        let does = |tense, negative| self.institution_does(self.project.stem, tense, negative);
        let shape = choices.below("shape", 5);
        let said = match (self.stage, shape) {
            (Stage::Announced, 0 | 1) => join(&[&object, &self.is_done(Tense::Future, false), &town]),
            (Stage::Announced, 2) => join(&[name, &does(Tense::Future, false), &object, &town]),
            (Stage::Announced, 3) => join(&["kuna ahadi ya", &doing, &object, &town]),
            (Stage::Announced | Stage::Decided, 4) => {
                join(&[name, &self.institution_does("kusudia", Tense::Present, false), &doing, &object])
            }
            (Stage::Announced, _) | (Stage::Decided, 0) => join(&["kuna mpango wa", &doing, &object, &town]),
            (Stage::Decided, 1) => {
                join(&[name, &Subject::Third(self.institution.class).has(), "mpango wa", &doing, &object])
            }
            (Stage::Decided, _) => join(&["uamuzi wa", &doing, &object, &town, "umefanywa"]),
            (Stage::Begun, 0) => join(&["kazi ya", &doing, &object, &town, "imeanza"]),
            (Stage::Begun, 1) => join(&[&doing, &object, &town, &the_doing("anza")]),
            (Stage::Begun, 2) => join(&[&object, &self.is_done(Tense::Present, false), &town]),
            (Stage::Begun, _) => join(&[name, &does(Tense::Present, false), &object, &town]),
            (Stage::Done, 0 | 1) => join(&[&object, &self.is_done(Tense::Perfect, false), &town]),
            (Stage::Done, 2) => join(&[&object, &self.is_done(Tense::Past, false), "na", name]),
            (Stage::Done, _) => join(&[name, &does(Tense::Perfect, false), &object, &town]),
            (Stage::Refused, 0) => join(&[&doing, &object, &town, &the_doing("kataliwa")]),
            (Stage::Refused, 1) => join(&[&object, &self.is_done(Tense::Future, true), &town]),
            (Stage::Refused, _) => {
                join(&[name, &self.institution_does("taka", Tense::Past, true), &doing, &object, &town])
            }
            (Stage::Postponed, 0) => join(&[&doing, &object, &town, &the_doing("ahirishwa")]),
            (Stage::Postponed, 1) => join(&["mpango wa", &doing, &object, &town, "umecheleweshwa"]),
            (Stage::Postponed, _) => join(&[&object, &self.is_done(Tense::Perfect, true), &town]),
        };
        sentence(&said)
    }
}
