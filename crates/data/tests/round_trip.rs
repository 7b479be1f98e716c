//! Whatever strings are written by other writers come back the same.

mod support;

use maana_data::{Blanks, Dataset, ReadOptions, Source, TextStream};
use parquet::basic::Compression;
use proptest::prelude::*;
use support::{Cells, write_parquet};

/// Strings with everything that could confuse a reader of lines, quotes and separators.
fn awkward() -> impl Strategy<Value = String> {
    prop_oneof![".*", "[ab\"\\\\,\t\r\n\u{feff}\u{2028} é]{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn rows_come_back_the_same(rows in prop::collection::vec((awkward(), awkward()), 1..12)) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, separator) in [("a.csv", b','), ("b.tsv", b'\t')] {
            let mut writer = csv::WriterBuilder::new().delimiter(separator).from_path(path(name)).unwrap();
            writer.write_record(["anchor", "positive"]).unwrap();
            rows.iter().for_each(|(a, b)| writer.write_record([a, b]).unwrap());
            writer.flush().unwrap();
        }
        let object = |(a, b): &(String, String)| serde_json::json!({"positive": b, "anchor": a});
        maana_data::write_jsonl(path("c.jsonl"), rows.iter().map(object)).unwrap();
        let (anchors, positives) = rows.iter().cloned().unzip();
        let columns = [("anchor", Cells::Texts(anchors)), ("positive", Cells::Texts(positives))];
        write_parquet(&path("d.parquet"), &columns, Compression::UNCOMPRESSED, 8);

        let mut fingerprints = Vec::new();
        for name in ["a.csv", "b.tsv", "c.jsonl", "d.parquet"] {
            let columns = Some(vec!["positive".to_string(), "anchor".to_string()]);
            let options = ReadOptions { columns, allow_blank: true, ..ReadOptions::default() };
            let source = Dataset::open(&[path(name)], options).unwrap();
            prop_assert_eq!(source.len(), rows.len(), "{}", name);
            for (row, (anchor, positive)) in rows.iter().enumerate() {
                prop_assert_eq!(&source.get(row).unwrap().texts, &[positive.clone(), anchor.clone()], "{}", name);
            }
            let keys = source.text_keys();
            let texts: Vec<&String> = rows.iter().flat_map(|(a, b)| [b, a]).collect();
            for i in 0..keys.len() {
                for j in 0..i {
                    prop_assert_eq!(keys[i] == keys[j], texts[i] == texts[j]);
                }
            }
            let streamed: Vec<String> = TextStream::open(path(name), Some("anchor"), Blanks::Keep).unwrap().map(Result::unwrap).collect();
            prop_assert!(streamed.iter().eq(rows.iter().map(|(anchor, _)| anchor)), "{}", name);
            fingerprints.push(source.fingerprint());
        }
        prop_assert!(fingerprints.iter().all(|print| *print == fingerprints[0]));
    }
}
