//! Long descriptions of a deed: agent with appearance, action, object, manner, company, place, time
//! and reason.

use super::phrase::{finite, join, noun_phrase, object_marker, qualify, sentence, there_is, to_do, who};
use crate::lexicon::{Kind, Number, lexicon};
use crate::noun_class::Class;
use crate::random::Choices;
use crate::scene::{Deed, Participant};
use crate::verb::{Subject, Tense};

/// The ways in which the heart of the sentence is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Core {
    Plain,
    Participle,
    ThereIs,
    Passive,
    Cleft,
    Located,
    Witnessed,
    Hearsay,
    Auxiliary,
    Interrupted,
    TwoSentences,
    Question,
    ThereIsPassive,
    Lasting,
    WentAndDid,
}

/// Opening of the sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Front {
    Nothing,
    Time,
    Place,
    Reason,
}

pub(super) const CORES: &[(Core, usize)] = &[
    (Core::Plain, 30),
    (Core::Participle, 10),
    (Core::ThereIs, 9),
    (Core::Passive, 9),
    (Core::Cleft, 4),
    (Core::Located, 7),
    (Core::Witnessed, 7),
    (Core::Hearsay, 4),
    (Core::Auxiliary, 8),
    (Core::Interrupted, 4),
    (Core::TwoSentences, 7),
    (Core::Question, 3),
    (Core::ThereIsPassive, 4),
    (Core::Lasting, 3),
    (Core::WentAndDid, 4),
];

pub(super) const FRONTS: &[(Front, usize)] =
    &[(Front::Nothing, 60), (Front::Time, 21), (Front::Place, 12), (Front::Reason, 7)];

/// The parts that follow the verb and its object; a part moved to the front is empty here.
struct Tail {
    with: String,
    companion: String,
    place: String,
    time: String,
    why: String,
}

impl Tail {
    fn text(&self) -> String {
        join(&[&self.with, &self.companion, &self.place, &self.time, &self.why])
    }
}

impl Deed {
    /// Who does it: noun, quality, number and clothes.
    pub(super) fn agent_phrase(&self) -> String {
        join(&[&noun_phrase(&self.agent), &self.clothes()])
    }

    fn clothes(&self) -> String {
        let Some((garment, colour)) = self.worn else { return String::new() };
        let dressed = who("vaa", self.agent.agreement(), Tense::Past, false, None);
        format!(
            "{dressed} {}",
            garment_phrase(garment.form(self.agent.number), garment.class(self.agent.number), colour)
        )
    }

    /// Returns the day and its part, as far as they are mentioned: "jana asubuhi".
    pub(super) fn time_phrase(&self) -> String {
        join(&[self.day.map_or("", |day| day.phrase), self.part.map_or("", |part| part.phrase)])
    }

    /// "sokoni mjini Arusha".
    pub(super) fn place_phrase(&self) -> String {
        let place = self.place.map_or("", |place| place.phrase);
        join(&[place, &self.town.map(|town| town.phrase_after(self.place)).unwrap_or_default()])
    }

    /// "rafiki yake".
    pub(super) fn companion_phrase(&self) -> Option<String> {
        let companion = lexicon().noun(self.companion?);
        Some(format!("{} {}", companion.singular, companion.possessive(Number::Singular, "ake")))
    }

    pub(super) fn subject(&self) -> Subject {
        Subject::Third(self.agent.agreement())
    }

    /// The clause "does it to it" in a tense of choice.
    pub(super) fn does(&self, tense: Tense) -> String {
        let marker = object_marker(self.verb, self.object.as_ref());
        finite(self.verb.stem, self.subject(), tense, self.negative, marker)
    }

    /// "While doing": the participle, or a negative clause where nothing is done.
    fn doing(&self) -> String {
        if self.negative { self.does(self.tense) } else { self.does(Tense::While) }
    }

    /// "Who does".
    pub(super) fn who_does(&self) -> String {
        let marker = object_marker(self.verb, self.object.as_ref());
        who(self.verb.stem, self.agent.agreement(), self.tense, self.negative, marker)
    }

    /// "Is done", with the object as subject.
    pub(super) fn is_done(&self, object: &Participant) -> String {
        finite(self.verb.passive, Subject::Third(object.agreement()), self.tense, self.negative, None)
    }

    /// "Which is done".
    pub(super) fn which_is_done(&self, object: &Participant) -> String {
        who(self.verb.passive, object.agreement(), self.tense, self.negative, None)
    }

    /// "Is at", in the tense of the deed; only present, past and future have one.
    pub(super) fn is_at(&self) -> Option<String> {
        match self.tense {
            Tense::Present => Some(self.subject().is_at()),
            Tense::Past | Tense::Future => Some(finite("wa", self.subject(), self.tense, false, None)),
            _ => None,
        }
    }

