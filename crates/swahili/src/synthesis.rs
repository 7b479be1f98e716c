//! Training pairs and a retrieval set for evaluation, both functions of a seed. They share no scene
//! and no text.

use std::collections::HashSet;

use crate::random::{Choices, hash};
use crate::scene::{Scene, Split};
use maana_files::mix;

/// A short sentence that follows from a longer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Statement that follows from the anchor.
    pub positive: String,
    /// A scene in one or two sentences.
    pub anchor: String,
}

/// A text with its name: "q0", "q1", … for queries, "d0", "d1", … for documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Unique within its kind.
    pub id: String,
    /// One or two sentences, unique within its kind.
    pub text: String,
}

/// Queries, documents, and which document answers which query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retrieval {
    /// Short statements.
    pub queries: Vec<Document>,
    /// For each query the scene that it follows from, scenes that differ from that one in one fact,
    /// and unrelated ones.
    pub corpus: Vec<Document>,
    /// Pairs of query id and document id, in the order of the queries.
    pub relevant: Vec<(String, String)>,
}

/// Numbers of texts to generate, and the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthesis {
    /// Number of training pairs.
    pub pairs: usize,
    /// Number of retrieval queries.
    pub queries: usize,
    /// Seed; the same seed gives the same texts on every machine.
    pub seed: u64,
}

/// Number of scenes with one changed fact per relevant scene.
const DISTRACTORS: std::ops::RangeInclusive<usize> = 3..=4;
/// Minimum number of words of a scene.
const MIN_SCENE_WORDS: usize = 5;
/// Minimum number of words of a statement.
const MIN_STATEMENT_WORDS: usize = 3;
/// Minimum number of words of a query: shorter statements follow from too many scenes.
const MIN_QUERY_WORDS: usize = 4;

impl Synthesis {
    /// Generates the training pairs. No text occurs twice. A pair depends only on the seed and on
    /// earlier pairs, so a smaller number gives a prefix of a larger one.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> + use<> {
        let stream = mix(self.seed ^ hash("pairs"));
        let mut told = HashSet::<u64>::new();
        (0..self.pairs as u64).map(move |index| {
            drafts(Choices::new(stream, index))
                .find(|pair| {
                    let texts = [&pair.positive, &pair.anchor].map(|text| hash(text));
                    let fresh = texts.iter().all(|text| !told.contains(text));
                    if fresh {
                        told.extend(texts);
                    }
                    fresh
                })
                .expect("there is always something new to tell")
        })
    }

    /// The retrieval set: every query has one relevant document and at least three that differ from
    /// it in one fact. Each query is held against each document, so that it follows from none but
    /// its own by the way it was concluded; a thousand queries take some seconds.
    pub fn retrieval(&self) -> Retrieval {
        let stream = mix(self.seed ^ hash("retrieval"));
        let mut cases: Vec<Case> = Vec::with_capacity(self.queries);
        let mut seen = HashSet::new();
        let drawn = (0..).filter_map(|index| Case::draw(Choices::new(stream, index)));
        for case in drawn {
            if cases.len() == self.queries {
                break;
            }
            let fresh = case.texts().all(|text| !seen.contains(text));
            let apart = |other: &Case| {
                !other.tellings().any(|telling| case.follows_from(&telling.scene))
                    && !case.tellings().any(|telling| other.follows_from(&telling.scene))
            };
            if fresh && cases.iter().all(apart) {
                seen.extend(case.texts().cloned());
                cases.push(case);
            }
        }
        let unrelated: Vec<String> = (0..)
            .map(|index| {
                let choices = Choices::new(mix(stream), index);
                Telling::new(Scene::draw(choices, Split::Dev), choices.part("description"))
            })
            .filter(|telling| !cases.iter().any(|case| case.follows_from(&telling.scene)))
            .filter(|telling| seen.insert(telling.text.clone()))
            .map(|telling| telling.text)
            .take(self.queries)
            .collect();
        // Texts with the number of the query that they answer.
        let mut documents: Vec<(String, Option<usize>)> = unrelated.into_iter().map(|text| (text, None)).collect();
        let mut statements: Vec<String> = Vec::with_capacity(self.queries);
        for (number, case) in cases.into_iter().enumerate() {
            documents.push((case.relevant.text, Some(number)));
            documents.extend(case.distractors.into_iter().map(|telling| (telling.text, None)));
            statements.push(case.statement);
        }
        // The place of a document must not tell whether it is relevant.
        documents.sort_by_key(|(text, _)| (mix(stream ^ hash(text)), text.clone()));

        let id = |kind: &str, number: usize| format!("{kind}{number}");
        let mut relevant: Vec<(usize, usize)> =
            documents.iter().enumerate().filter_map(|(place, (_, query))| query.map(|query| (query, place))).collect();
        relevant.sort_unstable();
        let document = |kind: &str, (number, text): (usize, String)| Document { id: id(kind, number), text };
        Retrieval {
            queries: statements.into_iter().enumerate().map(|numbered| document("q", numbered)).collect(),
            corpus: documents
                .into_iter()
                .map(|(text, _)| text)
                .enumerate()
                .map(|numbered| document("d", numbered))
                .collect(),
            relevant: relevant.into_iter().map(|(query, place)| (id("q", query), id("d", place))).collect(),
        }
    }
}

fn words(text: &str) -> usize {
    text.split(' ').count()
}

