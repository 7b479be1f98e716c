//! Talk: what a speaker says of a deed, and what follows about the deed from what was said.

use super::phrase::{finite, join, noun_phrase, object_marker, rename, sentence, to_do};
use crate::lexicon::Number;
use crate::noun_class::Class;
use crate::random::Choices;
use crate::scene::{Stance, Talk, Voice};
use crate::verb::{Subject, Tense};

impl Talk {
    fn subject(&self) -> Subject {
        match self.voice {
            Voice::I => Subject::I,
            Voice::We => Subject::We,
            Voice::Relative(..) => Subject::Third(Class::C1),
        }
    }

    /// "kaka yangu", or nothing where the verb says it all.
    fn doer(&self) -> String {
        match self.voice {
            Voice::Relative(noun, whose) => {
                format!("{} {}", noun.singular, noun.possessive(Number::Singular, whose))
            }
            _ => String::new(),
        }
    }

    fn says(&self, stem: &str, tense: Tense, negative: bool) -> String {
        finite(stem, self.subject(), tense, negative, None)
    }

    fn does(&self, tense: Tense, negative: bool) -> String {
        let marker = object_marker(self.deed.verb, self.deed.object.as_ref());
        finite(self.deed.verb.stem, self.subject(), tense, negative, marker)
    }

    fn doing(&self) -> String {
        to_do(self.deed.verb.stem, object_marker(self.deed.verb, self.deed.object.as_ref()))
    }

