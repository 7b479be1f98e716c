//! The noun classes of Swahili and everything that agrees with them: one table of concords, one
//! rule for adjectives. Knows no words, only prefixes; the words are in `lexicon`.

/// A noun class by its traditional number. Class 14 agrees as class 11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
    C7,
    C8,
    C9,
    C10,
    C11,
    C15,
    C16,
    C17,
    C18,
}

/// Agreement prefixes of one class.
pub(crate) struct Concord {
    /// Prefix of a verb whose subject is of this class: *a*-nauza.
    pub(crate) subject: &'static str,
    /// Marker of an object of this class inside a verb: ana-*m*-saidia.
    pub(crate) object: &'static str,
    /// Prefix of -a, -angu, -ake: *ch*-a, *ch*-angu.
    pub(crate) connective: &'static str,
    /// "This".
    pub(crate) this: &'static str,
    /// "That over there".
    pub(crate) yonder: &'static str,
    /// "All".
    pub(crate) all: &'static str,
    /// "Having".
    pub(crate) having: &'static str,
    /// The relative inside a verb: ana-*ye*-uza.
    pub(crate) relative: &'static str,
    /// Adjective prefixes before a consonant, before a or o, before e, and the one that replaces a
    /// stem's first i.
    adjective: [&'static str; 4],
}

#[rustfmt::skip]
const TABLE: [Concord; 15] = [
    concord(["a",  "m",  "w",  "huyu", "yule", "wote", "mwenye", "ye"],  ["m",  "mw", "mw", "mwi"]),
    concord(["wa", "wa", "w",  "hawa", "wale", "wote", "wenye",  "o"],   ["wa", "wa", "w",  "we"]),
    concord(["u",  "u",  "w",  "huu",  "ule",  "wote", "wenye",  "o"],   ["m",  "mw", "mw", "mwi"]),
    concord(["i",  "i",  "y",  "hii",  "ile",  "yote", "yenye",  "yo"],  ["mi", "mi", "my", "mi"]),
    concord(["li", "li", "l",  "hili", "lile", "lote", "lenye",  "lo"],  ["",   "j",  "j",  "ji"]),
    concord(["ya", "ya", "y",  "haya", "yale", "yote", "yenye",  "yo"],  ["ma", "ma", "m",  "me"]),
    concord(["ki", "ki", "ch", "hiki", "kile", "chote", "chenye", "cho"], ["ki", "ch", "ch", "ki"]),
    concord(["vi", "vi", "vy", "hivi", "vile", "vyote", "vyenye", "vyo"], ["vi", "vy", "vy", "vi"]),
    concord(["i",  "i",  "y",  "hii",  "ile",  "yote", "yenye",  "yo"],  ["n",  "ny", "ny", "nyi"]),
    concord(["zi", "zi", "z",  "hizi", "zile", "zote", "zenye",  "zo"],  ["n",  "ny", "ny", "nyi"]),
    concord(["u",  "u",  "w",  "huu",  "ule",  "wote", "wenye",  "o"],   ["m",  "mw", "mw", "mwi"]),
    concord(["ku", "ku", "kw", "huku", "kule", "kote", "kwenye", "ko"],  ["ku", "kw", "kw", "kwi"]),
    concord(["pa", "pa", "p",  "hapa", "pale", "pote", "penye",  "po"],  ["pa", "pa", "p",  "pe"]),
    concord(["ku", "ku", "kw", "huku", "kule", "kote", "kwenye", "ko"],  ["ku", "kw", "kw", "kwi"]),
    concord(["m",  "m",  "mw", "humu", "mle",  "mote", "mwenye", "mo"],  ["m",  "mw", "mw", "mwi"]),
];

const fn concord(words: [&'static str; 8], adjective: [&'static str; 4]) -> Concord {
    let [subject, object, connective, this, yonder, all, having, relative] = words;
    Concord { subject, object, connective, this, yonder, all, having, relative, adjective }
}

impl Class {
    /// The concords of this class.
    pub(crate) fn concord(self) -> &'static Concord {
        &TABLE[self as usize]
    }

    /// The adjective `stem` (without hyphen: "zuri", "ekundu") as it agrees with this class.
    pub(crate) fn adjective(self, stem: &str) -> String {
        let [consonant, open, front, close] = self.concord().adjective;
        match stem.as_bytes()[0] {
            b'i' => format!("{close}{}", &stem[1..]),
            b'e' if stem == "ema" && consonant == "n" => "njema".to_owned(),
            b'e' => format!("{front}{stem}"),
            b'a' | b'o' | b'u' => format!("{open}{stem}"),
            _ if consonant == "n" => nasal(stem),
            _ if self == Class::C5 && is_monosyllabic(stem) => format!("ji{stem}"),
            _ => format!("{consonant}{stem}"),
        }
    }

    /// The connective "of": wa, ya, cha, …
    pub(crate) fn of(self) -> String {
        format!("{}a", self.concord().connective)
    }

