use super::*;
use crate::store::{StoreError, salvage, verify};
use std::fs;

fn small_store(folder: &Path) -> Vec<String> {
    let mut writer = Writer::create_on(fast(), folder, header(Stored::F32)).unwrap();
    let documents = [Document { id: "a", payload: b"habari" }, Document { id: "b", payload: b"" }];
    writer.add(&documents, Matrix::from_vec(2, DIMS, vec![1.0; 6]).view()).unwrap();
    writer.add(&documents[1..], Matrix::from_vec(1, DIMS, vec![2.0; 3]).view()).unwrap();
    drop(writer);
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "lock").collect();
    names.sort();
    assert_eq!(names.len(), 4, "a manifest, two segments, one file of deleted rows: {names:?}");
    names
}

/// Returns the files that `verify` finds damaged, or that it refuses the store.
fn found(folder: &Path) -> Vec<String> {
    match verify(folder) {
        Ok(verified) => verified.damages.into_iter().map(|damage| damage.file).collect(),
        Err(StoreError::Newer { path, .. }) => vec![path.file_name().unwrap().to_string_lossy().into_owned()],
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_bit_that_flips_is_found_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let names = small_store(folder.path());
    assert!(found(folder.path()).is_empty());
    let model = Model::at(folder.path());
    for name in names {
        let path = folder.path().join(&name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(found(folder.path()), std::slice::from_ref(&name), "bit {bit} of {name}");
            // Reading a damaged store is an error or gives what is there; it never ends the
            // program.
            if let Ok(store) = Store::open(folder.path()) {
                store.rows().for_each(|row| drop(store.document(row)));
                let _ = (store.find("a"), store.find("b"), store.find("c"));
                let query = Matrix::from_vec(1, DIMS, vec![1.0; 3]);
                let _ = store.search(&Context::new(1), query.view(), &Search::default());
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(Model::at(folder.path()), model);
}

#[test]
fn cut_and_missing_files_are_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in small_store(folder.path()) {
        let path = folder.path().join(&name);
        let whole = fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(found(folder.path()), std::slice::from_ref(&name), "{name} cut to {length}");
            let error = Store::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(&name), "{error}");
        }
        fs::write(&path, [whole.as_slice(), b"more"].concat()).unwrap();
        assert_eq!(found(folder.path()), std::slice::from_ref(&name));
        fs::remove_file(&path).unwrap();
        if name == "manifest" {
            assert!(matches!(verify(folder.path()), Err(StoreError::NotAStore { .. })));
        } else {
            assert_eq!(verify(folder.path()).unwrap().damages[0].what, "missing");
            assert!(matches!(Store::open(folder.path()), Err(StoreError::Missing { .. })));
            assert!(matches!(Writer::open_on(fast(), folder.path()), Err(StoreError::Missing { .. })));
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(found(folder.path()).is_empty());
}

#[test]
fn one_segment_in_the_place_of_another_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let names = small_store(folder.path());
    fs::copy(folder.path().join(&names[2]), folder.path().join(&names[3])).unwrap();
    assert_eq!(found(folder.path()), [names[3].clone()]);
    assert!(Store::open(folder.path()).unwrap_err().to_string().contains("another of this form"));
}

#[test]
fn a_later_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    small_store(folder.path());
    let path = folder.path().join("manifest");
    let text = fs::read_to_string(&path).unwrap().replacen("maana store 1", "maana store 7", 1);
    fs::write(&path, text).unwrap();
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("format version 7, and this program reads up to 1"), "{error}");
}

/// A store of several segments, some rows of which are deleted.
fn large_store(folder: &Path) {
    let mut writer = Writer::create_on(fast(), folder, header(Stored::F32)).unwrap();
    for segment in 0..4 {
        let ids: Vec<String> = (0..9).map(|row| format!("{segment}.{row}")).collect();
        let documents: Vec<Document<'_>> = ids.iter().map(|id| Document { id, payload: id.as_bytes() }).collect();
        let vectors = (0..9 * DIMS).map(|i| (segment * 100 + i) as f32).collect();
        writer.add(&documents, Matrix::from_vec(9, DIMS, vectors).view()).unwrap();
    }
    writer.delete(&["1.4", "1.5", "2.0"]).unwrap();
}

/// Flips a bit in the middle of a section of a segment: the first number of its bytes is at 72 + 24
/// · section in the header.
fn flip(folder: &Path, segment: usize, section: usize) -> std::path::PathBuf {
    let path = folder.join(format!("segment-{:08}", segment + 1));
    let mut bytes = fs::read(&path).unwrap();
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let (start, length) = (number(72 + 24 * section), number(80 + 24 * section));
    bytes[start + length / 2] ^= 4;
    fs::write(&path, bytes).unwrap();
    path
}

/// Whatever part of a segment is damaged: nothing copies it, and what is whole is saved.
#[test]
fn damage_is_never_copied_and_the_rest_is_saved() {
    for section in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let (store, saved) = (folder.path().join("store"), folder.path().join("saved"));
        large_store(&store);
        let whole = Model::at(&store);
        let path = flip(&store, 1, section);
        let bytes = fs::read(&path).unwrap();
        let error = match Writer::open_on(fast(), &store) {
            // The index of ids is needed for every change.
            Err(error) => {
                assert!([1, 2].contains(&section), "section {section}");
                error
            }
            Ok(mut writer) => writer.compact().unwrap_err(),
        };
        let error = error.to_string();
        assert!(error.contains("segment-00000002: damaged") && error.contains("index-salvage"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert!(!verify(&store).unwrap().damages.is_empty());

        let salvaged = salvage(&store, &saved).unwrap();
        assert!(verify(&saved).unwrap().damages.is_empty());
        let found = Model::at(&saved);
        if [1, 2].contains(&section) {
            assert_eq!((found, salvaged.damages), (whole, vec![]));
            continue;
        }
        let kept = whole.documents.iter().filter(|(id, ..)| !id.starts_with("1.")).cloned().collect::<Vec<_>>();
        assert_eq!((found.documents, salvaged.documents), (kept, 26));
        let [damage] = &salvaged.damages[..] else { panic!("{salvaged:?}") };
        assert_eq!(damage.lost.len() + damage.unnamed, 7);
        assert!(section != 0 || damage.lost[0] == "1.0" && damage.unnamed == 0, "{damage:?}");
    }
}

/// Merging small segments behind an `add` leaves a damaged one as it is.
#[test]
fn damage_is_not_merged() {
    let folder = tempfile::tempdir().unwrap();
    large_store(folder.path());
    flip(folder.path(), 0, 4);
    let mut writer = Writer::open_on(fast(), folder.path()).unwrap();
    for id in 0..20 {
        let id = id.to_string();
        writer.add(&[Document { id: &id, payload: b"" }], Matrix::zeros(1, DIMS).view()).unwrap();
    }
    drop(writer);
    let damages = verify(folder.path()).unwrap().damages;
    assert!(damages.len() == 1 && damages[0].file == "segment-00000001", "{damages:?}");
}

#[test]
fn damaged_deletions_come_back_and_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (store, saved) = (folder.path().join("store"), folder.path().join("saved"));
    large_store(&store);
    let names = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
    let dead = names.filter(|path| path.to_str().unwrap().contains("dead-")).min().unwrap();
    let mut bytes = fs::read(&dead).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&dead, bytes).unwrap();
    assert!(Store::open(&store).unwrap_err().to_string().contains("index-salvage"));
    let salvaged = salvage(&store, &saved).unwrap();
    assert!(salvaged.damages[0].deleted_unknown && salvaged.documents == 35, "{salvaged:?}");
}
