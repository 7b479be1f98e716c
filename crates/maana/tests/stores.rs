//! The contract of stores: a folder and a database give the same ids, bit-identical scores and the
//! same errors. The address of the database is in `MAANA_TEST_POSTGRES`, which
//! `cargo xtask postgres` sets.
#![cfg(feature = "postgres")]

use maana::kernels::{Context, Matrix};
use maana::search::store::{StoreHeader, Stored, Writer};
use maana::search::{Added, Content, Found, SearchError, SearchOptions, StoreLocation, WriteStore};
use maana::vectors::search::Metric;
use maana_postgres::{Header, Store, Target};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const METRICS: [Metric; 4] = [Metric::Cosine, Metric::Dot, Metric::Euclidean, Metric::Manhattan];
const MAKER: (&[u8], &str) = (&[1, 2, 0xFF], "a model");

/// A temporary store.
struct Fresh {
    location: StoreLocation,
    store: Option<Box<dyn WriteStore>>,
    _folder: Option<tempfile::TempDir>,
}

impl Fresh {
    fn folder(dims: usize, metric: Metric) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let header = StoreHeader::new(dims, metric, Stored::F32, MAKER.0, MAKER.1);
        let writer = Writer::create(&path, header).unwrap();
        Self { location: StoreLocation::Folder(path), store: Some(Box::new(writer)), _folder: Some(folder) }
    }

    /// Creates a store in the database of the tests, if there is one.
    fn database(dims: usize, metric: Metric) -> Option<Self> {
        let Ok(url) = std::env::var("MAANA_TEST_POSTGRES") else {
            eprintln!(
                "skipped: no MAANA_TEST_POSTGRES with the address of a database (`cargo xtask postgres` has one)"
            );
            return None;
        };
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let target = Target::parse(&format!("{url}&store=contract_{}_{number}", std::process::id())).unwrap();
        let store = Store::create(&target, Header::new(dims, metric, false, MAKER.0, MAKER.1)).unwrap();
        Some(Self { location: StoreLocation::Postgres(Box::new(target)), store: Some(Box::new(store)), _folder: None })
    }

    fn all(dims: usize, metric: Metric) -> Vec<Self> {
        std::iter::once(Self::folder(dims, metric)).chain(Self::database(dims, metric)).collect()
    }

    fn store(&mut self) -> &mut dyn WriteStore {
        &mut **self.store.as_mut().unwrap()
    }

    /// Opens the store again, as the next command does.
    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(self.location.write().unwrap());
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.store = None;
        self.location.remove().unwrap();
    }
}

/// A linear congruential generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    /// Draws a vector; coarse ones have small integers, so that many scores are equal.
    fn vector(&mut self, dims: usize, coarse: bool) -> Vec<f32> {
        let value = |random: &mut Self| match coarse {
            true => random.below(5) as f32 - 2.0,
            false => random.below(2_000_001) as f32 / 1e6 - 1.0,
        };
        (0..dims).map(|_| value(self)).collect()
    }

    fn document(&mut self) -> (String, Content) {
        const WORDS: [&str; 6] = ["habari", "asante", "bei", "mahindi", "soko", "it's \"quoted\" \\ {x}"];
        let id = format!("id {}", self.below(60));
        let text = (0..self.below(6)).map(|_| WORDS[self.below(6)]).collect::<Vec<_>>().join(" ");
        let mut fields = BTreeMap::new();
        if self.below(3) > 0 {
            fields.insert("lang".to_owned(), ["sw", "en"][self.below(2)].to_owned());
        }
        fields.insert("n'\"o".to_owned(), self.below(3).to_string());
        (id, Content { text, fields })
    }

    /// Draws documents with distinct ids, and their vectors.
    fn documents(&mut self, count: usize, dims: usize, coarse: bool) -> (Vec<(String, Content)>, Matrix) {
        let mut documents: Vec<(String, Content)> = Vec::new();
        while documents.len() < count {
            let document = self.document();
            if documents.iter().all(|(id, _)| *id != document.0) {
                documents.push(document);
            }
        }
        let vectors = (0..count).flat_map(|_| self.vector(dims, coarse)).collect();
        (documents, Matrix::from_vec(count, dims, vectors))
    }
}

