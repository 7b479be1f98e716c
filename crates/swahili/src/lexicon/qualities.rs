//! Qualities of people, animals and things, colours, and the manners in which things are done.

use super::Kind::{self, *};

/// Construction that joins a quality to its noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// An adjective stem that agrees: -zuri.
    Stem,
    /// An adjective that never changes: safi.
    Fixed,
    /// After "of": ya kijani.
    Of,
    /// After "having": mwenye bidii.
    Having,
}

/// A quality and what can have it.
#[derive(Debug, PartialEq)]
pub(crate) struct Quality {
    pub(crate) word: &'static str,
    pub(crate) form: Form,
    pub(crate) kinds: &'static [Kind],
    /// Qualities of the same scale exclude each other: tall, short.
    pub(crate) scale: &'static str,
}

const fn quality(word: &'static str, form: Form, scale: &'static str, kinds: &'static [Kind]) -> Quality {
    Quality { word, form, kinds, scale }
}

use Form::*;

const PEOPLE: &[Kind] = &[Person];
const ANIMALS: &[Kind] = &[Beast, Wild, Poultry, Flyer, Fowl, Crawler];
#[rustfmt::skip]
const GOODS: &[Kind] = &[
    Basketry, Vessel, Furniture, Opened, Lamp, Woven, Linen, Garment, Device, Vehicle, Cart, Boat, Net, Bag, Tractor, Ball,
    Played, Blown,
];

