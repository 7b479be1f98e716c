use super::*;
use crate::store::{Added, StoreError, verify};

/// Random changes and restarts; every state is compared with the model, and readers of older states
/// still see theirs.
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
    assert!(refused(&twice, 2, DIMS, 1.0).contains("the id `a` occurs twice"));
    assert_eq!(writer.add(&documents[..1], good.view().range(0..1)).unwrap(), Added { new: 0, replaced: 1 });
    assert_eq!(writer.add(&[], good.view().range(0..0)).unwrap(), Added { new: 0, replaced: 0 });
    assert_eq!(writer.delete(&["b", "nobody", "b"]).unwrap(), 1);
    assert_eq!(writer.delete(&["a"]).unwrap(), 1);
    assert!(writer.store().is_empty() && !writer.compact().unwrap());
    let found = writer.store().search(&Context::new(1), good.view(), &Search { k: 5, ..Search::default() }).unwrap();
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

/// A store that is begun is read by nobody until it is finished, and the next writer continues with
/// it.
#[test]
fn what_is_begun_is_gone_on_with_and_read_when_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut writer = Writer::begin(&path, header(Stored::F32)).unwrap();
    assert!(matches!(Writer::begin(&path, header(Stored::F32)), Err(StoreError::Locked { .. })));
    let document = |id| Document { id, payload: b"x" };
    let add = |writer: &mut Writer, id| writer.add(&[document(id)], Rows::new(&[1.0; DIMS], 1, DIMS, DIMS)).unwrap();
    add(&mut writer, "a");
    drop(writer);
    let unfinished = |outcome: Result<(), StoreError>| matches!(outcome, Err(StoreError::Unfinished { .. }));
    assert!(unfinished(Store::open(&path).map(|_| ())) && unfinished(Writer::open(&path).map(|_| ())));
    assert!(matches!(Writer::create(&path, header(Stored::F32)), Err(StoreError::AlreadyExists { .. })));
    let damages = verify(&path).unwrap().damages;
    assert!(damages.len() == 1 && damages[0].what.contains("not all documents"), "{damages:?}");
    let mut writer = Writer::begin(&path, header(Stored::F32)).unwrap();
    assert_eq!(writer.store().len(), 1);
    add(&mut writer, "b");
    writer.finish().unwrap();
    drop(writer);
    assert_eq!(Store::open(&path).unwrap().len(), 2);
    assert!(verify(&path).unwrap().damages.is_empty());
    assert!(matches!(Writer::begin(&path, header(Stored::F32)), Err(StoreError::AlreadyExists { .. })));
    // With another header it begins anew.
    Writer::remove_at(&path).unwrap();
    assert!(!path.exists());
    add(&mut Writer::begin(&path, header(Stored::F32)).unwrap(), "a");
    assert_eq!(Writer::begin(&path, header(Stored::Bf16)).unwrap().store().len(), 0);
}

/// Files of others stay as they are, whatever their names are.
#[test]
fn files_of_others_are_never_written_over_or_removed() {
    let own = ["segment-00000001", "segment-00000002", "dead-00000001", "graph", "graph.new", "manifest.new"];
    for name in own {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), "mine").unwrap();
        for begin in [Writer::create_on, Writer::begin_on] {
            let error = begin(fast(), folder.path(), header(Stored::F32)).unwrap_err();
            assert!(matches!(&error, StoreError::InTheWay { file, .. } if file == name), "{name}: {error}");
        }
        assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), b"mine");
        assert!(Store::open(folder.path()).is_err());
    }
    // Next to a store they are ignored.
    let folder = tempfile::tempdir().unwrap();
    let mine = ["segment-notes.txt", "segment-00000002", "segment-00000007", "dead-00000003", "dead-letters"];
    let mut writer = Writer::create_on(fast(), folder.path(), header(Stored::F32)).unwrap();
    mine.iter().for_each(|name| std::fs::write(folder.path().join(name), "mine").unwrap());
    for id in 0..20 {
        let id = id.to_string();
        let document = Document { id: &id, payload: b"x" };
        writer.add(&[document], Rows::new(&[1.0; DIMS], 1, DIMS, DIMS)).unwrap();
        writer.delete(&["3", "7"]).unwrap();
    }
    writer.compact().unwrap();
    drop(writer);
    drop(Writer::open_on(fast(), folder.path()).unwrap());
    assert_eq!(Store::open(folder.path()).unwrap().len(), 18);
    let is_mine = |name: &&str| std::fs::read(folder.path().join(name)).is_ok_and(|bytes| bytes == b"mine");
    assert!(mine.iter().all(is_mine));
    Writer::remove_at(folder.path()).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), mine.len());
}
