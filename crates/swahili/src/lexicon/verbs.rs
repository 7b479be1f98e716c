//! Verbs: who does them, to what, where, with what and why, and a wider verb that follows from
//! them. A verb of two words ("paka rangi") bends its first word only. A stem may stand twice, once
//! for each sense.

use super::Kind::{self, *};
use super::PlaceKind::{self, *};

/// Usual number of objects of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    One,
    Many,
    Any,
}

/// A verb and what it may be combined with. Stems carry their final vowel.
#[derive(Debug)]
pub(crate) struct Verb {
    pub(crate) stem: &'static str,
    /// Empty for what is done to nothing.
    pub(crate) passive: &'static str,
    pub(crate) agents: &'static [Kind],
    pub(crate) objects: &'static [Kind],
    pub(crate) amount: Amount,
    pub(crate) places: &'static [PlaceKind],
    /// A verb phrase without object that is true whenever this one is, or nothing.
    pub(crate) general: &'static str,
    pub(crate) with: &'static [&'static str],
    pub(crate) why: &'static [&'static str],
    /// `true` if the verb has an object marker even for inanimate objects.
    pub(crate) marked: bool,
}

impl Verb {
    const fn at(mut self, places: &'static [PlaceKind]) -> Self {
        self.places = places;
        self
    }

    const fn general(mut self, general: &'static str) -> Self {
        self.general = general;
        self
    }

    const fn with(mut self, with: &'static [&'static str]) -> Self {
        self.with = with;
        self
    }

    const fn marked(mut self) -> Self {
        self.marked = true;
        self
    }

    const fn why(mut self, why: &'static [&'static str]) -> Self {
        self.why = why;
        self
    }
}

const fn to(
    stem: &'static str,
    passive: &'static str,
    agents: &'static [Kind],
    objects: &'static [Kind],
    amount: Amount,
) -> Verb {
    Verb { stem, passive, agents, objects, amount, places: &[], general: "", with: &[], why: &[], marked: false }
}

const fn intransitive(stem: &'static str, agents: &'static [Kind]) -> Verb {
    to(stem, "", agents, &[], Amount::One)
}

use Amount::{Any, Many, One};

const EARN: &[&str] = &[
    "ili kulipa ada ya shule ya watoto",
    "ili kupata pesa za matumizi",
    "ili kukuza biashara",
    "ili kulipa kodi ya nyumba",
    "ili kupata mtaji wa biashara mpya",
    "ili kuongeza kipato cha familia",
];
const GUESTS: &[&str] = &[
    "kwa ajili ya wageni",
    "kwa ajili ya sherehe ya harusi",
    "kwa ajili ya chakula cha mchana",
    "kwa ajili ya familia",
    "kwa ajili ya chakula cha jioni",
    "kwa ajili ya sikukuu",
    "kwa ajili ya watoto wa shule",
];
const TIDY: &[&str] = &[
    "kabla ya wageni kufika",
    "kwa ajili ya sikukuu",
    "ili kuzuia magonjwa",
    "ili kudumisha usafi",
    "baada ya mvua kunyesha",
    "baada ya sherehe kumalizika",
];
const CROPS: &[&str] = &[
    "kabla ya msimu wa mvua",
    "ili kupata mavuno mengi",
    "ili kupata chakula cha familia",
    "baada ya mvua za kwanza",
    "kwa ajili ya kuuza mjini",
    "ili kuepuka njaa",
];
const STUDY: &[&str] = &[
    "ili kufaulu mtihani",
    "kwa ajili ya mtihani wa taifa",
    "kabla ya muhula kuisha",
    "ili kuongeza maarifa",
    "kwa ajili ya maandalizi ya mitihani",
];
const TEACH: &[&str] = &[
    "kwa ajili ya mtihani wa taifa",
    "kabla ya muhula kuisha",
    "ili kuongeza maarifa ya wanafunzi",
    "kwa ajili ya maandalizi ya mitihani",
];
const HEAL: &[&str] = &[
    "ili kuzuia malaria",
    "baada ya ajali ya barabarani",
    "ili kuokoa maisha",
    "kwa sababu ya homa kali",
    "wakati wa kampeni ya afya",
    "ili kujua chanzo cha maumivu",
];
const BUILD: &[&str] = &[
    "kabla ya mvua kuanza",
    "kwa ajili ya wanakijiji",
    "ili kuboresha makazi",
    "kwa msaada wa serikali",
    "baada ya mafuriko",
    "kwa gharama nafuu",
];
const SHOW: &[&str] = &[
    "mbele ya umati wa watu",
    "wakati wa tamasha",
    "kwa ajili ya watalii",
    "kwenye sherehe za uhuru",
    "mbele ya wageni wengi",
];
const CRAFT: &[&str] = &[
    "kwa ajili ya watalii",
    "kwa ajili ya maonyesho ya biashara",
    "ili kuuza sokoni",
    "kwa ajili ya wateja wapya",
    "ili kuhifadhi utamaduni",
];
const FUN: &[&str] = &[
    "baada ya kazi",
    "wakati wa mapumziko",
    "baada ya masomo",
    "wakati wa likizo",
    "huku jua likizama",
    "baada ya chakula",
];
const PLANT: &[&str] =
    &["ili kutunza mazingira", "kabla ya mvua kunyesha", "ili kupata kivuli", "ili kuzuia mmomonyoko wa udongo"];
const THIRST: &[&str] =
    &["kwa sababu ya joto kali", "baada ya kutembea kwa muda mrefu", "wakati wa kiangazi", "huku jua likizama"];
const DUTY: &[&str] =
    &["kwa sababu za usalama", "wakati wa ziara rasmi", "kwa niaba ya serikali", "baada ya malalamiko ya wananchi"];
const ERRAND: &[&str] =
    &["kwa niaba ya jirani", "kabla ya giza kuingia", "kwa ajili ya familia", "kabla ya mvua kunyesha"];

