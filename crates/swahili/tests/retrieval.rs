//! The retrieval set as a whole: named, complete, strange to the training pairs, and hard.

use maana_swahili::{Retrieval, Synthesis};
use std::collections::{HashMap, HashSet};

const QUERIES: usize = 200;

fn retrieval(seed: u64) -> Retrieval {
    Synthesis { pairs: 0, queries: QUERIES, seed }.retrieval()
}

fn words(text: &str) -> HashSet<String> {
    text.split(' ').map(|word| word.trim_matches(['.', ',', '?']).to_lowercase()).collect()
}

/// The share of words that two texts have in common.
fn overlap(one: &HashSet<String>, other: &HashSet<String>) -> f64 {
    one.intersection(other).count() as f64 / one.union(other).count() as f64
}

#[test]
fn the_same_seed_gives_the_same_set() {
    assert_eq!(retrieval(42), retrieval(42));
    assert_ne!(retrieval(42).queries, retrieval(43).queries);
}

#[test]
fn every_query_has_one_relevant_document_and_names_are_in_order() {
    let set = retrieval(42);
    assert_eq!((set.queries.len(), set.relevant.len()), (QUERIES, QUERIES));
    // A relevant document, three or four like it, and one unrelated document for each query.
    assert!((5 * QUERIES..=6 * QUERIES).contains(&set.corpus.len()), "{}", set.corpus.len());
    for (number, query) in set.queries.iter().enumerate() {
        assert_eq!(query.id, format!("q{number}"));
        assert_eq!(set.relevant[number].0, query.id);
    }
    for (number, document) in set.corpus.iter().enumerate() {
        assert_eq!(document.id, format!("d{number}"));
    }
    let relevant: HashSet<&str> = set.relevant.iter().map(|(_, document)| document.as_str()).collect();
    assert_eq!(relevant.len(), QUERIES, "no document answers two queries");
    let texts: HashSet<&str> = set.queries.iter().chain(&set.corpus).map(|document| document.text.as_str()).collect();
    assert_eq!(texts.len(), set.queries.len() + set.corpus.len());
}

#[test]
fn the_order_of_the_documents_does_not_tell_which_are_relevant() {
    let set = retrieval(42);
    let place = |id: &str| id[1..].parse::<usize>().expect("a number") as f64 / set.corpus.len() as f64;
    let mean = set.relevant.iter().map(|(_, document)| place(document)).sum::<f64>() / QUERIES as f64;
    assert!((0.4..0.6).contains(&mean), "relevant documents lie at {mean} on average");
}

#[test]
fn nothing_in_the_set_is_in_the_training_pairs() {
    let set = retrieval(42);
    let judged: HashSet<&str> = set.queries.iter().chain(&set.corpus).map(|document| document.text.as_str()).collect();
    for pair in (Synthesis { pairs: 50_000, queries: 0, seed: 42 }).pairs() {
        assert!(!judged.contains(pair.positive.as_str()), "{:?} is trained on", pair.positive);
        assert!(!judged.contains(pair.anchor.as_str()), "{:?} is trained on", pair.anchor);
    }
}

#[test]
fn hard_documents_are_like_the_relevant_one_and_say_something_else() {
    let set = retrieval(42);
    let said: HashMap<&str, HashSet<String>> =
        set.corpus.iter().map(|document| (document.id.as_str(), words(&document.text))).collect();
    let mut alike = 0;
    for (_, relevant) in &set.relevant {
        let own = &said[relevant.as_str()];
        let near = said.iter().filter(|(id, words)| **id != relevant && overlap(own, words) >= 0.5);
        alike += near.clone().count();
        for (id, words) in near {
            assert_ne!(own, words, "{id} says the same as {relevant}");
        }
    }
    assert!(alike >= 3 * QUERIES, "{alike} documents like the relevant ones");
}

#[test]
fn common_words_do_not_find_the_relevant_document() {
    let set = retrieval(42);
    let documents: Vec<(&str, HashSet<String>)> =
        set.corpus.iter().map(|document| (document.id.as_str(), words(&document.text))).collect();
    let mut found = 0;
    for (query, (_, relevant)) in set.queries.iter().zip(&set.relevant) {
        let asked = words(&query.text);
        let best =
            documents.iter().max_by(|(_, one), (_, other)| overlap(&asked, one).total_cmp(&overlap(&asked, other)));
        found += usize::from(best.is_some_and(|(id, _)| id == relevant));
    }
    // By chance among one relevant and some four like it a fifth would be found, in the whole
    // corpus hardly any.
    assert!((QUERIES / 5..QUERIES * 7 / 10).contains(&found), "{found} of {QUERIES} found by common words");
}