    /// A possessive from its stem: "angu" my, "ake" his or her, "etu" our, "ao" their.
    pub(crate) fn possessive(self, stem: &str) -> String {
        format!("{}{stem}", self.concord().connective)
    }

    /// The whole number 1 to 10 in words; one to five and eight agree.
    pub(crate) fn numeral(self, number: usize) -> String {
        let stem = ["moja", "wili", "tatu", "nne", "tano", "sita", "saba", "nane", "tisa", "kumi"][number - 1];
        if matches!(number, 6 | 7 | 9 | 10) || self.concord().adjective[0] == "n" && number != 2 {
            return stem.to_owned();
        }
        self.adjective(stem)
    }

    /// "Who", "which" as a word of its own: ambaye, ambacho, …
    pub(crate) fn which(self) -> String {
        format!("amba{}", self.concord().relative)
    }
}

/// The nasal prefix of classes 9 and 10 merged with a stem that begins with a consonant.
fn nasal(stem: &str) -> String {
    match stem.as_bytes()[0] {
        b'b' | b'v' => format!("m{stem}"),
        b'd' | b'g' | b'j' | b'z' => format!("n{stem}"),
        b'r' | b'l' => format!("nd{}", &stem[1..]),
        b'w' => format!("mb{}", &stem[1..]),
        b'p' if is_monosyllabic(stem) => format!("m{stem}"),
        _ => stem.to_owned(),
    }
}

/// Returns `true` if a stem has only one vowel, as -la, -nywa, -pya.
pub(crate) fn is_monosyllabic(stem: &str) -> bool {
    stem.bytes().filter(|byte| b"aeiou".contains(byte)).count() == 1
}

#[cfg(test)]
mod tests {
    use super::Class::*;
    use super::*;

    /// subject, -zuri, -ekundu, -pya, -refu, -kubwa, -angu, this, -a, two, -ote, -enye, which
    #[rustfmt::skip]
    const EXPECTED: [(Class, &str); 15] = [
        (C1,  "a  mzuri  mwekundu mpya  mrefu  mkubwa  wangu  huyu wa  -       wote  mwenye ambaye"),
        (C2,  "wa wazuri wekundu  wapya warefu wakubwa wangu  hawa wa  wawili  wote  wenye  ambao"),
        (C3,  "u  mzuri  mwekundu mpya  mrefu  mkubwa  wangu  huu  wa  -       wote  wenye  ambao"),
        (C4,  "i  mizuri myekundu mipya mirefu mikubwa yangu  hii  ya  miwili  yote  yenye  ambayo"),
        (C5,  "li zuri   jekundu  jipya refu   kubwa   langu  hili la  -       lote  lenye  ambalo"),
        (C6,  "ya mazuri mekundu  mapya marefu makubwa yangu  haya ya  mawili  yote  yenye  ambayo"),
        (C7,  "ki kizuri chekundu kipya kirefu kikubwa changu hiki cha -       chote chenye ambacho"),
        (C8,  "vi vizuri vyekundu vipya virefu vikubwa vyangu hivi vya viwili  vyote vyenye ambavyo"),
        (C9,  "i  nzuri  nyekundu mpya  ndefu  kubwa   yangu  hii  ya  -       yote  yenye  ambayo"),
        (C10, "zi nzuri  nyekundu mpya  ndefu  kubwa   zangu  hizi za  mbili   zote  zenye  ambazo"),
        (C11, "u  mzuri  mwekundu mpya  mrefu  mkubwa  wangu  huu  wa  -       wote  wenye  ambao"),
        (C15, "ku kuzuri kwekundu kupya kurefu kukubwa kwangu huku kwa -       kote  kwenye ambako"),
        (C16, "pa pazuri pekundu  papya parefu pakubwa pangu  hapa pa  pawili  pote  penye  ambapo"),
        (C17, "ku kuzuri kwekundu kupya kurefu kukubwa kwangu huku kwa -       kote  kwenye ambako"),
        (C18, "m  mzuri  mwekundu mpya  mrefu  mkubwa  mwangu humu mwa -       mote  mwenye ambamo"),
    ];

    #[test]
    fn every_class_has_its_concords() {
        for (class, row) in EXPECTED {
            let expected: Vec<&str> = row.split_whitespace().collect();
            let concord = class.concord();
            let two = if expected[9] == "-" { "-".to_owned() } else { class.numeral(2) };
            let given = [
                concord.subject.to_owned(),
                class.adjective("zuri"),
                class.adjective("ekundu"),
                class.adjective("pya"),
                class.adjective("refu"),
                class.adjective("kubwa"),
                class.possessive("angu"),
                concord.this.to_owned(),
                class.of(),
                two,
                concord.all.to_owned(),
                concord.having.to_owned(),
                class.which(),
            ];
            assert_eq!(given.as_slice(), expected.as_slice(), "{class:?}");
        }
    }

