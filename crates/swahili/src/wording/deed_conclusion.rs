//! Short conclusions from a deed: with fewer details, hypernyms, another voice, or a paraphrase.

use super::deed_description::garment_phrase;
use super::phrase::{finite, join, noun_phrase, object_marker, predicate, rename, sentence, there_is, to_do};
use crate::lexicon::{Kind, lexicon};
use crate::noun_class::Class;
use crate::random::Choices;
use crate::scene::{Deed, Participant};
use crate::verb::{Subject, Tense};

/// The ways in which a conclusion is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Plain,
    AtPlace,
    AtTime,
    InTown,
    Participle,
    Passive,
    PassiveByAgent,
    ThereIs,
    ThereIsPassive,
    PlaceThereIs,
    IsAtPlace,
    GeneralVerb,
    GeneralVerbAtPlace,
    Cleft,
    DoerIs,
    HeIsTheOne,
    Wears,
    PlaceIsDone,
    ObjectIs,
    TimeFirst,
    PlaceFirst,
    WithCompanion,
    Aim,
    Counted,
    OtherTense,
    Somebody,
    AgentIs,
    ObjectAtPlace,
}

pub(super) const SHAPES: &[(Shape, usize)] = &[
    (Shape::Plain, 9),
    (Shape::AtPlace, 17),
    (Shape::AtTime, 12),
    (Shape::InTown, 10),
    (Shape::Participle, 5),
    (Shape::Passive, 6),
    (Shape::PassiveByAgent, 7),
    (Shape::ThereIs, 6),
    (Shape::ThereIsPassive, 3),
    (Shape::PlaceThereIs, 5),
    (Shape::IsAtPlace, 5),
    (Shape::GeneralVerb, 4),
    (Shape::GeneralVerbAtPlace, 5),
    (Shape::Cleft, 2),
    (Shape::DoerIs, 3),
    (Shape::HeIsTheOne, 3),
    (Shape::Wears, 6),
    (Shape::PlaceIsDone, 2),
    (Shape::ObjectIs, 4),
    (Shape::TimeFirst, 6),
    (Shape::PlaceFirst, 5),
    (Shape::WithCompanion, 4),
    (Shape::Aim, 4),
    (Shape::Counted, 5),
    (Shape::OtherTense, 6),
    (Shape::Somebody, 3),
    (Shape::AgentIs, 4),
    (Shape::ObjectAtPlace, 3),
];