    /// The speech in one or two sentences.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        let deed = &self.deed;
        let object = deed.object.as_ref().map(noun_phrase).unwrap_or_default();
        let rest = join(&[&object, &deed.place_phrase()]);
        let why = deed.why.filter(|why| !why.starts_with("huku")).unwrap_or_default();
        let doing = join(&[&self.doing(), &rest]);
        let doer = self.doer();
        let pick = |name: &str, options: &[&'static str]| *choices.pick(name, options);
        match self.stance {
            Stance::Managed => {
                let end = pick(
                    "relief",
                    &[
                        "ingawa haikuwa rahisi",
                        "baada ya kujaribu mara nyingi",
                        "na sasa kila mtu ameridhika",
                        "kama tulivyopanga",
                    ],
                );
                sentence(&join(&[pick("when", PAST), &doer, &self.says("fanikiwa", Tense::Past, false), &doing, end]))
            }
            Stance::Forgot => {
                let excuse = pick(
                    "excuse",
                    &[
                        "kwa sababu kulikuwa na kazi nyingi",
                        "hivyo tutalazimika kungoja hadi kesho",
                        "licha ya kukumbushwa mara mbili",
                        "kwa bahati mbaya",
                    ],
                );
                sentence(&join(&[
                    "samahani,",
                    pick("when", PAST),
                    &doer,
                    &self.says("sahau", Tense::Past, false),
                    &doing,
                    excuse,
                ]))
            }
            Stance::Refused => {
                let ground = pick(
                    "ground",
                    &[
                        "kwa sababu hakukuwa na muda",
                        "kwa sababu ya uchovu",
                        "ingawa kila mtu aliomba",
                        "licha ya maombi ya familia",
                    ],
                );
                sentence(&join(&[pick("when", PAST), &doer, &self.says("kataa", Tense::Past, false), &doing, ground]))
            }
            Stance::WantedInVain => {
                let hurdle = pick(
                    "hurdle",
                    &[
                        "lakini mvua kubwa ilinyesha",
                        "lakini muda haukutosha",
                        "lakini wageni walifika ghafla",
                        "lakini mipango ilibadilika dakika za mwisho",
                    ],
                );
                sentence(&format!(
                    "{}, {hurdle}",
                    join(&[pick("when", PAST), &doer, &self.says("taka", Tense::Past, false), &doing])
                ))
            }
            Stance::Promised => {
                let clause = join(&[&self.does(Tense::Future, false), &rest, pick("when", FUTURE), why]);
                let promised = match self.voice {
                    Voice::Relative(..) => format!("{doer} ameahidi kwamba {clause}"),
                    _ => format!("{} kwamba {clause}", self.says("ahidi", Tense::Perfect, false)),
                };
                sentence(&join(&[&promised, pick("trust", &["", "", "na ninaamini hivyo"])]))
            }
            Stance::Told => {
                let teller = pick(
                    "teller",
                    &["nimefurahi kusikia kwamba", "ninakumbuka kwamba", "kila mtu anajua kwamba", "je, unajua kwamba"],
                );
                let end = if teller.starts_with("je") { "?" } else { "" };
                let text = join(&[teller, pick("when", PAST), &doer, &self.does(Tense::Past, false), &rest, why]);
                sentence(&format!("{text}{end}"))
            }
            Stance::AskedForHelp => {
                let ask = match self.voice {
                    Voice::I => "naomba unisaidie",
                    Voice::We => "tunaomba utusaidie",
                    Voice::Relative(..) => "anaomba umsaidie",
                };
                sentence(&join(&[
                    pick("please", &["tafadhali,", "samahani,", "ndugu,"]),
                    &doer,
                    ask,
                    &doing,
                    pick("when", FUTURE),
                    why,
                ]))
            }
            Stance::Can => {
                let clause =
                    join(&[&doer, &self.says("weza", Tense::Present, false), &doing, "bila msaada wa mtu yeyote"]);
                sentence(&join(&[
                    pick("opening", &["usiwe na wasiwasi,", "ninavyojua mimi,", "ukweli ni kwamba"]),
                    &clause,
                ]))
            }
            Stance::Cannot => {
                let ground = pick(
                    "ground",
                    &[
                        "kwa sababu ya maumivu ya mgongo",
                        "kwa sababu mvua inanyesha",
                        "kwa sababu ya wingi wa kazi",
                        "mpaka wiki ijayo",
                    ],
                );
                sentence(&join(&[
                    pick("regret", &["kwa bahati mbaya,", "samahani,", "leo"]),
                    &doer,
                    &self.says("weza", Tense::Present, true),
                    &doing,
                    ground,
                ]))
            }
            Stance::Must => {
                let ought = pick("ought", &["lazima", "inabidi", "ni muhimu"]);
                sentence(&join(&[
                    ought,
                    &doer,
                    &self.does(Tense::Subjunctive, false),
                    &rest,
                    pick("when", FUTURE),
                    why,
                ]))
            }
            Stance::NotYet => {
                let end = pick(
                    "then",
                    &["ingawa siku zinakwenda", "lakini kazi itaanza hivi karibuni", "kwa hiyo tuwe na subira"],
                );
                sentence(&join(&[
                    "mpaka sasa",
                    &doer,
                    &format!("{},", join(&[&self.does(Tense::Perfect, true), &rest])),
                    end,
                ]))
            }
            Stance::Proposes => {
                let idea = pick("idea", &["napendekeza kwamba", "itakuwa vizuri", "nadhani ni wazo zuri"]);
                sentence(&join(&[idea, &doer, &self.does(Tense::Subjunctive, false), &rest, pick("when", FUTURE), why]))
            }
            Stance::Finished => {
                let end = pick(
                    "now",
                    &["na sasa ni wakati wa kupumzika", "hivyo tunaweza kuondoka", "mapema kuliko tulivyotarajia"],
                );
                sentence(&join(&["hatimaye", &doer, &self.says("maliza", Tense::Perfect, false), &doing, end]))
            }
            Stance::Hopes => sentence(&join(&[
                &doer,
                &self.says("tumaini", Tense::Present, false),
                &doing,
                pick("when", FUTURE),
                why,
            ])),
            Stance::Wonders => {
                let question = pick("question", &["je, unafikiri", "sijui kama", "kila mtu anajiuliza kama"]);
                let end = if question.starts_with("je") { "?" } else { "" };
                let text = join(&[question, &doer, &self.does(Tense::Future, false), &rest, pick("when", FUTURE), why]);
                sentence(&format!("{text}{end}"))
            }
        }
    }