const GENERAL: &[Kind] = &[Adult];
const EVERYONE: &[Kind] = &[Person];
const YOUNG: &[Kind] = &[Child, Youth];
const FARMERS: &[Kind] = &[Farmer, Adult, Villager];
const COOKS: &[Kind] = &[Cook, Woman, Adult];
const GOODS: &[Kind] = &[
    Fruit, Vegetable, Root, Nut, Grocery, Catch, Garment, Basketry, Pottery, Carved, Egg, Baked, Fuel, Book, Device,
    Bag,
];
const HOUSE: &[PlaceKind] = &[Home, Yard];
const SITTING: &[PlaceKind] = &[Yard, Shade, Lounge, Restaurant];

#[rustfmt::skip]
pub(crate) const VERBS: &[Verb] = &[
    // Trade.
    to("uza", "uzwa", &[Trader, Woman, Man, Youth], GOODS, Many).at(&[Market]).general("fanya biashara")
        .with(&["kwa bei nafuu", "kwa jumla", "kwa wapita njia"]).why(EARN),
    to("nunua", "nunuliwa", &[Person], GOODS, Any).at(&[Market, Shop]).general("fanya manunuzi")
        .with(&["kwa pesa taslimu", "kwa bei nafuu"]).why(GUESTS),
    to("pima", "pimwa", &[Trader], &[Grain, Grocery, Catch, Root], Many).at(&[Market, Shop]).general("fanya kazi")
        .with(&["kwa mizani"]).why(&["kabla ya kuuza", "mbele ya mteja"]),
    to("chagua", "chaguliwa", &[Customer, Woman, Man], &[Fruit, Vegetable, Garment, Catch], Many).at(&[Market, Shop])
        .why(&["kabla ya kulipa", "kwa ajili ya familia", "kwa ajili ya sikukuu"]),
    to("panga", "pangwa", &[Trader], &[Fruit, Vegetable, Garment, Book, Vessel], Many).at(&[Market, Shop]).general("fanya kazi")
        .with(&["juu ya meza", "juu ya mkeka", "kwenye rafu"]).why(&["kabla ya wateja kufika", "ili kuvutia wateja"]),
    // Kitchen.
    to("pika", "pikwa", COOKS, &[Dish, Stirred], One).at(&[Kitchen, Restaurant]).general("andaa chakula")
        .with(&["kwa kuni", "kwa mkaa", "kwenye sufuria kubwa"]).why(GUESTS),
    to("kaanga", "kaangwa", COOKS, &[Fried, Egg, Catch], Many).at(&[Kitchen, Restaurant]).general("andaa chakula")
        .with(&["kwa mafuta ya alizeti", "kwenye kikaango"]).why(GUESTS),
    to("chemsha", "chemshwa", COOKS, &[Hot, Egg, Root], Many).at(&[Kitchen]).with(&["kwenye sufuria", "kwa kuni"]).why(GUESTS),
    to("oka", "okwa", &[Baker, Cook, Woman], &[Baked], Any).at(&[Kitchen]).general("andaa chakula").with(&["kwenye tanuri"]).why(GUESTS),
    to("choma", "chomwa", COOKS, &[Roast, Catch], Any).at(&[Kitchen, Restaurant]).general("andaa chakula").with(&["kwa mkaa"]).why(GUESTS),
    to("menya", "menywa", COOKS, &[Fruit, Root], Many).at(&[Kitchen]).general("andaa chakula").with(&["kwa kisu"]).why(GUESTS),
    to("katakata", "katwakatwa", COOKS, &[Vegetable], Many).at(&[Kitchen]).general("andaa chakula").with(&["kwa kisu kikali"]).why(GUESTS),
    to("kanda", "kandwa", &[Baker, Cook, Woman], &[Flour], One).at(&[Kitchen]).general("fanya kazi").why(&["ili kutengeneza chapati", "ili kuoka mikate", "kwa ajili ya kifungua kinywa"]),
    to("koroga", "korogwa", COOKS, &[Stirred], One).at(&[Kitchen]).general("andaa chakula").with(&["kwa mwiko"]).why(GUESTS),
    to("onja", "onjwa", &[Cook, Person], &[Dish, Stirred], One).at(&[Kitchen, Restaurant]).with(&["kwa kijiko"]).why(&["kabla ya kuongeza chumvi", "kabla ya wageni kufika"]),
    to("andaa", "andaliwa", &[Cook, Woman, Waiter], &[Dish, Hot], One).at(&[Kitchen, Restaurant]).general("fanya kazi").why(GUESTS),
    to("pakua", "pakuliwa", &[Cook, Waiter, Woman], &[Dish], One).at(&[Kitchen, Restaurant]).with(&["kwenye sahani"]).why(GUESTS),
    to("chuja", "chujwa", &[Cook, Woman, Waiter], &[Hot], One).at(&[Kitchen]).with(&["kwa chujio"]).why(GUESTS),
    to("twanga", "twangwa", FARMERS, &[Grain], One).at(&[Yard]).general("fanya kazi").with(&["kwa kinu na mchi"]).why(&["ili kupata unga", "kwa ajili ya uji", "kwa ajili ya ugali"]),
    to("saga", "sagwa", FARMERS, &[Grain], One).at(&[Village]).general("fanya kazi").with(&["kwa mashine", "kwa jiwe"]).why(&["ili kupata unga", "kwa ajili ya uji", "ili kuuza unga mjini"]),
    to("chinja", "chinjwa", &[Man], &[Poultry], Any).at(&[Yard]).general("andaa chakula").marked().with(&["kwa kisu kikali"]).why(GUESTS),
    // Eating and drinking.
    to("la", "liwa", EVERYONE, &[Dish, Fruit, Fried, Baked, Roast, Root], One).at(&[Restaurant, Home, Yard]).general("pata mlo").with(&["kwa mikono", "pamoja na chai", "pamoja na maji baridi"]).why(FUN),
    to("nywa", "nywewa", EVERYONE, &[Drink], One).at(SITTING).with(&["kwenye kikombe", "taratibu"]).why(FUN),
    // House.
    to("fua", "fuliwa", GENERAL, &[Garment, Linen], Many).at(&[Yard, Waterside]).general("fanya usafi").with(&["kwa sabuni", "kwa mikono", "kwa maji ya mvua"]).why(TIDY),
    to("osha", "oshwa", &[Adult, Child, Waiter], &[Vessel], Many).at(&[Kitchen, Yard]).general("fanya usafi").with(&["kwa sabuni", "kwa maji ya moto"]).why(TIDY),
    to("osha", "oshwa", &[Driver, Man, Youth], &[Vehicle], Any).at(&[Road, Yard, Waterside]).general("fanya usafi").with(&["kwa sabuni", "kwa maji mengi"]).why(EARN),
    to("safisha", "safishwa", &[Cleaner, Adult, Pupil], &[Room], Any).at(&[]).general("fanya usafi").with(&["kwa maji na sabuni"]).why(TIDY),
    to("safisha", "safishwa", &[Cleaner, Adult, Pupil], &[Furniture], Any).at(&[School, Home, Office]).general("fanya usafi").with(&["kwa maji na sabuni", "kwa kitambaa"]).why(TIDY),
    to("fagia", "fagiwa", &[Cleaner, Adult, Pupil], &[Room], Any).at(&[]).general("fanya usafi").with(&["kwa ufagio mpya", "kwa ufagio wa chelewa"]).why(TIDY),
    to("pangusa", "panguswa", &[Cleaner, Woman, Pupil], &[Furniture, Opened], Many).at(&[Home, Office, School]).general("fanya usafi").with(&["kwa kitambaa", "kwa kitambaa chenye maji"]).why(TIDY),
    to("kunja", "kunjwa", &[Adult, Cleaner, Child], &[Garment, Linen], Many).at(&[Home]).general("fanya kazi za nyumbani").why(TIDY),
    to("anika", "anikwa", FARMERS, &[Grain], One).at(&[Yard]).general("fanya kazi ya kilimo").with(&["juani", "juu ya mkeka"]).why(&["kabla ya kusaga unga", "kabla ya mvua kunyesha"]),
    to("anika", "anikwa", &[Adult], &[Garment, Linen], Many).at(&[Yard]).with(&["juani", "kwenye kamba"]).why(&["kwa ajili ya kesho", "kabla ya mvua kunyesha"]),
    to("piga pasi", "pigwa pasi", &[Tailor, Adult, Pupil], &[Garment], Many).at(&[Home]).general("fanya kazi za nyumbani").why(&["kabla ya kwenda kazini", "kwa ajili ya harusi", "kwa ajili ya ibada"]),
    to("tandika", "tandikwa", &[Adult, Cleaner, Child], &[Bed, Spread], Any).at(&[Lounge]).general("fanya kazi za nyumbani").why(TIDY),
    to("fungua", "funguliwa", EVERYONE, &[Opened], Any).at(&[Home, Office, School]).with(&["kwa ufunguo", "taratibu"]).why(&["ili kupata hewa safi", "kabla ya wageni kufika", "kwa sababu ya joto"]),
    to("funga", "fungwa", EVERYONE, &[Opened], Any).at(&[Home, Office, School]).with(&["kwa ufunguo", "haraka"]).why(&["kabla ya kuondoka", "kwa sababu ya upepo", "kwa sababu za usalama"]),
    to("washa", "washwa", GENERAL, &[Lamp], Any).at(&[Home, Lounge]).with(&["kwa kiberiti"]).why(&["baada ya umeme kukatika", "kabla ya giza kuingia"]),
    to("zima", "zimwa", GENERAL, &[Lamp, Heard, Seen], Any).at(&[Home, Lounge]).why(&["kabla ya kulala", "ili kuokoa umeme"]),
    to("ogesha", "ogeshwa", &[Woman, Man], &[Baby, Dog], Any).at(HOUSE).marked().with(&["kwa maji ya moto", "kwa sabuni"]).why(&["kabla ya kulala", "kabla ya chakula cha jioni"]),
    to("bembeleza", "bembelezwa", &[Woman, Man, Elder], &[Baby], One).at(HOUSE).general("tunza mtoto").with(&["kwa wimbo"]).why(&["ili alale", "ili aache kulia"]),
    to("kumbatia", "kumbatiwa", &[Woman, Man, Elder], &[Baby, Girl, Boy], Any).at(&[Yard, Station, Home]).with(&["kwa furaha", "kwa upendo"]).why(&["baada ya safari ndefu", "baada ya kufaulu mtihani"]),
    to("simulia", "simuliwa", &[Elder], &[Story], Any).at(&[Yard, Shade, Lounge]).general("zungumza").with(&["kwa watoto", "kwa wajukuu"]).why(FUN),
    // Making and mending.
    to("shona", "shonwa", &[Tailor], &[Sewn], Any).at(&[Workshop, Market]).general("fanya kazi").with(&["kwa cherehani", "kwa sindano na uzi"]).why(CRAFT),
    to("fuma", "fumwa", &[Weaver, Elder], &[Woven, Knitted], Any).at(&[Workshop, Yard]).general("fanya kazi ya mikono").with(&["kwa nyuzi za sufu", "kwa nyuzi za pamba"]).why(CRAFT),
    to("suka", "sukwa", &[Weaver, Woman, Elder], &[Basketry], Any).at(&[Yard, Shade]).general("fanya kazi ya mikono").with(&["kwa ukindu", "kwa majani ya mnazi"]).why(CRAFT),
    to("chonga", "chongwa", &[Carver], &[Carved], Any).at(&[Workshop, Shade]).general("fanya kazi ya mikono").with(&["kwa mti wa mpingo", "kwa patasi"]).why(CRAFT),
    to("finyanga", "finyangwa", &[Potter], &[Pottery], Any).at(&[Workshop, Yard]).general("fanya kazi ya mikono").with(&["kwa udongo mwekundu", "kwa udongo wa mfinyanzi"]).why(CRAFT),
    to("noa", "nolewa", &[Smith, Man], &[Blade], Any).at(&[Workshop, Yard]).general("fanya kazi").with(&["kwa jiwe", "kwa tupa"]).why(&["kabla ya kwenda shambani", "kwa ajili ya wateja"]),
    to("tengeneza", "tengenezwa", &[Carpenter], &[Furniture, Woodwork], Any).at(&[Workshop]).general("fanya kazi").with(&["kwa mbao ngumu", "kwa nyundo na misumari"]).why(&["kwa ajili ya shule mpya", "kwa ajili ya wateja", "ili kuuza mjini"]),
    to("karabati", "karabatiwa", &[Artisan], &[Vehicle, Device, Tractor], Any).at(&[Workshop]).general("fanya kazi").with(&["kwa vipuri vipya", "kwa zana za kisasa"]).why(&["kwa ajili ya mteja", "baada ya ajali", "kabla ya safari ndefu"]),
    to("pasua", "pasuliwa", &[Carpenter, Man, Youth], &[Timber, Firewood], Many).at(&[Workshop, Yard]).general("fanya kazi").with(&["kwa shoka", "kwa msumeno"]).why(ERRAND),
    to("paka rangi", "pakwa rangi", &[Man, Youth], &[Furniture], Any).at(&[Workshop, Yard]).general("fanya kazi").with(&["kwa brashi"]).why(&["kwa ajili ya sikukuu", "kwa ajili ya wateja"]),
    to("paka rangi", "pakwa rangi", &[Painter, Man, Youth], &[Wall, Building], Any).at(&[Village]).general("fanya kazi").with(&["kwa brashi"]).why(&["kwa ajili ya sikukuu", "kabla ya wageni kufika", "ili kuvutia wateja"]),
    to("chora", "chorwa", &[Painter, Pupil], &[Drawn], Any).at(&[Workshop, School, Shade]).general("fanya kazi ya sanaa").with(&["kwa penseli", "kwa rangi za maji"]).why(CRAFT),
    // Building.
    to("jenga", "jengwa", &[Builder], &[Building, Wall, Structure], Any).at(&[Site]).general("fanya kazi ya ujenzi").with(&["kwa matofali", "kwa mawe na saruji"]).why(BUILD),
    to("bomoa", "bomolewa", &[Builder], &[Wall, Building], Any).at(&[Site]).general("fanya kazi").with(&["kwa nyundo kubwa", "kwa mashine"]).why(&["ili kupisha ujenzi wa barabara", "ili kujenga upya", "kwa sababu za usalama"]),
    to("ezeka", "ezekwa", &[Builder], &[Building], Any).at(&[Site]).general("fanya kazi ya ujenzi").with(&["kwa mabati", "kwa makuti", "kwa nyasi"]).why(BUILD),
    to("kagua", "kaguliwa", &[Official], &[Building, Structure, Visited], Any).at(&[]).general("fanya ziara ya kikazi").why(DUTY),
    to("chimba", "chimbwa", &[Farmer, Man, Youth, Builder], &[Hole], Any).at(&[Village, Farm]).general("fanya kazi").with(&["kwa majembe", "kwa sururu"]).why(BUILD),
    to("beba", "bebwa", &[Porter, Builder, Youth], &[Load, Material], Many).at(&[Site, Station]).general("fanya kazi").with(&["kwa mikono", "begani"]).why(EARN),
    to("pakia", "pakiwa", &[Porter, Driver], &[Load, Material], Many).at(&[Station, Market]).general("fanya kazi").with(&["kwenye lori", "juu ya basi"]).why(EARN),
    to("shusha", "shushwa", &[Porter, Sailor], &[Load], Many).at(&[Station, Beach]).general("fanya kazi").with(&["kutoka kwenye lori", "kwa winchi"]).why(EARN),
    to("sukuma", "sukumwa", &[Porter, Youth, Man], &[Cart], One).at(&[Road, Market]).general("fanya kazi").with(&["kwa nguvu", "kwa mikono miwili"]).why(EARN),
    // Farm.
    to("lima", "limwa", &[Farmer, Villager], &[Field], One).at(&[Soil]).general("fanya kazi ya kilimo").with(&["kwa jembe la mkono", "kwa trekta", "kwa plau"]).why(CROPS),
    to("panda", "pandwa", &[Farmer, Villager], &[Grain, Planted, Root], Many).at(&[Farm]).general("fanya kazi ya kilimo").with(&["kwa mistari", "kwa mbegu bora"]).why(CROPS),
    to("panda", "pandwa", &[Pupil, Teacher, Villager], &[Planted], Many).at(&[Farm, Village]).general("tunza mazingira").with(&["kwa mikono"]).why(PLANT),
    to("vuna", "vunwa", &[Farmer, Villager], &[Grain, Nut, Root], Many).at(&[Farm]).general("fanya kazi ya kilimo").with(&["kwa mashine", "kwa mundu"]).why(EARN),
    to("mwagilia", "mwagiliwa", FARMERS, &[Watered, Vegetable], Many).at(&[Farm]).general("fanya kazi ya kilimo").with(&["kwa ndoo", "kwa mpira wa maji"]).why(&["kwa sababu ya ukame", "wakati wa kiangazi", "kabla ya jua kuwaka sana"]),
    to("palilia", "paliliwa", &[Farmer, Villager], &[Grain, Root, Nut], Many).at(&[Farm]).general("fanya kazi ya kilimo").with(&["kwa jembe dogo"]).why(CROPS),
    to("chuma", "chumwa", &[Farmer, Villager, Youth, Child], &[Fruit, Vegetable], Many).at(&[Farm]).with(&["kwa mikono", "kwa ngazi"]).why(&["kwa ajili ya kuuza mjini", "kwa ajili ya familia", "ili kuuza sokoni"]),
    to("kamua", "kamuliwa", &[Herder, Farmer], &[Milked], Any).at(&[Yard, Pasture]).general("fanya kazi ya ufugaji").with(&["kwa mikono", "kwa mashine"]).why(&["ili kupata maziwa", "kabla ya kwenda malishoni", "ili kuuza maziwa mjini"]),
    to("lisha", "lishwa", &[Herder, Farmer, Adult], &[Poultry, Cattle], Many).at(&[Yard]).general("fanya kazi ya ufugaji").with(&["kwa majani mabichi", "kwa pumba"]).why(&["ili wanenepe", "kabla ya giza kuingia"]),
    to("chunga", "chungwa", &[Herder, Boy], &[Cattle], Many).at(&[Pasture]).general("fanya kazi ya ufugaji").with(&["kwa fimbo", "kwa msaada wa mbwa"]).why(&["kabla ya giza kuingia", "baada ya masomo", "kwa sababu ya ukame"]),
    to("fuga", "fugwa", &[Farmer, Villager, Herder], &[Poultry, Cattle], Many).at(&[Village]).general("fanya kazi ya ufugaji").with(&["kwa njia za kisasa", "kwa mtaji mdogo"]).why(EARN),
    to("nywesha", "nyweshwa", &[Herder, Boy], &[Cattle], Many).at(&[Waterside]).general("tunza mifugo").why(&["kwa sababu ya joto kali", "kabla ya kurudi nyumbani"]),
    to("fyeka", "fyekwa", &[Farmer, Man, Cleaner], &[Grass], One).at(&[Farm, Sports, Village]).general("fanya kazi").with(&["kwa panga", "kwa fyekeo", "kwa mashine"]).why(TIDY),
    to("kusanya", "kusanywa", &[Adult, Child], &[Firewood, Egg, Rubbish], Many).at(&[Village, Yard]).general("fanya kazi").with(&["kwenye kikapu", "kwenye gunia"]).why(ERRAND),
    to("okota", "okotwa", &[Child, Villager, Cleaner], &[Firewood, Rubbish], Many).at(&[Village, Beach]).general("fanya kazi").with(&["kwa mikono"]).why(TIDY),
    to("teka", "tekwa", &[Woman, Girl, Boy], &[Water], One).at(&[Waterside]).with(&["kwa ndoo", "kwa mtungi"]).why(ERRAND),
    to("hifadhi", "hifadhiwa", FARMERS, &[Grain, Root], Many).at(&[Village]).with(&["kwenye ghala", "kwenye magunia"]).why(&["ili kuepuka njaa", "baada ya mavuno", "ili bei ipande"]),
    // Water.
    to("vua", "vuliwa", &[Fisher], &[Catch], Many).at(&[Sea]).general("fanya kazi ya uvuvi").with(&["kwa nyavu", "kwa ndoana", "kwa mtumbwi"]).why(EARN),
    to("tega", "tegwa", &[Fisher], &[Net], Many).at(&[Sea]).general("fanya kazi ya uvuvi").why(&["kabla ya giza kuingia", "ili kukamata samaki wengi"]),
    to("shona upya", "shonwa upya", &[Fisher], &[Net], Any).at(&[Beach]).general("fanya kazi").with(&["kwa uzi wa nailoni"]).why(&["kabla ya safari ya uvuvi", "baada ya dhoruba"]),
    to("vuta", "vutwa", &[Fisher, Sailor], &[Boat, Net], Any).at(&[Beach]).general("fanya kazi").with(&["kwa kamba", "kwa nguvu"]).why(&["kabla ya dhoruba", "baada ya uvuvi", "wakati maji yakipwa"]),
    to("ongoza", "ongozwa", &[Sailor], &[Boat], One).at(&[Sea]).general("fanya kazi ya ubaharia").with(&["kwa usukani"]).why(&["licha ya mawimbi makubwa", "kabla ya dhoruba"]),
    intransitive("ogelea", &[Swimmer, Youth, Boy, Girl, Tourist]).at(&[Sea, Beach]).with(&["kwa kasi", "karibu na mashua"]).why(FUN),
    // School.
    to("fundisha", "fundishwa", &[Teacher], &[Lesson], One).at(&[School]).general("fanya kazi ya ualimu").with(&["kwa michoro", "kwa mifano mingi"]).why(TEACH),
    to("fafanua", "fafanuliwa", &[Teacher], &[Poem, Exam, Story], Any).at(&[School]).general("fanya kazi ya ualimu").with(&["ubaoni", "kwa lugha rahisi"]).why(TEACH),
    to("sahihisha", "sahihishwa", &[Teacher], &[Exam, Notebook], Many).at(&[School, Office]).general("fanya kazi ya ualimu").with(&["kwa kalamu nyekundu"]).why(&["kabla ya likizo", "ili kutoa matokeo"]),
    to("jifunza", "", &[Pupil], &[Lesson], One).at(&[School, Library]).with(&["kwa vitendo", "kwa vitabu vipya"]).why(STUDY),
    to("soma", "somwa", EVERYONE, &[Book, Letter], One).at(&[Library, Lounge, Shade, Office]).with(&["kwa sauti", "kimyakimya"]).why(FUN),
    to("andika", "andikwa", &[Writer, Clerk, Pupil, Journalist], &[Written], One).at(&[Office, Library, Shade]).with(&["kwa kalamu", "kwa kompyuta"]).why(&["kabla ya mwisho wa wiki", "kwa ajili ya mashindano", "kwa ajili ya mkutano"]),
    to("fanya", "fanywa", &[Pupil], &[Exam], One).at(&[School]).with(&["kwa muda wa saa mbili", "kwa kalamu ya wino"]).why(&["kabla ya likizo", "mbele ya msimamizi"]),
    to("kariri", "kaririwa", &[Pupil, Girl, Boy], &[Poem], Any).at(&[School, Stage]).with(&["kwa sauti kubwa", "bila kusoma"]).why(SHOW),
    to("tafsiri", "tafsiriwa", &[Writer], &[Book, Poem], One).at(&[Office, Library]).with(&["kutoka Kiingereza", "kutoka Kifaransa"]).why(&["kwa ajili ya wasomaji vijana", "kwa ajili ya shule za msingi"]),
    to("azima", "azimwa", &[Pupil, Teacher], &[Book], Any).at(&[Library]).with(&["kwa wiki mbili"]).why(STUDY),
    to("gawa", "gawiwa", &[Teacher, Official], &[Notebook, Book], Many).at(&[School]).with(&["kwa wanafunzi wote", "bila malipo"]).why(&["mwanzoni mwa muhula", "kwa msaada wa wafadhili"]),
    to("beba", "bebwa", &[Pupil], &[Book, Bag, Notebook], Many).at(&[Road]).with(&["mgongoni", "mkononi"]).why(&["kabla ya kengele kulia", "baada ya masomo"]),
    // Health.
    to("tibu", "tibiwa", &[Medic], &[Patient, Baby, Elder], Any).at(&[Clinic]).general("toa huduma ya afya").with(&["kwa dawa mpya", "bila malipo"]).why(HEAL),
    to("chunguza", "chunguzwa", &[Medic], &[Patient, Baby, Elder], Any).at(&[Clinic]).general("toa huduma ya afya").with(&["kwa vifaa vya kisasa"]).why(HEAL),
    to("hudumia", "hudumiwa", &[Medic], &[Patient, Elder, Woman], Any).at(&[Clinic]).general("toa huduma ya afya").with(&["kwa upole", "usiku na mchana"]).why(HEAL),
    to("chanja", "chanjwa", &[Medic], &[Baby, Pupil], Many).at(&[Clinic, Village]).general("toa huduma ya afya").with(&["bila malipo"]).why(&["dhidi ya surua", "dhidi ya polio", "wakati wa kampeni ya afya"]),
    to("gawa", "gawiwa", &[Medic], &[Medicine], Many).at(&[Clinic, Village]).general("toa huduma ya afya").with(&["bila malipo", "kwa wagonjwa"]).why(HEAL),
    to("meza", "mezwa", &[Patient], &[Medicine], One).at(&[Clinic, Home]).with(&["kwa maji safi"]).why(&["baada ya kula", "kwa ushauri wa daktari"]),
    // Reporting, trade in words, service.
    to("piga picha", "pigwa picha", &[Photographer, Tourist, Journalist], &[Wild, Structure, Carved, Dancer], Any).at(&[]).marked().with(&["kwa kamera mpya", "kutoka mbali"]).why(&["kwa ajili ya gazeti", "kwa ajili ya maonyesho", "kabla ya jua kuzama"]),
    to("hoji", "hojiwa", &[Journalist], &[Farmer, Trader, Official, Athlete], Any).at(&[Office, Sports, Market]).general("fanya kazi ya uandishi").with(&["moja kwa moja"]).why(&["kwa ajili ya taarifa ya habari", "kwa ajili ya gazeti", "baada ya mkutano"]),
    to("karibisha", "karibishwa", &[Waiter, Elder, Villager], &[Guest, Tourist], Any).at(&[Restaurant, Village, Yard]).with(&["kwa furaha", "kwa chai ya moto"]).why(&["baada ya safari ndefu", "kwa niaba ya kijiji"]),
    to("hudumia", "hudumiwa", &[Waiter], &[Customer, Tourist, Guest], Any).at(&[Restaurant]).general("fanya kazi").with(&["kwa heshima", "kwa haraka"]).why(&["wakati wa chakula cha mchana", "wakati wa sikukuu"]),
    to("leta", "letwa", &[Waiter], &[Dish, Drink], One).at(&[Restaurant]).general("fanya kazi").with(&["kwenye sinia"]).why(&["kwa wateja wawili", "kwa wageni", "kwa familia yenye watoto"]),
    to("nyoa", "nyolewa", &[Barber], &[Customer, Boy, Man], One).at(&[Workshop]).general("fanya kazi").with(&["kwa mashine", "kwa wembe mpya"]).why(&["kwa ajili ya harusi", "kabla ya sikukuu"]),
    to("suka nywele", "sukwa nywele", &[Braider, Woman], &[Girl, Customer], One).at(&[Workshop, Yard]).general("fanya kazi").with(&["kwa mtindo wa kisasa"]).why(&["kwa ajili ya harusi", "kabla ya sikukuu"]),
    to("linda", "lindwa", &[Police], &[Guarded], One).at(&[]).general("fanya kazi ya ulinzi").with(&["usiku kucha", "kwa silaha"]).why(DUTY),
    to("ongoza", "ongozwa", &[Police], &[Car], Many).at(&[Road]).general("fanya kazi").with(&["kwa ishara za mikono"]).why(&["baada ya taa kuharibika", "kwa sababu ya msongamano"]),
    to("endesha", "endeshwa", &[Driver], &[Vehicle, Tractor], One).at(&[Road]).general("fanya kazi").with(&["kwa mwendo wa kasi", "kwa uangalifu"]).why(&["licha ya mvua kubwa", "wakati wa msongamano", "baada ya safari ndefu"]),
    to("endesha", "endeshwa", &[Adult, Child], &[Cycle], One).at(&[Road, Village]).with(&["kwa kasi", "bila kofia ngumu"]).why(FUN),
    to("subiri", "subiriwa", &[Traveller, Adult, Pupil], &[Car], One).at(&[Station, Road]).with(&["kwa muda mrefu", "kwenye foleni ndefu"]).why(&["ili kwenda kazini", "ili kurudi nyumbani"]),
    to("nunua", "nunuliwa", &[Traveller], &[Fare], Any).at(&[Station]).with(&["dirishani", "kwa simu"]).why(&["kabla ya safari", "kwa ajili ya familia nzima"]),
    to("tuma", "tumwa", EVERYONE, &[Letter, Gift], Any).at(&[Office, Station]).with(&["kwa posta", "kwa basi"]).why(&["kwa ajili ya siku ya kuzaliwa", "kwa rafiki wa zamani"]),
    to("pokea", "pokelewa", EVERYONE, &[Letter, Gift], Any).at(&[Home, Office]).with(&["kwa mikono miwili", "kwa furaha"]).why(&["kutoka kwa rafiki wa zamani", "kutoka kwa ndugu wa mbali"]),
    to("tafuta", "tafutwa", EVERYONE, &[Small], One).at(&[Home, Office, Market]).with(&["kila mahali", "kwa wasiwasi"]).why(&["kabla ya kuondoka", "kwa muda mrefu"]),
    to("tumia", "tumiwa", &[Clerk, Scientist, Journalist], &[Messaging], One).at(&[Office]).general("fanya kazi").with(&["kwa ustadi"]).why(&["ili kuandika ripoti", "ili kuwasiliana na wateja"]),
    to("tembelea", "tembelewa", &[Official], &[Visited], One).at(&[]).general("fanya ziara").why(DUTY),
    to("tembelea", "tembelewa", &[Tourist, Guest], &[Visited], One).at(&[]).general("fanya ziara").why(&["kwa mwaliko wa wenyeji", "baada ya safari ndefu", "wakati wa likizo"]),
    to("zindua", "zinduliwa", &[Official], &[Building, Structure, Book], One).at(&[]).general("fanya kazi rasmi").why(DUTY),
    to("soma", "somwa", &[Official, Clerk, Scientist], &[Report], One).at(&[Office]).general("fanya kazi").why(DUTY),
    to("tupa", "tupwa", &[Cleaner, Adult, Child], &[Rubbish], One).at(&[Road, Market]).with(&["kwenye pipa", "kwenye jalala"]).why(TIDY),
    intransitive("hutubia wananchi", &[Official]).at(&[Stage, Sports]).general("zungumza").with(&["kwa saa moja", "kwa kipaza sauti"]).why(DUTY),
    intransitive("fanya utafiti", &[Scientist]).at(&[School, Bush]).general("fanya kazi").with(&["kwa vifaa vya kisasa", "kwa miaka mingi"]).why(&["kuhusu mabadiliko ya tabianchi", "kuhusu magonjwa ya mifugo", "kuhusu malaria"]),
    // Music, play and rest.
    to("piga", "pigwa", &[Musician], &[Played], Any).at(&[Stage, Yard, Shade]).general("tumbuiza").with(&["kwa mdundo wa kasi", "kwa ustadi"]).why(SHOW),
    to("puliza", "pulizwa", &[Musician], &[Blown], Any).at(&[Stage, Sports]).general("tumbuiza").with(&["kwa nguvu", "kwa ustadi"]).why(SHOW),
    to("imba", "imbwa", &[Singer, Pupil, Girl], &[Song], Any).at(&[Stage, Sports, Village]).general("tumbuiza").with(&["kwa sauti nzuri", "kwa Kiswahili"]).why(SHOW),
    to("sikiliza", "sikilizwa", EVERYONE, &[Heard, Song, Story], One).at(&[Lounge, Yard]).general("burudika").why(FUN),
    to("tazama", "tazamwa", EVERYONE, &[Seen, Picture], One).at(&[Lounge]).general("burudika").why(FUN),
    to("piga", "pigwa", &[Boy, Athlete, Youth], &[Ball], One).at(&[Sports]).general("cheza").with(&["kwa mguu wa kulia", "kwa kichwa"]).why(&["kuelekea golini", "wakati wa mechi", "mbele ya mashabiki wengi"]),
    intransitive("cheza mpira", YOUNG).at(&[Sports, Beach]).general("cheza").with(&["bila viatu", "kwa makundi mawili"]).why(FUN),
    intransitive("cheza bao", &[Elder, Man]).at(&[Shade, Yard]).general("cheza").with(&["kwa kete nyeusi"]).why(FUN),
    intransitive("cheza ngoma", &[Dancer, Girl, Youth]).at(&[Stage, Village]).general("tumbuiza").with(&["kwa mdundo wa kasi", "kwa mtindo wa asili"]).why(SHOW),
    intransitive("kimbia", &[Athlete, Youth, Child]).at(&[Road, Sports, Beach]).general("fanya mazoezi").with(&["kwa kasi", "bila viatu"]).why(&["kujiandaa na mashindano", "ili kuimarisha afya", "kabla ya kifungua kinywa"]),
    intransitive("ruka kamba", &[Girl, Boy]).at(&[Sports, Yard]).general("cheza").with(&["kwa zamu"]).why(FUN),
    intransitive("tembea", &[Person]).at(&[Road, Beach]).with(&["taratibu", "kwa miguu", "chini ya mwavuli"]).why(FUN),
    intransitive("pumzika", &[Person]).at(&[Shade, Lounge, Yard]).with(&["juu ya mkeka", "kwa muda mfupi"]).why(&["baada ya kazi ngumu", "kwa sababu ya joto kali", "baada ya chakula cha mchana"]),
    intransitive("lala", &[Child, Elder, Patient, Guest]).at(&[Home, Lounge]).general("pumzika").with(&["juu ya mkeka", "ndani ya chandarua"]).why(&["baada ya kazi ngumu", "baada ya safari ndefu"]),
    intransitive("zungumza", &[Adult, Elder, Trader]).at(&[Shade, Market, Restaurant]).with(&["kwa sauti ndogo", "kuhusu bei za mazao", "kuhusu uchaguzi"]).why(FUN),
    intransitive("fanya mkutano", &[Official, Teacher, Villager]).at(&[Office, Village]).general("kutana").with(&["kuhusu elimu ya watoto", "kuhusu usalama", "kuhusu uhaba wa maji"]).why(DUTY),
    intransitive("fanya mazoezi", &[Athlete, Coach, Swimmer]).at(&[Sports, Beach]).with(&["kwa saa mbili", "kwa bidii"]).why(&["kujiandaa na mashindano", "ili kuimarisha afya"]),
    to("noa", "nolewa", &[Coach], &[Athlete], Many).at(&[Sports]).general("fanya kazi").with(&["kwa saa mbili"]).why(&["kabla ya mechi ya fainali", "kujiandaa na mashindano"]),
    to("shangilia", "shangiliwa", &[Adult, Pupil], &[Athlete, Singer], Many).at(&[Sports]).general("furahi").with(&["kwa makofi", "kwa nyimbo"]).why(&["baada ya ushindi", "wakati wa fainali"]),
    to("saidia", "saidiwa", &[Youth, Pupil, Police], &[Elder, Patient], One).at(&[Road, Station]).with(&["kubeba mzigo", "kuvuka barabara"]).why(&["kwa heshima", "bila malipo"]),
    to("salimu", "salimiwa", EVERYONE, &[Elder, Guest, Teacher], Any).at(&[Road, Village, Yard]).with(&["kwa heshima", "kwa tabasamu"]).why(&["baada ya ibada", "njiani kwenda shuleni"]),
    // Animals.
    intransitive("kimbia", &[Dog, Grazing, Prey, Fowl]).at(&[Pasture, Bush]).with(&["kwa kasi", "kuelekea mtoni"]).why(&["kwa woga", "baada ya kusikia ngurumo"]),
    intransitive("lala", &[Pet, Cattle]).at(&[Shade, Yard, Pasture]).general("pumzika").with(&["kivulini"]).why(&["kwa sababu ya joto kali", "baada ya kula"]),
    intransitive("lala", &[Predator]).at(&[Bush]).general("pumzika").with(&["kivulini"]).why(&["kwa sababu ya joto kali", "baada ya kula"]),
    intransitive("pumzika", &[Cattle]).at(&[Shade, Pasture]).with(&["kivulini", "karibu na maji"]).why(THIRST),
    intransitive("pumzika", &[Wild]).at(&[Bush]).with(&["kivulini", "karibu na maji"]).why(THIRST),
    to("la", "liwa", &[Grazing, Grazer], &[Grass], One).at(&[Pasture, Bush]).general("jilisha").with(&["kwa utulivu"]).why(&["baada ya mvua kunyesha", "kabla ya jua kuzama"]),
    to("la", "liwa", &[Monkey], &[Fruit], Many).at(&[Bush]).general("jilisha").with(&["kwa haraka"]).why(&["mbele ya watalii", "baada ya mvua kunyesha"]),
    to("nywa", "nywewa", &[Wild, Grazing], &[Water], One).at(&[Waterside, Bush]).general("kata kiu").with(&["bwawani", "mtoni"]).why(THIRST),
    to("winda", "windwa", &[Predator], &[Prey], Any).at(&[Bush]).general("tafuta chakula").with(&["kwa ujanja", "kimyakimya"]).why(&["kwa sababu ya njaa", "kabla ya jua kuchomoza"]),
    to("kimbiza", "kimbizwa", &[Predator], &[Prey], Any).at(&[Bush]).general("tafuta chakula").marked().with(&["kwa kasi"]).why(&["kwa sababu ya njaa", "mbele ya watalii"]),
    to("kimbiza", "kimbizwa", &[Dog], &[Cat, Poultry, Monkey], Any).at(&[Yard, Village]).marked().with(&["kwa kasi"]).why(&["huku watoto wakicheka", "huku majirani wakitazama"]),
    intransitive("bweka", &[Dog]).at(&[Yard, Village]).general("piga kelele").with(&["kwa sauti kubwa", "bila kukoma"]).why(&["baada ya kumwona mgeni", "kwa sababu ya mwizi"]),
    intransitive("ruka", &[Flyer]).at(&[Sky]).with(&["angani", "kwa makundi"]).why(&["kabla ya mvua kunyesha", "huku jua likizama"]),
    intransitive("tua", &[Flyer, Insect]).at(&[Sky]).with(&["taratibu"]).why(&["baada ya mvua kunyesha", "ili kutafuta chakula"]),
    intransitive("tafuta chakula", &[Poultry, Wader, Monkey]).at(&[Waterside, Yard]).with(&["kwa makundi", "kwa midomo"]).why(&["baada ya mvua kunyesha", "kabla ya jua kuzama"]),
    intransitive("oga", &[Bather]).at(&[Waterside]).with(&["kwenye matope", "kwa furaha"]).why(THIRST),
    intransitive("tambaa", &[Crawler]).at(&[Shade, Road]).general("tembea").with(&["polepole", "juu ya majani makavu"]).why(&["ili kutafuta chakula", "baada ya mvua kunyesha"]),
    intransitive("cheza", &[Dog, Cat, Monkey]).at(&[Yard, Bush]).with(&["na watoto wake", "kwa furaha"]).why(&["huku jua likizama", "baada ya kula"]),
    to("vuta", "vutwa", &[Draught], &[Cart], One).at(&[Road, Farm]).general("fanya kazi").with(&["kwa nguvu", "polepole"]).why(&["wakati wa mavuno", "chini ya jua kali"]),
    to("kata", "katwa", &[Man, Youth], &[Tree], Any).at(&[Village, Farm]).with(&["kwa shoka", "kwa msumeno wa mashine"]).why(&["ili kupata mbao", "ili kupisha ujenzi wa barabara", "ili kupata kuni"]),
    to("jaza", "jazwa", &[Woman, Girl, Boy], &[Carried], Any).at(&[Waterside]).with(&["kwa maji safi", "kwa maji ya kunywa"]).why(ERRAND),
    to("pamba", "pambwa", &[Woman, Youth], &[Room], One).at(&[]).with(&["kwa maua", "kwa vitambaa vya rangi"]).why(&["kwa ajili ya harusi", "kwa ajili ya siku ya kuzaliwa", "kwa ajili ya sikukuu"]),
    to("tundika", "tundikwa", &[Adult, Teacher], &[Picture, Linen], Any).at(&[Home, Office]).with(&["ukutani", "kwa misumari"]).why(TIDY),
    to("hesabu", "hesabiwa", &[Trader, Herder], &[Load, Cattle], Many).at(&[Market, Village]).general("fanya kazi").with(&["kwa makini", "mara mbili"]).why(&["kabla ya safari", "kabla ya kufunga biashara"]),
    to("chambua", "chambuliwa", FARMERS, &[Nut, Grain, Vegetable], Many).at(&[Yard, Kitchen]).general("fanya kazi").with(&["kwa mikono", "kwenye ungo"]).why(CROPS),
    to("fungasha", "fungashwa", &[Trader, Farmer], &[Fruit, Nut, Grocery], Many).at(&[Shop, Farm]).general("fanya kazi").with(&["kwenye mifuko", "kwenye makreti"]).why(EARN),
    to("peleka sokoni", "pelekwa sokoni", &[Farmer, Herder, Fisher], &[Fruit, Vegetable, Root, Catch, Cattle, Grain], Many).at(&[]).general("safirisha bidhaa").with(&["kwa lori", "kwa mkokoteni", "kwa pikipiki"]).why(EARN),
];
