//! Somebody does something: the everyday scene, on the farm, in class, at work or in the wild.

use super::Facts;
use crate::lexicon::{
    Amount, COLOURS, DAYS, Day, Form, Kind, MANNERS, NOUNS, Noun, Number, PARTS, Part, Place, QUALITIES, Quality,
    Shore, TOWNS, Town, VERBS, Verb, lexicon,
};
use crate::noun_class::Class;
use crate::random::Choices;
use crate::verb::Tense;

/// A noun in a scene: how many, and of what kind.
#[derive(Clone, Copy)]
pub(crate) struct Participant {
    pub(crate) noun: &'static Noun,
    pub(crate) number: Number,
    /// Exact number, if it is mentioned; always more than one.
    pub(crate) count: Option<usize>,
    pub(crate) quality: Option<&'static Quality>,
}

impl Participant {
    pub(crate) fn agreement(&self) -> Class {
        self.noun.agreement(self.number)
    }

    /// The same number of something else, without its qualities.
    pub(crate) fn called(&self, noun: &'static Noun) -> Participant {
        Participant { noun, quality: None, ..*self }
    }

    /// The bare noun in its number.
    pub(crate) fn plain(&self) -> Participant {
        Participant { count: None, quality: None, ..*self }
    }
}

/// Who does what to what, how, where, when, with whom and why.
#[derive(Clone)]
pub(crate) struct Deed {
    pub(crate) verb: &'static Verb,
    verb_index: usize,
    pub(crate) agent: Participant,
    pub(crate) worn: Option<(&'static Noun, &'static Quality)>,
    pub(crate) object: Option<Participant>,
    pub(crate) with: Option<&'static str>,
    pub(crate) companion: Option<&'static str>,
    pub(crate) place: Option<&'static Place>,
    pub(crate) town: Option<&'static Town>,
    pub(crate) tense: Tense,
    pub(crate) day: Option<&'static Day>,
    pub(crate) part: Option<&'static Part>,
    pub(crate) why: Option<&'static str>,
    pub(crate) negative: bool,
}

/// Kinds of things that come in any colour.
const COLOURED: &[Kind] = &[
    Kind::Garment,
    Kind::Linen,
    Kind::Vehicle,
    Kind::Woven,
    Kind::Bag,
    Kind::Basketry,
    Kind::Vessel,
    Kind::Notebook,
    Kind::Ball,
    Kind::Boat,
    Kind::Uniform,
    Kind::Flower,
];

const COMPANIONS: &[&str] = &["rafiki", "jirani", "ndugu", "mama", "baba", "dada", "kaka"];

impl Facts for Deed {
    const FACETS: usize = 10;

    fn draw(choices: Choices) -> Self {
        let verb_index = choices.below("verb", VERBS.len());
        let verb = &VERBS[verb_index];
        let noun = *choices.pick("agent", lexicon().agents(verb_index));
        let tense = [Tense::Present, Tense::Past, Tense::Perfect, Tense::Future, Tense::Habitual]
            [choices.weighted("tense", &[46, 28, 9, 9, 8])];
        let mut deed = Self {
            verb,
            verb_index,
            agent: Participant { noun, number: Number::Singular, count: None, quality: None },
            worn: None,
            object: None,
            with: None,
            companion: None,
            place: None,
            town: None,
            tense,
            day: None,
            part: None,
            why: None,
            negative: false,
        };
        (deed.agent.number, deed.agent.count) = number(Amount::Any, choices.part("agent"));
        deed.agent.quality = choices.chance("qualified", 34).then(|| quality(noun, choices.part("agent"))).flatten();
        if !matches!(tense, Tense::Future | Tense::Habitual) && choices.chance("dressed", 25) {
            deed.dress(choices);
        }
        deed.draw_object(choices);
        deed.with = (!verb.with.is_empty() && choices.chance("by means", 26)).then(|| *choices.pick("with", verb.with));
        if deed.with.is_none() && noun.is(Kind::Person) && choices.chance("in a manner", 18) {
            deed.with = Some(*choices.pick("manner", MANNERS));
        }
        if deed.agent.number == Number::Singular && noun.is(Kind::Person) && choices.chance("accompanied", 14) {
            deed.companion = Some(choices.pick("companion", COMPANIONS)).copied().filter(|&who| who != noun.singular);
        }
        if choices.chance("somewhere", 80) {
            deed.draw_place(choices);
        }
        if choices.chance("in town", 32) {
            deed.draw_town(choices);
        }
        deed.why = (!verb.why.is_empty() && !deed.negative && choices.chance("why", 33))
            .then(|| *choices.pick("reason", verb.why));
        deed.draw_day(choices);
        deed.draw_part(choices);
        if choices.chance("negative", 4) {
            deed.deny();
        }
        deed
    }