    /// The whole deed in one or two sentences.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        let mut tail = Tail {
            with: self.with.unwrap_or_default().to_owned(),
            companion: self.companion_phrase().map(|who| format!("pamoja na {who}")).unwrap_or_default(),
            place: self.place_phrase(),
            time: self.time_phrase(),
            why: self.why.unwrap_or_default().to_owned(),
        };
        let core = CORES[choices.weighted("core", &CORES.iter().map(|core| core.1).collect::<Vec<_>>())].0;
        let front = match FRONTS[choices.weighted("front", &FRONTS.iter().map(|front| front.1).collect::<Vec<_>>())].0 {
            // These begin with words of their own.
            _ if matches!(core, Core::Witnessed | Core::Hearsay | Core::Question | Core::Interrupted) => String::new(),
            Front::Nothing => String::new(),
            Front::Time => std::mem::take(&mut tail.time),
            Front::Place => std::mem::take(&mut tail.place),
            Front::Reason if tail.why.starts_with("huku") => String::new(),
            Front::Reason => std::mem::take(&mut tail.why),
        };
        let body = self.body(core, tail, choices);
        let told = if front.is_empty() { sentence(&body) } else { sentence(&format!("{front}, {body}")) };
        match self.scenery(choices) {
            Some(scenery) if !matches!(core, Core::Question | Core::Interrupted) => {
                format!("{told} {}", sentence(&scenery))
            }
            _ => told,
        }
    }

    fn body(&self, core: Core, tail: Tail, choices: Choices) -> String {
        let agent = self.agent_phrase();
        let object = self.object.as_ref().map(noun_phrase).unwrap_or_default();
        let rest = tail.text();
        let plain = || join(&[&agent, &self.does(self.tense), &object, &rest]);
        let passive = self.object.as_ref().filter(|_| !self.verb.passive.is_empty());
        let (present, past) = (self.tense == Tense::Present, self.tense == Tense::Past);
        match core {
            Core::Participle if present => join(&[&agent, &self.doing(), &object, &rest]),
            Core::ThereIs => {
                let which = choices.chance("which", 30);
                let does = format!("{} {}", self.agent.agreement().which(), self.does(self.tense));
                join(&[there_is(self.tense), &agent, &if which { does } else { self.who_does() }, &object, &rest])
            }
            Core::Passive if let Some(patient) = passive => {
                join(&[&object, &self.is_done(patient), "na", &agent, &rest])
            }
            Core::ThereIsPassive if let Some(patient) = passive => {
                join(&[there_is(self.tense), &object, &self.which_is_done(patient), "na", &agent, &rest])
            }
            Core::Cleft => join(&["ni", &agent, &self.who_does(), &object, &rest]),
            Core::Located if !tail.place.is_empty() && !self.negative => match self.is_at() {
                Some(is_at) => {
                    let rest = join(&[&tail.with, &tail.companion, &tail.time, &tail.why]);
                    join(&[&agent, &is_at, &tail.place, &self.doing(), &object, &rest])
                }
                None => plain(),
            },
            Core::TwoSentences if !tail.place.is_empty() && !self.negative => match self.is_at() {
                Some(is_at) => {
                    let where_and_when = join(&[&agent, &is_at, &tail.place, &tail.companion, &tail.time]);
                    let all = self.agent.number == Number::Plural && choices.chance("all", 50);
                    let all = if all { self.agent.agreement().concord().all } else { "" };
                    let what = join(&[all, &self.does(self.tense), &object, &tail.with, &tail.why]);
                    format!("{where_and_when}. {}", sentence(&what))
                }
                None => plain(),
            },
            Core::Witnessed if (present || past) && !self.negative => {
                join(&[&self.witness(choices), &agent, &self.doing(), &object, &rest])
            }
            Core::Hearsay => {
                // What is known is so; what is only said need not be.
                let told = ["inajulikana kwamba", "ni kweli kwamba", "ninajua kwamba", "imethibitishwa kuwa"];
                format!("{} {}", choices.pick("hearsay", &told), plain())
            }
            Core::Auxiliary if !self.negative => {
                let marker = object_marker(self.verb, self.object.as_ref());
                join(&[&agent, &self.auxiliary(choices), &to_do(self.verb.stem, marker), &object, &rest])
            }
            Core::Interrupted if past && !self.negative => {
                let outdoors: &[&str] =
                    &["mvua ilipoanza kunyesha", "upepo mkali ulipoanza kuvuma", "ngurumo ziliposikika kwa mbali"];
                let indoors: &[&str] = &["mvua ilipoanza kunyesha", "umeme ulipokatika ghafla", "simu ilipoita"];
                let roofed = self.place.is_some_and(|place| place.indoors);
                let event = choices.pick("event", if roofed { indoors } else { outdoors });
                let rest = join(&[&tail.with, &tail.companion, &tail.place, &tail.time]);
                let was = finite("wa", self.subject(), Tense::Past, false, None);
                format!("{} wakati {event}", join(&[&agent, &was, &self.doing(), &object, &rest]))
            }
            Core::Question if (present || past) && self.agent.noun.is(Kind::Person) => {
                let class = self.agent.agreement();
                let you = |stem, tense| finite(stem, Subject::You, tense, false, Some(class));
                let opening = match choices.below("question", 4) {
                    0 => you("fahamu", Tense::Present),
                    1 => you("kumbuka", Tense::Present),
                    2 => you("ona", Tense::Perfect),
                    _ => format!(
                        "{} {}",
                        finite("wahi", Subject::You, Tense::Perfect, false, None),
                        to_do("ona", Some(class))
                    ),
                };
                // "This" is in sight, "yonder" is remembered; a number has its noun for itself.
                let counted = self.agent.count.is_some() || self.agent.quality.is_some() || self.worn.is_some();
                let pointed = match (counted, present) {
                    (true, _) => "",
                    (false, true) => class.concord().this,
                    (false, false) => class.concord().yonder,
                };
                format!("je, {}?", join(&[&opening, &agent, pointed, &self.who_does(), &object, &rest]))
            }
            Core::Lasting if present && !self.negative && self.time_phrase().is_empty() => {
                let since = ["tangu asubuhi", "kwa muda wa saa mbili", "tangu alfajiri", "kwa nusu saa"];
                let has_been = finite("wa", self.subject(), Tense::Perfect, false, None);
                let rest = join(&[&tail.with, &tail.companion, &tail.place, *choices.pick("since", &since), &tail.why]);
                join(&[&agent, &has_been, &self.doing(), &object, &rest])
            }
            Core::WentAndDid if past && !self.negative && !tail.place.is_empty() => {
                let went = finite("enda", self.subject(), Tense::Past, false, None);
                let rest = join(&[&tail.with, &tail.why]);
                let there = join(&[&agent, &went, &tail.place, &tail.companion, &tail.time]);
                format!("{there}, {}", join(&[&self.does(Tense::Then), &object, &rest]))
            }
            _ => plain(),
        }
    }

    /// Who sees it: a picture now, somebody then.
    fn witness(&self, choices: Choices) -> String {
        let marker = Some(self.agent.agreement());
        if self.tense == Tense::Present {
            let many = self.agent.number == Number::Plural;
            let appears = if many { "katika picha hii wanaonekana" } else { "katika picha hii anaonekana" };
            return (*choices.pick("picture", &["picha inaonyesha", appears, "ninamwona", "hapa kuna picha ya"]))
                .replace("ninamwona", &finite("ona", Subject::I, Tense::Present, false, marker));
        }
        let saw = |subject| finite("ona", subject, Tense::Past, false, marker);
        match choices.below("witness", 4) {
            2 | 3 if self.agent.noun.is(Kind::Wild) => format!("watalii {}", saw(Subject::Third(Class::C2))),
            0 => saw(Subject::We),
            1 => saw(Subject::I),
            2 => format!("majirani {}", saw(Subject::Third(Class::C2))),
            _ => format!("wapita njia {}", saw(Subject::Third(Class::C2))),
        }
    }

    /// Returns an auxiliary verb that leaves the deed true, such as "manages to".
    fn auxiliary(&self, choices: Choices) -> String {
        let (tense, stems): (Tense, &[&str]) = match self.tense {
            Tense::Present => (Tense::Present, &["endelea"]),
            Tense::Past => (Tense::Past, &["weza", "endelea", "fanikiwa"]),
            Tense::Perfect => (Tense::Perfect, &["maliza", "fanikiwa", "weza"]),
            Tense::Future => (Tense::Future, &["anza", "endelea"]),
            _ => (Tense::Habitual, &["penda", "endelea"]),
        };
        let stem = *choices.pick("auxiliary", stems);
        finite(stem, self.subject(), tense, false, None)
    }

    /// A second sentence about what is around.
    fn scenery(&self, choices: Choices) -> Option<String> {
        let outdoors = self.place.is_none_or(|place| !place.indoors);
        if !matches!(self.tense, Tense::Present | Tense::Past) || !choices.chance("scenery", 6) {
            return None;
        }
        let look = finite("onekana", self.subject(), self.tense, false, None);
        let mood =
            format!("{look} {}", to_do(choices.pick::<&str>("mood", &["choka", "furahi", "wa na haraka"]), None));
        let around: &[&str] = match (outdoors, self.tense == Tense::Present) {
            (true, true) => {
                &["jua linawaka sana", "anga halina mawingu", "upepo mwanana unavuma", "watu wachache wanapita karibu"]
            }
            (true, false) => &["hali ya hewa ilikuwa nzuri", "jua lilikuwa kali", "upepo mwanana ulikuwa ukivuma"],
            (false, true) => &["watu wengine wanazungumza karibu", "madirisha yote yako wazi"],
            (false, false) => &["watu wengine walikuwa wakizungumza karibu", "madirisha yote yalikuwa wazi"],
        };
        let night = self.part.is_some_and(|part| part.dark);
        if night || self.agent.noun.is(Kind::Person) && choices.chance("about the mood", 50) {
            return Some(mood);
        }
        Some((*choices.pick("around", around)).to_owned())
    }
}

/// A garment with its colour.
pub(super) fn garment_phrase(garment: &str, class: Class, colour: &crate::lexicon::Quality) -> String {
    format!("{garment} {}", qualify(colour, class))
}