    /// object, yonder, -ake, relative, -ingi, -embamba, -angalifu
    #[rustfmt::skip]
    const REST: [(Class, &str); 15] = [
        (C1,  "m  yule  wake  ye  mwingi  mwembamba  mwangalifu"),
        (C2,  "wa wale  wake  o   wengi   wembamba   waangalifu"),
        (C3,  "u  ule   wake  o   mwingi  mwembamba  mwangalifu"),
        (C4,  "i  ile   yake  yo  mingi   myembamba  miangalifu"),
        (C5,  "li lile  lake  lo  jingi   jembamba   jangalifu"),
        (C6,  "ya yale  yake  yo  mengi   membamba   maangalifu"),
        (C7,  "ki kile  chake cho kingi   chembamba  changalifu"),
        (C8,  "vi vile  vyake vyo vingi   vyembamba  vyangalifu"),
        (C9,  "i  ile   yake  yo  nyingi  nyembamba  nyangalifu"),
        (C10, "zi zile  zake  zo  nyingi  nyembamba  nyangalifu"),
        (C11, "u  ule   wake  o   mwingi  mwembamba  mwangalifu"),
        (C15, "ku kule  kwake ko  kwingi  kwembamba  kwangalifu"),
        (C16, "pa pale  pake  po  pengi   pembamba   paangalifu"),
        (C17, "ku kule  kwake ko  kwingi  kwembamba  kwangalifu"),
        (C18, "m  mle   mwake mo  mwingi  mwembamba  mwangalifu"),
    ];

    #[test]
    fn every_class_has_its_markers() {
        for (class, row) in REST {
            let concord = class.concord();
            let given = [
                concord.object.to_owned(),
                concord.yonder.to_owned(),
                class.possessive("ake"),
                concord.relative.to_owned(),
                class.adjective("ingi"),
                class.adjective("embamba"),
                class.adjective("angalifu"),
            ];
            assert_eq!(given.join(" "), row.split_whitespace().collect::<Vec<_>>().join(" "), "{class:?}");
        }
    }

    #[test]
    fn vowel_stems_merge_with_the_prefix() {
        let many: Vec<String> = [C1, C2, C4, C5, C6, C7, C8, C10, C16].map(|class| class.adjective("ingi")).to_vec();
        assert_eq!(many, ["mwingi", "wengi", "mingi", "jingi", "mengi", "kingi", "vingi", "nyingi", "pengi"]);
        let clever: Vec<String> = [C1, C2, C5, C6].map(|class| class.adjective("erevu")).to_vec();
        assert_eq!(clever, ["mwerevu", "werevu", "jerevu", "merevu"]);
        assert_eq!([C1, C2].map(|class| class.adjective("aminifu")), ["mwaminifu", "waaminifu"]);
        assert_eq!([C9, C7, C6].map(|class| class.adjective("ema")), ["njema", "chema", "mema"]);
    }

    #[test]
    fn the_nasal_prefix_follows_the_consonant() {
        for (stem, expected) in [
            ("baya", "mbaya"),
            ("vivu", "mvivu"),
            ("dogo", "ndogo"),
            ("gumu", "ngumu"),
            ("zito", "nzito"),
            ("fupi", "fupi"),
            ("chafu", "chafu"),
            ("tamu", "tamu"),
            ("nene", "nene"),
            ("eupe", "nyeupe"),
            ("refu", "ndefu"),
            ("wili", "mbili"),
            ("pya", "mpya"),
            ("pana", "pana"),
            ("kubwa", "kubwa"),
            ("jinga", "njinga"),
            ("epesi", "nyepesi"),
            ("ororo", "nyororo"),
        ] {
            assert_eq!(C9.adjective(stem), expected);
        }
    }

    #[test]
    fn numerals_agree_or_do_not() {
        assert_eq!(
            (2..=10).map(|n| C2.numeral(n)).collect::<Vec<_>>(),
            ["wawili", "watatu", "wanne", "watano", "sita", "saba", "wanane", "tisa", "kumi"]
        );
        assert_eq!([C2, C4, C6, C8, C10].map(|c| c.numeral(2)), ["wawili", "miwili", "mawili", "viwili", "mbili"]);
        assert_eq!([C2, C4, C6, C8, C10].map(|c| c.numeral(3)), ["watatu", "mitatu", "matatu", "vitatu", "tatu"]);
        assert_eq!([C2, C4, C6, C8, C10].map(|c| c.numeral(5)), ["watano", "mitano", "matano", "vitano", "tano"]);
        let seven = |class: Class| class.numeral(7);
        assert_eq!([C2, C4, C6, C8, C10].map(seven), ["saba"; 5]);
        assert_eq!([C2, C4, C6, C8, C10].map(|c| c.numeral(8)), ["wanane", "minane", "manane", "vinane", "nane"]);
        assert_eq!([C2, C4, C6, C8, C10].map(|c| c.numeral(4)), ["wanne", "minne", "manne", "vinne", "nne"]);
        assert_eq!([C1, C3, C5, C7, C9].map(|c| c.numeral(1)), ["mmoja", "mmoja", "moja", "kimoja", "moja"]);
    }
}
