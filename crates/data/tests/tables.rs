//! One table, written by pandas, polars, pyarrow and DuckDB in every format and compression
//! (`golden/make_tables.py`), is read with equal results.

use std::path::{Path, PathBuf};

use maana_data::{Blanks, Dataset, ReadOptions, Source, Table, TextStream};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 34);
    files
}

#[test]
fn every_writer_and_format_gives_the_same_training_rows() {
    let columns = |names: &[&str]| ReadOptions {
        columns: Some(names.iter().map(|name| name.to_string()).collect()),
        ..ReadOptions::default()
    };
    let mut fingerprints = Vec::new();
    for file in files() {
        let source = Dataset::open(&[&file], columns(&["text", "lang", "score"])).unwrap();
        assert_eq!((source.len(), source.has_labels()), (12, true), "{file:?}");
        let row = source.get(2).unwrap();
        assert_eq!(
            (&row.texts[0], row.label.as_deref()),
            (&"bei ya nyanya sokoni;\nkilo moja".to_owned(), Some(&[1.25][..])),
            "{file:?}"
        );
        fingerprints.push(source.fingerprint());
        assert_eq!(fingerprints.last(), fingerprints.first(), "{file:?}");
        // Ids are not texts, in any format.
        let error = Dataset::open(&[&file], ReadOptions::default()).err().unwrap().to_string();
        let remedy = "the column `id` holds numbers, not texts; name the columns to be read, for example columns = \
                      [\"text\", \"lang\", \"label\"] in a recipe, or --columns text,lang,label";
        assert!(error.ends_with(remedy), "{error}");
    }
}

#[test]
fn every_writer_and_format_gives_the_same_records() {
    let wanted = ["label", "id", "text", "score", "id"].map(String::from);
    for file in files() {
        let table = Table::open(&file, None).unwrap();
        let names: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "text", "lang", "score", "label"], "{file:?}");
        let texts: Vec<&str> =
            table.columns().iter().filter(|column| column.holds_texts()).map(|column| column.name.as_str()).collect();
        assert_eq!(texts, ["text", "lang"], "{file:?}");
        assert_eq!(table.text_column(&["text"]).unwrap(), "lang");
        let records: Vec<_> = table.read(&wanted).unwrap().map(Result::unwrap).collect();
        assert_eq!(records.len(), 12, "{file:?}");
        let fields = |row: usize| [0, 1, 2, 3].map(|field| records[row].field(field).unwrap().unwrap());
        let expected = ["1", "9007199254740996", "an old king had three sons 😀", "1.25"];
        assert_eq!(fields(3), expected.map(String::from), "{file:?}");
        let first = ["0", "9007199254740993", "Bei ya mahindi imepanda sokoni leo, asema \"mkulima\"", "1.0"];
        assert_eq!(fields(0), first.map(String::from), "{file:?}");
        assert_eq!(records[11].required(1).unwrap(), "9007199254741004");
        assert_eq!(records[11].required(4).unwrap(), "9007199254741004", "{file:?}: requested twice");
        assert_eq!(TextStream::open(&file, Some("lang"), Blanks::Refuse).unwrap().count(), 12);
    }
}
