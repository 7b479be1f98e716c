//! The shapes of a Swahili verb: subject, tense, object marker, relative and stem in one word.
//! A stem comes from the lexicon with its final vowel; what it means is not known here.

use crate::noun_class::{Class, is_monosyllabic};

/// Who does it: a speaker, a listener, or something with a noun class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    I,
    You,
    We,
    Third(Class),
}

/// When and how it is done, as the verb says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tense {
    /// -na-
    Present,
    /// -li-
    Past,
    /// -me-
    Perfect,
    /// -ta-
    Future,
    /// hu-
    Habitual,
    /// -ki-: while doing.
    While,
    /// -ka-: and then did.
    Then,
    /// -e: that one do.
    Subjunctive,
}

impl Subject {
    fn prefix(self) -> &'static str {
        match self {
            Subject::I => "ni",
            Subject::You => "u",
            Subject::We => "tu",
            Subject::Third(class) => class.concord().subject,
        }
    }

    fn negative_prefix(self) -> String {
        match self {
            Subject::I => "si".to_owned(),
            Subject::Third(Class::C1) => "ha".to_owned(),
            Subject::You => "hu".to_owned(),
            _ => format!("ha{}", self.prefix()),
        }
    }

    /// "Is at": yuko, wako, kiko, niko.
    pub(crate) fn is_at(self) -> String {
        match self {
            Subject::Third(Class::C1) => "yuko".to_owned(),
            _ => format!("{}ko", self.prefix()),
        }
    }

    /// "Has": ana, wana, nina.
    pub(crate) fn has(self) -> String {
        format!("{}na", self.prefix())
    }
}

/// The finite verb: "anauza", "hawakuuza", "atamsaidia".
///
/// A negative `While` or `Then` has no form of its own in these tables, so it is said in the past.
pub(crate) fn conjugate(stem: &str, subject: Subject, tense: Tense, negative: bool, object: Option<Class>) -> String {
    let body = with_object(stem, object);
    let propped = propped(stem, object);
    if negative {
        let prefix = subject.negative_prefix();
        return match tense {
            Tense::Present | Tense::Habitual => format!("{prefix}{}", ending(&body, 'i')),
            Tense::Past | Tense::While | Tense::Then => format!("{prefix}{}", infinitive(stem, object)),
            Tense::Perfect => format!("{prefix}ja{body}"),
            Tense::Future => format!("{prefix}ta{propped}"),
            Tense::Subjunctive => format!("{}si{}", subject.prefix(), ending(&body, 'e')),
        };
    }
    let prefix = subject.prefix();
    match tense {
        Tense::Present => format!("{prefix}na{propped}"),
        Tense::Past => format!("{prefix}li{propped}"),
        Tense::Perfect => format!("{prefix}me{propped}"),
        Tense::Future => format!("{prefix}ta{propped}"),
        Tense::Habitual => format!("hu{body}"),
        Tense::While => format!("{prefix}ki{body}"),
        Tense::Then => format!("{prefix}ka{body}"),
        Tense::Subjunctive => format!("{prefix}{}", ending(&body, 'e')),
    }
}

/// "Who does": anayeuza, waliojenga, kitakachouzwa, asiyeuza. The tense may be present, past (also
/// for perfect) or future.
pub(crate) fn relative(stem: &str, class: Class, tense: Tense, negative: bool, object: Option<Class>) -> String {
    let concord = class.concord();
    let propped = propped(stem, object);
    let mark = match tense {
        _ if negative => "si",
        Tense::Past | Tense::Perfect => "li",
        Tense::Future => "taka",
        _ => "na",
    };
    format!("{}{mark}{}{propped}", concord.subject, concord.relative)
}

/// "To do": kuuza, kula, kwenda, kumsaidia.
pub(crate) fn infinitive(stem: &str, object: Option<Class>) -> String {
    if stem == "enda" { "kwenda".to_owned() } else { format!("ku{}", with_object(stem, object)) }
}

