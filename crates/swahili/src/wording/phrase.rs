//! Phrases: nouns with what agrees with them, verbs of one or more words, numbers, and the final sentence.

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

/// A quality as it stands after a noun of the class: mkubwa, safi, cha kijani, mwenye bidii.
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

/// Noun, adjective, numeral, and what follows with "of" or "having": vitenge vyekundu viwili vya pamba.
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

/// Another word for the participant: the same one, a synonym, or a wider word where `widen` allows it.
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

/// The marker that the verb carries for its object: people are marked, things are with a few verbs only.
pub(super) fn object_marker(verb: &Verb, object: Option<&Participant>) -> Option<Class> {
    object.filter(|object| verb.marked || object.noun.is(Kind::Person)).map(Participant::agreement)
}

/// "There is", in the tense of what is told.
pub(super) fn there_is(tense: Tense) -> &'static str {
    match tense {
        Tense::Past => "kulikuwa na",
        Tense::Future => "kutakuwa na",
        _ => "kuna",
    }
}
