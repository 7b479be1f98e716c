//! Behaviour that is specific to databases, on a real server: that of `MAANA_TEST_POSTGRES`, which
//! `cargo xtask postgres` sets. The server also has a database without the extension and a role
//! with a password.

use maana_kernels::{Context, Matrix, Rows};
use maana_postgres::{Document, Header, Near, PostgresError, Search, Store, Target};
use maana_vectors::search::{Corpus, Metric, search};
use postgres::NoTls;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns the address of the tests' database, or prints why the test is skipped.
fn url() -> Option<String> {
    let url = std::env::var("MAANA_TEST_POSTGRES").ok();
    if url.is_none() {
        eprintln!("skipped: no MAANA_TEST_POSTGRES with the address of a database (`cargo xtask postgres` has one)");
    }
    url
}

/// A temporary store.
struct Fresh {
    target: Target,
    store: Store,
}

impl Fresh {
    fn new(dims: usize, metric: Metric, half: bool) -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("server_{}_{number}", std::process::id()), dims, metric, half)
    }

    fn named(name: &str, dims: usize, metric: Metric, half: bool) -> Option<Self> {
        let target = Target::parse(&format!("{}&store={name}", url()?)).unwrap();
        let store = Store::create(&target, Header::new(dims, metric, half, b"x", "a test")).unwrap();
        Some(Self { target, store })
    }

    /// Runs SQL without the store; `STORE` is replaced by its schema.
    fn sql(&self, statement: &str) {
        let name = self.target.name().replace('"', "\"\"");
        sql(&statement.replace("STORE", &format!("\"{name}\"")));
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.sql("DROP SCHEMA STORE CASCADE");
    }
}

fn sql(statement: &str) {
    let mut client = postgres::Client::connect(&url().unwrap(), NoTls).unwrap();
    client.batch_execute(statement).unwrap();
}

/// Draws vectors with a spectrum like that of embeddings.
fn embeddings(rows: usize, dims: usize, seed: u64) -> Matrix {
    let mut state = seed;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32) / 8_388_608.0 - 1.0
    };
    let values =
        (0..rows).flat_map(|_| (0..dims).map(|column| noise() / (1.0 + column as f32).sqrt()).collect::<Vec<_>>());
    Matrix::from_vec(rows, dims, values.collect())
}

fn add(store: &Store, ids: std::ops::Range<usize>, vectors: Rows<'_>) -> Result<(), PostgresError> {
    let fields = BTreeMap::new();
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    let documents: Vec<Document<'_>> = ids.iter().map(|id| Document { id, text: "habari", fields: &fields }).collect();
    store.add(&documents, vectors).map(|_| ())
}

fn nearest(store: &Store, queries: Rows<'_>, k: usize) -> Vec<Vec<Near>> {
    store.read(|reader| reader.nearest(queries, &Search { k, dim: None, filters: &[] }, None)).unwrap()
}

#[test]
fn errors_of_the_server_have_a_remedy() {
    let Some(url) = url() else { return };
    let open = |url: &str| Store::open(&Target::parse(url).unwrap()).map(|_| ()).unwrap_err().to_string();
    let error = open(&url.replace("/maana_test?", "/maana_bare?"));
    assert!(error.contains("no extension `vector`") && error.contains("CREATE EXTENSION vector"), "{error}");
    let error = open(&url.replace("/maana_test?", "/nowhere?"));
    assert!(error.contains("createdb"), "{error}");
    let as_user = |user: &str| url.replace("postgres:@", &format!("{user}@"));
    let error = open(&as_user("maana_guarded:wrong"));
    assert!(error.contains("password") && error.contains("PGPASSWORD") && !error.contains("wrong"), "{error}");
    let error = open(&as_user("maana_guarded"));
    assert!(error.contains("password") && error.contains("PGPASSWORD"), "{error}");
    let guarded = Target::parse(&as_user("maana_guarded")).unwrap().or_password(Some("right".to_owned()));
    let error = Store::create(&guarded, Header::new(2, Metric::Cosine, false, b"x", "a test")).unwrap_err().to_string();
    assert!(error.contains("permission denied") && error.contains("CREATE ON DATABASE"), "{error}");
    let error = open("postgres://me@127.0.0.1:1/x?sslmode=disable");
    assert!(error.contains("cannot connect") && error.contains("check that the server"), "{error}");
    let error = open(&format!("{url}&store=public"));
    assert!(error.contains("not a store"), "{error}");
}

