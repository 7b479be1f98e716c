//! The words: nouns, verbs, places, qualities and times, each with what it may be combined with.
//! The tables are constants; `Lexicon` adds the look-ups that drawing scenes needs.

mod kinds;
mod nouns;
mod places;
mod qualities;
mod times;
mod verbs;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use kinds::{Gender, Kind, PlaceKind};
use nouns::IMPLIED;
pub(crate) use nouns::{NOUNS, Noun};
pub(crate) use places::{PLACES, Place, Shore, TOWNS, Town, Water};
pub(crate) use qualities::{COLOURS, Form, MANNERS, QUALITIES, Quality};
pub(crate) use times::{DAYS, Day, PARTS, Part};
pub(crate) use verbs::{Amount, VERBS, Verb};

use crate::noun_class::Class;

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

    /// Returns `true` if the noun has one of the `kinds`.
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

    /// The class that other words agree with: people and animals of any class agree as classes 1
    /// and 2.
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

    /// Returns `true` if `wide` is a hypernym of `narrow`.
    pub(crate) fn covers(&self, wide: &Noun, narrow: &Noun) -> bool {
        let also = || IMPLIED.iter().filter(|(from, _)| *from == narrow.singular).map(|(_, to)| self.noun(to));
        narrow.singular == wide.singular
            || self.hypernym(narrow).into_iter().chain(also()).any(|n| self.covers(wide, n))
    }

    /// Returns `true` if replacing `old` by `new` makes statements about `old` false, also those
    /// that use a hypernym.
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

    /// Returns the possible objects of the verb with this index; empty for intransitive verbs.
    pub(crate) fn objects(&self, verb: usize) -> &[&'static Noun] {
        &self.objects[verb]
    }

    /// Where the verb with this index is done.
    pub(crate) fn places(&self, verb: usize) -> &[&'static Place] {
        &self.places[verb]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn there_are_enough_words_and_none_twice() {
        let nouns: HashSet<&str> = NOUNS.iter().map(|noun| noun.singular).collect();
        let towns: HashSet<&str> = TOWNS.iter().map(|town| town.name).collect();
        let places: HashSet<&str> = PLACES.iter().map(|place| place.phrase).collect();
        let times: HashSet<&str> =
            DAYS.iter().map(|day| day.phrase).chain(PARTS.iter().map(|part| part.phrase)).collect();
        assert_eq!(nouns.len(), NOUNS.len());
        assert_eq!(towns.len(), TOWNS.len());
        assert_eq!(places.len(), PLACES.len());
        assert_eq!(times.len(), DAYS.len() + PARTS.len());
        let verbs: HashSet<&str> = VERBS.iter().map(|verb| verb.stem).collect();
        let qualities: HashSet<&str> = QUALITIES.iter().chain(COLOURS).map(|quality| quality.word).collect();
        let words = nouns.len() + verbs.len() + places.len() + qualities.len();
        assert!(words >= 500, "{words}");
        assert!(nouns.len() >= 280 && verbs.len() >= 100 && places.len() >= 60 && qualities.len() >= 60);
        for (index, verb) in VERBS.iter().enumerate() {
            let twice = VERBS[..index]
                .iter()
                .any(|other| (other.stem, other.agents, other.objects) == (verb.stem, verb.agents, verb.objects));
            assert!(!twice, "{verb:?}");
        }
    }

    /// Checks the prefixes of singular and plural by gender; exceptions are in the test.
    fn is_regular(noun: &Noun) -> bool {
        let begins = |word: &str, prefixes: &[&str]| prefixes.iter().any(|prefix| word.starts_with(prefix));
        let (one, many) = (noun.singular, noun.plural);
        match noun.gender {
            Gender::MWa => begins(one, &["m"]) && begins(many, &["wa"]),
            Gender::MMi => begins(one, &["m"]) && begins(many, &["mi"]) && !begins(one, &["mi"]),
            Gender::JiMa => many.starts_with("ma") && many.ends_with(&one[one.len() - 2..]),
            Gender::KiVi => begins(one, &["ki", "ch"]) && begins(many, &["vi", "vy"]),
            Gender::UN => begins(one, &["u", "w"]) && one != many,
            Gender::N => one == many || many == format!("akina {one}"),
            Gender::MassM => one == many && begins(one, &["m"]),
            Gender::MassMa => one == many && begins(one, &["ma"]),
            Gender::MassKi => one == many && begins(&one.to_lowercase(), &["ki", "ch"]),
            Gender::MassVi => one == many && begins(one, &["vi"]),
            Gender::MassU => one == many && begins(one, &["u", "w"]),
            Gender::MassN | Gender::MassZ => one == many,
        }
    }

    #[test]
    fn plurals_belong_to_their_gender() {
        let odd: Vec<&str> = NOUNS.iter().filter(|noun| !is_regular(noun)).map(|noun| noun.singular).collect();
        assert_eq!(odd, ["kazi ya sanaa", "ala ya muziki"], "of these only the first word has a plural concord");
    }

    #[test]
    fn wider_words_exist_and_lead_nowhere_in_circles() {
        let words = lexicon();
        for noun in NOUNS {
            let chain: Vec<&Noun> = std::iter::successors(Some(noun), |noun| words.hypernym(noun)).take(10).collect();
            assert!(chain.len() < 6, "{} has too many wider words", noun.singular);
            assert!(chain.iter().all(|wide| wide.is_alive() == noun.is_alive()), "{}", noun.singular);
            if let Some(synonym) = words.synonym(noun) {
                assert_ne!(synonym.singular, noun.singular);
                assert_eq!(synonym.is_alive(), noun.is_alive(), "{}", noun.singular);
            }
        }
        for (narrow, wide) in IMPLIED {
            assert!(words.covers(words.noun(wide), words.noun(narrow)));
        }
    }

    #[test]
    fn every_verb_has_somebody_to_do_it_and_something_to_do_it_to() {
        let words = lexicon();
        for (index, verb) in VERBS.iter().enumerate() {
            assert!(!words.agents(index).is_empty(), "nobody can {}", verb.stem);
            assert_eq!(words.objects(index).is_empty(), verb.objects.is_empty(), "nothing to {}", verb.stem);
            assert_eq!(words.places(index).is_empty(), verb.places.is_empty(), "nowhere to {}", verb.stem);
            assert!(verb.passive.is_empty() || !verb.objects.is_empty(), "{} has no object", verb.stem);
        }
    }

    /// The passive of a stem by rule: -wa for a final a, -liwa or -lewa after another vowel, -iwa
    /// in borrowed verbs.
    fn passive(stem: &str) -> String {
        let (first, rest) = stem.split_once(' ').map_or((stem, String::new()), |(one, two)| (one, format!(" {two}")));
        let (root, last) = first.split_at(first.len() - 1);
        let passive = match (first, root.bytes().last(), last) {
            ("la", ..) => "liwa".to_owned(),
            ("nywa", ..) => "nywewa".to_owned(),
            ("pokea", ..) => "pokelewa".to_owned(),
            // Reduplicated: both halves are passive.
            ("katakata", ..) => "katwakatwa".to_owned(),
            (_, _, "u") => format!("{root}iwa"),
            (_, _, "i" | "e") => format!("{first}wa"),
            (_, Some(b'a' | b'u'), _) => format!("{root}liwa"),
            (_, Some(b'o'), _) => format!("{root}lewa"),
            (_, Some(b'w'), _) => format!("{root}iwa"),
            _ => format!("{root}wa"),
        };
        passive + &rest
    }

    #[test]
    fn passives_are_formed_by_rule() {
        for verb in VERBS.iter().filter(|verb| !verb.passive.is_empty()) {
            assert_eq!(verb.passive, passive(verb.stem));
        }
    }

    #[test]
    fn a_word_is_excluded_by_what_is_neither_wider_nor_narrower() {
        let words = lexicon();
        let excludes = |old: &str, new: &str| words.excludes(words.noun(old), words.noun(new));
        for (old, new) in [("mwanamke", "mwanamume"), ("embe", "chungwa"), ("mwalimu", "mkulima"), ("simba", "fisi")] {
            assert!(excludes(old, new) && excludes(new, old), "{old} {new}");
        }
        for (old, new) in [
            ("mwanamke", "mama"),
            ("mzee", "babu"),
            ("gari", "basi"),
            ("mtoto", "mvulana"),
            ("samaki", "dagaa"),
            // "A worker teaches" is true of a lecturer, although his next wider word is another.
            ("mwalimu", "mhadhiri"),
            ("muuguzi", "daktari"),
        ] {
            assert!(!excludes(old, new), "{old} {new}");
        }
    }

    #[test]
    fn places_and_days_within_each_other_are_no_contradiction() {
        let place = |phrase: &str| PLACES.iter().find(|place| place.phrase == phrase).expect(phrase);
        assert!(place("uani").excludes(place("jikoni")));
        assert!(place("kwenye zahanati").excludes(place("hospitalini")));
        assert!(place("kwenye hifadhi ya Tsavo").excludes(place("kwenye hifadhi ya Mikumi")));
        assert!(!place("chini ya mwembe").excludes(place("chini ya mti")));
        assert!(!place("kwenye gulio").excludes(place("sokoni")));
        assert!(!place("uani").excludes(place("shambani")), "who is in the yard is outside as well");
        let day = |phrase: &str| DAYS.iter().find(|day| day.phrase == phrase).expect(phrase);
        assert!(day("jana").excludes(day("juzi")));
        assert!(!day("leo").excludes(day("wiki hii")));
        assert!(!day("kila siku").excludes(day("kila Jumamosi")));
        assert!(day("kila Jumamosi").excludes(day("kila siku")));
    }

    #[test]
    fn towns_fit_the_places_in_them() {
        let place = |phrase: &str| PLACES.iter().find(|place| place.phrase == phrase).expect(phrase);
        let town = |name: &str| TOWNS.iter().find(|town| town.name == name).expect(name);
        assert_eq!(town("Arusha").phrase_after(Some(place("sokoni"))), "jijini Arusha");
        assert_eq!(town("Arusha").phrase_after(Some(place("shambani"))), "karibu na Arusha");
        assert_eq!(town("Lamu").phrase_after(None), "kisiwani Lamu");
        assert!(town("Tanga").has(Shore::Sea) && !town("Dodoma").has(Shore::Sea) && !town("Lamu").has(Shore::Country));
        assert_eq!(
            [place("sokoni"), place("kwenye daraja"), place("ndani ya maktaba")].map(Place::class),
            [Class::C17, Class::C16, Class::C18]
        );
    }

    #[test]
    fn kin_agree_as_animals_of_their_own_class() {
        let possessive = |noun: &str, number| lexicon().noun(noun).possessive(number, "ake");
        assert_eq!(possessive("rafiki", Number::Singular), "yake");
        assert_eq!(possessive("dada", Number::Plural), "zake");
        assert_eq!(possessive("mjomba", Number::Singular), "wake");
        assert_eq!(possessive("kitabu", Number::Singular), "chake");
    }
}