/// Returns hits for comparison, with the bits of their scores.
fn bits(hits: &[Vec<Found>]) -> Vec<Vec<(String, u32, Content)>> {
    let one = |hit: &Found| (hit.id.clone(), hit.score.to_bits(), hit.content.clone());
    hits.iter().map(|hits| hits.iter().map(one).collect()).collect()
}

fn search(store: &dyn WriteStore, texts: &[&str], vectors: &Matrix, options: &SearchOptions) -> Vec<Vec<Found>> {
    store.nearest(&Context::new(2), texts, vectors, options).unwrap().hits
}

/// After each random change, both stores give bit-identical answers.
#[test]
fn folders_and_databases_give_the_same_answers() {
    const DIMS: usize = 5;
    for metric in METRICS {
        for coarse in [true, false] {
            let mut folder = Fresh::folder(DIMS, metric);
            let Some(mut database) = Fresh::database(DIMS, metric) else { return };
            let mut random = Random(7);
            for round in 0..25 {
                match random.below(6) {
                    0..4 => {
                        let count = random.below(20);
                        let (documents, vectors) = random.documents(count, DIMS, coarse);
                        let added = folder.store().add(&documents, vectors.view()).unwrap();
                        assert_eq!(database.store().add(&documents, vectors.view()).unwrap(), added);
                    }
                    4 => {
                        let ids: Vec<String> = (0..random.below(9)).map(|_| random.document().0).collect();
                        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                        assert_eq!(database.store().delete(&ids).unwrap(), folder.store().delete(&ids).unwrap());
                    }
                    _ => {
                        folder.store().compact(&Context::new(1), None).unwrap();
                        database.store().compact(&Context::new(1), None).unwrap();
                        folder.reopen();
                        database.reopen();
                    }
                }
                assert_eq!(database.store().documents().unwrap(), folder.store().documents().unwrap());
                let mut queries = random.vector(DIMS, coarse);
                queries.extend(random.vector(DIMS, coarse));
                queries.extend([0.0; DIMS]);
                let queries = Matrix::from_vec(3, DIMS, queries);
                let mut filters = vec![("lang".to_owned(), "sw".to_owned()), ("n'\"o".to_owned(), "1".to_owned())];
                filters.truncate(random.below(3));
                let dim = [None, Some(2), Some(DIMS)][random.below(3)];
                let k = [0, 1, 3, 10, 1000, usize::MAX][random.below(6)];
                let options = SearchOptions { k, dim, filters, ..SearchOptions::default() };
                let texts = ["bei", "", "soko asante"];
                let found = bits(&search(database.store(), &texts, &queries, &options));
                let expected = bits(&search(folder.store(), &texts, &queries, &options));
                assert_eq!(found, expected, "{metric:?}, round {round}, {options:?}");
            }
            assert!(database.location.verify().unwrap().damages.is_empty());
        }
    }
}

#[test]
fn hybrid_search_gives_the_same_ranking() {
    const DIMS: usize = 4;
    let mut random = Random(3);
    let (documents, vectors) = random.documents(40, DIMS, false);
    let queries = Matrix::from_vec(2, DIMS, random.vector(2 * DIMS, false));
    let mut answers = Vec::new();
    for mut fresh in Fresh::all(DIMS, Metric::Cosine) {
        fresh.store().add(&documents, vectors.view()).unwrap();
        for filters in [vec![], vec![("lang".to_owned(), "sw".to_owned())]] {
            let options = SearchOptions { k: 7, hybrid: true, filters, ..SearchOptions::default() };
            answers.push(bits(&search(fresh.store(), &["bei ya mahindi", "soko"], &queries, &options)));
        }
    }
    let (folder, others) = answers.split_at(2);
    assert!(folder.iter().flatten().all(|hits| !hits.is_empty()));
    assert!(others.is_empty() || others == folder);
}