/// Returns the stem after tenses that cannot carry the stress: a short one, and -enda by
/// convention, takes ku- unless it has an object marker.
fn propped(stem: &str, object: Option<Class>) -> String {
    let leans = (is_monosyllabic(stem) || stem == "enda") && object.is_none();
    if leans { infinitive(stem, None) } else { with_object(stem, object) }
}

fn with_object(stem: &str, object: Option<Class>) -> String {
    match object {
        None => stem.to_owned(),
        Some(Class::C1) if b"aeiou".contains(&stem.as_bytes()[0]) => format!("mw{stem}"),
        Some(class) => format!("{}{stem}", class.concord().object),
    }
}

/// The stem with its final a replaced; borrowed stems in -i, -u, -e keep their vowel.
fn ending(stem: &str, vowel: char) -> String {
    match stem.strip_suffix('a') {
        Some(root) => format!("{root}{vowel}"),
        None => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Class::*;
    use super::*;

    fn third(class: Class) -> Subject {
        Subject::Third(class)
    }

    #[test]
    fn tenses_by_class_affirmative_and_negative() {
        use Tense::*;
        #[rustfmt::skip]
        let table = [
            (third(C1), "uza", Present, "anauza", "hauzi"),
            (third(C2), "uza", Present, "wanauza", "hawauzi"),
            (third(C7), "uzwa", Present, "kinauzwa", "hakiuzwi"),
            (third(C8), "uzwa", Past, "viliuzwa", "havikuuzwa"),
            (third(C6), "nunuliwa", Perfect, "yamenunuliwa", "hayajanunuliwa"),
            (third(C5), "jengwa", Future, "litajengwa", "halitajengwa"),
            (third(C9), "pikwa", Past, "ilipikwa", "haikupikwa"),
            (third(C10), "safishwa", Perfect, "zimesafishwa", "hazijasafishwa"),
            (third(C3), "pandwa", Past, "ulipandwa", "haukupandwa"),
            (third(C4), "katwa", Future, "itakatwa", "haitakatwa"),
            (third(C16), "uzwa", Present, "panauzwa", "hapauzwi"),
            (third(C1), "safiri", Present, "anasafiri", "hasafiri"),
            (third(C1), "safiri", Subjunctive, "asafiri", "asisafiri"),
            (third(C1), "soma", Habitual, "husoma", "hasomi"),
            (third(C2), "soma", Subjunctive, "wasome", "wasisome"),
            (third(C1), "soma", Then, "akasoma", "hakusoma"),
            (third(C1), "soma", While, "akisoma", "hakusoma"),
            (Subject::I, "nunua", Present, "ninanunua", "sinunui"),
            (Subject::I, "nunua", Past, "nilinunua", "sikununua"),
            (Subject::We, "nunua", Perfect, "tumenunua", "hatujanunua"),
            (Subject::You, "nunua", Future, "utanunua", "hutanunua"),
        ];
        for (subject, stem, tense, yes, no) in table {
            assert_eq!(conjugate(stem, subject, tense, false, None), yes);
            assert_eq!(conjugate(stem, subject, tense, true, None), no);
        }
    }

    #[test]
    fn short_stems_keep_ku_where_it_carries_the_stress() {
        use Tense::*;
        #[rustfmt::skip]
        let table = [
            ("la", Present, "anakula", "hali"), ("la", Past, "alikula", "hakula"), ("la", Perfect, "amekula", "hajala"),
            ("la", Future, "atakula", "hatakula"), ("la", While, "akila", "hakula"), ("la", Habitual, "hula", "hali"),
            ("la", Subjunctive, "ale", "asile"), ("la", Then, "akala", "hakula"),
            ("nywa", Present, "anakunywa", "hanywi"), ("nywa", Perfect, "amekunywa", "hajanywa"),
            ("wa", Past, "alikuwa", "hakuwa"), ("wa", Future, "atakuwa", "hatakuwa"), ("wa", While, "akiwa", "hakuwa"),
            ("liwa", Past, "aliliwa", "hakuliwa"),
            ("ja", Present, "anakuja", "haji"), ("ja", Past, "alikuja", "hakuja"), ("ja", Perfect, "amekuja", "hajaja"),
            ("ja", Subjunctive, "aje", "asije"), ("fa", Past, "alikufa", "hakufa"), ("fa", Then, "akafa", "hakufa"),
            ("enda", Present, "anakwenda", "haendi"), ("enda", Past, "alikwenda", "hakwenda"),
            ("enda", Perfect, "amekwenda", "hajaenda"), ("enda", Future, "atakwenda", "hatakwenda"),
            ("enda", While, "akienda", "hakwenda"), ("enda", Then, "akaenda", "hakwenda"),
            ("enda", Subjunctive, "aende", "asiende"),
        ];
        for (stem, tense, yes, no) in table {
            assert_eq!(conjugate(stem, third(C1), tense, false, None), yes);
            assert_eq!(conjugate(stem, third(C1), tense, true, None), no);
        }
        assert_eq!(conjugate("la", third(C1), Present, false, Some(C5)), "analila");
        assert_eq!(relative("la", C1, Present, false, None), "anayekula");
        assert_eq!(infinitive("la", None), "kula");
    }

    #[test]
    fn objects_stand_before_the_stem() {
        assert_eq!(conjugate("saidia", third(C1), Tense::Present, false, Some(C1)), "anamsaidia");
        assert_eq!(conjugate("ogesha", third(C1), Tense::Past, false, Some(C1)), "alimwogesha");
        assert_eq!(conjugate("tibu", third(C2), Tense::Present, true, Some(C2)), "hawawatibu");
        assert_eq!(conjugate("uza", third(C1), Tense::While, false, Some(C6)), "akiyauza");
        assert_eq!(conjugate("pa", third(C1), Tense::Past, false, Some(C1)), "alimpa");
        assert_eq!(conjugate("ambia", third(C1), Tense::Perfect, true, Some(C2)), "hajawaambia");
        assert_eq!(conjugate("ona", Subject::You, Tense::Perfect, false, Some(C1)), "umemwona");
        assert_eq!(conjugate("ona", Subject::I, Tense::Past, false, Some(C2)), "niliwaona");
        assert_eq!(conjugate("eleza", third(C1), Tense::Subjunctive, false, Some(C1)), "amweleze");
        assert_eq!(infinitive("hudumia", Some(C1)), "kumhudumia");
        assert_eq!(infinitive("enda", None), "kwenda");
    }

    #[test]
    fn relatives_agree_twice() {
        let past = |stem, class| relative(stem, class, Tense::Past, false, None);
        assert_eq!(past("vaa", C1), "aliyevaa");
        assert_eq!(past("vaa", C2), "waliovaa");
        assert_eq!(past("jaa", C7), "kilichojaa");
        assert_eq!(past("pandwa", C3), "uliopandwa");
        assert_eq!(past("jengwa", C5), "lililojengwa");
        assert_eq!(relative("uzwa", C6, Tense::Present, false, None), "yanayouzwa");
        assert_eq!(relative("uzwa", C10, Tense::Future, false, None), "zitakazouzwa");
        assert_eq!(relative("soma", C1, Tense::Present, true, None), "asiyesoma");
        assert_eq!(relative("enda", C2, Tense::Past, false, None), "waliokwenda");
        assert_eq!(relative("enda", C1, Tense::Future, false, None), "atakayekwenda");
        assert_eq!(relative("la", C9, Tense::Past, false, None), "iliyokula");
        assert_eq!(relative("safiri", C11, Tense::Future, false, None), "utakaosafiri");
        assert_eq!(relative("saidia", C1, Tense::Past, false, Some(C2)), "aliyewasaidia");
    }

    #[test]
    fn being_somewhere_and_having() {
        assert_eq!([C1, C2, C7, C9].map(|class| third(class).is_at()), ["yuko", "wako", "kiko", "iko"]);
        assert_eq!(Subject::I.has(), "nina");
    }
}
