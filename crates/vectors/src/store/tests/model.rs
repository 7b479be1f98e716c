use super::*;
use crate::store::{Added, StoreError, verify};

/// Random changes and restarts; every state is compared with the model, and readers of older states still see theirs.
fn compare(seed: u64, operations: usize, check_every: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(seed);
    let mut model = Model::default();
    let mut writer = Writer::create_on(fast(), folder.path(), header(Stored::F32)).unwrap();
    let mut reader = Store::open(folder.path()).unwrap();
    let mut seen = Model::default();
    for number in 0..operations {
        let operation = Operation::random(&mut random);
        operation.apply(&mut writer).unwrap_or_else(|error| panic!("seed {seed}, operation {number}: {error}"));
        model.apply(&operation);
        if number % check_every == 0 {
            model.check(writer.store(), &mut random);
            assert_eq!(Model::of(&reader), seen, "seed {seed}, operation {number}");
            if random.below(3) == 0 {
                reader.refresh().unwrap();
                seen = model.clone();
                model.check(&reader, &mut random);
            }
        }
        if random.below(20) == 0 {
            drop(writer);
            writer = Writer::open_on(fast(), folder.path()).unwrap();
        }
        let segments = writer.store().info().segments;
        assert!(segments <= 40, "{segments} segments");
    }
    let verified = verify(folder.path()).unwrap();
    assert!(verified.damages.is_empty(), "{verified:?}");
    model.check(writer.store(), &mut random);
    writer.compact().unwrap();
    model.check(&Store::open(folder.path()).unwrap(), &mut random);
    assert!(writer.store().info().dead == 0 && writer.store().info().segments <= 1);
}

#[test]
fn the_store_is_the_list_that_it_should_be() {
    for seed in 0..6 {
        compare(seed, 500, 3);
    }
}

#[test]
#[ignore = "takes minutes; `cargo xtask store` runs it"]
fn the_store_is_the_list_that_it_should_be_for_long() {
    for seed in 100..110 {
        compare(seed, 10_000, 50);
    }
}

#[test]
fn bad_batches_are_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create_on(fast(), folder.path(), header(Stored::F32)).unwrap();
    let documents = [Document { id: "a", payload: b"1" }, Document { id: "b", payload: b"2" }];
    let good = Matrix::from_vec(2, DIMS, vec![1.0; 6]);
    assert_eq!(writer.add(&documents, good.view()).unwrap(), Added { new: 2, replaced: 0 });
    let before = Model::at(folder.path());
    let mut refused = |documents: &[Document<'_>], rows: usize, columns: usize, value: f32| {
        let vectors = Matrix::from_vec(rows, columns, vec![value; rows * columns]);
        let error = writer.add(documents, vectors.view()).unwrap_err().to_string();
        assert_eq!(Model::at(folder.path()), before);
        error
    };
    assert!(refused(&documents, 2, DIMS, f32::NAN).contains("row 0, column 0 is NaN"));
    assert!(refused(&documents, 2, DIMS, f32::INFINITY).contains("row 0, column 0 is inf"));
    assert!(refused(&documents, 2, DIMS + 1, 1.0).contains("vectors of 4 dims where 3 are needed"));
    assert!(refused(&documents, 3, DIMS, 1.0).contains("2 documents with 3 vectors"));
    let twice = [Document { id: "a", payload: b"" }, Document { id: "a", payload: b"" }];
    assert!(refused(&twice, 2, DIMS, 1.0).contains("the id `a` stands twice"));
    assert_eq!(writer.add(&documents[..1], good.view().range(0..1)).unwrap(), Added { new: 0, replaced: 1 });
    assert_eq!(writer.add(&[], good.view().range(0..0)).unwrap(), Added { new: 0, replaced: 0 });
    assert_eq!(writer.delete(&["b", "nobody", "b"]).unwrap(), 1);
    assert_eq!(writer.delete(&["a"]).unwrap(), 1);
    assert!(writer.store().is_empty() && !writer.compact().unwrap());
    let found = writer.store().search(&Pool::new(1), good.view(), &Search { k: 5, ..Search::default() }).unwrap();
    assert_eq!(found, [vec![], vec![]]);
}