#[test]
fn a_store_records_its_precision_and_prompt_and_one_without_them_opens() {
    let Some(fresh) = Fresh::new(2, Metric::Cosine, false) else { return };
    fresh.sql("UPDATE STORE.meta SET precision = 'int8', document_prompt = 'passage: '");
    assert_eq!(Store::open(&fresh.target).unwrap().header().precision.as_deref(), Some("int8"));
    assert_eq!(Store::open(&fresh.target).unwrap().header().document_prompt.as_deref(), Some("passage: "));
    fresh.sql("ALTER TABLE STORE.meta DROP COLUMN precision, DROP COLUMN document_prompt");
    let store = Store::open(&fresh.target).unwrap();
    assert_eq!((&store.header().precision, &store.header().document_prompt), (&None, &None));
    add(&store, 0..1, Rows::new(&[1.0, 0.0], 1, 2, 2)).unwrap();
}

#[test]
fn other_versions_are_refused() {
    let Some(fresh) = Fresh::new(2, Metric::Cosine, false) else { return };
    let open = || Store::open(&fresh.target).map(|_| ()).unwrap_err().to_string();
    fresh.sql("UPDATE STORE.meta SET version = 2");
    assert!(open().contains("format version 2, but this program reads only up to 1"), "{}", open());
    fresh.sql("UPDATE STORE.meta SET version = 0");
    assert!(open().contains("damaged"), "{}", open());
    fresh.sql("DELETE FROM STORE.meta");
    assert!(open().contains("`meta` is empty"), "{}", open());
}

#[test]
fn names_ids_and_filters_are_never_read_as_sql() {
    let name = format!("x\"; DROP SCHEMA public; -- {}", std::process::id());
    let Some(fresh) = Fresh::named(&name.replace(' ', "%20"), 2, Metric::Cosine, false) else { return };
    let evil = "'); DROP TABLE documents; --\\\"";
    let fields = BTreeMap::from([(evil.to_owned(), evil.to_owned())]);
    let documents = [Document { id: evil, text: evil, fields: &fields }];
    fresh.store.add(&documents, Rows::new(&[1.0, 0.0], 1, 2, 2)).unwrap();
    let filters = [(evil.to_owned(), evil.to_owned())];
    let found = fresh.store.read(|reader| {
        reader.expect_fields(&filters)?;
        let near =
            reader.nearest(Rows::new(&[1.0, 0.0], 1, 2, 2), &Search { k: 3, dim: None, filters: &filters }, None)?;
        reader.rows(&[near[0][0].seq])
    });
    let found: Result<_, PostgresError> = found;
    assert_eq!(found.unwrap()[0].id, evil);
    assert_eq!(fresh.store.delete(&[evil]).unwrap(), [evil]);
    assert!(Store::open(&fresh.target).is_ok());
}

#[test]
fn a_store_in_f16_scores_rounded_vectors() {
    let Some(fresh) = Fresh::new(24, Metric::Cosine, true) else { return };
    let vectors = embeddings(50, 24, 1);
    add(&fresh.store, 0..50, vectors.view()).unwrap();
    let rounded = vectors.data().iter().map(|value| half::f16::from_f32(*value).to_f32()).collect();
    let rounded = Matrix::from_vec(50, 24, rounded);
    let queries = embeddings(3, 24, 9);
    let settings = maana_vectors::search::Search { k: 7, ..Default::default() };
    let expected = search(&Context::new(1), &Corpus::from(rounded.view()), queries.view(), &settings).unwrap();
    let found = nearest(&fresh.store, queries.view(), 7);
    for (found, expected) in found.iter().zip(&expected) {
        let found: Vec<(usize, u32)> = found.iter().map(|near| (near.seq as usize - 1, near.score.to_bits())).collect();
        let expected: Vec<(usize, u32)> = expected.iter().map(|hit| (hit.row, hit.score.to_bits())).collect();
        assert_eq!(found, expected);
    }
    assert!(fresh.store.verify().unwrap().damages.is_empty());
    let mut huge = vectors.row(0).to_vec();
    huge[5] = 70_000.0;
    let error = add(&fresh.store, 0..1, Rows::new(&huge, 1, 24, 24)).unwrap_err().to_string();
    assert!(error.contains("column 5 is inf"), "{error}");
}

#[test]
fn texts_and_ids_that_postgresql_cannot_store_are_refused() {
    let Some(fresh) = Fresh::new(2, Metric::Cosine, false) else { return };
    let fields = BTreeMap::new();
    let add = |id: &str, text: &str| {
        let documents = [Document { id, text, fields: &fields }];
        fresh.store.add(&documents, Rows::new(&[1.0, 0.0], 1, 2, 2)).map(|_| ())
    };
    let error = add("a", "ha\0bari").unwrap_err().to_string();
    assert!(error.contains("document `a`") && error.contains("NUL"), "{error}");
    // An id of the maximum length fits into the index of ids, even if it cannot be compressed.
    let id: String = (0..500u32).map(|i| char::from_u32(0x2_0000 + (i * 7919) % 40_000).unwrap()).collect();
    assert_eq!(id.len(), 2000);
    add(&id, "").unwrap();
    assert!(add(&format!("{id}x"), "").is_err());
    assert_eq!(fresh.store.len().unwrap(), 1);
}