#[rustfmt::skip]
pub(crate) const QUALITIES: &[Quality] = &[
    quality("refu", Stem, "height", PEOPLE),
    quality("fupi", Stem, "height", PEOPLE),
    quality("nene", Stem, "girth", PEOPLE),
    quality("embamba", Stem, "girth", PEOPLE),
    quality("changamfu", Stem, "mood", PEOPLE),
    quality("tulivu", Stem, "mood", PEOPLE),
    quality("cheshi", Stem, "mood", PEOPLE),
    quality("pole", Stem, "mood", PEOPLE),
    quality("karimu", Stem, "character", PEOPLE),
    quality("erevu", Stem, "character", PEOPLE),
    quality("aminifu", Stem, "character", PEOPLE),
    quality("angalifu", Stem, "character", PEOPLE),
    quality("hodari", Fixed, "character", PEOPLE),
    quality("maridadi", Fixed, "dress", PEOPLE),
    quality("nadhifu", Fixed, "neatness", PEOPLE),
    quality("maarufu", Fixed, "fame", &[Musician, Singer, Athlete, Trader, Teacher, Medic, Carver, Painter]),
    quality("mashuhuri", Fixed, "renown", &[Musician, Singer, Writer, Official, Athlete]),
    quality("bidii", Having, "character", PEOPLE),
    quality("furaha", Having, "mood", PEOPLE),
    quality("huruma", Having, "character", PEOPLE),
    quality("subira", Having, "character", PEOPLE),
    quality("uzoefu mkubwa", Having, "experience", &[Farmer, Fisher, Teacher, Medic, Driver, Carpenter, Builder, Tailor, Cook]),
    quality("nywele fupi", Having, "hair", PEOPLE),
    quality("nywele nyeupe", Having, "hair", &[Elder]),
    quality("ndevu ndefu", Having, "beard", &[Man]),
    quality("kubwa", Stem, "size", ANIMALS),
    quality("dogo", Stem, "size", ANIMALS),
    quality("nene", Stem, "girth", ANIMALS),
    quality("zuri", Stem, "look", ANIMALS),
    quality("madoadoa", Having, "colour", &[Pet, Cattle]),
    quality("rangi ya kahawia", Having, "colour", &[Pet, Cattle, Grazing]),
    quality("eusi", Stem, "colour", &[Pet, Cattle, Poultry]),
    quality("eupe", Stem, "colour", &[Pet, Cattle, Poultry]),
    quality("afya njema", Having, "health", &[Pet, Cattle, Poultry]),
    quality("njaa", Having, "hunger", &[Predator, Dog, Cat]),
    quality("kubwa", Stem, "size", GOODS),
    quality("dogo", Stem, "size", GOODS),
    quality("zuri", Stem, "look", GOODS),
    quality("pya", Stem, "age", GOODS),
    quality("kuukuu", Fixed, "age", &[Furniture, Vehicle, Device, Garment, Boat, Opened]),
    quality("imara", Fixed, "strength", &[Furniture, Opened, Boat, Basketry, Wall, Structure, Bag]),
    quality("a kisasa", Of, "age", &[Device, Vehicle, Building, Furniture, Tractor]),
    quality("a bei nafuu", Of, "price", &[Garment, Device, Furniture, Fruit, Vegetable, Grocery]),
    quality("a bei ghali", Of, "price", &[Garment, Device, Furniture, Picture]),
    quality("a mbao", Of, "material", &[Furniture, Boat, Opened]),
    quality("a plastiki", Of, "material", &[Basketry, Vessel, Toy]),
    quality("a pamba", Of, "material", &[Garment, Linen]),
    quality("a hariri", Of, "material", &[Garment, WornByWomen]),
    quality("zito", Stem, "weight", &[Load]),
    quality("epesi", Stem, "weight", &[Load]),
    quality("refu", Stem, "length", &[Tree, Wall, Structure, Net, Song, Letter, Garment]),
    quality("fupi", Stem, "length", &[Song, Letter, Story, Poem, Garment]),
    quality("pana", Stem, "width", &[Field, Structure, Hole]),
    quality("embamba", Stem, "width", &[Hole, Structure]),
    quality("kubwa", Stem, "size", &[Field, Building, Room, Tree, Structure, Catch, Fruit, Vegetable, Root, Carved, Picture]),
    quality("dogo", Stem, "size", &[Field, Building, Room, Catch, Planted, Flower, Fruit, Carved, Picture]),
    quality("zuri", Stem, "look", &[Building, Carved, Picture, Flower, Song, Story, Poem, Gift, Catch, Fruit]),
    quality("pya", Stem, "age", &[Book, Notebook, Building, Song, Medicine, Room]),
    quality("tamu", Stem, "taste", &[Fruit, Dish, Baked, Fried, Root, Stirred]),
    quality("bivu", Stem, "ripeness", &[Fruit]),
    quality("bichi", Stem, "ripeness", &[Fruit, Vegetable]),
    quality("kavu", Stem, "wetness", &[Firewood, Grass]),
    quality("safi", Fixed, "state", &[Water, Vegetable, Grocery, Garment, Catch]),
    quality("chafu", Stem, "state", &[Linen, Vessel, Vehicle, Room]),
    quality("a moto", Of, "heat", &[Hot, Dish, Stirred, Baked]),
    quality("baridi", Fixed, "heat", &[Drink]),
    quality("laini", Fixed, "feel", &[Baked, Linen, Woven]),
    quality("a kienyeji", Of, "origin", &[Egg, Poultry, Vegetable]),
    quality("kali", Stem, "edge", &[Blade]),
    quality("a kuvutia", Of, "interest", &[Book, Story, Poem, Song, Picture]),
    quality("gumu", Stem, "difficulty", &[Exam, Lesson]),
    quality("rahisi", Fixed, "difficulty", &[Exam]),
];

/// Colours of garments and goods; the ones with `Of` follow "ya", "cha", …
#[rustfmt::skip]
pub(crate) const COLOURS: &[Quality] = &[
    quality("ekundu", Stem, "colour", &[]),
    quality("eusi", Stem, "colour", &[]),
    quality("eupe", Stem, "colour", &[]),
    quality("a kijani", Of, "colour", &[]),
    quality("a buluu", Of, "colour", &[]),
    quality("a manjano", Of, "colour", &[]),
    quality("a kahawia", Of, "colour", &[]),
    quality("a zambarau", Of, "colour", &[]),
    quality("a kijivu", Of, "colour", &[]),
    quality("a waridi", Of, "colour", &[]),
    quality("mistari myeupe", Having, "colour", &[]),
    quality("maua mekundu", Having, "colour", &[]),
];

/// Adverbs of manner, which follow the verb.
#[rustfmt::skip]
pub(crate) const MANNERS: &[&str] = &[
    "kwa makini", "kwa bidii", "kwa furaha", "kwa utulivu", "kwa ustadi", "kwa haraka", "taratibu", "kwa uangalifu",
    "kwa subira", "kwa ari kubwa", "bila kuchoka",
];
