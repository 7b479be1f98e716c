//! Phrases: nouns with what agrees with them, verbs of one or more words, numbers, and the final
//! sentence.

use crate::lexicon::{Form, Kind, Quality, Verb, lexicon};
use crate::noun_class::Class;
use crate::random::Choices;
use crate::scene::Participant;
use crate::verb::{Subject, Tense, conjugate, infinitive, relative};

/// The words that are not empty, with spaces between.
pub(super) fn join(words: &[&str]) -> String {
    words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

/// A sentence: a capital first, a full stop last unless it ends already.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// Returns a quality in agreement with a noun of the class: mkubwa, safi, cha kijani, mwenye bidii.
pub(super) fn qualify(quality: &Quality, class: Class) -> String {
    match quality.form {
        Form::Stem => class.adjective(quality.word),
        Form::Fixed => quality.word.to_owned(),
        Form::Of => format!("{}{}", class.concord().connective, quality.word),
        Form::Having => format!("{} {}", class.concord().having, quality.word),
    }
}

/// A quality as a predicate: ni mkubwa, ni safi, ni cha kijani, ana bidii.
pub(super) fn predicate(quality: &Quality, class: Class) -> String {
    match quality.form {
        Form::Having => format!("{} {}", Subject::Third(class).has(), quality.word),
        _ => format!("ni {}", qualify(quality, class)),
    }
}

/// Noun, adjective, numeral, and what follows with "of" or "having": vitenge vyekundu viwili vya
/// pamba.
pub(super) fn noun_phrase(participant: &Participant) -> String {
    let class = participant.agreement();
    let quality = participant.quality.map(|quality| qualify(quality, class)).unwrap_or_default();
    let count = participant.count.map(|count| class.numeral(count)).unwrap_or_default();
    let word = participant.noun.form(participant.number);
    match participant.quality {
        Some(quality_of) if matches!(quality_of.form, Form::Of | Form::Having) => join(&[word, &count, &quality]),
        _ => join(&[word, &quality, &count]),
    }
}

/// Another word for the participant: the same one, a synonym, or a wider word where `widen` allows
/// it.
pub(super) fn rename(participant: &Participant, choices: Choices, widen: bool) -> Participant {
    let words = lexicon();
    let synonym = words.synonym(participant.noun).filter(|_| choices.chance("synonym", 50));
    let wider = words.hypernym(participant.noun).filter(|_| widen && choices.chance("wider", 38));
    match wider.or(synonym) {
        // "Maandishi matatu" is not said of three books, nor is a number put behind a phrase.
        Some(noun) if noun.is_mass() || noun.singular.contains(' ') => participant.called(noun).plain(),
        Some(noun) => participant.called(noun),
        None => *participant,
    }
}

/// A verb phrase whose first word is bent by `bend`: "paka rangi" becomes "anapaka rangi".
fn bend(stem: &str, bend: impl Fn(&str) -> String) -> String {
    match stem.split_once(' ') {
        Some((first, rest)) => format!("{} {rest}", bend(first)),
        None => bend(stem),
    }
}

/// The finite verb phrase.
pub(super) fn finite(stem: &str, subject: Subject, tense: Tense, negative: bool, object: Option<Class>) -> String {
    bend(stem, |word| conjugate(word, subject, tense, negative, object))
}

/// The verb phrase as a relative clause: anayeuza.
pub(super) fn who(stem: &str, class: Class, tense: Tense, negative: bool, object: Option<Class>) -> String {
    bend(stem, |word| relative(word, class, tense, negative, object))
}

/// The verb phrase as an infinitive: kuuza.
pub(super) fn to_do(stem: &str, object: Option<Class>) -> String {
    bend(stem, |word| infinitive(word, object))
}

/// The marker that the verb carries for its object: people are marked, things are with a few verbs
/// only.
pub(super) fn object_marker(verb: &Verb, object: Option<&Participant>) -> Option<Class> {
    object.filter(|object| verb.marked || object.noun.is(Kind::Person)).map(Participant::agreement)
}

/// Returns "there is" in the tense of the scene.
pub(super) fn there_is(tense: Tense) -> &'static str {
    match tense {
        Tense::Past => "kulikuwa na",
        Tense::Future => "kutakuwa na",
        _ => "kuna",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexicon::{COLOURS, Gender, NOUNS, Number, QUALITIES, VERBS};
    use crate::noun_class::Class::*;

    fn participant(noun: &str, number: Number, count: Option<usize>, quality: Option<&str>) -> Participant {
        let quality = quality
            .map(|word| QUALITIES.iter().chain(COLOURS).find(|quality| quality.word == word).expect("a quality"));
        Participant { noun: lexicon().noun(noun), number, count, quality }
    }

    #[test]
    fn noun_phrases_agree() {
        use Number::*;
        #[rustfmt::skip]
        let table = [
            (participant("kitenge", Plural, Some(2), Some("ekundu")), "vitenge vyekundu viwili"),
            (participant("kitenge", Plural, Some(2), Some("a pamba")), "vitenge viwili vya pamba"),
            (participant("kofia", Plural, Some(8), Some("mistari myeupe")), "kofia nane zenye mistari myeupe"),
            (participant("ng'ombe", Plural, Some(3), Some("eusi")), "ng'ombe weusi watatu"),
            (participant("gari", Singular, None, Some("pya")), "gari jipya"),
            (participant("wavu", Plural, None, Some("refu")), "nyavu ndefu"),
            (participant("mwanamke", Plural, Some(4), Some("bidii")), "wanawake wanne wenye bidii"),
            (participant("daktari", Plural, Some(5), Some("hodari")), "madaktari hodari watano"),
            (participant("kuni", Singular, None, Some("kavu")), "kuni kavu"),
            (participant("chungwa", Plural, Some(10), Some("tamu")), "machungwa matamu kumi"),
            (participant("kinyonga", Plural, Some(2), None), "vinyonga wawili"),
        ];
        for (participant, expected) in table {
            assert_eq!(noun_phrase(&participant), expected);
        }
    }

    #[test]
    fn every_noun_counts_in_its_own_class() {
        for noun in NOUNS.iter().filter(|noun| !noun.is_mass()) {
            let two = match noun.gender {
                _ if noun.is_alive() => "wawili",
                Gender::MMi => "miwili",
                Gender::JiMa => "mawili",
                Gender::KiVi => "viwili",
                Gender::N | Gender::UN => "mbili",
                gender => panic!("{} of gender {gender:?} is not counted", noun.singular),
            };
            let counted = Participant { noun, number: Number::Plural, count: Some(2), quality: None };
            assert_eq!(noun_phrase(&counted), format!("{} {two}", noun.plural));
        }
    }

    #[test]
    fn predicates_are_copulas_or_have() {
        let quality = |word: &str| QUALITIES.iter().find(|quality| quality.word == word).expect("a quality");
        assert_eq!(predicate(quality("refu"), C1), "ni mrefu");
        assert_eq!(predicate(quality("bidii"), C2), "wana bidii");
        assert_eq!(predicate(quality("a mbao"), C8), "ni vya mbao");
    }

    #[test]
    fn only_the_first_word_of_a_verb_phrase_bends() {
        let third = Subject::Third;
        assert_eq!(finite("paka rangi", third(C1), Tense::Past, false, None), "alipaka rangi");
        assert_eq!(finite("wa na haraka", third(C2), Tense::Perfect, true, None), "hawajawa na haraka");
        assert_eq!(who("piga pasi", C2, Tense::Present, false, None), "wanaopiga pasi");
        assert_eq!(to_do("suka nywele", Some(C1)), "kumsuka nywele");
    }

    #[test]
    fn people_are_marked_in_the_verb_and_things_are_not() {
        let verb = |stem: &str| VERBS.iter().find(|verb| verb.stem == stem).expect("a verb");
        let [child, goats, book] =
            [("mtoto", Number::Singular), ("mbuzi", Number::Plural), ("kitabu", Number::Singular)]
                .map(|(noun, number)| participant(noun, number, None, None));
        assert_eq!(object_marker(verb("tibu"), Some(&child)), Some(C1));
        assert_eq!(object_marker(verb("chunga"), Some(&goats)), None);
        assert_eq!(object_marker(verb("kimbiza"), Some(&goats)), Some(C2));
        assert_eq!(object_marker(verb("soma"), Some(&book)), None);
        assert_eq!(object_marker(verb("soma"), None), None);
    }

    #[test]
    fn a_wider_word_drops_the_number_that_it_cannot_bear() {
        let books = participant("kitabu", Number::Plural, Some(3), Some("pya"));
        let named = |seed| noun_phrase(&rename(&books, Choices::new(1, seed), true));
        let names: std::collections::HashSet<String> = (0..200).map(named).collect();
        assert_eq!(names, ["vitabu vipya vitatu", "maandishi"].map(str::to_owned).into());
    }

    #[test]
    fn sentences_begin_with_a_capital_and_end_with_a_stop() {
        assert_eq!(sentence("mama anapika"), "Mama anapika.");
        assert_eq!(sentence("je, unajua?"), "Je, unajua?");
        assert_eq!(join(&["", "mama", "", "anapika"]), "mama anapika");
    }
}