#[test]
fn who_may_open_what_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/store");
    assert!(matches!(Store::open(&path), Err(StoreError::NotAStore { .. })));
    assert!(matches!(Writer::open(&path), Err(StoreError::NotAStore { .. })));
    let writer = Writer::create(&path, header(Stored::F32)).unwrap();
    assert!(matches!(Writer::open(&path), Err(StoreError::Locked { .. })));
    assert!(matches!(Writer::create(&path, header(Stored::F32)), Err(StoreError::Locked { .. })));
    let store = Store::open(&path).unwrap();
    drop(writer);
    assert!(matches!(Writer::create(&path, header(Stored::F32)), Err(StoreError::AlreadyExists { .. })));
    assert!(Writer::open(&path).is_ok());
    assert!(store.expect_fingerprint(&[1, 2, 0xFF], "a model").is_ok());
    let error = store.expect_fingerprint(&[1, 2], "another").unwrap_err().to_string();
    assert!(error.contains("holds vectors of `a model`, not of `another`"), "{error}");
    let error = store.expect_fingerprint(&[1, 2], "a model").unwrap_err().to_string();
    assert!(error.contains("`a model (0102ff)`, not of `a model (0102)`"), "{error}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Writer::create(file.join("store"), header(Stored::F32)), Err(StoreError::Io { .. })));
    let nothing = StoreHeader { dims: 0, ..header(Stored::F32) };
    assert!(Writer::create(folder.path().join("other"), nothing).is_err());
}

#[test]
fn many_deletes_at_once_and_ids_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create_on(fast(), folder.path(), header(Stored::F32)).unwrap();
    let ids: Vec<String> = (0..20_000).map(|i| format!("{i}")).chain(["".into(), "jina 🦒".into()]).collect();
    let documents: Vec<Document<'_>> = ids.iter().map(|id| Document { id, payload: id.as_bytes() }).collect();
    let vectors = Matrix::from_vec(ids.len(), DIMS, crate::testing::noise(ids.len() * DIMS, 1));
    writer.add(&documents, vectors.view()).unwrap();
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(writer.delete(&all[1000..]).unwrap(), 19_002);
    assert_eq!(writer.store().info().dead, 19_002);
    assert!(writer.compact().unwrap());
    assert_eq!((writer.store().info().documents, writer.store().info().dead), (1000, 0));
    assert_eq!(writer.store().find("jina 🦒").unwrap(), None);
    assert_eq!(writer.store().document(999).unwrap().payload, b"999");
}

/// A store of format 1 that was written once and is checked in: it must open for ever.
#[test]
fn old_stores_keep_opening() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/store-v1");
    if std::env::var_os("MAANA_WRITE_GOLDEN").is_some() {
        let mut writer = Writer::create(&path, header(Stored::F32)).unwrap();
        let documents = [Document { id: "a", payload: b"moja" }, Document { id: "b", payload: b"mbili" }];
        writer.add(&documents, Matrix::from_vec(2, DIMS, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).view()).unwrap();
        writer.add(&documents[..1], Matrix::from_vec(1, DIMS, vec![7.0, 8.0, 9.0]).view()).unwrap();
    }
    assert!(verify(&path).unwrap().damages.is_empty());
    let documents = [("b", vec![4.0, 5.0, 6.0], b"mbili".as_slice()), ("a", vec![7.0, 8.0, 9.0], b"moja")];
    let documents = documents.map(|(id, vector, payload)| (id.to_owned(), vector, payload.to_vec()));
    assert_eq!(Model::at(&path).documents, documents);
    assert_eq!(*Store::open(&path).unwrap().header(), header(Stored::F32));
}
