//! Places as phrases that follow the verb, and towns with the facts that journeys need.

use super::{PlaceKind, Verb};
use crate::noun_class::Class;

/// Which towns a place can belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shore {
    /// Any town.
    Any,
    /// Towns by the sea only.
    Sea,
    /// Towns by a lake only.
    Lake,
    /// Towns where trains stop only.
    Railway,
    /// Any town on the mainland, but near it, not in it.
    Country,
    /// Near a town by the sea, on the water.
    Offshore,
    /// No town: the place has its own name or lies in the wild.
    Nowhere,
}

/// A place as a locative phrase.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) phrase: &'static str,
    /// A wider phrase that is true wherever this one is, or nothing.
    pub(crate) general: &'static str,
    pub(crate) kinds: &'static [PlaceKind],
    pub(crate) shore: Shore,
    /// `true` for places with a roof, without sun and rain.
    pub(crate) indoors: bool,
}

impl Place {
    /// Returns `true` if a person at `other` cannot be here, also under a hypernym.
    pub(crate) fn excludes(&self, other: &Place) -> bool {
        let countries = [self, other].iter().all(|place| place.general.starts_with("nchini"));
        self.phrase != other.phrase && (self.general == other.general || self.indoors != other.indoors || countries)
    }

    /// The locative class that a verb agrees with: inside, in the whole of, or exactly at the
    /// place.
    pub(crate) fn class(&self) -> Class {
        if self.phrase.starts_with("ndani") {
            Class::C18
        } else if self.phrase.ends_with("ni") && !self.phrase.contains(' ') {
            Class::C17
        } else {
            Class::C16
        }
    }

    pub(crate) fn suits(&self, verb: &Verb) -> bool {
        self.kinds.iter().any(|kind| verb.places.contains(kind))
    }
}

const fn outside(phrase: &'static str, general: &'static str, kinds: &'static [PlaceKind], shore: Shore) -> Place {
    Place { phrase, general, kinds, shore, indoors: false }
}

const fn inside(phrase: &'static str, general: &'static str, kinds: &'static [PlaceKind]) -> Place {
    Place { phrase, general, kinds, shore: Shore::Any, indoors: true }
}

use PlaceKind::*;