    fn redraw(&mut self, facet: usize, choices: Choices) {
        match facet {
            0 => {
                let old = self.agent.noun;
                let noun = *choices.pick("agent", lexicon().agents(self.verb_index));
                let fits = self.agent.quality.is_none_or(|quality| noun.is_any(quality.kinds))
                    && self.worn.is_none_or(|(garment, _)| wardrobe(noun).is_some_and(|kinds| garment.is_any(kinds)))
                    && self.companion.is_none_or(|who| who != noun.singular);
                if fits && lexicon().excludes(old, noun) && noun.is(Kind::Person) == old.is(Kind::Person) {
                    self.agent.noun = noun;
                }
            }
            1 => {
                if let Some(object) = &mut self.object {
                    let noun = *choices.pick("object", lexicon().objects(self.verb_index));
                    let fits = noun.is_mass() == object.noun.is_mass()
                        && object.quality.is_none_or(|quality| suits(quality, noun))
                        && noun.singular != self.agent.noun.singular;
                    if fits && lexicon().excludes(object.noun, noun) {
                        object.noun = noun;
                    }
                }
            }
            2 => {
                let old = self.place;
                self.draw_place(choices);
                let fits = |new: &Place| {
                    old.is_some_and(|old| new.excludes(old))
                        && self.town.is_none_or(|town| town.has(new.shore))
                        && self.part.is_none_or(|part| new.indoors || !part.dark)
                };
                self.place = self.place.filter(|new| fits(new)).or(old);
            }
            3 => {
                let old = self.day;
                self.draw_day(choices);
                self.day = self.day.filter(|new| old.is_some_and(|old| new.excludes(old))).or(old);
            }
            4 => {
                if let Some(count) = &mut self.agent.count {
                    *count = 2 + choices.below("count", 9);
                }
            }
            5 => {
                if let Some(object) = &mut self.object
                    && let Some(old) = object.quality
                {
                    // Only a quality on the same scale excludes the old one.
                    if let Some(new) = quality(object.noun, choices).filter(|new| new.scale == old.scale) {
                        object.quality = Some(new);
                    }
                }
            }
            6 => {
                self.deny();
            }
            7 if self.town.is_some() => self.draw_town(choices),
            8 => {
                if let Some((garment, colour)) = &mut self.worn
                    && !garment.is(Kind::Uniform)
                {
                    *colour = choices.pick("colour", COLOURS);
                }
            }
            9 if self.part.is_some() => self.draw_part(choices.part("again")),
            _ => {}
        }
    }

    fn essence(&self) -> String {
        let object = self.object.map_or("", |object| object.noun.singular);
        format!("{} {} {}", self.verb.stem, self.agent.noun.singular, object)
    }
}

impl Deed {
    /// Makes it not done at all: "did not sell cheaply" would leave open that it was sold
    /// otherwise.
    fn deny(&mut self) {
        self.negative = true;
        (self.with, self.companion, self.why) = (None, None, None);
    }

    fn draw_object(&mut self, choices: Choices) {
        let objects = lexicon().objects(self.verb_index);
        if objects.is_empty() {
            return;
        }
        let noun = (0..)
            .map(|attempt| *choices.attempt(attempt).pick("object", objects))
            .find(|noun| noun.singular != self.agent.noun.singular)
            .expect("every verb has an object other than its agent");
        let (number, count) =
            if noun.is_mass() { (Number::Singular, None) } else { number(self.verb.amount, choices.part("object")) };
        let quality = choices.chance("object qualified", 48).then(|| quality(noun, choices.part("object"))).flatten();
        self.object = Some(Participant { noun, number, count, quality });
    }

    fn draw_place(&mut self, choices: Choices) {
        let places = lexicon().places(self.verb_index);
        self.place = (!places.is_empty()).then(|| *choices.pick("place", places));
    }

    fn draw_town(&mut self, choices: Choices) {
        let shore = self.place.map_or(Shore::Any, |place| place.shore);
        if shore == Shore::Nowhere || self.agent.noun.is(Kind::Wild) {
            return;
        }
        let towns: Vec<&Town> = TOWNS.iter().filter(|town| town.has(shore)).collect();
        self.town = Some(*choices.pick("town", &towns));
    }

