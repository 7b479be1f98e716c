//! The words: nouns, verbs, places, qualities and times, each with what it may be combined with.
//! The tables are constants; `Lexicon` adds the look-ups that drawing scenes needs.

mod nouns;
mod places;
mod qualities;
mod times;
mod verbs;

use std::collections::HashMap;
use std::sync::LazyLock;

use nouns::IMPLIED;
pub(crate) use nouns::{NOUNS, Noun};
pub(crate) use places::{PLACES, Place, PlaceKind, Shore, TOWNS, Town, Water};
pub(crate) use qualities::{COLOURS, Form, MANNERS, QUALITIES, Quality};
pub(crate) use times::{DAYS, Day, PARTS, Part};
pub(crate) use verbs::{Amount, VERBS, Verb};

use crate::noun_class::Class;

/// How a noun forms its plural, and so its two classes. `Mass` genders have one class and no plural.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gender {
    MWa,
    MMi,
    JiMa,
    KiVi,
    N,
    UN,
    MassM,
    MassMa,
    MassKi,
    MassVi,
    MassN,
    MassZ,
    MassU,
}

/// What a noun is, as far as verbs, garments and places care. Everything before `Thing` is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Hash)]
#[rustfmt::skip]
pub(crate) enum Kind {
    // People.
    Being, Person, Adult, Elder, Youth, Man, Woman, Child, Boy, Girl, Baby, Relative, Kin, Pupil, Farmer, Herder, Fisher,
    Sailor, Trader, Teacher, Clerk, Medic, Patient, Driver, Porter, Carpenter, Artisan, Builder, Tailor, Weaver, Cook,
    Baker, Waiter, Police, Athlete, Swimmer, Musician, Singer, Dancer, Painter, Carver, Potter, Smith, Barber, Braider,
    Scientist, Writer, Journalist, Photographer, Official, Traveller, Tourist, Guest, Customer, Cleaner, Villager, Coach,
    // Animals.
    Dog, Cat, Beast, Pet, Cattle, Draught, Milked, Grazing, Poultry, Wader, Fowl, Flyer, Predator, Wild, Grazer, Prey, Bather, Monkey,
    Crawler, Insect, Catch,
    // Things.
    Thing, Fruit, Vegetable, Root, Nut, Grain, Grocery, Flour, Dish, Stirred, Roast, Fried, Egg, Baked, Drink, Hot, Water,
    Basketry, Bag, Spread, Pottery, Vessel, Carried, Blade, Small, Fare, Furniture, Bed, Load, Opened, Woodwork, Lamp,
    Woven, Linen, Sewn, Knitted, Garment, Worn, WornByMen, WornByWomen, Uniform, Book, Notebook, Letter, Written, Report,
    Poem, Exam, Story, Song, Drawn, Picture, Carved, Device, Heard, Seen, Played, Blown, Ball, Toy, Gift, Vehicle, Car,
    Tractor, Cycle, Cart, Boat, Net, Building, Guarded, Visited, Room, Wall, Structure, Hole, Material, Timber, Field, Tree,
    Planted, Watered, Flower, Firewood, Fuel, Grass, Rubbish, Medicine, Lesson, Science,
}

/// One, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Number {
    Singular,
    Plural,
}

impl Noun {
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Whether any of the `kinds` is one of this noun's.
    pub(crate) fn is_any(&self, kinds: &[Kind]) -> bool {
        kinds.iter().any(|&kind| self.is(kind))
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.kinds.iter().any(|&kind| kind < Kind::Thing)
    }

    pub(crate) fn is_mass(&self) -> bool {
        use Gender::*;
        matches!(self.gender, MassM | MassMa | MassKi | MassVi | MassN | MassZ | MassU)
    }