#[test]
fn changes_by_others_are_found_as_damage() {
    let Some(fresh) = Fresh::new(3, Metric::Cosine, false) else { return };
    add(&fresh.store, 0..4, embeddings(4, 3, 1).view()).unwrap();
    fresh.sql("UPDATE STORE.documents SET embedding = '[1,2,3]' WHERE id = '1'");
    fresh.sql(r#"UPDATE STORE.documents SET payload = '{"text": "other", "fields": {}}' WHERE id = '2'"#);
    fresh.sql(r#"UPDATE STORE.documents SET payload = '[]' WHERE id = '3'"#);
    let mut damaged: Vec<String> = fresh.store.verify().unwrap().damages.into_iter().map(|damage| damage.id).collect();
    damaged.sort_unstable();
    assert_eq!(damaged, ["1", "2", "3"]);
    let error = fresh.store.read(|reader| reader.for_each(&[], |_, _| ())).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("`3`"), "{error}");
}

#[test]
fn a_reader_sees_one_state_while_writers_take_turns() {
    let Some(fresh) = Fresh::new(2, Metric::Cosine, false) else { return };
    add(&fresh.store, 0..10, embeddings(10, 2, 1).view()).unwrap();
    let reading = Store::open(&fresh.target).unwrap();
    let seen: Result<(usize, usize), PostgresError> = reading.read(|reader| {
        let before = reader.len()?;
        add(&fresh.store, 5..30, embeddings(25, 2, 2).view())?;
        fresh.store.delete(&["0"])?;
        Ok((before, reader.len()?))
    });
    assert_eq!(seen.unwrap(), (10, 10));
    assert_eq!(reading.len().unwrap(), 29);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let target = &fresh.target;
            scope.spawn(move || {
                let store = Store::open(target).unwrap();
                for round in 0..10 {
                    add(&store, 0..50, embeddings(50, 2, 100 * writer + round).view()).unwrap();
                }
            });
        }
    });
    assert_eq!(fresh.store.len().unwrap(), 50);
    // The three changes above, and ten of each writer.
    assert_eq!(fresh.store.info().unwrap().generation, 33);
    assert!(fresh.store.verify().unwrap().damages.is_empty());
}

#[test]
fn a_lost_connection_is_reported() {
    let Some(fresh) = Fresh::new(2, Metric::Cosine, false) else { return };
    add(&fresh.store, 0..10, embeddings(10, 2, 1).view()).unwrap();
    // With an application name, only this test's connection is ended.
    let name = format!("gone_{}", std::process::id());
    let url = format!("{}&store={}&application_name={name}", url().unwrap(), fresh.target.name());
    let store = Store::open(&Target::parse(&url).unwrap()).unwrap();
    let lost: Result<usize, PostgresError> = store.read(|reader| {
        reader.len()?;
        sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"));
        reader.len()
    });
    let lost = lost.unwrap_err().to_string();
    assert!(lost.contains("the connection was lost while reading"), "{lost}");
    let error = add(&store, 20..21, embeddings(1, 2, 3).view()).unwrap_err().to_string();
    assert!(error.contains("the connection was lost while adding documents"), "{error}");
    assert_eq!(fresh.store.len().unwrap(), 10);
}