    fn draw_day(&mut self, choices: Choices) {
        let percent = match self.tense {
            Tense::Present => 14,
            Tense::Past | Tense::Future | Tense::Habitual => 88,
            _ => 45,
        };
        let named_time = self.why.is_some_and(|why| why.contains("wakati"));
        let days: Vec<&Day> = DAYS
            .iter()
            .filter(|day| day.tenses.contains(&self.tense) && !(named_time && day.phrase.contains("wakati")))
            .filter(|day| day.parted || self.part.is_none())
            .collect();
        if self.day.is_some() || choices.chance("on a day", percent) {
            self.day = Some(*choices.pick("day", &days));
        }
    }

    fn draw_part(&mut self, choices: Choices) {
        const CLOCKED: &[&str] = &["jua", "giza", "wakati", "chakula", "kifungua", "kulala", "kumalizika", "kazini"];
        let clashes = self.why.is_some_and(|why| CLOCKED.iter().any(|word| why.contains(word)))
            || self.with.is_some_and(|with| with.contains("usiku") || with.contains("jua"));
        if clashes
            || self.day.is_some_and(|day| !day.parted)
            || !choices.chance("at an hour", 44) && self.part.is_none()
        {
            return;
        }
        // At night people work under a roof; outdoors it is light.
        let dark = self.place.is_some_and(|place| place.indoors);
        let parts: Vec<&Part> = PARTS.iter().filter(|part| dark || !part.dark).collect();
        self.part = Some(*choices.pick("part", &parts));
    }

    fn dress(&mut self, choices: Choices) {
        if let Some(kinds) = wardrobe(self.agent.noun) {
            let garments: Vec<&Noun> = NOUNS.iter().filter(|noun| noun.is_any(kinds)).collect();
            let garment = *choices.pick("garment", &garments);
            let plain = |colour: &&Quality| colour.form != Form::Having || !garment.is(Kind::Uniform);
            let colours: Vec<&Quality> = COLOURS.iter().filter(plain).collect();
            self.worn = Some((garment, *choices.pick("garment colour", &colours)));
        }
    }
}

/// The kinds of garments that somebody wears; animals wear none.
fn wardrobe(noun: &Noun) -> Option<&'static [Kind]> {
    if noun.is(Kind::Pupil) {
        Some(&[Kind::Uniform, Kind::Worn])
    } else if noun.is_any(&[Kind::Police, Kind::Medic, Kind::Waiter]) {
        Some(&[Kind::Uniform])
    } else if noun.is_any(&[Kind::Woman, Kind::Girl]) {
        Some(&[Kind::WornByWomen, Kind::Worn])
    } else if noun.is_any(&[Kind::Man, Kind::Boy]) {
        Some(&[Kind::WornByMen, Kind::Worn])
    } else if noun.is(Kind::Person) {
        Some(&[Kind::Worn])
    } else {
        None
    }
}

fn number(amount: Amount, choices: Choices) -> (Number, Option<usize>) {
    let weights = match amount {
        Amount::One => [1, 0, 0],
        Amount::Many => [0, 72, 28],
        Amount::Any => [55, 20, 25],
    };
    match choices.weighted("number", &weights) {
        0 => (Number::Singular, None),
        1 => (Number::Plural, None),
        _ => (Number::Plural, Some(2 + choices.weighted("count", &[40, 25, 15, 12, 8]))),
    }
}

/// Returns `true` if a quality suits a noun; colours suit things of any colour.
fn suits(quality: &Quality, noun: &Noun) -> bool {
    if quality.kinds.is_empty() { noun.is_any(COLOURED) } else { noun.is_any(quality.kinds) }
}

fn quality(noun: &Noun, choices: Choices) -> Option<&'static Quality> {
    let colours = if noun.is_any(COLOURED) && choices.chance("coloured", 55) { COLOURS } else { &[] };
    let others = if colours.is_empty() { QUALITIES } else { &[] };
    let fitting: Vec<&Quality> = colours.iter().chain(others).filter(|quality| suits(quality, noun)).collect();
    // "Vitenge vyenye mistari" is said of cloth; other goods have plain colours.
    let fitting: Vec<&Quality> = fitting
        .into_iter()
        .filter(|q| q.form != Form::Having || !q.kinds.is_empty() || noun.is_any(&[Kind::Garment, Kind::Linen]))
        .collect();
    (!fitting.is_empty()).then(|| *choices.pick("quality", &fitting))
}