#[rustfmt::skip]
pub(crate) const PLACES: &[Place] = &[
    outside("sokoni", "mahali pa biashara", &[Market], Shore::Any),
    outside("kwenye gulio", "sokoni", &[Market], Shore::Any),
    outside("kando ya barabara", "nje", &[Market, Road], Shore::Any),
    outside("kwenye kituo cha mabasi", "kituoni", &[Market, Station], Shore::Any),
    inside("dukani", "mahali pa biashara", &[Shop]),
    outside("mbele ya duka", "nje", &[Shop, Market], Shore::Any),
    inside("jikoni", "ndani ya nyumba", &[Kitchen]),
    inside("sebuleni", "ndani ya nyumba", &[Home, Lounge]),
    inside("chumbani", "ndani ya nyumba", &[Home, Lounge]),
    outside("uani", "nje ya nyumba", &[Yard, Kitchen], Shore::Any),
    outside("barazani", "nje ya nyumba", &[Yard, Lounge], Shore::Any),
    outside("nyuma ya nyumba", "nje ya nyumba", &[Yard, Kitchen], Shore::Any),
    outside("mbele ya nyumba", "nje ya nyumba", &[Yard], Shore::Any),
    outside("shambani", "nje", &[Farm], Shore::Country),
    outside("kwenye bustani", "nje", &[Farm, Shade], Shore::Any),
    outside("kwenye bonde lenye rutuba", "bondeni", &[Farm, Soil], Shore::Country),
    outside("mlimani", "nje", &[Farm, Soil, Pasture], Shore::Country),
    outside("malishoni", "nje", &[Pasture], Shore::Country),
    outside("bondeni", "nje", &[Pasture, Farm, Soil], Shore::Country),
    outside("kwenye uwanda mpana", "nje", &[Pasture], Shore::Nowhere),
    outside("kando ya mto", "karibu na maji", &[Waterside, Pasture], Shore::Country),
    outside("kisimani", "karibu na maji", &[Waterside], Shore::Country),
    outside("kando ya bwawa", "karibu na maji", &[Waterside, Pasture], Shore::Country),
    outside("kando ya ziwa", "karibu na maji", &[Waterside, Beach], Shore::Lake),
    outside("ufukweni", "karibu na maji", &[Beach], Shore::Sea),
    outside("bandarini", "karibu na maji", &[Beach], Shore::Sea),
    outside("baharini", "majini", &[Sea], Shore::Offshore),
    outside("ziwani", "majini", &[Sea], Shore::Lake),
    inside("darasani", "shuleni", &[School]),
    inside("kwenye maabara ya shule", "shuleni", &[School]),
    outside("kwenye uwanja wa shule", "uwanjani", &[Sports], Shore::Any),
    outside("kwenye uwanja wa michezo", "uwanjani", &[Sports], Shore::Any),
    inside("ndani ya maktaba", "ndani ya jengo", &[Library]),
    inside("hospitalini", "mahali pa matibabu", &[Clinic]),
    inside("kwenye zahanati", "mahali pa matibabu", &[Clinic]),
    inside("kwenye kituo cha afya", "mahali pa matibabu", &[Clinic]),
    outside("barabarani", "nje", &[Road], Shore::Any),
    outside("mtaani", "nje", &[Road], Shore::Any),
    outside("kwenye daraja", "nje", &[Road], Shore::Any),
    outside("kwenye barabara kuu", "nje", &[Road], Shore::Any),
    inside("karakanani", "mahali pa kazi", &[Workshop]),
    outside("chini ya kibanda", "mahali pa kazi", &[Workshop, Market], Shore::Any),
    outside("kwenye eneo la ujenzi", "mahali pa kazi", &[Site], Shore::Any),
    inside("ofisini", "mahali pa kazi", &[Office]),
    inside("kwenye chumba cha mikutano", "ndani ya jengo", &[Office]),
    inside("mgahawani", "ndani ya jengo", &[Restaurant]),
    inside("hotelini", "ndani ya jengo", &[Restaurant, Lounge]),
    inside("jukwaani", "", &[Stage]),
    inside("ukumbini", "ndani ya jengo", &[Stage]),
    outside("kwenye sherehe ya harusi", "kwenye sherehe", &[Stage], Shore::Any),
    outside("kwenye stesheni ya treni", "kituoni", &[Station], Shore::Railway),
    outside("kijijini", "mashambani", &[Village, Soil, Yard], Shore::Country),
    outside("chini ya mti", "nje", &[Shade, Yard], Shore::Any),
    outside("chini ya mwembe", "chini ya mti", &[Shade, Yard], Shore::Any),
    outside("kwenye uwanja wa kijiji", "kijijini", &[Village, Stage], Shore::Country),
    outside("juu ya paa la nyumba", "nje", &[Sky], Shore::Any),
    outside("juu ya mti", "nje", &[Sky], Shore::Any),
    outside("msituni", "porini", &[Bush, Sky], Shore::Nowhere),
    outside("nyikani", "porini", &[Bush], Shore::Nowhere),
    outside("kwenye hifadhi ya Serengeti", "nchini Tanzania", &[Bush], Shore::Nowhere),
    outside("kwenye hifadhi ya Mikumi", "nchini Tanzania", &[Bush], Shore::Nowhere),
    outside("kwenye hifadhi ya Ruaha", "nchini Tanzania", &[Bush], Shore::Nowhere),
    outside("kwenye hifadhi ya Tarangire", "nchini Tanzania", &[Bush], Shore::Nowhere),
    outside("kwenye bonde la Ngorongoro", "nchini Tanzania", &[Bush], Shore::Nowhere),
    outside("kwenye hifadhi ya Tsavo", "nchini Kenya", &[Bush], Shore::Nowhere),
    outside("kwenye hifadhi ya Amboseli", "nchini Kenya", &[Bush], Shore::Nowhere),
    outside("kwenye hifadhi ya Samburu", "nchini Kenya", &[Bush], Shore::Nowhere),
    outside("kwenye hifadhi ya Akagera", "nchini Rwanda", &[Bush], Shore::Nowhere),
    outside("kwenye hifadhi ya Murchison", "nchini Uganda", &[Bush], Shore::Nowhere),
];

/// The water that a town lies at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Water {
    Inland,
    Sea,
    Victoria,
    Tanganyika,
    /// An island in the sea: no road or railway leads there.
    Island,
}

/// A town or island.
#[derive(Debug, PartialEq)]
pub(crate) struct Town {
    pub(crate) name: &'static str,
    /// Word before the name: mjini, jijini, kisiwani.
    pub(crate) kind: &'static str,
    pub(crate) country: &'static str,
    pub(crate) water: Water,
    /// `true` if trains stop there.
    pub(crate) railway: bool,
}

const fn town(name: &'static str, kind: &'static str, country: &'static str, water: Water, railway: bool) -> Town {
    Town { name, kind, country, water, railway }
}