    pub(crate) fn form(&self, number: Number) -> &'static str {
        match number {
            Number::Singular => self.singular,
            Number::Plural => self.plural,
        }
    }

    /// The class of the word itself.
    pub(crate) fn class(&self, number: Number) -> Class {
        let (singular, plural) = match self.gender {
            Gender::MWa => (Class::C1, Class::C2),
            Gender::MMi => (Class::C3, Class::C4),
            Gender::JiMa => (Class::C5, Class::C6),
            Gender::KiVi => (Class::C7, Class::C8),
            Gender::N => (Class::C9, Class::C10),
            Gender::UN => (Class::C11, Class::C10),
            Gender::MassM => (Class::C3, Class::C3),
            Gender::MassMa => (Class::C6, Class::C6),
            Gender::MassKi => (Class::C7, Class::C7),
            Gender::MassVi => (Class::C8, Class::C8),
            Gender::MassN => (Class::C9, Class::C9),
            Gender::MassZ => (Class::C10, Class::C10),
            Gender::MassU => (Class::C11, Class::C11),
        };
        if number == Number::Singular { singular } else { plural }
    }

    /// The class that other words agree with: people and animals of any class agree as classes 1 and 2.
    pub(crate) fn agreement(&self, number: Number) -> Class {
        match number {
            Number::Singular if self.is_alive() => Class::C1,
            Number::Plural if self.is_alive() => Class::C2,
            _ => self.class(number),
        }
    }

    /// A possessive after this noun: close kin agree as classes 9 and 10 (mama yake, dada zao).
    pub(crate) fn possessive(&self, number: Number, stem: &str) -> String {
        match number {
            Number::Singular if self.is(Kind::Kin) => Class::C9.possessive(stem),
            Number::Plural if self.is(Kind::Kin) => Class::C10.possessive(stem),
            _ => self.agreement(number).possessive(stem),
        }
    }
}

/// The tables with their cross-references resolved.
pub(crate) struct Lexicon {
    nouns: HashMap<&'static str, &'static Noun>,
    agents: Vec<Vec<&'static Noun>>,
    objects: Vec<Vec<&'static Noun>>,
    places: Vec<Vec<&'static Place>>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let of = |kinds: &[Kind]| NOUNS.iter().filter(|noun| noun.is_any(kinds)).collect::<Vec<_>>();
    Lexicon {
        nouns: NOUNS.iter().map(|noun| (noun.singular, noun)).collect(),
        agents: VERBS.iter().map(|verb| of(verb.agents)).collect(),
        objects: VERBS.iter().map(|verb| of(verb.objects)).collect(),
        places: VERBS.iter().map(|verb| PLACES.iter().filter(|place| place.suits(verb)).collect()).collect(),
    }
});

/// The lexicon, made once.
pub(crate) fn lexicon() -> &'static Lexicon {
    &LEXICON
}

impl Lexicon {
    /// The noun whose singular is `singular`.
    pub(crate) fn noun(&self, singular: &str) -> &'static Noun {
        self.nouns.get(singular).copied().unwrap_or_else(|| panic!("no noun {singular:?} in the lexicon"))
    }

    /// A wider word, if there is one.
    pub(crate) fn hypernym(&self, noun: &Noun) -> Option<&'static Noun> {
        (!noun.hypernym.is_empty()).then(|| self.noun(noun.hypernym))
    }

    /// Another word for the same, if there is one.
    pub(crate) fn synonym(&self, noun: &Noun) -> Option<&'static Noun> {
        (!noun.synonym.is_empty()).then(|| self.noun(noun.synonym))
    }

    /// Whether everything called `narrow` is also called `wide`.
    pub(crate) fn covers(&self, wide: &Noun, narrow: &Noun) -> bool {
        let also = || IMPLIED.iter().filter(|(from, _)| *from == narrow.singular).map(|(_, to)| self.noun(to));
        narrow.singular == wide.singular
            || self.hypernym(narrow).into_iter().chain(also()).any(|n| self.covers(wide, n))
    }

    /// Whether `new` in the place of `old` makes untrue what is said of `old`, be it in a wider word.
    pub(crate) fn excludes(&self, old: &Noun, new: &Noun) -> bool {
        let [wider, other] = [old, new].map(|noun| self.hypernym(noun));
        let widened = wider.is_some_and(|wider| wider.singular == "bidhaa" || self.covers(wider, new));
        let same_word = wider.map(|noun| noun.singular) == other.map(|noun| noun.singular);
        !self.covers(old, new) && !self.covers(new, old) && (same_word || !widened)
    }

    /// Who can do the verb with this index.
    pub(crate) fn agents(&self, verb: usize) -> &[&'static Noun] {
        &self.agents[verb]
    }

    /// What the verb with this index can be done to; empty for what is done to nothing.
    pub(crate) fn objects(&self, verb: usize) -> &[&'static Noun] {
        &self.objects[verb]
    }

    /// Where the verb with this index is done.
    pub(crate) fn places(&self, verb: usize) -> &[&'static Place] {
        &self.places[verb]
    }
}