#[test]
fn changes_are_present_after_reopening() {
    for mut fresh in Fresh::all(3, Metric::Cosine) {
        let mut random = Random(1);
        let (documents, vectors) = random.documents(30, 3, false);
        assert_eq!(fresh.store().add(&documents, vectors.view()).unwrap(), Added { new: 30, replaced: 0 });
        fresh.reopen();
        assert_eq!((fresh.store().dims(), fresh.store().made_by()), (3, MAKER.1));
        let options = SearchOptions { k: 1, ..SearchOptions::default() };
        for (row, (id, kept)) in documents.iter().enumerate() {
            let query = Matrix::from_vec(1, 3, vectors.row(row).to_vec());
            let hit = &search(fresh.store(), &[""], &query, &options)[0][0];
            assert_eq!((&hit.id, &hit.content), (id, kept));
        }
        let (again, other) = (documents[..4].to_vec(), Matrix::from_vec(4, 3, random.vector(12, false)));
        assert_eq!(fresh.store().add(&again, other.view()).unwrap(), Added { new: 0, replaced: 4 });
        let ids: Vec<&str> = documents.iter().map(|(id, _)| id.as_str()).chain(["nobody", "a\0b"]).collect();
        let deleted = fresh.store().delete(&ids).unwrap();
        assert_eq!((deleted.documents, deleted.missing), (30, vec!["nobody".to_owned(), "a\0b".to_owned()]));
        let deleted = fresh.store().delete(&[ids[0], "nobody", ids[0]]).unwrap();
        assert_eq!((deleted.documents, deleted.missing), (0, vec![ids[0].to_owned(), "nobody".to_owned()]));
        let verified = fresh.location.verify().unwrap();
        assert!(verified.damages.is_empty(), "{verified:?}");
    }
}

#[test]
fn an_empty_store_answers_every_search() {
    for mut fresh in Fresh::all(2, Metric::Dot) {
        let queries = Matrix::from_vec(1, 2, vec![1.0, 0.0]);
        assert_eq!(fresh.store().add(&[], Matrix::zeros(0, 2).view()).unwrap(), Added::default());
        fresh.store().compact(&Context::new(1), None).unwrap();
        fresh.store().expect_fields(&[("any".to_owned(), "x".to_owned())]).unwrap();
        for (hybrid, recall) in [(false, None), (true, None), (false, Some(0.9))] {
            let options = SearchOptions { hybrid, recall, ..SearchOptions::default() };
            assert_eq!(search(fresh.store(), &["bei"], &queries, &options), [vec![]]);
        }
        assert_eq!(search(fresh.store(), &[], &Matrix::zeros(0, 2), &SearchOptions::default()), [[]; 0]);
        assert!(fresh.location.read().is_ok() && fresh.location.verify().unwrap().damages.is_empty());
    }
}

/// Errors have the same messages except for the location, and change nothing.
#[test]
fn errors_have_the_same_messages() {
    let mut messages: Vec<Vec<String>> = Vec::new();
    for mut fresh in Fresh::all(2, Metric::Cosine) {
        let kept =
            Content { text: "habari".to_owned(), fields: BTreeMap::from([("lang".to_owned(), "sw".to_owned())]) };
        let document = |id: &str| (id.to_owned(), kept.clone());
        let two = [document("a"), document("b")];
        let location = fresh.location.to_string();
        let store = fresh.store();
        store.add(&two, Matrix::from_vec(2, 2, vec![1.0, 0.0, 0.0, 1.0]).view()).unwrap();
        let query = Matrix::from_vec(1, 2, vec![1.0, 2.0]);
        let mut errors: Vec<SearchError> = Vec::new();
        let mut failed = |outcome: Result<(), SearchError>| errors.push(outcome.expect_err("the operation is invalid"));
        let nan = Matrix::from_vec(2, 2, vec![1.0, 2.0, f32::NAN, 0.0]);
        failed(store.add(&two, nan.view()).map(|_| ()));
        failed(store.add(&two, Matrix::from_vec(2, 2, vec![0.0, f32::INFINITY, 1.0, 0.0]).view()).map(|_| ()));
        failed(store.add(&two, Matrix::zeros(2, 3).view()).map(|_| ()));
        failed(store.add(&two, Matrix::zeros(1, 2).view()).map(|_| ()));
        failed(store.add(&[document("c"), document("c")], Matrix::zeros(2, 2).view()).map(|_| ()));
        failed(store.expect_fingerprint(&[9], MAKER.1));
        failed(store.expect_fingerprint(&[9], "another model"));
        failed(store.expect_fields(&[("lang".to_owned(), "xx".to_owned()), ("topic".to_owned(), "x".to_owned())]));
        let options = SearchOptions::default();
        let mut search_fails = |vectors: &Matrix, options: &SearchOptions| {
            failed(store.nearest(&Context::new(1), &["x"], vectors, options).map(|_| ()));
        };
        search_fails(&nan, &options);
        search_fails(&Matrix::zeros(1, 3), &options);
        for dim in [0, 3] {
            search_fails(&query, &SearchOptions { dim: Some(dim), ..options.clone() });
        }
        search_fails(&query, &SearchOptions { recall: Some(1.5), ..options.clone() });
        messages.push(errors.iter().map(|error| error.to_string().replace(&location, "LOCATION")).collect());
        assert_eq!(store.documents().unwrap(), 2);
        store.expect_fingerprint(MAKER.0, "any").unwrap();
        assert!(fresh.location.verify().unwrap().damages.is_empty());
    }
    for text in ["row 1, column 0 is NaN", "the id `c`", "a model (0102ff)", "another model", "the fields are: lang"] {
        assert!(messages[0].iter().any(|error| error.contains(text)), "{text}: {:#?}", messages[0]);
    }
    assert!(messages.len() < 2 || messages[0] == messages[1], "{messages:#?}");
}