    /// Words a conclusion about the deed.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        let deed = &self.deed;
        let affirmative = !matches!(
            self.stance,
            Stance::Forgot | Stance::Refused | Stance::WantedInVain | Stance::Cannot | Stance::NotYet
        );
        let object = deed.object.map(|object| {
            let person = object_marker(deed.verb, Some(&object)).is_some();
            if person { object } else { rename(&object, choices.part("object word"), affirmative) }
        });
        let object = object.map(|object| if choices.chance("bare", 30) { object.plain() } else { object });
        let object = object.as_ref().map(noun_phrase).unwrap_or_default();
        let place = if choices.chance("place", 65) || object.is_empty() {
            deed.place.map_or("", |place| place.phrase)
        } else {
            ""
        };
        let town = deed
            .town
            .map(|town| town.phrase_after(deed.place))
            .filter(|_| choices.chance("town", 45))
            .unwrap_or_default();
        let rest = join(&[&object, place, &town]);
        let doing = join(&[&self.doing(), &rest]);
        let doer = self.doer();
        let either = choices.chance("either", 50);
        let said = match self.stance {
            Stance::Managed if either => join(&[&self.says("weza", Tense::Past, false), &doing]),
            Stance::Managed | Stance::Told => join(&[&self.does(Tense::Past, false), &rest]),
            Stance::Forgot | Stance::Refused | Stance::WantedInVain => join(&[&self.does(Tense::Past, true), &rest]),
            Stance::Promised if either => join(&[&self.says("panga", Tense::Present, false), &doing]),
            Stance::Promised => join(&[&self.says("kusudia", Tense::Present, false), &doing]),
            Stance::AskedForHelp => join(&[&self.says("hitaji", Tense::Present, false), "msaada wa", &doing]),
            Stance::Can if either => join(&[&self.subject().has(), "uwezo wa", &doing]),
            Stance::Can => join(&[&self.says("weza", Tense::Present, false), &doing]),
            Stance::Cannot if either => join(&[&self.says("shindwa", Tense::Present, false), &doing]),
            Stance::Cannot => join(&[&self.says("weza", Tense::Present, true), &doing]),
            Stance::Must => join(&[&self.says("paswa", Tense::Present, false), &doing]),
            Stance::NotYet if either => join(&["bado", &self.does(Tense::Perfect, true), &rest]),
            Stance::NotYet => join(&[&self.does(Tense::Perfect, true), &rest]),
            Stance::Proposes => {
                let proposal = join(&["kuna pendekezo kwamba", &doer, &self.does(Tense::Subjunctive, false), &rest]);
                return sentence(&proposal);
            }
            Stance::Finished if either => join(&["tayari", &self.does(Tense::Perfect, false), &rest]),
            Stance::Finished => join(&[&self.does(Tense::Perfect, false), &rest]),
            Stance::Hopes if either => join(&[&self.subject().has(), "matumaini ya", &doing]),
            Stance::Hopes => join(&[&self.says("taka", Tense::Present, false), &doing]),
            Stance::Wonders => {
                return sentence(&join(&["haijulikani kama", &doer, &self.does(Tense::Future, false), &rest]));
            }
        };
        sentence(&join(&[&doer, &said]))
    }
}

const PAST: &[&str] =
    &["jana", "juzi", "wiki iliyopita", "Jumamosi iliyopita", "jana jioni", "mwezi uliopita", "leo asubuhi"];
const FUTURE: &[&str] =
    &["kesho", "kesho asubuhi", "wiki ijayo", "Jumapili ijayo", "keshokutwa", "mwishoni mwa mwezi", "leo jioni"];