/// One pair after another, for the caller to take the first that suits.
fn drafts(choices: Choices) -> impl Iterator<Item = Pair> {
    // A scene of which nothing can be concluded in this split is passed over for the next.
    (0..).map(move |attempt| choices.attempt(attempt)).filter_map(|choices| {
        let scene = Scene::draw(choices.part("scene"), Split::Train);
        let anchor = Some(scene.describe(choices.part("description"))).filter(|text| words(text) >= MIN_SCENE_WORDS)?;
        let (positive, _) = conclusion(&scene, &anchor, choices, Split::Train)?;
        Some(Pair { positive, anchor })
    })
}

/// A conclusion other than the `description` itself whose very text belongs to the split, with the
/// choices that led to it, if one is found.
fn conclusion(scene: &Scene, description: &str, choices: Choices, split: Split) -> Option<(String, Choices)> {
    (0..)
        .map(|attempt| choices.part("conclusion").attempt(attempt))
        .map(|choices| (scene.conclude(choices), choices))
        .take(200)
        .find(|(text, _)| Split::of(text) == split && text != description && words(text) >= MIN_STATEMENT_WORDS)
}

/// A scene with its wording.
struct Telling {
    scene: Scene,
    text: String,
}

impl Telling {
    fn new(scene: Scene, choices: Choices) -> Self {
        Self { text: scene.describe(choices), scene }
    }
}

/// A query with its relevant document and its distractors.
struct Case {
    statement: String,
    /// The choices by which the statement follows from the relevant scene.
    concluded: Choices,
    relevant: Telling,
    distractors: Vec<Telling>,
}

impl Case {
    /// A case, unless the statement is too short or too few changes of the scene make it untrue.
    fn draw(choices: Choices) -> Option<Self> {
        let scene = Scene::draw(choices.part("scene"), Split::Dev);
        let said = choices.part("description");
        let relevant = Telling::new(scene, said);
        let scene = &relevant.scene;
        let (statement, concluded) = conclusion(scene, &relevant.text, choices, Split::Dev)?;
        if words(&statement) < MIN_QUERY_WORDS || words(&relevant.text) < MIN_SCENE_WORDS {
            return None;
        }
        let mut distractors: Vec<Telling> = Vec::new();
        // Each fact in turn, so that a case has changes of many kinds; then again with other
        // values.
        for round in 0..6 {
            for step in 0..scene.facets() {
                let facet = (step + choices.below("first facet", scene.facets())) % scene.facets();
                let changed = scene.changed(facet, choices.attempt(round).part("change").attempt(facet as u64));
                // The statement is lost exactly where the same way of concluding leads elsewhere.
                if changed.split() != Split::Dev || changed.conclude(concluded) == statement {
                    continue;
                }
                let changed = Telling::new(changed, said);
                let mut told = std::iter::once(&relevant).chain(&distractors);
                if told.all(|other| other.text != changed.text) && distractors.len() < *DISTRACTORS.end() {
                    distractors.push(changed);
                }
            }
        }
        (distractors.len() >= *DISTRACTORS.start()).then_some(Self { statement, concluded, relevant, distractors })
    }

    fn tellings(&self) -> impl Iterator<Item = &Telling> {
        std::iter::once(&self.relevant).chain(&self.distractors)
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        self.tellings().map(|telling| &telling.text).chain([&self.statement])
    }

    /// Returns `true` if the same choices lead from another scene to the same statement.
    fn follows_from(&self, scene: &Scene) -> bool {
        self.relevant.scene.is_of_genre(scene) && scene.conclude(self.concluded) == self.statement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(count: usize) -> Vec<Case> {
        (0..).filter_map(|index| Case::draw(Choices::new(11, index))).take(count).collect()
    }

    #[test]
    fn a_statement_follows_from_its_scene_and_from_no_distractor() {
        for case in cases(500) {
            assert!(case.follows_from(&case.relevant.scene), "{}", case.statement);
            assert!(case.distractors.len() >= *DISTRACTORS.start());
            for distractor in &case.distractors {
                assert!(!case.follows_from(&distractor.scene), "{} follows from {}", case.statement, distractor.text);
                assert_ne!(distractor.text, case.relevant.text);
            }
        }
    }

    #[test]
    fn all_that_is_judged_belongs_to_the_split_that_is_not_trained_on() {
        for case in cases(300) {
            assert_eq!(Split::of(&case.statement), Split::Dev);
            assert!(case.tellings().all(|telling| telling.scene.split() == Split::Dev), "{}", case.statement);
        }
    }

    #[test]
    fn statements_of_every_length_and_distractors_of_many_kinds() {
        let cases = cases(500);
        // Negation is one way among several to make a statement untrue.
        let denies = |text: &str| text.split(' ').any(|word| word.starts_with("ha") || word.starts_with("Ha"));
        let [denied, all] = [true, false].map(|denied| {
            let distractors = cases.iter().flat_map(|case| &case.distractors);
            distractors.filter(|telling| !denied || denies(&telling.text)).count()
        });
        assert!((all / 20..all / 2).contains(&denied), "{denied} of {all} distractors deny");
        let lengths: HashSet<usize> = cases.iter().map(|case| words(&case.statement)).collect();
        assert!((MIN_QUERY_WORDS..10).all(|length| lengths.contains(&length)), "{lengths:?}");
    }
}