#[rustfmt::skip]
pub(crate) const TOWNS: &[Town] = &[
    town("Dar es Salaam", "jijini", "Tanzania", Water::Sea, true),
    town("Dodoma", "jijini", "Tanzania", Water::Inland, true),
    town("Arusha", "jijini", "Tanzania", Water::Inland, false),
    town("Mwanza", "jijini", "Tanzania", Water::Victoria, true),
    town("Mbeya", "jijini", "Tanzania", Water::Inland, true),
    town("Tanga", "jijini", "Tanzania", Water::Sea, true),
    town("Morogoro", "mjini", "Tanzania", Water::Inland, true),
    town("Moshi", "mjini", "Tanzania", Water::Inland, true),
    town("Iringa", "mjini", "Tanzania", Water::Inland, false),
    town("Tabora", "mjini", "Tanzania", Water::Inland, true),
    town("Kigoma", "mjini", "Tanzania", Water::Tanganyika, true),
    town("Bukoba", "mjini", "Tanzania", Water::Victoria, false),
    town("Musoma", "mjini", "Tanzania", Water::Victoria, false),
    town("Songea", "mjini", "Tanzania", Water::Inland, false),
    town("Mtwara", "mjini", "Tanzania", Water::Sea, false),
    town("Lindi", "mjini", "Tanzania", Water::Sea, false),
    town("Singida", "mjini", "Tanzania", Water::Inland, true),
    town("Shinyanga", "mjini", "Tanzania", Water::Inland, true),
    town("Njombe", "mjini", "Tanzania", Water::Inland, false),
    town("Sumbawanga", "mjini", "Tanzania", Water::Inland, false),
    town("Babati", "mjini", "Tanzania", Water::Inland, false),
    town("Bagamoyo", "mjini", "Tanzania", Water::Sea, false),
    town("Lushoto", "mjini", "Tanzania", Water::Inland, false),
    town("Unguja", "kisiwani", "Tanzania", Water::Island, false),
    town("Pemba", "kisiwani", "Tanzania", Water::Island, false),
    town("Mafia", "kisiwani", "Tanzania", Water::Island, false),
    town("Nairobi", "jijini", "Kenya", Water::Inland, true),
    town("Mombasa", "jijini", "Kenya", Water::Sea, true),
    town("Kisumu", "jijini", "Kenya", Water::Victoria, true),
    town("Nakuru", "jijini", "Kenya", Water::Inland, true),
    town("Eldoret", "mjini", "Kenya", Water::Inland, false),
    town("Malindi", "mjini", "Kenya", Water::Sea, false),
    town("Lamu", "kisiwani", "Kenya", Water::Island, false),
    town("Garissa", "mjini", "Kenya", Water::Inland, false),
    town("Kitale", "mjini", "Kenya", Water::Inland, false),
    town("Nyeri", "mjini", "Kenya", Water::Inland, false),
    town("Machakos", "mjini", "Kenya", Water::Inland, false),
    town("Kakamega", "mjini", "Kenya", Water::Inland, false),
    town("Kilifi", "mjini", "Kenya", Water::Sea, false),
    town("Lodwar", "mjini", "Kenya", Water::Inland, false),
    town("Kampala", "jijini", "Uganda", Water::Inland, false),
    town("Entebbe", "mjini", "Uganda", Water::Victoria, false),
    town("Jinja", "mjini", "Uganda", Water::Victoria, false),
    town("Gulu", "mjini", "Uganda", Water::Inland, false),
    town("Kigali", "jijini", "Rwanda", Water::Inland, false),
    town("Bujumbura", "jijini", "Burundi", Water::Tanganyika, false),
    town("Goma", "mjini", "Kongo", Water::Inland, false),
    town("Lubumbashi", "jijini", "Kongo", Water::Inland, false),
];

impl Town {
    /// "mjini Arusha".
    pub(crate) fn phrase(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Returns the phrase for the town after a place: fields and the sea are near it, a market is
    /// in it.
    pub(crate) fn phrase_after(&self, place: Option<&Place>) -> String {
        match place.map(|place| place.shore) {
            Some(Shore::Country | Shore::Offshore) => format!("karibu na {}", self.name),
            _ => self.phrase(),
        }
    }

    pub(crate) fn has(&self, shore: Shore) -> bool {
        match shore {
            Shore::Any => true,
            Shore::Sea => matches!(self.water, Water::Sea | Water::Island),
            Shore::Offshore => self.water == Water::Sea,
            Shore::Railway => self.railway,
            Shore::Country => self.water != Water::Island,
            Shore::Lake => matches!(self.water, Water::Victoria | Water::Tanganyika),
            Shore::Nowhere => false,
        }
    }
}