/// Hits through the index have their exact scores and about the measured recall.
#[test]
fn the_index_has_the_measured_recall() {
    let queries = embeddings(40, 96, 77);
    for (metric, half) in [
        (Metric::Cosine, false),
        (Metric::Cosine, true),
        (Metric::Dot, false),
        (Metric::Euclidean, false),
        (Metric::Manhattan, false),
    ] {
        let Some(fresh) = Fresh::new(96, metric, half) else { return };
        let vectors = embeddings(2000, 96, 5);
        add(&fresh.store, 0..2000, vectors.view()).unwrap();
        assert_eq!(fresh.store.info().unwrap().graph, None);
        let graph = fresh.store.compact(&Context::new(2), None).unwrap().graph.expect("2000 documents are enough");
        let chosen = graph.shortlist(10, 0.9).unwrap_or_else(|| panic!("{metric:?}: {graph:?}"));
        let exact = nearest(&fresh.store, queries.view(), 10);
        let question = Search { k: 10, dim: None, filters: &[] };
        let found: Result<_, PostgresError> =
            fresh.store.read(|reader| reader.nearest(queries.view(), &question, Some((&graph, chosen.shortlist))));
        let mut right = 0;
        for (found, exact) in found.unwrap().iter().zip(&exact) {
            assert_eq!(found.len(), 10);
            assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
            right += found.iter().filter(|near| exact.contains(near)).count();
        }
        let recall = right as f64 / 400.0;
        println!("{metric:?} half={half}: {} columns, bits {}, {chosen:?}, here {recall}", graph.prefix, graph.bits);
        assert!(recall > chosen.recall - 0.1, "{metric:?}: {recall} of {chosen:?}");
        // Without changes the index is not built again; after a change it is.
        assert_eq!(fresh.store.compact(&Context::new(1), None).unwrap().graph, None);
        let ids: Vec<String> = (0..1990).map(|id| id.to_string()).collect();
        fresh.store.delete(&ids.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        // If most of its rows are deleted, the index returns too few; then all rows are compared.
        let found: Result<_, PostgresError> =
            fresh.store.read(|reader| reader.nearest(queries.view(), &question, Some((&graph, 32))));
        let left = nearest(&fresh.store, queries.view(), 10);
        assert!(found.unwrap().iter().zip(&left).all(|(found, left)| found == left && left.len() == 10));
    }
}

/// If neighbours of the given queries share most of their signs, one bit per column is enough, and
/// the index is small.
#[test]
fn an_index_of_bits_is_built_if_its_recall_suffices() {
    for metric in [Metric::Cosine, Metric::Dot] {
        let Some(fresh) = Fresh::new(128, metric, false) else { return };
        let (centres, noise) = (embeddings(100, 128, 3), embeddings(1700, 128, 4));
        let value = |row: usize, column: usize| {
            centres.row(row % 100)[column] * (1.0 + column as f32).sqrt() + 0.05 * noise.row(row)[column]
        };
        let rows = |range: std::ops::Range<usize>| {
            let data = range.clone().flat_map(|row| (0..128).map(move |column| (row, column)));
            Matrix::from_vec(range.len(), 128, data.map(|(row, column)| value(row, column)).collect())
        };
        let (vectors, queries) = (rows(0..1500), rows(1500..1700));
        add(&fresh.store, 0..1500, vectors.view()).unwrap();
        let graph = fresh
            .store
            .compact(&Context::new(2), Some(queries.view()))
            .unwrap()
            .graph
            .expect("1500 documents are enough");
        println!("{metric:?}: {graph:?}");
        assert!(graph.bits);
        let chosen = graph.shortlist(10, 0.85).expect("the fifteen of a centre are near each other");
        let queries = vectors.view().range(0..30);
        let exact = nearest(&fresh.store, queries, 10);
        let question = Search { k: 10, dim: None, filters: &[] };
        let found: Result<_, PostgresError> =
            fresh.store.read(|reader| reader.nearest(queries, &question, Some((&graph, chosen.shortlist))));
        let right = |(found, exact): (&Vec<Near>, &Vec<Near>)| found.iter().filter(|near| exact.contains(near)).count();
        let right: usize = found.unwrap().iter().zip(&exact).map(right).sum();
        assert!(right > 240, "{metric:?}: {right} of 300");
    }
}

/// Hundreds of equal scores at the limit of the SQL query are all considered.
#[test]
fn equal_scores_are_ordered_by_insertion() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::Euclidean, Metric::Manhattan] {
        let Some(fresh) = Fresh::new(7, metric, false) else { return };
        // The same direction and the same vector, written so that sums round differently.
        let vector = [0.1f32, 0.7, -0.3, 0.9, 0.2, -0.6, 0.4];
        let data: Vec<f32> = (0..300).flat_map(|row| (0..7).map(move |column| vector[(column + row) % 7])).collect();
        let vectors = Matrix::from_vec(300, 7, data);
        add(&fresh.store, 0..300, vectors.view()).unwrap();
        let queries = Matrix::from_vec(1, 7, vec![1.0; 7]);
        let settings = maana_vectors::search::Search { k: 25, metric, ..Default::default() };
        let expected = search(&Context::new(1), &Corpus::from(vectors.view()), queries.view(), &settings).unwrap();
        let found = nearest(&fresh.store, queries.view(), 25);
        let found: Vec<(usize, u32)> =
            found[0].iter().map(|near| (near.seq as usize - 1, near.score.to_bits())).collect();
        let expected: Vec<(usize, u32)> = expected[0].iter().map(|hit| (hit.row, hit.score.to_bits())).collect();
        assert_eq!(found, expected, "{metric:?}");
    }
}
