use super::*;
use crate::store::{StoreError, verify};
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

/// What `verify` says about each file, or that it refuses the store.
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
            // Reading a damaged store is an error or gives what is there; it never ends the program.
            if let Ok(store) = Store::open(folder.path()) {
                store.rows().for_each(|row| drop(store.document(row)));
                let _ = (store.find("a"), store.find("b"), store.find("c"));
                let query = Matrix::from_vec(1, DIMS, vec![1.0; 3]);
                let _ = store.search(&Pool::new(1), query.view(), &Search::default());
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