/// An unfinished store cannot be read; the next attempt sees the documents of the earlier one.
#[test]
fn an_unfinished_store_is_continued() {
    for mut fresh in Fresh::all(2, Metric::Cosine) {
        fresh.store = None;
        fresh.location.remove().unwrap();
        let begin = |metric| -> Result<Box<dyn WriteStore>, SearchError> {
            Ok(match &fresh.location {
                StoreLocation::Folder(path) => {
                    Box::new(Writer::begin(path, StoreHeader::new(2, metric, Stored::F32, MAKER.0, MAKER.1))?)
                }
                StoreLocation::Postgres(target) => {
                    Box::new(Store::begin(target, Header::new(2, metric, false, MAKER.0, MAKER.1))?)
                }
            })
        };
        let kept = |text: &str| Content { text: text.to_owned(), fields: BTreeMap::new() };
        let documents = [("a".to_owned(), kept("habari")), ("b".to_owned(), kept("asante"))];
        let mut store = begin(Metric::Cosine).unwrap();
        let busy = begin(Metric::Cosine).err().unwrap().to_string();
        assert!(busy.contains("another process is writing to this store"), "{busy}");
        store.add(&documents, Matrix::from_vec(2, 2, vec![1.0, 0.0, 0.0, 1.0]).view()).unwrap();
        drop(store);
        for error in [fresh.location.read().err(), fresh.location.write().err()] {
            let error = error.unwrap().to_string();
            assert!(error.contains("not all documents have come into this store yet"), "{error}");
        }
        let mut store = begin(Metric::Cosine).unwrap();
        let requested = [documents[0].clone(), ("b".to_owned(), kept("karibu")), ("c\0".to_owned(), kept("x"))];
        assert_eq!(store.holds(&requested).unwrap(), [true, false, false]);
        assert_eq!(store.ids().unwrap(), ["a", "b"]);
        store.finish().unwrap();
        drop(store);
        assert_eq!(fresh.location.write().unwrap().documents().unwrap(), 2);
        assert!(fresh.location.verify().unwrap().damages.is_empty());
        assert!(begin(Metric::Cosine).is_err());
        fresh.location.remove().unwrap();
        // A store for other vectors starts from scratch.
        begin(Metric::Cosine).unwrap().add(&documents, Matrix::zeros(2, 2).view()).unwrap();
        assert_eq!(begin(Metric::Dot).unwrap().documents().unwrap(), 0);
    }
}

#[test]
fn a_missing_store_and_an_existing_one_are_named() {
    let missing = StoreLocation::Folder("/no/such/folder".into());
    assert!(missing.read().err().unwrap().to_string().contains("no store is here"));
    let Some(fresh) = Fresh::database(2, Metric::Cosine) else { return };
    let StoreLocation::Postgres(target) = &fresh.location else { unreachable!("a database") };
    let error = Store::create(target, Header::new(2, Metric::Cosine, false, &[], "")).unwrap_err();
    assert!(error.to_string().contains("already has a store of this name"), "{error}");
    let url = std::env::var("MAANA_TEST_POSTGRES").unwrap();
    let other = StoreLocation::parse(format!("{url}&store=nobody").as_ref()).unwrap();
    let error = other.write().err().unwrap();
    assert!(error.to_string().contains("has no store of this name"), "{error}");
}