impl Deed {
    /// Something that follows from the deed.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        if self.negative {
            return sentence(&self.denial(choices));
        }
        let weights: Vec<usize> = SHAPES.iter().map(|shape| shape.1).collect();
        (0..8)
            .find_map(|attempt| {
                let shape = SHAPES[choices.attempt(attempt).weighted("shape", &weights)].0;
                self.shaped(shape, choices).filter(|text| text.split(' ').count() > 2)
            })
            .map(|text| sentence(&text))
            .unwrap_or_else(|| sentence(&self.full(choices)))
    }

    /// Words a conclusion from a deed that is not done: the complete denial, or another fact about
    /// the agent.
    fn denial(&self, choices: Choices) -> String {
        let (agent, does) = (noun_phrase(&self.agent), self.does(self.tense));
        let object = self.object.as_ref().map(noun_phrase).unwrap_or_default();
        let (place, time) = (self.place_phrase(), self.time_phrase());
        let passive = self.object.as_ref().filter(|_| !self.verb.passive.is_empty());
        match choices.below("denial", 5) {
            0 if self.worn.is_some() => self.dressed(&agent).unwrap_or_default(),
            1 if !time.is_empty() => format!("{time}, {}", join(&[&agent, &does, &object, &place])),
            2 if !place.is_empty() => format!("{place}, {}", join(&[&agent, &does, &object, &time])),
            3 if let Some(patient) = passive => join(&[&object, &self.is_done(patient), "na", &agent, &place, &time]),
            _ => join(&[&agent, &does, &object, &place, &time]),
        }
    }

    /// "Wears this", of the agent in the words given.
    fn dressed(&self, agent: &str) -> Option<String> {
        let (garment, colour) = self.worn?;
        let wears = finite("vaa", self.subject(), self.worn_tense(), false, None);
        let number = self.agent.number;
        Some(join(&[agent, &wears, &garment_phrase(garment.form(number), garment.class(number), colour)]))
    }

    /// Agent, verb, object and place: what is always long enough.
    fn full(&self, choices: Choices) -> String {
        join(&[&self.plain(choices), &self.somewhere(choices), &self.sometime()])
    }

    fn shaped(&self, shape: Shape, choices: Choices) -> Option<String> {
        let agent = self.agent_word(choices);
        let object = self.object_word(choices);
        let said = noun_phrase(&agent);
        let done_to = object.as_ref().map(noun_phrase).unwrap_or_default();
        let passive = object.as_ref().filter(|_| !self.verb.passive.is_empty());
        let place = self.somewhere(choices);
        let somewhere = (!place.is_empty()).then_some(place.as_str());
        match shape {
            Shape::Plain => Some(self.plain(choices)),
            Shape::AtPlace => Some(join(&[&self.plain(choices), somewhere?])),
            Shape::AtTime => Some(join(&[&self.plain(choices), &self.when()?])),
            Shape::InTown => Some(join(&[&self.plain(choices), &self.town_word(choices)?])),
            Shape::Participle => {
                (self.tense == Tense::Present).then_some(())?;
                Some(join(&[&said, &self.does(Tense::While), &done_to, &self.detail(choices)]))
            }
            Shape::Passive => Some(join(&[&noun_phrase(passive?), &self.is_done(passive?), &self.detail(choices)])),
            Shape::PassiveByAgent => {
                Some(join(&[&noun_phrase(passive?), &self.is_done(passive?), "na", &said, &self.detail(choices)]))
            }
            Shape::ThereIs => {
                Some(join(&[there_is(self.tense), &said, &self.who_does(), &done_to, &self.detail(choices)]))
            }
            Shape::ThereIsPassive => Some(join(&[
                there_is(self.tense),
                &noun_phrase(passive?),
                &self.which_is_done(passive?),
                &self.detail(choices),
            ])),
            Shape::PlaceThereIs => Some(join(&[somewhere?, there_is(self.tense), &said, &self.who_does(), &done_to])),
            Shape::IsAtPlace => Some(join(&[&said, &self.is_at()?, somewhere?])),
            Shape::GeneralVerb => Some(join(&[&said, &self.general_verb()?, &self.when().unwrap_or_default()])),
            Shape::GeneralVerbAtPlace => Some(join(&[&said, &self.general_verb()?, somewhere?])),
            Shape::Cleft => Some(join(&["ni", &said, &self.who_does(), &done_to])),
            Shape::DoerIs => Some(join(&[&self.who_does(), &done_to, "ni", &said])),
            Shape::HeIsTheOne => {
                let one = if agent.agreement() == Class::C1 { "ndiye" } else { "ndio" };
                Some(join(&[&said, one, &self.who_does(), &done_to]))
            }
            Shape::Wears => self.dressed(&said),
            Shape::PlaceIsDone => {
                let stem = self.verb.passive;
                let done = finite(stem, Subject::Third(self.place?.class()), self.tense, self.negative, None);
                passive.filter(|object| !object.noun.is_alive())?;
                Some(join(&[self.place?.phrase, &done, &done_to]))
            }
            Shape::ObjectIs => {
                let quality = self.object?.quality?;
                let patient = passive?;
                let is = predicate(quality, patient.agreement());
                Some(join(&[&noun_phrase(&patient.plain()), &self.which_is_done(patient), &is]))
            }
            Shape::TimeFirst => Some(format!("{}, {}", self.when()?, self.plain(choices))),
            Shape::PlaceFirst => Some(format!("{}, {}", somewhere?, self.plain(choices))),
            Shape::WithCompanion => Some(join(&[&self.plain(choices), "na", &self.companion_phrase()?])),
            Shape::Aim => {
                let aim = self.why?.strip_prefix("ili ku").filter(|_| self.agent.noun.is(Kind::Person))?;
                let wants = finite("taka", self.subject(), self.aim_tense(), false, None);
                Some(join(&[&said, &wants, &format!("ku{aim}")]))
            }
            Shape::Counted => {
                let counted = Participant { count: Some(self.agent.count?), ..agent };
                Some(join(&[&noun_phrase(&counted), &self.does(self.tense), &done_to, &self.detail(choices)]))
            }
            Shape::OtherTense => self.other_tense(&said, &done_to),
            Shape::Somebody => {
                let noun = if self.agent.noun.is(Kind::Person) { "mtu" } else { self.agent.noun.hypernym };
                let some = self.agent.called(lexicon().noun(noun)).plain();
                Some(join(&[&noun_phrase(&some), "fulani", &self.does(self.tense), &done_to, &place]))
            }
            Shape::AgentIs => {
                let quality = self.agent.quality?;
                let class = agent.agreement();
                let is = predicate(quality, class);
                let doer = self.agent.plain();
                let clause = if choices.chance("clause", 60) { self.who_does() } else { String::new() };
                Some(join(&[
                    &noun_phrase(&doer),
                    &clause,
                    &if clause.is_empty() { String::new() } else { done_to },
                    &is,
                ]))
            }
            Shape::ObjectAtPlace => {
                let object = object.as_ref().filter(|object| !object.noun.is_alive() && self.place.is_some())?;
                matches!(self.tense, Tense::Present | Tense::Past).then_some(())?;
                Some(join(&[there_is(self.tense), &noun_phrase(object), somewhere?]))
            }
        }
    }

    /// Agent, verb and object.
    fn plain(&self, choices: Choices) -> String {
        let object = self.object_word(choices);
        let done_to = object.as_ref().map(noun_phrase).unwrap_or_default();
        join(&[&noun_phrase(&self.agent_word(choices)), &self.does(self.tense), &done_to])
    }

    /// The agent renamed, mostly without its details.
    fn agent_word(&self, choices: Choices) -> Participant {
        let renamed = rename(&self.agent, choices.part("agent word"), true);
        self.trimmed(renamed, choices.part("agent detail"))
    }

    fn object_word(&self, choices: Choices) -> Option<Participant> {
        let object = self.object?;
        let renamed = rename(&object, choices.part("object word"), true);
        // A wider word for the object would send the marker of a person astray.
        let renamed = if object.noun.is(Kind::Person) { object } else { renamed };
        Some(self.trimmed(renamed, choices.part("object detail")))
    }

    fn trimmed(&self, participant: Participant, choices: Choices) -> Participant {
        let keep_count = choices.chance("keep the count", 58);
        let keep_quality = choices.chance("keep the quality", 56);
        let kept = participant.quality.filter(|_| keep_quality);
        Participant { count: participant.count.filter(|_| keep_count), quality: kept, ..participant }
    }

    /// The place, sometimes in a wider word.
    fn somewhere(&self, choices: Choices) -> String {
        let Some(place) = self.place else { return String::new() };
        let wide = !place.general.is_empty() && choices.chance("wider place", 30);
        (if wide { place.general } else { place.phrase }).to_owned()
    }

    /// Returns the day or the part of the day, whichever is mentioned.
    fn when(&self) -> Option<String> {
        let part = self.part.map(|part| if part.general.is_empty() { part.phrase } else { part.general });
        let day = self.day.map(|day| day.phrase);
        match (day, part) {
            (Some(day), Some(part)) => Some(format!("{day} {part}")),
            (day, part) => day.or(part).map(str::to_owned),
        }
    }

    fn sometime(&self) -> String {
        self.when().unwrap_or_default()
    }

    /// The place or the time, or both, or neither.
    fn detail(&self, choices: Choices) -> String {
        match choices.below("detail", 5) {
            0 => self.somewhere(choices),
            1 => self.sometime(),
            2 | 3 => join(&[&self.somewhere(choices), &self.sometime()]),
            _ => String::new(),
        }
    }

    fn town_word(&self, choices: Choices) -> Option<String> {
        let town = self.town?;
        let country = choices.chance("country", 25);
        Some(if country { format!("nchini {}", town.country) } else { town.phrase_after(self.place) })
    }

    fn general_verb(&self) -> Option<String> {
        let general = Some(self.verb.general).filter(|general| !general.is_empty())?;
        Some(finite(general, self.subject(), self.tense, false, None))
    }

    fn worn_tense(&self) -> Tense {
        if self.tense == Tense::Past { Tense::Past } else { Tense::Perfect }
    }

    fn aim_tense(&self) -> Tense {
        if self.tense == Tense::Past { Tense::Past } else { Tense::Present }
    }

    /// The same in another tense or aspect that is true whenever the deed is.
    fn other_tense(&self, agent: &str, object: &str) -> Option<String> {
        let subject = self.subject();
        let marker = object_marker(self.verb, self.object.as_ref());
        let stem = self.verb.stem;
        let verb = match self.tense {
            Tense::Past => format!("{} {}", finite("wa", subject, Tense::Past, false, None), self.does(Tense::While)),
            Tense::Perfect => self.does(Tense::Past),
            Tense::Future if self.agent.noun.is(Kind::Person) => {
                format!("{} {}", finite("tarajia", subject, Tense::Present, false, None), to_do(stem, marker))
            }
            Tense::Habitual => self.does(Tense::Present),
            Tense::Future => return None,
            _ => format!("{} {}", finite("endelea", subject, Tense::Present, false, None), to_do(stem, marker)),
        };
        Some(join(&[agent, &verb, object]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Facts;

    #[test]
    fn every_shape_is_said_of_some_deed() {
        let deeds: Vec<Deed> = (0..2000).map(|index| Deed::draw(Choices::new(1, index))).collect();
        for (shape, _) in SHAPES {
            let said = deeds
                .iter()
                .filter(|deed| !deed.negative)
                .any(|deed| deed.shaped(*shape, Choices::new(2, 0)).is_some());
            assert!(said, "{shape:?} is said of none");
        }
    }

    #[test]
    fn a_denial_keeps_all_that_is_denied() {
        let denied = (0..20_000)
            .map(|index| Deed::draw(Choices::new(1, index)))
            .filter(|deed| deed.negative && deed.worn.is_none());
        let mut seen = 0;
        for (deed, index) in denied.zip(0..) {
            let text = deed.conclude(Choices::new(3, index)).to_lowercase();
            for part in [deed.place_phrase(), deed.time_phrase(), noun_phrase(&deed.agent)] {
                assert!(text.contains(&part.to_lowercase()), "{text:?} without {part:?}");
            }
            seen += 1;
        }
        assert!(seen > 300, "{seen}");
    }
}
